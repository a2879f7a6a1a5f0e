/* SPDX-License-Identifier: Apache-2.0 */
#include "login/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/file.h"
#include "base/hex.h"
#include "cert/fresh_key.h"
#include "cert/key.h"
#include "cert/leaf.h"
#include "cert/pem.h"

#define KEEP_FILE_MAX (256 * 1024)

/* ---- the key ---- */

static int refuse_key(struct err *err)
{
    return err_set(err, "no key could be made: is there enough memory?");
}

bool keep_key_text(const struct evp_pkey_st *key, struct buf *ret)
{
    uint8_t *der = NULL, digest[SHA256_DIGEST_LENGTH];
    int len = i2d_PUBKEY(key, &der);
    if (len <= 0)
        return false;
    SHA256(der, (size_t)len, digest);
    OPENSSL_free(der);
    return buf_printf(ret, "SHA256:") && base64_put(ret, digest, sizeof(digest));
}

/* ---- the file ---- */

static X509 *read_first(struct str pem)
{
    BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.p, (ossl_ssize_t)pem.len) : NULL;
    X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return cert;
}

static void read_facts(const X509 *cert, struct keep *ret)
{
    char text[PEM_NAME_MAX];
    int64_t until = 0;
    snprintf(ret->user, sizeof(ret->user), "%s", pem_subject_text(cert, text));
    if (ASN1_TIME_to_posix(X509_get0_notAfter(cert), &until) == 1)
        ret->until = until;
}

/* One line, or it is refused. */
static bool put_line(struct buf *b, const char *key, const char *value)
{
    return strpbrk(value, "\r\n") == NULL && (*value == '\0' || buf_printf(b, "%s: %s\n", key, value));
}

/* ---- the key that follows ---- */

static struct buf next_path(const char *path)
{
    struct buf next = {0};
    CHECK(buf_printf(&next, "%s.next", path));
    return next;
}

static void forget_next(const char *path)
{
    struct buf next = next_path(path);
    (void)unlink(buf_text(&next)); /* one that stays is as good for the next renewal as any other */
    buf_free(&next);
}

/* NULL where there is none, or it cannot be read: then another is made. */
static EVP_PKEY *read_next(const char *path)
{
    struct buf text = {0};
    struct err ignored;
    if (file_read(path, KEEP_FILE_MAX, &text, NULL, &ignored) < 0)
        return NULL;
    BIO *bio = BIO_new_mem_buf(text.data, (ossl_ssize_t)text.len);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "") : NULL;
    BIO_free(bio);
    buf_wipe(&text);
    return key;
}

static EVP_PKEY *make_next(const char *path, struct err *err)
{
    struct buf b = {0};
    EVP_PKEY *key = key_make(KEY_P256);
    bool good = key != NULL && buf_reserve(&b, KEEP_FILE_MAX) && fresh_key_put(&b, key);
    int status = good ? file_write_atomic(path, 0600, b.data, b.len, err) : refuse_key(err);
    buf_wipe(&b);
    if (status == 0)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

struct evp_pkey_st *keep_key_next(const char *path, struct buf *ret_csr, struct err *err)
{
    struct buf next = next_path(path);
    EVP_PKEY *key = read_next(buf_text(&next));
    if (key == NULL || !fresh_key_put_csr(key, ret_csr)) {
        EVP_PKEY_free(key);
        key = make_next(buf_text(&next), err);
        if (key != NULL && !fresh_key_put_csr(key, ret_csr)) {
            EVP_PKEY_free(key);
            key = NULL;
            refuse_key(err);
        }
    }
    buf_free(&next);
    return key;
}

int keep_remove(const char *path, struct err *err)
{
    forget_next(path);
    return unlink(path) == 0 || errno == ENOENT ? 0 : err_errno(err, errno, "%s cannot be removed", path);
}

/* ---- writing and reading ---- */

static int write_file(const char *path, const struct keep *k, struct str chain, const EVP_PKEY *key,
                      struct err *err)
{
    struct buf b = {0};
    /* At once, so that no copy of the key stays behind in memory that was given back. */
    bool good = buf_reserve(&b, KEEP_FILE_MAX) && put_line(&b, "door", k->door) &&
                put_line(&b, "name", k->name) && put_line(&b, "ca", k->ca) &&
                buf_printf(&b, "since: %lld\n", (long long)k->since) &&
                buf_printf(&b, "renewable-until: %lld\n", (long long)k->renewable_until) &&
                fresh_key_put_chain(&b, chain) && fresh_key_put(&b, key) && b.len <= KEEP_FILE_MAX;
    int status =
        good ? file_write_atomic(path, 0600, b.data, b.len, err)
             : err_set(err,
                       "%s: cannot be written: the name of the door or of a file has a line end, or what the "
                       "door gave is not certificates alone, or too long",
                       path);
    buf_wipe(&b);
    return status;
}

int keep_write(const char *path, struct keep *keep, struct str chain_pem, const struct evp_pkey_st *key,
               struct err *err)
{
    X509 *cert = read_first(chain_pem);
    if (cert == NULL)
        return err_set(err, "what the door gave is no certificate in PEM");
    EVP_PKEY *certified = X509_get0_pubkey(cert);
    bool ours = certified != NULL && EVP_PKEY_cmp(certified, key) == 1;
    read_facts(cert, keep);
    X509_free(cert);
    if (!ours)
        return err_set(err, "the certificate that the door gave is for another key than ours");
    if (write_file(path, keep, chain_pem, key, err) < 0)
        return -1;
    forget_next(path);
    return 0;
}

static void take_line(struct keep *k, const char *line, size_t len)
{
    const struct {
        const char *key;
        int64_t *to;
    } times[] = {{"since: ", &k->since}, {"renewable-until: ", &k->renewable_until}};
    const struct {
        const char *key;
        char *to;
    } rows[] = {{"door: ", k->door}, {"name: ", k->name}, {"ca: ", k->ca}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i].key);
        if (len > n && strncmp(line, rows[i].key, n) == 0)
            str_copy(rows[i].to, KEEP_TEXT_MAX, line + n, len - n);
    }
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        if (len > strlen(times[i].key) && strncmp(line, times[i].key, strlen(times[i].key)) == 0)
            *times[i].to = strtoll(line + strlen(times[i].key), NULL, 10);
}

