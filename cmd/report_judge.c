/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/report_judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/tls_group.h"
#include "hello/offers.h"
#include "net/addr.h"

#define KEY_PARTS 4 /* identity, network, JA4, route: each ends with a newline, which no JSON text has */

/* ---- what the client has offered ---- */

/* Of a suite by its IANA name. */
static size_t cipher_of(struct str name, uint8_t ret[2])
{
    static const struct {
        const char *name;
        uint16_t code;
    } ciphers[] = {
#define X(name, code) {name, code},
#include "tables/ciphers.def"
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
        if (str_is(name, ciphers[i].name)) {
            ret[0] = (uint8_t)(ciphers[i].code >> 8);
            ret[1] = (uint8_t)ciphers[i].code;
            return 2;
        }
    return 0;
}

/* The offer as far as a line tells. */
struct offer {
    struct would_offer offer;
    bool versions_known; /* else they are what was negotiated, and so with what follows */
    bool groups_known;
    bool ciphers_known;
    uint8_t ciphers[HELLO_OFFERS_LIST_MAX];
};

/* The 2nd and 3rd character of a JA4 are the highest version that is offered. False: only what was negotiated
 * is known. */
static bool read_versions(const struct audit_line *line, struct would_offer *ret)
{
    struct str ja4 = line->v[AUDIT_JA4], version = line->v[AUDIT_VERSION];
    bool told = ja4.len > 3;
    ret->tls13 = (told && memcmp(ja4.p + 1, "13", 2) == 0) || str_is(version, "1.3");
    ret->tls12 = ret->tls13 || (told && memcmp(ja4.p + 1, "12", 2) == 0) || str_is(version, "1.2");
    return told;
}

/* What has none of the suites that have names here offers one that no list has, so that it is known. */
static size_t list_ciphers(struct str text, uint8_t ret[HELLO_OFFERS_LIST_MAX])
{
    size_t n = hello_offers_cipher_list(hello_offers_read_ciphers(text), ret);
    if (n > 0)
        return n;
    memset(ret, 0, 2);
    return 2;
}

static void read_offer(const struct audit_line *line, struct offer *ret)
{
    struct str groups = line->v[AUDIT_OFFERS_GROUPS], ciphers = line->v[AUDIT_OFFERS_CIPHERS];
    ret->versions_known = read_versions(line, &ret->offer);
    ret->groups_known = groups.p != NULL;
    ret->offer.pq = hello_offers_has_group(
        hello_offers_read_groups(ret->groups_known ? groups : line->v[AUDIT_GROUP]), tls_group_is_hybrid);
    ret->ciphers_known = ciphers.p != NULL;
    size_t n = ret->ciphers_known ? list_ciphers(ciphers, ret->ciphers)
                                  : cipher_of(line->v[AUDIT_CIPHER], ret->ciphers);
    ret->offer.ciphers = cursor_of(ret->ciphers, n);
}

static enum would_verdict verdict_on(const struct would *w, const struct audit_line *line, struct offer *o)
{
    struct would_offer offer = o->offer;
    struct str version = line->v[AUDIT_VERSION];
    if (w->kind == WOULD_CIPHERS && version.p != NULL) { /* the version that it came to stays what it is */
        offer.tls13 = str_is(version, "1.3");
        offer.tls12 = !offer.tls13;
    }
    enum would_verdict v = would_judge(w, &offer);
    bool known = v == WOULD_BREAK_VERSION  ? o->versions_known
                 : v == WOULD_BREAK_CIPHER ? o->ciphers_known
                 : offer.tls13             ? o->groups_known
                                           : o->versions_known;
    return would_breaks(v) && !known ? WOULD_UNKNOWN : v;
}

/* ---- who it is ---- */

/* The network of a peer such as "192.0.2.1:443"; what is no address stays as it is. */
static struct str network_of(const struct report *r, const struct audit_line *line,
                             char space[NET_ADDR_TEXT_MAX])
{
    struct net_addr a;
    if (!audit_peer(line, &a))
        return line->v[AUDIT_PEER];
    unsigned bits = a.family == AF_INET ? 32 : 128, prefix = a.family == AF_INET ? r->prefix4 : r->prefix6;
    for (unsigned bit = prefix; bit < bits; bit++)
        a.ip[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
    net_addr_host(&a, space);
    if (prefix < bits)
        snprintf(space + strlen(space), NET_ADDR_TEXT_MAX - strlen(space), "/%u", prefix);
    return (struct str){space, strlen(space)};
}

static void put_part(char *key, size_t *n, struct str part)
{
    size_t len = MIN(part.len, (size_t)REPORT_TEXT_MAX - 1);
    if (len > 0)
        memcpy(key + *n, part.p, len);
    key[*n + len] = '\n';
    *n += len + 1;
}

static void count_client(const struct report *r, struct report_answer *a, const struct audit_line *line)
{
    char key[KEY_PARTS * REPORT_TEXT_MAX], network[NET_ADDR_TEXT_MAX];
    size_t n = 0;
    put_part(key, &n, line->v[AUDIT_IDENTITY]);
    put_part(key, &n, network_of(r, line, network));
    put_part(key, &n, line->v[AUDIT_JA4]);
    put_part(key, &n, line->v[AUDIT_ROUTE]);
    tally_add(a->clients, (struct str){key, n}, line->v[AUDIT_TIME]);
}

/* The next part of a key, as it stands in the line. */
static struct str next_part(struct str *left)
{
    const char *end = memchr(left->p, '\n', left->len);
    CHECK(end != NULL);
    struct str part = {left->p, (size_t)(end - left->p)};
    left->p += part.len + 1;
    left->len -= part.len + 1;
    return part;
}

void report_client(const struct tally_row *row, struct report_client *ret)
{
    struct str left = {row->key, row->len};
    audit_line_text(next_part(&left), ret->identity, sizeof(ret->identity));
    audit_line_text(next_part(&left), ret->network, sizeof(ret->network));
    audit_line_text(next_part(&left), ret->ja4, sizeof(ret->ja4));
    audit_line_text(next_part(&left), ret->route, sizeof(ret->route));
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t ha = *(const uint64_t *)a, hb = *(const uint64_t *)b;
    return ha < hb ? -1 : ha > hb;
}

size_t report_clients(struct tally_row *const *rows, size_t n)
{
    const struct hash_key key = hash_random_key();
    uint64_t *all = calloc(n + 1, sizeof(*all));
    size_t clients = 0;
    CHECK(all != NULL);
    for (size_t i = 0; i < n; i++) {
        struct str left = {rows[i]->key, rows[i]->len}, identity = next_part(&left);
        next_part(&left);
        struct str ja4 = next_part(&left);
        const char *end = identity.len > 0 ? identity.p + identity.len : ja4.p + ja4.len;
        all[i] = hash_bytes(&key, rows[i]->key, (size_t)(end - rows[i]->key));
    }
    qsort(all, n, sizeof(*all), compare_hashes);
    for (size_t i = 0; i < n; i++)
        clients += i == 0 || all[i] != all[i - 1];
    free(all);
    return clients;
}

/* ---- the line ---- */

/* Count the line with its route. False: it is of none that is asked for. */
static bool count_route(struct report *r, struct str route)
{
    bool is = r->routes_len == 0;
    for (size_t i = 0; i < r->routes_len && route.p != NULL; i++) {
        bool same = str_is(route, r->routes[i]);
        r->route_lines[i] += same;
        is = is || same;
    }
    return is;
}

/* True for a connection whose TLS the door could be stricter about; others are counted by why
 * they are none. */
static bool sort_out(struct report *r, const struct audit_line *line)
{
    if (audit_except_holds(&r->except, line)) {
        r->excepted++;
        return false;
    }
    if (audit_line_is_challenge(line)) {
        r->challenges++;
        return false;
    }
    bool hello = line->v[AUDIT_JA4].len > 0 || line->v[AUDIT_VERSION].p != NULL;
    if (!hello || line->v[AUDIT_CARRIER].p != NULL) {
        r->others++;
        return false;
    }
    bool through = str_is(line->v[AUDIT_ACTION], "pass") || str_is(line->v[AUDIT_OFFER], "end-to-end");
    if (line->v[AUDIT_VERSION].p != NULL || (through && r->passed))
        return true;
    *(through ? &r->through : &r->unshaken) += 1;
    return false;
}

void report_judge(struct report *r, const struct audit_line *line)
{
    struct offer offer;
    if (!count_route(r, line->v[AUDIT_ROUTE]) || !sort_out(r, line))
        return;
    r->connections++;
    read_offer(line, &offer);
    for (size_t i = 0; i < r->answers; i++) {
        struct report_answer *a = &r->answer[i];
        enum would_verdict v = verdict_on(&a->would, line, &offer);
        a->unknown += v == WOULD_UNKNOWN;
        if (!would_breaks(v))
            continue;
        a->breaking++;
        count_client(r, a, line);
    }
}
