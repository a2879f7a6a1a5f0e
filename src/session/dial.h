/* SPDX-License-Identifier: Apache-2.0 */
/* Getting a connection to somewhere: name to addresses, then one address after the other until one answers. A
 * machine to be stepped; its owner is woken when a step is worthwhile, and owns the deadline. */
#ifndef CARDEA_SESSION_DIAL_H
#define CARDEA_SESSION_DIAL_H

#include "link/link.h"
#include "net/resolver.h"

enum dial_status {
    DIAL_WAIT,
    DIAL_OK,           /* dial_take() has the link */
    DIAL_NO_SUCH_HOST, /* the name does not exist, or has no address: see dial_resolved() */
    DIAL_UNRESOLVED,   /* nobody can tell its addresses: likewise */
    DIAL_REFUSED,
    DIAL_UNREACHABLE,
    DIAL_NO_DESCRIPTOR, /* this process or system has none left; says nothing about the target */
    DIAL_FULL,          /* limits.programs: says nothing about the target either */
    DIAL_FORBIDDEN,     /* there are addresses, but `allow` liked none of them */
};

struct dial {
    struct loop *loop;
    struct resolver *resolver;
    void (*wake)(void *owner); /* step again; not called from within dial_start() or dial_step() */
    bool (*allow)(void *owner, const struct net_addr *); /* may this address be dialled? NULL: any */
    void *owner;
    bool datagrams;    /* over UDP: the first address that may be dialled is taken to answer */
    bool speaks_first; /* we send at once when the connection stands: a hint, see socket_connect_tcp() */
    /* private */
    struct net_addr addrs[RESOLVE_ADDRS_MAX];
    size_t count;
    size_t next;
    struct resolve_query *query;
    struct link *link;
    enum dial_status failure;
    enum resolve_status resolved;
    bool stepping;
};

/* Begin towards host:port (a name or literal). Set the fields above "private" before; the rest is initialised
 * here. */
void dial_start(struct dial *d, const char *host, uint16_t port);

/* Begin towards a unix socket. */
void dial_start_unix(struct dial *d, const char *path);

/* Once more to the address whose link was taken last, where dial_start() began. */
void dial_again(struct dial *d);

/* Begin with a socket that is connected already, and taken. */
void dial_start_connected(struct dial *d, int fd);

/* Begin with what has failed already: dial_step() says so. */
void dial_start_failed(struct dial *d, enum dial_status failure);

/* Go on. Anything but DIAL_WAIT and DIAL_OK is a final failure. */
enum dial_status dial_step(struct dial *d);

/* Give up on the address that is being tried (its time is over) and go on with the next one: step again. */
void dial_skip(struct dial *d);

/* How many addresses are still to be tried, the current one included; for sharing out a deadline. */
size_t dial_left(const struct dial *d);

/* The connection that is being tried, or NULL. To ask for its addresses: it stays the dial's. */
const struct link *dial_trying(const struct dial *d);

/* The address that is being tried, or was tried last; NULL: none. Lives as long as the dial. */
const struct net_addr *dial_address(const struct dial *d);

/* Is the name still being looked up? */
bool dial_is_resolving(const struct dial *d);

/* What the lookup has come to, once it is over. */
enum resolve_status dial_resolved(const struct dial *d);

/* The link, open; the caller owns it. Its `wake` and `owner` are the caller's to set. */
struct link *dial_take(struct dial *d);

/* What a lookup that found no address means for who wanted to dial. */
enum dial_status dial_unresolved(enum resolve_status status);

/* Drop whatever is under way. Harmless after dial_take() and on a zeroed struct. */
void dial_cancel(struct dial *d);

#endif
