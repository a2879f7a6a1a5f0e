/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets for the listeners of a configuration: one for each worker, bound before it is in force. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/handed.h"
#include "net/socket.h"
#include "net/udp.h"
#include "session/door_internal.h"
#include "session/quic_carrier.h"
#include "session/worker.h"

/* Is that address served already, in TCP or in UDP? */
static bool has_listener(const struct snapshot *snap, const char *key, bool udp)
{
    for (size_t i = 0; snap != NULL && i < snap->config->listeners.n; i++)
        if (strcmp(snap->config->listeners.v[i].address.text.text, key) == 0)
            return !udp || snapshot_listens_udp(snap, i);
    return false;
}

void door_drop_listeners(struct worker_listener *listeners, size_t count)
{
    for (size_t i = 0; listeners != NULL && i < count; i++) {
        worker_port_drop(listeners[i].fresh);
        quic_port_drop(listeners[i].fresh_udp);
    }
    free(listeners);
}

/* The port of a worker's listener beside those that it has. */
static int add_port(struct worker *w, const char *key, const struct port_socket *socket,
                    struct worker_listener *listener, struct err *err)
{
    struct port *port = worker_port_new(w, key, socket, err);
    if (port == NULL)
        return err_prefix(err, "%s", key);
    port->next = listener->fresh;
    listener->fresh = port;
    return 0;
}

/* A socket for each worker; theirs are `stride` apart. */
static int bind_tcp(struct crew *crew, const struct config_address *a, struct worker_listener *listeners,
                    size_t stride, struct err *err)
{
    if (socket_probe_tcp(a->host, a->port, err) != 0)
        return -1;
    for (size_t w = 0; w < crew->count; w++) {
        int fd = socket_listen_tcp(a->host, a->port, true, err);
        if (fd < 0)
            return -1;
        const struct port_socket socket = {.fd = fd};
        if (add_port(&crew->worker[w], a->text.text, &socket, &listeners[w * stride], err) != 0)
            return -1;
    }
    return 0;
}

/* One socket for all workers: each waits at a duplicate of it. */
static int share_socket(struct crew *crew, const char *key, const struct port_socket *socket,
                        struct worker_listener *listeners, size_t stride, struct err *err)
{
    for (size_t w = 0; w < crew->count; w++) {
        struct port_socket own = *socket;
        own.shared = true;
        own.fd = fcntl(socket->fd, F_DUPFD_CLOEXEC, 0);
        if (own.fd < 0)
            return err_errno(err, errno, "%s: cannot duplicate the socket for each worker", key);
        if (add_port(&crew->worker[w], key, &own, &listeners[w * stride], err) != 0)
            return -1;
    }
    return 0;
}

static int bind_unix(struct crew *crew, const struct config_listener *l, struct worker_listener *listeners,
                     size_t stride, struct err *err)
{
    const struct config_address *a = &l->address;
    struct port_socket socket = {
        .fd = socket_listen_unix(a->path, l->mode == 0 ? CONFIG_SOCKET_MODE : l->mode, err)};
    if (socket.fd < 0)
        return -1;
    socket.file = socket_file_new(a->path);
    int result = share_socket(crew, a->text.text, &socket, listeners, stride, err);
    socket_file_unref(socket.file);
    close(socket.fd);
    return result;
}

/* All stream sockets of that name. */
static int take_handed(struct crew *crew, const struct config_address *a, struct worker_listener *listeners,
                       size_t stride, struct err *err)
{
    struct handed handed;
    if (handed_find(a->name, &handed, err) != 0)
        return err_prefix(err, "%s", a->text.text);
    for (size_t i = 0; i < handed.streams; i++) {
        const struct port_socket socket = {.fd = handed.stream[i], .lasting = true};
        socket_tune(socket.fd);
        if (share_socket(crew, a->text.text, &socket, listeners, stride, err) != 0)
            return -1;
    }
    return 0;
}

