/* SPDX-License-Identifier: Apache-2.0 */
/* The roots of an authority, as its log tells of them. A new one is told of in three rows: the one before
 * vouches for it ("cross-2-1.pem": the second, by the first), its own certificate, and it vouches for the one
 * before ("cross-1-2.pem"). Whoever writes to the database can add rows, but not sign. */
#include <string.h>

#include <openssl/err.h>

#include "base/check.h"
#include "ca/authority_internal.h"

#define CROSS "cross-"
#define ROOT "root-"

bool authority_is_signed(X509 *cert, X509 *issuer)
{
    EVP_PKEY *key = X509_get_pubkey(issuer);
    bool ok = key != NULL && X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) == 0 &&
              X509_verify(cert, key) == 1;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok;
}

bool roots_signed(const struct roots *r, X509 *cert)
{
    for (size_t i = 0; i < r->n; i++)
        if (authority_is_signed(cert, r->v[i].ca->chain[0]))
            return true;
    return false;
}

struct root *roots_latest(struct roots *r)
{
    CHECK(r->n > 0);
    return &r->v[r->n - 1];
}

void roots_free(struct roots *r)
{
    for (size_t i = 0; i < r->n; i++)
        ca_free(r->v[i].ca);
    for (size_t i = 0; i < r->cross_n; i++)
        X509_free(r->cross[i]);
    *r = (struct roots){.n = 0};
}

/* ---- reading the log ---- */

X509 *authority_read_cert(struct str der)
{
    const uint8_t *p = (const uint8_t *)der.p;
    X509 *cert = d2i_X509(NULL, &p, (long)der.len);
    ERR_clear_error();
    if (cert != NULL && p == (const uint8_t *)der.p + der.len)
        return cert;
    X509_free(cert);
    return NULL;
}

static bool begins(struct str s, const char *with)
{
    return s.len >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

static bool is_same_name(const X509_NAME *a, const X509_NAME *b)
{
    return X509_NAME_cmp(a, b) == 0;
}

/* Does one before vouch for its name and key? */
static bool is_vouched_for(const struct roots *r, X509 *root)
{
    for (size_t i = 0; i < r->cross_n; i++)
        if (is_same_name(X509_get_subject_name(r->cross[i]), X509_get_subject_name(root)) &&
            EVP_PKEY_cmp(X509_get0_pubkey(r->cross[i]), X509_get0_pubkey(root)) == 1)
            return true;
    return false;
}

/* "root-2.pem root-2.key"; of the first one "root.pem" alone. Nothing but digits stands in between. */
static bool take_files(struct str detail, struct root *ret)
{
    char number[8];
    size_t digits = 0;
    while (strlen(ROOT) + digits < detail.len && detail.p[strlen(ROOT) + digits] >= '0' &&
           detail.p[strlen(ROOT) + digits] <= '9')
        digits++;
    if (!str_copy(number, sizeof(number), detail.p + strlen(ROOT), digits))
        return false;
    snprintf(ret->cert, sizeof(ret->cert), ROOT "%s.pem", number);
    snprintf(ret->key, sizeof(ret->key), ROOT "%s.key", number);
    char whole[2 * GENERATION_FILE_MAX];
    snprintf(whole, sizeof(whole), "%s %s", ret->cert, ret->key);
    return digits > 0 && str_is(detail, whole);
}

static int bad_row(int64_t row, const char *why, struct err *err)
{
    return err_set(err, "row %lld of the log %s; see cardea ca audit", (long long)row, why);
}

static int take_root(struct roots *r, int64_t row, struct root *is, X509 *cert, struct err *err)
{
    if (r->n == ROOTS_MAX)
        return bad_row(row, "has another root, and there are too many", err);
    if (!authority_is_signed(cert, cert))
        return bad_row(row, "has a root that has not signed itself", err);
    if (r->n > 0 && !is_vouched_for(r, cert))
        return bad_row(row, "has a root that no root before vouches for", err);
    is->ca = ca_new();
    CHECK(is->ca != NULL);
    X509_up_ref(cert);
    is->ca->chain[is->ca->chain_len++] = cert;
    r->v[r->n++] = *is;
    return 1;
}

/* An intermediate, which a root has signed too, vouches for no root: it has a path length, and a cross
 * certificate none. */
static int take_cross(struct roots *r, int64_t row, X509 *cert, struct err *err)
{
    if (X509_get_pathlen(cert) != -1)
        return bad_row(row, "has a certificate for a root that is not for a root", err);
    if (r->cross_n == ARRAY_LEN(r->cross) || !roots_signed(r, cert))
        return bad_row(row, "has a certificate for a root that no root has signed", err);
    X509_up_ref(cert);
    r->cross[r->cross_n++] = cert;
    return 1;
}

int roots_take(struct roots *r, int64_t row, struct str detail, struct str content, struct err *err)
{
    struct root is = {.cert = ROOT_CERT, .key = ROOT_KEY};
    bool first = str_is(detail, ROOT_CERT), later = begins(detail, ROOT), cross = begins(detail, CROSS);
    if (!first && !later && !cross)
        return 0;
    X509 *cert = authority_read_cert(content);
    int rc;
    if (cert == NULL)
        rc = err_set(err, "the log has no certificate of the CA at row %lld", (long long)row);
    else if (cross)
        rc = take_cross(r, row, cert, err);
    else if (first != (r->n == 0) || (later && !take_files(detail, &is)))
        rc = bad_row(row, "has a root where none belongs", err);
    else
        rc = take_root(r, row, &is, cert, err);
    X509_free(cert);
    return rc;
}

/* ---- what is given out ---- */

static bool is_reached(const struct ca *ca, const X509 *cross)
{
    for (size_t i = 0; i < ca->chain_len; i++)
        if (is_same_name(X509_get_issuer_name(ca->chain[i]), X509_get_issuer_name(cross)))
            return true;
    return false;
}

/* From the root that has signed it to each that vouches for that one, and so on; room for a leaf stays. */
void roots_put_above(const struct roots *r, struct ca *ca, int64_t now)
{
    while (ca->chain_len > 1)
        X509_free(ca->chain[--ca->chain_len]);
    for (size_t at = 0; at < ca->chain_len; at++)
        for (size_t i = 0; i < r->cross_n && ca->chain_len < CA_CHAIN_MAX - 1; i++) {
            X509 *cross = r->cross[i];
            if (!is_same_name(X509_get_subject_name(cross), X509_get_issuer_name(ca->chain[at])) ||
                is_reached(ca, cross) || authority_end(cross) <= now)
                continue;
            X509_up_ref(cross);
            ca->chain[ca->chain_len++] = cross;
        }
}

bool roots_put_pem(const struct roots *r, int64_t now, struct buf *ret)
{
    bool ok = true;
    for (size_t i = r->n; i-- > 0 && ok;)
        if (i + 1 == r->n || authority_end(r->v[i].ca->chain[0]) > now)
            ok = ca_cert_pem(r->v[i].ca->chain[0], ret);
    return ok;
}
