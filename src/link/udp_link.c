/* SPDX-License-Identifier: Apache-2.0 */
/* A connected UDP socket as a byte stream of frames (frames.h): what is read are the datagrams that came,
 * what is written are those to be sent. What the kernel does not take is lost, as on a network; so writing
 * never waits. Errors that the network tells (ICMP) mean nothing here: whoever uses UDP asks again.
 *
 * A flow has no end of its own. It ends when we end our direction. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/fd_link.h"
#include "link/frames.h"

#define UDP_LINK_MAGIC 0x0d911400u
#define WAITING_MAX (64 * 1024 + FRAMES_HEAD)
#define BATCH 16 /* datagrams of one read, so that others have a turn */

struct udp_link {
    struct link link;
    uint32_t magic;
    struct watch watch;
    struct loop *loop;
    struct task later;  /* tells of the end; then, once closed, frees */
    struct buf waiting; /* datagrams that came, as bytes to be read */
    struct buf partial; /* the beginning of one that is being written */
    struct link_datagrams counts;
    bool readable;
    bool shut;
};

static struct udp_link *udp_of(struct link *l)
{
    struct udp_link *u = CONTAINER_OF(l, struct udp_link, link);
    CHECK_MAGIC(u, UDP_LINK_MAGIC);
    return u;
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct udp_link *u = CONTAINER_OF(w, struct udp_link, watch);
    (void)events;
    if (u->readable)
        return;
    u->readable = true;
    link_wake(&u->link);
}

static enum link_status udp_open(struct link *l)
{
    (void)l;
    return LINK_OK;
}

static void received(struct udp_link *u, const uint8_t *data, size_t len)
{
    u->counts.received++;
    u->counts.largest = MAX(u->counts.largest, len);
    u->counts.dropped += !frames_put(&u->waiting, data, len, WAITING_MAX);
}

static void receive(struct udp_link *u)
{
    uint8_t data[FRAMES_DATAGRAM_MAX];
    for (int i = 0; i < BATCH && u->waiting.len == 0; i++) {
        ssize_t n = recv(u->watch.fd, data, sizeof(data), 0);
        if (n >= 0)
            received(u, data, (size_t)n);
        else if (errno == EAGAIN)
            u->readable = false;
        if (!u->readable)
            return;
    }
}

static enum link_status udp_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct udp_link *u = udp_of(l);
    size_t n = 0;
    for (int i = 0; i < BATCH && n < cap && (u->waiting.len > 0 || u->readable); i++) {
        if (u->waiting.len == 0)
            receive(u);
        n += frames_move(&u->waiting, (uint8_t *)buf + n, cap - n);
    }
    *ret_n = n;
    if (n > 0)
        return LINK_OK;
    return u->shut ? LINK_EOF : LINK_AGAIN;
}

static void send_one(void *arg, const uint8_t *data, size_t len)
{
    struct udp_link *u = arg;
    bool sent = send(u->watch.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
    u->counts.sent += sent;
    u->counts.dropped += !sent;
    u->counts.largest = MAX(u->counts.largest, len);
}

static enum link_status udp_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct udp_link *u = udp_of(l);
    CHECK(!u->shut);
    frames_feed(&u->partial, buf, len, send_one, u);
    *ret_n = len;
    return LINK_OK;
}

static void tell_end(struct task *t)
{
    link_wake(&CONTAINER_OF(t, struct udp_link, later)->link);
}

/* Who has read nothing so far is to read the end. */
static enum link_status udp_shutdown(struct link *l, bool closing)
{
    struct udp_link *u = udp_of(l);
    (void)closing;
    if (!u->shut)
        loop_defer(u->loop, &u->later);
    u->shut = true;
    return LINK_OK;
}

static void udp_free(struct task *t)
{
    struct udp_link *u = CONTAINER_OF(t, struct udp_link, later);
    u->magic = 0;
    free(u);
}

static void udp_close(struct link *l, bool abort)
{
    struct udp_link *u = udp_of(l);
    (void)abort;
    loop_close(u->loop, &u->watch);
    l->wake = NULL;
    buf_free(&u->waiting);
    buf_free(&u->partial);
    list_remove(&u->later.node);
    task_init(&u->later, udp_free);
    loop_defer(u->loop, &u->later); /* an event of this round may still name the watch */
}

static void udp_datagrams(const struct link *l, struct link_datagrams *ret)
{
    *ret = udp_of((struct link *)(uintptr_t)l)->counts;
}

static const struct link_ops udp_ops = {
    .name = "UDP",
    .open = udp_open,
    .read = udp_read,
    .write = udp_write,
    .shutdown = udp_shutdown,
    .close = udp_close,
    .datagrams = udp_datagrams,
};

struct link *fd_link_udp(struct loop *loop, int fd)
{
    struct udp_link *u = calloc(1, sizeof(*u));
    if (u == NULL)
        return NULL;
    u->link.ops = &udp_ops;
    u->magic = UDP_LINK_MAGIC;
    u->loop = loop;
    u->readable = true;
    task_init(&u->later, tell_end);
    if (loop_watch(loop, &u->watch, fd, EPOLLIN | EPOLLET, on_ready) == 0)
        return &u->link;
    free(u);
    return NULL;
}
