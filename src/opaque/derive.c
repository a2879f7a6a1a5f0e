/* SPDX-License-Identifier: Apache-2.0 */
#include "opaque/derive.h"

#include <string.h>

#include <sodium.h>

#include "base/check.h"
#include "base/cursor.h"
#include "opaque/oprf.h"

const struct opaque_stretch opaque_stretch_default = {.passes = 3, .memory = (size_t)64 << 20};

bool opaque_init(void)
{
    return sodium_init() >= 0;
}

void opaque_wipe(void *p, size_t len)
{
    sodium_memzero(p, len);
}

bool opaque_same(const uint8_t *a, const uint8_t *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

static void mac(const uint8_t key[OPAQUE_HASH], const uint8_t *data, size_t len, uint8_t ret[OPAQUE_HASH])
{
    crypto_auth_hmacsha512_state h;
    crypto_auth_hmacsha512_init(&h, key, OPAQUE_HASH);
    crypto_auth_hmacsha512_update(&h, data, len);
    crypto_auth_hmacsha512_final(&h, ret);
    sodium_memzero(&h, sizeof(h));
}

void opaque_extract(const uint8_t *ikm, size_t len, uint8_t ret[OPAQUE_HASH])
{
    static const uint8_t no_salt[OPAQUE_HASH];
    mac(no_salt, ikm, len, ret);
}

void opaque_expand(const uint8_t prk[OPAQUE_HASH], const uint8_t *before, size_t before_len,
                   const char *label, uint8_t *ret, size_t len)
{
    uint8_t block[OPAQUE_HASH];
    crypto_auth_hmacsha512_state h;
    CHECK(len <= (size_t)UINT8_MAX * OPAQUE_HASH);
    for (uint8_t i = 1; len > 0; i++) {
        crypto_auth_hmacsha512_init(&h, prk, OPAQUE_HASH);
        if (i > 1)
            crypto_auth_hmacsha512_update(&h, block, sizeof(block));
        if (before_len > 0)
            crypto_auth_hmacsha512_update(&h, before, before_len);
        crypto_auth_hmacsha512_update(&h, (const uint8_t *)label, strlen(label));
        crypto_auth_hmacsha512_update(&h, &i, 1);
        crypto_auth_hmacsha512_final(&h, block);
        size_t n = len < sizeof(block) ? len : sizeof(block);
        memcpy(ret, block, n);
        ret += n;
        len -= n;
    }
    sodium_memzero(&h, sizeof(h));
    sodium_memzero(block, sizeof(block));
}

bool opaque_derive_key_pair(const uint8_t seed[OPAQUE_KEY], uint8_t ret_secret[OPAQUE_KEY],
                            uint8_t ret_public[OPAQUE_KEY])
{
    return oprf_derive_key(seed, "OPAQUE-DeriveDiffieHellmanKeyPair", ret_secret, ret_public);
}

void opaque_unmask(const uint8_t masking_key[OPAQUE_HASH], const uint8_t nonce[OPAQUE_NONCE],
                   const uint8_t in[OPAQUE_KEY + OPAQUE_ENVELOPE], uint8_t ret[OPAQUE_KEY + OPAQUE_ENVELOPE])
{
    uint8_t pad[OPAQUE_KEY + OPAQUE_ENVELOPE];
    opaque_expand(masking_key, nonce, OPAQUE_NONCE, "CredentialResponsePad", pad, sizeof(pad));
    for (size_t i = 0; i < sizeof(pad); i++)
        ret[i] = in[i] ^ pad[i];
    sodium_memzero(pad, sizeof(pad));
}

struct str opaque_identity(struct str name, const uint8_t key[OPAQUE_KEY])
{
    return name.len > 0 ? name : (struct str){(const char *)key, OPAQUE_KEY};
}

static void feed_sized(crypto_hash_sha512_state *h, struct str s)
{
    const uint8_t size[2] = {(uint8_t)(s.len >> 8), (uint8_t)s.len};
    crypto_hash_sha512_update(h, size, sizeof(size));
    if (s.len > 0)
        crypto_hash_sha512_update(h, (const uint8_t *)s.p, s.len);
}

/* Preamble, 6.4.2, into a hash. */
static void feed_preamble(crypto_hash_sha512_state *h, const struct opaque_exchange *x)
{
    crypto_hash_sha512_update(h, (const uint8_t *)"OPAQUEv1-", 9);
    feed_sized(h, x->names->context);
    feed_sized(h, opaque_identity(x->names->client, x->client_public_key));
    crypto_hash_sha512_update(h, x->ke1, OPAQUE_KE1);
    feed_sized(h, opaque_identity(x->names->server, x->server_public_key));
    crypto_hash_sha512_update(h, x->ke2, KE2_MAC);
}

/* Derive-Secret, 6.4.2.1. `transcript` is a hash, or empty. */
static void derive_secret(const uint8_t secret[OPAQUE_HASH], const char *label, struct str transcript,
                          uint8_t ret[OPAQUE_HASH])
{
    char info[2 + 1 + UINT8_MAX + 1 + OPAQUE_HASH];
    struct writer w = writer_of(info, sizeof(info));
    writer_uint(&w, 2, OPAQUE_HASH);
    writer_uint(&w, 1, strlen("OPAQUE-") + strlen(label));
    writer_bytes(&w, "OPAQUE-", 7);
    writer_bytes(&w, label, strlen(label));
    writer_uint(&w, 1, transcript.len);
    writer_bytes(&w, transcript.p, transcript.len);
    CHECK(!w.full);
    opaque_expand(secret, (uint8_t *)info, (size_t)(w.p - (uint8_t *)info), "", ret, OPAQUE_HASH);
}

void opaque_derive_keys(const struct opaque_exchange *x, const uint8_t ikm[3 * OPAQUE_KEY],
                        struct opaque_keys *ret)
{
    uint8_t prk[OPAQUE_HASH], handshake[OPAQUE_HASH], mac_key[OPAQUE_HASH], digest[OPAQUE_HASH];
    const struct str transcript = {(const char *)digest, sizeof(digest)}, nothing = {NULL, 0};
    crypto_hash_sha512_state preamble, h;
    crypto_hash_sha512_init(&preamble);
    feed_preamble(&preamble, x);
    h = preamble;
    crypto_hash_sha512_final(&h, digest);

    opaque_extract(ikm, (size_t)3 * OPAQUE_KEY, prk);
    derive_secret(prk, "HandshakeSecret", transcript, handshake);
    derive_secret(prk, "SessionKey", transcript, ret->session_key);
    derive_secret(handshake, "ServerMAC", nothing, mac_key);
    mac(mac_key, digest, sizeof(digest), ret->server_mac);

    /* The client's covers the server's too. */
    crypto_hash_sha512_update(&preamble, ret->server_mac, sizeof(ret->server_mac));
    crypto_hash_sha512_final(&preamble, digest);
    derive_secret(handshake, "ClientMAC", nothing, mac_key);
    mac(mac_key, digest, sizeof(digest), ret->client_mac);
    sodium_memzero(prk, sizeof(prk));
    sodium_memzero(handshake, sizeof(handshake));
    sodium_memzero(mac_key, sizeof(mac_key));
}

void opaque_bind(const uint8_t session_key[OPAQUE_HASH], const char *label, const struct str *parts,
                 size_t count, uint8_t ret[OPAQUE_HASH])
{
    uint8_t key[OPAQUE_HASH];
    crypto_auth_hmacsha512_state h;
    opaque_expand(session_key, NULL, 0, label, key, sizeof(key));
    crypto_auth_hmacsha512_init(&h, key, sizeof(key));
    for (size_t i = 0; i < count; i++) {
        uint8_t size[8];
        struct writer w = writer_of(size, sizeof(size));
        writer_uint(&w, 8, parts[i].len);
        crypto_auth_hmacsha512_update(&h, size, sizeof(size));
        if (parts[i].len > 0)
            crypto_auth_hmacsha512_update(&h, (const uint8_t *)parts[i].p, parts[i].len);
    }
    crypto_auth_hmacsha512_final(&h, ret);
    sodium_memzero(&h, sizeof(h));
    sodium_memzero(key, sizeof(key));
}
