/* SPDX-License-Identifier: Apache-2.0 */
/* What stays on a client's connection for its own sake, instead of bytes to one target: a protocol that
 * carries many streams, each of which becomes a session (HTTP/2), or an agent's offer. The session that let
 * it in remains its landlord: it owns the link, is counted and leaves the audit line; the resident reads and
 * writes. */
#ifndef CARDEA_SESSION_RESIDENT_H
#define CARDEA_SESSION_RESIDENT_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/reason.h"
#include "base/list.h"
#include "base/str.h"
#include "link/link.h"

struct resident;
struct review;
struct session;
struct session_origin;
struct worker;

/* How it ended. */
struct resident_end {
    enum close_reason reason;
    const char *detail; /* static, or lives as long as the resident; NULL: the reason says all */
    bool lingers;       /* last words were written: the client is to read them before the end */
};

struct resident_ops {
    const char *action;    /* the word for the audit line */
    bool carries;          /* its streams are told in the audit line */
    bool answers;          /* they are requests, and told with the status of the last answer */
    const char *transport; /* what its streams say they are carried by, where `open` counts them; else NULL */
    /* Bytes have come, or can go, or resident_wake() was called: go as far as possible. False: it is over. */
    bool (*run)(struct resident *r, struct resident_end *ret);
    /* The door is stopping: tell the peer, if there is a way. */
    void (*drain)(struct resident *r);
    /* The worker has a new configuration in force, or the resident has asked for it (review_soon()); count in
     * `sum` what came of it. It ends in a run of its own, not within. May be NULL: it is none of its
     * business. */
    void (*review)(struct resident *r, struct review *sum);
    /* Free it, with all that it started; its link must not be used any more. */
    void (*close)(struct resident *r);
};

/* Embed it. */
struct resident {
    const struct resident_ops *ops;
    struct session *landlord;   /* set by the session */
    struct list unreviewed;     /* of the worker, while it waits for its review */
    uint64_t streams;           /* started so far */
    struct resident *successor; /* see resident_succeed() */
    unsigned status;            /* of the last answer; 0: there was none */
    size_t open;                /* of these, now */
};

/* For a resident: run it soon. */
void resident_wake(struct resident *r);

/* For a resident, within its run: `next` (taken) lives on the link from now on in its place. It is closed
 * once its run has ended, which has to say that it goes on. */
void resident_succeed(struct resident *r, struct resident *next);

#endif
