/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#ifndef CARDEA_CA_CA_INTERNAL_H
#define CARDEA_CA_CA_INTERNAL_H

#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/str.h"
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

/* The two halves of ca_load(). */
int ca_load_chain(struct ca *ca, const char *path, struct err *err);
int ca_load_key(struct ca *ca, const char *cert_path, const char *key_path, struct str passphrase,
                struct err *err);

/* Append one in PEM. False when memory is out. */
bool ca_cert_pem(X509 *cert, struct buf *ret);

/* Of a certificate that has no more than CA_SERIAL_MAX bytes of it. */
struct ca_serial ca_serial_of(const X509 *cert);

/* A certificate for a public key, signed by `issuer`, with the checks of ca_issue(). The caller owns it; NULL
 * with `err`. */
X509 *ca_certify(const struct ca *issuer, EVP_PKEY *key, enum ca_profile profile,
                 const struct ca_request *request, struct err *err);

/* The same as ca_issue() or, where `issuer` is NULL, ca_create_root(), with a key that is there and becomes
 * the result's; it is freed where there is none. NULL for the key is an error. */
struct ca *ca_make(const struct ca *issuer, EVP_PKEY *key, enum ca_profile profile,
                   const struct ca_request *request, struct err *err);

/* A certificate for the key and the name of another root, signed by `issuer`, a root itself: whoever trusts
 * that one believes in the other's intermediates (RFC 4210, 4.4). It ends with the first of both. The caller
 * owns it; NULL with `err`. */
X509 *ca_cross(const struct ca *issuer, X509 *root, int64_t now, struct err *err);

/* Append the chain of `issuer`, without the root, to a certificate that it has issued. */
void ca_put_above(struct ca *made, const struct ca *issuer);

/* Could a certificate have the names and groups of `request`, by their form and the issuer's name
 * constraints? Nothing else of it is looked at. -1 with `err`. */
int ca_check_names(const struct ca *issuer, const struct ca_request *request, struct err *err);

/* Parts of certificates, from `request`; -1 with `err`. ca_add_sans() comes last: whether the names are
 * critical hangs on the subject. */
int ca_set_subject(X509 *cert, const struct ca_request *request, struct err *err);
int ca_add_sans(X509 *cert, const struct ca_request *request, struct err *err);
int ca_add_constraints(X509 *cert, const struct ca_request *request, struct err *err);

/* What kind of subject alternative name a text is by its looks (GEN_DNS ...); -1 when it is none. */
int ca_san_type(const char *text);

/* Is this public key one that may be certified (see csr.h)? -1 with `err`. */
int ca_check_key(const EVP_PKEY *key, struct err *err);

/* All other extensions. `issuer` is NULL for a root. False when memory is out. */
bool ca_add_extensions(X509 *cert, const X509 *issuer, enum ca_profile profile,
                       const struct ca_request *request);

/* Those of what ca_cross() makes. */
bool ca_add_cross_extensions(X509 *cert, const X509 *issuer);

/* Append what a certificate may issue for, as ca_request has it, a space between two; nothing where that is
 * all. False when memory is out. */
bool ca_put_constraints(const X509 *cert, struct buf *ret);

/* Do the name constraints of `issuer` allow the names of `cert`, which must be signed? */
int ca_check_constraints(const X509 *issuer, X509 *cert, struct err *err);

/* The authorityKeyIdentifier that points at `issuer`'s subjectKeyIdentifier, or its own where it has none.
 * The caller owns it; NULL when memory is out. */
AUTHORITY_KEYID *ca_authority_key_id(const X509 *issuer);

#endif
