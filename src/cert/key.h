/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys: making them, what kind they are, and their files: PKCS #8 in PEM, encrypted where there is a
 * passphrase (PBES2, RFC 8018). Those that stay in a token are in cert/pkcs11.h. */
#ifndef CARDEA_CERT_KEY_H
#define CARDEA_CERT_KEY_H

#include <stdbool.h>

#include "base/err.h"
#include "base/key_kind.h"
#include "base/str.h"

struct buf;

/* AWS-LC's EVP_PKEY and EVP_MD. */
struct evp_pkey_st;
struct env_md_st;

/* A new key; NULL when that does not work. The caller owns it. */
struct evp_pkey_st *key_make(enum key_kind kind);

/* What a key is, private or public: as key_kind_name() where it is of one of those kinds, else as near to
 * that as it goes ("RSA-1024", "of another kind"). NULL is allowed. Returns `ret`. */
const char *key_describe(const struct evp_pkey_st *key, char ret[KEY_TEXT_MAX]);

/* As AWS-LC has it: EVP_PKEY_EC with the NID of the curve, EVP_PKEY_RSA with the bits, or another type. */
void key_type(enum key_kind kind, int *ret_type, int *ret_parameter);

/* The digest to sign with by this key; NULL for those that bring their own (Ed25519, ML-DSA). */
const struct env_md_st *key_digest(const struct evp_pkey_st *key);

/* Write a key (mode 0600, atomically) to where nothing is yet. An empty passphrase: not encrypted. -1 with
 * `err`. */
int key_write(const struct evp_pkey_st *key, struct str passphrase, const char *path, struct err *err);

/* Read one whose file is kept from other users; `passphrase` is for those that are encrypted. The caller owns
 * it; NULL with `err`, which never holds the passphrase. */
struct evp_pkey_st *key_read(const char *path, struct str passphrase, struct err *err);

/* Read one that is not encrypted, or take one in a token, where `path` is a URI (pkcs11.h). The caller owns
 * it; NULL with `err` naming the file. */
struct evp_pkey_st *key_load(const char *path, struct err *err);

/* Append a private key as PKCS #8 in DER, to be wiped. False when that does not work. */
bool key_put_der(const struct evp_pkey_st *key, struct buf *ret);

/* Read it back. The caller owns it; NULL when it is none. */
struct evp_pkey_st *key_from_der(struct str der);

/* NULL is allowed. */
void key_free(struct evp_pkey_st *key);

/* Is there a key in this file, and encrypted? */
bool key_is_encrypted(const char *path);

#endif
