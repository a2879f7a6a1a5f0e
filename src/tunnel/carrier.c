/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/carrier.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/resolver.h"
#include "net/route_watch.h"
#include "quic/quic.h"
#include "tls/quic.h"
#include "tunnel/client_internal.h"
#include "tunnel/way.h"

/* After a failure TCP goes first for that long. */
#define RETRY_NS (60 * NSEC_PER_SEC)

enum carrier_state { CARRIER_IDLE, CARRIER_RESOLVING, CARRIER_CONNECTING, CARRIER_OPEN };

struct carrier {
    enum carrier_state state;
    struct client_door *door;
    struct quic_scratch *scratch;
    struct quic_secrets secrets;
    struct quic_endpoint *endpoint;
    struct quic_conn *conn;
    struct resolve_query *query;
    struct net_addr addrs[RESOLVE_ADDRS_MAX];
    size_t count;
    size_t next;
    struct list waiting; /* struct way */
    int64_t likely_from; /* monotonic */
    struct route_watch watch;
    struct list node;       /* of those that were left */
    struct task free_later; /* ... when the door has closed it */
};

static const struct quic_settings settings = {
    .congestion = QUIC_CUBIC,
    .idle_timeout = 45 * NSEC_PER_SEC,
    .keep_alive = 15 * NSEC_PER_SEC,
    .handshake_timeout = 10 * NSEC_PER_SEC,
    .streams = 1024, /* visitors of what an agent offers */
    .stream_window = 256 * 1024,
    .window = 1024 * 1024,
    .send_buffer = 1024 * 1024,
    .connection_buffer = 16 * 1024 * 1024,
    .datagrams = true,
};

/* ---- who waits ---- */

static void tell_waiting(struct carrier *c)
{
    struct list batch, *n;
    list_init(&batch);
    list_splice(&batch, &c->waiting);
    while ((n = list_pop(&batch)) != NULL)
        way_carrier_changed(CONTAINER_OF(n, struct way, waiting));
}

/* ---- connecting ---- */

static void drop_connection(struct carrier *c)
{
    if (c->conn != NULL)
        quic_conn_close(c->conn, 0);
    c->conn = NULL;
    quic_endpoint_free(c->endpoint);
    c->endpoint = NULL;
}

static void fail(struct carrier *c)
{
    drop_connection(c);
    c->state = CARRIER_IDLE;
    c->likely_from = loop_now(c->door->loop) + RETRY_NS;
    tell_waiting(c);
}

static const struct quic_events events;

/* Try the next address of the door. */
static void connect_next(struct carrier *c)
{
    struct client_door *d = c->door;
    drop_connection(c);
    while (c->next < c->count) {
        const struct net_addr *to = &c->addrs[c->next++];
        int fd = udp_connect(to);
        if (fd < 0)
            continue;
        c->endpoint = quic_endpoint_client(d->loop, fd, &settings, &c->secrets, c->scratch, &d->text);
        if (c->endpoint == NULL)
            continue;
        c->state = CARRIER_CONNECTING;
        c->conn = quic_connect(c->endpoint, to, tls_client_quic(d->tls, d->name, NULL), &events, c);
        return;
    }
    fail(c);
}

static void on_resolved(void *arg, enum resolve_status status, const struct net_addr *addrs, size_t count)
{
    struct carrier *c = arg;
    c->query = NULL;
    c->count = c->next = 0;
    for (size_t i = 0; i < count && c->count < RESOLVE_ADDRS_MAX; i++)
        c->addrs[c->count++] = addrs[i];
    if (status != RESOLVE_OK)
        client_text_dial(c->door, status == RESOLVE_NO_SUCH_HOST ? DIAL_NO_SUCH_HOST : DIAL_UNREACHABLE,
                         &c->door->text);
    connect_next(c);
}

void carrier_want(struct carrier *c)
{
    if (c->state != CARRIER_IDLE)
        return;
    c->state = CARRIER_RESOLVING;
    c->query = resolver_lookup(c->door->resolver, c->door->host, c->door->port, on_resolved, c);
}

/* ---- what the connection says ---- */

static void on_opened(void *owner)
{
    struct carrier *c = owner;
    c->state = CARRIER_OPEN;
    c->likely_from = 0;
    tell_waiting(c);
}

