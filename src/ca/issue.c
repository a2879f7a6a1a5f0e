/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and certificates (RFC 5280). */
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hostname.h"
#include "ca/ca_internal.h"
#include "cert/cert.h"

#define NAME_PART_MAX 64 /* ub-common-name, ub-organizational-unit-name (RFC 5280, A.1) */
#define SANS_MAX 256
#define GROUPS_MAX 48 /* what cardea takes from one certificate is bounded too (cert/identity.h) */
#define SERIAL_BYTES 16
#define KEY_ID_BYTES 20
#define BACKDATE (5 * 60)               /* seconds, for clocks that are behind */
#define LAST_TIME INT64_C(253402300799) /* 9999-12-31T23:59:59Z, the end of GeneralizedTime */
#define BIT_SIGNATURE 0                 /* bits of keyUsage (RFC 5280, 4.2.1.3) */
#define BIT_CERT_SIGN 5
#define BIT_CRL_SIGN 6
#define NO_PATH_LENGTH (-1)

/* Keys
 * -----------------------------------------------------------------------------------------------------------
 */

/* How each kind is made: the type, and its one parameter (curve, bits or parameter set). */
static const struct key_row {
    int type;
    int parameter;
} key_rows[] = {
    [CA_KEY_P256] = {EVP_PKEY_EC, NID_X9_62_prime256v1},
    [CA_KEY_P384] = {EVP_PKEY_EC, NID_secp384r1},
    [CA_KEY_ED25519] = {EVP_PKEY_ED25519, 0},
    [CA_KEY_RSA2048] = {EVP_PKEY_RSA, 2048},
    [CA_KEY_RSA3072] = {EVP_PKEY_RSA, 3072},
    [CA_KEY_MLDSA44] = {EVP_PKEY_PQDSA, NID_MLDSA44},
    [CA_KEY_MLDSA65] = {EVP_PKEY_PQDSA, NID_MLDSA65},
    [CA_KEY_MLDSA87] = {EVP_PKEY_PQDSA, NID_MLDSA87},
};
_Static_assert(ARRAY_LEN(key_rows) == CA_KEY_KINDS, "a row for each kind");

static bool set_parameter(EVP_PKEY_CTX *ctx, const struct key_row *row)
{
    switch (row->type) {
    case EVP_PKEY_EC:
        return EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, row->parameter) == 1;
    case EVP_PKEY_RSA:
        return EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, row->parameter) == 1;
    case EVP_PKEY_PQDSA:
        return EVP_PKEY_CTX_pqdsa_set_params(ctx, row->parameter) == 1;
    default:
        return true;
    }
}

static EVP_PKEY *make_key(enum ca_key_kind kind)
{
    CHECK((unsigned)kind < CA_KEY_KINDS);
    const struct key_row *row = &key_rows[kind];
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(row->type, NULL);
    EVP_PKEY *key = NULL;
    if (ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1 && set_parameter(ctx, row) &&
        EVP_PKEY_keygen(ctx, &key) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

const EVP_MD *ca_digest(const EVP_PKEY *key)
{
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
        return EVP_sha256();
    case EVP_PKEY_EC:
        return EVP_PKEY_bits(key) > 256 ? EVP_sha384() : EVP_sha256();
    default:
        return NULL;
    }
}

/* Names
 * ----------------------------------------------------------------------------------------------------------
 */

static int add_name_part(X509_NAME *name, int nid, const char *text, struct err *err)
{
    size_t len = strlen(text);
    if (len == 0 || len > NAME_PART_MAX)
        return err_set(err, "'%s': a name or group has 1 to %d bytes", text, NAME_PART_MAX);
    if (!X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const uint8_t *)text, (ossl_ssize_t)len, -1,
                                    0))
        return err_set(err, "'%s': not text in UTF-8", text);
    return 0;
}

static int set_subject(X509 *cert, const struct ca_request *request, struct err *err)
{
    X509_NAME *name = X509_get_subject_name(cert);
    if (request->groups_len > GROUPS_MAX)
        return err_set(err, "%zu groups; at most %d fit", request->groups_len, GROUPS_MAX);
    for (size_t i = 0; i < request->groups_len; i++)
        if (add_name_part(name, NID_organizationalUnitName, request->groups[i], err) < 0)
            return -1;
    return request->name == NULL ? 0 : add_name_part(name, NID_commonName, request->name, err);
}

