/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/counters.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/tls_group.h"

static const struct {
    const char *word, *help;
} rows[COUNTERS] = {
#define X(name, word, help) {word, help},
#include "tables/counters.def"
#undef X
};

static const char *const version_names[COUNTER_VERSIONS] = {"1.2", "1.3"};

static const struct {
    uint16_t code;
    const char *name;
} groups[COUNTER_GROUPS] = {
#define X(name, code, hybrid, remark) {code, name},
#include "tables/groups.def"
#undef X
    {0, "other"},
};

/* Upper bounds of handshake durations. */
static const struct {
    int64_t ns;
    const char *label;
} buckets[COUNTER_BUCKETS] = {
    {NSEC_PER_MSEC, "0.001"},     {5 * NSEC_PER_MSEC, "0.005"}, {20 * NSEC_PER_MSEC, "0.02"},
    {50 * NSEC_PER_MSEC, "0.05"}, {100 * NSEC_PER_MSEC, "0.1"}, {250 * NSEC_PER_MSEC, "0.25"},
    {NSEC_PER_SEC, "1"},          {5 * NSEC_PER_SEC, "5"},
};

void counters_handshake(struct counters *c, const struct counted_handshake *h)
{
    size_t g = 0, b = 0;
    while (g < COUNTER_GROUPS - 1 && groups[g].code != h->group)
        g++;
    while (b < COUNTER_BUCKETS && h->duration > buckets[b].ns)
        b++;
    counter_add(&c->n[COUNTER_HANDSHAKES], 1);
    counter_add(&c->n[COUNTER_RESUMED], h->resumed);
    counter_add(&c->n[COUNTER_HELLO_RETRIES], h->hello_retry);
    counter_add(&c->n[COUNTER_HANDSHAKE_BYTES_IN], h->bytes_in);
    counter_add(&c->n[COUNTER_HANDSHAKE_BYTES_OUT], h->bytes_out);
    counter_add(&c->version[h->version >= 0x0304], 1);
    counter_add(&c->group[g], 1);
    counter_add(&c->handshake_bucket[b], 1);
    counter_add(&c->handshake_ns, (uint64_t)h->duration);
}

/* Sum of one figure, at `offset` in the block, over a route's blocks. */
static uint64_t sum(const struct route_counters *r, size_t offset)
{
    uint64_t total = 0;
    for (size_t i = 0; i < r->blocks; i++) {
        const char *at = (const char *)r->block[i] + offset;
        total += __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_RELAXED);
    }
    return total;
}

#define SUM(r, field) sum(r, offsetof(struct counters, field))
#define SUM_AT(r, field, i) sum(r, offsetof(struct counters, field) + (i) * sizeof(uint64_t))

/* One of the plain counters. */
static uint64_t figure(const struct route_counters *r, size_t c)
{
    if (!r->unrouted || c != COUNTER_CONNECTIONS)
        return SUM_AT(r, n, c);
    uint64_t total = 0;
    for (size_t k = 0; k < CLOSE_REASONS; k++)
        total += SUM_AT(r, reason, k);
    return total;
}

static bool heading(struct buf *out, const char *name, const char *type, const char *help)
{
    return buf_printf(out, "# HELP cardea_%s %s.\n# TYPE cardea_%s %s\n", name, help, name, type);
}

/* Route names are plain words by the configuration's rules: they need no escaping. */
static bool sample(struct buf *out, const char *name, const char *route, const char *label, const char *value,
                   uint64_t n)
{
    if (label == NULL)
        return buf_printf(out, "cardea_%s{route=\"%s\"} %llu\n", name, route, (unsigned long long)n);
    return buf_printf(out, "cardea_%s{route=\"%s\",%s=\"%s\"} %llu\n", name, route, label, value,
                      (unsigned long long)n);
}

static bool plain_counters(struct buf *out, const struct route_counters *r, size_t count)
{
    bool ok = true;
    for (size_t c = 0; c < COUNTERS; c++) {
        ok = ok && heading(out, rows[c].word, "counter", rows[c].help);
        for (size_t i = 0; i < count; i++)
            ok = ok && sample(out, rows[c].word, r[i].route, NULL, NULL, figure(&r[i], c));
    }
    ok = ok && heading(out, "connections", "gauge", "Connections open now");
    for (size_t i = 0; i < count; i++)
        ok = ok && sample(out, "connections", r[i].route, NULL, NULL, r[i].active);
    return ok;
}