static void on_stream(void *owner, struct link *link)
{
    const struct client_door *d = ((struct carrier *)owner)->door;
    if (d->visitor != NULL)
        d->visitor(d->visitor_owner, link);
    else
        link_close(link, true);
}

static void on_streams_left(void *owner)
{
    tell_waiting(owner);
}

static void on_closed(void *owner, enum quic_end end, const char *text)
{
    struct carrier *c = owner;
    struct link_peer peer;
    bool was_open = c->state == CARRIER_OPEN;
    quic_conn_peer(c->conn, &peer);
    c->conn = NULL;
    if (end == QUIC_END_TLS)
        client_text_peer(c->door, &peer, text, false, &c->door->text);
    else if (!was_open)
        err_set(&c->door->text, "the door %s does not answer over QUIC: %s", c->door->place, text);
    if (!list_empty(&c->node)) {
        list_remove(&c->node);
        drop_connection(c);
        loop_defer(c->door->loop, &c->free_later); /* the endpoint is at work, in our scratch */
    } else if (was_open) {
        drop_connection(c);
        c->state = CARRIER_IDLE;
        if (!list_empty(&c->waiting)) /* streams that noticed, and ask again */
            carrier_want(c);
    } else if (end == QUIC_END_TLS) {
        fail(c); /* another address of the same door would say the same */
    } else {
        connect_next(c);
    }
}

static const struct quic_events events = {
    .opened = on_opened, .stream = on_stream, .streams_left = on_streams_left, .closed = on_closed};

/* ---- moving ---- */

/* Something about our addresses or routes has changed: would we reach the door from another address now? If
 * UDP did not get through before, it may from there. */
static void on_change(struct route_watch *watch)
{
    struct carrier *c = CONTAINER_OF(watch, struct carrier, watch);
    struct quic_path_facts facts;
    c->likely_from = 0;
    if (c->state != CARRIER_OPEN)
        return;
    quic_conn_facts(c->conn, &facts);
    int fd = udp_connect(&facts.peer);
    if (fd < 0)
        return; /* no way at all: the next change may bring one */
    struct net_addr local = udp_socket_of(fd).local;
    if (memcmp(local.ip, facts.local.ip, sizeof(local.ip)) == 0 && local.family == facts.local.family)
        close(fd);
    else
        quic_conn_migrate(c->conn, fd);
}

/* ---- life ---- */

static void on_free(struct task *t)
{
    carrier_free(CONTAINER_OF(t, struct carrier, free_later));
}

struct carrier *carrier_new(struct client_door *door)
{
    struct carrier *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->door = door;
    c->scratch = quic_scratch_new();
    quic_secrets_make(&c->secrets);
    list_init(&c->waiting);
    list_init(&c->node);
    task_init(&c->free_later, on_free);
    c->watch.changed = on_change;
    route_watch_start(&c->watch, door->loop);
    return c;
}

void carrier_free(struct carrier *c)
{
    if (c == NULL)
        return;
    resolve_cancel(c->query);
    while (list_pop(&c->waiting) != NULL)
        ;
    list_remove(&c->node);
    drop_connection(c);
    route_watch_stop(&c->watch);
    quic_scratch_free(c->scratch);
    free(c);
}

void carrier_leave(struct carrier *c, struct list *left)
{
    tell_waiting(c); /* they ask the one that takes its place */
    if (c->state == CARRIER_OPEN)
        list_insert(left, &c->node);
    else
        carrier_free(c);
}

void carrier_free_all(struct list *left)
{
    struct list *n;
    while ((n = list_pop(left)) != NULL)
        carrier_free(CONTAINER_OF(n, struct carrier, node));
}

bool carrier_is_likely(const struct carrier *c)
{
    return c->state == CARRIER_OPEN || loop_now(c->door->loop) >= c->likely_from;
}

bool carrier_is_under_way(const struct carrier *c)
{
    return c->state != CARRIER_IDLE;
}

struct link *carrier_open_stream(struct carrier *c, struct way *w)
{
    struct link *l = c->state == CARRIER_OPEN ? quic_conn_open_stream(c->conn) : NULL;
    if (l == NULL && list_empty(&w->waiting))
        list_insert(&c->waiting, &w->waiting);
    return l;
}
