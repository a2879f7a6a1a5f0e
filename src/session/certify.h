/* SPDX-License-Identifier: Apache-2.0 */
/* Which certificate a client is shown: one of the configuration's that has the exact name; else what the
 * source has for the name, where the route asks one; else, by the rules of cert_select(), another of the
 * configuration's. The same for TCP and QUIC. */
#ifndef CARDEA_SESSION_CERTIFY_H
#define CARDEA_SESSION_CERTIFY_H

#include "session/cert_desk.h"

struct cert_query;
struct route_runtime;

struct certify_wish {
    struct cert_desk *desk; /* NULL: nothing can be asked for */
    const struct route_runtime *route;
    const struct cert_query *query;
    const struct net_addr *peer;
    bool late; /* do with what the configuration has */
};

/* FOUND: *ret is borrowed until the desk is called again; NULL: what cert_select() finds. WAIT: `waiter` (may
 * be NULL) is enrolled. NONE and BUSY: *ret_why, static text. */
enum cert_desk_result certify_choose(const struct certify_wish *wish, struct cert_waiter *waiter,
                                     struct cert **ret, const char **ret_why);

#endif
