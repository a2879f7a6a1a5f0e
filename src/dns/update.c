/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/update.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/hmac.h>
#include <openssl/mem.h>

#include "base/check.h"
#include "dns/wire.h"

#define TYPE_SOA 6
#define TYPE_TSIG 250
#define CLASS_NONE 254
#define CLASS_ANY 255
#define OPCODE_UPDATE 5
#define FUDGE 300      /* seconds that clocks may differ by */
#define RECORDS_MAX 64 /* of an answer: it repeats what was asked, no more */

#define ALGORITHM "hmac-sha256"

/* ---- writing ---- */

static void put_record(struct writer *w, const struct dns_update *u, unsigned class, uint32_t ttl,
                       struct str data)
{
    dns_put_name(w, u->name);
    writer_uint(w, 2, u->type);
    writer_uint(w, 2, class);
    writer_uint(w, 4, ttl);
    writer_uint(w, 2, data.len);
    writer_bytes(w, data.p, data.len);
}

/* What a change is made of (RFC 2136, 2.5): whether all of the type go first, and whether one comes. */
static const struct {
    bool clears, puts;
} changes[] = {[DNS_ADD] = {false, true},
               [DNS_REMOVE] = {false, true},
               [DNS_REPLACE] = {true, true},
               [DNS_CLEAR] = {true, false}};

static void put_change(struct writer *w, const struct dns_update *u)
{
    bool removes = u->change == DNS_REMOVE;
    if (changes[u->change].clears)
        put_record(w, u, CLASS_ANY, 0, (struct str){"", 0});
    if (changes[u->change].puts)
        put_record(w, u, removes ? CLASS_NONE : DNS_CLASS_IN, removes ? 0 : u->ttl, u->data);
}

/* What is signed beside the message (RFC 8945, 4.3.3). */
static void put_variables(struct writer *w, const struct dns_key *key, int64_t signed_at, unsigned error,
                          struct str other)
{
    dns_put_name(w, key->name);
    writer_uint(w, 2, CLASS_ANY);
    writer_uint(w, 4, 0);
    dns_put_name(w, ALGORITHM);
    writer_uint(w, 6, (uint64_t)signed_at);
    writer_uint(w, 2, FUDGE);
    writer_uint(w, 2, error);
    writer_uint(w, 2, other.len);
    writer_bytes(w, other.p, other.len);
}

static bool sign(const struct dns_key *key, const uint8_t *data, size_t len, uint8_t ret[DNS_MAC_LEN])
{
    unsigned n = 0;
    return HMAC(EVP_sha256(), key->secret.p, key->secret.len, data, len, ret, &n) != NULL && n == DNS_MAC_LEN;
}

static void put_tsig(struct writer *w, const struct dns_update *u, const struct dns_key *key,
                     const uint8_t mac[DNS_MAC_LEN])
{
    dns_put_name(w, key->name);
    writer_uint(w, 2, TYPE_TSIG);
    writer_uint(w, 2, CLASS_ANY);
    writer_uint(w, 4, 0);
    writer_uint(w, 2, sizeof(ALGORITHM) + 1 + 6 + 2 + 2 + DNS_MAC_LEN + 2 + 2 + 2);
    dns_put_name(w, ALGORITHM);
    writer_uint(w, 6, (uint64_t)u->now);
    writer_uint(w, 2, FUDGE);
    writer_uint(w, 2, DNS_MAC_LEN);
    writer_bytes(w, mac, DNS_MAC_LEN);
    writer_uint(w, 2, u->id);
    writer_uint(w, 2, 0); /* error */
    writer_uint(w, 2, 0); /* other */
}

static bool is_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= HOSTNAME_MAX && name[len - 1] != '.';
}

