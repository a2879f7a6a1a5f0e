/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/path_cert.h"

#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/obj.h>
#include <openssl/pool.h>
#include <openssl/posix_time.h>

#include "base/check.h"
#include "cert/dn.h"

#define CONTEXT(n) (CBS_ASN1_CONTEXT_SPECIFIC | (n))
#define CONTEXT_CONSTRUCTED(n) (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | (n))

#define USAGE_ANY 0xffffu /* the extension is not there */
#define EXTENDED_ALL (EXTENDED_SERVER | EXTENDED_CLIENT | EXTENDED_ANY)

/* ---- extensions ---- */

/* The last number of their OIDs, 2.5.29.n (RFC 5280, 4.2.1). */
enum extension {
    ID_SUBJECT_KEY_ID = 14,
    ID_KEY_USAGE = 15,
    ID_SUBJECT_ALT_NAME = 17,
    ID_BASIC_CONSTRAINTS = 19,
    ID_NAME_CONSTRAINTS = 30,
    ID_CRL_POINTS = 31,
    ID_POLICIES = 32,
    ID_POLICY_MAPPINGS = 33,
    ID_AUTHORITY_KEY_ID = 35,
    ID_POLICY_CONSTRAINTS = 36,
    ID_EXTENDED_KEY_USAGE = 37,
    ID_INHIBIT_ANY_POLICY = 54,
    ID_EXTENSIONS_END = 64,
};

/* A BOOLEAN DEFAULT FALSE. */
static bool read_flag(CBS *from, int *ret)
{
    *ret = 0;
    return !CBS_peek_asn1_tag(from, CBS_ASN1_BOOLEAN) || CBS_get_asn1_bool(from, ret);
}

static bool read_key_usage(CBS value, unsigned *ret)
{
    CBS bits;
    uint8_t unused;
    if (!CBS_get_asn1(&value, &bits, CBS_ASN1_BITSTRING) || CBS_len(&value) != 0 ||
        !CBS_get_u8(&bits, &unused) || unused > 7 || CBS_len(&bits) == 0)
        return false;
    const uint8_t *p = CBS_data(&bits);
    *ret = (unsigned)p[0] << 8 | (CBS_len(&bits) > 1 ? p[1] : 0);
    return true;
}

static bool read_basic_constraints(CBS value, struct path_cert *ret)
{
    CBS list;
    int ca;
    uint64_t path_len;
    if (!CBS_get_asn1(&value, &list, CBS_ASN1_SEQUENCE) || CBS_len(&value) != 0 || !read_flag(&list, &ca))
        return false;
    ret->is_ca = ca != 0;
    if (CBS_len(&list) > 0) {
        if (!CBS_get_asn1_uint64(&list, &path_len) || CBS_len(&list) != 0)
            return false;
        ret->path_len = (int64_t)MIN(path_len, (uint64_t)INT32_MAX);
    }
    return true;
}

static bool read_extended(CBS value, unsigned *ret)
{
    static const uint8_t server[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01},
                         client[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02},
                         any[] = {0x55, 0x1d, 0x25, 0x00};
    CBS list, oid;
    *ret = 0;
    if (!CBS_get_asn1(&value, &list, CBS_ASN1_SEQUENCE) || CBS_len(&value) != 0 || CBS_len(&list) == 0)
        return false;
    while (CBS_len(&list) > 0) {
        if (!CBS_get_asn1(&list, &oid, CBS_ASN1_OBJECT))
            return false;
        if (CBS_mem_equal(&oid, server, sizeof(server)))
            *ret |= EXTENDED_SERVER;
        else if (CBS_mem_equal(&oid, client, sizeof(client)))
            *ret |= EXTENDED_CLIENT;
        else if (CBS_mem_equal(&oid, any, sizeof(any)))
            *ret |= EXTENDED_ANY;
    }
    return true;
}

