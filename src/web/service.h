/* SPDX-License-Identifier: Apache-2.0 */
/* What answers requests to the door's own pages. Whoever makes a door registers services; a route's `serve`
 * names those that it leads to, and the path of a request decides which of them gets it. */
#ifndef CARDEA_WEB_SERVICE_H
#define CARDEA_WEB_SERVICE_H

#include <stdbool.h>

#include "web/web.h"

struct loop;

/* A request that waits for its answer. Embed it. */
struct web_exchange {
    void (*answer)(struct web_exchange *exchange, struct web_answer *answer);
};

struct web_service {
    const char *name; /* that `serve` calls it */
    const char *const
        *prefixes; /* NULL-terminated: what paths of its requests begin with; the longest wins */
    bool plain;    /* it may be reached without TLS */
    /* Answers at once, from its arguments alone, and from any thread: workers call it themselves. */
    bool at_once;
    /* A request has come. It, and all that it points to, lives until it is answered. Called on the office's
     * thread, unless `at_once`. */
    void (*serve)(void *arg, const struct web_request *request, struct web_exchange *exchange);
    /* The office begins, before the first request, or has ended, after the last: on its thread, whose loop
     * may be used in between. Exchanges that are not answered by then must not be any more. Each may be NULL.
     */
    void (*begin)(void *arg, struct loop *loop);
    void (*end)(void *arg);
    void *arg;
};

/* Answer a request: once, within `serve` or later, on the thread that `serve` was called on. `answer` is
 * taken over, and is empty afterwards. */
static inline void web_exchange_answer(struct web_exchange *exchange, struct web_answer *answer)
{
    exchange->answer(exchange, answer);
}

/* The same with a line of plain text. */
void web_exchange_text(struct web_exchange *exchange, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Which of these services (pointers, `n`) is a request of that path for? The one with the longest prefix of
 * it; NULL: none. */
const struct web_service *web_service_find(const struct web_service *const *services, size_t n,
                                           struct str path);

#endif