/* The datagram socket beside them: a packet comes to any worker, which hands it on (astray.h). */
static int take_handed_udp(struct crew *crew, const struct config_address *a,
                           struct worker_listener *listeners, size_t stride, struct err *err)
{
    struct handed handed;
    if (handed_find(a->name, &handed, err) != 0)
        return err_prefix(err, "%s", a->text.text);
    udp_make_room(handed.datagram);
    for (size_t w = 0; w < crew->count; w++) {
        int fd = fcntl(handed.datagram, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return err_errno(err, errno, "%s: cannot duplicate the socket for each worker", a->text.text);
        listeners[w * stride].fresh_udp = quic_port_new(&crew->worker[w], a->text.text, fd, err);
        if (listeners[w * stride].fresh_udp == NULL)
            return err_prefix(err, "%s", a->text.text);
    }
    return 0;
}

/* The same in UDP. The kernel hands packets to the worker that their connection id names; where it cannot do
 * that, workers do it among themselves (astray.h). */
static int bind_udp(struct crew *crew, const struct config_address *a, struct worker_listener *listeners,
                    size_t stride, struct err *err)
{
    int probe = udp_listen(a->host, a->port, false, err);
    if (probe < 0 && atomic_load(&crew->fellows->retired) == 0) /* else it may be ourselves who have it */
        return -1;
    if (probe >= 0)
        close(probe);
    for (size_t w = 0; w < crew->count; w++) {
        int fd = udp_listen(a->host, a->port, true, err);
        if (fd < 0)
            return -1;
        if (w + 1 == crew->count && crew->count > 1)
            udp_steer(fd, (unsigned)crew->count);
        listeners[w * stride].fresh_udp = quic_port_new(&crew->worker[w], a->text.text, fd, err);
        if (listeners[w * stride].fresh_udp == NULL)
            return err_prefix(err, "%s", a->text.text);
    }
    return 0;
}

/* Where connections come from. */
static int bind_stream(struct crew *crew, const struct config_listener *l, struct worker_listener *listeners,
                       size_t stride, struct err *err)
{
    switch (l->address.place) {
    case CONFIG_AT_UNIX:
        return bind_unix(crew, l, listeners, stride, err);
    case CONFIG_AT_SYSTEMD:
        return take_handed(crew, &l->address, listeners, stride, err);
    case CONFIG_AT_STANDARD:
        return err_set(err, "standard input and output are taken when the door starts, not by a reload");
    default:
        return bind_tcp(crew, &l->address, listeners, stride, err);
    }
}

static int bind_listener(struct crew *crew, const struct snapshot *snap, const struct snapshot *now, size_t i,
                         struct worker_listener *listeners, struct err *err)
{
    const struct config_address *a = &snap->config->listeners.v[i].address;
    size_t stride = snap->config->listeners.n;
    bool udp = snapshot_listens_udp(snap, i);
    for (size_t w = 0; w < crew->count; w++) {
        listeners[w * stride + i].key = a->text.text;
        listeners[w * stride + i].udp = udp;
    }
    if (now == NULL && a->place == CONFIG_AT_STANDARD) /* door_start() begins with it */
        return 0;
    if (a->place == CONFIG_AT_UNIX && has_listener(now, a->text.text, false) &&
        chmod(a->path, snap->config->listeners.v[i].mode == 0 ? CONFIG_SOCKET_MODE
                                                              : snap->config->listeners.v[i].mode) != 0)
        return err_errno(err, errno, "cannot change the mode of %s", a->path);
    if (!has_listener(now, a->text.text, false) &&
        bind_stream(crew, &snap->config->listeners.v[i], listeners + i, stride, err) != 0)
        return -1;
    if (!udp || has_listener(now, a->text.text, true))
        return 0;
    return a->place == CONFIG_AT_SYSTEMD ? take_handed_udp(crew, a, listeners + i, stride, err)
                                         : bind_udp(crew, a, listeners + i, stride, err);
}

struct worker_listener *door_bind_listeners(struct crew *crew, const struct snapshot *snap,
                                            const struct snapshot *now, struct buf *errors)
{
    const struct config *c = snap->config;
    size_t n = c->listeners.n;
    struct worker_listener *listeners = calloc(n * crew->count, sizeof(*listeners));
    CHECK(listeners != NULL);
    for (size_t i = 0; i < n; i++) {
        struct err err, placed;
        if (bind_listener(crew, snap, now, i, listeners, &err) == 0)
            continue;
        config_error(c, c->listeners.v[i].address.text.at, &placed, "%s", err.text);
        buf_printf(errors, "%s\n", placed.text);
        door_drop_listeners(listeners, n * crew->count);
        return NULL;
    }
    return listeners;
}
