/* SPDX-License-Identifier: Apache-2.0 */
/* What client and server of OPAQUE compute alike: the key schedule of RFC 9807. */
#ifndef CARDEA_OPAQUE_DERIVE_H
#define CARDEA_OPAQUE_DERIVE_H

#include "opaque/opaque.h"

/* Where the parts of the messages begin. */
enum {
    RECORD_MASKING_KEY = OPAQUE_KEY,
    RECORD_ENVELOPE = OPAQUE_KEY + OPAQUE_HASH,
    KE1_NONCE = 32,
    KE1_KEYSHARE = KE1_NONCE + OPAQUE_NONCE,
    KE2_MASKING_NONCE = 32,
    KE2_MASKED = KE2_MASKING_NONCE + OPAQUE_NONCE,
    KE2_NONCE = KE2_MASKED + OPAQUE_KEY + OPAQUE_ENVELOPE,
    KE2_KEYSHARE = KE2_NONCE + OPAQUE_NONCE,
    KE2_MAC = KE2_KEYSHARE + OPAQUE_KEY,
};

/* HKDF-Expand with SHA-512 (RFC 5869, 2.3); `info` is `before` and `label` one behind the other, at most 512
 * bytes; `len` at most 192. */
void opaque_expand(const uint8_t prk[OPAQUE_HASH], const uint8_t *before, size_t before_len,
                   const char *label, uint8_t *ret, size_t len);

/* HKDF-Extract without salt (RFC 5869, 2.2). */
void opaque_extract(const uint8_t *ikm, size_t len, uint8_t ret[OPAQUE_HASH]);

/* DeriveDiffieHellmanKeyPair, 6.4.1 (for ristretto255). */
bool opaque_derive_key_pair(const uint8_t seed[OPAQUE_KEY], uint8_t ret_secret[OPAQUE_KEY],
                            uint8_t ret_public[OPAQUE_KEY]);

/* The pad that hides the server's key and the envelope in KE2, 6.3.2.2. */
void opaque_unmask(const uint8_t masking_key[OPAQUE_HASH], const uint8_t nonce[OPAQUE_NONCE],
                   const uint8_t in[OPAQUE_KEY + OPAQUE_ENVELOPE], uint8_t ret[OPAQUE_KEY + OPAQUE_ENVELOPE]);

/* The exchange as both see it. */
struct opaque_exchange {
    const struct opaque_names *names;
    const uint8_t *client_public_key;
    const uint8_t *server_public_key;
    const uint8_t *ke1;
    const uint8_t *ke2;
};

struct opaque_keys {
    uint8_t server_mac[OPAQUE_HASH];
    uint8_t client_mac[OPAQUE_HASH];
    uint8_t session_key[OPAQUE_HASH];
};

/* From the three Diffie-Hellman secrets and the exchange (of KE2 all but the MAC): DeriveKeys and the
 * MACs, 6.4.2 to 6.4.4. Only the first OPAQUE_KE2 - OPAQUE_HASH bytes of KE2 are read. */
void opaque_derive_keys(const struct opaque_exchange *x, const uint8_t ikm[3 * OPAQUE_KEY],
                        struct opaque_keys *ret);

/* The identity, or the key where it is empty. */
struct str opaque_identity(struct str name, const uint8_t key[OPAQUE_KEY]);

#endif
