/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys that do not leave a token: a smart card, an HSM, a TPM, whatever has a PKCS#11 module that
 * p11-kit knows. A key is named by a URI (RFC 7512) where else the path of its file stands. */
#ifndef CARDEA_CERT_PKCS11_H
#define CARDEA_CERT_PKCS11_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct evp_pkey_st;

/* Does it begin with "pkcs11:"? */
bool pkcs11_is_uri(const char *text);

/* Does this URI not say where its PIN is (`pin-source`)? */
bool pkcs11_asks_pin(const char *text);

/* The private key that a URI names, RSA or EC, for signatures by AWS-LC in whatever thread: each waits for
 * the token, and for those that sign with the same key. A `pin-source` is the path of a file (with "file:" in
 * front or without) that other users may not read; a PIN within the URI is refused. Where the URI names no
 * file `pin` is the PIN; empty: there is none. The caller owns the key; NULL with `err`, which says no PIN.
 */
struct evp_pkey_st *pkcs11_read_key(const char *text, struct str pin, struct err *err);

/* Make a key in the token that the URI names, by `token` or `serial`, under the URI's `object` and, if it is
 * there, `id`: of the type EVP_PKEY_EC with a curve's NID, or EVP_PKEY_RSA with a number of bits. It cannot
 * be read from the token. A key that is there already is an error. -1 with `err`. */
int pkcs11_make_key(const char *text, struct str pin, int type, int parameter, struct err *err);

#endif
