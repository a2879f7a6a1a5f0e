/* SPDX-License-Identifier: Apache-2.0 */
/* How a client proves to a CA that a name is its own (RFC 8555, 8; RFC 8737): what has to be seen, and where.
 */
#ifndef CARDEA_ACME_CLIENT_PROOF_H
#define CARDEA_ACME_CLIENT_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hostname.h"

struct cert;

enum acme_client_proof_kind {
    ACME_BY_HTTP,     /* http-01 */
    ACME_BY_TLS_ALPN, /* tls-alpn-01 */
    ACME_BY_DNS,      /* dns-01 */
    ACME_PROOF_KINDS
};

#define ACME_CLIENT_TOKEN_MAX 256    /* bytes of a token */
#define ACME_CLIENT_DNS_VALUE_MAX 44 /* of the text of a TXT record, with its NUL */

struct acme_client_proof {
    enum acme_client_proof_kind kind;
    const char *name;          /* a DNS name without "*.", or an IP address */
    const char *token;         /* http-01: of the path below /.well-known/acme-challenge/ */
    const char *authorization; /* http-01: the content (RFC 8555, 8.1) */
};

/* "tls-alpn-01", ... */
const char *acme_client_proof_name(enum acme_client_proof_kind kind);

/* The kind of that name; false: there is none. */
bool acme_client_proof_parse(const char *name, enum acme_client_proof_kind *ret);

/* dns-01: what the TXT record says (RFC 8555, 8.4). */
void acme_client_dns_value(const struct acme_client_proof *proof, char ret[ACME_CLIENT_DNS_VALUE_MAX]);

/* dns-01: where it stands: _acme-challenge.NAME, without a dot at the end. */
#define ACME_CLIENT_DNS_NAME_MAX (HOSTNAME_MAX + 1 + 16)
void acme_client_dns_name(const struct acme_client_proof *proof, char ret[ACME_CLIENT_DNS_NAME_MAX]);

/* tls-alpn-01: the certificate to show (RFC 8737, 3), with a key of its own; valid for a week around `now`.
 * The caller owns a reference; NULL with `err`. */
struct cert *acme_client_alpn_certificate(const struct acme_client_proof *proof, int64_t now,
                                          struct err *err);

/* tls-alpn-01: the server name by which the CA comes: the name, of an address its own under in-addr.arpa or
 * ip6.arpa (RFC 8738, 6). */
#define ACME_CLIENT_SNI_MAX (HOSTNAME_MAX + 1)
void acme_client_alpn_name(const struct acme_client_proof *proof, char ret[ACME_CLIENT_SNI_MAX]);

#endif
