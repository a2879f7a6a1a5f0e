/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/record.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"

static const char id_letters[] = "abcdefghijklmnopqrstuvwxyz234567";

const char *audit_id_text(uint64_t id, char text[AUDIT_ID_MAX])
{
    for (int i = AUDIT_ID_MAX - 2; i >= 0; i--, id >>= 5)
        text[i] = id_letters[id & 31];
    text[AUDIT_ID_MAX - 1] = '\0';
    return text;
}

bool audit_id_parse(const char *text, uint64_t *ret)
{
    uint64_t id = 0;
    if (strlen(text) != AUDIT_ID_MAX - 1)
        return false;
    for (; *text != '\0'; text++) {
        const char *at = strchr(id_letters, *text);
        if (at == NULL || id >> 59 != 0)
            return false;
        id = id << 5 | (uint64_t)(at - id_letters);
    }
    *ret = id;
    return id != 0;
}

static bool text(struct buf *out, const char *key, const char *p, size_t len)
{
    if (p == NULL || len == 0)
        return true;
    return buf_append(out, ",\"", 2) && buf_append(out, key, strlen(key)) && buf_append(out, "\":", 2) &&
           str_json(out, p, len);
}

static bool field(struct buf *out, const char *key, struct str value)
{
    return text(out, key, value.p, value.len);
}

static bool word(struct buf *out, const char *key, const char *p)
{
    return p == NULL || text(out, key, p, strlen(p));
}

#define PUT(out, literal) buf_append(out, literal, sizeof(literal) - 1)

/* A duration in milliseconds with three decimals. */
static bool millis(struct buf *out, int64_t ns)
{
    uint64_t us = (uint64_t)MAX(ns, 0) / NSEC_PER_USEC;
    char fraction[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10), (char)('0' + us % 10)};
    return str_put_u64(out, us / 1000) && buf_append(out, fraction, sizeof(fraction));
}

static bool truth(struct buf *out, const char *key, bool value)
{
    return buf_append(out, ",\"", 2) && buf_append(out, key, strlen(key)) &&
           (value ? PUT(out, "\":true") : PUT(out, "\":false"));
}

static bool negotiated(struct buf *out, const struct audit_record *r)
{
    return word(out, "version", r->version) && word(out, "group", r->group) &&
           word(out, "signature", r->signature) && word(out, "cipher", r->cipher) &&
           (!r->tls || (truth(out, "resumed", r->resumed) && truth(out, "hello_retry", r->hello_retry)));
}

static bool figure(struct buf *out, const char *key, uint64_t n)
{
    return buf_append(out, ",\"", 2) && buf_append(out, key, strlen(key)) && buf_append(out, "\":", 2) &&
           str_put_u64(out, n);
}

static bool datagrams(struct buf *out, const struct audit_datagrams *d)
{
    return figure(out, "datagrams_in", d->in) && figure(out, "datagrams_out", d->out) &&
           figure(out, "datagrams_dropped", d->dropped) &&
           (d->lost < 0 || figure(out, "datagrams_lost", (uint64_t)d->lost)) &&
           figure(out, "datagram_largest", d->largest);
}

static bool amounts(struct buf *out, const struct audit_record *r)
{
    bool ok = PUT(out, ",\"in\":") && str_put_u64(out, r->bytes_in) && PUT(out, ",\"out\":") &&
              str_put_u64(out, r->bytes_out);
    if (r->carries)
        ok = ok && PUT(out, ",\"streams\":") && str_put_u64(out, r->streams);
    if (r->answers)
        ok = ok && figure(out, "requests", r->requests) &&
             (r->status == 0 || figure(out, "status", r->status));
    if (r->datagrams != NULL)
        ok = ok && datagrams(out, r->datagrams);
    if (r->handshake_bytes_in > 0)
        ok = ok && figure(out, "handshake_bytes_in", r->handshake_bytes_in) &&
             figure(out, "handshake_bytes_out", r->handshake_bytes_out);
    if (r->handshake_ns >= 0)
        ok = ok && PUT(out, ",\"handshake_ms\":") && millis(out, r->handshake_ns);
    return ok && PUT(out, ",\"total_ms\":") && millis(out, r->total_ns);
}

/* How it came: over TCP nothing is said. */
static bool carriage(struct buf *out, const struct audit_record *r)
{
    char id[AUDIT_ID_MAX];
    return word(out, "transport", r->transport) &&
           (r->carrier == 0 || word(out, "carrier", audit_id_text(r->carrier, id)));
}