int dns_update_make(const struct dns_update *u, const struct dns_key *key, struct dns_request *ret,
                    struct err *err)
{
    uint8_t signed_bytes[2 * DNS_UPDATE_MAX];
    struct writer w = writer_of(ret->bytes, sizeof(ret->bytes));
    struct writer s = writer_of(signed_bytes, sizeof(signed_bytes));
    if (!is_name(u->zone) || !is_name(u->name) || !is_name(key->name))
        return err_set(err, "the zone, the record and the key need names of 1 to %d bytes", HOSTNAME_MAX);
    writer_uint(&w, 2, u->id);
    writer_uint(&w, 2, OPCODE_UPDATE << 11);
    writer_uint(&w, 2, 1); /* zone */
    writer_uint(&w, 2, 0); /* prerequisites */
    writer_uint(&w, 2, (uint64_t)changes[u->change].clears + changes[u->change].puts);
    writer_uint(&w, 2, 0); /* further ones: the signature is counted once it is there */
    dns_put_name(&w, u->zone);
    writer_uint(&w, 2, TYPE_SOA);
    writer_uint(&w, 2, DNS_CLASS_IN);
    put_change(&w, u);
    writer_bytes(&s, ret->bytes, (size_t)(w.p - ret->bytes));
    put_variables(&s, key, u->now, 0, (struct str){"", 0});
    if (w.full || s.full || !sign(key, signed_bytes, (size_t)(s.p - signed_bytes), ret->mac))
        return err_set(err, "%s: a name with an empty or a long label, or too much to say of it", u->name);
    put_tsig(&w, u, key, ret->mac);
    if (w.full)
        return err_set(err, "the message has more than %d bytes", DNS_UPDATE_MAX);
    ret->bytes[DNS_HEADER_LEN - 1] = 1;
    ret->len = (size_t)(w.p - ret->bytes);
    return 0;
}

/* ---- reading ---- */

/* A name that is not compressed is this one: so a TSIG's are (RFC 8945, 4.2). */
static bool take_name(struct cursor *c, const char *name)
{
    uint8_t mine[HOSTNAME_MAX + 2], len;
    struct writer w = writer_of(mine, sizeof(mine));
    const uint8_t *p;
    dns_put_name(&w, name);
    if (w.full || !cursor_bytes(c, (size_t)(w.p - mine), &p))
        return false;
    for (size_t at = 0; at < (size_t)(w.p - mine); at += 1 + (size_t)len) {
        len = mine[at];
        if (p[at] != len)
            return false;
        for (size_t i = 1; i <= len; i++)
            if ((p[at + i] >= 'A' && p[at + i] <= 'Z' ? p[at + i] + ('a' - 'A') : p[at + i]) != mine[at + i])
                return false;
    }
    return true;
}

struct tsig {
    size_t at; /* where it begins in the message */
    uint64_t signed_at, fudge, error, id;
    struct cursor mac, other;
};

static bool read_tsig(struct cursor *c, const struct dns_key *key, struct tsig *ret)
{
    uint64_t type, class, ttl;
    struct cursor data;
    return take_name(c, key->name) && cursor_uint(c, 2, &type) && type == TYPE_TSIG &&
           cursor_uint(c, 2, &class) && class == CLASS_ANY && cursor_uint(c, 4, &ttl) && ttl == 0 &&
           cursor_vector(c, 2, &data) && cursor_left(c) == 0 && take_name(&data, ALGORITHM) &&
           cursor_uint(&data, 6, &ret->signed_at) && cursor_uint(&data, 2, &ret->fudge) &&
           cursor_vector(&data, 2, &ret->mac) && cursor_uint(&data, 2, &ret->id) &&
           cursor_uint(&data, 2, &ret->error) && cursor_vector(&data, 2, &ret->other) &&
           cursor_left(&data) == 0;
}

/* To the last record, which is to be the signature. */
static bool skip_to_last(struct cursor *c, const struct dns_header *h)
{
    uint64_t records = h->counts[1] + h->counts[2] + h->counts[3];
    struct cursor data;
    if (h->counts[3] == 0 || records > RECORDS_MAX || h->counts[0] > RECORDS_MAX)
        return false;
    for (uint64_t i = 0; i < h->counts[0]; i++)
        if (!dns_skip_name(c) || !cursor_skip(c, 4))
            return false;
    for (uint64_t i = 0; i + 1 < records; i++)
        if (!dns_skip_name(c) || !cursor_skip(c, 8) || !cursor_vector(c, 2, &data))
            return false;
    return true;
}

