/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this folder: how a server or a client makes a TLS link, and what its callbacks ask of
 * it. */
#ifndef CARDEA_TLS_TLS_INTERNAL_H
#define CARDEA_TLS_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "tls/proof.h"
#include "tls/tls_link.h"

/* A link that runs `ssl` (taken) on top of `lower` (taken too). `proof` is what it must prove and be shown
 * (taken over with what it owns). `early` are bytes already read from `lower`; they must live until the first
 * link_open() has returned. */
struct link *tls_link_new(SSL *ssl, struct link *lower, struct tls_scratch *scratch,
                          const struct tls_proof *proof, struct str early);

/* What went wrong last, in words, as static text (tables/tls_failures.def, tables/alerts.def). */
const char *tls_reason(void);

/* The fatal alert that the peer sent, if that is what went wrong last; else 0. */
uint8_t tls_peer_alert(void);

#endif
