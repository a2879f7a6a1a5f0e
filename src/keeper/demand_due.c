/* SPDX-License-Identifier: Apache-2.0 */
/* What is due of the names on demand: from time to time the book is looked through for it, and for how they
 * are. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "keeper/book.h"
#include "keeper/demand_internal.h"
#include "keeper/obtainer.h"
#include "keeper/permit.h"

#define IN_MEMORY 1000 /* names that are there since something is due for them */
#define SWEEP_EVERY (600 * NSEC_PER_SEC)
#define SWEEP_SOON (20 * NSEC_PER_SEC) /* where there was more than fits */
#define PUT_OFF LIFE_DAY               /* of what is none of the configuration's any more */

struct due {
    int64_t id;
    char *name, *key_kind, *profile;
};

struct dues {
    struct due *v;
    size_t len;
};

static int note_due(void *arg, const struct book_lineage *l, int64_t due, struct err *err)
{
    struct dues *all = arg;
    (void)due;
    (void)err;
    all->v[all->len++] = (struct due){l->id, str_dup(l->names[0]), str_dup(l->key_kind), str_dup(l->profile)};
    return 0;
}

static bool fits(const struct demand *d, const struct due *due)
{
    const struct acme_wish *w = d->is->wish;
    return strcmp(key_kind_name(w->key), due->key_kind) == 0 &&
           strcmp(acme_wish_profile(w), due->profile) == 0 && permit_could(d->is->permit, due->name);
}

/* Into memory with it; what no entry of the configuration wants any more is put off. */
static void take_due(struct demands *all, const struct due *due)
{
    struct err err;
    for (struct list *at = all->all.next; at != &all->all; at = at->next) {
        struct demand *d = CONTAINER_OF(at, struct demand, node);
        if (!fits(d, due))
            continue;
        demand_take_up(d, due->name);
        return;
    }
    if (book_put_off(obtainer_book(all->obtainer), due->id, clock_wall() / NSEC_PER_SEC + PUT_OFF, &err) < 0)
        obtainer_say(all->obtainer, due->name, &err);
}

void demands_sweep(struct timer *t)
{
    struct demands *all = CONTAINER_OF(t, struct demands, sweep);
    struct dues dues = {calloc(IN_MEMORY, sizeof(struct due)), 0};
    struct err err;
    bool room = __atomic_load_n(&all->figures->names, __ATOMIC_RELAXED) < IN_MEMORY;
    CHECK(dues.v != NULL);
    /* Those in memory are among those that are due, so that there are less than two thousand. */
    if (!list_empty(&all->all) && room &&
        book_each_demanded(obtainer_book(all->obtainer), clock_wall() / NSEC_PER_SEC + DEMAND_HORIZON,
                           IN_MEMORY, note_due, &dues, &err) < 0)
        obtainer_say(all->obtainer, "names on demand", &err);
    for (size_t i = 0; i < dues.len; i++) {
        take_due(all, &dues.v[i]);
        free(dues.v[i].name);
        free(dues.v[i].key_kind);
        free(dues.v[i].profile);
    }
    free(dues.v);
    loop_set_timer(all->loop, &all->sweep,
                   loop_now(all->loop) + (dues.len == IN_MEMORY ? SWEEP_SOON : SWEEP_EVERY));
}

bool demands_any(const struct demands *all)
{
    return !list_empty(&all->all);
}

const struct listing_summary *demands_summary(struct demands *all)
{
    int64_t begun = clock_monotonic();
    struct err err;
    if (begun < all->summary_until)
        return &all->summary;
    if (book_summarise(obtainer_book(all->obtainer), clock_wall() / NSEC_PER_SEC, &all->summary, &err) < 0)
        obtainer_say(all->obtainer, "names on demand", &err);
    all->summary_until = clock_monotonic() + 100 * (clock_monotonic() - begun);
    return &all->summary;
}
