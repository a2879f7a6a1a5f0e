/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/request.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/str.h"

static enum request_status refuse(struct request *ret, unsigned status, struct err *err, const char *why)
{
    ret->bad = status;
    err_set(err, "%s", why);
    return REQUEST_BAD;
}

/* Split `s` at the first `sep`: *ret_head before it, `s` after it. */
static bool split(struct str *s, const char *sep, struct str *ret_head)
{
    size_t n = strlen(sep);
    const char *at = memmem(s->p, s->len, sep, n);
    if (at == NULL)
        return false;
    *ret_head = (struct str){s->p, (size_t)(at - s->p)};
    s->len -= ret_head->len + n;
    s->p = at + n;
    return true;
}

/* Are all bytes of the line allowed there? Lone CR, lone LF and NUL are what smuggling is made of (RFC
 * 9112, 2.2). */
static bool is_line(struct str line)
{
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
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

/* A path, perhaps with a query (RFC 9112, 3.2.1): printable, and no fragment. */
static bool is_target(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '#')
            return false;
    return s.len > 0 && s.p[0] == '/';
}

/* `GET /path?query HTTP/1.1`, single spaces. HTTP/1.0 is taken too: it differs only in that Host may be
 * absent. */
static enum request_status request_line(struct str line, struct request *ret, bool *ret_host_needed,
                                        struct err *err)
{
    struct str method, target, path;
    if (!split(&line, " ", &method) || !split(&line, " ", &target) || !is_token(method))
        return refuse(ret, 400, err, "not the first line of an HTTP/1.1 request");
    *ret_host_needed = str_is(line, "HTTP/1.1");
    if (!*ret_host_needed && !str_is(line, "HTTP/1.0"))
        return refuse(ret, 505, err, "not HTTP/1.1");
    if (!str_copy(ret->method, sizeof(ret->method), method.p, method.len))
        return refuse(ret, 501, err, "no such method");
    if (!is_target(target))
        return refuse(ret, 400, err, "the target of the request is not a path");
    struct str query = target;
    if (!split(&query, "?", &path)) {
        path = target;
        query.len = 0;
    }
    if (!str_copy(ret->path, sizeof(ret->path), path.p, path.len) ||
        !str_copy(ret->query, sizeof(ret->query), query.p, query.len))
        return refuse(ret, 414, err, "the target of the request is too long");
    return REQUEST_READ;
}

static struct str trim(struct str s)
{
    while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (struct str){s.p + 1, s.len - 1};
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* What the fields have shown so far. */
struct fields {
    unsigned count;
    unsigned hosts;
    unsigned lengths;
};

static bool name_is(struct str name, const char *lower)
{
    return name.len == strlen(lower) && strncasecmp(name.p, lower, name.len) == 0;
}

static enum request_status field_line(struct str line, struct fields *seen, struct request *ret,
                                      struct err *err)
{
    struct str name;
    if (++seen->count > REQUEST_FIELDS_MAX)
        return refuse(ret, 431, err, "too many header fields");
    if (!split(&line, ":", &name) || !is_token(name)) /* a folded line has no token in front either */
        return refuse(ret, 400, err, "a line that is no header field");
    struct str value = trim(line);
    if (name_is(name, "host") && ++seen->hosts > 1)
        return refuse(ret, 400, err, "more than one Host");
    if (name_is(name, "transfer-encoding"))
        return refuse(ret, 413, err, "no page here takes content, so no Transfer-Encoding");
    if (!name_is(name, "content-length"))
        return REQUEST_READ;
    if (++seen->lengths > 1)
        return refuse(ret, 400, err, "more than one Content-Length");
    if (!str_is(value, "0"))
        return refuse(ret, 413, err, "no page here takes content, so no Content-Length but 0");
    return REQUEST_READ;
}

/* `head` is lines that each end in CR LF. */
static enum request_status read_lines(struct str head, struct request *ret, struct err *err)
{
    struct fields seen = {0};
    struct str line;
    bool host_needed = false;
    enum request_status s = REQUEST_READ;
    for (bool first = true; s == REQUEST_READ && split(&head, "\r\n", &line); first = false) {
        if (!is_line(line))
            return refuse(ret, 400, err, "a control character in the request");
        s = first ? request_line(line, ret, &host_needed, err) : field_line(line, &seen, ret, err);
    }
    if (s == REQUEST_READ && host_needed && seen.hosts == 0)
        return refuse(ret, 400, err, "there is no Host");
    return s;
}

enum request_status request_read(const uint8_t *data, size_t len, struct request *ret, struct err *err)
{
    size_t n = MIN(len, (size_t)REQUEST_HEAD_MAX);
    const uint8_t *end = n == 0 ? NULL : memmem(data, n, "\r\n\r\n", 4);
    *ret = (struct request){.bad = 0};
    if (end == NULL && len < REQUEST_HEAD_MAX)
        return REQUEST_MORE;
    if (end == NULL)
        return refuse(ret, 431, err, "the head of the request is too long");
    struct str head = {(const char *)data, (size_t)(end - data) + 2};
    CHECK(head.len <= n);
    return read_lines(head, ret, err);
}

bool request_number(const struct request *r, const char *key, uint64_t max, uint64_t otherwise, uint64_t *ret,
                    struct err *err)
{
    size_t n = strlen(key);
    *ret = otherwise;
    if (r->query[0] == '\0')
        return true;
    if (strncmp(r->query, key, n) == 0 && r->query[n] == '=' && str_u64(r->query + n + 1, max, ret) &&
        *ret > 0)
        return true;
    err_set(err, "the query must be %s=N with N from 1 to %llu", key, (unsigned long long)max);
    return false;
}
