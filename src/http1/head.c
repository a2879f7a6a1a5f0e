/* SPDX-License-Identifier: Apache-2.0 */
#include "http1/head.h"

#include "base/check.h"
#include "http1/field.h"

/* Fields that may be there once: whoever reads two could take either. */
enum single { HOST, UPGRADE, LENGTH, CODING, TYPE, SINCE, EXPECT, SINGLES };

static const struct {
    const char *name;
    const char *twice;
} singles[] = {
    [HOST] = {"host", "more than one Host"},
    [UPGRADE] = {"upgrade", "more than one Upgrade"},
    [LENGTH] = {"content-length", "more than one Content-Length"},
    [CODING] = {"transfer-encoding", "more than one Transfer-Encoding"},
    [TYPE] = {"content-type", "more than one Content-Type"},
    [SINCE] = {"if-modified-since", "more than one If-Modified-Since"},
    [EXPECT] = {"expect", "more than one Expect"},
};

/* What the fields have shown so far. */
struct fields {
    unsigned count;
    bool seen[SINGLES];
    struct str value[SINGLES];
    bool upgrade, close; /* Connection lists them */
};

static enum head_status refuse(struct head *h, unsigned status, struct err *err, const char *why)
{
    h->bad = status;
    err_set(err, "%s", why);
    return HEAD_BAD;
}

/* The head has no end in the bytes at hand, which are HEAD_MAX at most. */
static enum head_status more(struct head *h, struct err *err)
{
    if (h->at.end - h->of < HEAD_MAX)
        return HEAD_MORE;
    h->bad = 431;
    err_set(err, "the head of the request is longer than %d bytes", HEAD_MAX);
    return HEAD_BAD;
}

static enum head_status next_line(struct head *h, struct str *ret, struct err *err)
{
    switch (line_next(&h->at, ret)) {
    case LINE_READ:
        return HEAD_READ;
    case LINE_MORE:
        return more(h, err);
    case LINE_ENDING:
        return refuse(h, 400, err, "a line does not end in CR LF");
    default:
        return refuse(h, 400, err, "a control character in the request");
    }
}

void head_begin(struct head *h, const uint8_t *data, size_t len)
{
    *h = (struct head){.at = cursor_of(data, MIN(len, (size_t)HEAD_MAX)), .of = data};
}

/* `METHOD TARGET HTTP/1.1`, single spaces (RFC 9112, 3). */
enum head_status head_request_line(struct head *h, struct err *err)
{
    struct str line;
    enum head_status s = next_line(h, &line, err);
    if (s != HEAD_READ)
        return s;
    if (!field_split(&line, ' ', &h->method) || !field_split(&line, ' ', &h->target) ||
        !field_is_token(h->method))
        return refuse(h, 400, err, "not the first line of an HTTP/1.1 request");
    h->host_needed = str_is(line, "HTTP/1.1");
    if (!h->host_needed && !str_is(line, "HTTP/1.0"))
        return refuse(h, 505, err, "not HTTP/1.1");
    return HEAD_READ;
}

/* A line that is not empty. */
static enum head_status field_line(struct head *h, struct str line, struct fields *seen, struct err *err)
{
    struct str name;
    CHECK(line.len > 0);
    if (++seen->count > HEAD_FIELDS_MAX)
        return refuse(h, 431, err, "too many header fields");
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return refuse(h, 400, err, "a folded header field (RFC 9112, 5.2)");
    if (!field_split(&line, ':', &name) || !field_is_token(name))
        return refuse(h, 400, err, "a line that is no header field");
    struct str value = field_trim(line);
    for (size_t i = 0; i < SINGLES; i++) {
        if (!field_name_is(name, singles[i].name))
            continue;
        if (seen->seen[i])
            return refuse(h, 400, err, singles[i].twice);
        seen->seen[i] = true;
        seen->value[i] = value;
    }
    if (field_name_is(name, "connection")) {
        seen->upgrade |= field_lists(value, "upgrade");
        seen->close |= field_lists(value, "close");
    }
    return HEAD_READ;
}

