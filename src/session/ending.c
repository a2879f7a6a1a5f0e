/* SPDX-License-Identifier: Apache-2.0 */
#include "session/ending.h"

#include <stdlib.h>

#include "base/check.h"
#include "session/crew.h"
#include "session/quic_carrier.h"
#include "session/session.h"
#include "session/worker.h"

struct ending {
    uint64_t id;
    size_t workers;
    size_t *count; /* of each worker */
    ending_told *done;
    void *arg;
};

/* One that ends may end others, which then must not be looked at: what is to end is moved to a list of its
 * own first, and taken from there one by one. Streams come before what carries them, so that each is told
 * why. */
static size_t end_all(struct worker *w, uint64_t id, bool streams, enum close_reason reason)
{
    struct list called;
    size_t n = 0;
    list_init(&called);
    for (struct list *node = w->sessions.next, *next; node != &w->sessions; node = next) {
        next = node->next;
        if (!session_is_called(session_of_node(node), id, streams))
            continue;
        list_remove(node);
        list_insert(&called, node);
    }
    for (; !list_empty(&called); n++) {
        struct list *node = called.next;
        list_remove(node);
        list_insert(&w->sessions, node); /* where it looks for itself, and stays while it lingers */
        session_kill(session_of_node(node), reason);
    }
    return n;
}

size_t ending_streams(struct worker *w, uint64_t id, enum close_reason reason)
{
    return end_all(w, id, true, reason);
}

static void end_in(struct worker *w, void *arg)
{
    struct ending *e = arg;
    size_t *count = &e->count[w->index];
    *count = end_all(w, e->id, true, CLOSE_ENDED);
    *count += end_all(w, e->id, false, CLOSE_ENDED);
    *count += quic_carriers_end(w, e->id);
}

static void ended(void *arg)
{
    struct ending *e = arg;
    size_t sum = 0;
    for (size_t i = 0; i < e->workers; i++)
        sum += e->count[i];
    e->done(e->arg, sum);
    free(e->count);
    free(e);
}

void ending_begin(struct crew *crew, struct loop *loop, uint64_t id, ending_told *done, void *arg)
{
    struct ending *e = calloc(1, sizeof(*e));
    CHECK(e != NULL);
    *e = (struct ending){.id = id,
                         .workers = crew->count,
                         .count = calloc(crew->count, sizeof(size_t)),
                         .done = done,
                         .arg = arg};
    CHECK(e->count != NULL);
    crew_broadcast(crew, loop, end_in, ended, e);
}
