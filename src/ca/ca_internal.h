/* SPDX-License-Identifier: Apache-2.0 */
/* What ca.c (files), issue.c (certificates) and crl.c share. */
#ifndef CARDEA_CA_CA_INTERNAL_H
#define CARDEA_CA_CA_INTERNAL_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "ca/ca.h"

#define CA_CHAIN_MAX 8
#define CA_MAGIC 0xca0ca0cau

struct ca {
    uint32_t magic;
    X509 *chain[CA_CHAIN_MAX]; /* its own certificate, then those above it without the root */
    size_t chain_len;
    EVP_PKEY *key;
};

/* An empty one; NULL when memory is out. */
struct ca *ca_new(void);

/* The digest to sign with by this key; NULL for those that bring their own (Ed25519, ML-DSA). */
const EVP_MD *ca_digest(const EVP_PKEY *key);

/* The authorityKeyIdentifier that points at `issuer`'s subjectKeyIdentifier, or its own where it has none.
 * The caller owns it; NULL when memory is out. */
AUTHORITY_KEYID *ca_authority_key_id(const X509 *issuer);

#endif
