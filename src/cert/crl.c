/* SPDX-License-Identifier: Apache-2.0 */
/* The library would keep some 270 bytes for each entry, and would hash the whole list for its signature at
 * every question. Here an entry takes 16 bytes and its serial, and the signature is checked once.
 *
 * Whose signature it is may not be known when the CRL is read: the issuer can be an intermediate that only
 * peers send. So the library's form is kept until the first proven issuer whose key has signed it comes by.
 * From then on only that key counts. */
#include "cert/crl.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "base/check.h"

#define CRL_MAGIC 0x0c71c71du

/* Keys of the right name that did not sign, so that none costs more than one check. More than this many, and
 * the first is forgotten. */
#define STRANGERS 4

struct key_hash {
    uint8_t bytes[SHA256_DIGEST_LENGTH]; /* of the SubjectPublicKeyInfo */
};

struct entry {
    int64_t when;
    uint32_t at; /* of the serial's magnitude */
    uint32_t len : 31;
    uint32_t negative : 1;
};

struct crl {
    uint32_t magic;
    X509_NAME *issuer;
    AUTHORITY_KEYID *authority; /* NULL: it does not say which key */
    ISSUING_DIST_POINT *scope;  /* NULL: all certificates of the issuer */
    int64_t this_update;        /* INT64_MAX: it cannot be read */
    int64_t next_update;        /* INT64_MAX: it does not say */
    ASN1_INTEGER *number;       /* CRLNumber; NULL: it does not say */
    enum crl_fault flaw;        /* CRL_GOOD: none */
    struct entry *entries;      /* sorted by serial */
    size_t count;
    uint8_t *serials;
    _Atomic bool proven; /* `signer` is known and does not change any more */
    struct key_hash signer;
    pthread_mutex_t lock; /* on what follows, and on becoming proven */
    X509_CRL *unproven;   /* NULL once proven */
    struct key_hash strangers[STRANGERS];
    size_t stranger_count;
};

/* Serials
 * -------------------------------------------------------------------------------------------------------- */

struct serial {
    const uint8_t *p; /* the magnitude, without zeros at its front */
    size_t len;
    bool negative; /* against RFC 5280, 4.1.2.2, but such certificates are about */
};

static struct serial serial_of(const ASN1_INTEGER *number)
{
    struct serial s = {ASN1_STRING_get0_data(number), (size_t)ASN1_STRING_length(number),
                       ASN1_STRING_type(number) == V_ASN1_NEG_INTEGER};
    for (; s.len > 0 && s.p[0] == 0; s.len--)
        s.p++;
    return s;
}

static struct serial entry_serial(const struct crl *crl, const struct entry *e)
{
    return (struct serial){crl->serials + e->at, e->len, e->negative};
}

static int compare_serials(struct serial a, struct serial b)
{
    if (a.negative != b.negative)
        return a.negative ? -1 : 1;
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return a.len == 0 ? 0 : memcmp(a.p, b.p, a.len);
}

static int compare_entries(const void *a, const void *b, void *crl)
{
    return compare_serials(entry_serial(crl, a), entry_serial(crl, b));
}

/* How many entries are about certificates of the CRL's own issuer: from the first certificateIssuer on they
 * are about another's (RFC 5280, 5.3.3). Attribute certificates have serials of their own. */
static size_t count_own(const struct crl *crl, const STACK_OF(X509_REVOKED) * revoked)
{
    size_t n = 0, count = revoked == NULL ? 0 : sk_X509_REVOKED_num(revoked);
    if (crl->scope != NULL && crl->scope->onlyattr > 0)
        return 0;
    while (n < count &&
           X509_REVOKED_get_ext_by_NID(sk_X509_REVOKED_value(revoked, n), NID_certificate_issuer, -1) < 0)
        n++;
    return n;
}

/* An entry of a delta CRL that takes an older one back (RFC 5280, 5.3.1: removeFromCRL). */
static bool takes_back(const struct crl *crl, const X509_REVOKED *entry)
{
    if (crl->flaw != CRL_DELTA)
        return false;
    ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL);
    bool found = reason != NULL && ASN1_ENUMERATED_get(reason) == CRL_REASON_REMOVE_FROM_CRL;
    ASN1_ENUMERATED_free(reason);
    return found;
}

