/* SPDX-License-Identifier: Apache-2.0 */
/* A client's HTTP/2 connection. The library turns bytes into callbacks and callbacks into bytes; nothing else
 * happens while it is on the stack: its callbacks only note which streams have a request, or something for
 * their owners. Then sessions begin, owners are woken, and what all that wants sent is sent.
 *
 * What a client can make us do for nothing is bounded here, whatever the library does by itself: frames of a
 * header block, bytes of its fields, resets and broken frames, answers that the client does not take. */
#include "http/h2.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cert/identity.h"
#include "http/h2_internal.h"
#include "session/worker.h"

#define H2_MAGIC 0x42c04440u

#define READS 4              /* records in one turn, so that others have one */
#define ROUNDS 8             /* of waking and sending in one turn */
#define RECORD (16 * 1024)   /* bytes of one read */
#define OUT_MAX (64 * 1024)  /* bytes that are made before the connection has taken those before */
#define QUEUE_MAX 4096       /* frames that wait for a client that does not read */
#define CONTINUATIONS_MAX 16 /* of a header block; REQUEST_LIST_MAX fits into one frame */

static struct h2_conn *conn_of(struct resident *r)
{
    struct h2_conn *c = CONTAINER_OF(r, struct h2_conn, resident);
    CHECK_MAGIC(c, H2_MAGIC);
    return c;
}

void h2_touch(struct h2_conn *c)
{
    if (!c->running && c->resident.landlord != NULL)
        resident_wake(&c->resident);
}

void h2_set_live(struct h2_conn *c, size_t live)
{
    c->live = c->resident.open = live;
    if (live > 0)
        wheel_cancel(&c->idling);
    else
        loop_set_timer(c->worker->loop, &c->idling, loop_now(c->worker->loop) + c->settings.idle_timeout);
    h2_touch(c);
}