/* Only its key identifier is of use; one without is silent. */
static bool read_authority_key_id(CBS value, CBS *ret)
{
    CBS list;
    int present;
    return CBS_get_asn1(&value, &list, CBS_ASN1_SEQUENCE) && CBS_len(&value) == 0 &&
           CBS_get_optional_asn1(&list, ret, &present, CONTEXT(0));
}

static bool read_policy_constraints(CBS value, bool *ret)
{
    CBS list, require;
    int present;
    if (!CBS_get_asn1(&value, &list, CBS_ASN1_SEQUENCE) || CBS_len(&value) != 0 || CBS_len(&list) == 0 ||
        !CBS_get_optional_asn1(&list, &require, &present, CONTEXT(0)))
        return false;
    *ret = present != 0;
    return true;
}

/* Each name is read, so that nobody below has to doubt the list. */
static bool read_alt_name(CBS value, CBS *ret)
{
    CBS names, one;
    if (!CBS_get_asn1(&value, ret, CBS_ASN1_SEQUENCE) || CBS_len(&value) != 0 || CBS_len(ret) == 0)
        return false;
    for (names = *ret; CBS_len(&names) > 0;)
        if (!CBS_get_any_asn1(&names, &one, NULL))
            return false;
    return true;
}

static bool read_known(enum extension kind, bool critical, CBS value, struct path_cert *ret)
{
    switch (kind) {
    case ID_SUBJECT_KEY_ID:
        ret->unknown_critical |= critical; /* RFC 5280, 4.2.1.2: it must not be */
        return CBS_get_asn1(&value, &ret->key_id, CBS_ASN1_OCTETSTRING) == 1;
    case ID_KEY_USAGE:
        return read_key_usage(value, &ret->key_usage);
    case ID_SUBJECT_ALT_NAME:
        return read_alt_name(value, &ret->called.san);
    case ID_BASIC_CONSTRAINTS:
        return read_basic_constraints(value, ret);
    case ID_NAME_CONSTRAINTS:
        ret->constraints = value;
        ret->constraints_critical = critical;
        return name_constraints_check(value);
    case ID_AUTHORITY_KEY_ID:
        ret->unknown_critical |= critical; /* RFC 5280, 4.2.1.1: nor this */
        return read_authority_key_id(value, &ret->authority_key_id);
    case ID_POLICY_CONSTRAINTS:
        return read_policy_constraints(value, &ret->asks_for_policies);
    case ID_EXTENDED_KEY_USAGE:
        return read_extended(value, &ret->extended);
    case ID_CRL_POINTS:
    case ID_POLICIES:
    case ID_POLICY_MAPPINGS:
    case ID_INHIBIT_ANY_POLICY:
        return true; /* AWS-LC reads them, where a path asks for policies */
    default:
        ret->unknown_critical |= critical;
        return true;
    }
}

static bool read_extension(CBS *list, uint64_t *seen, struct path_cert *ret)
{
    static const uint8_t arc[] = {0x55, 0x1d};
    CBS one, oid, value;
    int critical;
    if (!CBS_get_asn1(list, &one, CBS_ASN1_SEQUENCE) || !CBS_get_asn1(&one, &oid, CBS_ASN1_OBJECT) ||
        !read_flag(&one, &critical) || !CBS_get_asn1(&one, &value, CBS_ASN1_OCTETSTRING) ||
        CBS_len(&one) != 0)
        return false;
    const uint8_t *p = CBS_data(&oid);
    if (CBS_len(&oid) != 3 || memcmp(p, arc, sizeof(arc)) != 0 || p[2] >= ID_EXTENSIONS_END) {
        ret->unknown_critical |= critical != 0;
        return true;
    }
    /* Of two, who knows which one another reader goes by? */
    ret->odd_extensions |= (*seen >> p[2] & 1) != 0;
    *seen |= UINT64_C(1) << p[2];
    ret->odd_extensions |= !read_known((enum extension)p[2], critical != 0, value, ret);
    return true;
}