static int index_entries(struct crl *crl, const STACK_OF(X509_REVOKED) * revoked, struct err *err)
{
    size_t count = count_own(crl, revoked), size = 0;
    for (size_t i = 0; i < count; i++)
        size += serial_of(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(revoked, i))).len;
    crl->entries = calloc(count + 1, sizeof(*crl->entries));
    crl->serials = malloc(size + 1);
    if (crl->entries == NULL || crl->serials == NULL)
        return err_set(err, "out of memory");
    CHECK(size <= INT32_MAX); /* a file is far smaller */
    uint32_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const X509_REVOKED *from = sk_X509_REVOKED_value(revoked, i);
        if (takes_back(crl, from))
            continue;
        struct serial s = serial_of(X509_REVOKED_get0_serialNumber(from));
        struct entry *e = &crl->entries[crl->count++];
        *e = (struct entry){
            .when = CRL_NO_DATE, .at = at, .len = (uint32_t)s.len & INT32_MAX, .negative = s.negative};
        if (!ASN1_TIME_to_posix(X509_REVOKED_get0_revocationDate(from), &e->when))
            e->when = CRL_NO_DATE;
        if (s.len > 0)
            memcpy(crl->serials + at, s.p, s.len);
        at += (uint32_t)s.len;
    }
    qsort_r(crl->entries, crl->count, sizeof(*crl->entries), compare_entries, crl);
    return 0;
}