/* Is it signed, for this request, now? (RFC 8945, 5.4.1) */
static bool is_signed(const struct dns_request *request, const struct dns_key *key, struct str answer,
                      const struct dns_header *h, const struct tsig *t, int64_t now)
{
    size_t cap = 2 + DNS_MAC_LEN + t->at + 2 * DNS_UPDATE_MAX;
    uint8_t mac[DNS_MAC_LEN], *bytes = malloc(cap);
    int64_t off = now - (int64_t)t->signed_at;
    CHECK(bytes != NULL);
    struct writer w = writer_of(bytes, cap);
    writer_uint(&w, 2, DNS_MAC_LEN);
    writer_bytes(&w, request->mac, DNS_MAC_LEN);
    writer_uint(&w, 2, t->id);
    writer_bytes(&w, answer.p + 2, DNS_HEADER_LEN - 4);
    writer_uint(&w, 2, h->counts[3] - 1);
    writer_bytes(&w, answer.p + DNS_HEADER_LEN, t->at - DNS_HEADER_LEN);
    dns_put_name(&w, key->name);
    writer_uint(&w, 2, CLASS_ANY);
    writer_uint(&w, 4, 0);
    dns_put_name(&w, ALGORITHM);
    writer_uint(&w, 6, t->signed_at);
    writer_uint(&w, 2, t->fudge);
    writer_uint(&w, 2, t->error);
    writer_uint(&w, 2, cursor_left(&t->other));
    writer_bytes(&w, t->other.p, cursor_left(&t->other));
    bool ok = !w.full && cursor_left(&t->mac) == DNS_MAC_LEN &&
              sign(key, bytes, (size_t)(w.p - bytes), mac) &&
              CRYPTO_memcmp(mac, t->mac.p, DNS_MAC_LEN) == 0 && off <= FUDGE && off >= -FUDGE;
    free(bytes);
    return ok;
}

static enum dns_result refused(unsigned code, struct err *err)
{
    const char *word = dns_code_word(code);
    if (word != NULL)
        err_set(err, "the name server answers %s%s", word,
                code == 9    ? ": it does not have the zone, or not the key"
                : code == 5  ? ": the key may not change that record"
                : code == 10 ? ": the record is not in the zone"
                             : "");
    else
        err_set(err, "the name server answers with code %u", code);
    return DNS_REFUSED;
}

/* RFC 8945, 5.2: a server that cannot check our signature cannot sign either. */
static enum dns_result refused_signature(uint64_t error, struct err *err)
{
    const char *why = error == 16   ? "BADSIG: the secret is another one"
                      : error == 17 ? "BADKEY: it does not know the key's name, or not with hmac-sha256"
                      : error == 18 ? "BADTIME: the clocks differ"
                                    : NULL;
    if (why == NULL)
        return DNS_NOT_OURS;
    err_set(err, "the name server does not take the signature: %s", why);
    return DNS_REFUSED;
}

enum dns_result dns_update_read(const struct dns_request *request, const struct dns_key *key,
                                struct str answer, int64_t now, struct err *err)
{
    struct cursor c = cursor_of(answer.p, answer.len), mine = cursor_of(request->bytes, request->len);
    struct dns_header h, asked;
    struct tsig t = {.at = 0};
    if (!dns_read_header(&c, &h) || !dns_read_header(&mine, &asked) || h.id != asked.id ||
        (h.flags & DNS_FLAG_ANSWER) == 0 || (h.flags >> 11 & 15) != OPCODE_UPDATE)
        return DNS_NOT_OURS;
    if ((h.flags & DNS_FLAG_CUT) != 0)
        return DNS_CUT;
    if (!skip_to_last(&c, &h))
        return DNS_NOT_OURS;
    t.at = (size_t)(c.p - (const uint8_t *)answer.p);
    if (!read_tsig(&c, key, &t))
        return DNS_NOT_OURS;
    if (t.error != 0)
        return refused_signature(t.error, err);
    if (!is_signed(request, key, answer, &h, &t, now))
        return DNS_NOT_OURS;
    return dns_code(&h) == 0 ? DNS_DONE : refused(dns_code(&h), err);
}