static bool read_extensions(CBS *tbs, struct path_cert *ret)
{
    CBS outer, list;
    int present;
    uint64_t seen = 0;
    if (!CBS_get_optional_asn1(tbs, &outer, &present, CONTEXT_CONSTRUCTED(3)))
        return false;
    if (!present)
        return true;
    if (!CBS_get_asn1(&outer, &list, CBS_ASN1_SEQUENCE) || CBS_len(&outer) != 0 || CBS_len(&list) == 0)
        return false;
    while (CBS_len(&list) > 0)
        if (!read_extension(&list, &seen, ret))
            return false;
    return true;
}

/* ---- the rest ---- */

static bool read_time(CBS *from, int64_t *ret)
{
    CBS text;
    CBS_ASN1_TAG tag;
    struct tm tm;
    if (!CBS_get_any_asn1(from, &text, &tag))
        return false;
    if (tag != CBS_ASN1_UTCTIME && tag != CBS_ASN1_GENERALIZEDTIME)
        return false;
    int ok = tag == CBS_ASN1_UTCTIME ? CBS_parse_utc_time(&text, &tm, 0)
                                     : CBS_parse_generalized_time(&text, &tm, 0);
    return ok && OPENSSL_tm_to_posix(&tm, ret);
}

static bool read_validity(CBS *tbs, struct path_cert *ret)
{
    CBS validity;
    return CBS_get_asn1(tbs, &validity, CBS_ASN1_SEQUENCE) && read_time(&validity, &ret->not_before) &&
           read_time(&validity, &ret->not_after) && CBS_len(&validity) == 0;
}

/* The modulus of an RSA key; 0: it is none. */
static int rsa_bits_of(CBS key)
{
    static const uint8_t rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
    CBS info, algorithm, oid, bits, numbers, modulus;
    uint8_t unused;
    if (!CBS_get_asn1(&key, &info, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&info, &algorithm, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&algorithm, &oid, CBS_ASN1_OBJECT) || !CBS_mem_equal(&oid, rsa, sizeof(rsa)) ||
        !CBS_get_asn1(&info, &bits, CBS_ASN1_BITSTRING) || !CBS_get_u8(&bits, &unused) ||
        !CBS_get_asn1(&bits, &numbers, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&numbers, &modulus, CBS_ASN1_INTEGER))
        return 0;
    while (CBS_len(&modulus) > 1 && CBS_data(&modulus)[0] == 0)
        CBS_skip(&modulus, 1);
    size_t bytes = CBS_len(&modulus);
    if (bytes == 0 || bytes > (1u << 20))
        return 1;
    uint8_t first = CBS_data(&modulus)[0];
    return (int)(8 * bytes) - (first == 0 ? 8 : __builtin_clz(first) - 24);
}

static const char *weak_digest_of(CBS algorithm)
{
    CBS oid;
    int digest = NID_undef;
    if (!CBS_get_asn1(&algorithm, &oid, CBS_ASN1_OBJECT))
        return NULL;
    (void)OBJ_find_sigid_algs(OBJ_cbs2nid(&oid), &digest, NULL);
    switch (digest) {
    case NID_sha1:
        return "SHA-1";
    case NID_md5:
        return "MD5";
    case NID_md4:
        return "MD4";
    case NID_md2:
        return "MD2";
    default:
        return NULL;
    }
}

/* Both names in their canonical form, in one block. */
static bool read_names(CBS subject, CBS issuer, struct path_cert *ret)
{
    CBS above;
    if (!CBS_get_asn1(&subject, &ret->called.subject, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&issuer, &above, CBS_ASN1_SEQUENCE) ||
        !buf_reserve(&ret->names, 2 * (CBS_len(&ret->called.subject) + CBS_len(&above))) ||
        !dn_canonical(ret->called.subject, &ret->names))
        return false;
    size_t middle = ret->names.len;
    if (!dn_canonical(above, &ret->names))
        return false;
    CBS_init(&ret->subject, ret->names.data, middle);
    CBS_init(&ret->issuer, ret->names.data + middle, ret->names.len - middle);
    ret->self_issued = cbs_equal(ret->subject, ret->issuer);
    return true;
}

