/* SPDX-License-Identifier: Apache-2.0 */
#include "session/staging.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/str.h"
#include "base/tls_version.h"
#include "cert/cert.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/schema.h"
#include "net/addr.h"

struct staging *staging_new(size_t count)
{
    struct staging *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->refs = 1;
    s->v = calloc(count + 1, sizeof(*s->v));
    CHECK(s->v != NULL);
    return s;
}

void staging_add(struct staging *s, const struct staged *item)
{
    struct staged *own = &s->v[s->n++];
    *own = *item;
    own->label = str_dup(item->label);
    own->tls_text = str_dup(item->tls_text);
    own->cert = item->cert == NULL ? NULL : cert_ref(item->cert);
}

struct staging *staging_ref(struct staging *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void staging_unref(struct staging *s)
{
    if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < s->n; i++) {
        cert_unref(s->v[i].cert);
        free(s->v[i].label);
        free(s->v[i].tls_text);
    }
    free(s->v);
    free(s);
}

/* ---- TLS settings ---- */

static int code_of(const struct schema_name *names, const char *word, size_t len)
{
    for (; names->name != NULL; names++)
        if (strlen(names->name) == len && memcmp(names->name, word, len) == 0)
            return names->value;
    return -1;
}

/* Names apart by ':'. */
static int read_codes(const char *key, const char *text, size_t len, const struct schema_name *names,
                      int *ret, size_t *ret_len, struct err *err)
{
    *ret_len = 0;
    for (const char *end = text + len; text <= end;) {
        const char *colon = memchr(text, ':', (size_t)(end - text));
        size_t n = (size_t)((colon != NULL ? colon : end) - text);
        int code = code_of(names, text, n);
        if (code < 0)
            return err_set(err,
                           "%s: found '%.*s', expected names as 'tls.%s' of the configuration has them, "
                           "apart by ':'",
                           key, (int)MIN(n, (size_t)64), text, key);
        for (size_t i = 0; i < *ret_len; i++)
            if (ret[i] == code)
                return err_set(err, "%s: '%.*s' is here twice", key, (int)n, text);
        CHECK(*ret_len < STAGING_CODES_MAX);
        ret[(*ret_len)++] = code;
        text += n + 1;
    }
    return 0;
}

static int read_version(const char *text, size_t len, struct staged_tls *ret, struct err *err)
{
    ret->min_version = len == 3 && memcmp(text, "1.2", 3) == 0   ? CONFIG_TLS_1_2
                       : len == 3 && memcmp(text, "1.3", 3) == 0 ? CONFIG_TLS_1_3
                                                                 : 0;
    return ret->min_version != 0 ? 0
                                 : err_set(err, "min_version: found '%.*s', expected 1.2 or 1.3",
                                           (int)MIN(len, (size_t)64), text);
}

static int read_pq(const char *text, size_t len, struct staged_tls *ret, struct err *err)
{
    ret->pq = tls_pq_read(text, len);
    return ret->pq != TLS_PQ_UNSAID ? 0
                                    : err_set(err, "pq: found '%.*s', expected prefer, require or off",
                                              (int)MIN(len, (size_t)64), text);
}

static int read_setting(const char *text, size_t len, struct staged_tls *ret, struct err *err)
{
    const char *equals = memchr(text, '=', len);
    size_t key = equals == NULL ? len : (size_t)(equals - text);
    const char *value = equals == NULL ? text + len : equals + 1;
    size_t left = len - (size_t)(value - text);
    if (tls_version_is_min(text, key) && ret->min_version == 0)
        return read_version(value, left, ret, err);
    if (key == strlen("pq") && memcmp(text, "pq", key) == 0 && ret->pq == TLS_PQ_UNSAID)
        return read_pq(value, left, ret, err);
    if (key == strlen("groups") && memcmp(text, "groups", key) == 0 && ret->groups_len == 0)
        return read_codes("groups", value, left, keys_groups, ret->groups, &ret->groups_len, err);
    if (key == strlen("ciphers") && memcmp(text, "ciphers", key) == 0 && ret->ciphers_len == 0)
        return read_codes("ciphers", value, left, keys_ciphers, ret->ciphers, &ret->ciphers_len, err);
    return err_set(err, "found '%.*s', expected min_version=, pq=, groups= and ciphers=, each once at most",
                   (int)MIN(len, (size_t)64), text);
}

int staging_read_tls(const char *text, struct staged_tls *ret, struct err *err)
{
    *ret = (struct staged_tls){0};
    for (;;) {
        size_t n = strcspn(text, ",");
        if (read_setting(text, n, ret, err) != 0)
            return err_prefix(err, "TLS settings");
        if (text[n] == '\0')
            return 0;
        text += n + 1;
    }
}

