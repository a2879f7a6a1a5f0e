/* SPDX-License-Identifier: Apache-2.0 */
#include "mux/agent.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/clock.h"

#define AVOID_NS NSEC_PER_SEC /* after the first failure; each further one in a row doubles it */
#define AVOID_DOUBLINGS 5

/* An id: 8 bytes that name the agent, 1 the grant, 16 of secret; as text. */
#define ID_BYTES 25

/* ---- life ---- */

struct agent *agent_make(const struct agent_terms *terms, uint64_t id, unsigned home, struct rate *rate)
{
    struct agent *a = calloc(1, sizeof(*a));
    CHECK(a != NULL);
    a->magic = AGENT_MAGIC;
    a->id = id;
    a->home = home;
    a->terms = *terms;
    a->rate = rate;
    atomic_store(&a->refs, 1);
    atomic_store(&a->ready, true);
    return a;
}

struct agent *agent_ref(struct agent *a)
{
    CHECK_MAGIC(a, AGENT_MAGIC);
    atomic_fetch_add(&a->refs, 1);
    return a;
}

void agent_unref(struct agent *a)
{
    if (a == NULL)
        return;
    CHECK_MAGIC(a, AGENT_MAGIC);
    if (atomic_fetch_sub(&a->refs, 1) > 1)
        return;
    rate_unref(a->rate);
    free(atomic_load(&a->grants));
    a->magic = 0;
    free(a);
}

/* ---- what is known of it ---- */

uint64_t agent_id(const struct agent *a)
{
    return a->id;
}

const struct offer *agent_offer(const struct agent *a)
{
    return &a->terms.offer;
}

const char *agent_identity(const struct agent *a)
{
    return a->terms.identity;
}

const struct agent_protocol *agent_protocol(const struct agent *a)
{
    return a->terms.protocol;
}

unsigned agent_is_down(const struct agent *a)
{
    return atomic_load_explicit(&a->down, memory_order_relaxed);
}

bool agent_is_stopping(const struct agent *a)
{
    return atomic_load_explicit(&a->stops, memory_order_relaxed);
}

bool agent_is_unheard(const struct agent *a)
{
    return atomic_load_explicit(&a->unheard, memory_order_relaxed);
}

struct agent_facts agent_facts(const struct agent *a)
{
    return (struct agent_facts){
        .offer = &a->terms.offer,
        .identity = a->terms.identity,
        .peer = &a->terms.peer,
        .transport = a->terms.transport,
        .since = a->terms.since,
        .ready = atomic_load_explicit(&a->ready, memory_order_relaxed),
        .down = agent_is_down(a),
        .visitors = atomic_load_explicit(&a->visitors, memory_order_relaxed),
        .visits = atomic_load_explicit(&a->visits, memory_order_relaxed),
        .bytes_in = atomic_load_explicit(&a->bytes_in, memory_order_relaxed),
        .bytes_out = atomic_load_explicit(&a->bytes_out, memory_order_relaxed),
    };
}

void agent_visited(struct agent *a, uint64_t bytes_in, uint64_t bytes_out)
{
    atomic_fetch_add_explicit(&a->bytes_in, bytes_in, memory_order_relaxed);
    atomic_fetch_add_explicit(&a->bytes_out, bytes_out, memory_order_relaxed);
}

void agent_enter(struct agent *a)
{
    atomic_fetch_add_explicit(&a->visitors, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&a->rate->visitors, 1, memory_order_relaxed);
}

void agent_exit(struct agent *a)
{
    uint32_t before = atomic_fetch_sub_explicit(&a->visitors, 1, memory_order_relaxed);
    CHECK(before > 0);
    atomic_fetch_sub_explicit(&a->rate->visitors, 1, memory_order_relaxed);
}

void agent_failed(struct agent *a, int64_t now)
{
    if (atomic_load_explicit(&a->avoid_until, memory_order_relaxed) > now)
        return; /* that of one who came before it was known */
    uint32_t failures = atomic_fetch_add_explicit(&a->failures, 1, memory_order_relaxed);
    atomic_store_explicit(&a->avoid_until, now + (AVOID_NS << MIN(failures, (uint32_t)AVOID_DOUBLINGS)),
                          memory_order_relaxed);
}

void agent_succeeded(struct agent *a)
{
    atomic_fetch_add_explicit(&a->visits, 1, memory_order_relaxed);
    if (atomic_load_explicit(&a->avoid_until, memory_order_relaxed) == 0)
        return;
    atomic_store_explicit(&a->failures, 0, memory_order_relaxed);
    atomic_store_explicit(&a->avoid_until, 0, memory_order_relaxed);
}

void agent_set_bandwidth(struct agent *a, uint64_t bandwidth)
{
    atomic_store(&a->rate->pace.bandwidth, bandwidth);
}

