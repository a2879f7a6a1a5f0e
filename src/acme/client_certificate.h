/* SPDX-License-Identifier: Apache-2.0 */
/* What an ACME client sends to have certified, and its look at what came. */
#ifndef CARDEA_ACME_CLIENT_CERTIFICATE_H
#define CARDEA_ACME_CLIENT_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define ACME_CLIENT_CHAIN_MAX 8 /* certificates */

/* Subject alternative names: DNS names and IP addresses, told apart by hostname_address(). The caller owns
 * it; NULL when memory is out. */
GENERAL_NAMES *acme_client_san(const char *const *names, size_t len);

/* Append a certification request in DER (RFC 2986) for the key, with these names and no subject; with
 * `must_staple` it asks for the TLS feature status_request (RFC 7633). -1 with `err`. */
int acme_client_csr(EVP_PKEY *key, const char *const *names, size_t len, bool must_staple, struct buf *ret,
                    struct err *err);

/* Is this PEM text a chain for that key and exactly these names, valid at `now`, each certificate issued by
 * the next? -1 with `err` saying what is wrong. */
int acme_client_check_chain(struct str pem, EVP_PKEY *key, const char *const *names, size_t len, int64_t now,
                            struct err *err);

#endif
