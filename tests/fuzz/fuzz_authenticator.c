/* SPDX-License-Identifier: Apache-2.0 */
/* tls/authenticator.h: a request after its length in two bytes, then an authenticator, both of a peer's.
 * Whatever they are, there is a verdict with a reason, the same the next time, and nobody who does not know
 * the connection's values has an identity. A request that can be read is answered by an empty authenticator,
 * which is one. */
#include <openssl/pool.h>

#include "base/check.h"
#include "base/cursor.h"
#include "tls/authenticator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void answer(const struct authenticator_terms *terms)
{
    struct buf made = {0};
    struct err err = {""};
    STACK_OF(CRYPTO_BUFFER) * chain;
    struct str context;
    if (terms->request.len == 0 || authenticator_make(terms, NULL, &made, &err) != 0)
        return;
    struct str message = {(const char *)made.data, made.len};
    CHECK(authenticator_validate(terms, message, &chain, &err) == AUTHENTICATOR_REFUSED);
    CHECK(authenticator_context(terms->request, &context, &err) == 0);
    buf_free(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct authenticator_keys keys = {.hash = 32, .context = {1}, .finished = {2}};
    static const uint16_t schemes[] = {0x0403, 0x0804};
    struct cursor c = cursor_of(data, len), request;
    if (!cursor_vector(&c, 2, &request))
        return 0;
    struct str message = {(const char *)c.p, cursor_left(&c)}, context;
    for (int sender = AUTHENTICATOR_CLIENT; sender <= AUTHENTICATOR_SERVER; sender++) {
        struct authenticator_terms terms = {.keys = &keys,
                                            .sender = (enum authenticator_sender)sender,
                                            .request = {(const char *)request.p, cursor_left(&request)},
                                            .schemes = schemes,
                                            .schemes_len = 2};
        struct err err = {""}, again = {""};
        STACK_OF(CRYPTO_BUFFER) * chain;
        enum authenticator_verdict verdict = authenticator_validate(&terms, message, &chain, &err);
        CHECK(verdict == AUTHENTICATOR_GOOD || (chain == NULL && err.text[0] != '\0'));
        sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
        CHECK(authenticator_validate(&terms, message, &chain, &again) == verdict);
        sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
        if (authenticator_context(message, &context, &err) == 0)
            CHECK(context.len <= 255);
        answer(&terms);
    }
    return 0;
}
