/* SPDX-License-Identifier: Apache-2.0 */
/* The server of OPAQUE: a few multiplications, whoever asks, and no memory of who did. */
#include <string.h>

#include <sodium.h>

#include "base/check.h"
#include "opaque/derive.h"
#include "opaque/oprf.h"

void opaque_random_server(struct opaque_server *ret)
{
    randombytes_buf(ret->oprf_seed, sizeof(ret->oprf_seed));
    oprf_random_scalar(ret->private_key);
    CHECK(opaque_server_complete(ret));
}

bool opaque_server_complete(struct opaque_server *s)
{
    return crypto_scalarmult_ristretto255_base(s->public_key, s->private_key) == 0;
}

void opaque_random_answer(struct opaque_server_random *ret)
{
    randombytes_buf(ret, sizeof(*ret));
}

/* The key of the OPRF for one credential, 5.2.2. */
static bool derive_oprf_key(const struct opaque_server *s, struct str credential, uint8_t ret[OPAQUE_KEY])
{
    uint8_t seed[OPRF_SEED];
    CHECK(credential.len <= OPAQUE_NAME_MAX);
    opaque_expand(s->oprf_seed, (const uint8_t *)credential.p, credential.len, "OprfKey", seed, sizeof(seed));
    bool good = oprf_derive_key(seed, "OPAQUE-DeriveKeyPair", ret, NULL);
    sodium_memzero(seed, sizeof(seed));
    return good;
}

static bool evaluate(const struct opaque_server *s, struct str credential, const uint8_t blinded[OPAQUE_KEY],
                     uint8_t ret[OPAQUE_KEY])
{
    uint8_t key[OPAQUE_KEY];
    bool good = derive_oprf_key(s, credential, key) && oprf_evaluate(key, blinded, ret);
    sodium_memzero(key, sizeof(key));
    return good;
}

bool opaque_register_answer(const struct opaque_server *s, struct str credential,
                            const uint8_t request[OPAQUE_REQUEST], uint8_t ret_response[OPAQUE_RESPONSE])
{
    memcpy(ret_response + OPAQUE_KEY, s->public_key, OPAQUE_KEY);
    return evaluate(s, credential, request, ret_response);
}

bool opaque_record_is_sound(const uint8_t record[OPAQUE_RECORD])
{
    return crypto_core_ristretto255_is_valid_point(record) == 1 && sodium_is_zero(record, OPAQUE_KEY) == 0;
}

void opaque_fake_record(const struct opaque_server *s, struct str credential, uint8_t ret[OPAQUE_RECORD])
{
    uint8_t key[OPAQUE_HASH], wide[OPAQUE_HASH];
    CHECK(credential.len <= OPAQUE_NAME_MAX);
    memset(ret, 0, OPAQUE_RECORD);
    opaque_expand(s->oprf_seed, (const uint8_t *)credential.p, credential.len, "cardea FakeRecord", key,
                  sizeof(key));
    opaque_expand(key, NULL, 0, "PublicKey", wide, sizeof(wide));
    crypto_core_ristretto255_from_hash(ret, wide);
    opaque_expand(key, NULL, 0, "MaskingKey", ret + RECORD_MASKING_KEY, OPAQUE_HASH);
    sodium_memzero(key, sizeof(key));
}

/* The three secrets of 3DH as the server has them, 6.4.4. */
static bool agree(const struct opaque_server *s, const uint8_t keyshare_secret[OPAQUE_KEY],
                  const uint8_t ke1[OPAQUE_KE1], const uint8_t client_key[OPAQUE_KEY],
                  uint8_t ret[3 * OPAQUE_KEY])
{
    const uint8_t *keyshare = ke1 + KE1_KEYSHARE;
    return crypto_scalarmult_ristretto255(ret, keyshare_secret, keyshare) == 0 &&
           crypto_scalarmult_ristretto255(ret + OPAQUE_KEY, s->private_key, keyshare) == 0 &&
           crypto_scalarmult_ristretto255(ret + 2 * OPAQUE_KEY, keyshare_secret, client_key) == 0;
}

bool opaque_login_answer(const struct opaque_server *s, const struct opaque_names *names,
                         struct str credential, const uint8_t record[OPAQUE_RECORD],
                         const uint8_t ke1[OPAQUE_KE1], const struct opaque_server_random *random,
                         uint8_t ret_ke2[OPAQUE_KE2], struct opaque_expected *ret_expected)
{
    uint8_t hidden[OPAQUE_KEY + OPAQUE_ENVELOPE], secret[OPAQUE_KEY], ikm[3 * OPAQUE_KEY];
    struct opaque_keys keys = {0};
    memcpy(hidden, s->public_key, OPAQUE_KEY);
    memcpy(hidden + OPAQUE_KEY, record + RECORD_ENVELOPE, OPAQUE_ENVELOPE);
    memcpy(ret_ke2 + KE2_MASKING_NONCE, random->masking_nonce, OPAQUE_NONCE);
    opaque_unmask(record + RECORD_MASKING_KEY, random->masking_nonce, hidden, ret_ke2 + KE2_MASKED);
    memcpy(ret_ke2 + KE2_NONCE, random->nonce, OPAQUE_NONCE);
    bool good = evaluate(s, credential, ke1, ret_ke2) &&
                opaque_derive_key_pair(random->keyshare_seed, secret, ret_ke2 + KE2_KEYSHARE) &&
                agree(s, secret, ke1, record, ikm);
    if (good) {
        const struct opaque_exchange x = {names, record, s->public_key, ke1, ret_ke2};
        opaque_derive_keys(&x, ikm, &keys);
        memcpy(ret_ke2 + KE2_MAC, keys.server_mac, OPAQUE_HASH);
        memcpy(ret_expected->client_mac, keys.client_mac, OPAQUE_HASH);
        memcpy(ret_expected->session_key, keys.session_key, OPAQUE_HASH);
    } else {
        *ret_expected = (struct opaque_expected){0};
    }
    sodium_memzero(secret, sizeof(secret));
    sodium_memzero(ikm, sizeof(ikm));
    sodium_memzero(&keys, sizeof(keys));
    return good;
}

bool opaque_is_proven(const struct opaque_expected *expected, const uint8_t ke3[OPAQUE_KE3])
{
    return opaque_same(expected->client_mac, ke3, OPAQUE_KE3);
}
