/* SPDX-License-Identifier: Apache-2.0 */
/* A new private key of a client's own, which somebody else is to certify: it never leaves the machine. */
#ifndef CARDEA_CERT_FRESH_KEY_H
#define CARDEA_CERT_FRESH_KEY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct evp_pkey_st;

/* A new private key (ECDSA P-256), and its certification request (RFC 2986) in DER appended, which names
 * nobody: whom a certificate names is the CA's to say. NULL with `err`. The caller owns the key:
 * fresh_key_free(). */
struct evp_pkey_st *fresh_key_make(struct buf *ret_csr, struct err *err);
/* Append the certification request of a key that there is. False when that does not work. */
bool fresh_key_put_csr(struct evp_pkey_st *key, struct buf *ret);
void fresh_key_free(struct evp_pkey_st *key); /* NULL is allowed */

/* Append the certificates of a PEM text, and nothing else of it: what stands around them could be taken for
 * something of ours, and another private key for ours. False when something in it is none. */
bool fresh_key_put_chain(struct buf *out, struct str chain_pem);

/* Append the key in PEM (PKCS #8). The caller reserves room before, and wipes the buffer afterwards. False
 * when it does not fit. */
bool fresh_key_put(struct buf *out, const struct evp_pkey_st *key);

#define FRESH_KEY_FILE_MAX (128 * 1024)

/* Write both into one file, so that no crash parts them: mode 0600, atomically, in place of what is there. -1
 * with `err`. */
int fresh_key_keep(const char *path, struct str chain_pem, const struct evp_pkey_st *key, struct err *err);

#endif
