/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/records.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hostname.h"
#include "base/json.h"

#define SAID_MAX 512
#define TTL_MAX INT64_C(10000000)
#define TIME_MAX (INT64_MAX / NSEC_PER_SEC) /* that is told, too */

/* ---- keys ---- */

/* Where it is among the keys; keys_len: nowhere. */
static size_t key_at(const struct ech_records *p, int64_t begin)
{
    size_t i = 0;
    while (i < p->keys_len && p->keys[i].begin != begin)
        i++;
    return i;
}

static bool has_key(const struct ech_records *p, int64_t begin)
{
    return key_at(p, begin) < p->keys_len;
}

static bool is_held_by(const struct ech_record *n, int64_t begin)
{
    return n->holds == begin || n->tries == begin;
}

size_t ech_records_count(const struct ech_records *p, int64_t begin)
{
    size_t count = 0;
    for (size_t i = 0; i < p->names_len; i++)
        count += is_held_by(&p->names[i], begin);
    return count;
}

int64_t ech_records_keeps(const struct ech_records *p, int64_t begin)
{
    size_t at = key_at(p, begin);
    if (at == p->keys_len)
        return 0;
    return ech_records_count(p, begin) > 0 ? INT64_MAX : p->keys[at].until;
}

int64_t ech_records_since(const struct ech_records *p, int64_t begin)
{
    size_t at = key_at(p, begin);
    return at < p->keys_len ? p->keys[at].since : 0;
}

void ech_records_forget(struct ech_records *p, int64_t now)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->keys_len; i++)
        if (ech_records_keeps(p, p->keys[i].begin) > now)
            p->keys[kept++] = p->keys[i];
    p->keys_len = kept;
}

/* A record no longer holds the key, or never did; caches may, if it did. */
static void let_go(struct ech_records *p, int64_t begin, int64_t until)
{
    size_t at = key_at(p, begin);
    if (begin != 0 && at < p->keys_len)
        p->keys[at].until = MAX(p->keys[at].until, until);
}

/* ---- names ---- */

/* Where it is among the names; names_len: nowhere. */
static size_t name_at(const struct ech_records *p, const char *name)
{
    size_t i = 0;
    while (i < p->names_len && strcmp(p->names[i].name, name) != 0)
        i++;
    return i;
}

const struct ech_record *ech_records_find(const struct ech_records *p, const char *name)
{
    size_t at = name_at(p, name);
    return at < p->names_len ? &p->names[at] : NULL;
}

/* To be changed; NULL: it is not there. */
static struct ech_record *name_of(struct ech_records *p, const char *name)
{
    size_t at = name_at(p, name);
    return at < p->names_len ? &p->names[at] : NULL;
}

static void drop_name(struct ech_records *p, struct ech_record *n)
{
    free(n->name);
    free(n->said);
    *n = p->names[--p->names_len];
    p->names[p->names_len] = (struct ech_record){0};
}

int64_t ech_records_due(const struct ech_records *p, const char *name, int64_t newest)
{
    const struct ech_record *n = ech_records_find(p, name);
    if (n == NULL)
        return newest;
    if (n->tries != 0)
        return n->tries;
    return n->holds != newest ? newest : 0;
}

bool ech_records_try(struct ech_records *p, const char *name, int64_t begin, int64_t ttl, const char *said,
                     int64_t now)
{
    struct ech_record *n = name_of(p, name);
    ech_records_forget(p, now);
    if ((n == NULL && p->names_len == ECH_NAMES_MAX) ||
        (!has_key(p, begin) && p->keys_len == ECH_RECORDS_KEYS_MAX))
        return false;
    CHECK(n == NULL || n->tries == 0 || n->tries == begin);
    if (!has_key(p, begin))
        p->keys[p->keys_len++] = (struct ech_record_key){begin, now, 0};
    if (n == NULL) {
        n = &p->names[p->names_len++];
        *n = (struct ech_record){.name = str_dup(name)};
    }
    free(n->said);
    n->said = str_dup(said);
    n->tries = begin;
    n->ttl = MAX(n->ttl, ttl);
    return true;
}

void ech_records_given(struct ech_records *p, const char *name, int64_t ttl, int64_t now)
{
    struct ech_record *n = name_of(p, name);
    CHECK(n != NULL && n->tries != 0);
    int64_t before = n->holds;
    n->holds = n->tries;
    n->tries = 0;
    if (before != n->holds)
        let_go(p, before, now + n->ttl);
    n->ttl = ttl;
}

