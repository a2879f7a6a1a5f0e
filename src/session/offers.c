/* SPDX-License-Identifier: Apache-2.0 */
#include "session/offers.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "mux/agents.h"
#include "session/crew.h"
#include "session/worker.h"

/* What one worker is the home of; a reference to each. */
struct part {
    struct agent **v;
    size_t n, cap;
};

struct question {
    offers_told *done;
    void *arg;
    size_t workers;
    struct part part[];
};

static void add(void *arg, struct agent *a)
{
    struct part *p = arg;
    if (p->n == p->cap) {
        p->cap = MAX((size_t)16, 2 * p->cap);
        p->v = reallocarray(p->v, p->cap, sizeof(struct agent *));
        CHECK(p->v != NULL);
    }
    p->v[p->n++] = agent_ref(a);
}

static void look(struct worker *w, void *arg)
{
    struct question *q = arg;
    agents_each(w->agents, add, &q->part[w->index]);
}

static int compare(const void *a, const void *b)
{
    struct agent_facts x = agent_facts(*(struct agent *const *)a), y = agent_facts(*(struct agent *const *)b);
    int order = strcmp(x.offer->name, y.offer->name);
    return order != 0 ? order : x.since < y.since ? -1 : x.since > y.since;
}

static void answered(void *arg)
{
    struct question *q = arg;
    struct part all = {0};
    for (size_t i = 0; i < q->workers; i++) {
        for (size_t k = 0; k < q->part[i].n; k++) {
            add(&all, q->part[i].v[k]);
            agent_unref(q->part[i].v[k]);
        }
        free(q->part[i].v);
    }
    if (all.n > 0)
        qsort(all.v, all.n, sizeof(struct agent *), compare);
    q->done(q->arg, all.v, all.n);
    for (size_t i = 0; i < all.n; i++)
        agent_unref(all.v[i]);
    free(all.v);
    free(q);
}

void offers_ask(struct crew *crew, struct loop *control, offers_told *done, void *arg)
{
    struct question *q = calloc(1, sizeof(*q) + crew->count * sizeof(struct part));
    CHECK(q != NULL);
    *q = (struct question){.done = done, .arg = arg, .workers = crew->count};
    crew_broadcast(crew, control, look, answered, q);
}
