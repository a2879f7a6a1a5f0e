/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP/1.1 server on a listening socket: one request a connection, one answer, now or later. The
 * admin API stands on it, and the page that `cardea quickstart` shows. */
#ifndef CARDEA_ADMIN_RESPONDER_H
#define CARDEA_ADMIN_RESPONDER_H

#include "admin/request.h"
#include "base/buf.h"
#include "loop/loop.h"

#define RESPONDER_CONNECTIONS_MAX 64 /* one more pushes out the oldest that is idle */

struct responder;

/* A request that waits for its answer. It outlives its connection and its responder: whoever was given it
 * answers it once, whatever happened meanwhile. */
struct exchange;

struct resource {
    const char *path;
    const char *method; /* "GET" (HEAD goes with it) or "POST" */
    void (*serve)(struct exchange *e,
                  const struct request *request); /* the request is borrowed for the call */
};

/* Serve `resources` (borrowed) on the listening socket `fd` (taken, also on failure). `arg` is for
 * exchange_arg(). NULL with `err`. */
struct responder *responder_new(struct loop *loop, int fd, const struct resource *resources, size_t count,
                                void *arg, struct err *err);

/* Close it and every connection. Not from within `serve`; the loop may have stopped. NULL is allowed. */
void responder_free(struct responder *r);

/* The responder's `arg`; NULL when nobody waits for the answer any more, and all that is left is to answer.
 */
void *exchange_arg(const struct exchange *e);

/* Answer with `status` and the bytes of `body` (taken; it is empty afterwards) of the media type `type`. `e`
 * is gone afterwards. */
void exchange_answer(struct exchange *e, unsigned status, const char *type, struct buf *body);

/* Answer with one line of plain text. */
void exchange_refuse(struct exchange *e, unsigned status, const char *text);

#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_JSON "application/json"

#endif
