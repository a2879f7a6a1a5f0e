/* SPDX-License-Identifier: Apache-2.0 */
/* Orders: for which slot, from which CA, when; and what comes of them. */
#include "keeper/life_internal.h"

#define HOUR INT64_C(3600)
#define UNREACHABLE_LEAST INT64_C(60)
#define UNREACHABLE_MOST HOUR
#define LIMITED_USUAL HOUR /* where a CA limits us and does not say for how long */
#define REFUSED_LEAST INT64_C(600)
#define REFUSED_MOST (6 * HOUR)
#define BACK_OFF_LEAST INT64_C(600) /* that little life left makes of any wait */
#define SHORT_LIVED (10 * LIFE_DAY)
#define FALL_OVER_FAILURES 2 /* in a row, before a certificate that has time is asked of the next CA */
#define FALL_OVER_WAIT HOUR
#define JITTER_PART 8

/* ---- when ---- */

/* Latest time to renew, whatever a CA suggests. */
static int64_t latest(const struct life_slot *s)
{
    return s->not_after - life_life(s) / 6;
}

/* Where the CA suggests nothing. Spread, so that what was issued together is not renewed together. */
static int64_t usual(struct life *p, const struct life_rule *rule, const struct life_slot *s)
{
    int64_t life = life_life(s);
    int64_t before = rule->renew_before > 0 ? rule->renew_before : life < SHORT_LIVED ? life / 2 : life / 3;
    before = MIN(before, life / 4 * 3);
    return s->not_after - before - life_random(p, before / JITTER_PART);
}

/* A backup of the active one's own CA, which a clock that was wrong for a while can leave, is none. */
static bool is_twin(const struct lineage *l, int slot, int64_t now)
{
    const struct life_slot *active = &l->state.slot[l->state.active];
    return slot != l->state.active && active->ca == l->state.slot[slot].ca && life_is_usable(active, now);
}

static int64_t wanted(const struct lineage *l, int slot, int64_t now)
{
    const struct life_slot *s = &l->state.slot[slot];
    if (slot != l->state.active && l->rule.backup == LIFE_NO_BACKUP)
        return LIFE_NEVER;
    if (life_is_unused(l, now))
        return LIFE_NEVER;
    if (!s->held || s->revoked != 0 || is_twin(l, slot, now))
        return 0;
    return MIN(s->renew_at, latest(s));
}

/* ---- from whom ---- */

/* When the lineage may turn to the i-th of its CAs. One that fails is tried by one lineage at a time. */
static int64_t open_at(const struct life *p, const struct lineage *l, int i, int64_t now)
{
    const struct life_ca *ca = &p->cas[l->rule.cas[i]];
    int64_t at = MAX(l->state.hold[i].until, ca->state.until);
    return ca->state.failures > 0 && ca->running > 0 ? MAX(at, now + UNREACHABLE_LEAST) : at;
}

/* May the next CA be asked while that one is closed until `at`? At once where there is nothing to serve from
 * the slot; else preference is worth a wait. */
static bool falls_over(const struct life *p, const struct lineage *l, int slot, int i, int64_t at,
                       int64_t now)
{
    unsigned failures = l->state.hold[i].failures + p->cas[l->rule.cas[i]].state.failures;
    return !life_is_usable(&l->state.slot[slot], now) || failures >= FALL_OVER_FAILURES ||
           at - now > FALL_OVER_WAIT;
}

/* The n-th CA in the slot's order of preference. */
static int preferred(const struct lineage *l, int slot, int n)
{
    int first = slot != l->state.active && l->rule.backup >= 0 ? l->rule.backup : 0;
    return n == 0 ? first : n <= first ? n - 1 : n;
}

static struct life_choice choose_ca(const struct life *p, const struct lineage *l, int slot, int64_t now)
{
    const struct life_slot *other = &l->state.slot[1 - slot];
    struct life_choice best = {.at = LIFE_NEVER, .slot = (int8_t)slot};
    int64_t want = wanted(l, slot, now);
    if (want == LIFE_NEVER)
        return best;
    for (int n = 0; n < l->rule.cas_len; n++) {
        int i = preferred(l, slot, n);
        if (life_is_usable(other, now) && other->ca == l->rule.cas[i])
            continue; /* a backup from the same CA would fall with it */
        int64_t at = open_at(p, l, i, now);
        if (best.at == LIFE_NEVER || MAX(at, want) < best.at) {
            best.at = MAX(at, want);
            best.ca = (uint8_t)i;
        }
        if (at <= MAX(now, want) || !falls_over(p, l, slot, i, at, now))
            break;
    }
    return best;
}