static bool is_printable_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

/* What kind of SAN a text is, by its looks; -1 when it is none. */
static int san_type(const char *text, uint8_t ret_ip[16], size_t *ret_ip_len)
{
    *ret_ip_len = hostname_address(text, ret_ip);
    if (*ret_ip_len > 0)
        return GEN_IPADD;
    if (!is_printable_ascii(text))
        return -1;
    if (strstr(text, "://") != NULL)
        return GEN_URI;
    const char *at = strchr(text, '@');
    if (at != NULL)
        return at != text && cert_dns_name_ok(at + 1, strlen(at + 1)) ? GEN_EMAIL : -1;
    return cert_dns_name_ok(text, strlen(text)) ? GEN_DNS : -1;
}

static int add_san(GENERAL_NAMES *names, const char *text, struct err *err)
{
    uint8_t ip[16];
    size_t ip_len;
    int type = san_type(text, ip, &ip_len);
    if (type < 0)
        return err_set(err, "'%s': expected a DNS name, an IP address, a URI or an email address", text);
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    bool ok = name != NULL && value != NULL &&
              (type == GEN_IPADD ? ASN1_STRING_set(value, ip, (ossl_ssize_t)ip_len)
                                 : ASN1_STRING_set(value, text, (ossl_ssize_t)strlen(text)));
    if (ok) {
        GENERAL_NAME_set0_value(name, type, value);
        value = NULL;
        ok = sk_GENERAL_NAME_push(names, name) > 0;
    }
    if (!ok) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return err_set(err, "out of memory");
    }
    return 0;
}

/* Extensions
 * ----------------------------------------------------------------------------------------------------- */

static int out_of_memory(struct err *err)
{
    return err_set(err, "out of memory");
}

/* Add a SAN extension; critical when there is no other name (RFC 5280, 4.2.1.6). */
static int add_sans(X509 *cert, const struct ca_request *request, struct err *err)
{
    if (request->sans_len == 0)
        return 0;
    if (request->sans_len > SANS_MAX)
        return err_set(err, "%zu names; at most %d fit", request->sans_len, SANS_MAX);
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    int rc = names == NULL ? out_of_memory(err) : 0;
    for (size_t i = 0; i < request->sans_len && rc == 0; i++)
        rc = add_san(names, request->sans[i], err);
    int critical = X509_NAME_entry_count(X509_get_subject_name(cert)) == 0;
    if (rc == 0 && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, critical, 0) != 1)
        rc = out_of_memory(err);
    GENERAL_NAMES_free(names);
    return rc;
}

static bool add_basic_constraints(X509 *cert, bool ca, int path_length)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    if (constraints == NULL)
        return false;
    constraints->ca = ca ? ASN1_BOOLEAN_TRUE : ASN1_BOOLEAN_FALSE;
    bool ok = true;
    if (path_length != NO_PATH_LENGTH) {
        constraints->pathlen = ASN1_INTEGER_new();
        ok = constraints->pathlen != NULL && ASN1_INTEGER_set_int64(constraints->pathlen, path_length);
    }
    ok = ok && X509_add1_ext_i2d(cert, NID_basic_constraints, constraints, 1, 0) == 1;
    BASIC_CONSTRAINTS_free(constraints);
    return ok;
}

static bool add_key_usage(X509 *cert, bool ca)
{
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    bool ok = usage != NULL && (ca ? ASN1_BIT_STRING_set_bit(usage, BIT_CERT_SIGN, 1) &&
                                         ASN1_BIT_STRING_set_bit(usage, BIT_CRL_SIGN, 1)
                                   : ASN1_BIT_STRING_set_bit(usage, BIT_SIGNATURE, 1));
    ok = ok && X509_add1_ext_i2d(cert, NID_key_usage, usage, 1, 0) == 1;
    ASN1_BIT_STRING_free(usage);
    return ok;
}

