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
    X509 *issuer;
    size_t n;
    struct revoked_row rows[]; /* by serial number */
};

static int compare(const void *a, const void *b)
{
    const struct revoked_row *x = a, *y = b;
    int order = memcmp(x->serial, y->serial, x->len < y->len ? x->len : y->len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

struct revoked *revoked_new(X509 *issuer, const struct revoked_row *rows, size_t n)
{
    struct revoked *r = calloc(1, sizeof(*r) + n * sizeof(*rows));
    CHECK(r != NULL && X509_up_ref(issuer) == 1);
    r->magic = REVOKED_MAGIC;
    atomic_store(&r->refs, 1);
    r->issuer = issuer;
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
    X509_free(r->issuer);
    r->magic = 0;
    free(r);
}

/* By name and key: the same CA may have more than one certificate. */
static bool is_issuer(const struct revoked *r, const X509 *issuer)
{
    const EVP_PKEY *ours = X509_get0_pubkey(r->issuer), *theirs = X509_get0_pubkey(issuer);
    return X509_NAME_cmp(X509_get_subject_name(r->issuer), X509_get_subject_name(issuer)) == 0 &&
           ours != NULL && theirs != NULL && EVP_PKEY_cmp(ours, theirs) == 1;
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
