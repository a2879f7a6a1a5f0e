/* SPDX-License-Identifier: Apache-2.0 */
#include "session/census.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "session/crew.h"
#include "session/quic_carrier.h"
#include "session/session.h"
#include "session/worker.h"

/* Of one worker. */
struct part {
    struct buf json; /* objects, commas between them */
    size_t left_out;
    bool ok;
};

struct census {
    size_t limit; /* of each worker */
    size_t workers;
    struct part *part;
    census_told *done;
    void *arg;
};

static bool sessions_json(const struct worker *w, size_t count, struct buf *out)
{
    bool ok = true;
    for (struct list *n = w->sessions.next; ok && n != &w->sessions && count > 0; n = n->next, count--)
        ok = (out->len == 0 || buf_append(out, ",\n", 2)) && session_json(session_of_node(n), out);
    return ok;
}

static void count_in(struct worker *w, void *arg)
{
    struct census *c = arg;
    struct part *p = &c->part[w->index];
    size_t carriers = quic_carriers_count(w), sessions = w->session_count;
    size_t room = c->limit - MIN(c->limit, sessions);
    size_t first = MIN(carriers, MAX(room, c->limit / 2)), then = MIN(sessions, c->limit - first);
    p->left_out = carriers + sessions - first - then;
    p->ok = quic_carriers_json(w, first, &p->json) && sessions_json(w, then, &p->json);
}

static void counted(void *arg)
{
    struct census *c = arg;
    struct buf all = {0};
    struct census_answer answer = {0};
    bool ok = buf_append(&all, "[", 1);
    for (size_t i = 0; i < c->workers; i++) {
        struct part *p = &c->part[i];
        if (all.len > 1 && p->json.len > 0)
            ok = ok && buf_append(&all, ",\n", 2);
        ok = ok && p->ok && buf_append(&all, p->json.data, p->json.len);
        answer.left_out += p->left_out;
        buf_free(&p->json);
    }
    ok = ok && buf_append(&all, "]", 1);
    answer.json = ok ? buf_text(&all) : NULL;
    answer.len = all.len;
    c->done(c->arg, &answer);
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
                         .part = calloc(crew->count, sizeof(struct part)),
                         .done = done,
                         .arg = arg};
    CHECK(c->part != NULL);
    crew_broadcast(crew, loop, count_in, counted, c);
}
