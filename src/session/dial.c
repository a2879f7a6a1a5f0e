/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses are tried one after the other, in the resolver's order; the owner shares its time among those
 * that are left (dial_left) and skips one whose share is used up. Of several failures the last one is told:
 * it is the one that a person who tries again by hand would see. */
#include "session/dial.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "link/fd_link.h"
#include "net/socket.h"

static void link_woken(struct link *l)
{
    struct dial *d = l->owner;
    if (!d->stepping)
        d->wake(d->owner);
}

enum dial_status dial_unresolved(enum resolve_status status)
{
    CHECK(status != RESOLVE_OK);
    return status == RESOLVE_NO_SUCH_HOST || status == RESOLVE_NO_ADDRESS ? DIAL_NO_SUCH_HOST
                                                                          : DIAL_UNRESOLVED;
}

static void on_resolved(void *arg, enum resolve_status status, const struct net_addr *addrs, size_t count)
{
    struct dial *d = arg;
    d->query = NULL;
    for (size_t i = 0; i < count; i++)
        if (d->allow == NULL || d->allow(d->owner, &addrs[i]))
            d->addrs[d->count++] = addrs[i];
    d->resolved = status;
    if (status != RESOLVE_OK)
        d->failure = dial_unresolved(status);
    else if (d->count == 0)
        d->failure = DIAL_FORBIDDEN;
    if (!d->stepping)
        d->wake(d->owner);
}

static void reset(struct dial *d)
{
    d->count = d->next = 0;
    d->query = NULL;
    d->link = NULL;
    d->failure = DIAL_UNREACHABLE;
    d->resolved = RESOLVE_OK;
}

void dial_start(struct dial *d, const char *host, uint16_t port)
{
    reset(d);
    d->stepping = true;
    d->query = resolver_lookup(d->resolver, host, port, on_resolved, d);
    d->stepping = false;
}

/* What a failed connect means to whoever asked. */
static enum dial_status failure_of(int code)
{
    if (code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM)
        return DIAL_NO_DESCRIPTOR;
    return code == ECONNREFUSED || code == ENOENT ? DIAL_REFUSED : DIAL_UNREACHABLE;
}

static void adopt(struct dial *d, int fd, bool connecting)
{
    if (fd >= 0)
        d->link = d->datagrams ? fd_link_udp(d->loop, fd) : fd_link_socket(d->loop, fd, connecting);
    if (d->link == NULL) {
        d->failure = failure_of(errno);
        if (fd >= 0)
            close(fd);
        return;
    }
    d->link->wake = link_woken;
    d->link->owner = d;
}

void dial_start_unix(struct dial *d, const char *path)
{
    reset(d);
    adopt(d, socket_connect_unix(path), false);
}

void dial_again(struct dial *d)
{
    CHECK(d->link == NULL && d->query == NULL && d->next > 0);
    d->next--;
}

void dial_start_connected(struct dial *d, int fd)
{
    reset(d);
    adopt(d, fd, false);
}

void dial_start_failed(struct dial *d, enum dial_status failure)
{
    reset(d);
    d->failure = failure;
}

enum dial_status dial_step(struct dial *d)
{
    if (d->query != NULL)
        return DIAL_WAIT;
    d->stepping = true;
    enum link_status status = LINK_ERROR;
    for (;;) {
        if (d->link != NULL && (status = link_open(d->link)) != LINK_ERROR)
            break;
        if (d->link != NULL) {
            d->failure = failure_of(fd_link_errno(d->link));
            link_close(d->link, true);
            d->link = NULL;
        }
        if (d->next == d->count)
            break;
        bool connecting = false;
        const struct net_addr *to = &d->addrs[d->next++];
        int fd = d->datagrams ? socket_connect_udp(to) : socket_connect_tcp(to, d->speaks_first, &connecting);
        adopt(d, fd, connecting);
    }
    d->stepping = false;
    if (d->link == NULL)
        return d->failure;
    return status == LINK_OK ? DIAL_OK : DIAL_WAIT;
}

void dial_skip(struct dial *d)
{
    link_close(d->link, true);
    d->link = NULL;
}

size_t dial_left(const struct dial *d)
{
    return d->count - d->next + (d->link != NULL);
}

const struct link *dial_trying(const struct dial *d)
{
    return d->link;
}

const struct net_addr *dial_address(const struct dial *d)
{
    return d->next > 0 ? &d->addrs[d->next - 1] : NULL;
}

bool dial_is_resolving(const struct dial *d)
{
    return d->query != NULL;
}

enum resolve_status dial_resolved(const struct dial *d)
{
    return d->resolved;
}

struct link *dial_take(struct dial *d)
{
    struct link *l = d->link;
    CHECK(l != NULL);
    d->link = NULL;
    l->wake = NULL;
    l->owner = NULL;
    return l;
}

void dial_cancel(struct dial *d)
{
    resolve_cancel(d->query);
    d->query = NULL;
    link_close(d->link, true);
    d->link = NULL;
}