static enum head_status no_content(struct head *h, const struct fields *seen, struct err *err)
{
    if (seen->seen[CODING])
        return refuse(h, 413, err, "no content is taken here, so no Transfer-Encoding");
    if (seen->seen[LENGTH] && !str_is(seen->value[LENGTH], "0"))
        return refuse(h, 413, err, "no content is taken here, so no Content-Length but 0");
    return HEAD_READ;
}

/* How far the content goes: in one way, or it could be taken for another request (RFC 9112, 6.3). */
static enum head_status frame(struct head *h, const struct fields *seen, struct err *err)
{
    if (seen->seen[CODING] && seen->seen[LENGTH])
        return refuse(h, 400, err, "both Transfer-Encoding and Content-Length");
    if (seen->seen[CODING] && !h->host_needed)
        return refuse(h, 400, err, "a Transfer-Encoding in HTTP/1.0");
    if (seen->seen[CODING] && !field_name_is(seen->value[CODING], "chunked"))
        return refuse(h, 501, err, "a Transfer-Encoding other than chunked");
    if (seen->seen[LENGTH] && !body_length(seen->value[LENGTH], &h->body.left))
        return refuse(h, 400, err, "the value of Content-Length is no number");
    h->body.kind = seen->seen[CODING] ? BODY_CHUNKED : h->body.left > 0 ? BODY_LENGTH : BODY_NONE;
    return HEAD_READ;
}

/* What the fields say together. */
static enum head_status conclude(struct head *h, const struct fields *seen, struct err *err)
{
    if (h->host_needed && !seen->seen[HOST])
        return refuse(h, 400, err, "there is no Host");
    if (!field_is_host(seen->value[HOST]))
        return refuse(h, 400, err, "the value of Host is no host");
    if (seen->seen[EXPECT] && !field_name_is(seen->value[EXPECT], "100-continue"))
        return refuse(h, 417, err, "an Expect other than 100-continue");
    h->host = seen->value[HOST];
    h->type = seen->value[TYPE];
    h->since = seen->value[SINCE];
    h->closes = seen->close || !h->host_needed;
    h->expects = seen->seen[EXPECT] && h->host_needed; /* HTTP/1.0 has no 100, nor Upgrade */
    if (seen->upgrade && h->host_needed)
        h->upgrade = seen->value[UPGRADE];
    return h->takes_content ? frame(h, seen, err) : no_content(h, seen, err);
}

/* Up to the empty line. */
static enum head_status read_fields(struct head *h, struct fields *seen, struct err *err)
{
    struct str line;
    enum head_status s;
    while ((s = next_line(h, &line, err)) == HEAD_READ && line.len > 0)
        if ((s = field_line(h, line, seen, err)) != HEAD_READ)
            return s;
    return s;
}

enum head_status head_fields(struct head *h, struct err *err)
{
    struct fields seen = {0};
    enum head_status s = read_fields(h, &seen, err);
    return s == HEAD_READ ? conclude(h, &seen, err) : s;
}

enum head_status head_trailers(const uint8_t *data, size_t len, size_t *ret_used, unsigned *ret_status,
                               struct err *err)
{
    struct fields ignored = {0};
    struct head h;
    head_begin(&h, data, len);
    enum head_status s = read_fields(&h, &ignored, err);
    *ret_used = head_used(&h);
    *ret_status = h.bad;
    return s;
}

bool head_is_origin_form(struct str target)
{
    for (size_t i = 0; i < target.len; i++)
        if (target.p[i] <= ' ' || target.p[i] > '~' || target.p[i] == '#')
            return false;
    return target.len > 0 && target.p[0] == '/';
}

size_t head_used(const struct head *h)
{
    size_t n = (size_t)(h->at.p - h->of);
    CHECK(n <= HEAD_MAX && h->at.p <= h->at.end);
    return n;
}
