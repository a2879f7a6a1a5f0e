/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/responder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "net/acceptor.h"
#include "web/web.h"

#define RESPONDER_MAGIC 0x4e590001u
#define CONNECTION_MAGIC 0x4e590002u

#define READ_NS (5 * NSEC_PER_SEC)
#define WRITE_NS (30 * NSEC_PER_SEC)
#define LINGER_NS (2 * NSEC_PER_SEC)
#define LINGER_MAX (1 << 20) /* bytes thrown away after the answer */

/* A connection goes through these in order. */
enum connection_state {
    CONNECTION_READING,
    CONNECTION_WAITING, /* for exchange_answer() */
    CONNECTION_WRITING,
    CONNECTION_LINGERING, /* for the client to close: closing first with bytes unread would destroy the answer
                        on its way */
    CONNECTION_CLOSED,
};

struct connection {
    uint32_t magic;
    enum connection_state state;
    struct responder *responder;
    struct list node;
    struct watch watch;
    struct timer deadline;
    struct task last; /* frees it, once no event of the round can name it */
    struct exchange *exchange;
    bool headless; /* HEAD: the answer goes without its body */
    bool running;  /* the driver is on the stack */
    struct buf in;
    struct buf out;
    size_t sent;
    size_t dropped;
};

struct exchange {
    struct connection *connection; /* NULL once nobody waits */
};

struct responder {
    uint32_t magic;
    struct loop *loop;
    struct acceptor acceptor;
    struct list connections;
    size_t count;
    const struct resource *resources;
    size_t resource_count;
    void *arg;
    bool closing;
};

/* ---- answers ---- */

static void connection_deadline(struct connection *c, int64_t ns)
{
    loop_set_timer(c->responder->loop, &c->deadline, loop_now(c->responder->loop) + ns);
}

/* Put the answer into `out`; `allow` is what a 405 must tell (RFC 9110, 15.5.6), or NULL. */
static void begin_answer(struct connection *c, unsigned status, const char *type, const char *allow,
                         struct buf *body)
{
    CHECK(c->state == CONNECTION_READING || c->state == CONNECTION_WAITING);
    bool ok = buf_printf(&c->out, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", status,
                         web_phrase(status), type, body->len);
    if (allow != NULL)
        ok = ok && buf_printf(&c->out, "Allow: %s\r\n", allow);
    ok = ok && buf_printf(&c->out, "Cache-Control: no-store\r\nConnection: close\r\n\r\n");
    if (!c->headless)
        ok = ok && buf_append(&c->out, body->data, body->len);
    buf_free(body);
    c->state = ok ? CONNECTION_WRITING : CONNECTION_CLOSED;
    connection_deadline(c, WRITE_NS);
}

static void refuse(struct connection *c, unsigned status, const char *allow, const char *text)
{
    struct buf body = {0};
    CHECK(buf_printf(&body, "%s\n", text));
    begin_answer(c, status, TYPE_TEXT, allow, &body);
}

/* ---- the steps: false when there is nothing to do for now ---- */

static const struct resource *find(const struct responder *r, const char *path)
{
    for (size_t i = 0; i < r->resource_count; i++)
        if (strcmp(r->resources[i].path, path) == 0)
            return &r->resources[i];
    return NULL;
}

static void serve(struct connection *c, const struct request *request)
{
    const struct resource *to = find(c->responder, request->path);
    c->headless = strcmp(request->method, "HEAD") == 0;
    if (to == NULL) {
        refuse(c, 404, NULL, "there is no such page");
        return;
    }
    bool get = strcmp(to->method, "GET") == 0;
    if (strcmp(to->method, request->method) != 0 && !(get && c->headless)) {
        refuse(c, 405, get ? "GET, HEAD" : to->method, "this page does not take that method");
        return;
    }
    struct exchange *e = malloc(sizeof(*e));
    CHECK(e != NULL);
    e->connection = c;
    c->exchange = e;
    c->state = CONNECTION_WAITING;
    wheel_cancel(&c->deadline);
    to->serve(e, request);
}

/* Receive into `space`. What recv(2) says, with EINTR taken care of. */
static ssize_t receive(struct connection *c, void *space, size_t cap)
{
    ssize_t n;
    do
        n = recv(c->watch.fd, space, cap, 0);
    while (n < 0 && errno == EINTR);
    return n;
}

static bool step_reading(struct connection *c)
{
    struct request request;
    struct err err;
    CHECK(c->in.len < REQUEST_HEAD_MAX && buf_reserve(&c->in, REQUEST_HEAD_MAX - c->in.len));
    ssize_t n = receive(c, c->in.data + c->in.len, REQUEST_HEAD_MAX - c->in.len);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0) { /* it left without a request */
        c->state = CONNECTION_CLOSED;
        return true;
    }
    c->in.len += (size_t)n;
    enum request_status s = request_read(c->in.data, c->in.len, &request, &err);
    if (s == REQUEST_MORE)
        return true;
    if (s == REQUEST_BAD)
        refuse(c, request.bad, NULL, err.text);
    else
        serve(c, &request);
    return true;
}

static bool step_writing(struct connection *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = send(c->watch.fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
        if (n >= 0) {
            c->sent += (size_t)n;
        } else if (errno == EAGAIN) {
            return false;
        } else if (errno != EINTR) {
            c->state = CONNECTION_CLOSED;
            return true;
        }
    }
    shutdown(c->watch.fd, SHUT_WR);
    c->state = CONNECTION_LINGERING;
    connection_deadline(c, LINGER_NS);
    return true;
}

