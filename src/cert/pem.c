/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/pem.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/err.h"
#include "cert/san.h"

/* 1: a block was handled; 0: no more; -1: damaged, or `fn` failed. */
static int next_block(BIO *bio, pem_block_fn *fn, void *arg, struct err *err)
{
    char *type = NULL, *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    if (!PEM_read_bio(bio, &type, &header, &der, &len)) {
        bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
        ERR_clear_error();
        return end ? 0 : err_set(err, "a damaged PEM block");
    }
    int rc = fn(arg, type, der, (size_t)len, err);
    OPENSSL_free(type);
    OPENSSL_free(header);
    OPENSSL_free(der);
    return rc < 0 ? -1 : 1;
}

int pem_each(const struct buf *text, pem_block_fn *fn, void *arg, struct err *err)
{
    CHECK(text->len <= INT_MAX);
    BIO *bio = BIO_new_mem_buf(text->data, (ossl_ssize_t)text->len);
    if (bio == NULL)
        return err_set(err, "out of memory");
    int rc;
    do {
        rc = next_block(bio, fn, arg, err);
    } while (rc > 0);
    BIO_free(bio);
    return rc;
}

bool pem_is_certificate(const char *type)
{
    return strcmp(type, PEM_STRING_X509) == 0 || strcmp(type, PEM_STRING_X509_OLD) == 0;
}

bool pem_pin(const X509 *cert, uint8_t ret[PEM_PIN_LEN])
{
    uint8_t *spki = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
    if (len > 0)
        SHA256(spki, (size_t)len, ret);
    OPENSSL_free(spki);
    return len > 0;
}

static int put_pin(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    uint8_t pin[PEM_PIN_LEN];
    if (!pem_is_certificate(type))
        return 0;
    X509 *cert = d2i_X509(NULL, &der, (long)len);
    bool ok = cert != NULL && pem_pin(cert, pin);
    X509_free(cert);
    if (!ok) {
        ERR_clear_error();
        return err_set(err, "a certificate that cannot be read");
    }
    ok = base64_put(arg, pin, sizeof(pin)) && buf_append(arg, "", 1);
    return ok ? 0 : err_set(err, "out of memory");
}

int pem_pins(const struct buf *text, struct buf *ret, struct err *err)
{
    return pem_each(text, put_pin, ret, err);
}

bool pem_key_is_kept(mode_t mode)
{
    return (mode & 0007) == 0;
}

static void to_printable(char *text)
{
    for (char *p = text; *p != '\0'; p++)
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
}

static bool common_name(const X509_NAME *name, char text[PEM_NAME_MAX])
{
    text[0] = '\0';
    bool found = X509_NAME_get_text_by_NID(name, NID_commonName, text, PEM_NAME_MAX) > 0;
    to_printable(text);
    return found && text[0] != '\0';
}

const char *pem_name_text(const X509_NAME *name, char text[PEM_NAME_MAX])
{
    if (common_name(name, text))
        return text;
    X509_NAME_oneline(name, text, PEM_NAME_MAX);
    to_printable(text);
    if (text[0] == '\0')
        snprintf(text, PEM_NAME_MAX, "(no name)");
    return text;
}

const char *pem_subject_text(const X509 *cert, char text[PEM_NAME_MAX])
{
    const X509_NAME *name = X509_get_subject_name(cert);
    if (common_name(name, text) || san_first_text(cert, text, PEM_NAME_MAX) > 0)
        return text;
    return pem_name_text(name, text);
}

const char *pem_time_text(int64_t seconds, char text[PEM_TIME_MAX])
{
    time_t t = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || strftime(text, PEM_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(text, PEM_TIME_MAX, "an unknown time");
    return text;
}
