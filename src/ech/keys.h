/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a client-facing server: ECHConfigs, each with its private key. Keys and sets of them never
 * change once made; any number of threads may open with one at once. Keys are shared by reference count. */
#ifndef CARDEA_ECH_KEYS_H
#define CARDEA_ECH_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "ech/config.h"

struct evp_hpke_key_st;
struct ssl_ctx_st;

/* A config and its private key. */
struct ech_key;

/* A new one, for X25519, HKDF-SHA256 and the AEADs that the TLS library knows. `id` is config_id: another for
 * each that is in use. `longest_name` (0: not told) is what clients pad the names to. NULL with `err` when
 * the name is none that may stand there (RFC 9849, 4). The caller owns a reference. */
struct ech_key *ech_key_make(uint8_t id, const char *public_name, uint8_t longest_name, struct err *err);

/* Read a PEM text of a private key and an ECHConfigList (RFC 9934). The key goes with the first config of the
 * list that has its public key. The caller owns a reference; NULL with `err`. */
struct ech_key *ech_key_read(const struct buf *pem, struct err *err);

/* Append the same in PEM: a secret. */
bool ech_key_write(const struct ech_key *key, struct buf *pem);

struct ech_key *ech_key_ref(struct ech_key *key);
void ech_key_unref(struct ech_key *key);

/* Borrowed from the key. */
const struct ech_config *ech_key_config(const struct ech_key *key);

/* Append an ECHConfigList of that key's config alone. */
void ech_key_list(const struct ech_key *key, struct buf *list);

/* ---- sets ---- */

struct ech_keys;

/* Most that a set may have. */
#define ECH_KEYS_MAX 48

/* A set of `n` (1 to ECH_KEYS_MAX), best first; references are taken. `offered` of them, from the front, are
 * what is published and told to clients whose config is stale (retry_configs): 1 to n. The caller owns
 * it. */
struct ech_keys *ech_keys_new(struct ech_key *const *keys, size_t n, size_t offered);

/* NULL is allowed. */
void ech_keys_free(struct ech_keys *set);

size_t ech_keys_count(const struct ech_keys *set);

/* Borrowed from the set; i < count. */
const struct ech_key *ech_keys_at(const struct ech_keys *set, size_t i);

/* The ECHConfigList of those offered: what an HTTPS record holds (`ech`). Borrowed from the set. */
struct cursor ech_keys_offered(const struct ech_keys *set);

/* Let a server's context tell the keys that are offered to clients whose config is stale, and open for itself
 * what comes to it unopened. While others use the context, too. */
void ech_keys_attach(const struct ech_keys *set, struct ssl_ctx_st *ctx);

/* Private to ech/: the HPKE key. */
const struct evp_hpke_key_st *ech_key_secret(const struct ech_key *key);

#endif
