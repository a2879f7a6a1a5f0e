/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/fresh_key.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/file.h"
#include "cert/key.h"
#include "cert/leaf.h"
#include "cert/pem.h"

/* ---- making one ---- */

bool fresh_key_put_csr(EVP_PKEY *key, struct buf *ret)
{
    uint8_t *der = NULL;
    X509_REQ *req = X509_REQ_new();
    int len = req != NULL && X509_REQ_set_version(req, 0) == 1 && X509_REQ_set_pubkey(req, key) == 1 &&
                      X509_REQ_sign(req, key, EVP_sha256()) > 0
                  ? i2d_X509_REQ(req, &der)
                  : -1;
    bool good = len > 0 && buf_append(ret, der, (size_t)len);
    OPENSSL_free(der);
    X509_REQ_free(req);
    return good;
}

struct evp_pkey_st *fresh_key_make(struct buf *ret_csr, struct err *err)
{
    EVP_PKEY *key = key_make(KEY_P256);
    if (key != NULL && fresh_key_put_csr(key, ret_csr))
        return key;
    EVP_PKEY_free(key);
    err_set(err, "no key could be made: is there enough memory?");
    return NULL;
}

void fresh_key_free(struct evp_pkey_st *key)
{
    EVP_PKEY_free(key);
}

/* ---- for a file ---- */

static int put_certificate(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    if (pem_is_certificate(type) && cert_put_pem(arg, (struct str){(const char *)der, len}))
        return 0;
    return err_set(err, "'%s' is no certificate", type);
}

bool fresh_key_put_chain(struct buf *out, struct str chain_pem)
{
    const struct buf text = {.data = (uint8_t *)(uintptr_t)chain_pem.p, .len = chain_pem.len};
    struct err ignored;
    return pem_each(&text, put_certificate, out, &ignored) == 0;
}

bool fresh_key_put(struct buf *out, const struct evp_pkey_st *key)
{
    const uint8_t *p = NULL;
    size_t len = 0;
    BIO *bio = BIO_new(BIO_s_mem());
    bool good = bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                BIO_mem_contents(bio, &p, &len) == 1 && buf_append(out, p, len);
    BIO_free(bio);
    return good;
}

int fresh_key_keep(const char *path, struct str chain_pem, const struct evp_pkey_st *key, struct err *err)
{
    struct buf b = {0};
    /* At once, so that no copy of the key stays behind in memory that was given back. */
    bool good = buf_reserve(&b, FRESH_KEY_FILE_MAX) && fresh_key_put_chain(&b, chain_pem) &&
                fresh_key_put(&b, key) && b.len <= FRESH_KEY_FILE_MAX;
    int status = good ? file_write_atomic(path, 0600, b.data, b.len, err)
                      : err_set(err, "%s: what is to be kept is not certificates alone, or too long", path);
    buf_wipe(&b);
    return status;
}
