/* SPDX-License-Identifier: Apache-2.0 */
/* Content goes from the lower link into the reader's space at once; a head is gathered in `in`, written anew
 * into `out` and handed over from there. Between requests both hold no memory. */
#include "http1/http1_link.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "http1/response.h"

#define READ_SIZE 16384 /* at most, where a head may be in it */

enum request_state {
    AT_HEAD,
    AT_BODY,
    AT_TRAILERS,
    AT_WAIT, /* for the answers: to an upgrade, or since too many are due */
    AT_RAW,  /* another protocol's bytes */
    AT_BAD,  /* refused: nothing is read any more */
};

#define HTTP1_LINK_MAGIC 0x4771c41eu

struct http1_link {
    uint32_t magic;
    struct link link;
    struct link *lower;
    rewrite_tell_fn *tell;
    void *arg;
    enum request_state state;
    bool upgrades; /* the request that was read last asks for another protocol */
    bool asked;    /* a request has come */
    bool misspoke;
    struct body body;
    struct buf in, out;
    size_t out_off;
    size_t scanned;
    struct responses responses;
    unsigned status; /* AT_BAD: what to say */
    const char *why;
};

static struct http1_link *http1_of(const struct link *l)
{
    struct http1_link *h = CONTAINER_OF((struct link *)(uintptr_t)l, struct http1_link, link);
    CHECK_MAGIC(h, HTTP1_LINK_MAGIC);
    return h;
}

/* ---- refusing ---- */

static const char *reason_phrase(unsigned status)
{
    return status == 431   ? "Request Header Fields Too Large"
           : status == 501 ? "Not Implemented"
           : status == 505 ? "HTTP Version Not Supported"
                           : "Bad Request";
}

/* The client hears it where it waits for nothing else, or for the answer to the very request that went wrong
 * and has not been answered by the backend either. */
static void say_no(struct http1_link *h)
{
    struct buf text = {0};
    size_t n, len = strlen(h->why) + 1;
    CHECK(buf_printf(&text,
                     "HTTP/1.1 %u %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s\n",
                     h->status, reason_phrase(h->status), len, h->why));
    if (link_write(h->lower, text.data, text.len, &n) == LINK_OK)
        h->link.bytes_written += n;
    buf_free(&text);
}

static void refuse(struct http1_link *h, unsigned status, const char *why)
{
    h->state = AT_BAD;
    h->status = status;
    h->why = why;
}

/* Answers that are due go first, but for the one to a request that is not whole. */
static enum link_status break_off(struct http1_link *h)
{
    const struct responses *r = &h->responses;
    bool within = h->body.kind != BODY_NONE, lost = r->state == RESPONSE_LOST || r->state == RESPONSE_RAW;
    if (r->open > within && !lost)
        return LINK_AGAIN;
    if (!h->misspoke && !r->begun && !lost && r->open == within)
        say_no(h);
    h->misspoke = true;
    return link_fail(&h->link, h->why);
}

/* ---- reading ---- */

static void enter_next(struct http1_link *h)
{
    h->body = (struct body){0};
    h->scanned = 0;
    h->state = h->upgrades || h->responses.open == RESPONSES_MAX ? AT_WAIT : AT_HEAD;
}

/* Bytes at the start of `data` that go on as they are. */
static size_t passes(struct http1_link *h, const uint8_t *data, size_t len)
{
    size_t n = 0;
    if (h->state == AT_RAW)
        return len;
    if (h->state != AT_BODY)
        return 0;
    switch (body_feed(&h->body, data, len, &n)) {
    case BODY_MORE:
        break;
    case BODY_BAD:
        refuse(h, 400, "a chunk of the request breaks the rules (RFC 9112, 7.1)");
        break;
    case BODY_END:
        if (h->body.kind == BODY_CHUNKED)
            h->state = AT_TRAILERS;
        else
            enter_next(h);
        break;
    }
    return n;
}

static void drop_in(struct http1_link *h, size_t n)
{
    buf_consume(&h->in, n);
    if (h->in.len == 0)
        buf_free(&h->in);
}

/* Go on with what is in `in`, in a head or a trailer section. False: more is needed. */
static bool rewrite(struct http1_link *h)
{
    struct rewritten r;
    enum rewrite_result result;
    if (h->state == AT_HEAD) {
        drop_in(h, rewrite_skip_empty(h->in.data, h->in.len));
        result = rewrite_head(h->in.data, h->in.len, !h->asked, &h->scanned, h->tell, h->arg, &h->out, &r);
    } else {
        result = rewrite_trailers(h->in.data, h->in.len, &h->scanned, &h->out, &r);
    }
    if (result == REWRITE_MORE)
        return false;
    if (result == REWRITE_BAD) {
        refuse(h, r.status, r.why);
        return true;
    }
    drop_in(h, r.used);
    if (h->state == AT_TRAILERS) {
        enter_next(h);
        return true;
    }
    h->asked = true;
    responses_expect(&h->responses, &r);
    h->upgrades = r.upgrade;
    enter_next(h);
    h->body = r.body;
    if (r.body.kind != BODY_NONE)
        h->state = AT_BODY;
    return true;
}

static enum link_status hand_over(struct http1_link *h, void *buf, size_t cap, size_t *ret_n)
{
    *ret_n = MIN(cap, h->out.len - h->out_off);
    memcpy(buf, h->out.data + h->out_off, *ret_n);
    h->out_off += *ret_n;
    if (h->out_off == h->out.len) {
        buf_free(&h->out);
        h->out_off = 0;
    }
    return LINK_OK;
}

