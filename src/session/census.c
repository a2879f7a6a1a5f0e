/* SPDX-License-Identifier: Apache-2.0 */
#include "session/census.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "session/carrier.h"
#include "session/crew.h"
#include "session/session.h"
#include "session/worker.h"

struct census {
    size_t limit; /* of each worker, then of the whole */
    size_t workers;
    struct buf *part; /* one per worker: objects, each after a comma */
    census_told *done;
    void *arg;
};

static void count_in(struct worker *w, void *arg)
{
    struct census *c = arg;
    size_t n = carrier_json(w, c->limit, &c->part[w->index]);
    for (struct list *node = w->sessions.next; node != &w->sessions && n < c->limit; node = node->next, n++) {
        buf_append(&c->part[w->index], n > 0 ? ",\n" : "", n > 0 ? 2 : 0);
        session_json(session_of_node(node), &c->part[w->index]);
    }
}

static void counted(void *arg)
{
    struct census *c = arg;
    struct buf all = {0};
    buf_append(&all, "[", 1);
    for (size_t i = 0; i < c->workers; i++) {
        if (all.len > 1 && c->part[i].len > 0)
            buf_append(&all, ",\n", 2);
        buf_append(&all, c->part[i].data, c->part[i].len);
        buf_free(&c->part[i]);
    }
    buf_append(&all, "]", 1);
    c->done(c->arg, buf_text(&all), all.len);
    buf_free(&all);
    free(c->part);
    free(c);
}

void census_take(struct crew *crew, struct loop *loop, size_t limit, census_told *done, void *arg)
{
    struct census *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    *c = (struct census){.limit = (limit + crew->count - 1) / crew->count,
                         .workers = crew->count,
                         .part = calloc(crew->count, sizeof(struct buf)),
                         .done = done,
                         .arg = arg};
    CHECK(c->part != NULL);
    crew_broadcast(crew, loop, count_in, counted, c);
}
