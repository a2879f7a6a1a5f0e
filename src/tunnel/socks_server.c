/* SPDX-License-Identifier: Apache-2.0 */
/* Messages are read to their last byte and no further, so that what the client sends right behind its request
 * stays in the socket for the tunnel. */
#include "tunnel/socks_server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "link/fd_link.h"
#include "net/socket.h"
#include "tunnel/client.h"
#include "tunnel/socks.h"
#include "tunnel/socks_relay.h"

#define CONN_MAGIC 0x50c45c00u
#define REQUEST_NS (10 * NSEC_PER_SEC) /* in which greeting and request must have come */
#define DRAIN_NS (2 * NSEC_PER_SEC)
#define READS_PER_TURN 16

struct socks_server {
    struct loop *loop;
    struct client_door *door;
    socks_failed *failed;
    void *owner;
    struct list conns;
};

enum conn_state { CONN_GREETING, CONN_REQUEST, CONN_ASSOCIATED, CONN_DRAIN, CONN_GONE };

/* A client without a tunnel: before it has one, or because it wants datagrams, or was refused. */
struct conn {
    uint32_t magic;
    enum conn_state state;
    struct socks_server *server;
    struct list node;
    struct link *link;
    struct net_addr peer;
    struct socks_relay *relay;
    struct timer timer;
    struct task again;
    size_t have;
    uint8_t message[SOCKS_MESSAGE_MAX];
};

static const uint8_t replies[FRONT_OUTCOMES] = {
#define OUTCOME(name, code, status, phrase, type, socks, text) socks,
#include "tables/outcomes.def"
#undef OUTCOME
};

static void conn_run(struct conn *c);

static void on_wake(struct link *l)
{
    conn_run(l->owner);
}

static void on_again(struct task *t)
{
    conn_run(CONTAINER_OF(t, struct conn, again));
}

static void conn_free(struct task *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, again);
    c->magic = 0;
    free(c);
}

/* Let go of it; the link is somebody else's by now, or is closed. */
static enum conn_state gone(struct conn *c)
{
    link_close(c->link, false);
    c->link = NULL;
    socks_relay_close(c->relay);
    c->relay = NULL;
    wheel_cancel(&c->timer);
    list_remove(&c->node);
    list_remove(&c->again.node);
    task_init(&c->again, conn_free);
    loop_defer(c->server->loop, &c->again);
    c->state = CONN_GONE;
    return CONN_GONE;
}

static void on_timer(struct timer *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, timer);
    if (c->state != CONN_DRAIN)
        c->server->failed(c->server->owner, "a SOCKS client was let go: its request did not come in time");
    gone(c);
}

static struct conn *conn_new(struct socks_server *s, struct link *l, enum conn_state state, int64_t time)
{
    struct conn *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->magic = CONN_MAGIC;
    c->state = state;
    c->server = s;
    c->link = l;
    l->wake = on_wake;
    l->owner = c;
    list_insert(&s->conns, &c->node);
    timer_init(&c->timer, on_timer);
    loop_set_timer(s->loop, &c->timer, loop_now(s->loop) + time);
    task_init(&c->again, on_again);
    loop_defer(s->loop, &c->again);
    return c;
}

/* ---- answering ---- */

/* An answer is a few bytes into a socket that holds hardly any: what does not fit is for a client that reads
 * nothing, and lost with it. */
static void answer(struct link *l, const uint8_t *data, size_t len)
{
    size_t n;
    (void)link_write(l, data, len, &n);
}

static void reply(struct link *l, uint8_t code, const struct net_addr *bound)
{
    uint8_t bytes[SOCKS_REPLY_MAX];
    answer(l, bytes, socks_put_reply(code, bound, bytes));
}

/* What the client has sent meanwhile is read and forgotten: unread bytes would become a reset, which may
 * overtake the answer. */
static enum conn_state drain(struct conn *c)
{
    link_shutdown(c->link);
    loop_set_timer(c->server->loop, &c->timer, loop_now(c->server->loop) + DRAIN_NS);
    return CONN_DRAIN;
}

static enum conn_state refused(struct conn *c, const struct err *why)
{
    c->server->failed(c->server->owner, why->text);
    return drain(c);
}

/* ---- the tunnel ---- */

static void on_answered(void *owner, enum front_outcome outcome, struct link *local)
{
    reply(local, outcome == FRONT_OUTCOMES ? SOCKS_FAILURE : replies[outcome], NULL);
    if (outcome == FRONT_OK)
        return;
    link_shutdown(local);
    conn_new(owner, local, CONN_DRAIN, DRAIN_NS);
}

