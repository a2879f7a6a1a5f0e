/* SPDX-License-Identifier: Apache-2.0 */
/* A chain that is not a peer's but lies before us as text. */
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/stack.h>

#include "base/buf.h"
#include "base/check.h"
#include "cert/pem.h"
#include "cert/trust.h"

static int add_certificate(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    STACK_OF(CRYPTO_BUFFER) *chain = arg;
    if (!pem_is_certificate(type))
        return 0;
    if (sk_CRYPTO_BUFFER_num(chain) >= TRUST_CHAIN_MAX)
        return err_set(err, "more than %d certificates", TRUST_CHAIN_MAX);
    CRYPTO_BUFFER *buffer = CRYPTO_BUFFER_new(der, len, NULL);
    CHECK(buffer != NULL && sk_CRYPTO_BUFFER_push(chain, buffer) > 0);
    return 0;
}

int trust_verify_pem(const struct trust *trust, const struct buf *pem, int64_t now, struct err *err)
{
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    CHECK(chain != NULL);
    int done = pem_each(pem, add_certificate, chain, err);
    if (done == 0)
        done = trust_verify(trust, chain, TRUST_SERVER, NULL, now, NULL, err);
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    ERR_clear_error();
    return done < 0 ? -1 : 0;
}
