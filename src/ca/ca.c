/* SPDX-License-Identifier: Apache-2.0 */
#include "ca/ca.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>

#include "base/check.h"
#include "base/file.h"
#include "ca/ca_internal.h"
#include "cert/key.h"
#include "cert/pem.h"

#define CERT_FILE_MAX (1024 * 1024)

struct ca *ca_new(void)
{
    struct ca *ca = calloc(1, sizeof(*ca));
    if (ca != NULL)
        ca->magic = CA_MAGIC;
    return ca;
}

void ca_free(struct ca *ca)
{
    if (ca == NULL)
        return;
    CHECK_MAGIC(ca, CA_MAGIC);
    for (size_t i = 0; i < ca->chain_len; i++)
        X509_free(ca->chain[i]);
    EVP_PKEY_free(ca->key);
    ca->magic = 0;
    free(ca);
}

X509 *ca_x509(const struct ca *ca)
{
    CHECK_MAGIC(ca, CA_MAGIC);
    return ca->chain[0];
}

EVP_PKEY *ca_private_key(const struct ca *ca)
{
    CHECK_MAGIC(ca, CA_MAGIC);
    return ca->key;
}

struct ca_serial ca_serial_of(const X509 *cert)
{
    const ASN1_INTEGER *number = X509_get0_serialNumber(cert);
    struct ca_serial serial = {.len = (size_t)ASN1_STRING_length(number)};
    CHECK(serial.len <= sizeof(serial.bytes)); /* ours have 16 bytes, and ca_load() refuses longer ones */
    memcpy(serial.bytes, ASN1_STRING_get0_data(number), serial.len);
    return serial;
}

struct ca_serial ca_serial(const struct ca *ca)
{
    CHECK_MAGIC(ca, CA_MAGIC);
    return ca_serial_of(ca->chain[0]);
}

/* Loading
 * -------------------------------------------------------------------------------------------------------- */

static int add_block(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    struct ca *ca = arg;
    if (!pem_is_certificate(type))
        return 0;
    if (ca->chain_len == CA_CHAIN_MAX)
        return err_set(err, "more than %d certificates", CA_CHAIN_MAX);
    const uint8_t *end = der;
    X509 *cert = d2i_X509(NULL, &end, (long)len);
    if (cert == NULL)
        return err_set(err, "certificate %zu cannot be read", ca->chain_len + 1);
    ca->chain[ca->chain_len++] = cert;
    return 0;
}

int ca_load_chain(struct ca *ca, const char *path, struct err *err)
{
    struct buf text = {0};
    if (file_read(path, CERT_FILE_MAX, &text, NULL, err) < 0)
        return -1;
    int rc = pem_each(&text, add_block, ca, err);
    buf_free(&text);
    if (rc < 0)
        return err_prefix(err, "%s", path);
    if (ca->chain_len == 0)
        return err_set(err, "%s: no certificate in PEM (expected -----BEGIN CERTIFICATE-----)", path);
    if (ASN1_STRING_length(X509_get0_serialNumber(ca->chain[0])) > CA_SERIAL_MAX)
        return err_set(err, "%s: a serial number of more than %d bytes", path, CA_SERIAL_MAX);
    return 0;
}

int ca_load_key(struct ca *ca, const char *cert_path, const char *key_path, struct str passphrase,
                struct err *err)
{
    ca->key = key_read(key_path, passphrase, err);
    if (ca->key == NULL)
        return -1;
    if (X509_check_private_key(ca->chain[0], ca->key) != 1)
        return err_set(err, "%s: not the key of the certificate in %s", key_path, cert_path);
    return 0;
}

struct ca *ca_load(const char *cert_path, const char *key_path, struct err *err)
{
    struct ca *ca = ca_new();
    if (ca == NULL) {
        err_set(err, "out of memory");
        return NULL;
    }
    if (ca_load_chain(ca, cert_path, err) < 0 ||
        ca_load_key(ca, cert_path, key_path, (struct str){NULL, 0}, err) < 0) {
        ca_free(ca);
        ca = NULL;
    }
    ERR_clear_error();
    return ca;
}

/* Saving
 * ---------------------------------------------------------------------------------------------------------
 */

bool ca_put_pem(struct buf *ret, const char *type, const void *der, size_t len)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *pem = NULL;
    size_t pem_len = 0;
    bool ok = bio != NULL && PEM_write_bio(bio, type, "", der, (long)len) &&
              BIO_mem_contents(bio, &pem, &pem_len) && buf_append(ret, pem, pem_len);
    BIO_free(bio);
    return ok;
}

bool ca_cert_pem(X509 *cert, struct buf *ret)
{
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    bool ok = len > 0 && ca_put_pem(ret, PEM_STRING_X509, der, (size_t)len);
    OPENSSL_free(der);
    return ok;
}

bool ca_chain_pem(const struct ca *ca, struct buf *ret)
{
    CHECK_MAGIC(ca, CA_MAGIC);
    bool ok = true;
    for (size_t i = 0; i < ca->chain_len && ok; i++)
        ok = ca_cert_pem(ca->chain[i], ret);
    return ok;
}

int ca_save(const struct ca *ca, const char *cert_path, const char *key_path, struct err *err)
{
    CHECK_MAGIC(ca, CA_MAGIC);
    struct buf pem = {0};
    if (!ca_chain_pem(ca, &pem)) {
        buf_free(&pem);
        return err_set(err, "out of memory");
    }
    int rc = key_write(ca->key, (struct str){NULL, 0}, key_path, err);
    if (rc == 0) {
        rc = file_create_atomic(cert_path, 0644, pem.data, pem.len, err);
        if (rc < 0) /* a key without its certificate is of no use, and would be in the way next time */
            unlink(key_path);
    }
    buf_free(&pem);
    ERR_clear_error();
    return rc;
}
