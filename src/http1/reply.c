/* SPDX-License-Identifier: Apache-2.0 */
#include "http1/reply.h"

#include <string.h>

#include "base/check.h"
#include "http1/body.h"
#include "http1/field.h"

struct reading {
    struct cursor at;
    unsigned status;
    struct body body;
    bool framed; /* a field has said how the content is framed */
};

static enum reply_status bad(struct err *err, const char *what)
{
    err_set(err, "the answer is no HTTP/1.1: %s", what);
    return REPLY_BAD;
}

/* "HTTP/1.1 200 OK"; the words behind the number may be missing (RFC 9112, 4). */
static bool read_status(struct str line, unsigned *ret)
{
    if (line.len < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 || line.p[8] != ' ' ||
        (line.len > 12 && line.p[12] != ' '))
        return false;
    *ret = 0;
    for (size_t i = 9; i < 12; i++) {
        if (line.p[i] < '0' || line.p[i] > '9')
            return false;
        *ret = *ret * 10 + (unsigned)(line.p[i] - '0');
    }
    return *ret >= 100;
}

/* Content that is framed twice could be read in two ways (RFC 9112, 6.3). */
static bool frame(struct reading *r, struct body body)
{
    bool first = !r->framed;
    r->framed = true;
    r->body = body;
    return first;
}

static const char *read_field(struct reading *r, struct str line)
{
    struct str name;
    uint64_t size;
    if (!field_split(&line, ':', &name) || !field_is_token(name))
        return "a field has no name";
    struct str value = field_trim(line);
    if (field_name_is(name, "transfer-encoding"))
        return field_name_is(value, "chunked") && frame(r, (struct body){.kind = BODY_CHUNKED})
                   ? NULL
                   : "its content is framed in a way that is not read here";
    if (field_name_is(name, "content-length"))
        return body_length(value, &size) && frame(r, (struct body){.kind = BODY_LENGTH, .left = size})
                   ? NULL
                   : "its length makes no sense";
    return NULL;
}

static enum reply_status read_line(struct reading *r, struct str *ret, struct err *err)
{
    switch (line_next(&r->at, ret)) {
    case LINE_READ:
        return REPLY_READ;
    case LINE_MORE:
        return REPLY_MORE;
    default:
        return bad(err, "a line that ends in another way, or has control characters");
    }
}

/* To the empty line. */
static enum reply_status read_fields(struct reading *r, struct err *err)
{
    struct str line;
    for (;;) {
        enum reply_status s = read_line(r, &line, err);
        if (s != REPLY_READ || line.len == 0)
            return s;
        const char *wrong = read_field(r, line);
        if (wrong != NULL)
            return bad(err, wrong);
    }
}

static enum reply_status read_head(struct reading *r, struct err *err)
{
    const uint8_t *from = r->at.p;
    struct str line;
    r->framed = false;
    r->body = (struct body){.kind = BODY_REST};
    enum reply_status s = read_line(r, &line, err);
    if (s == REPLY_READ && !read_status(line, &r->status))
        return bad(err, "its first line");
    if (s == REPLY_READ)
        s = read_fields(r, err);
    size_t len = (size_t)((s == REPLY_MORE ? r->at.end : r->at.p) - from);
    return s != REPLY_BAD && len > REPLY_HEAD_MAX ? bad(err, "its head is too long") : s;
}

/* What is behind the end of a trailer section does not matter: nothing else was asked for. */
static enum reply_status read_content(struct reading *r, bool ended, struct buf *into, struct err *err)
{
    size_t n;
    if (r->status == 204 || r->status == 304 || (r->body.kind == BODY_LENGTH && r->body.left == 0))
        return REPLY_READ;
    switch (body_collect(&r->body, r->at.p, cursor_left(&r->at), into, &n)) {
    case BODY_END:
        return REPLY_READ;
    case BODY_MORE:
        return r->body.kind == BODY_REST && ended ? REPLY_READ : REPLY_MORE;
    default:
        return bad(err, r->body.full ? "it is too long" : "its chunks");
    }
}

static enum reply_status read_all(struct reading *r, bool ended, struct buf *into, struct err *err)
{
    enum reply_status s;
    do
        s = read_head(r, err);
    while (s == REPLY_READ && r->status < 200 && r->status != 101);
    if (s == REPLY_READ && r->status == 101)
        return bad(err, "it changes to another protocol");
    return s == REPLY_READ ? read_content(r, ended, into, err) : s;
}

enum reply_status reply_read(const uint8_t *data, size_t len, bool ended, size_t most, unsigned *ret_status,
                             struct buf *ret_content, struct err *err)
{
    struct reading r = {.at = cursor_of(data, len)};
    struct buf content = {.max = most};
    enum reply_status s = read_all(&r, ended, &content, err);
    if (s == REPLY_MORE && ended) {
        err_set(err, len == 0 ? "the connection ended without an answer" : "the answer broke off");
        s = REPLY_BAD;
    }
    if (s == REPLY_READ) {
        *ret_status = r.status;
        CHECK(content.len == 0 || buf_append(ret_content, content.data, content.len));
    }
    buf_free(&content);
    return s;
}
