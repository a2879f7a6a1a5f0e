/* SPDX-License-Identifier: Apache-2.0 */
/* Keyed hash for tables whose keys strangers choose. */
#ifndef CARDEA_BASE_HASH_H
#define CARDEA_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t k0, k1;
};

/* SipHash-1-3 of `len` bytes (Aumasson and Bernstein, 2012; the reduced rounds that Rust and the Linux kernel
 * use). */
uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len);

/* A key from the kernel's random source. */
struct hash_key hash_random_key(void);

#endif
