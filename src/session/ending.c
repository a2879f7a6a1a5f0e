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

/* One that ends may end others, which then must not be looked at: from the start again. Streams come before
 * what carries them, so that each is told why. */
static bool end_one(struct worker *w, uint64_t id, bool streams)
{
    for (struct list *n = w->sessions.next; n != &w->sessions; n = n->next) {
        struct session *s = session_of_node(n);
        if (!session_is_called(s, id, streams))
            continue;
        session_kill(s, CLOSE_ENDED);
        return true;
    }
    return false;
}

static void end_in(struct worker *w, void *arg)
{
    struct ending *e = arg;
    size_t *count = &e->count[w->index];
    while (end_one(w, e->id, true))
        ++*count;
    while (end_one(w, e->id, false))
        ++*count;
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