static bool add_extended_usage(X509 *cert, int nid)
{
    EXTENDED_KEY_USAGE *usages = sk_ASN1_OBJECT_new_null();
    ASN1_OBJECT *usage = OBJ_nid2obj(nid); /* static, not owned */
    bool ok = usages != NULL && sk_ASN1_OBJECT_push(usages, usage) > 0 &&
              X509_add1_ext_i2d(cert, NID_ext_key_usage, usages, 0, 0) == 1;
    sk_ASN1_OBJECT_free(usages);
    return ok;
}

/* The first 160 bits of the SHA-256 of the public key (RFC 7093, 2, method 1). */
static bool key_id(const X509 *cert, uint8_t ret[KEY_ID_BYTES])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (X509_pubkey_digest(cert, EVP_sha256(), digest, &len) != 1)
        return false;
    CHECK(len >= KEY_ID_BYTES);
    memcpy(ret, digest, KEY_ID_BYTES);
    return true;
}

static bool add_subject_key_id(X509 *cert)
{
    uint8_t id[KEY_ID_BYTES];
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    bool ok = value != NULL && key_id(cert, id) && ASN1_OCTET_STRING_set(value, id, sizeof(id)) &&
              X509_add1_ext_i2d(cert, NID_subject_key_identifier, value, 0, 0) == 1;
    ASN1_OCTET_STRING_free(value);
    return ok;
}

AUTHORITY_KEYID *ca_authority_key_id(const X509 *issuer)
{
    uint8_t id[KEY_ID_BYTES];
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
    ASN1_OCTET_STRING *theirs = X509_get_ext_d2i(issuer, NID_subject_key_identifier, NULL, NULL);
    if (theirs == NULL) {
        theirs = ASN1_OCTET_STRING_new();
        if (theirs == NULL || !key_id(issuer, id) || !ASN1_OCTET_STRING_set(theirs, id, sizeof(id))) {
            ASN1_OCTET_STRING_free(theirs);
            theirs = NULL;
        }
    }
    if (authority == NULL || theirs == NULL) {
        AUTHORITY_KEYID_free(authority);
        ASN1_OCTET_STRING_free(theirs);
        return NULL;
    }
    authority->keyid = theirs;
    return authority;
}

static bool add_authority_key_id(X509 *cert, const X509 *issuer)
{
    AUTHORITY_KEYID *authority = ca_authority_key_id(issuer);
    bool ok =
        authority != NULL && X509_add1_ext_i2d(cert, NID_authority_key_identifier, authority, 0, 0) == 1;
    AUTHORITY_KEYID_free(authority);
    return ok;
}

/* Certificates
 * --------------------------------------------------------------------------------------------------- */

/* 128 random bits with the top one clear and the next one set: positive, and always 16 bytes (RFC
 * 5280, 4.1.2.2). */
static bool set_serial(X509 *cert)
{
    uint8_t bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] = (bytes[0] & 0x3f) | 0x40;
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return ok;
}

static int set_validity(X509 *cert, const struct ca_request *request, const X509 *issuer, struct err *err)
{
    int64_t now = clock_wall() / NSEC_PER_SEC, issuer_end = LAST_TIME;
    int64_t from = request->not_before != 0 ? request->not_before : now;
    if (request->lifetime <= 0 || request->lifetime > LAST_TIME || from > LAST_TIME - request->lifetime)
        return err_set(err, "a lifetime of %lld seconds is not possible", (long long)request->lifetime);
    if (issuer != NULL && !ASN1_TIME_to_posix(X509_get0_notAfter(issuer), &issuer_end))
        return err_set(err, "the issuer has no end that can be read");
    int64_t end = MIN(from + request->lifetime, issuer_end);
    if (request->not_before == 0)
        from -= BACKDATE;
    if (end <= from || (request->not_before == 0 && end <= now))
        return err_set(err, "the issuer has expired");
    if (!ASN1_TIME_set_posix(X509_getm_notBefore(cert), from) ||
        !ASN1_TIME_set_posix(X509_getm_notAfter(cert), end))
        return out_of_memory(err);
    return 0;
}

