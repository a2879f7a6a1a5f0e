/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of answers of a played ACME server (acme_played.h), by unit tests. */
#ifndef CARDEA_TESTS_UNIT_ACME_ASSERTS_H
#define CARDEA_TESTS_UNIT_ACME_ASSERTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "acme_played.h"

#define NEW_ACCOUNT PLAYED_URL "/new-account"
#define NEW_ORDER PLAYED_URL "/new-order"

/* The last answer is this problem. */
static inline void assert_problem(const struct played *w, unsigned status, const char *word)
{
    const char *type = played_text(w, "type");
    if (w->status != status || strncmp(type, "urn:ietf:params:acme:error:", 27) != 0 ||
        strcmp(type + 27, word) != 0)
        fail_msg("expected %u %s, found %u %s", status, word, w->status, w->text);
}

static inline void assert_status(const struct played *w, unsigned status)
{
    if (w->status != status)
        fail_msg("expected %u, found %u %s", status, w->status, w->text);
}

/* newAccount's payload with a binding by `secret`, of the key `of`. */
static inline char *bound(EVP_PKEY *of, const char *kid, const char *secret, const char *url)
{
    struct buf jwk = {0}, inner = {0}, payload = {0};
    struct jws_header header = {.kid = kid, .url = url};
    assert_true(jwk_put(of, &jwk));
    assert_int_equal(jws_sign_mac((const uint8_t *)secret, strlen(secret), &header,
                                  (struct str){(char *)jwk.data, jwk.len}, &inner, NULL),
                     0);
    assert_true(buf_printf(&payload, "{\"externalAccountBinding\":%s}", buf_text(&inner)));
    buf_free(&jwk);
    buf_free(&inner);
    return buf_text(&payload);
}

#endif