static bool closed_counters(struct buf *out, const struct route_counters *r, size_t count)
{
    bool ok = heading(out, "closed_total", "counter", "Connections that ended, by reason");
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < CLOSE_REASONS; k++) {
            uint64_t n = SUM_AT(&r[i], reason, k);
            if (n > 0)
                ok = ok && sample(out, "closed_total", r[i].route, "reason", close_reason_word(k), n);
        }
    return ok;
}

/* Of the handshakes of a route, those by a hybrid group, or the others. */
static uint64_t handshakes_by(const struct route_counters *r, bool hybrid)
{
    uint64_t total = 0;
    for (size_t k = 0; k < COUNTER_GROUPS; k++)
        if (tls_group_is_hybrid(groups[k].code) == hybrid)
            total += SUM_AT(r, group, k);
    return total;
}

static bool pq_counters(struct buf *out, const struct route_counters *r, size_t count)
{
    bool ok =
        heading(out, "tls_pq_total", "counter",
                "Handshakes by whether their key exchange keeps what is recorded from a quantum computer");
    for (size_t i = 0; i < count; i++)
        ok = ok && sample(out, "tls_pq_total", r[i].route, "pq", "yes", handshakes_by(&r[i], true)) &&
             sample(out, "tls_pq_total", r[i].route, "pq", "no", handshakes_by(&r[i], false));
    return ok;
}

static bool tls_counters(struct buf *out, const struct route_counters *r, size_t count)
{
    bool ok = heading(out, "tls_version_total", "counter", "Handshakes by TLS version");
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < COUNTER_VERSIONS; k++)
            ok = ok && sample(out, "tls_version_total", r[i].route, "version", version_names[k],
                              SUM_AT(&r[i], version, k));
    ok = ok && heading(out, "tls_group_total", "counter", "Handshakes by key exchange group");
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < COUNTER_GROUPS; k++)
            ok = ok &&
                 sample(out, "tls_group_total", r[i].route, "group", groups[k].name, SUM_AT(&r[i], group, k));
    return ok;
}

static bool histogram(struct buf *out, const struct route_counters *r, size_t count)
{
    bool ok =
        heading(out, "handshake_seconds", "histogram", "Time from ClientHello to the end of the handshake");
    for (size_t i = 0; i < count; i++) {
        uint64_t total = 0;
        for (size_t k = 0; k < COUNTER_BUCKETS; k++) {
            total += SUM_AT(&r[i], handshake_bucket, k);
            ok = ok && sample(out, "handshake_seconds_bucket", r[i].route, "le", buckets[k].label, total);
        }
        total += SUM_AT(&r[i], handshake_bucket, COUNTER_BUCKETS);
        ok = ok && sample(out, "handshake_seconds_bucket", r[i].route, "le", "+Inf", total) &&
             buf_printf(out, "cardea_handshake_seconds_sum{route=\"%s\"} %.9f\n", r[i].route,
                        (double)SUM(&r[i], handshake_ns) / NSEC_PER_SEC) &&
             sample(out, "handshake_seconds_count", r[i].route, NULL, NULL, total);
    }
    return ok;
}

bool counters_prometheus(struct buf *out, const struct route_counters *routes, size_t count)
{
    return plain_counters(out, routes, count) && closed_counters(out, routes, count) &&
           tls_counters(out, routes, count) && pq_counters(out, routes, count) &&
           histogram(out, routes, count);
}

bool counters_json(struct buf *out, const struct route_counters *r)
{
    bool ok = buf_printf(out, "{\"connections\":%llu", (unsigned long long)r->active);
    for (size_t c = 0; c < COUNTERS; c++)
        ok = ok && buf_printf(out, ",\"%s\":%llu", rows[c].word, (unsigned long long)figure(r, c));
    ok = ok && buf_printf(out, ",\"closed\":{");
    const char *comma = "";
    for (size_t k = 0; k < CLOSE_REASONS; k++) {
        uint64_t n = SUM_AT(r, reason, k);
        if (n == 0)
            continue;
        ok = ok && buf_printf(out, "%s\"%s\":%llu", comma, close_reason_word(k), (unsigned long long)n);
        comma = ",";
    }
    return ok && buf_printf(out, "}}");
}
