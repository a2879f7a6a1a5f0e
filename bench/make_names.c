/* SPDX-License-Identifier: Apache-2.0 */
/* make_names DIR COUNT: certificates n0.example.com, n1.example.com, ... into DIR, each in a file NAME.pem
 * with its chain and its own key (ECDSA P-256). They have one issuer, which is in each chain; the root is
 * DIR/../root.pem. */
#include <openssl/ec_key.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAYS 30

static void must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "make_names: %s failed\n", what);
    exit(1);
}

static EVP_PKEY *new_key(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    must(ec != NULL && key != NULL && EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec),
         "making a key");
    return key;
}

static void extend(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    must(extension != NULL && X509_add_ext(cert, extension, -1), "an extension");
    X509_EXTENSION_free(extension);
}

/* A certificate for `key`, signed by the issuer; `dns`: a server's, else an authority's. */
static X509 *certify(const char *name, EVP_PKEY *key, const X509_NAME *issuer, EVP_PKEY *by, int dns)
{
    static uint64_t serial = 1;
    X509 *cert = X509_new();
    char san[300];
    X509_NAME *subject = X509_get_subject_name(cert);
    must(X509_set_version(cert, X509_VERSION_3) &&
             ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial++) &&
             X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC, (const uint8_t *)name, -1, -1,
                                        0) &&
             X509_set_issuer_name(cert, (X509_NAME *)(uintptr_t)(issuer == NULL ? subject : issuer)) &&
             X509_set_pubkey(cert, key) && X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL &&
             X509_gmtime_adj(X509_getm_notAfter(cert), DAYS * 86400) != NULL,
         "a certificate");
    snprintf(san, sizeof(san), "DNS:%s", name);
    extend(cert, NID_basic_constraints, dns ? "critical,CA:FALSE" : "critical,CA:TRUE");
    extend(cert, NID_key_usage, dns ? "critical,digitalSignature" : "critical,keyCertSign");
    if (dns)
        extend(cert, NID_subject_alt_name, san);
    must(X509_sign(cert, by, EVP_sha256()) > 0, "signing");
    return cert;
}

static void write_file(const char *path, X509 *first, X509 *second, EVP_PKEY *key)
{
    FILE *f = fopen(path, "w");
    must(f != NULL && fchmod(fileno(f), 0600) == 0 && PEM_write_X509(f, first), path);
    must(second == NULL || PEM_write_X509(f, second), path);
    must(key == NULL || PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), path);
    must(fclose(f) == 0, path);
}

int main(int argc, char **argv)
{
    char path[4096], name[64];
    long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    must(count > 0, "usage: make_names DIR COUNT:");
    EVP_PKEY *root_key = new_key(), *issuer_key = new_key();
    X509 *root = certify("bench root", root_key, NULL, root_key, 0);
    X509 *issuer = certify("bench issuer", issuer_key, X509_get_subject_name(root), root_key, 0);
    must(mkdir(argv[1], 0700) == 0, argv[1]);
    for (long i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "n%ld.example.com", i);
        snprintf(path, sizeof(path), "%s/%s.pem", argv[1], name);
        EVP_PKEY *key = new_key();
        X509 *cert = certify(name, key, X509_get_subject_name(issuer), issuer_key, 1);
        write_file(path, cert, issuer, key);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
    snprintf(path, sizeof(path), "%s/../root.pem", argv[1]);
    write_file(path, root, NULL, NULL);
    return 0;
}
