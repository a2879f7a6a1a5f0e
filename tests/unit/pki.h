/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for tests: a scratch folder, short ways to the private CA, and certificates that no good CA
 * makes. */
#ifndef CARDEA_TESTS_UNIT_PKI_H
#define CARDEA_TESTS_UNIT_PKI_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/file.h"
#include "ca/ca.h"

#define PKI_YEAR (INT64_C(365) * 86400)

/* A scratch folder of this process, gone with pki_remove(). */
static inline const char *pki_dir(void)
{
    static char dir[64];
    if (dir[0] == '\0') {
        snprintf(dir, sizeof(dir), "/tmp/cardea-test-XXXXXX");
        assert_non_null(mkdtemp(dir));
    }
    return dir;
}

static inline int pki_remove(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof(command), "rm -rf %s", pki_dir());
    return system(command);
}

/* A path in the scratch folder; the text lasts for sixteen calls. */
static inline const char *pki_path(const char *name)
{
    static char paths[16][160];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof(paths[0]), "%s/%s", pki_dir(), name);
    return path;
}

static inline struct ca *pki_root(const char *name)
{
    struct err err = {{0}};
    struct ca *ca = ca_create_root(&(struct ca_request){.name = name, .lifetime = 10 * PKI_YEAR}, &err);
    if (ca == NULL)
        fail_msg("%s", err.text);
    return ca;
}

static inline struct ca *pki_issue(const struct ca *issuer, enum ca_profile profile,
                                   struct ca_request request)
{
    struct err err = {{0}};
    if (request.lifetime == 0)
        request.lifetime = PKI_YEAR;
    struct ca *ca = ca_issue(issuer, profile, &request, &err);
    if (ca == NULL)
        fail_msg("%s", err.text);
    return ca;
}

/* A client certificate with only a CN, or a server certificate with one DNS name. */
static inline struct ca *pki_client(const struct ca *issuer, const char *name)
{
    return pki_issue(issuer, CA_PROFILE_CLIENT, (struct ca_request){.name = name});
}

static inline struct ca *pki_server(const struct ca *issuer, const char *dns)
{
    return pki_issue(issuer, CA_PROFILE_SERVER, (struct ca_request){.sans = &dns, .sans_len = 1});
}

/* Write a chain to NAME.pem and its key to NAME.key in the scratch folder. */
static inline void pki_save(const struct ca *ca, const char *name)
{
    char cert[64], key[64];
    struct err err = {{0}};
    snprintf(cert, sizeof(cert), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    unlink(pki_path(cert));
    unlink(pki_path(key));
    if (ca_save(ca, pki_path(cert), pki_path(key), &err) < 0)
        fail_msg("%s", err.text);
}

static inline void pki_write(const char *name, const void *data, size_t len)
{
    struct err err = {{0}};
    if (file_write_atomic(pki_path(name), 0600, data, len, &err) < 0)
        fail_msg("%s", err.text);
}

/* An extension from OpenSSL's configuration syntax. */
static inline void pki_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* A subject alternative name, or a part of the subject, of exact bytes and type. */
static inline void pki_san(X509 *cert, int type, const void *bytes, size_t len)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = ASN1_STRING_type_new(V_ASN1_IA5STRING);
    assert_true(ASN1_STRING_set(value, bytes, (ossl_ssize_t)len));
    GENERAL_NAME_set0_value(name, type, value);
    sk_GENERAL_NAME_push(names, name);
    assert_int_equal(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0), 1);
    GENERAL_NAMES_free(names);
}

static inline void pki_subject(X509 *cert, int nid, int type, const void *bytes, size_t len)
{
    assert_int_equal(
        X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), nid, type, bytes, (ossl_ssize_t)len, -1, 0),
        1);
}

/* A certificate with nothing in it but an issuer, a key and dates around now; to be filled and then signed.
 */
static inline X509 *pki_blank(const struct ca *issuer, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    assert_non_null(cert);
    assert_true(X509_set_version(cert, X509_VERSION_3));
    assert_true(ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), 4711));
    assert_true(X509_set_issuer_name(cert, X509_get_subject_name(ca_x509(issuer))));
    assert_true(X509_set_pubkey(cert, key));
    assert_non_null(ASN1_TIME_set_posix(X509_getm_notBefore(cert), time(NULL) - 3600));
    assert_non_null(ASN1_TIME_set_posix(X509_getm_notAfter(cert), time(NULL) + PKI_YEAR));
    return cert;
}

static inline void pki_sign(X509 *cert, const struct ca *issuer)
{
    assert_true(X509_sign(cert, ca_private_key(issuer), EVP_sha256()) > 0);
}

/* What a peer would send: the certificates up to NULL, as a stack. */
static inline STACK_OF(CRYPTO_BUFFER) * pki_stack(X509 *first, ...)
{
    STACK_OF(CRYPTO_BUFFER) *stack = sk_CRYPTO_BUFFER_new_null();
    va_list ap;
    va_start(ap, first);
    for (X509 *cert = first; cert != NULL; cert = va_arg(ap, X509 *)) {
        uint8_t *der = NULL;
        int len = i2d_X509(cert, &der);
        assert_true(len > 0);
        sk_CRYPTO_BUFFER_push(stack, CRYPTO_BUFFER_new(der, (size_t)len, NULL));
        OPENSSL_free(der);
    }
    va_end(ap);
    return stack;
}

static inline void pki_stack_free(STACK_OF(CRYPTO_BUFFER) * stack)
{
    sk_CRYPTO_BUFFER_pop_free(stack, CRYPTO_BUFFER_free);
}

/* A CRL in PEM; `revoked` may be NULL. */
static inline void pki_crl(const struct ca *issuer, const struct ca *revoked, uint64_t number, int64_t now,
                           int64_t lifetime, struct buf *ret)
{
    struct err err = {{0}};
    struct buf der = {0};
    struct ca_revoked entry = {.at = now};
    if (revoked != NULL)
        entry.serial = ca_serial(revoked);
    if (ca_make_crl(issuer, &entry, revoked != NULL, number, now, lifetime, &der, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(ca_put_pem(ret, PEM_STRING_X509_CRL, der.data, der.len));
    buf_free(&der);
}

/* Run the system's openssl with these arguments; its output, or NULL when it failed. The text lasts till next
 * time. */
static inline const char *pki_openssl(const char *arguments)
{
    static char out[65536];
    char command[1024];
    snprintf(command, sizeof(command), "cd %s && { openssl %s; } 2>&1", pki_dir(), arguments);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, sizeof(out) - 1, f);
    out[n] = '\0';
    int status = pclose(f);
    if (status != 0)
        print_message("openssl %s: %s\n", arguments, out);
    return status == 0 ? out : NULL;
}

#endif
