/* SPDX-License-Identifier: Apache-2.0 */
/* What a certificate that somebody else has shown says, in texts that can be handed on. Nothing is decided by
 * them: who its owner is stands in cert/identity.h. */
#ifndef CARDEA_CERT_LEAF_H
#define CARDEA_CERT_LEAF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct stack_st_CRYPTO_BUFFER;

/* The i-th certificate of a chain in DER (leaf: 0), as long as the chain lives; empty behind its end. NULL is
 * a chain without any. */
struct str cert_chain_at(const struct stack_st_CRYPTO_BUFFER *chain, size_t i);

/* Called with a fact's name, as mod_ssl calls it behind SSL_CLIENT_, and its value, which holds neither NUL
 * nor control characters. */
typedef void cert_leaf_fn(void *arg, const char *name, const char *value);

/* Go through the facts of a certificate in DER: S_DN and I_DN (RFC 4514), their components (S_DN_CN, I_DN_O,
 * ...; the second of a kind is S_DN_OU_1), M_SERIAL, V_START, V_END, A_KEY, A_SIG. A component with control
 * characters is left out. False when the certificate cannot be read. */
bool cert_leaf_each(struct str der, cert_leaf_fn *each, void *arg);

/* SHA-256 of the public key (SubjectPublicKeyInfo) of a certificate in DER. False when it cannot be read. */
#define CERT_KEY_DIGEST 32
bool cert_key_digest(struct str der, uint8_t ret[CERT_KEY_DIGEST]);

/* Append a certificate in PEM (RFC 7468). False when it cannot be: memory, or the bound of `out`. */
bool cert_put_pem(struct buf *out, struct str der);

#endif
