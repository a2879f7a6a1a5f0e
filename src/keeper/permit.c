/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/permit.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/hostname.h"
#include "base/str.h"
#include "config/config.h"

#define REFUSALS 8192                  /* remembered; the one in the same place goes */
#define SOURCES 4096                   /* counted within a minute; those in the same place are one */
#define LIST_MAX (UINT64_C(256) << 20) /* bytes of a list of names */
#define BUSY_FOR NSEC_PER_SEC

struct refusal {
    uint64_t name; /* its hash */
    int64_t until;
    const char *why;
};

/* So many within a minute: refilled as time goes by. */
struct bucket {
    double left, most;
    int64_t at;
};

struct permit {
    struct hash_key key; /* two names with the same hash are not found, nor made */
    char **patterns;
    size_t patterns_len;
    uint64_t *listed; /* hashes of the list, sorted: a million names are 8 MB */
    size_t listed_len;
    bool asks;
    struct bucket new_names, questions;
    uint32_t per_source;
    int64_t minute; /* since when the sources are counted */
    uint32_t sources[SOURCES];
    struct refusal refusals[REFUSALS];
};

/* ---- reading ---- */

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static uint64_t hash_of(const struct permit *p, const char *name)
{
    return hash_bytes(&p->key, name, strlen(name));
}

static struct str trimmed(const char *at, size_t len)
{
    const char *mark = memchr(at, '#', len);
    len = mark != NULL ? (size_t)(mark - at) : len;
    while (len > 0 && strchr(" \t\r", at[len - 1]) != NULL)
        len--;
    while (len > 0 && strchr(" \t", *at) != NULL) {
        at++;
        len--;
    }
    return (struct str){at, len};
}

static int read_line(struct permit *p, const char *path, size_t number, struct str line, struct err *err)
{
    char name[HOSTNAME_MAX + 3];
    bool wild = line.len > 2 && memcmp(line.p, "*.", 2) == 0;
    enum hostname_fault fault = hostname_check(line.p + (wild ? 2 : 0), line.len - (wild ? 2 : 0));
    if (fault != HOSTNAME_OK)
        return err_set(err, "%s:%zu: expected a DNS name or *.NAME: %s", path, number,
                       hostname_fault_text(fault));
    str_copy(name, sizeof(name), line.p, line.len);
    str_lower(name, line.len);
    p->listed[p->listed_len++] = hash_of(p, name);
    return 0;
}

static int read_list(struct permit *p, const char *path, struct err *err)
{
    struct buf text = {0};
    size_t lines = 1;
    int rc = file_read(path, LIST_MAX, &text, NULL, err);
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    p->listed = rc == 0 ? reallocarray(NULL, lines, sizeof(uint64_t)) : NULL;
    CHECK(rc != 0 || p->listed != NULL);
    const char *at = (const char *)text.data, *end = at + text.len;
    for (size_t number = 1; rc == 0 && at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop != NULL ? stop : end;
        struct str line = trimmed(at, (size_t)(stop - at));
        if (line.len > 0)
            rc = read_line(p, path, number, line, err);
        at = stop + 1;
    }
    buf_free(&text);
    if (rc == 0 && p->listed_len > 0)
        qsort(p->listed, p->listed_len, sizeof(uint64_t), compare);
    return rc;
}

static struct bucket bucket_of(uint64_t per_minute)
{
    return (struct bucket){.left = (double)per_minute, .most = (double)per_minute, .at = INT64_MIN};
}

struct permit *permit_new(const struct config_acme *from, struct err *err)
{
    struct permit *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->key = hash_random_key();
    p->asks = from->ask.text.text != NULL;
    p->new_names = bucket_of(from->orders_per_minute);
    p->questions = bucket_of(from->asks_per_minute);
    p->per_source = (uint32_t)from->asks_per_source;
    p->minute = INT64_MIN;
    p->patterns = calloc(from->names.n + 1, sizeof(char *));
    CHECK(p->patterns != NULL);
    for (; p->patterns_len < from->names.n; p->patterns_len++)
        p->patterns[p->patterns_len] = str_dup(from->names.v[p->patterns_len].text);
    if (from->names_file.text == NULL || read_list(p, from->names_file.text, err) == 0)
        return p;
    permit_free(p);
    return NULL;
}

void permit_free(struct permit *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->patterns_len; i++)
        free(p->patterns[i]);
    free(p->patterns);
    free(p->listed);
    free(p);
}