/* The first reason stands. */
static int fail(struct h2_conn *c, enum close_reason reason, const char *detail)
{
    if (!c->failed)
        c->end = (struct resident_end){.reason = reason, .detail = detail};
    c->failed = true;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* The client is told why, if it still listens. */
static int fail_calmly(struct h2_conn *c, const char *detail)
{
    nghttp2_session_terminate_session(c->lib, NGHTTP2_ENHANCE_YOUR_CALM);
    return fail(c, CLOSE_BAD_REQUEST, detail);
}

/* A frame that costs us more than the client. */
static int bear(struct h2_conn *c)
{
    if (patience_bear(&c->patience, loop_now(c->worker->loop)))
        return 0;
    return fail_calmly(c, "too many resets and frames without a meaning");
}

/* ---- from the library ---- */

static int on_begin_frame(nghttp2_session *lib, const nghttp2_frame_hd *head, void *arg)
{
    struct h2_conn *c = arg;
    (void)lib;
    if (head->type != NGHTTP2_CONTINUATION)
        c->continuations = 0;
    else if (++c->continuations > CONTINUATIONS_MAX)
        return fail_calmly(c, "too many CONTINUATION frames");
    return 0;
}

static int on_begin_headers(nghttp2_session *lib, const nghttp2_frame *frame, void *arg)
{
    struct h2_conn *c = arg;
    c->block_size = 0;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct h2_stream *s = h2_stream_new(c, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(lib, s->id, s);
    if (c->request == NULL)
        c->request = malloc(sizeof(*c->request));
    CHECK(c->request != NULL);
    request_begin(c->request);
    return 0;
}

/* Also of trailers, which mean nothing here (RFC 9113, 8.1). */
static int on_field(nghttp2_session *lib, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                    const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct h2_conn *c = arg;
    (void)lib, (void)flags;
    c->block_size += name_len + value_len;
    if (c->block_size > (size_t)8 * REQUEST_LIST_MAX) /* what is a little too long still gets an answer */
        return fail_calmly(c, "the fields of a request are far too long");
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST && c->request != NULL)
        request_field(c->request, (struct str){(const char *)name, name_len},
                      (struct str){(const char *)value, value_len});
    return 0;
}

/* By itself the library would leave such a field out. */
static int on_bad_field(nghttp2_session *lib, const nghttp2_frame *frame, const uint8_t *name,
                        size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    (void)lib, (void)frame, (void)name, (void)name_len, (void)value, (void)value_len, (void)flags, (void)arg;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void take_request(struct h2_conn *c, struct h2_stream *s)
{
    struct err err = {""};
    CHECK(c->request != NULL);
    if (request_end(c->request, &s->request, &err) != FRONT_TARGET)
        s->why = strdup(err.text);
    free(c->request);
    c->request = NULL;
    list_insert(&c->begun, &s->begun);
}

static int on_frame(nghttp2_session *lib, const nghttp2_frame *frame, void *arg)
{
    struct h2_conn *c = arg;
    const nghttp2_frame_hd *h = &frame->hd;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(lib, h->stream_id);
    if (h->type == NGHTTP2_RST_STREAM)
        return bear(c);
    if (h->type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST && s != NULL)
        take_request(c, s);
    bool carries = h->type == NGHTTP2_HEADERS || h->type == NGHTTP2_DATA;
    bool ends = carries && (h->flags & NGHTTP2_FLAG_END_STREAM);
    if (ends && s != NULL)
        h2_stream_ended(s);
    return h->type == NGHTTP2_DATA && h->length == 0 && !ends ? bear(c) : 0;
}

static int on_bad_frame(nghttp2_session *lib, const nghttp2_frame *frame, int code, void *arg)
{
    (void)lib, (void)frame, (void)code;
    return bear(arg);
}

static int on_data(nghttp2_session *lib, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *arg)
{
    struct h2_stream *s = nghttp2_session_get_stream_user_data(lib, id);
    (void)flags, (void)arg;
    if (s != NULL)
        h2_stream_received(s, data, len);
    else
        nghttp2_session_consume(lib, id, len);
    return 0;
}

static int on_sent(nghttp2_session *lib, const nghttp2_frame *frame, void *arg)
{
    struct h2_stream *s = nghttp2_session_get_stream_user_data(lib, frame->hd.stream_id);
    (void)arg;
    if (s != NULL && frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        h2_stream_fin_sent(s);
    return 0;
}

static int on_closed(nghttp2_session *lib, int32_t id, uint32_t code, void *arg)
{
    struct h2_stream *s = nghttp2_session_get_stream_user_data(lib, id);
    (void)code, (void)arg;
    if (s != NULL)
        h2_stream_gone(s);
    return 0;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *cb = NULL;
    CHECK(nghttp2_session_callbacks_new(&cb) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_field);
    nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_bad_field);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_bad_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_closed);
    return cb;
}

/* Credit is given by us (the connection's for what comes, a stream's for what its owner has read), and the
 * settings that a frame may hold and the acknowledgements that may wait are bounded. */
static void make_session(struct h2_conn *c)
{
    const struct config_http2 *set = &c->settings;
    nghttp2_session_callbacks *cb = make_callbacks();
    nghttp2_option *options = NULL;
    CHECK(nghttp2_option_new(&options) == 0);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_max_outbound_ack(options, 256);
    nghttp2_option_set_max_settings(options, 32);
    nghttp2_option_set_no_closed_streams(options, 1);
    CHECK(nghttp2_session_server_new2(&c->lib, cb, c, options) == 0);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(cb);
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)set->streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)set->stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, REQUEST_LIST_MAX},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };
    CHECK(nghttp2_submit_settings(c->lib, NGHTTP2_FLAG_NONE, entries, ARRAY_LEN(entries)) == 0);
    c->growth_left = set->window;
    CHECK(nghttp2_session_set_local_window_size(c->lib, NGHTTP2_FLAG_NONE, 0, (int32_t)set->window) == 0);
}

/* ---- a turn ---- */

static bool feed(struct h2_conn *c, const void *data, size_t len)
{
    ssize_t n = len == 0 || c->failed ? 0 : nghttp2_session_mem_recv(c->lib, data, len);
    if (n < 0)
        fail(c, CLOSE_BAD_REQUEST, nghttp2_strerror((int)n));
    if (nghttp2_session_get_outbound_queue_size(c->lib) > QUEUE_MAX + 2 * c->settings.streams)
        fail_calmly(c, "the client does not read what it asks for");
    return !c->failed;
}

