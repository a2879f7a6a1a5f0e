/* SPDX-License-Identifier: Apache-2.0 */
/* One request at a time: while one is being answered nothing is read, so what a client sends ahead stays with
 * him. An answer comes at once, or by a message from the office; whoever is gone by then has left its inquiry
 * without an asker. */
#include "session/pages.h"

#include <stdlib.h>
#include <string.h>

#include "audit/counters.h"
#include "base/clock.h"
#include "cert/identity.h"
#include "session/deed.h"
#include "session/office.h"
#include "session/resident.h"
#include "session/session.h"
#include "session/snapshot.h"
#include "session/worker.h"

#define PAGES_MAGIC 0x9a6e5000u

#define READS 4               /* in one turn, so that others have one */
#define READ_MOST (16 * 1024) /* bytes of one read */

struct pages {
    struct resident resident;
    uint32_t magic;
    struct worker *worker;
    struct session_origin origin; /* its session's, which lives longer */
    struct net_addr peer;
    struct link *link;
    const struct route_runtime *route;
    const struct config_limits *limits;
    bool tls;
    char source[NET_ADDR_TEXT_MAX];
    struct buf in; /* read, but not looked at */
    struct web_reader reader;
    struct buf out;
    struct inquiry *asked; /* under way, or NULL */
    struct timer timer;
    bool expired;   /* it has gone off */
    bool head_only; /* the request that is being answered is HEAD */
    bool continued; /* the client has heard that its content is wanted */
    bool leaving;   /* no request is taken behind the one at hand */
    bool over;      /* ... and that has its answer */
    struct resident_end end;
    char detail[ERR_TEXT_MAX];
};

static struct pages *pages_of(struct resident *r)
{
    struct pages *p = CONTAINER_OF(r, struct pages, resident);
    CHECK_MAGIC(p, PAGES_MAGIC);
    return p;
}

/* ---- counting ---- */

struct pages_counts {
    uint64_t n[DOOR_SERVICES_MAX + 1][5]; /* of each service, and of none; by the hundreds of the status */
};

struct pages_counts *pages_counts_new(const struct snapshot_shared *shared)
{
    struct pages_counts *c = calloc(1, sizeof(*c));
    CHECK(c != NULL && shared->bindings->services_len <= DOOR_SERVICES_MAX);
    return c;
}

uint64_t pages_count(const struct pages_counts *counts, size_t service, unsigned hundred)
{
    CHECK(service <= DOOR_SERVICES_MAX && hundred >= 1 && hundred <= 5);
    return __atomic_load_n(&counts->n[service][hundred - 1], __ATOMIC_RELAXED);
}

static void count(struct pages *p, const struct web_service *service, unsigned status)
{
    const struct door_bindings *all = p->worker->shared->bindings;
    size_t place = service == NULL ? all->services_len : (size_t)(service - all->services);
    CHECK(status >= 100 && status < 600);
    counter_add(&p->worker->requests->n[place][status / 100 - 1], 1);
    p->resident.streams++;
    p->resident.status = status;
}

/* ---- time ---- */

static void on_timer(struct timer *t)
{
    struct pages *p = CONTAINER_OF(t, struct pages, timer);
    CHECK_MAGIC(p, PAGES_MAGIC);
    p->expired = true;
    resident_wake(&p->resident);
}

static void allow(struct pages *p, int64_t ns)
{
    p->expired = false;
    loop_set_timer(p->worker->loop, &p->timer, loop_now(p->worker->loop) + ns);
}

/* ---- answering ---- */

static void finish(struct pages *p, enum close_reason reason, const char *detail)
{
    if (!p->over)
        p->end = (struct resident_end){.reason = reason, .detail = detail};
    p->over = p->leaving = true;
}

/* Write the answer (taken) for `service`, or for none. */
static void answer(struct pages *p, const struct web_service *service, struct web_answer *a)
{
    const struct web_framing how = {
        .head_only = p->head_only, .closes = p->leaving, .now = clock_wall() / NSEC_PER_SEC};
    CHECK(web_answer_write(a, &how, &p->out));
    count(p, service, a->status);
    web_answer_free(a);
    if (p->leaving)
        finish(p, CLOSE_DONE, NULL);
    allow(p, p->limits->request_timeout);
}

/* The request cannot be read, or did not come in time: what would follow it cannot be told from it. */
static void refuse(struct pages *p, unsigned status, const char *why, enum close_reason reason)
{
    struct web_answer a = {0};
    str_copy(p->detail, sizeof(p->detail), why, strlen(why));
    finish(p, reason, p->detail);
    p->head_only = false;
    web_answer_text(&a, status, "%s", why);
    answer(p, NULL, &a);
}