/* Of what was read before. 0: nothing goes on as it is. */
static size_t hand_over_in(struct http1_link *h, void *buf, size_t cap)
{
    size_t n = passes(h, h->in.data, MIN(cap, h->in.len));
    if (n > 0)
        memcpy(buf, h->in.data, n);
    drop_in(h, n);
    return n;
}

/* Read from below into the reader's space; what does not go on as it is, is kept. *ret_n 0: all of it. */
static enum link_status read_below(struct http1_link *h, uint8_t *buf, size_t cap, size_t *ret_n)
{
    size_t n;
    bool passing = h->state == AT_BODY || h->state == AT_RAW;
    enum link_status status = link_read(h->lower, buf, passing ? cap : MIN(cap, (size_t)READ_SIZE), &n);
    *ret_n = 0;
    if (status == LINK_ERROR)
        return link_fail(&h->link, link_error(h->lower));
    if (status != LINK_OK)
        return status;
    *ret_n = passes(h, buf, n);
    CHECK(buf_append(&h->in, buf + *ret_n, n - *ret_n));
    return LINK_OK;
}

/* The backend has agreed to another protocol, or has not, or has answered enough. */
static void look_at_answers(struct http1_link *h)
{
    const struct responses *r = &h->responses;
    if (r->state == RESPONSE_RAW)
        h->state = AT_RAW;
    else if (h->upgrades ? r->open == 0 : r->open < RESPONSES_MAX) {
        h->upgrades = false;
        h->state = AT_HEAD;
    }
}

static enum link_status read_some(struct http1_link *h, void *buf, size_t cap, size_t *ret_n)
{
    for (;;) {
        if (h->out.len > 0)
            return hand_over(h, buf, cap, ret_n);
        if (h->state == AT_WAIT)
            look_at_answers(h);
        if (h->state == AT_WAIT)
            return LINK_AGAIN;
        if (h->state == AT_BAD)
            return break_off(h);
        bool passing = h->state == AT_BODY || h->state == AT_RAW;
        if (h->in.len > 0 && passing && (*ret_n = hand_over_in(h, buf, cap)) > 0)
            return LINK_OK;
        if (h->in.len > 0 && (passing || rewrite(h)))
            continue;
        enum link_status status = read_below(h, buf, cap, ret_n);
        if (status != LINK_OK || *ret_n > 0)
            return status;
    }
}

static enum link_status http1_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct http1_link *h = http1_of(l);
    *ret_n = 0;
    enum link_status status = read_some(h, buf, cap, ret_n);
    /* What counts is what the client has sent; the caller adds what it is given. */
    l->bytes_read = h->lower->bytes_read - (status == LINK_OK ? *ret_n : 0);
    return status;
}

/* ---- the rest ---- */

static enum link_status http1_open(struct link *l)
{
    return link_open(http1_of(l)->lower);
}

static enum link_status http1_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct http1_link *h = http1_of(l);
    link_more(h->lower, l->more);
    enum link_status status = link_write(h->lower, buf, len, ret_n);
    if (status == LINK_ERROR)
        return link_fail(l, link_error(h->lower));
    if (status != LINK_OK)
        return status;
    responses_feed(&h->responses, buf, *ret_n);
    if (h->state == AT_WAIT || h->state == AT_BAD) /* for what may just have come */
        link_wake(l);
    return status;
}

static enum link_status http1_shutdown(struct link *l, bool closing)
{
    struct http1_link *h = http1_of(l);
    return closing ? link_finish(h->lower) : link_shutdown(h->lower);
}

static void http1_close(struct link *l, bool abort)
{
    struct http1_link *h = http1_of(l);
    h->lower->keep_written = l->keep_written;
    link_close(h->lower, abort);
    responses_free(&h->responses);
    buf_free(&h->in);
    buf_free(&h->out);
    h->magic = 0;
    free(h);
}

static int http1_socket(const struct link *l)
{
    return link_socket(http1_of(l)->lower);
}

static void http1_peer(const struct link *l, struct link_peer *ret)
{
    const struct http1_link *h = http1_of(l);
    link_peer(h->lower, ret);
    ret->misspoke = h->misspoke;
}

static void http1_refuse(struct link *l, uint8_t alert)
{
    link_refuse(http1_of(l)->lower, alert);
}

static struct link *http1_below(struct link *l)
{
    return http1_of(l)->lower;
}

static const struct link_ops ops = {
    .name = "http1",
    .open = http1_open,
    .read = http1_read,
    .write = http1_write,
    .shutdown = http1_shutdown,
    .close = http1_close,
    .socket = http1_socket,
    .peer = http1_peer,
    .refuse = http1_refuse,
    .below = http1_below,
};

static void lower_woke(struct link *lower)
{
    struct http1_link *h = lower->owner;
    link_wake(&h->link);
}

struct link *http1_link_new(struct link *lower, struct str early, rewrite_tell_fn *tell, void *arg)
{
    struct http1_link *h = calloc(1, sizeof(*h));
    CHECK(h != NULL && buf_append(&h->in, early.p, early.len));
    h->magic = HTTP1_LINK_MAGIC;
    h->link.ops = &ops;
    h->link.bytes_read = lower->bytes_read;
    h->link.bytes_written = lower->bytes_written;
    h->lower = lower;
    h->tell = tell;
    h->arg = arg;
    lower->wake = lower_woke;
    lower->owner = h;
    return &h->link;
}
