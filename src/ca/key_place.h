/* SPDX-License-Identifier: Apache-2.0 */
/* Where a key of an authority is: in its file, perhaps encrypted, or in a token, and then the file has
 * nothing but the key's URI (RFC 7512) in one line. */
#ifndef CARDEA_CA_KEY_PLACE_H
#define CARDEA_CA_KEY_PLACE_H

#include "base/err.h"
#include "base/str.h"
#include "ca/ca.h"

#define KEY_URI_MAX 1024 /* bytes, with the NUL behind it */

/* What opens keys: those that are encrypted, and those in a token whose URI does not say where the PIN is. */
struct key_secrets {
    struct str passphrase, pin;
};

enum key_place_kind {
    KEY_PLACE_PLAIN, /* also where there is no file: reading it will tell */
    KEY_PLACE_ENCRYPTED,
    KEY_PLACE_TOKEN
};

/* Where is the key of this file? `ret_uri` gets the URI of one in a token; else it is empty. */
enum key_place_kind key_place_look(const char *path, char ret_uri[KEY_URI_MAX]);

/* Read it. `secrets` may be NULL. The caller owns it; NULL with `err`. */
struct evp_pkey_st *key_place_read(const char *path, const struct key_secrets *secrets, struct err *err);

/* Write down that the key of this file is in a token. Nothing must be there. -1 with `err`. */
int key_place_write_uri(const char *path, const char *uri, struct err *err);

/* What to have for a key: one of a file where `uri` is NULL, else that of the token, which with `make` is
 * made there. ML-DSA and Ed25519 keys are not to be had in tokens. The caller owns it; NULL with `err`. */
struct evp_pkey_st *key_place_take(const char *uri, bool make, enum key_kind kind, struct str pin,
                                   struct err *err);

#endif
