/* SPDX-License-Identifier: Apache-2.0 */
/* A flow is a link: its bytes are frames (link/frames.h), read are the datagrams that came from its source,
 * written those to be sent back to it. The door's side of the same is link/udp_link.c. */
#include "tunnel/udp_port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/list.h"
#include "link/frames.h"
#include "net/addr.h"
#include "tunnel/client.h"

#define BUCKETS 256
#define FLOWS_MAX 4096
#define WAITING_MAX (256 * 1024) /* bytes of a flow that the door has not taken yet: more is dropped */
#define BATCH 64                 /* datagrams taken before others have a turn */

#define FLOW_MAGIC 0xf1040d90u

struct udp_port {
    struct watch watch;
    int fd;
    struct loop *loop;
    struct client_door *door;
    const struct front_target *target;
    int64_t idle;
    udp_port_failed *failed;
    void *owner;
    struct hash_key key;
    struct list bucket[BUCKETS];
    size_t flows;
    bool closed;
    struct task free_later;
};

struct flow {
    struct link link;
    uint32_t magic;
    struct udp_port *port;
    struct list node; /* of its bucket */
    struct net_addr source;
    struct buf waiting;
    struct buf partial;
    struct timer silence;
    bool ended; /* silent for too long, or shut by the other side */
};

static struct flow *flow_of(struct link *l)
{
    struct flow *f = CONTAINER_OF(l, struct flow, link);
    CHECK_MAGIC(f, FLOW_MAGIC);
    return f;
}

static void port_free(struct task *t)
{
    free(CONTAINER_OF(t, struct udp_port, free_later));
}

static void free_if_done(struct udp_port *p)
{
    if (p->closed && p->flows == 0)
        loop_defer(p->loop, &p->free_later); /* an event of this round may still name the watch */
}

/* ---- a flow ---- */

static void heard(struct flow *f)
{
    loop_set_timer(f->port->loop, &f->silence, loop_now(f->port->loop) + f->port->idle);
}

static void on_silence(struct timer *t)
{
    struct flow *f = CONTAINER_OF(t, struct flow, silence);
    f->ended = true;
    link_wake(&f->link);
}

static enum link_status flow_open(struct link *l)
{
    (void)l;
    return LINK_OK;
}

static enum link_status flow_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct flow *f = flow_of(l);
    *ret_n = frames_move(&f->waiting, buf, cap);
    return *ret_n > 0 ? LINK_OK : f->ended ? LINK_EOF : LINK_AGAIN;
}

static void send_back(void *arg, const uint8_t *data, size_t len)
{
    const struct flow *f = arg;
    struct sockaddr_storage to;
    socklen_t to_len = net_addr_to(&f->source, &to);
    if (!f->port->closed)
        (void)!sendto(f->port->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&to,
                      to_len);
}

static enum link_status flow_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct flow *f = flow_of(l);
    frames_feed(&f->partial, buf, len, send_back, f);
    heard(f);
    *ret_n = len;
    return LINK_OK;
}

static enum link_status flow_shutdown(struct link *l, bool closing)
{
    (void)closing;
    flow_of(l)->ended = true;
    return LINK_OK;
}

static void flow_close(struct link *l, bool abort)
{
    struct flow *f = flow_of(l);
    struct udp_port *p = f->port;
    (void)abort;
    wheel_cancel(&f->silence);
    list_remove(&f->node);
    buf_free(&f->waiting);
    buf_free(&f->partial);
    f->magic = 0;
    free(f);
    p->flows--;
    free_if_done(p);
}

static const struct link_ops flow_ops = {
    .name = "UDP flow",
    .open = flow_open,
    .read = flow_read,
    .write = flow_write,
    .shutdown = flow_shutdown,
    .close = flow_close,
};

static void on_ended(void *owner, enum client_outcome outcome, const char *text)
{
    const struct udp_port *p = owner;
    if (outcome == CLIENT_FAILED && !p->closed)
        p->failed(p->owner, text);
}

/* ---- the port ---- */

static struct list *bucket_of(struct udp_port *p, const struct net_addr *source)
{
    return &p->bucket[hash_bytes(&p->key, source, sizeof(*source)) % BUCKETS];
}

static struct flow *find(struct udp_port *p, const struct net_addr *source)
{
    struct list *bucket = bucket_of(p, source);
    for (struct list *n = bucket->next; n != bucket; n = n->next) {
        struct flow *f = CONTAINER_OF(n, struct flow, node);
        if (!f->ended && memcmp(&f->source, source, sizeof(*source)) == 0)
            return f;
    }
    return NULL;
}

/* The first datagram waits in the flow before the client begins to read it. */
static struct flow *begin(struct udp_port *p, const struct net_addr *source)
{
    if (p->flows >= FLOWS_MAX)
        return NULL;
    struct flow *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->link.ops = &flow_ops;
    f->magic = FLOW_MAGIC;
    f->port = p;
    f->source = *source;
    timer_init(&f->silence, on_silence);
    list_insert(bucket_of(p, source), &f->node);
    p->flows++;
    client_start(p->door, p->target, &f->link, on_ended, p);
    return f;
}

static void take(struct udp_port *p, const struct net_addr *source, const uint8_t *data, size_t len)
{
    struct flow *f = find(p, source);
    if (f == NULL)
        f = begin(p, source);
    if (f == NULL)
        return;
    bool was_empty = f->waiting.len == 0;
    frames_put(&f->waiting, data, len, WAITING_MAX);
    heard(f);
    if (was_empty)
        link_wake(&f->link);
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct udp_port *p = CONTAINER_OF(w, struct udp_port, watch);
    uint8_t data[FRAMES_DATAGRAM_MAX];
    (void)events;
    for (int i = 0; i < BATCH && !p->closed; i++) {
        struct sockaddr_storage from = {0};
        socklen_t from_len = sizeof(from);
        ssize_t n = recvfrom(w->fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
        if (n < 0 && errno == EAGAIN)
            return;
        struct net_addr source = net_addr_from(&from);
        if (n >= 0)
            take(p, &source, data, (size_t)n);
    }
}

struct udp_port *udp_port_new(struct loop *loop, int fd, struct client_door *door,
                              const struct front_target *target, int64_t idle, udp_port_failed *failed,
                              void *owner, struct err *err)
{
    struct udp_port *p = calloc(1, sizeof(*p));
    CHECK(p != NULL && target->udp);
    *p = (struct udp_port){.fd = fd,
                           .loop = loop,
                           .door = door,
                           .target = target,
                           .idle = idle,
                           .failed = failed,
                           .owner = owner,
                           .key = hash_random_key()};
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&p->bucket[i]);
    task_init(&p->free_later, port_free);
    if (loop_watch(loop, &p->watch, fd, EPOLLIN, on_ready) == 0)
        return p;
    err_errno(err, errno, "cannot watch a UDP socket");
    close(fd);
    free(p);
    return NULL;
}

void udp_port_close(struct udp_port *p)
{
    if (p == NULL)
        return;
    p->closed = true;
    close(p->fd);
    p->watch.fd = -1;
    free_if_done(p);
}
