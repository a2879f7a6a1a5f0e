/* SPDX-License-Identifier: Apache-2.0 */
/* A backend asks who is on the other end of a connection that it has from the door. */
#ifndef CARDEA_SESSION_WHOIS_H
#define CARDEA_SESSION_WHOIS_H

#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

struct crew;
struct loop;

/* Which connection: by its id, or, where that is 0, by an address that its backend sees: the door's end of
 * the connection between them, or the client's, where a PROXY header tells that. */
struct whois_query {
    uint64_t id;
    struct net_addr from;
};

/* `json`: an array of objects, as cardea.yaml(5) describes them (HANDING ON); borrowed for the call, NULL
 * when memory is out. More than one where several backends have connections from the same address. */
typedef void whois_told(void *arg, const char *json, size_t count);

/* Ask all workers, then call `done` on `loop`, later. */
void whois_ask(struct crew *crew, struct loop *loop, const struct whois_query *query, whois_told *done,
               void *arg);

#endif
