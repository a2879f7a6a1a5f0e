/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to addresses without blocking, by the system's configuration (hosts file, resolv.conf). One per
 * loop. */
#ifndef CARDEA_NET_RESOLVER_H
#define CARDEA_NET_RESOLVER_H

#include <stddef.h>

#include "net/addr.h"

#define RESOLVE_ADDRS_MAX 8

struct err;
struct loop;
struct resolver;
struct resolve_query;

enum resolve_status {
    RESOLVE_OK,
    RESOLVE_NO_SUCH_HOST, /* the name does not exist (NXDOMAIN) */
    RESOLVE_NO_ADDRESS,   /* it exists, and has no address */
    RESOLVE_FAILED,       /* no answer: name servers are out of reach, silent, or cannot tell (SERVFAIL) */
};

/* What that means, for people: "the name does not exist". Static. */
const char *resolve_status_text(enum resolve_status status);

/* Called once, unless cancelled: later from the loop, or from within resolver_lookup() when the answer is at
 * hand. */
typedef void resolve_done(void *arg, enum resolve_status status, const struct net_addr *addrs, size_t count);

/* Reads the system's configuration. NULL with `err`. */
struct resolver *resolver_new(struct loop *loop, struct err *err);

/* Cancels what is still asked: no `done` is called, and the handles are gone. NULL is allowed. The loop must
 * still be there. */
void resolver_free(struct resolver *r);

/* Look up a name or literal; the addresses carry `port`. The name is asked for as it stands: no search domain
 * is added, since policy has judged this name and no other. Returns a handle to cancel with, or NULL when
 * `done` has been called already. */
struct resolve_query *resolver_lookup(struct resolver *r, const char *host, uint16_t port, resolve_done *done,
                                      void *arg);

/* `done` will not be called any more. NULL is allowed. */
void resolve_cancel(struct resolve_query *q);

#endif
