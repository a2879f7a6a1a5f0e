/* SPDX-License-Identifier: Apache-2.0 */
/* The UDP listeners of a worker, each with an endpoint of QUIC and the carriers that came to it. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "session/astray.h"
#include "session/quic_carrier_internal.h"
#include "session/worker.h"

static struct quic_settings settings_of(const struct config *c)
{
    return (struct quic_settings){
        .congestion = c->quic.congestion == CONFIG_BBR ? QUIC_BBR : QUIC_CUBIC,
        .idle_timeout = c->quic.idle_timeout,
        .handshake_timeout = c->limits.handshake_timeout,
        .streams = c->quic.streams,
        .stream_window = c->quic.stream_window,
        .window = c->quic.window,
        .send_buffer = c->quic.send_buffer,
        .connection_buffer = c->quic.connection_buffer,
        .datagrams = true,
        .hello_size = c->limits.hello_size,
        .retry_above = c->quic.retry_above,
    };
}

static void on_astray(void *arg, unsigned owner, const struct udp_packets *packet)
{
    struct quic_port *port = arg;
    CHECK_MAGIC(port, PORT_MAGIC);
    astray_send(port->worker, owner, port->key, packet);
}

static void port_done(struct task *t)
{
    struct quic_port *port = CONTAINER_OF(t, struct quic_port, free_later);
    port->magic = 0;
    free(port->key);
    free(port);
}

struct quic_port *quic_port_new(struct worker *w, const char *key, int fd, struct err *err)
{
    struct quic_port *port = calloc(1, sizeof(*port));
    CHECK(port != NULL);
    *port = (struct quic_port){.magic = PORT_MAGIC, .worker = w, .key = strdup(key)};
    CHECK(port->key != NULL);
    list_init(&port->node);
    list_init(&port->all);
    timer_init(&port->review, quic_port_review);
    task_init(&port->free_later, port_done);
    struct quic_server server = {.incoming = quic_carrier_incoming,
                                 .astray = on_astray,
                                 .events = &quic_carrier_events,
                                 .arg = port,
                                 .place = port->key,
                                 .index = w->index,
                                 .count = (unsigned)w->shared->workers};
    port->endpoint = quic_endpoint_new(w->loop, fd, &server, w->shared->quic_secrets, w->quic_scratch, err);
    if (port->endpoint != NULL)
        return port;
    port_done(&port->free_later);
    return NULL;
}

void quic_port_drop(struct quic_port *port)
{
    if (port == NULL)
        return;
    CHECK_MAGIC(port, PORT_MAGIC);
    CHECK(list_empty(&port->node));
    quic_endpoint_drop(port->endpoint);
    port_done(&port->free_later);
}

static void port_serve(struct quic_port *port, uint32_t listener)
{
    struct worker *w = port->worker;
    struct quic_settings settings = settings_of(w->epoch->snap->config);
    CHECK_MAGIC(port, PORT_MAGIC);
    if (list_empty(&port->node))
        list_insert(&w->quic_ports, &port->node);
    port->listener = listener;
    quic_endpoint_serve(port->endpoint, &settings);
}

static void set_retired(struct quic_port *port, bool retired)
{
    if (retired != port->retired)
        atomic_fetch_add(&port->worker->fellows->retired, retired ? 1 : (size_t)-1);
    port->retired = retired;
}

static void port_free(struct quic_port *port)
{
    CHECK_MAGIC(port, PORT_MAGIC);
    set_retired(port, false); /* the carriers that end now are not to end it once more */
    list_remove(&port->node);
    wheel_cancel(&port->review);
    quic_endpoint_free(port->endpoint);
    loop_defer(port->worker->loop, &port->free_later);
}

void quic_port_leave(struct quic_port *port)
{
    CHECK(port->carriers > 0);
    if (--port->carriers == 0 && port->retired)
        port_free(port);
}

/* No new clients; closed with the last of its carriers. */
static void port_retire(struct quic_port *port)
{
    if (port->carriers == 0) {
        port_free(port);
        return;
    }
    set_retired(port, true);
    quic_endpoint_refuse(port->endpoint);
}

static struct quic_port *find_port(struct worker *w, const char *key)
{
    for (struct list *n = w->quic_ports.next; n != &w->quic_ports; n = n->next) {
        struct quic_port *port = CONTAINER_OF(n, struct quic_port, node);
        if (strcmp(port->key, key) == 0)
            return port;
    }
    return NULL;
}

/* One that is here for its carriers only goes on in place of the fresh one, so that all packets for the
 * address still come to one place. */
static void port_begin(struct quic_port *fresh, uint32_t listener)
{
    struct quic_port *here = find_port(fresh->worker, fresh->key);
    if (here != NULL) {
        CHECK(here->retired);
        port_free(fresh);
        set_retired(here, false);
    }
    port_serve(here != NULL ? here : fresh, listener);
}

static const struct worker_listener *find_listener(const struct worker_listener *listeners, size_t count,
                                                   const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (listeners[i].udp && listeners[i].fresh_udp == NULL && strcmp(listeners[i].key, key) == 0)
            return &listeners[i];
    return NULL;
}

void quic_carriers_install(struct worker *w, const struct worker_listener *listeners, size_t count)
{
    for (struct list *n = w->quic_ports.next, *next; n != &w->quic_ports; n = next) {
        struct quic_port *port = CONTAINER_OF(n, struct quic_port, node);
        const struct worker_listener *l = port->retired ? NULL : find_listener(listeners, count, port->key);
        next = n->next;
        if (l != NULL)
            port_serve(port, (uint32_t)(l - listeners));
        else if (!port->retired)
            port_retire(port);
    }
    for (size_t i = 0; i < count; i++)
        if (listeners[i].fresh_udp != NULL)
            port_begin(listeners[i].fresh_udp, (uint32_t)i);
}

void quic_carriers_take(struct worker *w, const char *key, const struct udp_packets *packet)
{
    struct quic_port *port = find_port(w, key);
    if (port != NULL)
        quic_endpoint_take(port->endpoint, packet);
}

bool quic_carriers_busy(const struct worker *w)
{
    for (struct list *n = w->quic_ports.next; n != &w->quic_ports; n = n->next)
        if (quic_endpoint_busy(CONTAINER_OF(n, struct quic_port, node)->endpoint))
            return true;
    return false;
}

void quic_carriers_close(struct worker *w)
{
    while (!list_empty(&w->quic_ports))
        port_free(CONTAINER_OF(w->quic_ports.next, struct quic_port, node));
}
