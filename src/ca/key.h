/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys of the CA, and their files: PKCS #8 in PEM, encrypted where there is a passphrase (PBES2, RFC
 * 8018). */
#ifndef CARDEA_CA_KEY_H
#define CARDEA_CA_KEY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "ca/ca.h"

/* A new key; NULL when that does not work. The caller owns it. */
struct evp_pkey_st *ca_key_make(enum ca_key_kind kind);

/* "p256", "p384", "ed25519", "rsa2048", "rsa3072", "mldsa44", "mldsa65", "mldsa87". False where there is no
 * such kind. */
const char *ca_key_name(enum ca_key_kind kind);
bool ca_key_parse(const char *name, enum ca_key_kind *ret);

/* As AWS-LC has it: EVP_PKEY_EC with the NID of the curve, EVP_PKEY_RSA with the bits, or another type. */
void ca_key_type(enum ca_key_kind kind, int *ret_type, int *ret_parameter);

/* Write a key (mode 0600, atomically) to where nothing is yet. An empty passphrase: not encrypted. -1 with
 * `err`. */
int ca_key_write(const struct evp_pkey_st *key, struct str passphrase, const char *path, struct err *err);

/* Read one whose file is kept from other users; `passphrase` is for those that are encrypted. The caller owns
 * it; NULL with `err`, which never holds the passphrase. */
struct evp_pkey_st *ca_key_read(const char *path, struct str passphrase, struct err *err);

/* Append a private key as PKCS #8 in DER, to be wiped. False when that does not work. */
bool ca_key_put_der(const struct evp_pkey_st *key, struct buf *ret);

/* Read it back. The caller owns it; NULL when it is none. */
struct evp_pkey_st *ca_key_from_der(struct str der);

/* NULL is allowed. */
void ca_key_free(struct evp_pkey_st *key);

/* Is there a key in this file, and encrypted? */
bool ca_key_is_encrypted(const char *path);

#endif
