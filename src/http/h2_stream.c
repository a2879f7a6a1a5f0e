/* SPDX-License-Identifier: Apache-2.0 */
/* A stream as a link. What comes waits in `in`, and only what its owner has read is given back to the client
 * as the stream's credit (RFC 9113, 5.2), so a slow reader stops its writer, and nobody else's: the
 * connection's credit comes back as bytes arrive. What waits is bounded by the streams' windows: each has
 * `stream_window`, and one that is read as fast as it comes grows, at the expense of what all may grow by
 * together. What is written waits in `out`, at most
 * HELD_MAX bytes, until the client's windows let it go.
 *
 * A stream has two masters: its owner, who holds the link, and the library. It is freed when both are done
 * with it; a link that was closed in order goes on delivering what was written to it. */
#include <stdlib.h>
#include <string.h>

#include "cert/identity.h"
#include "config/config.h"
#include "http/answer.h"
#include "http/capsule_link.h"
#include "http/h2_internal.h"

#define STREAM_MAGIC 0x4257ea40u
#define HELD_MAX (64 * 1024)
#define GROWTH 16 /* a stream's window grows to so many times its first size */

static struct h2_stream *stream_of(const struct link *l)
{
    struct h2_stream *s = CONTAINER_OF((struct link *)(uintptr_t)l, struct h2_stream, link);
    CHECK_MAGIC(s, STREAM_MAGIC);
    return s;
}

void h2_patron_leave(struct h2_patron *p)
{
    CHECK(p->holders > 0);
    if (--p->holders > 0)
        return;
    identity_free(p->identity);
    free(p);
}

static void stream_free(struct h2_stream *s)
{
    list_remove(&s->node);
    list_remove(&s->begun);
    list_remove(&s->woken);
    queue_free(&s->in);
    queue_free(&s->out);
    if (s->conn != NULL)
        s->conn->growth_left += s->grown;
    h2_patron_leave(s->patron);
    free(s->why);
    s->magic = 0;
    free(s);
}

/* The owner should look, once the library is off the stack. */
static void wake_later(struct h2_stream *s)
{
    if (!s->owned || s->abandoned || s->conn == NULL || !list_empty(&s->woken))
        return;
    list_insert(&s->conn->woken, &s->woken);
    h2_touch(s->conn);
}

/* The owner has read half of the window and all that is there: the client may have waited for credit. Twice
 * the window, as far as its bound allows and half of what the others have left. */
static void grow(struct h2_stream *s, size_t n)
{
    struct h2_conn *c = s->conn;
    size_t first = c->settings.stream_window, window = first + s->grown;
    s->round += n;
    if (s->round < window / 2 || s->in.len > 0)
        return;
    size_t more = MIN(MIN(window, MIN(first * GROWTH, (size_t)INT32_MAX) - window), c->growth_left / 2);
    s->round = 0;
    s->grown += more;
    c->growth_left -= more;
    if (more > 0)
        nghttp2_session_set_local_window_size(c->lib, NGHTTP2_FLAG_NONE, s->id, (int32_t)(window + more));
}

/* Bytes that are read: the client may send as many more on this stream. */
static void give_credit(struct h2_stream *s, size_t n)
{
    if (s->conn == NULL || s->gone || s->in_ended)
        return;
    nghttp2_session_consume_stream(s->conn->lib, s->id, n);
    grow(s, n);
    h2_touch(s->conn);
}

/* ---- from the library ---- */

void h2_stream_received(struct h2_stream *s, const uint8_t *data, size_t len)
{
    nghttp2_session_consume_connection(s->conn->lib, len);
    if (s->abandoned)
        return;
    queue_put(&s->in, data, len);
    if (s->starved)
        wake_later(s);
    s->starved = false;
}

void h2_stream_ended(struct h2_stream *s)
{
    s->in_ended = true;
    wake_later(s);
}

/* RFC 9113, 8.1: nobody reads what the client has left to say. */
static void stop_client(struct h2_stream *s)
{
    nghttp2_submit_rst_stream(s->conn->lib, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    h2_touch(s->conn);
}

void h2_stream_fin_sent(struct h2_stream *s)
{
    s->fin_sent = true;
    if (s->abandoned && !s->in_ended)
        stop_client(s);
}

void h2_stream_gone(struct h2_stream *s)
{
    s->gone = true;
    queue_free(&s->out);
    if (s->abandoned || !s->owned) {
        stream_free(s);
        return;
    }
    if (!s->in_ended)
        link_fail(&s->link, "the client reset the stream");
    wake_later(s);
}

void h2_stream_orphan(struct h2_stream *s)
{
    queue_free(&s->out);
    s->conn = NULL;
    if (!s->gone)
        link_fail(&s->link, "the client's connection is gone");
    if (s->abandoned || !s->owned)
        stream_free(s);
    else
        link_wake(&s->link);
}

static void reset(struct h2_stream *s, uint32_t code)
{
    queue_free(&s->out);
    nghttp2_submit_rst_stream(s->conn->lib, NGHTTP2_FLAG_NONE, s->id, code);
    h2_touch(s->conn);
}

/* What is sent next: bytes, the end, or nothing for now. */
static ssize_t on_wanted(nghttp2_session *lib, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags,
                         nghttp2_data_source *source, void *arg)
{
    struct h2_stream *s = source->ptr;
    (void)lib, (void)id, (void)arg;
    CHECK_MAGIC(s, STREAM_MAGIC);
    size_t n = queue_take(&s->out, buf, cap);
    if (s->blocked && s->out.len <= HELD_MAX / 2) {
        s->blocked = false;
        wake_later(s);
    }
    if (s->out.len == 0 && s->shut && !s->cut)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (n == 0)
        s->deferred = true;
    if (n == 0 && s->cut)
        reset(s, NGHTTP2_CONNECT_ERROR);
    return n == 0 && s->deferred ? NGHTTP2_ERR_DEFERRED : (ssize_t)n;
}

static void resume(struct h2_stream *s)
{
    if (s->deferred)
        nghttp2_session_resume_data(s->conn->lib, s->id);
    s->deferred = false;
    h2_touch(s->conn);
}

/* ---- the link ---- */

static enum link_status stream_open(struct link *l)
{
    return stream_of(l)->link.error != NULL ? LINK_ERROR : LINK_OK;
}

static enum link_status stream_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct h2_stream *s = stream_of(l);
    size_t n = queue_take(&s->in, buf, cap);
    if (n > 0) {
        give_credit(s, n);
        *ret_n = n;
        return LINK_OK;
    }
    if (s->in_ended)
        return LINK_EOF;
    if (l->error != NULL)
        return LINK_ERROR;
    s->starved = true;
    return LINK_AGAIN;
}

