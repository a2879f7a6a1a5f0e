/* SPDX-License-Identifier: Apache-2.0 */
#include "acme/client_proof.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "acme/client_certificate.h"
#include "base/base64.h"
#include "base/check.h"
#include "ca/ca.h"
#include "cert/cert.h"
#include "cert/key.h"

#define DAY INT64_C(86400)
#define SERIAL_LEN 16

static const char *const names[ACME_PROOF_KINDS] = {
    [ACME_BY_TLS_ALPN] = "tls-alpn-01", [ACME_BY_HTTP] = "http-01", [ACME_BY_DNS] = "dns-01"};

const char *acme_client_proof_name(enum acme_client_proof_kind kind)
{
    CHECK(kind < ACME_PROOF_KINDS);
    return names[kind];
}

bool acme_client_proof_parse(const char *name, enum acme_client_proof_kind *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        *ret = (enum acme_client_proof_kind)i;
        return true;
    }
    return false;
}

static void digest(const struct acme_client_proof *proof, uint8_t ret[SHA256_DIGEST_LENGTH])
{
    SHA256((const uint8_t *)proof->authorization, strlen(proof->authorization), ret);
}

void acme_client_dns_value(const struct acme_client_proof *proof, char ret[ACME_CLIENT_DNS_VALUE_MAX])
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct buf text = {.max = 0};
    digest(proof, hash);
    CHECK(base64url_put(&text, hash, sizeof(hash)));
    CHECK(str_copy(ret, ACME_CLIENT_DNS_VALUE_MAX, (char *)text.data, text.len));
    buf_free(&text);
}

void acme_client_dns_name(const struct acme_client_proof *proof, char ret[ACME_CLIENT_DNS_NAME_MAX])
{
    snprintf(ret, ACME_CLIENT_DNS_NAME_MAX, "_acme-challenge.%s", proof->name);
}

void acme_client_alpn_name(const struct acme_client_proof *proof, char ret[ACME_CLIENT_SNI_MAX])
{
    uint8_t ip[16];
    size_t len = hostname_address(proof->name, ip), at = 0;
    if (len == 0) {
        snprintf(ret, ACME_CLIENT_SNI_MAX, "%s", proof->name);
        return;
    }
    for (size_t i = len; i-- > 0;)
        at += (size_t)(len == 4
                           ? snprintf(ret + at, ACME_CLIENT_SNI_MAX - at, "%u.", ip[i])
                           : snprintf(ret + at, ACME_CLIENT_SNI_MAX - at, "%x.%x.", ip[i] & 15, ip[i] >> 4));
    snprintf(ret + at, ACME_CLIENT_SNI_MAX - at, "%s", len == 4 ? "in-addr.arpa" : "ip6.arpa");
}

/* ---- the certificate of tls-alpn-01 ---- */

/* id-pe-acmeIdentifier, critical: an OCTET STRING of the digest (RFC 8737, 3). */
static bool add_digest(X509 *x, const struct acme_client_proof *proof)
{
    uint8_t der[2 + SHA256_DIGEST_LENGTH] = {V_ASN1_OCTET_STRING, SHA256_DIGEST_LENGTH};
    digest(proof, der + 2);
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    bool ok = oid != NULL && value != NULL && ASN1_OCTET_STRING_set(value, der, sizeof(der)) == 1;
    if (ok)
        extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value);
    ok = extension != NULL && X509_add_ext(x, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
    return ok;
}

static bool set_serial(X509 *x)
{
    uint8_t bytes[SERIAL_LEN];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] = (uint8_t)((bytes[0] & 0x3f) | 0x40);
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)) != NULL;
    BN_free(number);
    return ok;
}

static bool fill(X509 *x, EVP_PKEY *key, const struct acme_client_proof *proof, int64_t now)
{
    GENERAL_NAMES *sans = acme_client_san(&proof->name, 1);
    X509_NAME *subject = X509_get_subject_name(x);
    bool ok = sans != NULL && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
              X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC, (const uint8_t *)"acme-tls/1",
                                         -1, -1, 0) == 1 &&
              X509_set_issuer_name(x, subject) == 1 && X509_set_pubkey(x, key) == 1 &&
              ASN1_TIME_set_posix(X509_getm_notBefore(x), now - DAY) != NULL &&
              ASN1_TIME_set_posix(X509_getm_notAfter(x), now + 6 * DAY) != NULL &&
              X509_add1_ext_i2d(x, NID_subject_alt_name, sans, 0, 0) == 1 && add_digest(x, proof) &&
              X509_sign(x, key, EVP_sha256()) > 0;
    GENERAL_NAMES_free(sans);
    return ok;
}

struct cert *acme_client_alpn_certificate(const struct acme_client_proof *proof, int64_t now, struct err *err)
{
    EVP_PKEY *key = key_make(KEY_P256);
    X509 *x = X509_new();
    uint8_t *der = NULL;
    struct buf pem = {.max = 0};
    struct cert *cert = NULL;
    int len = key != NULL && x != NULL && fill(x, key, proof, now) ? i2d_X509(x, &der) : -1;
    if (len > 0 && ca_put_pem(&pem, PEM_STRING_X509, der, (size_t)len))
        cert = cert_from((struct str){(char *)pem.data, pem.len}, key, proof->name, err);
    else
        err_set(err, "no certificate could be made to prove %s with", proof->name);
    OPENSSL_free(der);
    X509_free(x);
    EVP_PKEY_free(key);
    buf_free(&pem);
    ERR_clear_error();
    return cert;
}