/* No setting asks for a version that the route's max_version would forbid. */
static void put_over(struct config_tls *to, const struct staged_tls *from)
{
    if (from->min_version != 0) {
        to->min_version = (enum config_tls_version)from->min_version;
        to->max_version = MAX(to->max_version, to->min_version);
    }
    if (from->pq != TLS_PQ_UNSAID)
        to->pq = from->pq;
    if (from->pq == TLS_PQ_REQUIRE) /* which TLS 1.2 cannot have */
        to->max_version = CONFIG_TLS_1_3;
    if (from->groups_len > 0)
        to->groups = (struct config_codes){(int *)(uintptr_t)from->groups, from->groups_len};
    if (from->ciphers_len > 0)
        to->ciphers = (struct config_codes){(int *)(uintptr_t)from->ciphers, from->ciphers_len};
}

void staging_tls(const struct config_tls *own, const struct staging *s, bool candidates,
                 struct config_tls *ret)
{
    *ret = *own;
    for (int turn = 0; turn < (candidates ? 2 : 1); turn++)
        for (size_t i = 0; s != NULL && i < s->n; i++)
            if (s->v[i].cert == NULL && s->v[i].promoted == (turn == 0))
                put_over(ret, &s->v[i].tls);
}

bool staging_sees(const struct config *c, uint32_t listener, const struct net_addr *peer)
{
    const struct config_staging *s = c->staging;
    if (s == NULL)
        return false;
    for (size_t i = 0; i < s->listeners.n; i++)
        if (strcmp(s->listeners.v[i].text, c->listeners.v[listener].name.text) == 0)
            return true;
    for (size_t i = 0; i < s->networks.n; i++)
        if (net_addr_in(peer, s->networks.v[i].family, s->networks.v[i].addr, s->networks.v[i].prefix))
            return true;
    return false;
}

/* ---- stand-ins ---- */

static bool shares_name(const struct cert *a, const struct cert *b)
{
    for (size_t i = 0; i < a->names_len; i++)
        if (cert_has_name(b, a->names[i]))
            return true;
    return false;
}

static bool covers_all(const struct cert *cert, const struct cert *other)
{
    for (size_t i = 0; i < other->names_len; i++)
        if (other->names[i][0] == '*' || !cert_is_for(cert, other->names[i]))
            return false;
    return other->names_len > 0;
}

size_t staging_stands_for(const struct cert *cert, struct cert *const *v, size_t n, bool *ret)
{
    size_t shared = 0, same = 0, count = 0;
    for (size_t i = 0; i < n; i++) {
        ret[i] = v[i] != NULL && shares_name(cert, v[i]);
        shared += ret[i];
        same += ret[i] && v[i]->kind == cert->kind;
    }
    for (size_t i = 0; i < n; i++) {
        if (shared == 0)
            ret[i] = v[i] != NULL && covers_all(cert, v[i]);
        else if (same > 0)
            ret[i] = ret[i] && v[i]->kind == cert->kind;
        count += ret[i];
    }
    return count;
}

static void stand_in(struct stand_ins *ins, struct cert *cert, const char *label, bool *marks)
{
    if (staging_stands_for(cert, ins->v, ins->n, marks) == 0) {
        ins->more_labels[ins->more_len] = label;
        ins->more[ins->more_len++] = cert;
    }
    for (size_t i = 0; i < ins->n; i++)
        if (marks[i])
            ins->v[i] = cert;
}

/* One that was put there before, and that this one takes the place of. */
static void drop_before(struct stand_ins *ins, const struct cert *cert, bool *marks)
{
    size_t left = 0;
    staging_stands_for(cert, ins->more, ins->more_len, marks);
    for (size_t i = 0; i < ins->more_len; i++) {
        if (marks[i])
            continue;
        ins->more_labels[left] = ins->more_labels[i];
        ins->more[left++] = ins->more[i];
    }
    ins->more_len = left;
}

void stand_ins_make(struct cert *const *own, size_t n, const struct staging *s, bool candidates,
                    struct stand_ins *ret)
{
    size_t most = s == NULL ? 0 : s->n;
    *ret = (struct stand_ins){.v = calloc(n + 1, sizeof(struct cert *)),
                              .n = n,
                              .more = calloc(most + 1, sizeof(struct cert *)),
                              .more_labels = calloc(most + 1, sizeof(char *))};
    bool *marks = calloc(n + most + 1, sizeof(bool));
    CHECK(ret->v != NULL && ret->more != NULL && ret->more_labels != NULL && marks != NULL);
    memcpy(ret->v, own, n * sizeof(struct cert *));
    for (int turn = 0; turn < (candidates ? 2 : 1); turn++)
        for (size_t i = 0; i < most; i++) {
            if (s->v[i].cert == NULL || s->v[i].promoted != (turn == 0))
                continue;
            drop_before(ret, s->v[i].cert, marks);
            stand_in(ret, s->v[i].cert, s->v[i].label, marks);
        }
    free(marks);
}

void stand_ins_done(struct stand_ins *ins)
{
    free(ins->v);
    free(ins->more);
    free(ins->more_labels);
}

bool stand_ins_have(const struct stand_ins *ins, const char *name)
{
    for (size_t i = 0; i < ins->n + ins->more_len; i++) {
        const struct cert *cert = i < ins->n ? ins->v[i] : ins->more[i - ins->n];
        if (cert != NULL && (name[0] == '*' ? cert_has_name(cert, name) : cert_is_for(cert, name)))
            return true;
    }
    return false;
}
