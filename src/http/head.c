/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"

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

/* Take the next line, without its CRLF. Only CRLF ends a line, and no control character but TAB is let in:
 * lone CR, lone LF and NUL are what smuggling is made of (RFC 9112, 2.2; RFC 9110, 5.5). */
static enum head_status line_next(struct head *h, struct str *ret, struct err *err)
{
    const uint8_t *start = h->at.p, *end = h->at.end, *p = start;
    while (p < end && (*p == '\t' || (*p >= 0x20 && *p != 0x7f)))
        p++;
    if (p == end || (*p == '\r' && p + 1 == end))
        return more(h, err);
    if (*p == '\n' || (*p == '\r' && p[1] != '\n'))
        return refuse(h, 400, err, "a line does not end in CR LF");
    if (*p != '\r')
        return refuse(h, 400, err, "a control character in the request");
    *ret = (struct str){(const char *)start, (size_t)(p - start)};
    h->at.p = p + 2;
    CHECK(h->at.p <= end);
    return HEAD_READ;
}

/* RFC 9110, 5.6.2: a method or a field name. */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return s.len > 0;
}

bool head_split(struct str *s, char sep, struct str *ret_before)
{
    const char *at = s->len > 0 ? memchr(s->p, sep, s->len) : NULL;
    if (at == NULL)
        return false;
    *ret_before = (struct str){s->p, (size_t)(at - s->p)};
    s->len -= ret_before->len + 1;
    s->p = at + 1;
    return true;
}

void head_begin(struct head *h, const uint8_t *data, size_t len)
{
    *h = (struct head){.at = cursor_of(data, MIN(len, (size_t)HEAD_MAX)), .of = data};
}

/* `METHOD TARGET HTTP/1.1`, single spaces (RFC 9112, 3). */
enum head_status head_request_line(struct head *h, struct err *err)
{
    struct str line;
    enum head_status s = line_next(h, &line, err);
    if (s != HEAD_READ)
        return s;
    if (!head_split(&line, ' ', &h->method) || !head_split(&line, ' ', &h->target) || !is_token(h->method))
        return refuse(h, 400, err, "not the first line of an HTTP/1.1 request");
    h->host_needed = str_is(line, "HTTP/1.1");
    if (!h->host_needed && !str_is(line, "HTTP/1.0"))
        return refuse(h, 505, err, "not HTTP/1.1");
    return HEAD_READ;
}

static bool name_is(struct str name, const char *lower)
{
    return name.len == strlen(lower) && strncasecmp(name.p, lower, name.len) == 0;
}

static struct str trim(struct str s)
{
    while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (struct str){s.p + 1, s.len - 1};
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool head_lists(struct str list, const char *token)
{
    struct str item;
    while (head_split(&list, ',', &item))
        if (name_is(trim(item), token))
            return true;
    return name_is(trim(list), token);
}

/* The value of Host is not used here; but it must look like one (RFC 9112, 3.2). */
static bool is_host_value(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("\"#,/<>?@\\^`{|}", s.p[i]) != NULL)
            return false;
    return true;
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
    if (!head_split(&line, ':', &name) || !is_token(name))
        return refuse(h, 400, err, "a line that is no header field");
    struct str value = trim(line);
    if (name_is(name, "host") && (++seen->hosts > 1 || !is_host_value(value)))
        return refuse(h, 400, err, seen->hosts > 1 ? "more than one Host" : "the value of Host is no host");
    if (name_is(name, "upgrade") && ++seen->upgrades > 1)
        return refuse(h, 400, err, "more than one Upgrade");
    if (name_is(name, "upgrade"))
        seen->upgrade = value;
    if (name_is(name, "connection"))
        seen->connection = seen->connection || head_lists(value, "upgrade");
    if (name_is(name, "transfer-encoding"))
        return refuse(h, 413, err, "no content is taken here, so no Transfer-Encoding");
    if (!name_is(name, "content-length"))
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
    while ((s = line_next(h, &line, err)) == HEAD_READ && line.len > 0)
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