/* ---- rates ---- */

static bool has_left(struct bucket *b, int64_t now)
{
    if (b->at != INT64_MIN && now > b->at)
        b->left = MIN(b->most, b->left + b->most * (double)(now - b->at) / (60.0 * NSEC_PER_SEC));
    b->at = now;
    return b->left >= 1;
}

bool permit_order(struct permit *p, int64_t now)
{
    if (!has_left(&p->new_names, now))
        return false;
    p->new_names.left -= 1;
    return true;
}

#define IPV6_SITE 8 /* bytes */

static uint32_t *count_of(struct permit *p, const struct net_addr *peer, int64_t now)
{
    if (p->minute == INT64_MIN || now - p->minute > 60 * NSEC_PER_SEC) {
        memset(p->sources, 0, sizeof(p->sources));
        p->minute = now;
    }
    size_t len = peer->family == AF_INET6 ? IPV6_SITE : peer->family == AF_INET ? 4 : 0;
    return &p->sources[hash_bytes(&p->key, peer->ip, len) % SOURCES];
}

/* May somebody be asked for that client now? Counts it. */
static const char *count_question(struct permit *p, const struct net_addr *peer, int64_t now)
{
    if (peer == NULL)
        return NULL;
    uint32_t *count = count_of(p, peer, now);
    if (*count >= p->per_source)
        return "too many new names were asked for from this address";
    if (!has_left(&p->questions, now))
        return "too many new names were asked for";
    p->questions.left -= 1;
    ++*count;
    return NULL;
}

/* ---- judging ---- */

static bool is_listed(const struct permit *p, const char *name)
{
    uint64_t hash = hash_of(p, name);
    return p->listed_len > 0 && bsearch(&hash, p->listed, p->listed_len, sizeof(hash), compare) != NULL;
}

static bool is_named(const struct permit *p, const char *name)
{
    char wild[HOSTNAME_MAX + 2] = "*";
    const char *dot = strchr(name, '.');
    if (dot != NULL)
        str_copy(wild + 1, sizeof(wild) - 1, dot, strlen(dot));
    for (size_t i = 0; i < p->patterns_len; i++)
        if (strcmp(p->patterns[i], name) == 0 || (dot != NULL && strcmp(p->patterns[i], wild) == 0))
            return true;
    return is_listed(p, name) || (dot != NULL && is_listed(p, wild));
}

static struct refusal *refusal_of(struct permit *p, uint64_t hash)
{
    return &p->refusals[hash % REFUSALS];
}

/* No CA certifies an empty name, nor one of which a label begins or ends with a hyphen (RFC 5890, 2.3.1),
 * and a program that is asked would take it for an option. */
static bool is_odd(const char *name)
{
    return *name == '\0' || *name == '-' || strstr(name, ".-") != NULL || strstr(name, "-.") != NULL ||
           name[strlen(name) - 1] == '-';
}

bool permit_could(const struct permit *p, const char *name)
{
    if (is_odd(name))
        return false;
    return (p->asks && strchr(name, '.') != NULL) || is_named(p, name);
}

enum permit_verdict permit_judge(struct permit *p, const char *name, const struct net_addr *peer, int64_t now,
                                 const char **ret_why, int64_t *ret_for)
{
    uint64_t hash = hash_of(p, name);
    const struct refusal *r = refusal_of(p, hash);
    *ret_for = BUSY_FOR;
    if (peer != NULL && r->name == hash && r->until > now) {
        *ret_why = r->why;
        *ret_for = r->until - now;
        return PERMIT_NO;
    }
    if (!is_odd(name) && is_named(p, name))
        return PERMIT_YES;
    *ret_why = "the name is not one of those that are permitted";
    if (!permit_could(p, name))
        return PERMIT_NO;
    *ret_why = peer != NULL && !has_left(&p->new_names, now)
                   ? "too many certificates are ordered for new names"
                   : count_question(p, peer, now);
    return *ret_why != NULL ? PERMIT_BUSY : PERMIT_ASK;
}

void permit_refuse(struct permit *p, const char *name, const char *why, int64_t until)
{
    uint64_t hash = hash_of(p, name);
    *refusal_of(p, hash) = (struct refusal){hash, until, why};
}

void permit_forget(struct permit *p, const char *name)
{
    uint64_t hash = hash_of(p, name);
    if (refusal_of(p, hash)->name == hash)
        *refusal_of(p, hash) = (struct refusal){0};
}