static bool step_lingering(struct connection *c)
{
    char ignored[4096];
    ssize_t n = receive(c, ignored, sizeof(ignored));
    if (n < 0 && errno == EAGAIN)
        return false;
    c->dropped += n > 0 ? (size_t)n : 0;
    if (n <= 0 || c->dropped > LINGER_MAX)
        c->state = CONNECTION_CLOSED;
    return true;
}

static bool step(struct connection *c)
{
    switch (c->state) {
    case CONNECTION_READING:
        return step_reading(c);
    case CONNECTION_WRITING:
        return step_writing(c);
    case CONNECTION_LINGERING:
        return step_lingering(c);
    case CONNECTION_WAITING:
    case CONNECTION_CLOSED:
        break;
    }
    return false;
}

/* ---- connections ---- */

static void connection_free(struct task *t)
{
    struct connection *c = CONTAINER_OF(t, struct connection, last);
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    buf_free(&c->in);
    buf_free(&c->out);
    c->magic = 0;
    free(c);
}

/* The one teardown; the memory goes with the task `last`. */
static void connection_close(struct connection *c)
{
    struct responder *r = c->responder;
    CHECK(c->watch.fd >= 0 && r->count > 0);
    wheel_cancel(&c->deadline);
    loop_close(r->loop, &c->watch);
    if (c->exchange != NULL)
        c->exchange->connection = NULL;
    list_remove(&c->node);
    r->count--;
}

static void connection_run(struct connection *c)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    CHECK(!c->running);
    c->running = true;
    while (step(c))
        ;
    c->running = false;
    if (c->state != CONNECTION_CLOSED)
        return;
    connection_close(c);
    loop_defer(c->responder->loop, &c->last);
}

/* The calls themselves tell what is ready; only while nothing is read or written the events must tell that
 * the client is gone. One that has merely ended its side still waits for its answer. */
static void on_ready(struct watch *w, uint32_t events)
{
    struct connection *c = CONTAINER_OF(w, struct connection, watch);
    if (c->state == CONNECTION_WAITING && (events & (EPOLLHUP | EPOLLERR)))
        c->state = CONNECTION_CLOSED;
    connection_run(c);
}

static void on_deadline(struct timer *t)
{
    struct connection *c = CONTAINER_OF(t, struct connection, deadline);
    if (c->state == CONNECTION_READING)
        refuse(c, 408, NULL, "the request did not come in time");
    else
        c->state = CONNECTION_CLOSED;
    connection_run(c);
}

/* Is there room for one more? The oldest of those that have said nothing yet, or have all they came for, goes
 * first; so nobody keeps others out by holding connections open. No room: that many answers are being made.
 */
static bool make_room(struct responder *r)
{
    if (r->count < RESPONDER_CONNECTIONS_MAX)
        return true;
    for (struct list *n = r->connections.next; n != &r->connections; n = n->next) {
        struct connection *c = CONTAINER_OF(n, struct connection, node);
        if (c->state != CONNECTION_READING && c->state != CONNECTION_LINGERING)
            continue;
        CHECK(!c->running);
        c->state = CONNECTION_CLOSED;
        connection_run(c);
        return true;
    }
    return false;
}

static void on_accepted(struct acceptor *a, int fd, const struct net_addr *peer)
{
    (void)peer;
    struct responder *r = CONTAINER_OF(a, struct responder, acceptor);
    struct connection *c = r->closing || !make_room(r) ? NULL : calloc(1, sizeof(*c));
    if (c == NULL ||
        loop_watch(r->loop, &c->watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_ready) != 0) {
        close(fd);
        free(c);
        return;
    }
    c->magic = CONNECTION_MAGIC;
    c->responder = r;
    timer_init(&c->deadline, on_deadline);
    task_init(&c->last, connection_free);
    list_insert(&r->connections, &c->node);
    r->count++;
    connection_deadline(c, READ_NS);
    connection_run(c); /* the request is often there already */
}

static void on_refused(struct acceptor *a, int error)
{
    /* No descriptor: the client sees its connection closed and asks again. The audit lines tell of the
     * shortage. */
    (void)a;
    (void)error;
}

/* ---- what others see ---- */

struct responder *responder_new(struct loop *loop, int fd, const struct resource *resources, size_t count,
                                void *arg, struct err *err)
{
    struct responder *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    *r = (struct responder){.magic = RESPONDER_MAGIC,
                            .loop = loop,
                            .resources = resources,
                            .resource_count = count,
                            .arg = arg,
                            .acceptor = {.accepted = on_accepted, .refused = on_refused}};
    list_init(&r->connections);
    if (acceptor_start(&r->acceptor, loop, fd, err) == 0)
        return r;
    free(r);
    return NULL;
}

void responder_free(struct responder *r)
{
    if (r == NULL)
        return;
    CHECK_MAGIC(r, RESPONDER_MAGIC);
    r->closing = true;
    acceptor_stop(&r->acceptor);
    for (struct list *n = r->connections.next, *next; n != &r->connections; n = next) {
        next = n->next;
        struct connection *c = CONTAINER_OF(n, struct connection, node);
        CHECK(!c->running);
        connection_close(c);
        connection_free(&c->last);
    }
    r->magic = 0;
    free(r);
}

void *exchange_arg(const struct exchange *e)
{
    return e->connection == NULL ? NULL : e->connection->responder->arg;
}

void exchange_answer(struct exchange *e, unsigned status, const char *type, struct buf *body)
{
    struct connection *c = e->connection;
    free(e);
    if (c == NULL) {
        buf_free(body);
        return;
    }
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    c->exchange = NULL;
    begin_answer(c, status, type, NULL, body);
    if (!c->running)
        connection_run(c);
}

void exchange_refuse(struct exchange *e, unsigned status, const char *text)
{
    struct buf body = {0};
    CHECK(buf_printf(&body, "%s\n", text));
    exchange_answer(e, status, TYPE_TEXT, &body);
}