static void lost(struct h2_conn *c, enum link_status status)
{
    struct link_peer peer;
    link_peer(c->link, &peer);
    if (status == LINK_EOF)
        fail(c, CLOSE_DONE, NULL);
    else
        fail(c, peer.truncated ? CLOSE_TRUNCATED : CLOSE_CLIENT_RESET, link_error(c->link));
}

static void receive(struct h2_conn *c)
{
    uint8_t data[RECORD];
    for (int i = 0; i < READS; i++) {
        size_t n;
        enum link_status status = link_read(c->link, data, sizeof(data), &n);
        if (status == LINK_AGAIN)
            return;
        if (status != LINK_OK)
            lost(c, status);
        if (status != LINK_OK || !feed(c, data, n))
            return;
    }
    resident_wake(&c->resident);
}

/* May the client begin something new? If not, what it begins is told why, and the connection ends with the
 * last of its streams. */
static void judge(struct h2_conn *c)
{
    struct standing *st = &c->standing;
    bool welcome = session_renew(c->resident.landlord, st, &c->hello);
    c->origin.epoch = st->epoch;
    c->origin.route = st->route;
    c->origin.listener = st->listener;
    c->origin.refused = st->refused;
    c->origin.why = welcome ? NULL : st->why->text;
}

/* A stream whose request is whole becomes a session. */
static void begin_sessions(struct h2_conn *c)
{
    for (struct list *n; (n = list_pop(&c->begun)) != NULL;) {
        struct h2_stream *s = CONTAINER_OF(n, struct h2_stream, begun);
        judge(c);
        c->turned_away = c->turned_away || c->origin.why != NULL;
        struct session_origin origin = c->origin;
        origin.request = &s->request;
        s->owned = true;
        c->resident.streams++;
        h2_set_live(c, c->live + 1);
        session_start_stream(c->worker, &s->link, &origin);
    }
}

/* Each may close its link, and with it the stream. */
static void wake_owners(struct h2_conn *c)
{
    for (struct list *n; (n = list_pop(&c->woken)) != NULL;)
        link_wake(&CONTAINER_OF(n, struct h2_stream, woken)->link);
}

static void flush(struct h2_conn *c)
{
    size_t at = 0, n = 0;
    enum link_status status = LINK_OK;
    while (at < c->out.len &&
           (status = link_write(c->link, c->out.data + at, c->out.len - at, &n)) == LINK_OK)
        at += n;
    buf_consume(&c->out, at);
    if (status == LINK_ERROR) {
        buf_free(&c->out);
        lost(c, status);
    }
}

/* Bytes of the library's, about OUT_MAX of them. */
static void fill(struct h2_conn *c)
{
    while (c->out.len < OUT_MAX) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(c->lib, &data);
        if (n < 0)
            fail(c, CLOSE_BAD_REQUEST, nghttp2_strerror((int)n));
        if (n <= 0)
            return;
        CHECK(buf_append(&c->out, data, (size_t)n));
    }
}

static void transmit(struct h2_conn *c)
{
    do {
        fill(c);
        if (c->out.len == 0)
            break;
        flush(c);
    } while (c->out.len == 0);
    if (c->out.len == 0)
        buf_free(&c->out);
}

static bool has_work(const struct h2_conn *c)
{
    return !list_empty(&c->begun) || !list_empty(&c->woken);
}

/* Is it over? Notices where that has come about by itself; `end` says why then. */
static bool is_over(struct h2_conn *c)
{
    if (c->failed)
        return true;
    if (c->idle && c->live == 0)
        fail(c, CLOSE_IDLE_TIMEOUT, NULL);
    else if (c->draining && list_empty(&c->streams) && c->out.len == 0)
        fail(c, c->standing.refused, c->origin.why);
    else if (!nghttp2_session_want_read(c->lib) && !nghttp2_session_want_write(c->lib) && c->out.len == 0)
        fail(c, CLOSE_BAD_REQUEST, "broken HTTP/2"); /* the library has said so in GOAWAY */
    return c->failed;
}