static void on_ended(void *owner, enum client_outcome outcome, const char *text)
{
    const struct socks_server *s = owner;
    if (outcome == CLIENT_FAILED)
        s->failed(s->owner, text);
}

static enum conn_state start_tunnel(struct conn *c, const struct front_target *target)
{
    struct link *local = c->link;
    c->link = NULL;
    client_start(c->server->door, target, local, on_answered, on_ended, c->server);
    return gone(c);
}

static enum conn_state associate(struct conn *c, uint16_t port)
{
    struct socks_server *s = c->server;
    struct net_addr here = socket_local(link_socket(c->link)), client = c->peer;
    struct err err;
    client.port = port;
    c->relay = socks_relay_new(s->loop, s->door, &here, &client, s->failed, s->owner, &err);
    if (c->relay == NULL) {
        reply(c->link, SOCKS_FAILURE, NULL);
        return refused(c, &err);
    }
    here = socks_relay_place(c->relay);
    reply(c->link, SOCKS_SUCCEEDED, &here);
    wheel_cancel(&c->timer);
    return CONN_ASSOCIATED;
}

/* ---- the client's messages ---- */

static enum conn_state step_greeting(struct conn *c, size_t *ret_want)
{
    struct err err;
    bool due;
    uint8_t bytes[2];
    enum socks_result r = socks_parse_greeting(c->message, c->have, ret_want, &due, &err);
    if (r == SOCKS_MORE)
        return CONN_GREETING;
    socks_put_method(r == SOCKS_OK, bytes);
    if (due)
        answer(c->link, bytes, sizeof(bytes));
    if (r == SOCKS_BAD)
        return refused(c, &err);
    c->have = 0;
    return CONN_REQUEST;
}

static enum conn_state step_request(struct conn *c, size_t *ret_want)
{
    struct err err;
    struct socks_request request;
    enum socks_result r = socks_parse_request(c->message, c->have, &request, &err);
    *ret_want = request.size;
    if (r == SOCKS_MORE)
        return CONN_REQUEST;
    if (r == SOCKS_BAD) {
        reply(c->link, request.reply, NULL);
        return refused(c, &err);
    }
    if (request.command == SOCKS_ASSOCIATE)
        return associate(c, request.port);
    return start_tunnel(c, &request.target);
}

/* Read on to the end of the message that is under way. */
static enum link_status read_message(struct conn *c, size_t want)
{
    size_t n = 0;
    CHECK(want > c->have && want <= sizeof(c->message));
    enum link_status status = link_read(c->link, c->message + c->have, want - c->have, &n);
    c->have += status == LINK_OK ? n : 0;
    return status;
}

/* Nothing that comes now means anything but its end. */
static enum link_status ignore(struct conn *c)
{
    uint8_t bytes[4096];
    size_t n;
    return link_read(c->link, bytes, sizeof(bytes), &n);
}

static enum link_status step(struct conn *c)
{
    size_t want = 0;
    enum conn_state before;
    do {
        before = c->state;
        if (before == CONN_GREETING)
            c->state = step_greeting(c, &want);
        else if (before == CONN_REQUEST)
            c->state = step_request(c, &want);
    } while (c->state != before && c->state < CONN_ASSOCIATED);
    if (c->state == CONN_GONE)
        return LINK_AGAIN;
    return c->state < CONN_ASSOCIATED ? read_message(c, want) : ignore(c);
}

static void conn_run(struct conn *c)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    enum link_status status = LINK_OK;
    for (int i = 0; status == LINK_OK && c->state != CONN_GONE; i++) {
        if (i == READS_PER_TURN) {
            loop_defer(c->server->loop, &c->again);
            return;
        }
        status = step(c);
    }
    if (status != LINK_AGAIN && c->state != CONN_GONE)
        gone(c);
}

/* ---- the server ---- */

struct socks_server *socks_server_new(struct loop *loop, struct client_door *door, socks_failed *failed,
                                      void *owner)
{
    struct socks_server *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    *s = (struct socks_server){.loop = loop, .door = door, .failed = failed, .owner = owner};
    list_init(&s->conns);
    return s;
}

void socks_server_take(struct socks_server *s, int fd, const struct net_addr *peer)
{
    struct link *l = fd_link_socket(s->loop, fd, false);
    if (l == NULL) {
        struct err err;
        err_errno(&err, errno, "a SOCKS client was let go");
        s->failed(s->owner, err.text);
        close(fd);
        return;
    }
    conn_new(s, l, CONN_GREETING, REQUEST_NS)->peer = *peer;
}

void socks_server_free(struct socks_server *s)
{
    if (s == NULL)
        return;
    while (!list_empty(&s->conns))
        gone(CONTAINER_OF(s->conns.next, struct conn, node));
    free(s);
}
