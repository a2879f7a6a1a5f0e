/* SPDX-License-Identifier: Apache-2.0 */
/* Which key exchange groups a context has, and which of them a server takes with a client. Pure. */
#ifndef CARDEA_TLS_GROUPS_H
#define CARDEA_TLS_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/tls_group.h"

#define TLS_GROUPS_MAX 16

/* What has hybrids, where nobody says: as the configuration's default. */
#define TLS_GROUPS_DEFAULT 6
extern const int tls_groups_default[TLS_GROUPS_DEFAULT];

struct tls_groups {
    uint16_t v[TLS_GROUPS_MAX]; /* IANA codepoints, most wanted first */
    size_t n;                   /* 0: the library's own */
    enum tls_pq pq;
};

/* Of `count` groups those that `pq` allows. -1 with `err` when there were some and none is left. */
int tls_groups_make(const int *groups, size_t count, enum tls_pq pq, struct tls_groups *ret, struct err *err);

/* The bodies of three extensions of a ClientHello; empty where it was not sent. */
struct tls_groups_offer {
    struct cursor versions; /* supported_versions (RFC 8446, 4.2.1) */
    struct cursor groups;   /* supported_groups (4.2.7) */
    struct cursor shares;   /* key_share (4.2.8) */
};

/* The group that a handshake of TLS 1.3 is to be held to, so that it takes no HelloRetryRequest: of ours that
 * the client has sent a key share for, the most wanted. 0: nothing need be done, since the library's choice,
 * the first of ours that the client knows, is that one already; or nothing can be, since there is no such
 * share. What is malformed is for the library to refuse: 0.
 *
 * So a client that knows a hybrid but has sent no share for one does not get it. RFC 8446, 4.2.8, has clients
 * send shares for what they want: those that put hybrids first do (browsers, OpenSSL from 3.5, Go, ours), and
 * who sends X25519 alone has chosen the shorter hello, or that order. The servers of Go (crypto/tls) and of
 * OpenSSL spend the round trip all the same on any client that knows a hybrid. Here it is spent where
 * TLS_PQ_REQUIRE says so: no other group is ours then, and the library asks. */
uint16_t tls_groups_hold(const struct tls_groups *ours, const struct tls_groups_offer *offer);

/* Why no handshake with that client comes to anything, where TLS_PQ_REQUIRE is why, or that TLS 1.2 has none
 * of these groups: static text, else NULL. */
const char *tls_groups_refuse(const struct tls_groups *ours, const struct tls_groups_offer *offer);

/* Is one of these groups ours, and to be had in that version? Else the library ends the handshake. */
bool tls_groups_share(const struct tls_groups *ours, uint16_t version, struct cursor offered);

#endif
