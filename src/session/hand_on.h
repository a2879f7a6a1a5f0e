/* SPDX-License-Identifier: Apache-2.0 */
/* What the plain side is told of a client, by its route's `hand_on`: in a PROXY header, as a user's name, as
 * the environment of a program. What is told of who the client is comes from the proven identity and the
 * certificate it was read from, and from nothing that the client says. */
#ifndef CARDEA_SESSION_HAND_ON_H
#define CARDEA_SESSION_HAND_ON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "config/config.h"
#include "link/link.h"
#include "net/addr.h"

struct buf;
struct identity;
struct session;

/* What is known of a client. All of it is borrowed. */
struct hand_on_client {
    uint64_t id;                 /* of the connection, as in the audit line */
    struct net_addr peer, local; /* the ends of its connection; AF_UNSPEC where not known */
    struct str sni, alpn; /* of the ClientHello; `alpn` is the protocol agreed on, or that chose the route */
    bool tls;             /* the door ends its TLS: `facts` are known */
    struct link_peer facts;
};

/* Of a session that has a set-up and a route; it lives no longer than the step that asks. */
void hand_on_client(const struct session *s, struct hand_on_client *ret);

/* Most bytes of a PROXY header that is sent: what receivers read (nginx 4096; Postfix 536, so `certificate`
 * is not for it). */
#define HAND_ON_PROXY_MAX 4096

/* Write the PROXY header that the rule asks for into `out` (HAND_ON_PROXY_MAX bytes) and return its length;
 * there is always one. *ret_cut: the client's certificate would have made it longer than that and was left
 * out. */
size_t hand_on_proxy(const struct config_hand_on *rule, const struct hand_on_client *client, uint8_t *out,
                     bool *ret_cut);

#define HAND_ON_USER_MAX 256 /* bytes of a user's name, with its NUL */

/* The client's user name by the rule: of the facts of the kind it names the first that fits `user_pattern`.
 * False, with an empty name, where there is none: no identity (NULL), no such fact, or one that is no name:
 * empty, longer than the bound, not UTF-8, or with a control character. */
bool hand_on_user(const struct identity *id, const struct config_hand_on *rule, char ret[HAND_ON_USER_MAX]);

/* The environment of a program that serves the client, in the style of mod_ssl: the array and its texts are
 * one block for the caller to free(), NULL at its end. Values hold no NUL, and no control character but in
 * the certificates (PEM). The manual lists the names (cardea.yaml(5), HANDING ON). */
char **hand_on_environment(const struct config_hand_on *rule, const struct hand_on_client *client);

/* For http1_link_new(), with the session: append Forwarded (RFC 7239), X-Forwarded-For and -Proto, and where
 * the client has proven who it is Client-Cert and, where the rule says so, Client-Cert-Chain (RFC 9440). */
void hand_on_headers(void *session, struct buf *out);

#endif