int64_t agent_allow(const struct agent *a, int64_t now, size_t *ret_bytes)
{
    uint32_t visitors = atomic_load_explicit(&a->rate->visitors, memory_order_relaxed);
    return pace_allow(&a->rate->pace, now, visitors, ret_bytes);
}

void agent_charge(struct agent *a, int64_t now, uint64_t bytes)
{
    pace_charge(&a->rate->pace, now, bytes);
}

/* ---- ids ---- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* base64url without padding (RFC 4648, 5). */
static void put_text(const uint8_t id[ID_BYTES], char ret[OFFER_ID_TEXT])
{
    unsigned bits = 0, have = 0;
    size_t n = 0;
    for (size_t i = 0; i < ID_BYTES; i++) {
        bits = bits << 8 | id[i];
        for (have += 8; have >= 6; have -= 6)
            ret[n++] = digits[bits >> (have - 6) & 63];
    }
    if (have > 0)
        ret[n++] = digits[bits << (6 - have) & 63];
    ret[n] = '\0';
}

static bool read_text(const char *text, uint8_t ret[ID_BYTES])
{
    unsigned bits = 0, have = 0;
    size_t n = 0;
    for (; *text != '\0'; text++) {
        const char *digit = strchr(digits, *text);
        if (digit == NULL)
            return false;
        bits = bits << 6 | (unsigned)(digit - digits);
        have += 6;
        if (have < 8)
            continue;
        if (n == ID_BYTES)
            return false;
        have -= 8;
        ret[n++] = (uint8_t)(bits >> have);
    }
    return n == ID_BYTES && have < 6 && (bits & ((1u << have) - 1)) == 0;
}

bool agent_read_id(const char *text, uint64_t *ret_agent, size_t *ret_slot, uint8_t ret_secret[16])
{
    uint8_t id[ID_BYTES];
    if (!read_text(text, id) || id[8] >= OFFER_IDS_MAX)
        return false;
    memcpy(ret_agent, id, 8);
    *ret_slot = id[8];
    memcpy(ret_secret, id + 9, 16);
    return true;
}

static struct grant *grants_of(struct agent *a)
{
    struct grant *grants = atomic_load(&a->grants);
    if (grants != NULL)
        return grants;
    grants = calloc(OFFER_IDS_MAX, sizeof(*grants));
    CHECK(grants != NULL);
    atomic_store(&a->grants, grants);
    return grants;
}

/* A grant that nobody has used, or nobody can use any more. */
static struct grant *free_grant(struct agent *a, int64_t now)
{
    struct grant *grants = grants_of(a);
    for (size_t i = 0; i < OFFER_IDS_MAX; i++) {
        struct grant *g = &grants[i];
        uint32_t out = GRANT_OUT;
        if (atomic_load(&g->state) == GRANT_FREE)
            return g;
        if (atomic_load(&g->state) == GRANT_OUT && now >= g->expires &&
            atomic_compare_exchange_strong(&g->state, &out, GRANT_FREE))
            return g;
    }
    return NULL;
}

bool agent_grant(struct agent *a, int64_t now, int64_t expires, char ret_id[OFFER_ID_TEXT])
{
    uint8_t id[ID_BYTES];
    struct grant *g = free_grant(a, now);
    if (g == NULL)
        return false;
    CHECK(getrandom(g->secret, sizeof(g->secret), 0) == sizeof(g->secret));
    g->expires = expires;
    memcpy(id, &a->id, 8);
    id[8] = (uint8_t)(g - atomic_load(&a->grants));
    memcpy(id + 9, g->secret, 16);
    put_text(id, ret_id);
    atomic_store(&g->state, GRANT_OUT);
    return true;
}

size_t agent_grants_out(const struct agent *a, int64_t now)
{
    const struct grant *grants = atomic_load(&a->grants);
    size_t n = 0;
    for (size_t i = 0; grants != NULL && i < OFFER_IDS_MAX; i++)
        n += atomic_load(&grants[i].state) == GRANT_OUT && now < grants[i].expires;
    return n;
}

static bool same_secret(const uint8_t *a, const uint8_t *b)
{
    uint8_t differs = 0;
    for (size_t i = 0; i < 16; i++)
        differs |= a[i] ^ b[i];
    return differs == 0;
}

bool agent_take_grant(struct agent *a, size_t slot, const uint8_t secret[16], int64_t now)
{
    struct grant *grants = atomic_load(&a->grants);
    if (grants == NULL)
        return false;
    struct grant *g = &grants[slot];
    uint32_t out = GRANT_OUT;
    if (!atomic_compare_exchange_strong(&g->state, &out, GRANT_TAKEN))
        return false;
    bool good = now < g->expires && same_secret(g->secret, secret);
    atomic_store(&g->state, good ? GRANT_FREE : GRANT_OUT);
    return good;
}
