/* SPDX-License-Identifier: Apache-2.0 */
/* The client of OPAQUE: it alone has the password, and does all of the stretching. */
#include <string.h>

#include <sodium.h>

#include "opaque/derive.h"
#include "opaque/oprf.h"

void opaque_random_client(struct opaque_client_random *ret)
{
    oprf_random_scalar(ret->blind);
    randombytes_buf(ret->nonce, sizeof(ret->nonce));
    randombytes_buf(ret->keyshare_seed, sizeof(ret->keyshare_seed));
}

static bool is_password(struct str password)
{
    return password.len > 0 && password.len <= OPAQUE_PASSWORD_MAX;
}

bool opaque_register_start(struct str password, const struct opaque_client_random *random,
                           struct opaque_client *ret_state, uint8_t ret_request[OPAQUE_REQUEST])
{
    *ret_state = (struct opaque_client){0};
    if (!is_password(password) ||
        !oprf_blind((const uint8_t *)password.p, password.len, random->blind, ret_request))
        return false;
    memcpy(ret_state->blind, random->blind, OPAQUE_KEY);
    memcpy(ret_state->nonce, random->nonce, OPAQUE_NONCE);
    return true;
}

/* Stretch, 7: by Argon2id with an empty salt, as each password has a key of the OPRF for its own. */
static bool stretch_output(const uint8_t output[OPAQUE_HASH], const struct opaque_stretch *stretch,
                           uint8_t ret[OPAQUE_HASH])
{
    static const uint8_t no_salt[crypto_pwhash_argon2id_SALTBYTES];
    if (stretch->passes == 0 && stretch->memory == 0) {
        memcpy(ret, output, OPAQUE_HASH);
        return true;
    }
    return crypto_pwhash_argon2id(ret, OPAQUE_HASH, (const char *)output, OPAQUE_HASH, no_salt,
                                  stretch->passes, stretch->memory,
                                  crypto_pwhash_argon2id_ALG_ARGON2ID13) == 0;
}

/* randomized_password, 5.2.3 and 6.3.2.3. */
static bool randomize(struct str password, const uint8_t blind[OPAQUE_KEY],
                      const uint8_t evaluated[OPAQUE_KEY], const struct opaque_stretch *stretch,
                      uint8_t ret[OPAQUE_HASH])
{
    uint8_t both[2 * OPAQUE_HASH];
    bool good = is_password(password) &&
                oprf_finalize((const uint8_t *)password.p, password.len, blind, evaluated, both) &&
                stretch_output(both, stretch, both + OPAQUE_HASH);
    if (good)
        opaque_extract(both, sizeof(both), ret);
    sodium_memzero(both, sizeof(both));
    return good;
}

/* What the envelope of a password holds and hides (4.1): nothing is in it but a nonce and a MAC, the key
 * comes from the password. */
struct opened {
    uint8_t auth_tag[OPAQUE_HASH];
    uint8_t export_key[OPAQUE_HASH];
    uint8_t private_key[OPAQUE_KEY];
    uint8_t public_key[OPAQUE_KEY];
};

static void feed_identity(crypto_auth_hmacsha512_state *h, struct str id)
{
    const uint8_t size[2] = {(uint8_t)(id.len >> 8), (uint8_t)id.len};
    crypto_auth_hmacsha512_update(h, size, sizeof(size));
    crypto_auth_hmacsha512_update(h, (const uint8_t *)id.p, id.len);
}

static bool open_envelope(const uint8_t randomized[OPAQUE_HASH], const uint8_t nonce[OPAQUE_NONCE],
                          const uint8_t server_key[OPAQUE_KEY], const struct opaque_names *names,
                          struct opened *ret)
{
    uint8_t auth_key[OPAQUE_HASH], seed[OPAQUE_KEY];
    opaque_expand(randomized, nonce, OPAQUE_NONCE, "AuthKey", auth_key, sizeof(auth_key));
    opaque_expand(randomized, nonce, OPAQUE_NONCE, "ExportKey", ret->export_key, sizeof(ret->export_key));
    opaque_expand(randomized, nonce, OPAQUE_NONCE, "PrivateKey", seed, sizeof(seed));
    bool good = opaque_derive_key_pair(seed, ret->private_key, ret->public_key);

    crypto_auth_hmacsha512_state h;
    crypto_auth_hmacsha512_init(&h, auth_key, sizeof(auth_key));
    crypto_auth_hmacsha512_update(&h, nonce, OPAQUE_NONCE);
    crypto_auth_hmacsha512_update(&h, server_key, OPAQUE_KEY);
    feed_identity(&h, opaque_identity(names->server, server_key));
    feed_identity(&h, opaque_identity(names->client, ret->public_key));
    crypto_auth_hmacsha512_final(&h, ret->auth_tag);
    sodium_memzero(&h, sizeof(h));
    sodium_memzero(auth_key, sizeof(auth_key));
    sodium_memzero(seed, sizeof(seed));
    return good;
}