struct life_choice life_choose(const struct life *p, const struct lineage *l, int64_t now)
{
    struct life_choice active = choose_ca(p, l, l->state.active, now);
    struct life_choice backup = choose_ca(p, l, 1 - l->state.active, now);
    return MAX(backup.at, now) < MAX(active.at, now) ? backup : active;
}

int64_t life_next_try(const struct lineage *l)
{
    return heap_has(&l->order)                                  ? l->order.key
           : heap_has(&l->ready) || l->ordering != LIFE_NO_SLOT ? 0
                                                                : LIFE_NEVER;
}

static int64_t key_of(const struct heap_node *node)
{
    return heap_has(node) ? node->key : LIFE_NEVER;
}

int64_t life_due_of(const struct lineage *l)
{
    int64_t at = MIN(life_next_try(l), key_of(&l->turn));
    return l->looking != LIFE_NO_SLOT ? 0 : MIN(at, key_of(&l->look));
}

/* ---- in turn ---- */

void life_set_order(struct life *p, struct lineage *l, int64_t now)
{
    if (l->ordering != LIFE_NO_SLOT)
        return;
    struct life_choice c = life_choose(p, l, now);
    heap_remove(&p->ready, &l->ready);
    if (c.at == LIFE_NEVER)
        heap_remove(&p->order, &l->order);
    else
        heap_set(&p->order, &l->order, c.at);
}

/* Who has the least left comes first. */
static int64_t urgency(const struct lineage *l, int64_t now)
{
    int slot = life_serves(l, now);
    return slot != LIFE_NO_SLOT && life_is_usable(&l->state.slot[slot], now) ? l->state.slot[slot].not_after
                                                                             : 0;
}

static void line_up(struct life *p, int64_t now)
{
    for (struct heap_node *first; (first = heap_first(&p->order)) != NULL && first->key <= now;) {
        struct lineage *l = CONTAINER_OF(first, struct lineage, order);
        heap_remove(&p->order, first);
        heap_set(&p->ready, &l->ready, urgency(l, now));
    }
}

bool life_next_order(struct life *p, int64_t now, struct life_job *ret)
{
    line_up(p, now);
    while (p->orders < p->settings.orders_max && p->ready.len > 0) {
        struct lineage *l = CONTAINER_OF(heap_first(&p->ready), struct lineage, ready);
        struct life_choice c = life_choose(p, l, now);
        if (c.at > now) { /* things have changed while it was waiting: its CA has failed others */
            life_set_order(p, l, now);
            continue;
        }
        heap_remove(&p->ready, &l->ready);
        l->ordering = c.slot;
        l->order_ca = c.ca;
        p->orders++;
        p->cas[l->rule.cas[c.ca]].running++;
        *ret = (struct life_job){LIFE_ORDER, c.slot, l->rule.cas[c.ca], l};
        return true;
    }
    return false;
}

void life_end_order(struct life *p, struct lineage *l)
{
    CHECK(l->ordering != LIFE_NO_SLOT && p->orders > 0);
    p->orders--;
    p->cas[l->rule.cas[l->order_ca]].running--;
    l->ordering = LIFE_NO_SLOT;
}

/* ---- what came of it ---- */

static bool has_time(const struct life_issue *issue, int64_t now)
{
    return now < issue->not_after;
}

bool life_takes(const struct lineage *l, const struct life_issue *issue, int64_t now)
{
    CHECK(l->ordering != LIFE_NO_SLOT);
    return has_time(issue, now) || !life_is_usable(&l->state.slot[l->ordering], now);
}

static void hold(struct life_hold *h, int64_t until)
{
    h->until = until;
    h->failures += h->failures < UINT16_MAX;
}