static void read_lines(const char *text, struct keep *ret)
{
    for (const char *line = text; *line != '\0' && strncmp(line, "-----", 5) != 0;) {
        size_t len = strcspn(line, "\n");
        take_line(ret, line, len);
        line += len + (line[len] != '\0');
    }
}

int keep_read(const char *path, struct keep *ret, struct err *err)
{
    struct buf text = {0};
    *ret = (struct keep){.until = 0};
    if (access(path, F_OK) != 0)
        return 0;
    if (file_read(path, KEEP_FILE_MAX, &text, NULL, err) < 0)
        return -1;
    X509 *cert = read_first((struct str){(const char *)text.data, text.len});
    if (cert != NULL) {
        read_facts(cert, ret);
        if (ASN1_TIME_to_posix(X509_get0_notBefore(cert), &ret->since) != 1) /* a line may know better */
            ret->since = ret->until;
        read_lines(buf_text(&text), ret);
    } else {
        err_set(err, "%s: no certificate in PEM; 'cardea login' writes it anew", path);
    }
    buf_wipe(&text);
    X509_free(cert);
    return cert != NULL ? 1 : -1;
}

int keep_lock(const char *path, struct err *err)
{
    struct buf name = {0};
    CHECK(buf_printf(&name, "%s.lock", path));
    int fd = open(buf_text(&name), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            close(fd);
            fd = -1;
        }
    if (fd < 0)
        err_errno(err, errno, "%s", buf_text(&name));
    buf_free(&name);
    return fd;
}

/* ---- first contact ---- */

static bool read_fingerprint(const char *text, uint8_t ret[SHA256_DIGEST_LENGTH])
{
    size_t n = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == ':' && n > 0 && n % 2 == 0)
            continue;
        int digit = hex_digit(*c);
        if (digit < 0 || n == 2 * SHA256_DIGEST_LENGTH)
            return false;
        ret[n / 2] = (uint8_t)(n % 2 == 0 ? digit << 4 : ret[n / 2] | digit);
        n++;
    }
    return n == 2 * SHA256_DIGEST_LENGTH;
}

/* Appends the certificate if it is the one. */
static bool is_expected(X509 *cert, const uint8_t expected[SHA256_DIGEST_LENGTH], struct buf *ret)
{
    uint8_t *der = NULL, found[SHA256_DIGEST_LENGTH];
    int len = i2d_X509(cert, &der);
    if (len > 0)
        SHA256(der, (size_t)len, found);
    bool same = len > 0 && CRYPTO_memcmp(found, expected, sizeof(found)) == 0 &&
                cert_put_pem(ret, (struct str){(const char *)der, (size_t)len});
    OPENSSL_free(der);
    return same;
}

int keep_check_fingerprint(struct str pem, const char *fingerprint, struct buf *ret, struct err *err)
{
    uint8_t expected[SHA256_DIGEST_LENGTH];
    if (!read_fingerprint(fingerprint, expected))
        return err_set(err,
                       "'%s' is no fingerprint: expected the SHA-256 of the CA's certificate, 64 hexadecimal "
                       "digits, as 'openssl x509 -noout -fingerprint -sha256' prints it",
                       fingerprint);
    BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.p, (ossl_ssize_t)pem.len) : NULL;
    bool any = false, same = false;
    for (X509 *cert; bio != NULL && !same && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL;) {
        any = true;
        same = is_expected(cert, expected, ret);
        X509_free(cert);
    }
    BIO_free(bio);
    ERR_clear_error();
    if (!any)
        return err_set(err, "the door gave no certificate of its CA");
    return same ? 0
                : err_set(
                      err,
                      "the door's CA has another fingerprint than was given: this is another CA, or somebody "
                      "in between; nothing was sent to it");
}
