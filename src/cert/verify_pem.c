/* SPDX-License-Identifier: Apache-2.0 */
/* A chain that is not a peer's but lies before us as text. */
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/stack.h>

#include "base/buf.h"
#include "base/check.h"
#include "cert/identity.h"
#include "cert/pem.h"
#include "cert/trust_internal.h"

struct reading {
    STACK_OF(CRYPTO_BUFFER) * chain;
    size_t max;
};

static int add_certificate(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    struct reading *r = arg;
    if (!pem_is_certificate(type))
        return 0;
    if (sk_CRYPTO_BUFFER_num(r->chain) >= r->max)
        return err_set(err, "more than %zu certificates", r->max);
    CRYPTO_BUFFER *buffer = CRYPTO_BUFFER_new(der, len, NULL);
    CHECK(buffer != NULL && sk_CRYPTO_BUFFER_push(r->chain, buffer) > 0);
    return 0;
}

int trust_read_pem(const struct buf *pem, size_t max, STACK_OF(CRYPTO_BUFFER) * ret, struct err *err)
{
    int rc = pem_each(pem, add_certificate, &(struct reading){ret, max}, err);
    ERR_clear_error();
    return rc;
}

int trust_verify_pem(const struct trust *trust, const struct buf *pem, const char *host, int64_t now,
                     struct err *err)
{
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    CHECK(chain != NULL);
    int done = trust_read_pem(pem, TRUST_CHAIN_MAX, chain, err);
    if (done == 0)
        done = trust_verify(trust, chain, TRUST_SERVER, host, now, NULL, err);
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    return done < 0 ? -1 : 0;
}

struct identity *trust_identity_pem(const struct trust *trust, const struct buf *pem, int64_t now,
                                    struct trust_refusal *ret, struct err *err)
{
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    struct identity *id = NULL;
    CHECK(chain != NULL);
    *ret = (struct trust_refusal){.alert = ALERT_BAD_CERTIFICATE};
    int done = trust_read_pem(pem, TRUST_CHAIN_MAX, chain, err);
    if (done == 0 && sk_CRYPTO_BUFFER_num(chain) == 0)
        done = err_set(err, "no certificate in PEM");
    if (done == 0)
        done = trust_verify(trust, chain, TRUST_CLIENT, NULL, now, ret, err);
    if (done == 0) {
        const CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(chain, 0);
        id = identity_from_der(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf), err);
    }
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    return id;
}
