/* SPDX-License-Identifier: Apache-2.0 */
#include "opaque/oprf.h"

#include <string.h>

#include <sodium.h>

#include "base/check.h"

/* CreateContextString(modeOPRF, "ristretto255-SHA512"), 3.1; the mode is a NUL in the middle. */
#define CONTEXT "OPRFV1-\0-ristretto255-SHA512"
#define HASH crypto_hash_sha512_BYTES

static void feed_size(crypto_hash_sha512_state *h, size_t n)
{
    const uint8_t be[2] = {(uint8_t)(n >> 8), (uint8_t)n};
    crypto_hash_sha512_update(h, be, sizeof(be));
}

/* Parts of a message, so that none has to be put together. */
struct part {
    const void *p;
    size_t len;
};

/* expand_message_xmd with SHA-512 (RFC 9380, 5.3.1) for 64 bytes, which is one block. */
static void expand_message(const struct part *parts, size_t count, const char *dst, size_t dst_len,
                           uint8_t ret[HASH])
{
    static const uint8_t zero_block[128];
    static const uint8_t tail[] = {0, HASH, 0}; /* I2OSP(64, 2), I2OSP(0, 1) */
    const uint8_t dst_size = (uint8_t)dst_len;
    uint8_t b0[HASH];
    crypto_hash_sha512_state h;
    CHECK(dst_len <= UINT8_MAX);
    crypto_hash_sha512_init(&h);
    crypto_hash_sha512_update(&h, zero_block, sizeof(zero_block));
    for (size_t i = 0; i < count; i++)
        crypto_hash_sha512_update(&h, parts[i].p, parts[i].len);
    crypto_hash_sha512_update(&h, tail, sizeof(tail));
    crypto_hash_sha512_update(&h, (const uint8_t *)dst, dst_len);
    crypto_hash_sha512_update(&h, &dst_size, 1);
    crypto_hash_sha512_final(&h, b0);

    crypto_hash_sha512_init(&h);
    crypto_hash_sha512_update(&h, b0, sizeof(b0));
    crypto_hash_sha512_update(&h, (const uint8_t *)"\x01", 1);
    crypto_hash_sha512_update(&h, (const uint8_t *)dst, dst_len);
    crypto_hash_sha512_update(&h, &dst_size, 1);
    crypto_hash_sha512_final(&h, ret);
    sodium_memzero(b0, sizeof(b0));
    sodium_memzero(&h, sizeof(h));
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return sodium_is_zero(p, len) == 1;
}

bool oprf_derive_key(const uint8_t seed[OPRF_SEED], const char *info, uint8_t ret_secret[OPRF_SCALAR],
                     uint8_t ret_public[OPRF_ELEMENT])
{
    static const char dst[] = "DeriveKeyPair" CONTEXT;
    const size_t info_len = strlen(info);
    const uint8_t info_size[2] = {(uint8_t)(info_len >> 8), (uint8_t)info_len};
    for (unsigned counter = 0; counter <= UINT8_MAX; counter++) {
        const uint8_t count = (uint8_t)counter;
        const struct part parts[] = {
            {seed, OPRF_SEED}, {info_size, sizeof(info_size)}, {info, info_len}, {&count, 1}};
        uint8_t wide[HASH];
        expand_message(parts, ARRAY_LEN(parts), dst, sizeof(dst) - 1, wide);
        crypto_core_ristretto255_scalar_reduce(ret_secret, wide);
        sodium_memzero(wide, sizeof(wide));
        if (!is_zero(ret_secret, OPRF_SCALAR))
            return ret_public == NULL || crypto_scalarmult_ristretto255_base(ret_public, ret_secret) == 0;
    }
    return false;
}

void oprf_random_scalar(uint8_t ret[OPRF_SCALAR])
{
    crypto_core_ristretto255_scalar_random(ret);
}

bool oprf_blind(const uint8_t *input, size_t len, const uint8_t blind[OPRF_SCALAR], uint8_t ret[OPRF_ELEMENT])
{
    static const char dst[] = "HashToGroup-" CONTEXT;
    uint8_t wide[HASH], element[OPRF_ELEMENT];
    CHECK(len <= UINT16_MAX);
    expand_message(&(struct part){input, len}, 1, dst, sizeof(dst) - 1, wide);
    crypto_core_ristretto255_from_hash(element, wide);
    /* It refuses what comes out as the identity. */
    bool good = crypto_scalarmult_ristretto255(ret, blind, element) == 0;
    sodium_memzero(wide, sizeof(wide));
    sodium_memzero(element, sizeof(element));
    return good;
}

bool oprf_evaluate(const uint8_t key[OPRF_SCALAR], const uint8_t blinded[OPRF_ELEMENT],
                   uint8_t ret[OPRF_ELEMENT])
{
    return crypto_scalarmult_ristretto255(ret, key, blinded) == 0;
}

bool oprf_finalize(const uint8_t *input, size_t len, const uint8_t blind[OPRF_SCALAR],
                   const uint8_t evaluated[OPRF_ELEMENT], uint8_t ret[OPRF_OUTPUT])
{
    uint8_t inverse[OPRF_SCALAR], element[OPRF_ELEMENT];
    crypto_hash_sha512_state h;
    CHECK(len <= UINT16_MAX);
    bool good = crypto_core_ristretto255_scalar_invert(inverse, blind) == 0 &&
                crypto_scalarmult_ristretto255(element, inverse, evaluated) == 0;
    if (good) {
        crypto_hash_sha512_init(&h);
        feed_size(&h, len);
        crypto_hash_sha512_update(&h, input, len);
        feed_size(&h, sizeof(element));
        crypto_hash_sha512_update(&h, element, sizeof(element));
        crypto_hash_sha512_update(&h, (const uint8_t *)"Finalize", 8);
        crypto_hash_sha512_final(&h, ret);
        sodium_memzero(&h, sizeof(h));
    }
    sodium_memzero(inverse, sizeof(inverse));
    sodium_memzero(element, sizeof(element));
    return good;
}
