/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/query.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "dns/rdata.h"
#include "dns/wire.h"

#define PORT_HTTPS 443
#define TYPE_CNAME 5
#define TYPE_OPT 41
#define OPTION_PADDING 12 /* RFC 7830 */
#define UDP_SIZE 1232     /* means nothing here, and has to stand there */
#define QUERY_MAX 512
#define RECORDS_MAX 64
#define CNAMES_MAX 8
#define ECH_MAX 4096

#define PARAM_KNOWN_MAX 6 /* the last SvcParamKey that is known: those of dns/wire.h, and mere hints */

/* ---- the question ---- */

int dns_https_name(const char *host, uint16_t port, char ret[DNS_NAME_SIZE], struct err *err)
{
    int n = port == PORT_HTTPS ? snprintf(ret, DNS_NAME_SIZE, "%s", host)
                               : snprintf(ret, DNS_NAME_SIZE, "_%u._https.%s", port, host);
    if (hostname_check(host, strlen(host)) != HOSTNAME_OK || n < 0 || n >= DNS_NAME_SIZE)
        return err_set(err, "%s is no name that the DNS could tell about", host);
    for (char *p = ret; *p != '\0'; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + ('a' - 'A')) : *p;
    return 0;
}

/* EDNS (RFC 6891, 6.1.2) with padding to whole blocks: the length does not tell the name. */
static void put_padding(struct writer *w, const uint8_t *begin)
{
    static const uint8_t zeros[DNS_PADDING_BLOCK];
    size_t len = (size_t)(w->p - begin) + 15;
    size_t pad = (sizeof(zeros) - len % sizeof(zeros)) % sizeof(zeros);
    writer_uint(w, 1, 0); /* the root */
    writer_uint(w, 2, TYPE_OPT);
    writer_uint(w, 2, UDP_SIZE);
    writer_uint(w, 4, 0);
    writer_uint(w, 2, pad + 4);
    writer_uint(w, 2, OPTION_PADDING);
    writer_uint(w, 2, pad);
    writer_bytes(w, zeros, pad);
}

