/* SPDX-License-Identifier: Apache-2.0 */
/* An authority as people want to see it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include "base/check.h"
#include "ca/authority_internal.h"
#include "ca/key_place.h"
#include "cert/facts.h"
#include "cert/pem.h"

static void put_hex(const uint8_t *bytes, size_t len, char *ret)
{
    for (size_t i = 0; i < len; i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

static int look_at(X509 *cert, int64_t now, struct authority_certificate *ret, struct err *err)
{
    uint8_t *der = NULL, hash[EVP_MAX_MD_SIZE] = {0};
    unsigned hash_len = 0;
    struct cert_facts facts = {0};
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    int len = i2d_X509(cert, &der), rc;
    if (chain == NULL || len <= 0 || EVP_Digest(der, (size_t)len, hash, &hash_len, EVP_sha256(), NULL) != 1 ||
        sk_CRYPTO_BUFFER_push(chain, CRYPTO_BUFFER_new(der, (size_t)len, NULL)) == 0)
        rc = err_set(err, "out of memory");
    else
        rc = cert_facts_read(chain, &facts, err);
    if (rc == 0) {
        put_hex(hash, hash_len, ret->sha256);
        str_copy(ret->name, sizeof(ret->name), facts.subject, strlen(facts.subject));
        str_copy(ret->key, sizeof(ret->key), facts.key, strlen(facts.key));
        ret->not_after = facts.not_after;
        ret->ending = authority_is_ending(cert, now);
    }
    cert_facts_free(&facts);
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    OPENSSL_free(der);
    return rc;
}

/* Where it and its key are. */
static void look_at_files(const struct authority *a, const char *cert, const char *key,
                          struct authority_certificate *ret)
{
    char *path = authority_path(a->dir, key), uri[KEY_URI_MAX];
    key_place_look(path, uri);
    str_copy(ret->token, sizeof(ret->token), uri, MIN(strcspn(uri, "?"), sizeof(ret->token) - 1));
    str_copy(ret->file, sizeof(ret->file), cert, strlen(cert));
    free(path);
}

int authority_look(struct authority *a, int64_t now, struct authority_facts *ret, struct err *err)
{
    struct str url;
    struct buf permitted = {0};
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    *ret = (struct authority_facts){.in_token = authority_has_key(a, KEY_PLACE_TOKEN),
                                    .locked = authority_is_locked(a),
                                    .plain = authority_has_key(a, KEY_PLACE_PLAIN)};
    if (look_at(authority_root(a), now, &ret->root, err) < 0 ||
        look_at(authority_intermediate(a), now, &ret->intermediate, err) < 0 ||
        authority_url(a, &url, err) < 0 || authority_replace(a, &ret->replace, err) < 0)
        return -1;
    const struct root *root = roots_latest(&a->roots);
    look_at_files(a, root->cert, root->key, &ret->root);
    look_at_files(a, authority_current(a)->cert, authority_current(a)->key, &ret->intermediate);
    while (authority_generation(a, ret->issuers) != NULL)
        ret->issuers++;
    str_copy(ret->url, sizeof(ret->url), url.p, url.len);
    bool ok = ca_put_constraints(authority_intermediate(a), &permitted);
    if (ok)
        str_copy(ret->permitted, sizeof(ret->permitted), (const char *)permitted.data, permitted.len);
    buf_free(&permitted);
    return ok ? 0 : err_set(err, "out of memory");
}

/* ---- serial numbers of files ---- */

static int take_serial(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    struct ca_serial *serial = arg;
    if (!pem_is_certificate(type) || serial->len > 0)
        return 0;
    X509 *cert = d2i_X509(NULL, &der, (long)len);
    int rc = 0;
    if (cert == NULL || ASN1_STRING_length(X509_get0_serialNumber(cert)) > CA_SERIAL_MAX)
        rc = err_set(err, "the certificate cannot be read");
    else
        *serial = ca_serial_of(cert);
    X509_free(cert);
    ERR_clear_error();
    return rc;
}

int ca_serial_of_file(const struct buf *file, struct ca_serial *ret, struct err *err)
{
    ret->len = 0;
    if (pem_each(file, take_serial, ret, err) < 0)
        return -1;
    return ret->len > 0 ? 0 : err_set(err, "no certificate (expected -----BEGIN CERTIFICATE-----)");
}