static bool format(struct buf *out, const struct audit_record *r)
{
    char when[CLOCK_TEXT_MAX], id[AUDIT_ID_MAX];
    clock_format(r->time, when);
    return PUT(out, "{\"time\":\"") && buf_append(out, when, strlen(when)) && PUT(out, "\",\"id\":\"") &&
           buf_append(out, audit_id_text(r->id, id), AUDIT_ID_MAX - 1) && PUT(out, "\"") &&
           word(out, "listener", r->listener) && carriage(out, r) && word(out, "peer", r->peer) &&
           field(out, "starttls", r->starttls) && field(out, "sni", r->sni) && word(out, "ech", r->ech) &&
           field(out, "outer_sni", r->outer_sni) && field(out, "alpn", r->alpn) &&
           word(out, "route", r->route) && word(out, "action", r->action) && negotiated(out, r) &&
           word(out, "verifies", r->verifies) && field(out, "ja4", r->ja4) &&
           word(out, "offers_groups", r->offers_groups) && word(out, "offers_ciphers", r->offers_ciphers) &&
           word(out, "identity", r->identity) && field(out, "target", r->target) &&
           word(out, "backend", r->backend) && word(out, "backend_tls", r->backend_tls) &&
           word(out, "agent", r->agent) && word(out, "offer", r->offer) && word(out, "rule", r->rule) &&
           word(out, "login", r->login) && word(out, "serial", r->serial) && amounts(out, r) &&
           word(out, "reason", close_reason_word(r->reason)) && word(out, "detail", r->detail) &&
           PUT(out, "}\n");
}

/* Texts from outside that a line has at most, and what each may take in a line that is too long; the rest of
 * the line takes less than OTHERS. */
#define LONG_TEXTS 13
#define CUT_TEXT 192
#define OTHERS 1536
#define ELLIPSIS "\xe2\x80\xa6"
_Static_assert(LONG_TEXTS *(CUT_TEXT + sizeof(ELLIPSIS)) + OTHERS < AUDIT_LINE_MAX, "it fits then");

struct cutter {
    char space[LONG_TEXTS][CUT_TEXT + sizeof(ELLIPSIS)];
    size_t used;
};

/* Bytes that a character of `n` bytes (0: not UTF-8) takes in JSON, at most. */
static size_t json_cost(uint8_t first, size_t n)
{
    if (first < 0x20 || first == 0x7f)
        return 6;
    if (first < 0x80)
        return first == '"' || first == '\\' ? 2 : 1;
    return MAX(n, (size_t)1) * 3;
}

static struct str cut(struct cutter *c, struct str value)
{
    size_t n = 0, cost = 0;
    while (value.p != NULL && n < value.len) {
        size_t taken = utf8_length(value.p + n, value.len - n);
        cost += json_cost((uint8_t)value.p[n], taken);
        if (cost > CUT_TEXT)
            break;
        n += MAX(taken, (size_t)1);
    }
    if (n == value.len)
        return value;
    CHECK(c->used < LONG_TEXTS);
    char *space = c->space[c->used++];
    memcpy(space, value.p, n);
    memcpy(space + n, ELLIPSIS, sizeof(ELLIPSIS));
    return (struct str){space, n + sizeof(ELLIPSIS) - 1};
}

static const char *cut_word(struct cutter *c, const char *value)
{
    return value == NULL ? NULL : cut(c, (struct str){value, strlen(value)}).p;
}

bool audit_format(struct buf *out, const struct audit_record *r)
{
    size_t from = out->len;
    if (!format(out, r))
        return false;
    if (out->len - from <= AUDIT_LINE_MAX)
        return true;
    struct cutter c;
    struct audit_record less = *r;
    c.used = 0;
    less.listener = cut_word(&c, r->listener);
    less.peer = cut_word(&c, r->peer);
    less.starttls = cut(&c, r->starttls);
    less.sni = cut(&c, r->sni);
    less.outer_sni = cut(&c, r->outer_sni);
    less.alpn = cut(&c, r->alpn);
    less.route = cut_word(&c, r->route);
    less.identity = cut_word(&c, r->identity);
    less.target = cut(&c, r->target);
    less.backend = cut_word(&c, r->backend);
    less.agent = cut_word(&c, r->agent);
    less.rule = cut_word(&c, r->rule);
    less.detail = cut_word(&c, r->detail);
    out->len = from;
    return format(out, &less);
}
