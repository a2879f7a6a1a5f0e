/* SPDX-License-Identifier: Apache-2.0 */
/* An oblivious pseudorandom function: RFC 9497, mode OPRF, suite ristretto255-SHA512. A client learns F(key,
 * input) from a server that learns neither input nor output. Scalars and elements are 32 bytes as RFC 9496
 * writes them. */
#ifndef CARDEA_OPAQUE_OPRF_H
#define CARDEA_OPAQUE_OPRF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPRF_SCALAR 32
#define OPRF_ELEMENT 32
#define OPRF_OUTPUT 64
#define OPRF_SEED 32

/* The key that belongs to `seed` and `info` (DeriveKeyPair, 3.2.1). `ret_public` may be NULL. False never
 * happens but for one seed in 2^252 to the power of 256. */
bool oprf_derive_key(const uint8_t seed[OPRF_SEED], const char *info, uint8_t ret_secret[OPRF_SCALAR],
                     uint8_t ret_public[OPRF_ELEMENT]);

/* A blind for oprf_blind(), uniform and not zero. */
void oprf_random_scalar(uint8_t ret[OPRF_SCALAR]);

/* What the client sends (Blind, 3.3.1). `len` is at most 65535. False for an input that hashes to the
 * identity, or a blind of zero. */
bool oprf_blind(const uint8_t *input, size_t len, const uint8_t blind[OPRF_SCALAR],
                uint8_t ret[OPRF_ELEMENT]);

/* What the server answers (BlindEvaluate, 3.3.1). False where `blinded` is no canonical element, or the
 * identity. */
bool oprf_evaluate(const uint8_t key[OPRF_SCALAR], const uint8_t blinded[OPRF_ELEMENT],
                   uint8_t ret[OPRF_ELEMENT]);

/* The output, from what the server has answered (Finalize, 3.3.1). False as oprf_evaluate(). */
bool oprf_finalize(const uint8_t *input, size_t len, const uint8_t blind[OPRF_SCALAR],
                   const uint8_t evaluated[OPRF_ELEMENT], uint8_t ret[OPRF_OUTPUT]);

#endif