bool crl_has(const struct crl *crl, const X509 *cert, int64_t *ret_when)
{
    CHECK_MAGIC(crl, CRL_MAGIC);
    struct serial s = serial_of(X509_get0_serialNumber(cert));
    size_t low = 0, high = crl->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_serials(s, entry_serial(crl, &crl->entries[middle]));
        if (order == 0) {
            *ret_when = crl->entries[middle].when;
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

/* Reading
 * -------------------------------------------------------------------------------------------------------- */

/* RFC 5280, 5.2: a critical extension that is not known forbids to go by the CRL. */
static bool has_unknown_critical(const X509_CRL *from)
{
    for (int i = -1; (i = X509_CRL_get_ext_by_critical(from, 1, i)) >= 0;) {
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(X509_CRL_get_ext(from, i)));
        if (nid != NID_issuing_distribution_point && nid != NID_authority_key_identifier)
            return true;
    }
    return false;
}

/* The same of an entry (5.3). That one has another issuer (certificateIssuer) is known, but makes the CRL an
 * indirect one. */
static enum crl_fault entries_flaw(const STACK_OF(X509_REVOKED) * revoked)
{
    for (size_t i = 0; revoked != NULL && i < sk_X509_REVOKED_num(revoked); i++) {
        const X509_REVOKED *entry = sk_X509_REVOKED_value(revoked, i);
        if (X509_REVOKED_get_ext_count(entry) == 0)
            continue;
        if (X509_REVOKED_get_ext_by_NID(entry, NID_certificate_issuer, -1) >= 0)
            return CRL_INDIRECT;
        for (int k = -1; (k = X509_REVOKED_get_ext_by_critical(entry, 1, k)) >= 0;)
            if (OBJ_obj2nid(X509_EXTENSION_get_object(X509_REVOKED_get_ext(entry, k))) != NID_crl_reason)
                return CRL_UNKNOWN_CRITICAL;
    }
    return CRL_GOOD;
}

static enum crl_fault scope_flaw(const ISSUING_DIST_POINT *scope)
{
    if (scope == NULL)
        return CRL_GOOD;
    if (scope->indirectCRL > 0)
        return CRL_INDIRECT;
    if (scope->onlysomereasons != NULL)
        return CRL_SOME_REASONS;
    /* At most one of them may be set (5.2.5). */
    int only = (scope->onlyuser > 0) + (scope->onlyCA > 0) + (scope->onlyattr > 0);
    if (only > 1)
        return CRL_UNREADABLE;
    return scope->onlyattr > 0 ? CRL_OTHER_SCOPE : CRL_GOOD;
}

/* What makes a CRL one that is never good. */
static enum crl_fault find_flaw(struct crl *crl, X509_CRL *from)
{
    int authority = -1, scope = -1;
    const ASN1_TIME *until = X509_CRL_get0_nextUpdate(from);
    crl->next_update = INT64_MAX;
    bool since_known = ASN1_TIME_to_posix(X509_CRL_get0_lastUpdate(from), &crl->this_update) != 0;
    if (!since_known)
        crl->this_update = INT64_MAX;
    crl->number = X509_CRL_get_ext_d2i(from, NID_crl_number, NULL, NULL);
    crl->authority = X509_CRL_get_ext_d2i(from, NID_authority_key_identifier, &authority, NULL);
    crl->scope = X509_CRL_get_ext_d2i(from, NID_issuing_distribution_point, &scope, NULL);
    /* Below -1: there more than once; 0 or 1 and nothing found: not to be read. */
    if ((crl->authority == NULL && authority != -1) || (crl->scope == NULL && scope != -1))
        return CRL_UNREADABLE;
    if (!since_known || (until != NULL && !ASN1_TIME_to_posix(until, &crl->next_update)))
        return CRL_UNREADABLE;
    if (X509_CRL_get_ext_by_NID(from, NID_delta_crl, -1) >= 0)
        return CRL_DELTA;
    if (has_unknown_critical(from))
        return CRL_UNKNOWN_CRITICAL;
    enum crl_fault flaw = scope_flaw(crl->scope);
    return flaw != CRL_GOOD ? flaw : entries_flaw(X509_CRL_get_REVOKED(from));
}

struct crl *crl_read(const uint8_t *der, size_t len, struct err *err)
{
    const uint8_t *end = der;
    X509_CRL *from = d2i_X509_CRL(NULL, &end, (long)len);
    struct crl *crl = calloc(1, sizeof(*crl));
    CHECK(crl != NULL);
    crl->magic = CRL_MAGIC;
    crl->unproven = from;
    pthread_mutex_init(&crl->lock, NULL);
    if (from == NULL || end != der + len) {
        err_set(err, "it is damaged, or no CRL (expected a CertificateList as in RFC 5280, 5.1)");
        crl_free(crl);
        return NULL;
    }
    crl->issuer = X509_NAME_dup(X509_CRL_get_issuer(from));
    if (crl->issuer == NULL) {
        err_set(err, "out of memory");
        crl_free(crl);
        return NULL;
    }
    crl->flaw = find_flaw(crl, from);
    if (index_entries(crl, X509_CRL_get_REVOKED(from), err) < 0) {
        crl_free(crl);
        return NULL;
    }
    return crl;
}

void crl_free(struct crl *crl)
{
    if (crl == NULL)
        return;
    CHECK_MAGIC(crl, CRL_MAGIC);
    X509_NAME_free(crl->issuer);
    ASN1_INTEGER_free(crl->number);
    AUTHORITY_KEYID_free(crl->authority);
    ISSUING_DIST_POINT_free(crl->scope);
    X509_CRL_free(crl->unproven);
    pthread_mutex_destroy(&crl->lock);
    free(crl->entries);
    free(crl->serials);
    crl->magic = 0;
    free(crl);
}

/* Issuer
 * ---------------------------------------------------------------------------------------------------------
 */

/* The authority key identifier (RFC 5280, 4.2.1.1) also names the issuer's certificate by its issuer and
 * serial.
 */
static bool names_certificate(const AUTHORITY_KEYID *authority, X509 *issuer)
{
    if (authority->serial != NULL && ASN1_INTEGER_cmp(authority->serial, X509_get0_serialNumber(issuer)) != 0)
        return false;
    for (size_t i = 0; authority->issuer != NULL && i < sk_GENERAL_NAME_num(authority->issuer); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(authority->issuer, i);
        if (name->type == GEN_DIRNAME)
            return X509_NAME_cmp(name->d.directoryName, X509_get_issuer_name(issuer)) == 0;
    }
    return true;
}

const X509_NAME *crl_issuer(const struct crl *crl)
{
    CHECK_MAGIC(crl, CRL_MAGIC);
    return crl->issuer;
}

bool crl_names(const struct crl *crl, const X509 *issuer)
{
    CHECK_MAGIC(crl, CRL_MAGIC);
    return X509_NAME_cmp(crl->issuer, X509_get_subject_name(issuer)) == 0;
}

bool crl_is_from(const struct crl *crl, X509 *issuer)
{
    if (!crl_names(crl, issuer))
        return false;
    if (crl->authority == NULL)
        return true;
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(issuer);
    if (crl->authority->keyid != NULL && id != NULL && ASN1_OCTET_STRING_cmp(crl->authority->keyid, id) != 0)
        return false;
    return names_certificate(crl->authority, issuer);
}

static bool hash_key(X509 *cert, struct key_hash *ret)
{
    uint8_t *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    if (len < 0)
        return false;
    SHA256(der, (size_t)len, ret->bytes);
    OPENSSL_free(der);
    return true;
}

static bool same_key(const struct key_hash *a, const struct key_hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* With the lock held. */
static void try_key(struct crl *crl, X509 *issuer, const struct key_hash *hash)
{
    for (size_t i = 0; i < MIN(crl->stranger_count, (size_t)STRANGERS); i++)
        if (same_key(&crl->strangers[i], hash))
            return;
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    if (key == NULL || X509_CRL_verify(crl->unproven, key) <= 0) {
        crl->strangers[crl->stranger_count++ % STRANGERS] = *hash;
        return;
    }
    crl->signer = *hash;
    X509_CRL_free(crl->unproven);
    crl->unproven = NULL;
    atomic_store_explicit(&crl->proven, true, memory_order_release);
}

bool crl_is_signed_by(struct crl *crl, X509 *issuer)
{
    CHECK_MAGIC(crl, CRL_MAGIC);
    struct key_hash hash;
    if (!hash_key(issuer, &hash))
        return false;
    if (!atomic_load_explicit(&crl->proven, memory_order_acquire)) {
        pthread_mutex_lock(&crl->lock);
        if (crl->unproven != NULL)
            try_key(crl, issuer, &hash);
        pthread_mutex_unlock(&crl->lock);
    }
    return atomic_load_explicit(&crl->proven, memory_order_acquire) && same_key(&crl->signer, &hash);
}

/* Scope
 * ----------------------------------------------------------------------------------------------------------
 */

static bool same_place(const GENERAL_NAME *a, const GENERAL_NAME *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == GEN_URI)
        return ASN1_STRING_cmp(a->d.uniformResourceIdentifier, b->d.uniformResourceIdentifier) == 0;
    return a->type == GEN_DIRNAME && X509_NAME_cmp(a->d.directoryName, b->d.directoryName) == 0;
}

/* Have two points a full name in common? Names relative to the issuer (RFC 5280 advises against
 * them, 4.2.1.13) are not compared. */
static bool same_point(const DIST_POINT_NAME *a, const DIST_POINT_NAME *b)
{
    if (a == NULL || b == NULL || a->type != 0 || b->type != 0)
        return false;
    for (size_t i = 0; i < sk_GENERAL_NAME_num(a->name.fullname); i++)
        for (size_t k = 0; k < sk_GENERAL_NAME_num(b->name.fullname); k++)
            if (same_place(sk_GENERAL_NAME_value(a->name.fullname, i),
                           sk_GENERAL_NAME_value(b->name.fullname, k)))
                return true;
    return false;
}

/* Is the CRL of one distribution point the one that the certificate names? */
static bool names_point(X509 *cert, const DIST_POINT_NAME *point)
{
    CRL_DIST_POINTS *points = X509_get_ext_d2i(cert, NID_crl_distribution_points, NULL, NULL);
    bool found = false;
    for (size_t i = 0; points != NULL && i < sk_DIST_POINT_num(points) && !found; i++) {
        const DIST_POINT *p = sk_DIST_POINT_value(points, i);
        found = p->reasons == NULL && p->CRLissuer == NULL && same_point(p->distpoint, point);
    }
    CRL_DIST_POINTS_free(points);
    return found;
}

/* RFC 5280, 6.3.3 (b)(2). */
static bool covers(const struct crl *crl, X509 *cert)
{
    if (crl->scope == NULL)
        return true;
    bool ca = (X509_get_extension_flags(cert) & EXFLAG_CA) != 0;
    if (ca ? crl->scope->onlyuser > 0 : crl->scope->onlyCA > 0)
        return false;
    return crl->scope->distpoint == NULL || names_point(cert, crl->scope->distpoint);
}

/* Verdict
 * -------------------------------------------------------------------------------------------------------- */

enum crl_fault crl_dates(const struct crl *crl, int64_t now, int64_t *ret_when)
{
    CHECK_MAGIC(crl, CRL_MAGIC);
    if (crl->flaw != CRL_GOOD)
        return crl->flaw;
    *ret_when = crl->next_update <= now ? crl->next_update : crl->this_update;
    return crl->next_update <= now ? CRL_EXPIRED : crl->this_update > now ? CRL_NOT_YET_VALID : CRL_GOOD;
}

void crl_updates(const struct crl *crl, int64_t *ret_this, int64_t *ret_next)
{
    *ret_this = crl->this_update;
    *ret_next = crl->next_update;
}

enum crl_fault crl_judge(struct crl *crl, X509 *cert, X509 *issuer, int64_t now)
{
    CHECK_MAGIC(crl, CRL_MAGIC);
    if (!crl_is_from(crl, issuer))
        return CRL_OTHER_KEY;
    if (crl->flaw != CRL_GOOD)
        return crl->flaw;
    if (!covers(crl, cert))
        return CRL_OTHER_SCOPE;
    int64_t when;
    enum crl_fault fault = crl_dates(crl, now, &when);
    if (fault != CRL_GOOD)
        return fault;
    if ((X509_get_key_usage(issuer) & X509v3_KU_CRL_SIGN) == 0)
        return CRL_MAY_NOT_SIGN;
    return crl_is_signed_by(crl, issuer) ? CRL_GOOD : CRL_NOT_SIGNED;
}

/* CRLs of different scopes are numbered apart (RFC 5280, 5.2.3). */
bool crl_is_older(const struct crl *crl, const struct crl *other)
{
    if (crl->this_update != other->this_update)
        return crl->this_update < other->this_update;
    return crl->number != NULL && other->number != NULL && crl->scope == NULL && other->scope == NULL &&
           ASN1_INTEGER_cmp(crl->number, other->number) < 0;
}