void life_issued(struct life *p, struct lineage *l, const struct life_issue *issue, int64_t now)
{
    CHECK_MAGIC(l, LINEAGE_MAGIC);
    int8_t slot = l->ordering;
    struct life_hold *h = &l->state.hold[l->order_ca];
    uint16_t ca = l->rule.cas[l->order_ca];
    life_end_order(p, l);
    struct life_slot *s = &l->state.slot[slot];
    *s = (struct life_slot){.held = true,
                            .must_staple = issue->must_staple,
                            .has_status = issue->has_status,
                            .by_crl = issue->by_crl,
                            .ca = ca,
                            .issued = now,
                            .not_before = issue->not_before,
                            .not_after = issue->not_after};
    s->renew_at = usual(p, &l->rule, s);
    if (has_time(issue, now) && s->renew_at > now) {
        *h = (struct life_hold){0};
    } else { /* it would be ordered again at once, and again: some clock is wrong */
        s->failure = LIFE_USELESS;
        hold(h, now + life_back_off(p, REFUSED_LEAST, REFUSED_MOST, h->failures + 1u));
    }
    p->cas[ca].state = (struct life_ca_state){0};
    life_look_anew(p, s, now);
    if (l->looking == slot)
        l->look_stale = true;
    life_set_turn(p, l, now);
    life_set_order(p, l, now);
    life_set_look(p, l);
}

void life_take_back(struct life *p, struct lineage *l, const struct life_state *before, int64_t now)
{
    CHECK_MAGIC(l, LINEAGE_MAGIC);
    CHECK(l->ordering == LIFE_NO_SLOT);
    struct life_hold *h = &l->state.hold[l->order_ca];
    l->state = *before;
    hold(h, now + life_back_off(p, REFUSED_LEAST, REFUSED_MOST, h->failures + 1u));
    if (l->looking != LIFE_NO_SLOT)
        l->look_stale = true;
    life_set_turn(p, l, now);
    life_set_order(p, l, now);
    life_set_look(p, l);
}

/* How long the lineage does not turn to the CA. Little life left shortens it, but not what the CA has said.
 */
static int64_t wait_of(struct life *p, const struct lineage *l, enum life_failure why, int64_t retry_after,
                       unsigned failures, int64_t now)
{
    int slot = life_serves(l, now);
    int64_t left = slot == LIFE_NO_SLOT ? 0 : l->state.slot[slot].not_after - now;
    int64_t least = why == LIFE_UNREACHABLE ? UNREACHABLE_LEAST : REFUSED_LEAST;
    int64_t most = why == LIFE_UNREACHABLE ? UNREACHABLE_MOST : REFUSED_MOST;
    if (left > 0)
        most = MIN(most, MAX(left / 8, BACK_OFF_LEAST));
    if (why == LIFE_RATE_LIMITED && retry_after <= 0)
        retry_after = LIMITED_USUAL;
    int64_t wait = life_back_off(p, MIN(least, most), most, failures);
    if (retry_after <= 0)
        return wait;
    retry_after = MIN(retry_after, LIFE_RETRY_MOST);
    return MAX(wait, retry_after + life_random(p, MIN(retry_after / JITTER_PART, HOUR)));
}

/* What others may fear of the CA too: it is not well, or limits whoever we ask for. */
static void blame(struct life *p, struct life_ca *ca, enum life_failure why, int64_t retry_after, int64_t now)
{
    if (why != LIFE_UNREACHABLE && why != LIFE_RATE_LIMITED)
        return;
    struct life_ca_state *s = &ca->state;
    s->failures += s->failures < UINT16_MAX;
    int64_t wait = life_back_off(p, UNREACHABLE_LEAST, UNREACHABLE_MOST, s->failures);
    if (why == LIFE_UNREACHABLE && retry_after > 0)
        wait = MAX(wait, MIN(retry_after, LIFE_DAY));
    else if (retry_after > 0)
        wait = MIN(wait, retry_after);
    s->until = MAX(s->until, now + wait);
}

void life_failed(struct life *p, struct lineage *l, enum life_failure why, int64_t retry_after, int64_t now)
{
    CHECK_MAGIC(l, LINEAGE_MAGIC);
    CHECK(why > LIFE_WENT_WELL && why < LIFE_FAILURES);
    struct life_slot *s = &l->state.slot[l->ordering];
    struct life_hold *h = &l->state.hold[l->order_ca];
    struct life_ca *ca = &p->cas[l->rule.cas[l->order_ca]];
    life_end_order(p, l);
    s->failure = (uint8_t)why;
    s->failures += s->failures < UINT16_MAX;
    s->failed = now;
    hold(h, now + wait_of(p, l, why, retry_after, h->failures + 1u, now));
    blame(p, ca, why, retry_after, now);
    life_set_turn(p, l, now);
    life_set_order(p, l, now);
}
