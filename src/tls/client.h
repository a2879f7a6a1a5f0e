/* SPDX-License-Identifier: Apache-2.0 */
/* TLS as a client: towards a backend, or from `cardea connect` towards a door. */
#ifndef CARDEA_TLS_CLIENT_H
#define CARDEA_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct cert;
struct link;
struct tls_client;
struct tls_scratch;
struct trust;

struct tls_client_params {
    uint16_t min_version;
    uint16_t max_version;
    const int *groups; /* IANA codepoints; the first one or two get a key share */
    size_t groups_len;
    struct trust *trust;     /* the peer must prove itself against it; a reference is taken */
    struct cert *cert;       /* ours, shown when asked; NULL: none. A reference is taken */
    const char *const *alpn; /* offered, in order */
    size_t alpn_len;
    bool resumes; /* keep the last tickets and resume with them (RFC 8446, 2.2). All links of
                   * tls_client_connect() must lead to the same peer and live in one thread then */
};

/* Make a client, to be shared by all threads. NULL with `err` when the library refuses something. */
struct tls_client *tls_client_new(const struct tls_client_params *params, struct err *err);

/* After its last link. NULL is allowed. */
void tls_client_free(struct tls_client *client);

/* A client link on top of `lower` (taken over). `host`: the name or address that the peer must prove; it is
 * sent as SNI when it is a name; `sni`, when not NULL, is sent in its place. Never NULL. */
struct link *tls_client_connect(const struct tls_client *client, const char *host, const char *sni,
                                struct link *lower, struct tls_scratch *scratch);

#endif
