/* SPDX-License-Identifier: Apache-2.0 */
/* The intermediates of an authority, as its log tells of them. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "base/check.h"
#include "ca/authority_internal.h"
#include "ca/journal.h"
#include "ca/key_place.h"

#define DAY INT64_C(86400)
#define ENDING_MAX (90 * DAY)

/* ---- ends ---- */

int64_t authority_end(const X509 *cert)
{
    int64_t seconds = 0;
    CHECK(ASN1_TIME_to_posix(X509_get0_notAfter(cert), &seconds) == 1);
    return seconds;
}

int64_t authority_due(const X509 *cert)
{
    int64_t from = 0, until = authority_end(cert);
    CHECK(ASN1_TIME_to_posix(X509_get0_notBefore(cert), &from) == 1);
    return until - MIN((until - from) / 3, ENDING_MAX);
}

bool authority_is_ending(const X509 *cert, int64_t now)
{
    return now > authority_due(cert);
}

/* ---- which there are ---- */

struct generation *authority_current(const struct authority *a)
{
    CHECK(a->generations_len > 0);
    return &a->generations[a->generations_len - 1];
}

static bool is_latest_of_key(const struct authority *a, size_t n)
{
    for (size_t i = n + 1; i < a->generations_len; i++)
        if (a->generations[i].issuer == a->generations[n].issuer)
            return false;
    return true;
}

struct generation *authority_generation(const struct authority *a, size_t issuer)
{
    for (size_t n = a->generations_len; n-- > 0;)
        if (is_latest_of_key(a, n) && issuer-- == 0)
            return &a->generations[n];
    return NULL;
}

bool authority_issuer(const struct authority *a, size_t i, struct authority_issuer *ret)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    const struct generation *g = authority_generation(a, i);
    if (g != NULL)
        *ret = (struct authority_issuer){g->ca->chain[0], g->suffix};
    return g != NULL;
}

bool authority_issuer_is_over(const struct authority *a, size_t i, int64_t now)
{
    struct authority_issuer issuer;
    return i > 0 && authority_issuer(a, i, &issuer) && authority_end(issuer.cert) < now;
}

/* ---- reading the log ---- */

/* "intermediate-3" of "intermediate-3.pem"; nothing of another kind of name goes into a path. */
static bool is_file_name(struct str s, const char *end)
{
    size_t begin = strlen(INTERMEDIATE), tail = strlen(end);
    if (s.len < begin + tail || s.len >= GENERATION_FILE_MAX || memcmp(s.p, INTERMEDIATE, begin) != 0 ||
        memcmp(s.p + s.len - tail, end, tail) != 0)
        return false;
    for (size_t i = begin; i < s.len - tail; i++)
        if (s.p[i] != '-' && (s.p[i] < '0' || s.p[i] > '9'))
            return false;
    return true;
}

/* "CERT KEY", or of the first one CERT alone. */
static bool take_names(struct str detail, struct generation *ret)
{
    const char *space = memchr(detail.p, ' ', detail.len);
    struct str cert = {detail.p, space != NULL ? (size_t)(space - detail.p) : detail.len};
    struct str key = {INTERMEDIATE_KEY, strlen(INTERMEDIATE_KEY)};
    if (space != NULL)
        key = (struct str){space + 1, (size_t)(detail.p + detail.len - space - 1)};
    if (!is_file_name(cert, ".pem") || !is_file_name(key, ".key"))
        return false;
    size_t begin = strlen(INTERMEDIATE);
    return str_copy(ret->cert, sizeof(ret->cert), cert.p, cert.len) &&
           str_copy(ret->key, sizeof(ret->key), key.p, key.len) &&
           str_copy(ret->suffix, sizeof(ret->suffix), key.p + begin, key.len - begin - strlen(".key"));
}

static int add(void *arg, int64_t row, struct str detail, struct str content, struct err *err)
{
    struct authority *a = arg;
    struct generation g = {.row = row, .issuer = row};
    int about_root = roots_take(&a->roots, row, detail, content, err);
    if (about_root != 0)
        return about_root < 0 ? -1 : 0;
    if (!take_names(detail, &g))
        return err_set(err, "row %lld of the log has no file of an intermediate; see cardea ca audit",
                       (long long)row);
    for (size_t i = 0; i < a->generations_len; i++)
        if (strcmp(a->generations[i].key, g.key) == 0)
            g.issuer = a->generations[i].issuer;
    a->generations = realloc(a->generations, (a->generations_len + 1) * sizeof(g));
    CHECK(a->generations != NULL);
    a->generations[a->generations_len++] = g;
    return 0;
}

static int load(const struct authority *a, struct generation *g, struct err *err)
{
    char *path = authority_path(a->dir, g->cert);
    g->ca = ca_new();
    CHECK(g->ca != NULL);
    int rc = ca_load_chain(g->ca, path, err);
    ERR_clear_error();
    free(path);
    return rc;
}

/* Those that had expired when the last one was made have nothing left to say. */
static void drop_old(struct authority *a)
{
    int64_t from = 0;
    size_t n = 0;
    CHECK(ASN1_TIME_to_posix(X509_get0_notBefore(authority_current(a)->ca->chain[0]), &from) == 1);
    for (size_t i = 0; i < a->generations_len; i++) {
        if (authority_end(a->generations[i].ca->chain[0]) < from)
            ca_free(a->generations[i].ca);
        else
            a->generations[n++] = a->generations[i];
    }
    a->generations_len = n;
}

int authority_load_generations(struct authority *a, struct err *err)
{
    if (journal_authorities(a->db, add, a, err) < 0)
        return -1;
    if (a->generations_len == 0 || a->roots.n == 0)
        return err_set(err, "its log tells of no intermediate, or of no root; see cardea ca audit");
    for (size_t i = 0; i < a->generations_len; i++)
        if (load(a, &a->generations[i], err) < 0)
            return -1;
    drop_old(a);
    return 0;
}

void authority_free_generations(struct authority *a)
{
    for (size_t i = 0; i < a->generations_len; i++)
        ca_free(a->generations[i].ca);
    free(a->generations);
    a->generations = NULL;
    a->generations_len = 0;
}

int authority_load_key(const struct authority *a, const struct generation *g,
                       const struct key_secrets *secrets, struct err *err)
{
    char *path = authority_path(a->dir, g->key);
    EVP_PKEY *key = key_place_read(path, secrets, err);
    if (key != NULL && X509_check_private_key(g->ca->chain[0], key) != 1) {
        err_set(err, "%s: not the key of the certificate in %s/%s", path, a->dir, g->cert);
        EVP_PKEY_free(key);
        key = NULL;
    }
    ERR_clear_error();
    free(path);
    g->ca->key = key;
    return key != NULL ? 0 : -1;
}