bool opaque_register_finish(const struct opaque_client *state, struct str password,
                            const struct opaque_names *names, const struct opaque_stretch *stretch,
                            const uint8_t response[OPAQUE_RESPONSE], uint8_t ret_record[OPAQUE_RECORD],
                            uint8_t ret_export_key[OPAQUE_HASH])
{
    uint8_t randomized[OPAQUE_HASH] = {0};
    struct opened opened = {0};
    const uint8_t *server_key = response + OPAQUE_KEY;
    bool good = randomize(password, state->blind, response, stretch, randomized) &&
                crypto_core_ristretto255_is_valid_point(server_key) == 1 &&
                open_envelope(randomized, state->nonce, server_key, names, &opened);
    if (good) {
        uint8_t *envelope = ret_record + RECORD_ENVELOPE;
        memcpy(ret_record, opened.public_key, OPAQUE_KEY);
        opaque_expand(randomized, NULL, 0, "MaskingKey", ret_record + RECORD_MASKING_KEY, OPAQUE_HASH);
        memcpy(envelope, state->nonce, OPAQUE_NONCE);
        memcpy(envelope + OPAQUE_NONCE, opened.auth_tag, OPAQUE_HASH);
        if (ret_export_key != NULL)
            memcpy(ret_export_key, opened.export_key, OPAQUE_HASH);
    }
    sodium_memzero(randomized, sizeof(randomized));
    sodium_memzero(&opened, sizeof(opened));
    return good;
}

bool opaque_login_start(struct str password, const struct opaque_client_random *random,
                        struct opaque_client *ret_state, uint8_t ret_ke1[OPAQUE_KE1])
{
    *ret_state = (struct opaque_client){0};
    memcpy(ret_state->blind, random->blind, OPAQUE_KEY);
    memcpy(ret_ke1 + KE1_NONCE, random->nonce, OPAQUE_NONCE);
    if (!is_password(password) ||
        !oprf_blind((const uint8_t *)password.p, password.len, random->blind, ret_ke1) ||
        !opaque_derive_key_pair(random->keyshare_seed, ret_state->keyshare_secret, ret_ke1 + KE1_KEYSHARE))
        return false;
    memcpy(ret_state->ke1, ret_ke1, OPAQUE_KE1);
    return true;
}

/* The three secrets of 3DH as the client has them, 6.4.3. */
static bool agree(const struct opaque_client *state, const uint8_t ke2[OPAQUE_KE2],
                  const uint8_t server_key[OPAQUE_KEY], const uint8_t private_key[OPAQUE_KEY],
                  uint8_t ret[3 * OPAQUE_KEY])
{
    const uint8_t *keyshare = ke2 + KE2_KEYSHARE;
    return crypto_scalarmult_ristretto255(ret, state->keyshare_secret, keyshare) == 0 &&
           crypto_scalarmult_ristretto255(ret + OPAQUE_KEY, state->keyshare_secret, server_key) == 0 &&
           crypto_scalarmult_ristretto255(ret + 2 * OPAQUE_KEY, private_key, keyshare) == 0;
}

/* With the randomized password known: open the envelope, and prove both sides. */
static bool recover(const struct opaque_client *state, const uint8_t randomized[OPAQUE_HASH],
                    const struct opaque_names *names, const uint8_t ke2[OPAQUE_KE2],
                    struct opaque_keys *ret_keys, struct opened *ret_opened)
{
    uint8_t masking_key[OPAQUE_HASH], plain[OPAQUE_KEY + OPAQUE_ENVELOPE], ikm[3 * OPAQUE_KEY];
    const uint8_t *server_key = plain, *envelope = plain + OPAQUE_KEY;
    opaque_expand(randomized, NULL, 0, "MaskingKey", masking_key, sizeof(masking_key));
    opaque_unmask(masking_key, ke2 + KE2_MASKING_NONCE, ke2 + KE2_MASKED, plain);
    bool good = open_envelope(randomized, envelope, server_key, names, ret_opened) &&
                opaque_same(ret_opened->auth_tag, envelope + OPAQUE_NONCE, OPAQUE_HASH) &&
                agree(state, ke2, server_key, ret_opened->private_key, ikm);
    if (good) {
        const struct opaque_exchange x = {names, ret_opened->public_key, server_key, state->ke1, ke2};
        opaque_derive_keys(&x, ikm, ret_keys);
        good = opaque_same(ret_keys->server_mac, ke2 + KE2_MAC, OPAQUE_HASH);
    }
    sodium_memzero(masking_key, sizeof(masking_key));
    sodium_memzero(plain, sizeof(plain));
    sodium_memzero(ikm, sizeof(ikm));
    return good;
}

bool opaque_login_finish(const struct opaque_client *state, struct str password,
                         const struct opaque_names *names, const struct opaque_stretch *stretch,
                         const uint8_t ke2[OPAQUE_KE2], uint8_t ret_ke3[OPAQUE_KE3],
                         struct opaque_secrets *ret_secrets)
{
    uint8_t randomized[OPAQUE_HASH] = {0};
    struct opaque_keys keys = {0};
    struct opened opened = {0};
    bool good = randomize(password, state->blind, ke2, stretch, randomized) &&
                recover(state, randomized, names, ke2, &keys, &opened);
    if (good) {
        memcpy(ret_ke3, keys.client_mac, OPAQUE_KE3);
        memcpy(ret_secrets->session_key, keys.session_key, OPAQUE_HASH);
        memcpy(ret_secrets->export_key, opened.export_key, OPAQUE_HASH);
    }
    sodium_memzero(randomized, sizeof(randomized));
    sodium_memzero(&keys, sizeof(keys));
    sodium_memzero(&opened, sizeof(opened));
    return good;
}
