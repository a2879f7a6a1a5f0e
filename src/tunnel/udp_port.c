/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/udp_port.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/addr.h"
#include "net/udp.h"
#include "tunnel/flows.h"

#define FLOWS_MAX 4096

struct udp_port {
    struct watch watch;
    int fd;
    struct loop *loop;
    const struct front_target *target;
    udp_port_failed *failed;
    udp_port_begin *begin;
    void *owner;
    struct flows *flows; /* by source */
    bool closed;
    struct task free_later;
};

static void port_free(struct task *t)
{
    free(CONTAINER_OF(t, struct udp_port, free_later));
}

static bool send_back(void *owner, const void *key, size_t key_len, const uint8_t *data, size_t len)
{
    const struct udp_port *p = owner;
    struct sockaddr_storage to;
    CHECK(key_len == sizeof(struct net_addr));
    socklen_t to_len = net_addr_to(key, &to);
    return sendto(p->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&to, to_len) >= 0;
}

static void on_failed(void *owner, const char *text)
{
    const struct udp_port *p = owner;
    p->failed(p->owner, text);
}

static void on_begin(void *owner, const void *key, size_t key_len, struct link *link)
{
    const struct udp_port *p = owner;
    CHECK(key_len == sizeof(struct net_addr));
    p->begin(p->owner, key, link);
}

static bool take(void *arg, const struct net_addr *source, const uint8_t *data, size_t len)
{
    const struct udp_port *p = arg;
    flows_send(p->flows, source, sizeof(*source), p->target, data, len);
    return !p->closed;
}

static void on_ready(struct watch *w, uint32_t events)
{
    (void)events;
    udp_each(w->fd, take, CONTAINER_OF(w, struct udp_port, watch));
}

/* Serve the bound socket; `kind` says what it is for, `settings` what its flows are like. */
static struct udp_port *serve(struct loop *loop, int fd, const struct udp_port *kind,
                              struct flows_settings *settings, struct err *err)
{
    struct udp_port *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    *p = *kind;
    p->fd = fd;
    p->loop = loop;
    task_init(&p->free_later, port_free);
    if (loop_watch(loop, &p->watch, fd, EPOLLIN, on_ready) != 0) {
        err_errno(err, errno, "cannot watch a UDP socket");
        close(fd);
        free(p);
        return NULL;
    }
    settings->loop = loop;
    settings->begin = on_begin;
    settings->back = send_back;
    settings->failed = on_failed;
    settings->owner = p;
    p->flows = flows_new(settings);
    return p;
}

struct udp_port *udp_port_new(struct loop *loop, int fd, struct client_door *door,
                              const struct front_target *target, int64_t idle, udp_port_failed *failed,
                              void *owner, struct err *err)
{
    CHECK(door != NULL && target->udp);
    struct udp_port kind = {.target = target, .failed = failed, .owner = owner};
    struct flows_settings settings = {.door = door, .idle = idle, .max = FLOWS_MAX, .waits = FLOWS_WAITS};
    return serve(loop, fd, &kind, &settings, err);
}

struct udp_port *udp_port_for_visitors(struct loop *loop, int fd, const struct udp_port_visitors *visitors,
                                       udp_port_begin *begin, void *owner, struct err *err)
{
    struct udp_port kind = {.begin = begin, .owner = owner};
    struct flows_settings settings = {.idle = visitors->idle,
                                      .max = visitors->flows,
                                      .waits = visitors->waits,
                                      .strangers = true,
                                      .factor = visitors->factor};
    return serve(loop, fd, &kind, &settings, err);
}

void udp_port_refit(struct udp_port *p, const struct udp_port_visitors *visitors)
{
    flows_refit(p->flows, visitors->flows, visitors->idle, visitors->factor);
}

void udp_port_close(struct udp_port *p)
{
    if (p == NULL)
        return;
    p->closed = true;
    flows_close(p->flows);
    loop_close(p->loop, &p->watch);
    loop_defer(p->loop, &p->free_later); /* an event of this round may still name the watch */
}
