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

#define RESPONDER_MAGIC 0x4e590001u
#define VISIT_MAGIC 0x4e590002u

#define READ_NS (5 * NSEC_PER_SEC)
#define WRITE_NS (30 * NSEC_PER_SEC)
#define LINGER_NS (2 * NSEC_PER_SEC)
#define LINGER_MAX (1 << 20) /* bytes thrown away after the answer */

/* A connection goes through these in order. */
enum visit_state {
    VISIT_READING,
    VISIT_WAITING, /* for exchange_answer() */
    VISIT_WRITING,
    VISIT_LINGERING, /* for the client to close: closing first with bytes unread would destroy the answer on
                        its way */
    VISIT_CLOSED,
};

struct visit {
    uint32_t magic;
    enum visit_state state;
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
    struct visit *visit; /* NULL once nobody waits */
};

struct responder {
    uint32_t magic;
    struct loop *loop;
    struct acceptor acceptor;
    struct list visits;
    size_t count;
    const struct resource *resources;
    size_t resource_count;
    void *arg;
    bool closing;
};

/* ---- answers ---- */

static const char *phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } rows[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {422, "Unprocessable Content"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].status == status)
            return rows[i].phrase;
    CHECK(!"a status without a phrase");
    return "";
}

static void visit_deadline(struct visit *v, int64_t ns)
{
    loop_set_timer(v->responder->loop, &v->deadline, loop_now(v->responder->loop) + ns);
}

/* Put the answer into `out`; `allow` is what a 405 must tell (RFC 9110, 15.5.6), or NULL. */
static void begin_answer(struct visit *v, unsigned status, const char *type, const char *allow,
                         struct buf *body)
{
    CHECK(v->state == VISIT_READING || v->state == VISIT_WAITING);
    bool ok = buf_printf(&v->out, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", status,
                         phrase(status), type, body->len);
    if (allow != NULL)
        ok = ok && buf_printf(&v->out, "Allow: %s\r\n", allow);
    ok = ok && buf_printf(&v->out, "Cache-Control: no-store\r\nConnection: close\r\n\r\n");
    if (!v->headless)
        ok = ok && buf_append(&v->out, body->data, body->len);
    buf_free(body);
    v->state = ok ? VISIT_WRITING : VISIT_CLOSED;
    visit_deadline(v, WRITE_NS);
}

static void refuse(struct visit *v, unsigned status, const char *allow, const char *text)
{
    struct buf body = {0};
    CHECK(buf_printf(&body, "%s\n", text));
    begin_answer(v, status, TYPE_TEXT, allow, &body);
}

/* ---- the steps: false when there is nothing to do for now ---- */

static const struct resource *find(const struct responder *r, const char *path)
{
    for (size_t i = 0; i < r->resource_count; i++)
        if (strcmp(r->resources[i].path, path) == 0)
            return &r->resources[i];
    return NULL;
}

static void serve(struct visit *v, const struct request *request)
{
    const struct resource *to = find(v->responder, request->path);
    v->headless = strcmp(request->method, "HEAD") == 0;
    if (to == NULL) {
        refuse(v, 404, NULL, "there is no such page");
        return;
    }
    bool get = strcmp(to->method, "GET") == 0;
    if (strcmp(to->method, request->method) != 0 && !(get && v->headless)) {
        refuse(v, 405, get ? "GET, HEAD" : to->method, "this page does not take that method");
        return;
    }
    struct exchange *e = malloc(sizeof(*e));
    CHECK(e != NULL);
    e->visit = v;
    v->exchange = e;
    v->state = VISIT_WAITING;
    wheel_cancel(&v->deadline);
    to->serve(e, request);
}

/* Receive into `space`. What recv(2) says, with EINTR taken care of. */
static ssize_t receive(struct visit *v, void *space, size_t cap)
{
    ssize_t n;
    do
        n = recv(v->watch.fd, space, cap, 0);
    while (n < 0 && errno == EINTR);
    return n;
}

static bool step_reading(struct visit *v)
{
    struct request request;
    struct err err;
    CHECK(v->in.len < REQUEST_HEAD_MAX && buf_reserve(&v->in, REQUEST_HEAD_MAX - v->in.len));
    ssize_t n = receive(v, v->in.data + v->in.len, REQUEST_HEAD_MAX - v->in.len);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0) { /* it left without a request */
        v->state = VISIT_CLOSED;
        return true;
    }
    v->in.len += (size_t)n;
    enum request_status s = request_read(v->in.data, v->in.len, &request, &err);
    if (s == REQUEST_MORE)
        return true;
    if (s == REQUEST_BAD)
        refuse(v, request.bad, NULL, err.text);
    else
        serve(v, &request);
    return true;
}

static bool step_writing(struct visit *v)
{
    while (v->sent < v->out.len) {
        ssize_t n = send(v->watch.fd, v->out.data + v->sent, v->out.len - v->sent, MSG_NOSIGNAL);
        if (n >= 0) {
            v->sent += (size_t)n;
        } else if (errno == EAGAIN) {
            return false;
        } else if (errno != EINTR) {
            v->state = VISIT_CLOSED;
            return true;
        }
    }
    shutdown(v->watch.fd, SHUT_WR);
    v->state = VISIT_LINGERING;
    visit_deadline(v, LINGER_NS);
    return true;
}