int dns_query_https(const char *name, struct buf *ret, struct err *err)
{
    uint8_t bytes[QUERY_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    writer_uint(&w, 2, 0);
    writer_uint(&w, 2, DNS_FLAG_RECURSE);
    writer_uint(&w, 2, 1);
    writer_uint(&w, 4, 0);
    writer_uint(&w, 2, 1); /* further ones: EDNS */
    dns_put_name(&w, name);
    writer_uint(&w, 2, DNS_TYPE_HTTPS);
    writer_uint(&w, 2, DNS_CLASS_IN);
    put_padding(&w, bytes);
    if (w.full || strlen(name) > HOSTNAME_MAX)
        return err_set(err, "%s is no name that the DNS could tell about", name);
    CHECK(buf_append(ret, bytes, (size_t)(w.p - bytes)));
    return 0;
}

/* ---- the answer ---- */

struct record {
    char name[DNS_NAME_SIZE]; /* "": one that we cannot have asked for */
    uint16_t type;
    uint32_t ttl;
    struct cursor data;
};

/* Records of other classes are passed over. */
static bool next_record(struct cursor *c, struct str message, struct record *ret)
{
    struct cursor at = *c;
    uint64_t type, class, ttl;
    if (!dns_read_name(&at, message, ret->name)) {
        at = *c;
        ret->name[0] = '\0';
        if (!dns_skip_name(&at))
            return false;
    }
    if (!cursor_uint(&at, 2, &type) || !cursor_uint(&at, 2, &class) || !cursor_uint(&at, 4, &ttl) ||
        !cursor_vector(&at, 2, &ret->data))
        return false;
    ret->type = class == DNS_CLASS_IN ? (uint16_t)type : 0;
    ret->ttl = ttl > INT32_MAX ? 0 : (uint32_t)ttl; /* RFC 2181, 8 */
    *c = at;
    return true;
}

/* What of an answer is looked at: its records, all of which can be read. */
struct reading {
    struct str message;
    struct cursor records;
    uint64_t count;
    uint32_t ttl;              /* the least so far */
    char owner[DNS_NAME_SIZE]; /* behind CNAMEs */
};

/* Does it repeat the question (RFC 1035, 4.1.2)? */
static bool is_asked(struct cursor *c, struct str message, const char *name)
{
    char asked[DNS_NAME_SIZE];
    uint64_t type, class;
    return dns_read_name(c, message, asked) && strcmp(asked, name) == 0 && cursor_uint(c, 2, &type) &&
           type == DNS_TYPE_HTTPS && cursor_uint(c, 2, &class) && class == DNS_CLASS_IN;
}

static bool can_be_read(const struct reading *r)
{
    struct cursor c = r->records;
    struct record record;
    for (uint64_t i = 0; i < r->count; i++)
        if (!next_record(&c, r->message, &record))
            return false;
    return true;
}

/* The first record of the owner that is of this type, from *c on. */
static bool find(const struct reading *r, uint16_t type, struct cursor *c, uint64_t *i, struct record *ret)
{
    for (; *i < r->count; ++*i) {
        CHECK(next_record(c, r->message, ret));
        if (ret->type == type && strcmp(ret->name, r->owner) == 0) {
            ++*i;
            return true;
        }
    }
    return false;
}

/* To the end of the chain of names that the resolver has followed (RFC 1034, 3.6.2). */
static bool follow_cnames(struct reading *r)
{
    for (int n = 0; n < CNAMES_MAX; n++) {
        struct cursor c = r->records;
        struct record record;
        uint64_t i = 0;
        if (!find(r, TYPE_CNAME, &c, &i, &record))
            return true;
        if (!dns_read_name(&record.data, r->message, r->owner))
            return false;
        r->ttl = MIN(r->ttl, record.ttl);
    }
    return false;
}

struct service {
    uint64_t priority;
    char target[DNS_NAME_SIZE]; /* "": the owner itself */
    bool unknown;               /* it makes something mandatory that is not known here */
    uint64_t port;              /* 0: not said */
    struct cursor alpn;
    struct cursor ech;
};

static bool read_mandatory(struct cursor c, struct service *ret)
{
    uint16_t key;
    while (cursor_u16(&c, &key))
        ret->unknown = ret->unknown || key > PARAM_KNOWN_MAX;
    return cursor_left(&c) == 0;
}

/* Keys stand in rising order, each once (RFC 9460, 2.2). */
static bool read_params(struct cursor c, struct service *ret)
{
    int last = -1;
    uint16_t key;
    struct cursor value;
    while (cursor_left(&c) > 0) {
        if (!cursor_u16(&c, &key) || !cursor_vector(&c, 2, &value) || key <= last)
            return false;
        last = key;
        if (key == DNS_PARAM_MANDATORY && !read_mandatory(value, ret))
            return false;
        if (key == DNS_PARAM_PORT && (!cursor_uint(&value, 2, &ret->port) || cursor_left(&value) > 0))
            return false;
        if (key == DNS_PARAM_ALPN)
            ret->alpn = value;
        if (key == DNS_PARAM_ECH)
            ret->ech = value;
    }
    return true;
}

static bool read_service(struct cursor c, struct str message, struct service *ret)
{
    *ret = (struct service){.priority = 0};
    return cursor_uint(&c, 2, &ret->priority) && dns_read_name(&c, message, ret->target) &&
           read_params(c, ret);
}

/* One that tells of another host is for who would connect to that. */
static bool is_ours(const struct service *s, const struct reading *r, const char *host, uint16_t port)
{
    return !s->unknown && (s->port == 0 || s->port == port) &&
           (s->target[0] == '\0' || strcmp(s->target, r->owner) == 0 || strcasecmp(s->target, host) == 0);
}

static enum dns_found bad(const char *name, const char *what, struct err *err)
{
    err_set(err, "the resolver's answer about %s %s", name, what);
    return DNS_NO_ANSWER;
}

/* One with `ech` is wanted more than one without, whatever their order. `best` has no priority yet where
 * nothing was found. */
static bool is_wanted_more(const struct service *s, const struct service *best)
{
    bool ech = cursor_left(&s->ech) > 0, best_ech = cursor_left(&best->ech) > 0;
    return best->priority == 0 || (ech != best_ech ? ech : s->priority < best->priority);
}

/* The records of the owner; an alias among them stands for all (RFC 9460, 2.4.1). */
static enum dns_found choose(struct reading *r, const char *host, uint16_t port, struct dns_https *ret,
                             struct err *err)
{
    struct cursor c = r->records;
    struct record record;
    struct service s, best = {.priority = 0};
    uint64_t i = 0;
    while (find(r, DNS_TYPE_HTTPS, &c, &i, &record)) {
        if (!read_service(record.data, r->message, &s) || cursor_left(&s.ech) > ECH_MAX)
            return bad(r->owner, "has a record that cannot be read", err);
        r->ttl = MIN(r->ttl, record.ttl);
        ret->ttl = r->ttl;
        if (s.priority == 0 && s.target[0] != '\0') {
            memcpy(ret->alias, s.target, sizeof(ret->alias));
            return DNS_ALIAS;
        }
        if (s.priority > 0 && is_ours(&s, r, host, port) && is_wanted_more(&s, &best))
            best = s;
    }
    ret->recorded = best.priority > 0;
    ret->alpn = best.alpn;
    ret->ech = (struct str){(const char *)best.ech.p, cursor_left(&best.ech)};
    return ret->ech.len > 0 ? DNS_HTTPS : DNS_NOTHING;
}

enum dns_found dns_answer_https(const char *name, const char *host, uint16_t port, struct str answer,
                                struct dns_https *ret, struct err *err)
{
    struct reading r = {.message = answer, .ttl = UINT32_MAX};
    struct cursor c = cursor_of(answer.p, answer.len);
    struct dns_header h;
    *ret = (struct dns_https){.ttl = 0};
    if (!dns_read_header(&c, &h) || (h.flags & DNS_FLAG_ANSWER) == 0 || (h.flags & DNS_FLAG_CUT) != 0 ||
        h.counts[0] != 1 || h.counts[1] > RECORDS_MAX)
        return bad(name, "is no answer to a question of ours", err);
    const char *word = dns_code_word(dns_code(&h));
    if (dns_code(&h) != 0 && dns_code(&h) != 3) {
        err_set(err, "the resolver says %s about %s", word != NULL ? word : "that something failed", name);
        return DNS_NO_ANSWER;
    }
    if (!is_asked(&c, answer, name))
        return bad(name, "is to another question", err);
    r.records = c;
    r.count = h.counts[1];
    memcpy(r.owner, name, strlen(name) + 1);
    if (!can_be_read(&r) || !follow_cnames(&r))
        return bad(name, "has a record that cannot be read, or names that lead in circles", err);
    return choose(&r, host, port, ret, err);
}

bool dns_next_protocol(struct cursor *alpn, struct str *ret)
{
    struct cursor one;
    if (!cursor_vector(alpn, 1, &one) || cursor_left(&one) == 0)
        return false;
    *ret = (struct str){(const char *)one.p, cursor_left(&one)};
    return true;
}
