/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this folder: how a server or a client makes a TLS link, and what its callbacks ask of
 * it. */
#ifndef CARDEA_TLS_TLS_INTERNAL_H
#define CARDEA_TLS_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "cert/trust.h"
#include "tls/tls_link.h"

struct tls_link;

/* A link that runs `ssl` (taken) on top of `lower` (taken too). `trust` judges the peer's certificate, NULL
 * when none is asked for; it must outlive the link. `early` are bytes already read from `lower`; they must
 * live until the first link_open() has returned. `alpn` (may be empty) is what the server answers with; it
 * lives as long as `early`. */
struct link *tls_link_new(SSL *ssl, struct link *lower, struct tls_scratch *scratch,
                          const struct trust *trust, struct str early, struct str alpn);

/* The name or address that the peer's certificate must hold. Copied. */
void tls_link_expect_host(struct link *l, const char *host);

/* For SSL_CTX_set_custom_verify: proves the peer's chain against the link's trust, for this link's role. */
enum ssl_verify_result_t tls_link_verify(SSL *ssl, uint8_t *ret_alert);

/* What was passed to tls_link_new() as `alpn`. */
struct str tls_link_alpn_choice(SSL *ssl);

/* What went wrong last, in words, as static text (tables/tls_failures.def, tables/alerts.def). */
const char *tls_reason(void);

/* The fatal alert that the peer sent, if that is what went wrong last; else 0. */
uint8_t tls_peer_alert(void);

#endif