static bool step_lingering(struct visit *v)
{
    char ignored[4096];
    ssize_t n = receive(v, ignored, sizeof(ignored));
    if (n < 0 && errno == EAGAIN)
        return false;
    v->dropped += n > 0 ? (size_t)n : 0;
    if (n <= 0 || v->dropped > LINGER_MAX)
        v->state = VISIT_CLOSED;
    return true;
}

static bool step(struct visit *v)
{
    switch (v->state) {
    case VISIT_READING:
        return step_reading(v);
    case VISIT_WRITING:
        return step_writing(v);
    case VISIT_LINGERING:
        return step_lingering(v);
    case VISIT_WAITING:
    case VISIT_CLOSED:
        break;
    }
    return false;
}

/* ---- connections ---- */

static void visit_free(struct task *t)
{
    struct visit *v = CONTAINER_OF(t, struct visit, last);
    CHECK_MAGIC(v, VISIT_MAGIC);
    buf_free(&v->in);
    buf_free(&v->out);
    v->magic = 0;
    free(v);
}

/* The one teardown; the memory goes with the task `last`. */
static void visit_close(struct visit *v)
{
    struct responder *r = v->responder;
    CHECK(v->watch.fd >= 0 && r->count > 0);
    wheel_cancel(&v->deadline);
    close(v->watch.fd);
    v->watch.fd = -1;
    if (v->exchange != NULL)
        v->exchange->visit = NULL;
    list_remove(&v->node);
    r->count--;
}

static void visit_run(struct visit *v)
{
    CHECK_MAGIC(v, VISIT_MAGIC);
    CHECK(!v->running);
    v->running = true;
    while (step(v))
        ;
    v->running = false;
    if (v->state != VISIT_CLOSED)
        return;
    visit_close(v);
    loop_defer(v->responder->loop, &v->last);
}

/* The calls themselves tell what is ready; only while nothing is read or written the events must tell that
 * the client is gone. One that has merely ended its side still waits for its answer. */
static void on_ready(struct watch *w, uint32_t events)
{
    struct visit *v = CONTAINER_OF(w, struct visit, watch);
    if (v->state == VISIT_WAITING && (events & (EPOLLHUP | EPOLLERR)))
        v->state = VISIT_CLOSED;
    visit_run(v);
}

static void on_deadline(struct timer *t)
{
    struct visit *v = CONTAINER_OF(t, struct visit, deadline);
    if (v->state == VISIT_READING)
        refuse(v, 408, NULL, "the request did not come in time");
    else
        v->state = VISIT_CLOSED;
    visit_run(v);
}

/* Is there room for one more? The oldest of those that have said nothing yet, or have all they came for, goes
 * first; so nobody keeps others out by holding connections open. No room: that many answers are being made.
 */
static bool make_room(struct responder *r)
{
    if (r->count < RESPONDER_CONNECTIONS_MAX)
        return true;
    for (struct list *n = r->visits.next; n != &r->visits; n = n->next) {
        struct visit *v = CONTAINER_OF(n, struct visit, node);
        if (v->state != VISIT_READING && v->state != VISIT_LINGERING)
            continue;
        CHECK(!v->running);
        v->state = VISIT_CLOSED;
        visit_run(v);
        return true;
    }
    return false;
}

static void on_accepted(struct acceptor *a, int fd, const struct net_addr *peer)
{
    (void)peer;
    struct responder *r = CONTAINER_OF(a, struct responder, acceptor);
    struct visit *v = r->closing || !make_room(r) ? NULL : calloc(1, sizeof(*v));
    if (v == NULL ||
        loop_watch(r->loop, &v->watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_ready) != 0) {
        close(fd);
        free(v);
        return;
    }
    v->magic = VISIT_MAGIC;
    v->responder = r;
    timer_init(&v->deadline, on_deadline);
    task_init(&v->last, visit_free);
    list_insert(&r->visits, &v->node);
    r->count++;
    visit_deadline(v, READ_NS);
    visit_run(v); /* the request is often there already */
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
    list_init(&r->visits);
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
    for (struct list *n = r->visits.next, *next; n != &r->visits; n = next) {
        next = n->next;
        struct visit *v = CONTAINER_OF(n, struct visit, node);
        CHECK(!v->running);
        visit_close(v);
        visit_free(&v->last);
    }
    r->magic = 0;
    free(r);
}

void *exchange_arg(const struct exchange *e)
{
    return e->visit == NULL ? NULL : e->visit->responder->arg;
}

void exchange_answer(struct exchange *e, unsigned status, const char *type, struct buf *body)
{
    struct visit *v = e->visit;
    free(e);
    if (v == NULL) {
        buf_free(body);
        return;
    }
    CHECK_MAGIC(v, VISIT_MAGIC);
    v->exchange = NULL;
    begin_answer(v, status, type, NULL, body);
    if (!v->running)
        visit_run(v);
}

void exchange_refuse(struct exchange *e, unsigned status, const char *text)
{
    struct buf body = {0};
    CHECK(buf_printf(&body, "%s\n", text));
    exchange_answer(e, status, TYPE_TEXT, &body);
}
