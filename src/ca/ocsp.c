/* SPDX-License-Identifier: Apache-2.0 */
/* OCSP (RFC 6960): reading a request, and writing the response that our log gives. The intermediate itself
 * signs. */
#include <string.h>
#include <time.h>

#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/sha.h>

#include "base/check.h"
#include "ca/authority_internal.h"
#include "ca/journal.h"
#include "ca/ocsp_request.h"
#include "cert/key.h"

#define TAG(n) (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | (n))
#define TAG_PRIMITIVE(n) (CBS_ASN1_CONTEXT_SPECIFIC | (n))
#define TIME_TEXT 16

enum { SUCCESSFUL = 0, MALFORMED = 1 };

static const uint8_t oid_basic[] = {0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1};

/* ---- what we know ---- */

static struct str key_bits(const X509 *cert)
{
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(cert);
    return (struct str){(const char *)ASN1_STRING_get0_data(bits), (size_t)ASN1_STRING_length(bits)};
}

static bool digest_is(const EVP_MD *digest, const void *bytes, size_t len, const CBS *expected)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned hash_len;
    return EVP_Digest(bytes, len, hash, &hash_len, digest, NULL) == 1 &&
           CBS_mem_equal(expected, hash, hash_len);
}

static bool is_of(const struct generation *g, const struct ocsp_asked *asked)
{
    const X509 *issuer = g->ca->chain[0];
    const struct str key = key_bits(issuer);
    const uint8_t *name;
    size_t len;
    return asked->digest != NULL && X509_NAME_get0_der(X509_get_subject_name(issuer), &name, &len) == 1 &&
           digest_is(asked->digest, name, len, &asked->name_hash) &&
           digest_is(asked->digest, key.p, key.len, &asked->key_hash);
}

struct status {
    bool known;
    int64_t revoked;
    int reason;
};

/* Whose answer it is to be: of whom is asked first, or of the one that issues now. Others would have to be
 * asked for themselves, for one signature is all that an answer has (RFC 6960, 4.2.2.2). */
static const struct generation *signer_of(const struct authority *a, const struct ocsp_request *r)
{
    const struct generation *g;
    for (size_t k = 0; k < r->count; k++)
        for (size_t i = 0; (g = authority_generation(a, i)) != NULL; i++)
            if (is_of(g, &r->asked[k]))
                return g;
    return authority_current(a);
}

static int look_up(struct authority *a, const struct generation *g, const struct ocsp_asked *asked,
                   struct status *ret, struct err *err)
{
    struct ca_serial serial = {.len = CBS_len(&asked->serial)};
    *ret = (struct status){0};
    if (serial.len > sizeof(serial.bytes) || !is_of(g, asked))
        return 0;
    memcpy(serial.bytes, CBS_data(&asked->serial), serial.len);
    struct journal_status known = {0};
    int found = journal_status(a->db, &serial, &known, err);
    if (found > 0 && known.issuer == g->issuer)
        *ret = (struct status){true, known.revoked, known.reason};
    return found < 0 ? -1 : 0;
}

/* ---- writing ---- */

static bool put_time(CBB *out, int64_t seconds)
{
    char text[TIME_TEXT + 8];
    time_t t = (time_t)seconds;
    struct tm tm;
    CBB child;
    return gmtime_r(&t, &tm) != NULL && strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm) > 0 &&
           CBB_add_asn1(out, &child, CBS_ASN1_GENERALIZEDTIME) &&
           CBB_add_bytes(&child, (const uint8_t *)text, strlen(text)) && CBB_flush(out);
}