static void say_goodbye(struct h2_conn *c)
{
    nghttp2_submit_goaway(c->lib, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(c->lib),
                          NGHTTP2_NO_ERROR, NULL, 0);
    h2_touch(c);
}

static void drain(struct resident *r)
{
    struct h2_conn *c = conn_of(r);
    c->draining = true;
    say_goodbye(c);
}

/* The client is not welcome any more. While tunnels run it is told at its next request, in words. */
static bool must_leave(const struct h2_conn *c)
{
    return c->origin.why != NULL && !c->draining && (c->turned_away || c->live == 0);
}

/* Who is not welcome any more does not stay for what he might begin. */
static void review(struct resident *r, struct review *sum)
{
    struct h2_conn *c = conn_of(r);
    (void)sum; /* counted already */
    if (c->draining)
        return;
    judge(c);
    h2_touch(c);
}

static bool run(struct resident *r, struct resident_end *ret)
{
    struct h2_conn *c = conn_of(r);
    c->running = true;
    receive(c);
    for (int i = 0; i < ROUNDS && (i == 0 || has_work(c)); i++) {
        begin_sessions(c);
        wake_owners(c);
        transmit(c);
    }
    c->running = false;
    if (is_over(c)) {
        *ret = c->end;
        return false;
    }
    if (must_leave(c))
        drain(r); /* behind the answer: some clients listen no more after GOAWAY */
    if (has_work(c))
        resident_wake(r);
    return true;
}

/* ---- the end ---- */

static void on_idle(struct timer *t)
{
    struct h2_conn *c = CONTAINER_OF(t, struct h2_conn, idling);
    CHECK_MAGIC(c, H2_MAGIC);
    c->idle = true;
    say_goodbye(c);
}

static void close_conn(struct resident *r)
{
    struct h2_conn *c = conn_of(r);
    wheel_cancel(&c->idling);
    while (!list_empty(&c->streams)) {
        struct h2_stream *s = CONTAINER_OF(c->streams.next, struct h2_stream, node);
        list_remove(&s->node);
        list_remove(&s->begun);
        list_remove(&s->woken);
        h2_stream_orphan(s);
    }
    nghttp2_session_del(c->lib);
    h2_patron_leave(c->patron);
    buf_free(&c->out);
    standing_free(&c->standing);
    free(c->request);
    c->magic = 0;
    free(c);
}

static const struct resident_ops ops = {
    .action = "carrier",
    .carries = true,
    .transport = H2_ALPN,
    .run = run,
    .drain = drain,
    .review = review,
    .close = close_conn,
};

/* ---- beginning ---- */

static struct h2_patron *patron_of(const struct link *link)
{
    struct h2_patron *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->holders = 1;
    link_peer(link, &p->peer);
    p->peer.alpn = (struct str){H2_ALPN, strlen(H2_ALPN)};
    p->peer.failure = "";
    p->peer.chain = NULL; /* some of the streams outlive the connection */
    if (p->peer.identity != NULL)
        p->identity = identity_make(p->peer.identity->facts, p->peer.identity->count);
    p->peer.identity = p->identity;
    return p;
}

static struct resident *reside(struct worker *w, struct link *link, const struct session_origin *origin,
                               struct str early, struct err *err)
{
    (void)err;
    struct h2_conn *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    *c = (struct h2_conn){.resident = {.ops = &ops},
                          .magic = H2_MAGIC,
                          .worker = w,
                          .link = link,
                          .patron = patron_of(link),
                          .settings = origin->epoch->snap->config->http2,
                          .origin = *origin,
                          .hello = *origin->hello};
    patience_init(&c->patience, loop_now(w->loop));
    c->origin.hello = &c->hello;
    c->origin.transport = H2_ALPN;
    c->origin.front = &h2_stream_front;
    list_init(&c->streams);
    list_init(&c->begun);
    list_init(&c->woken);
    timer_init(&c->idling, on_idle);
    make_session(c);
    h2_set_live(c, 0);
    feed(c, early.p, early.len);
    return &c->resident;
}

const struct front front_h2 = {
    .name = "h2",
    .max = REQUEST_LIST_MAX,
    .reside = reside,
};