void ech_records_lost(struct ech_records *p, const char *name)
{
    struct ech_record *n = name_of(p, name);
    CHECK(n != NULL && n->tries != 0);
    n->tries = 0;
    n->said[0] = '\0'; /* what it says is what it said before */
    if (n->holds == 0)
        drop_name(p, n);
}

void ech_records_withdrawn(struct ech_records *p, const char *name, int64_t now)
{
    struct ech_record *n = name_of(p, name);
    if (n == NULL)
        return;
    let_go(p, n->holds, now + n->ttl);
    let_go(p, n->tries, now + n->ttl);
    drop_name(p, n);
}

void ech_records_free(struct ech_records *p)
{
    while (p->names_len > 0)
        drop_name(p, &p->names[p->names_len - 1]);
    *p = (struct ech_records){0};
}

/* ---- as a text ---- */

static bool read_time(const json_t *row, const char *key, int64_t max, int64_t *ret)
{
    const json_t *value = json_object_get(row, key);
    *ret = json_integer_value(value);
    return json_is_integer(value) && *ret >= 0 && *ret <= max;
}

static const char *read_text(const json_t *row, const char *key, size_t max)
{
    const json_t *value = json_object_get(row, key);
    return json_is_string(value) && json_string_length(value) <= max ? json_string_value(value) : NULL;
}

static bool read_key(const json_t *row, struct ech_records *p)
{
    struct ech_record_key k;
    if (p->keys_len == ECH_RECORDS_KEYS_MAX || !read_time(row, "begin", TIME_MAX, &k.begin) || k.begin == 0 ||
        !read_time(row, "since", TIME_MAX, &k.since) || !read_time(row, "until", TIME_MAX, &k.until) ||
        has_key(p, k.begin))
        return false;
    p->keys[p->keys_len++] = k;
    return true;
}

/* Behind the keys: it holds none that is not among them. */
static bool read_name(const json_t *row, struct ech_records *p)
{
    struct ech_record n = {0};
    const char *name = read_text(row, "name", HOSTNAME_MAX), *said = read_text(row, "said", SAID_MAX);
    if (p->names_len == ECH_NAMES_MAX || name == NULL || said == NULL || name_of(p, name) != NULL ||
        !read_time(row, "holds", TIME_MAX, &n.holds) || !read_time(row, "tries", TIME_MAX, &n.tries) ||
        !read_time(row, "ttl", TTL_MAX, &n.ttl) || (n.holds == 0 && n.tries == 0) ||
        (n.holds != 0 && !has_key(p, n.holds)) || (n.tries != 0 && !has_key(p, n.tries)))
        return false;
    n.name = str_dup(name);
    n.said = str_dup(said);
    p->names[p->names_len++] = n;
    return true;
}

static bool read_rows(const json_t *all, const char *key, bool (*read)(const json_t *, struct ech_records *),
                      struct ech_records *ret)
{
    const json_t *rows = json_object_get(all, key);
    bool ok = json_is_array(rows);
    for (size_t i = 0; ok && i < json_array_size(rows); i++)
        ok = read(json_array_get(rows, i), ret);
    return ok;
}

int ech_records_read(struct str text, struct ech_records *ret, struct err *err)
{
    json_error_t why;
    json_t *all = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, &why);
    if (all == NULL)
        return err_set(err, "line %d: %s", why.line, why.text);
    bool ok = read_rows(all, "keys", read_key, ret) && read_rows(all, "names", read_name, ret);
    json_decref(all);
    if (ok)
        return 0;
    ech_records_free(ret);
    return err_set(err, "it is not as it was written");
}

void ech_records_write(const struct ech_records *p, struct buf *out)
{
    json_t *keys = json_array(), *names = json_array();
    for (size_t i = 0; i < p->keys_len; i++) {
        const struct ech_record_key *k = &p->keys[i];
        json_array_append_new(keys, json_pack("{s:I, s:I, s:I}", "begin", (json_int_t)k->begin, "since",
                                              (json_int_t)k->since, "until", (json_int_t)k->until));
    }
    for (size_t i = 0; i < p->names_len; i++) {
        const struct ech_record *n = &p->names[i];
        json_array_append_new(names, json_pack("{s:s, s:I, s:I, s:I, s:s}", "name", n->name, "holds",
                                               (json_int_t)n->holds, "tries", (json_int_t)n->tries, "ttl",
                                               (json_int_t)n->ttl, "said", n->said));
    }
    json_t *all = json_pack("{s:o, s:o}", "keys", keys, "names", names);
    CHECK(json_array_size(keys) == p->keys_len && json_array_size(names) == p->names_len &&
          buf_json(out, all) && buf_append(out, "\n", 1));
    json_decref(all);
}
