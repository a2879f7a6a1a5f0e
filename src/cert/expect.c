/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/expect.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include "base/base64.h"
#include "base/check.h"
#include "cert/identity.h"
#include "cert/pem.h"

static int refuse(struct trust_refusal *ret)
{
    *ret = (struct trust_refusal){ALERT_BAD_CERTIFICATE, FAULT_OTHER};
    return -1;
}

/* ---- URI and issuer ---- */

bool expect_uri_matches(const char *expected, const char *uri)
{
    size_t len = strlen(expected);
    if (len < 2 || strcmp(expected + len - 2, "/*") != 0)
        return strcmp(expected, uri) == 0;
    return strncmp(expected, uri, len - 1) == 0 && uri[len - 1] != '\0';
}

/* The first of a kind; NULL when there is none. */
static const char *first_fact(const struct identity *id, enum identity_kind kind)
{
    for (uint32_t i = 0; i < id->count; i++)
        if (id->facts[i].kind == kind)
            return id->facts[i].value;
    return NULL;
}

static bool has_uri(const struct identity *id, const char *expected)
{
    for (uint32_t i = 0; i < id->count; i++)
        if (id->facts[i].kind == IDENTITY_URI && expect_uri_matches(expected, id->facts[i].value))
            return true;
    return false;
}

int expect_identity(const struct expect *e, const struct identity *id, struct trust_refusal *ret,
                    struct err *err)
{
    CHECK_MAGIC(id, IDENTITY_MAGIC);
    const char *issuer = first_fact(id, IDENTITY_ISSUER), *uri = first_fact(id, IDENTITY_URI);
    if (e->uri != NULL && !has_uri(id, e->uri)) {
        err_set(err, "certificate '%s' has %s%s among its subject alternative names, expected %s",
                identity_label(id), uri == NULL ? "no URI" : "the URI ", uri == NULL ? "" : uri, e->uri);
        return refuse(ret);
    }
    if (e->issuer != NULL && (issuer == NULL || strcmp(issuer, e->issuer) != 0)) {
        err_set(err, "certificate '%s' was issued by '%s', expected '%s'", identity_label(id),
                issuer == NULL ? "" : issuer, e->issuer);
        return refuse(ret);
    }
    return 0;
}

/* ---- pins ---- */

static bool is_pinned(const struct expect *e, const uint8_t pin[EXPECT_PIN_LEN])
{
    for (size_t i = 0; i < e->pins_len; i++)
        if (memcmp(e->pins[i], pin, EXPECT_PIN_LEN) == 0)
            return true;
    return false;
}

static int hold_against_pins(const struct expect *e, X509 *leaf, struct trust_refusal *ret, struct err *err)
{
    uint8_t pin[EXPECT_PIN_LEN];
    struct buf text = {0};
    char subject[PEM_NAME_MAX];
    if (leaf == NULL || !pem_pin(leaf, pin)) {
        err_set(err, "the certificate that was sent cannot be read");
        return refuse(ret);
    }
    if (is_pinned(e, pin))
        return 0;
    CHECK(base64_put(&text, pin, sizeof(pin)));
    err_set(err, "the key of certificate '%s' has the pin sha256//%s, expected %s",
            pem_subject_text(leaf, subject), buf_text(&text), e->pins_len == 1 ? "another" : "one of others");
    buf_free(&text);
    return refuse(ret);
}

int expect_pin(const struct expect *e, const STACK_OF(CRYPTO_BUFFER) * chain, struct trust_refusal *ret,
               struct err *err)
{
    if (e->pins_len == 0)
        return 0;
    if (chain == NULL || sk_CRYPTO_BUFFER_num(chain) == 0) {
        err_set(err, "no certificate was sent");
        return refuse(ret);
    }
    X509 *leaf = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, 0));
    int rc = hold_against_pins(e, leaf, ret, err);
    X509_free(leaf);
    ERR_clear_error();
    return rc;
}