/* The inquiry has its answer. */
static void take_answer(struct pages *p, struct inquiry *q)
{
    answer(p, q->service, &q->answer);
    inquiry_free(q);
}

/* Nobody waits for the answer any more. */
static void abandon(struct pages *p)
{
    if (p->asked != NULL)
        p->asked->asker = NULL;
    p->asked = NULL;
}

static void on_back(struct inquiry *q)
{
    struct pages *p = q->asker;
    audit_place_tell(q->place, &q->answer.deed);
    if (p == NULL) {
        inquiry_free(q);
        return;
    }
    CHECK_MAGIC(p, PAGES_MAGIC);
    p->asked = NULL;
    take_answer(p, q);
    resident_wake(&p->resident);
}

/* No service has the path: tell what is served here. */
static void tell_services(struct pages *p)
{
    struct web_answer a = {0};
    struct buf list = {0};
    for (size_t i = 0; i < p->route->services_len; i++)
        for (const char *const *prefix = p->route->services[i]->prefixes; *prefix != NULL; prefix++)
            buf_printf(&list, "%s %s", list.len > 0 ? "," : "", *prefix);
    web_answer_text(&a, 404, "nothing is served under this path; what is served here begins with%s",
                    buf_text(&list));
    buf_free(&list);
    answer(p, NULL, &a);
}

/* Who has asked, and by which key he has proven it. */
static void show_identity(const struct pages *p, struct inquiry *q)
{
    struct link_peer peer;
    link_peer(p->link, &peer);
    if (peer.identity == NULL)
        return;
    q->identity = identity_make(peer.identity->facts, peer.identity->count);
    q->request.identity = q->identity;
    if (cert_key_digest(cert_chain_at(peer.chain, 0), q->key))
        q->request.key = q->key;
}

static struct inquiry *make_inquiry(struct pages *p, const struct web_service *service)
{
    struct inquiry *q = inquiry_new();
    q->service = service;
    q->reader = p->reader;
    p->reader = (struct web_reader){0};
    memcpy(q->source, p->source, sizeof(q->source));
    q->request = web_reader_request(&q->reader);
    show_identity(p, q);
    q->request.tls = p->tls;
    q->request.source = (struct str){q->source, strlen(q->source)};
    q->request.https_port = (uint16_t)p->route->config->redirect_port;
    q->back = on_back;
    q->asker = p;
    return q;
}

static void refuse_crowd(struct pages *p, struct inquiry *q)
{
    web_answer_text(&q->answer, 503, "too many requests wait for their answers; try again");
    web_answer_field(&q->answer, "Retry-After", "1");
    take_answer(p, q);
}

/* A whole request has been read. */
static void dispatch(struct pages *p)
{
    const struct web_request request = web_reader_request(&p->reader);
    const struct web_service *service =
        web_service_find(p->route->services, p->route->services_len, request.path);
    p->head_only = str_is(request.method, "HEAD");
    p->continued = false;
    p->leaving = p->leaving || web_reader_closes(&p->reader);
    if (service == NULL) {
        web_reader_free(&p->reader);
        p->reader = (struct web_reader){0};
        tell_services(p);
        return;
    }
    struct inquiry *q = make_inquiry(p, service);
    if (service->at_once) {
        inquiry_answer_at_once(q);
        take_answer(p, q);
        return;
    }
    p->asked = q;
    q->place = audit_place_new(p->worker, &p->origin);
    allow(p, p->limits->answer_timeout);
    if (office_ask(p->worker->shared->office, q, p->worker->loop, p->limits->requests))
        return;
    p->asked = NULL;
    refuse_crowd(p, q);
}

/* ---- reading ---- */

static void say_continue(struct pages *p)
{
    static const char words[] = "HTTP/1.1 100 Continue\r\n\r\n";
    p->continued = true;
    CHECK(buf_append(&p->out, words, sizeof(words) - 1));
}

/* Look at what was read. */
static void look(struct pages *p)
{
    struct err err;
    size_t used;
    bool fresh = web_reader_is_fresh(&p->reader);
    enum web_read result = web_reader_feed(&p->reader, p->in.data, p->in.len, &used, &err);
    buf_consume(&p->in, used);
    if (p->in.len == 0)
        buf_free(&p->in);
    if (fresh && !web_reader_is_fresh(&p->reader))
        allow(p, p->limits->request_timeout);
    if (result == WEB_READ_BAD)
        refuse(p, p->reader.bad, err.text, CLOSE_BAD_REQUEST);
    else if (result == WEB_READ_WHOLE)
        dispatch(p);
    else if (web_reader_awaits_continue(&p->reader) && !p->continued)
        say_continue(p);
}

/* The client's side has ended or broken. A client that has all its answers need not say goodbye: each says
 * itself how long it is. */
