/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/revoked.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/check.h"

#define REVOKED_MAGIC 0x4e70ca7du

struct revoked {
    uint32_t magic;
    _Atomic uint32_t refs;
    X509 **issuers;
    size_t issuers_len;
    size_t n;
    struct revoked_row rows[]; /* by serial number */
};

static int compare(const void *a, const void *b)
{
    const struct revoked_row *x = a, *y = b;
    int order = memcmp(x->serial, y->serial, x->len < y->len ? x->len : y->len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

struct revoked *revoked_new(X509 *const *issuers, size_t issuers_len, const struct revoked_row *rows,
                            size_t n)
{
    struct revoked *r = calloc(1, sizeof(*r) + n * sizeof(*rows));
    CHECK(r != NULL && issuers_len > 0);
    r->magic = REVOKED_MAGIC;
    atomic_store(&r->refs, 1);
    r->issuers = calloc(issuers_len, sizeof(*r->issuers));
    CHECK(r->issuers != NULL);
    r->issuers_len = issuers_len;
    for (size_t i = 0; i < issuers_len; i++) {
        CHECK(X509_up_ref(issuers[i]) == 1);
        r->issuers[i] = issuers[i];
    }
    r->n = n;
    if (n > 0) {
        memcpy(r->rows, rows, n * sizeof(*rows));
        qsort(r->rows, n, sizeof(*rows), compare);
    }
    return r;
}

struct revoked *revoked_ref(struct revoked *r)
{
    if (r != NULL)
        atomic_fetch_add(&r->refs, 1);
    return r;
}

void revoked_unref(struct revoked *r)
{
    if (r == NULL)
        return;
    CHECK_MAGIC(r, REVOKED_MAGIC);
    if (atomic_fetch_sub(&r->refs, 1) > 1)
        return;
    for (size_t i = 0; i < r->issuers_len; i++)
        X509_free(r->issuers[i]);
    free(r->issuers);
    r->magic = 0;
    free(r);
}

/* By name and key: the same CA may have more than one certificate. */
static bool is_same_ca(const X509 *a, const X509 *b)
{
    const EVP_PKEY *key = X509_get0_pubkey(a), *other = X509_get0_pubkey(b);
    return X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) == 0 && key != NULL &&
           other != NULL && EVP_PKEY_cmp(key, other) == 1;
}

static bool is_issuer(const struct revoked *r, const X509 *issuer)
{
    for (size_t i = 0; i < r->issuers_len; i++)
        if (is_same_ca(r->issuers[i], issuer))
            return true;
    return false;
}

bool revoked_has(const struct revoked *r, const X509 *cert, const X509 *issuer, int64_t *ret_at)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    const int len = ASN1_STRING_length(serial);
    struct revoked_row sought = {.len = (uint8_t)len};
    CHECK_MAGIC(r, REVOKED_MAGIC);
    if (r->n == 0 || len < 0 || len > REVOKED_SERIAL_MAX || !is_issuer(r, issuer))
        return false;
    memcpy(sought.serial, ASN1_STRING_get0_data(serial), (size_t)len);
    const struct revoked_row *found = bsearch(&sought, r->rows, r->n, sizeof(sought), compare);
    if (found != NULL)
        *ret_at = found->at;
    return found != NULL;
}
