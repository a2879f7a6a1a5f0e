/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to addresses without blocking, by the system's configuration (hosts file, resolv.conf). One per
 * loop. */
#ifndef CARDEA_NET_RESOLVER_H
#define CARDEA_NET_RESOLVER_H

#include <stddef.h>

#include "base/str.h"
#include "net/addr.h"

#define RESOLVE_ADDRS_MAX 8
#define RESOLVE_TEXTS_MAX 32 /* TXT records of a name that are told of */

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

/* One that asks these name servers ("192.0.2.53,[2001:db8::53]:5353") and nobody else: neither the
 * hosts file nor resolv.conf has a say. They must be ones that recurse, so that an alias is followed.
 * NULL with `err`. */
struct resolver *resolver_new_at(struct loop *loop, const char *servers, struct err *err);

/* Cancels what is still asked: no `done` is called, and the handles are gone. NULL is allowed. The loop must
 * still be there. */
void resolver_free(struct resolver *r);

/* Look up a name or literal; the addresses carry `port`. The name is asked for as it stands: no search domain
 * is added, since policy has judged this name and no other; those below "localhost" are loopback addresses,
 * and nobody is asked, but by one of resolver_new_at(). Returns a handle to cancel with, or NULL when `done`
 * has been called already. */
struct resolve_query *resolver_lookup(struct resolver *r, const char *host, uint16_t port, resolve_done *done,
                                      void *arg);

/* The texts of TXT records (RFC 1035, 3.3.14), each put together from its parts; borrowed for the call. With
 * RESOLVE_NO_ADDRESS the name has no such record. */
typedef void resolve_texts_done(void *arg, enum resolve_status status, const struct str *texts, size_t count);

/* Look up TXT records; as resolver_lookup() otherwise. */
struct resolve_query *resolver_texts(struct resolver *r, const char *name, resolve_texts_done *done,
                                     void *arg);

/* The whole answer (RFC 1035, 4) to a question for records of any type, where there are some; borrowed for
 * the call. RESOLVE_NO_ADDRESS: the name has none of that type. */
typedef void resolve_message_done(void *arg, enum resolve_status status, struct str message);

/* Look up records of a type; as resolver_lookup() otherwise, but that what is answered from within the call
 * is never RESOLVE_OK. */
struct resolve_query *resolver_message(struct resolver *r, const char *name, uint16_t type,
                                       resolve_message_done *done, void *arg);

/* `done` will not be called any more. NULL is allowed. */
void resolve_cancel(struct resolve_query *q);

#endif
