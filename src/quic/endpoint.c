/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets, and who gets which packet. */
#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quic/quic_internal.h"

#define ENDPOINT_MAGIC 0x90e4d901u
#define ROUNDS 8 /* batches taken from a socket before others have a turn */

void quic_secrets_make(struct quic_secrets *ret)
{
    CHECK(RAND_bytes(ret->reset, sizeof(ret->reset)) == 1 && RAND_bytes(ret->token, sizeof(ret->token)) == 1);
}

struct quic_scratch *quic_scratch_new(void)
{
    struct quic_scratch *s = malloc(sizeof(*s));
    CHECK(s != NULL);
    s->inbox = udp_inbox_new();
    return s;
}

void quic_scratch_free(struct quic_scratch *s)
{
    if (s == NULL)
        return;
    udp_inbox_free(s->inbox);
    free(s);
}

/* ---- packets in ---- */

static void for_all(struct quic_endpoint *e, const struct udp_packets *p)
{
    for (struct list *n = e->conns.next, *next; n != &e->conns; n = next) {
        next = n->next;
        conn_receive(CONTAINER_OF(n, struct quic_conn, node), p, p->data, p->len);
    }
}

/* Whose is a packet with this id, of all endpoints at the address? The first byte says so, also of an id that
 * a client has chosen: as udp_steer() has the kernel do it. */
static bool is_astray(const struct quic_endpoint *e, const ngtcp2_version_cid *vc, unsigned *ret_owner)
{
    if (e->server.astray == NULL || e->server.count < 2 || vc->dcidlen == 0)
        return false;
    *ret_owner = vc->dcid[0] % e->server.count;
    return *ret_owner != e->server.index;
}

static void one_packet(struct quic_socket *s, const struct udp_packets *p)
{
    struct quic_endpoint *e = s->endpoint;
    unsigned owner;
    ngtcp2_version_cid vc;
    int error = ngtcp2_pkt_decode_version_cid(&vc, p->data, p->len, QUIC_CID_LEN);
    if (error == NGTCP2_ERR_VERSION_NEGOTIATION) {
        if (e->serves && !e->refusing)
            endpoint_other_version(s, p, &vc);
        return;
    }
    if (error != 0)
        return;
    struct quic_conn *c = cids_get(&e->cids, vc.dcid, vc.dcidlen);
    if (c != NULL)
        conn_receive(c, p, p->data, p->len);
    else if (is_astray(e, &vc, &owner))
        e->server.astray(e->server.arg, owner, p);
    else if (e->serves)
        endpoint_stranger(s, p, &vc);
    else /* a stateless reset has an id of nobody's: its connection knows it by its end (RFC 9000, 10.3.1) */
        for_all(e, p);
}

static void split(struct quic_socket *s, const struct udp_packets *p)
{
    for (size_t off = 0; off < p->len; off += p->segment) {
        struct udp_packets one = *p;
        one.data = p->data + off;
        one.len = one.segment = MIN(p->segment, p->len - off);
        one_packet(s, &one);
    }
}

static void work_off(struct quic_endpoint *e)
{
    struct list *n;
    while ((n = list_pop(&e->received)) != NULL)
        conn_after_batch(CONTAINER_OF(n, struct quic_conn, received));
}

/* Believed of connections that have heard nothing yet: whoever forges ICMP could otherwise end them. */
static void nobody_there(struct quic_endpoint *e)
{
    for (struct list *n = e->conns.next, *next; n != &e->conns; n = next) {
        next = n->next;
        conn_unanswered(CONTAINER_OF(n, struct quic_conn, node));
    }
}

static void on_readable(struct quic_socket *s)
{
    struct quic_endpoint *e = s->endpoint;
    const struct udp_packets *packets;
    for (int round = 0; round < ROUNDS && s->watch.fd >= 0; round++) {
        int n = udp_receive(&s->udp, e->scratch->inbox, &packets);
        for (int i = 0; i < n; i++)
            split(s, &packets[i]);
        if (n < 0 && !e->serves)
            nobody_there(e);
        work_off(e);
        if (n <= 0)
            return;
    }
}

void quic_endpoint_take(struct quic_endpoint *e, const struct udp_packets *packet)
{
    CHECK_MAGIC(e, ENDPOINT_MAGIC);
    one_packet(CONTAINER_OF(e->sockets.next, struct quic_socket, node), packet);
    work_off(e);
}

void endpoint_socket_full(struct quic_socket *s)
{
    if (s->writable)
        loop_rewatch(s->endpoint->loop, &s->watch, EPOLLIN | EPOLLOUT);
    s->writable = false;
}

static void on_writable(struct quic_socket *s)
{
    struct quic_endpoint *e = s->endpoint;
    loop_rewatch(e->loop, &s->watch, EPOLLIN);
    s->writable = true;
    for (struct list *n = e->conns.next; n != &e->conns; n = n->next) {
        struct quic_conn *c = CONTAINER_OF(n, struct quic_conn, node);
        if (c->unsent.len > 0)
            conn_touch(c);
    }
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct quic_socket *s = CONTAINER_OF(w, struct quic_socket, watch);
    if (!s->writable && (events & EPOLLOUT) != 0)
        on_writable(s);
    if (events & (EPOLLIN | EPOLLERR))
        on_readable(s);
}

/* ---- sockets ---- */

struct quic_socket *endpoint_add_socket(struct quic_endpoint *e, int fd, uint32_t events)
{
    struct quic_socket *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->udp = udp_socket_of(fd);
    s->endpoint = e;
    s->writable = true;
    /* Level-triggered for what comes in: a socket that is not read empty in its turn comes up again. */
    if (loop_watch(e->loop, &s->watch, fd, events, on_ready) != 0) {
        close(fd);
        free(s);
        return NULL;
    }
    list_insert(&e->sockets, &s->node);
    return s;
}