static bool read_tbs(CBS tbs, struct path_cert *ret)
{
    CBS version, serial, algorithm, issuer, subject, ignored;
    int has_version;
    uint64_t number = 0;
    if (!CBS_get_optional_asn1(&tbs, &version, &has_version, CONTEXT_CONSTRUCTED(0)) ||
        (has_version && (!CBS_get_asn1_uint64(&version, &number) || CBS_len(&version) != 0 || number > 2)) ||
        !CBS_get_asn1(&tbs, &serial, CBS_ASN1_INTEGER) ||
        !CBS_get_asn1(&tbs, &algorithm, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1_element(&tbs, &issuer, CBS_ASN1_SEQUENCE) || !read_validity(&tbs, ret) ||
        !CBS_get_asn1_element(&tbs, &subject, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1_element(&tbs, &ret->key, CBS_ASN1_SEQUENCE) ||
        !CBS_get_optional_asn1(&tbs, &ignored, NULL, CONTEXT(1)) ||
        !CBS_get_optional_asn1(&tbs, &ignored, NULL, CONTEXT(2)) || !read_extensions(&tbs, ret) ||
        CBS_len(&tbs) != 0)
        return false;
    ret->version1 = number == 0;
    ret->weak_digest = weak_digest_of(algorithm);
    ret->rsa_bits = rsa_bits_of(ret->key);
    return read_names(subject, issuer, ret);
}

bool path_cert_read(CBS der, struct path_cert *ret)
{
    CBS whole = der, cert, tbs, algorithm, signature;
    *ret = (struct path_cert){
        .der = der, .path_len = PATH_LEN_NONE, .key_usage = USAGE_ANY, .extended = EXTENDED_ALL};
    return CBS_get_asn1(&whole, &cert, CBS_ASN1_SEQUENCE) && CBS_len(&whole) == 0 &&
           CBS_get_asn1(&cert, &tbs, CBS_ASN1_SEQUENCE) &&
           CBS_get_asn1(&cert, &algorithm, CBS_ASN1_SEQUENCE) &&
           CBS_get_asn1(&cert, &signature, CBS_ASN1_BITSTRING) && CBS_len(&cert) == 0 && read_tbs(tbs, ret);
}

void path_cert_close(struct path_cert *cert)
{
    X509_free(cert->x509);
    EVP_PKEY_free(cert->read_key);
    buf_free(&cert->names);
    *cert = (struct path_cert){0};
}

X509 *path_cert_x509(struct path_cert *cert)
{
    if (cert->x509 == NULL && !cert->x509_is_broken) {
        const uint8_t *p = CBS_data(&cert->der);
        cert->x509 = d2i_X509(NULL, &p, (long)CBS_len(&cert->der));
        cert->x509_is_broken = cert->x509 == NULL;
    }
    return cert->x509;
}

EVP_PKEY *path_cert_key(struct path_cert *cert)
{
    if (cert->read_key == NULL && !cert->key_is_broken) {
        CBS key = cert->key;
        cert->read_key = EVP_parse_public_key(&key);
        cert->key_is_broken = cert->read_key == NULL;
    }
    return cert->read_key;
}

bool path_cert_is(const struct path_cert *a, const struct path_cert *b)
{
    return cbs_equal(a->der, b->der);
}

bool path_cert_serves(const struct path_cert *cert, enum trust_purpose purpose)
{
    unsigned wanted = EXTENDED_ANY | (purpose == TRUST_CLIENT ? EXTENDED_CLIENT : EXTENDED_SERVER);
    return (cert->extended & wanted) != 0;
}
