/* SPDX-License-Identifier: Apache-2.0 */
/* make_cert DIR: a key of ML-DSA-65, which few tools make, and a certificate of its own by it: DIR/cert.pem
 * and DIR/key.pem, as harness.py has them of ECDSA. */
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define DAYS 30

static void must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "make_cert: %s failed\n", what);
    exit(1);
}

static EVP_PKEY *new_key(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_PQDSA, NULL);
    must(ctx != NULL && EVP_PKEY_CTX_pqdsa_set_params(ctx, NID_MLDSA65) && EVP_PKEY_keygen_init(ctx) &&
             EVP_PKEY_keygen(ctx, &key),
         "making a key");
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static void extend(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, NULL, nid, value);
    must(extension != NULL && X509_add_ext(cert, extension, -1), "an extension");
    X509_EXTENSION_free(extension);
}

static X509 *certify(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    must(X509_set_version(cert, X509_VERSION_3) && ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), 1) &&
             X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, (const uint8_t *)"bench.example",
                                        -1, -1, 0) &&
             X509_set_issuer_name(cert, name) && X509_set_pubkey(cert, key) &&
             X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL &&
             X509_gmtime_adj(X509_getm_notAfter(cert), DAYS * 86400) != NULL,
         "a certificate");
    extend(cert, NID_subject_alt_name, "DNS:bench.example,DNS:*.bench.example");
    must(X509_sign(cert, key, NULL) > 0, "signing");
    return cert;
}

static FILE *create(const char *dir, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    must(f != NULL && fchmod(fileno(f), 0600) == 0, path);
    return f;
}

int main(int argc, char **argv)
{
    must(argc == 2, "usage: make_cert DIR:");
    EVP_PKEY *key = new_key();
    FILE *cert = create(argv[1], "cert.pem"), *secret = create(argv[1], "key.pem");
    must(PEM_write_X509(cert, certify(key)) && fclose(cert) == 0 &&
             PEM_write_PKCS8PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) && fclose(secret) == 0,
         "writing");
    return 0;
}
