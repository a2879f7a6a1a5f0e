/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include "base/check.h"
#include "http1/field.h"

/* What the fields have shown so far. */
struct fields {
    unsigned count;
    unsigned hosts;
    unsigned lengths;
    unsigned upgrades;
    bool connection; /* Connection lists upgrade */
    struct str upgrade;
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
    if (field_name_is(name, "host") && (++seen->hosts > 1 || !field_is_host(value)))
        return refuse(h, 400, err, seen->hosts > 1 ? "more than one Host" : "the value of Host is no host");
    if (field_name_is(name, "upgrade") && ++seen->upgrades > 1)
        return refuse(h, 400, err, "more than one Upgrade");
    if (field_name_is(name, "upgrade"))
        seen->upgrade = value;
    if (field_name_is(name, "connection"))
        seen->connection = seen->connection || field_lists(value, "upgrade");
    if (field_name_is(name, "transfer-encoding"))
        return refuse(h, 413, err, "no content is taken here, so no Transfer-Encoding");
    if (!field_name_is(name, "content-length"))
        return HEAD_READ;
    if (++seen->lengths > 1)
        return refuse(h, 400, err, "more than one Content-Length");
    if (!str_is(value, "0"))
        return refuse(h, 413, err, "no content is taken here, so no Content-Length but 0");
    return HEAD_READ;
}

enum head_status head_fields(struct head *h, struct err *err)
{
    struct fields seen = {0};
    struct str line;
    enum head_status s;
    while ((s = next_line(h, &line, err)) == HEAD_READ && line.len > 0)
        if ((s = field_line(h, line, &seen, err)) != HEAD_READ)
            return s;
    if (s == HEAD_READ && h->host_needed && seen.hosts == 0)
        return refuse(h, 400, err, "there is no Host");
    if (s == HEAD_READ && seen.connection && h->host_needed) /* HTTP/1.0 has no Upgrade */
        h->upgrade = seen.upgrade;
    return s;
}

size_t head_used(const struct head *h)
{
    size_t n = (size_t)(h->at.p - h->of);
    CHECK(n <= HEAD_MAX && h->at.p <= h->at.end);
    return n;
}