static void lost(struct pages *p, enum link_status status)
{
    struct link_peer peer;
    link_peer(p->link, &peer);
    bool fresh = web_reader_is_fresh(&p->reader);
    if (status == LINK_EOF || (fresh && peer.truncated))
        finish(p, fresh ? CLOSE_DONE : CLOSE_CLIENT_LEFT, NULL);
    else
        finish(p, peer.truncated ? CLOSE_TRUNCATED : CLOSE_CLIENT_RESET, link_error(p->link));
}

/* Read once and look at it. False: there is nothing to be read now. */
static bool receive(struct pages *p)
{
    if (p->in.len == 0) {
        enum link_status status = link_read_buf(p->link, &p->in, READ_MOST);
        if (status == LINK_AGAIN) {
            buf_free(&p->in);
            return false;
        }
        if (status != LINK_OK) {
            lost(p, status);
            return false;
        }
    }
    look(p);
    return true;
}

/* ---- a turn ---- */

/* Nothing of a request has come, and none is being answered. */
static bool is_idle(const struct pages *p)
{
    return p->asked == NULL && p->in.len == 0 && p->out.len == 0 && web_reader_is_fresh(&p->reader);
}

static void out_of_time(struct pages *p)
{
    p->expired = false;
    if (p->asked != NULL) {
        abandon(p);
        p->leaving = true;
        struct web_answer a = {0};
        web_answer_text(&a, 504, "there was no answer in time");
        answer(p, NULL, &a);
    } else if (is_idle(p) || p->out.len > 0) {
        finish(p, CLOSE_IDLE_TIMEOUT, NULL);
        buf_free(&p->out);
    } else {
        refuse(p, 408, "the request did not come whole in time", CLOSE_IDLE_TIMEOUT);
    }
}

/* Send what there is to say. False when not all of it could be. */
static bool flush(struct pages *p)
{
    size_t before = p->out.len;
    enum link_status status = link_write_buf(p->link, &p->out);
    if (status == LINK_ERROR) {
        buf_free(&p->out);
        finish(p, CLOSE_CLIENT_RESET, link_error(p->link));
        return true;
    }
    if (status == LINK_AGAIN && p->out.len < before)
        allow(p, p->limits->request_timeout);
    else if (before > 0 && is_idle(p))
        allow(p, p->limits->keep_alive_timeout);
    return status != LINK_AGAIN;
}

static bool run(struct resident *r, struct resident_end *ret)
{
    struct pages *p = pages_of(r);
    if (p->expired && !p->over)
        out_of_time(p);
    int reads = 0;
    while (flush(p) && !p->over && p->asked == NULL && reads < READS) {
        if (p->leaving && is_idle(p))
            finish(p, CLOSE_DONE, NULL);
        else if (!receive(p) && !p->over)
            break;
        reads++;
    }
    if (reads == READS)
        resident_wake(r);
    if (!p->over || (p->out.len > 0 && !p->expired))
        return true;
    abandon(p);
    wheel_cancel(&p->timer);
    *ret = p->end;
    ret->lingers = p->out.len == 0;
    return false;
}

/* ---- life ---- */

static void leave(struct pages *p)
{
    p->leaving = true;
    resident_wake(&p->resident);
}

static void drain(struct resident *r)
{
    leave(pages_of(r));
}

/* What is served, and to whom, may be different now: a client begins anew. */
static void review(struct resident *r, struct review *sum)
{
    (void)sum;
    leave(pages_of(r));
}

static void close_pages(struct resident *r)
{
    struct pages *p = pages_of(r);
    wheel_cancel(&p->timer);
    abandon(p);
    web_reader_free(&p->reader);
    buf_free(&p->in);
    buf_free(&p->out);
    p->magic = 0;
    free(p);
}

static const struct resident_ops ops = {
    .action = "serve",
    .answers = true,
    .run = run,
    .drain = drain,
    .review = review,
    .close = close_pages,
};

struct resident *pages_new(struct worker *w, struct link *link, const struct session_origin *origin, bool tls,
                           struct str early)
{
    struct pages *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    *p = (struct pages){.resident = {.ops = &ops},
                        .magic = PAGES_MAGIC,
                        .worker = w,
                        .origin = {.listener = origin->listener,
                                   .epoch = origin->epoch,
                                   .route = origin->route,
                                   .carrier = origin->carrier},
                        .peer = *origin->peer,
                        .link = link,
                        .route = origin->route,
                        .limits = &origin->epoch->snap->config->limits,
                        .tls = tls};
    p->origin.peer = &p->peer;
    net_addr_host(origin->peer, p->source);
    CHECK(buf_append(&p->in, early.p, early.len));
    timer_init(&p->timer, on_timer);
    allow(p, p->limits->keep_alive_timeout);
    return &p->resident;
}