static bool put_status(CBB *out, const struct status *status)
{
    CBB child, reason;
    if (!status->known)
        return CBB_add_asn1(out, &child, TAG_PRIMITIVE(2)) && CBB_flush(out);
    if (status->revoked == 0)
        return CBB_add_asn1(out, &child, TAG_PRIMITIVE(0)) && CBB_flush(out);
    if (!CBB_add_asn1(out, &child, TAG(1)) || !put_time(&child, status->revoked))
        return false;
    if (status->reason != 0 &&
        (!CBB_add_asn1(&child, &reason, TAG(0)) ||
         !CBB_add_asn1_uint64_with_tag(&reason, (uint64_t)status->reason, CBS_ASN1_ENUMERATED)))
        return false;
    return CBB_flush(out);
}

static bool put_single(CBB *list, const struct ocsp_asked *asked, const struct status *status, int64_t now,
                       int64_t lifetime)
{
    CBB single, next;
    return CBB_add_asn1(list, &single, CBS_ASN1_SEQUENCE) &&
           CBB_add_bytes(&single, CBS_data(&asked->id), CBS_len(&asked->id)) && put_status(&single, status) &&
           put_time(&single, now) && CBB_add_asn1(&single, &next, TAG(0)) &&
           put_time(&next, now + lifetime) && CBB_flush(list);
}

/* The responder by the SHA-1 of its key, as the RFC has it (4.2.1); nothing hangs on that hash. */
static bool put_responder(CBB *out, const struct generation *g)
{
    uint8_t hash[SHA_DIGEST_LENGTH];
    const struct str key = key_bits(g->ca->chain[0]);
    CBB child;
    SHA1((const uint8_t *)key.p, key.len, hash);
    return CBB_add_asn1(out, &child, TAG(2)) && CBB_add_asn1_octet_string(&child, hash, sizeof(hash)) &&
           CBB_flush(out);
}

static bool put_nonce(CBB *out, const CBS *nonce)
{
    CBB outer, list;
    return CBS_len(nonce) == 0 ||
           (CBB_add_asn1(out, &outer, TAG(1)) && CBB_add_asn1(&outer, &list, CBS_ASN1_SEQUENCE) &&
            CBB_add_bytes(&list, CBS_data(nonce), CBS_len(nonce)) && CBB_flush(out));
}

/* ResponseData: what is signed. -1 with `err`. What is not known now may be issued in a moment, by another
 * process; what is known changes only by a revocation. */
static int put_data(CBB *out, struct authority *a, const struct generation *g, const struct ocsp_request *r,
                    int64_t now, int64_t lifetime, bool *ret_lasting, struct err *err)
{
    CBB data, list;
    struct status status;
    bool ok = CBB_add_asn1(out, &data, CBS_ASN1_SEQUENCE) && put_responder(&data, g) &&
              put_time(&data, now) && CBB_add_asn1(&data, &list, CBS_ASN1_SEQUENCE);
    *ret_lasting = CBS_len(&r->nonce) == 0;
    for (size_t i = 0; i < r->count && ok; i++) {
        if (look_up(a, g, &r->asked[i], &status, err) < 0)
            return -1;
        *ret_lasting = *ret_lasting && status.known;
        ok = put_single(&list, &r->asked[i], &status, now, lifetime);
    }
    ok = ok && CBB_flush(&data) && put_nonce(&data, &r->nonce) && CBB_flush(out);
    return ok ? 0 : err_set(err, "out of memory");
}

/* AlgorithmIdentifier of a signature by the intermediate. */
static bool put_algorithm(CBB *out, const EVP_PKEY *key)
{
    int nid = EVP_PKEY_id(key);
    CBB algorithm, null;
    if (nid == EVP_PKEY_PQDSA)
        nid = EVP_PKEY_pqdsa_get_type(key);
    else if (key_digest(key) != NULL && !OBJ_find_sigid_by_algs(&nid, EVP_MD_type(key_digest(key)), nid))
        return false;
    return CBB_add_asn1(out, &algorithm, CBS_ASN1_SEQUENCE) && OBJ_nid2cbb(&algorithm, nid) &&
           (EVP_PKEY_id(key) != EVP_PKEY_RSA || CBB_add_asn1(&algorithm, &null, CBS_ASN1_NULL)) &&
           CBB_flush(out);
}

