/* SPDX-License-Identifier: Apache-2.0 */
#include "web/reader.h"

#include "base/check.h"
#include "http1/field.h"
#include "http1/rewrite.h"

static enum web_read refuse(struct web_reader *r, unsigned status, struct err *err, const char *why)
{
    r->bad = status;
    err_set(err, "%s", why);
    return WEB_READ_BAD;
}

static enum head_status parse_head(struct web_reader *r, struct err *err)
{
    struct head *h = &r->fields;
    head_begin(h, r->head.data, r->head.len);
    h->takes_content = true;
    enum head_status s = head_request_line(h, err);
    if (s == HEAD_READ && !head_is_origin_form(h->target)) {
        h->bad = 400;
        err_set(err, "the target of the request is not a path");
        return HEAD_BAD;
    }
    return s == HEAD_READ ? head_fields(h, err) : s;
}

/* Bytes for the section at hand, as many as it may have. */
static size_t append(struct buf *section, const uint8_t *data, size_t len)
{
    size_t n = MIN(len, HEAD_MAX - section->len);
    CHECK(buf_append(section, data, n));
    return n;
}

/* Empty lines may stand before a request (RFC 9112, 2.2). */
static void skip_empty(struct buf *head)
{
    buf_consume(head, rewrite_skip_empty(head->data, head->len));
}

static enum web_read feed_head(struct web_reader *r, const uint8_t *data, size_t len, size_t *ret_used,
                               struct err *err)
{
    size_t taken = append(&r->head, data, len);
    *ret_used = taken;
    skip_empty(&r->head);
    if (r->head.len == 0)
        return WEB_READ_MORE;
    enum head_status s = parse_head(r, err);
    r->bad = r->fields.bad;
    if (s != HEAD_READ)
        return s == HEAD_MORE ? WEB_READ_MORE : WEB_READ_BAD;
    size_t rest = r->head.len - head_used(&r->fields);
    CHECK(rest <= taken); /* else it would have been whole before */
    *ret_used = taken - rest;
    r->head.len -= rest;
    r->body.max = WEB_BODY_MAX;
    if (r->fields.body.kind == BODY_LENGTH && r->fields.body.left > WEB_BODY_MAX)
        return refuse(r, 413, err, "the content is longer than is taken here");
    r->at = r->fields.body.kind == BODY_NONE ? WEB_AT_END : WEB_AT_CONTENT;
    return WEB_READ_MORE;
}

static enum web_read feed_content(struct web_reader *r, const uint8_t *data, size_t len, size_t *ret_used,
                                  struct err *err)
{
    struct body *b = &r->fields.body;
    switch (body_collect(b, data, len, &r->body, ret_used)) {
    case BODY_MORE:
        return WEB_READ_MORE;
    case BODY_END:
        r->at = b->kind == BODY_CHUNKED ? WEB_AT_TRAILERS : WEB_AT_END;
        return WEB_READ_MORE;
    default:
        return b->full ? refuse(r, 413, err, "the content is longer than is taken here")
                       : refuse(r, 400, err, "a chunk of the request breaks the rules (RFC 9112, 7.1)");
    }
}

static enum web_read feed_trailers(struct web_reader *r, const uint8_t *data, size_t len, size_t *ret_used,
                                   struct err *err)
{
    size_t used, taken = append(&r->trailers, data, len);
    *ret_used = taken;
    switch (head_trailers(r->trailers.data, r->trailers.len, &used, &r->bad, err)) {
    case HEAD_MORE:
        return WEB_READ_MORE;
    case HEAD_BAD:
        return WEB_READ_BAD;
    case HEAD_READ:
        break;
    }
    CHECK(r->trailers.len - used <= taken);
    *ret_used = taken - (r->trailers.len - used);
    buf_free(&r->trailers);
    r->at = WEB_AT_END;
    return WEB_READ_MORE;
}

enum web_read web_reader_feed(struct web_reader *r, const uint8_t *data, size_t len, size_t *ret_used,
                              struct err *err)
{
    size_t used = 0;
    enum web_read result = WEB_READ_MORE;
    CHECK(r->bad == 0);
    while (used < len && r->at != WEB_AT_END && result == WEB_READ_MORE) {
        size_t n = 0;
        result = (r->at == WEB_AT_HEAD      ? feed_head
                  : r->at == WEB_AT_CONTENT ? feed_content
                                            : feed_trailers)(r, data + used, len - used, &n, err);
        used += n;
    }
    *ret_used = used;
    return result == WEB_READ_MORE && r->at == WEB_AT_END ? WEB_READ_WHOLE : result;
}

bool web_reader_is_fresh(const struct web_reader *r)
{
    return r->at == WEB_AT_HEAD && r->head.len == 0;
}

bool web_reader_awaits_continue(const struct web_reader *r)
{
    return r->at == WEB_AT_CONTENT && r->fields.expects && r->body.len == 0;
}

bool web_reader_closes(const struct web_reader *r)
{
    return r->fields.closes;
}

struct web_request web_reader_request(const struct web_reader *r)
{
    const struct head *h = &r->fields;
    struct str path, query = h->target;
    CHECK(r->at == WEB_AT_END);
    if (!field_split(&query, '?', &path)) {
        path = h->target;
        query.len = 0;
    }
    return (struct web_request){
        .method = h->method,
        .path = path,
        .query = query,
        .host = h->host,
        .type = h->type,
        .since = h->since,
        .body = {(const char *)r->body.data, r->body.len},
    };
}

void web_reader_free(struct web_reader *r)
{
    buf_free(&r->head);
    buf_free(&r->body);
    buf_free(&r->trailers);
}
