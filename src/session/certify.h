/* SPDX-License-Identifier: Apache-2.0 */
/* Which certificate a client is shown: one of the configuration's that has the exact name; else what
 * an operator has put there for a name that is looked up; else what the source has for the name, where
 * the route asks one; else, by the rules of cert_select(), another of the configuration's. The same
 * for TCP and QUIC. */
#ifndef CARDEA_SESSION_CERTIFY_H
#define CARDEA_SESSION_CERTIFY_H

#include <stdint.h>

#include "session/cert_desk.h"

struct cert;
struct cert_query;
struct config;
struct route_runtime;
struct tls_server;

struct certify_wish {
    struct cert_desk *desk; /* NULL: nothing can be asked for */
    const struct route_runtime *route;
    const struct cert_query *query;
    const struct net_addr *peer;
    bool late;       /* do with what the configuration has */
    bool candidates; /* this client sees candidates: see certify_server() */
};

/* The server of the route for this client: `server` itself, which is one of the route's, or, where the client
 * is one that sees candidates and there are some, the one that shows them. */
const struct tls_server *certify_server(const struct config *config, uint32_t listener,
                                        const struct net_addr *peer, const struct route_runtime *route,
                                        const struct tls_server *server);

/* Does that server show candidates? */
bool certify_shows_candidates(const struct route_runtime *route, const struct tls_server *server);

/* FOUND: *ret is borrowed until the desk is called again; NULL: what cert_select() finds. WAIT: `waiter`
 * is enrolled. NONE and BUSY: *ret_why, static text. */
enum cert_desk_result certify_choose(const struct certify_wish *wish, struct cert_waiter *waiter,
                                     struct cert **ret, const char **ret_why);

/* The alert for a client that is shown none (NONE or BUSY): only where none will come later either is the
 * name one that nobody knows. `late` as in its wish. */
uint8_t certify_alert(enum cert_desk_result result, bool late);

#endif