static enum link_status stream_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct h2_stream *s = stream_of(l);
    CHECK(!s->shut);
    if (l->error != NULL || s->conn == NULL || s->gone)
        return link_fail(l, "the client reset the stream");
    if (s->out.len >= HELD_MAX) {
        s->blocked = true;
        return LINK_AGAIN;
    }
    *ret_n = MIN(len, HELD_MAX - s->out.len);
    queue_put(&s->out, buf, *ret_n);
    resume(s);
    return LINK_OK;
}

static enum link_status stream_shutdown(struct link *l, bool closing)
{
    struct h2_stream *s = stream_of(l);
    (void)closing;
    if (s->shut)
        return LINK_OK;
    s->shut = true;
    if (s->conn != NULL && !s->gone)
        resume(s);
    return LINK_OK;
}

/* The owner is done. Unanswered: nothing has been done for it (RFC 9113, 8.7), for its bytes went nowhere.
 * In order: what was written is still delivered. With `abort`: the target's connection broke (8.5). */
static void stream_close(struct link *l, bool abort)
{
    struct h2_stream *s = stream_of(l);
    l->wake = NULL;
    list_remove(&s->woken);
    s->abandoned = true;
    queue_free(&s->in);
    if (s->conn != NULL)
        h2_set_live(s->conn, s->conn->live - 1);
    if (s->conn == NULL || s->gone) {
        stream_free(s);
        return;
    }
    if (!s->answered) {
        reset(s, NGHTTP2_REFUSED_STREAM);
    } else if (abort && !(l->keep_written && s->out.len > 0)) {
        reset(s, NGHTTP2_CONNECT_ERROR);
    } else {
        s->cut = abort;
        stream_shutdown(l, true);
        if (s->fin_sent && !s->in_ended)
            stop_client(s);
    }
}

static void stream_peer(const struct link *l, struct link_peer *ret)
{
    *ret = stream_of(l)->patron->peer;
}

static const struct link_ops stream_ops = {
    .name = "HTTP/2 stream",
    .open = stream_open,
    .read = stream_read,
    .write = stream_write,
    .shutdown = stream_shutdown,
    .close = stream_close,
    .peer = stream_peer,
};

struct h2_stream *h2_stream_new(struct h2_conn *c, int32_t id)
{
    struct h2_stream *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->link.ops = &stream_ops;
    s->magic = STREAM_MAGIC;
    s->id = id;
    s->conn = c;
    s->patron = c->patron;
    s->patron->holders++;
    list_init(&s->begun);
    list_init(&s->woken);
    list_insert(&c->streams, &s->node);
    return s;
}

/* ---- the front ---- */

static nghttp2_nv field(const char *name, struct str value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)(uintptr_t)value.p,
                        .valuelen = value.len};
}

/* HEADERS; what is written or queued behind them follows as DATA. */
static void tell(struct link *down, const struct front_answer *answer)
{
    struct h2_stream *s = stream_of(down);
    struct front_answer said = *answer;
    struct answer a;
    nghttp2_nv fields[ANSWER_FIELDS_MAX + 1];
    nghttp2_data_provider bytes = {.source.ptr = s, .read_callback = on_wanted};
    if (s->conn == NULL || s->gone)
        return;
    if (s->why != NULL && said.outcome != FRONT_DENIED)
        said.text = s->why;
    answer_make(&a, &said, said.udp);
    fields[0] = field(":status", (struct str){a.status_text, strlen(a.status_text)});
    for (size_t i = 0; i < a.n; i++)
        fields[i + 1] = field(a.fields[i].name, a.fields[i].value);
    queue_put(&s->out, a.body.p, a.body.len);
    s->answered = true;
    nghttp2_submit_response(s->conn->lib, s->id, fields, a.n + 1, &bytes);
    h2_touch(s->conn);
    answer_free(&a);
}

const struct front h2_stream_front = {
    .name = "h2-stream",
    .max = REQUEST_LIST_MAX,
    .ask = answer_bad,
    .tell = tell,
    .wrap = capsule_link_wrap,
};
