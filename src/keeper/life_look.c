/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about certificates that there are: does their CA want them renewed (ARI), are they revoked, and
 * what is their staple? */
#include "keeper/life_internal.h"

#define RETRY_LEAST INT64_C(60)
#define RETRY_MOST INT64_C(3600)
#define ANEW_SPREAD INT64_C(8)  /* the staple of a new certificate is wanted soon; of must-staple at once */
#define ARI_GRACE INT64_C(3600) /* that a CA has at least to deliver what it wants renewed */
#define JITTER_PART 8

static bool is_asked_about(const struct life_slot *s)
{
    return s->held && s->revoked == 0;
}

/* Nobody needs to know anything of one that has expired. */
static void soonest(const struct life_slot *s, int64_t at, enum life_task task, int slot, int64_t *best,
                    struct life_job *ret)
{
    if (at == 0 || at >= *best || at >= s->not_after)
        return;
    *best = at;
    ret->task = task;
    ret->slot = slot;
}

/* The next question about either certificate, and when. */
static int64_t next_look(const struct lineage *l, struct life_job *ret)
{
    int64_t best = LIFE_NEVER;
    for (int i = 0; i < LIFE_SLOTS; i++) {
        const struct life_slot *s = &l->state.slot[i];
        if (!is_asked_about(s))
            continue;
        soonest(s, s->status_at, LIFE_ASK_STATUS, i, &best, ret);
        soonest(s, s->ari_at, LIFE_ASK_ARI, i, &best, ret);
    }
    return best;
}

void life_set_look(struct life *p, struct lineage *l)
{
    struct life_job ignored;
    if (l->looking != LIFE_NO_SLOT)
        return;
    int64_t at = next_look(l, &ignored);
    if (at == LIFE_NEVER)
        heap_remove(&p->look, &l->look);
    else
        heap_set(&p->look, &l->look, at);
}

bool life_next_look(struct life *p, int64_t now, struct life_job *ret)
{
    struct heap_node *first = heap_first(&p->look);
    if (p->looks >= p->settings.looks_max || first == NULL || first->key > now)
        return false;
    struct lineage *l = CONTAINER_OF(first, struct lineage, look);
    *ret = (struct life_job){.lineage = l};
    CHECK(next_look(l, ret) <= now);
    heap_remove(&p->look, first);
    l->looking = (int8_t)ret->slot;
    l->look_stale = false;
    p->looks++;
    return true;
}

/* The slot that the answer is about, or NULL when its certificate has been replaced since. */
static struct life_slot *answered(struct life *p, struct lineage *l)
{
    CHECK_MAGIC(l, LINEAGE_MAGIC);
    CHECK(l->looking != LIFE_NO_SLOT && p->looks > 0);
    struct life_slot *s = &l->state.slot[l->looking];
    p->looks--;
    l->looking = LIFE_NO_SLOT;
    return l->look_stale ? NULL : s;
}

static void set_all(struct life *p, struct lineage *l, int64_t now)
{
    life_set_turn(p, l, now);
    life_set_order(p, l, now);
    life_set_look(p, l);
}

void life_look_anew(struct life *p, struct life_slot *s, int64_t now)
{
    if (s->has_status)
        s->status_at = now + 1 + (s->must_staple ? 0 : life_random(p, ANEW_SPREAD));
    if (p->cas[s->ca].ari) /* "immediately after issuance" (RFC 9773, 4.3) */
        s->ari_at = now + 1 + life_random(p, ANEW_SPREAD);
}

/* ---- ARI ---- */

/* It doubles up to six hours while nothing is heard; what the CA answers wrongly it will answer
 * for a while. */
static void ari_unheard(struct life *p, struct life_slot *s, bool lasting, int64_t now)
{
    s->ari_failures += s->ari_failures < UINT16_MAX;
    s->ari_at = now + (lasting ? LIFE_ARI_USUAL + life_random(p, LIFE_ARI_USUAL / JITTER_PART)
                               : life_back_off(p, RETRY_LEAST, LIFE_ARI_USUAL, s->ari_failures));
}

void life_ari(struct life *p, struct lineage *l, int64_t start, int64_t end, int64_t retry_after, int64_t now)
{
    struct life_slot *s = answered(p, l);
    if (s != NULL && end <= start) {
        ari_unheard(p, s, true, now);
    } else if (s != NULL) {
        int64_t wait = retry_after > 0 ? retry_after : LIFE_ARI_USUAL;
        wait = MIN(MAX(wait, LIFE_ARI_LEAST), LIFE_ARI_MOST);
        s->ari_at = now + wait;
        s->ari_failures = 0;
        if (start != s->ari_start || end != s->ari_end) { /* a point once drawn stays (RFC 9773, 4.2) */
            s->renew_at = start + life_random(p, end - start);
            s->ari_start = start;
            s->ari_end = end;
            s->ari_due = MAX(end, now) + ARI_GRACE;
        }
    }
    set_all(p, l, now);
}

void life_ari_failed(struct life *p, struct lineage *l, bool lasting, int64_t now)
{
    struct life_slot *s = answered(p, l);
    if (s != NULL)
        ari_unheard(p, s, lasting, now);
    set_all(p, l, now);
}

/* ---- status ---- */

/* Who wants it to be looked at more often than that has reasons, such as a test. */
static int64_t retry_least(const struct life *p)
{
    return MIN(RETRY_LEAST, p->settings.check_every);
}

/* Half way to nextUpdate; behind that, half of what remains. Never later than revocation is to be noticed. */
static int64_t status_wait(struct life *p, int64_t this_update, int64_t next_update, int64_t now)
{
    int64_t every = p->settings.check_every, wait = every;
    if (next_update > now) {
        int64_t middle = this_update + (next_update - this_update) / 2;
        wait = MIN(every, middle > now ? middle - now : (next_update - now) / 2);
    }
    wait -= life_random(p, wait / JITTER_PART);
    return MAX(wait, retry_least(p));
}

static void status_unheard(struct life *p, struct life_slot *s, int64_t now)
{
    int64_t most = MIN(RETRY_MOST, p->settings.check_every);
    if (s->staple_next > now)
        most = MAX(MIN(most, (s->staple_next - now) / 4), retry_least(p));
    s->status_failures += s->status_failures < UINT16_MAX;
    s->status_at = now + life_back_off(p, retry_least(p), most, s->status_failures);
}

void life_status(struct life *p, struct lineage *l, bool revoked, int64_t this_update, int64_t next_update,
                 int64_t now)
{
    struct life_slot *s = answered(p, l);
    if (s != NULL && revoked) {
        s->revoked = now;
    } else if (s != NULL && next_update != 0 && next_update <= now) {
        status_unheard(p, s, now); /* stale: it proves nothing any more */
    } else if (s != NULL) {
        s->staple_this = this_update;
        s->staple_next = next_update != 0 ? next_update : now + p->settings.check_every;
        s->status_failures = 0;
        s->status_at = now + status_wait(p, this_update, next_update, now);
    }
    set_all(p, l, now);
}

void life_status_failed(struct life *p, struct lineage *l, int64_t now)
{
    struct life_slot *s = answered(p, l);
    if (s != NULL)
        status_unheard(p, s, now);
    set_all(p, l, now);
}