static bool put_signature(CBB *out, EVP_PKEY *key, const uint8_t *data, size_t len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t *space;
    size_t size = 0;
    CBB bits;
    bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, key_digest(key), NULL, key) == 1 &&
              EVP_DigestSign(ctx, NULL, &size, data, len) == 1 &&
              CBB_add_asn1(out, &bits, CBS_ASN1_BITSTRING) && CBB_add_u8(&bits, 0) &&
              CBB_reserve(&bits, &space, size) && EVP_DigestSign(ctx, space, &size, data, len) == 1 &&
              CBB_did_write(&bits, size) && CBB_flush(out);
    EVP_MD_CTX_free(ctx);
    return ok;
}

/* The whole of the response around `data`. */
static bool put_response(CBB *out, EVP_PKEY *key, const uint8_t *data, size_t len)
{
    CBB response, outer, bytes, oid, octets, basic;
    return CBB_add_asn1(out, &response, CBS_ASN1_SEQUENCE) &&
           CBB_add_asn1_uint64_with_tag(&response, SUCCESSFUL, CBS_ASN1_ENUMERATED) &&
           CBB_add_asn1(&response, &outer, TAG(0)) && CBB_add_asn1(&outer, &bytes, CBS_ASN1_SEQUENCE) &&
           CBB_add_asn1(&bytes, &oid, CBS_ASN1_OBJECT) && CBB_add_bytes(&oid, oid_basic, sizeof(oid_basic)) &&
           CBB_add_asn1(&bytes, &octets, CBS_ASN1_OCTETSTRING) &&
           CBB_add_asn1(&octets, &basic, CBS_ASN1_SEQUENCE) && CBB_add_bytes(&basic, data, len) &&
           put_algorithm(&basic, key) && put_signature(&basic, key, data, len) && CBB_flush(out);
}

static bool put_error(CBB *out, uint64_t status)
{
    CBB response;
    return CBB_add_asn1(out, &response, CBS_ASN1_SEQUENCE) &&
           CBB_add_asn1_uint64_with_tag(&response, status, CBS_ASN1_ENUMERATED) && CBB_flush(out);
}

static int answer(CBB *out, struct authority *a, const struct ocsp_request *r, int64_t now, int64_t lifetime,
                  bool *ret_lasting, struct err *err)
{
    const struct generation *g = signer_of(a, r);
    CBB data;
    CBB_zero(&data);
    if (g->ca->key == NULL)
        return err_set(err, "%s/%s: the key could not be read, and %s is asked about", a->dir, g->key,
                       g->cert);
    int rc = CBB_init(&data, 512) ? put_data(&data, a, g, r, now, lifetime, ret_lasting, err)
                                  : err_set(err, "out of memory");
    if (rc == 0 && !put_response(out, g->ca->key, CBB_data(&data), CBB_len(&data)))
        rc = err_set(err, "the OCSP response could not be signed");
    CBB_cleanup(&data);
    return rc;
}

int authority_ocsp(struct authority *a, struct str request, int64_t now, int64_t lifetime,
                   struct buf *ret_der, bool *ret_lasting, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    struct ocsp_request r;
    bool lasting = false;
    CBB out;
    if (authority_check_unlocked(a, err) < 0)
        return -1;
    CBB_zero(&out);
    int rc = CBB_init(&out, 1024) ? 0 : err_set(err, "out of memory");
    if (rc == 0 && ocsp_request_read(request, &r))
        rc = answer(&out, a, &r, now, lifetime, &lasting, err);
    else if (rc == 0 && !put_error(&out, MALFORMED))
        rc = err_set(err, "out of memory");
    if (rc == 0 && !buf_append(ret_der, CBB_data(&out), CBB_len(&out)))
        rc = err_set(err, "out of memory");
    CBB_cleanup(&out);
    ERR_clear_error();
    if (ret_lasting != NULL)
        *ret_lasting = rc == 0 && lasting;
    return rc;
}
