/* SPDX-License-Identifier: Apache-2.0 */
/* The office: a thread with a loop of its own, on which services (web/service.h) answer requests that workers
 * have read. A worker posts an inquiry and gets it back with the answer; it never waits. The office lives as
 * long as the door, through all its configurations. */
#ifndef CARDEA_SESSION_OFFICE_H
#define CARDEA_SESSION_OFFICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "cert/leaf.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "web/reader.h"
#include "web/service.h"

struct audit_place;
struct identity;
struct office;

/* A request on its way to its service and back. Whoever has asked reads and writes it before office_ask() and
 * once it has come back; in between only `asker` is his. */
struct inquiry {
    struct web_exchange exchange;
    struct web_service const *service;
    struct web_reader reader; /* what `request` borrows from ... */
    struct buf content;       /* ... or this, where no HTTP was read */
    struct web_request request;
    char source[NET_ADDR_TEXT_MAX];
    struct audit_place *place; /* of its own, or NULL */
    struct identity *identity; /* of its own, or NULL */
    uint8_t key[CERT_KEY_DIGEST];
    struct web_answer answer;
    bool answered;
    /* Called on the asker's thread, once; the inquiry is his again. */
    void (*back)(struct inquiry *q);
    void *asker; /* for `back`; NULL: nobody waits any more */
    /* The office's. */
    struct office *office;
    struct loop *home; /* of the asker */
    struct message message;
    struct list node;
};

/* An empty one. */
struct inquiry *inquiry_new(void);

/* With all that it holds. NULL is allowed. */
void inquiry_free(struct inquiry *q);

/* Have a service answer that does so at once, on this thread. */
void inquiry_answer_at_once(struct inquiry *q);

/* Begin the office for these services, which must outlive it. NULL with `err` when there is no thread to be
 * had. */
struct office *office_open(const struct web_service *services, size_t n, struct err *err);

/* Send an inquiry there from the thread of that loop: it comes back by a message, whatever happens, unless
 * the office is closed before. False, and nothing sent, while `most` are under way. */
bool office_ask(struct office *o, struct inquiry *q, struct loop *home, size_t most);

/* Run a message on the office's thread, behind what was asked before and ahead of what is asked later; at the
 * latest in office_free(). */
void office_post(struct office *o, struct message *m);

/* End the thread: nothing comes back any more. What is under way stays until office_free(), after those who
 * have asked. NULL is allowed for both. */
void office_close(struct office *o);
void office_free(struct office *o);

#endif