/* The whole of what is signed. `issuer` is NULL for a root. */
static int fill(X509 *cert, EVP_PKEY *key, const X509 *issuer, enum ca_profile profile,
                const struct ca_request *request, struct err *err)
{
    bool ca = issuer == NULL || profile == CA_PROFILE_INTERMEDIATE;
    if (!X509_set_version(cert, X509_VERSION_3) || !set_serial(cert) || !X509_set_pubkey(cert, key))
        return out_of_memory(err);
    if (set_subject(cert, request, err) < 0 || set_validity(cert, request, issuer, err) < 0)
        return -1;
    if (!X509_set_issuer_name(cert, X509_get_subject_name(issuer != NULL ? issuer : cert)))
        return out_of_memory(err);
    if (!add_basic_constraints(cert, ca, ca && issuer != NULL ? 0 : NO_PATH_LENGTH) ||
        !add_key_usage(cert, ca))
        return out_of_memory(err);
    if (!ca && !add_extended_usage(cert, profile == CA_PROFILE_SERVER ? NID_server_auth : NID_client_auth))
        return out_of_memory(err);
    if (!add_subject_key_id(cert) || (issuer != NULL && !add_authority_key_id(cert, issuer)))
        return out_of_memory(err);
    return add_sans(cert, request, err);
}

/* Make a key and a certificate for it. `issuer` is NULL for a root. */
static struct ca *make(const struct ca *issuer, enum ca_profile profile, const struct ca_request *request,
                       struct err *err)
{
    struct ca *made = ca_new();
    X509 *cert = X509_new();
    EVP_PKEY *key = make_key(request->key);
    if (made == NULL || cert == NULL || key == NULL) {
        err_set(err, "no key could be made");
        X509_free(cert);
        EVP_PKEY_free(key);
        ca_free(made);
        return NULL;
    }
    made->chain[made->chain_len++] = cert;
    made->key = key;
    int rc = fill(cert, key, issuer == NULL ? NULL : issuer->chain[0], profile, request, err);
    EVP_PKEY *signer = issuer == NULL ? key : issuer->key;
    if (rc == 0 && X509_sign(cert, signer, ca_digest(signer)) <= 0)
        rc = err_set(err, "the certificate could not be signed");
    ERR_clear_error();
    if (rc < 0) {
        ca_free(made);
        return NULL;
    }
    return made;
}

struct ca *ca_create_root(const struct ca_request *request, struct err *err)
{
    if (request->name == NULL) {
        err_set(err, "a CA needs a name");
        return NULL;
    }
    return make(NULL, CA_PROFILE_INTERMEDIATE, request, err);
}

static int check_may_issue(const struct ca *issuer, enum ca_profile profile, const struct ca_request *request,
                           struct err *err)
{
    X509 *cert = issuer->chain[0];
    if (!X509_check_ca(cert))
        return err_set(err, "the issuer's certificate is not that of a CA");
    if (profile == CA_PROFILE_INTERMEDIATE && X509_get_pathlen(cert) == 0)
        return err_set(err, "the issuer may not make other CAs (its path length is 0)");
    if (profile == CA_PROFILE_INTERMEDIATE && request->name == NULL)
        return err_set(err, "a CA needs a name");
    if (profile == CA_PROFILE_SERVER && request->sans_len == 0)
        return err_set(err, "a server certificate needs a DNS name or an IP address");
    if (request->name == NULL && request->sans_len == 0)
        return err_set(err, "a certificate needs a name");
    if (issuer->chain_len >= CA_CHAIN_MAX)
        return err_set(err, "the issuer's chain is too long");
    return 0;
}

struct ca *ca_issue(const struct ca *issuer, enum ca_profile profile, const struct ca_request *request,
                    struct err *err)
{
    CHECK_MAGIC(issuer, CA_MAGIC);
    if (check_may_issue(issuer, profile, request, err) < 0)
        return NULL;
    struct ca *made = make(issuer, profile, request, err);
    bool root =
        X509_NAME_cmp(X509_get_subject_name(issuer->chain[0]), X509_get_issuer_name(issuer->chain[0])) == 0;
    for (size_t i = 0; made != NULL && !root && i < issuer->chain_len; i++) {
        X509_up_ref(issuer->chain[i]);
        made->chain[made->chain_len++] = issuer->chain[i];
    }
    return made;
}