static void socket_done(struct task *t)
{
    free(CONTAINER_OF(t, struct quic_socket, free_later));
}

void endpoint_remove_socket(struct quic_socket *s)
{
    list_remove(&s->node);
    loop_close(s->endpoint->loop, &s->watch);
    task_init(&s->free_later, socket_done);
    loop_defer(s->endpoint->loop, &s->free_later);
}

void endpoint_keep_two(struct quic_endpoint *e)
{
    while (e->sockets.next->next != e->sockets.prev && e->sockets.next != e->sockets.prev)
        endpoint_remove_socket(CONTAINER_OF(e->sockets.next, struct quic_socket, node));
}

/* A server's socket may have all addresses of the machine. */
static bool has_address(const struct quic_socket *s, const struct net_addr *a)
{
    static const uint8_t all[16];
    const struct net_addr *own = &s->udp.local;
    return own->port == a->port &&
           (memcmp(own->ip, all, sizeof(all)) == 0 || memcmp(own->ip, a->ip, sizeof(own->ip)) == 0);
}

struct quic_socket *endpoint_socket(struct quic_endpoint *e, const struct net_addr *local)
{
    CHECK(!list_empty(&e->sockets));
    for (struct list *n = e->sockets.next; n != &e->sockets; n = n->next) {
        struct quic_socket *s = CONTAINER_OF(n, struct quic_socket, node);
        if (has_address(s, local))
            return s;
    }
    return CONTAINER_OF(e->sockets.prev, struct quic_socket, node);
}

/* ---- life ---- */

static struct quic_endpoint *endpoint_new(struct loop *loop, int fd, uint32_t events,
                                          const struct quic_secrets *secrets, struct quic_scratch *scratch,
                                          struct err *err)
{
    struct quic_endpoint *e = calloc(1, sizeof(*e));
    CHECK(e != NULL);
    e->magic = ENDPOINT_MAGIC;
    e->loop = loop;
    e->secrets = secrets;
    e->scratch = scratch;
    list_init(&e->sockets);
    list_init(&e->conns);
    list_init(&e->received);
    if (endpoint_add_socket(e, fd, events) != NULL) {
        cids_init(&e->cids);
        return e;
    }
    err_errno(err, errno, "cannot watch a UDP socket");
    free(e);
    return NULL;
}

struct quic_endpoint *quic_endpoint_new(struct loop *loop, int fd, const struct quic_server *server,
                                        const struct quic_secrets *secrets, struct quic_scratch *scratch,
                                        struct err *err)
{
    CHECK(server->count <= QUIC_ENDPOINTS_MAX);
    struct quic_endpoint *e = endpoint_new(loop, fd, 0, secrets, scratch, err);
    if (e == NULL)
        return NULL;
    e->server = *server;
    e->serves = true;
    return e;
}

struct quic_endpoint *quic_endpoint_client(struct loop *loop, int fd, const struct quic_settings *settings,
                                           const struct quic_secrets *secrets, struct quic_scratch *scratch,
                                           struct err *err)
{
    struct quic_endpoint *e = endpoint_new(loop, fd, EPOLLIN, secrets, scratch, err);
    if (e != NULL)
        e->settings = *settings;
    return e;
}

void quic_endpoint_drop(struct quic_endpoint *e)
{
    if (e == NULL)
        return;
    CHECK_MAGIC(e, ENDPOINT_MAGIC);
    struct quic_socket *s = CONTAINER_OF(e->sockets.next, struct quic_socket, node);
    loop_close(e->loop, &s->watch);
    free(s);
    cids_free(&e->cids);
    free(e);
}

void quic_endpoint_serve(struct quic_endpoint *e, const struct quic_settings *settings)
{
    CHECK_MAGIC(e, ENDPOINT_MAGIC);
    struct quic_socket *s = CONTAINER_OF(e->sockets.next, struct quic_socket, node);
    e->settings = *settings;
    e->refusing = false;
    CHECK(loop_rewatch(e->loop, &s->watch, s->writable ? EPOLLIN : EPOLLIN | EPOLLOUT) == 0);
}

void quic_endpoint_refuse(struct quic_endpoint *e)
{
    CHECK_MAGIC(e, ENDPOINT_MAGIC);
    e->refusing = true;
}

bool quic_endpoint_busy(const struct quic_endpoint *e)
{
    CHECK_MAGIC(e, ENDPOINT_MAGIC);
    for (struct list *n = e->conns.next; n != &e->conns; n = n->next) {
        const struct quic_conn *c = CONTAINER_OF(n, struct quic_conn, node);
        if (c->state == CONN_OPEN && quic_conn_busy(c))
            return true;
    }
    return false;
}

static void endpoint_done(struct task *t)
{
    struct quic_endpoint *e = CONTAINER_OF(t, struct quic_endpoint, free_later);
    cids_free(&e->cids);
    e->magic = 0;
    free(e);
}

void quic_endpoint_free(struct quic_endpoint *e)
{
    if (e == NULL)
        return;
    CHECK_MAGIC(e, ENDPOINT_MAGIC);
    while (!list_empty(&e->conns))
        conn_end_now(CONTAINER_OF(e->conns.next, struct quic_conn, node));
    while (!list_empty(&e->sockets))
        endpoint_remove_socket(CONTAINER_OF(e->sockets.next, struct quic_socket, node));
    task_init(&e->free_later, endpoint_done);
    loop_defer(e->loop, &e->free_later);
}
