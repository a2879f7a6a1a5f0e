/* SPDX-License-Identifier: Apache-2.0 */
#include "http1/rewrite.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "http1/field.h"

#define TOLD_USUAL 2048 /* bytes of what is told, usually: room for it is made at once */

/* What the fields have shown so far. */
struct fields {
    struct rewritten *request;
    struct buf *out;
    bool first; /* of the connection */
    bool old;   /* HTTP/1.0 */
    unsigned count, hosts, lengths, codings, upgrades;
    bool connection_upgrade; /* Connection lists upgrade */
    bool upgrade;            /* to something that may be passed on */
};

static enum rewrite_result refuse(struct rewritten *r, unsigned status, const char *why)
{
    r->status = status;
    r->why = why;
    return REWRITE_BAD;
}

/* ---- whole or not ---- */

/* Look for the empty line that ends a section, from *scanned on; that stands at the beginning of a line. A
 * line that breaks the rules is refused as soon as it is there. */
static enum rewrite_result find_end(const uint8_t *data, size_t len, size_t *scanned, struct rewritten *r)
{
    struct cursor c = cursor_of(data, MIN(len, (size_t)REWRITE_HEAD_MAX));
    struct str line = {0};
    bool begun = *scanned > 0;
    CHECK(cursor_skip(&c, *scanned));
    for (;;) {
        enum line_status status = line_next(&c, &line);
        *scanned = (size_t)(c.p - data);
        if (status == LINE_ENDING)
            return refuse(r, 400, "a line of the request does not end in CR LF");
        if (status == LINE_CONTROL)
            return refuse(r, 400, "a control character in the request");
        if (status == LINE_MORE)
            return len < REWRITE_HEAD_MAX
                       ? REWRITE_MORE
                       : refuse(r, 431, "the head of the request is longer than 32768 bytes");
        if (line.len == 0 && begun)
            return REWRITE_DONE;
        begun = true;
    }
}

/* ---- fields ---- */

static char plain(char c)
{
    bool upper = c >= 'A' && c <= 'Z';
    bool alnum = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    return (char)(upper ? c - 'A' + 'a' : alnum ? c : '-');
}

/* Compares as a backend does that knows only letters, digits and one other character. */
static bool looks_like(struct str name, const char *lower, bool prefix)
{
    size_t len = strlen(lower);
    if (name.len < len || (!prefix && name.len != len))
        return false;
    for (size_t i = 0; i < len; i++)
        if (plain(name.p[i]) != lower[i])
            return false;
    return true;
}

bool rewrite_is_ours(struct str name)
{
    static const char *const begins[] = {"client-cert", "x-forwarded-", "ssl-client-", "x-ssl-"};
    static const char *const whole[] = {"forwarded", "x-real-ip"};
    for (size_t i = 0; i < ARRAY_LEN(begins); i++)
        if (looks_like(name, begins[i], true))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        if (looks_like(name, whole[i], false))
            return true;
    return false;
}

/* What says how a message is to be read must not be there in a spelling that only some know. */
static const char *const framing[] = {
    "content-length", "transfer-encoding", "host", "connection", "upgrade", "te", "trailer",
    "expect",         "http2-settings"};

static bool is_framing(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(framing); i++)
        if (looks_like(name, framing[i], false))
            return true;
    return false;
}

static bool is_misspelt(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(framing); i++)
        if (looks_like(name, framing[i], false) && !field_name_is(name, framing[i]))
            return true;
    return false;
}

/* Whoever names our fields there asks the next one to drop them (RFC 9110, 7.6.1). */
static bool names_ours(struct str list)
{
    struct str item;
    while (field_split(&list, ',', &item))
        if (rewrite_is_ours(field_trim(item)))
            return true;
    return rewrite_is_ours(field_trim(list));
}

/* To a protocol that we could have followed, which the client would speak to the backend unseen. */
static bool upgrades_http(struct str list)
{
    struct str item;
    bool more = true;
    while (more) {
        more = field_split(&list, ',', &item);
        struct str name = field_trim(more ? item : list);
        if (looks_like(name, "h2", true) || looks_like(name, "http", true) || looks_like(name, "tls", true))
            return true;
    }
    return false;
}

static enum rewrite_result take_length(struct fields *f, struct str value)
{
    if (++f->lengths > 1)
        return refuse(f->request, 400, "more than one Content-Length");
    if (!body_length(value, &f->request->body.left))
        return refuse(f->request, 400, "the value of Content-Length is no number");
    return REWRITE_DONE;
}

static enum rewrite_result take_coding(struct fields *f, struct str value)
{
    if (++f->codings > 1)
        return refuse(f->request, 400, "more than one Transfer-Encoding");
    if (!field_name_is(value, "chunked"))
        return refuse(f->request, 501, "a Transfer-Encoding other than chunked");
    return f->old ? refuse(f->request, 400, "a Transfer-Encoding in HTTP/1.0") : REWRITE_DONE;
}

/* A field that says how the message is to be read. *ret_drop: it is not passed on. */
static enum rewrite_result take_framing(struct fields *f, struct str name, struct str value, bool *ret_drop)
{
    if (is_misspelt(name))
        return refuse(f->request, 400, "a field that backends may take for one that frames the message");
    if (field_name_is(name, "content-length"))
        return take_length(f, value);
    if (field_name_is(name, "transfer-encoding"))
        return take_coding(f, value);
    if (field_name_is(name, "host") && (++f->hosts > 1 || !field_is_host(value)))
        return refuse(f->request, 400, f->hosts > 1 ? "more than one Host" : "the value of Host is no host");
    if (field_name_is(name, "connection")) {
        if (names_ours(value))
            return refuse(f->request, 400, "Connection names a field that only the door may set");
        f->connection_upgrade |= field_lists(value, "upgrade");
    }
    if (field_name_is(name, "upgrade") && ++f->upgrades > 1)
        return refuse(f->request, 400, "more than one Upgrade");
    /* Behind other requests a server whose answers were counted otherwise (it takes `head` for HEAD, or a
     * field for the method) could seem to agree where it has not; clients begin a connection for it. */
    *ret_drop = field_name_is(name, "http2-settings") ||
                (field_name_is(name, "upgrade") && (!f->first || upgrades_http(value)));
    if (field_name_is(name, "upgrade"))
        f->upgrade = !*ret_drop;
    return REWRITE_DONE;
}

static enum rewrite_result split_field(struct fields *f, struct str line, struct str *ret_name,
                                       struct str *ret_value)
{
    if (++f->count > REWRITE_FIELDS_MAX)
        return refuse(f->request, 431, "more than 200 header fields");
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return refuse(f->request, 400, "a folded header field (RFC 9112, 5.2)");
    if (!field_split(&line, ':', ret_name) || !field_is_token(*ret_name))
        return refuse(f->request, 400, "a line that is no header field");
    *ret_value = field_trim(line);
    return REWRITE_DONE;
}

static void put_line(struct buf *out, struct str line)
{
    CHECK(buf_append(out, line.p, line.len) && buf_append(out, "\r\n", 2));
}

static enum rewrite_result take_field(struct fields *f, struct str line)
{
    struct str name, value;
    bool drop = false;
    enum rewrite_result result = split_field(f, line, &name, &value);
    if (result == REWRITE_DONE && is_framing(name))
        result = take_framing(f, name, value, &drop);
    if (result == REWRITE_DONE && !drop && !rewrite_is_ours(name))
        put_line(f->out, line);
    return result;
}

/* ---- heads ---- */

/* `METHOD TARGET HTTP/1.1`, single spaces (RFC 9112, 3). */
static enum rewrite_result take_request_line(struct fields *f, struct str line)
{
    struct rewritten *r = f->request;
    struct str rest = line, method, target;
    if (!field_split(&rest, ' ', &method) || !field_split(&rest, ' ', &target) || !field_is_token(method) ||
        target.len == 0 || memchr(target.p, '\t', target.len) != NULL)
        return refuse(r, 400, "not the first line of an HTTP/1.1 request");
    f->old = str_is(rest, "HTTP/1.0");
    if (!f->old && !str_is(rest, "HTTP/1.1"))
        return refuse(r, 505, "not HTTP/1.1");
    r->head = str_is(method, "HEAD");
    if (field_name_is(method, "connect")) /* a server that takes it for any other method would be told lies */
        return refuse(r, 501, "CONNECT, which would make what follows something else than requests");
    if (!r->head && field_name_is(method, "head"))
        return refuse(r, 501, "a method that servers may take for HEAD");
    put_line(f->out, line);
    return REWRITE_DONE;
}

/* What the fields say together. */
static enum rewrite_result conclude(struct fields *f)
{
    struct rewritten *r = f->request;
    if (!f->old && f->hosts == 0)
        return refuse(r, 400, "there is no Host");
    if (f->codings > 0 && f->lengths > 0)
        return refuse(r, 400, "both Transfer-Encoding and Content-Length");
    r->upgrade = f->upgrade && f->connection_upgrade && !f->old;
    r->body.kind = f->codings > 0 ? BODY_CHUNKED : r->body.left > 0 ? BODY_LENGTH : BODY_NONE;
    return REWRITE_DONE;
}

size_t rewrite_skip_empty(const uint8_t *data, size_t len)
{
    size_t n = 0;
    while (len - n >= 2 && data[n] == '\r' && data[n + 1] == '\n')
        n += 2;
    return n;
}

enum rewrite_result rewrite_head(const uint8_t *data, size_t len, bool first, size_t *scanned,
                                 rewrite_tell_fn *tell, void *arg, struct buf *out, struct rewritten *ret)
{
    *ret = (struct rewritten){0};
    struct fields f = {.request = ret, .out = out, .first = first};
    size_t before = out->len;
    struct str line = {0};
    enum rewrite_result result = find_end(data, len, scanned, ret);
    struct cursor c = cursor_of(data, *scanned);
    if (result != REWRITE_DONE)
        return result;
    CHECK(line_next(&c, &line) == LINE_READ);
    CHECK(buf_reserve(out, *scanned + TOLD_USUAL));
    result = take_request_line(&f, line);
    while (result == REWRITE_DONE && line_next(&c, &line) == LINE_READ && line.len > 0)
        result = take_field(&f, line);
    if (result == REWRITE_DONE)
        result = conclude(&f);
    if (result != REWRITE_DONE) {
        out->len = before;
        return result;
    }
    tell(arg, out);
    put_line(out, (struct str){0});
    ret->used = *scanned;
    return REWRITE_DONE;
}

/* A section without a single line is a CR LF at its very beginning. */
static enum rewrite_result find_trailers_end(const uint8_t *data, size_t len, size_t *scanned,
                                             struct rewritten *r)
{
    if (len >= 2 && data[0] == '\r' && data[1] == '\n') {
        *scanned = 2;
        return REWRITE_DONE;
    }
    return find_end(data, len, scanned, r);
}

enum rewrite_result rewrite_trailers(const uint8_t *data, size_t len, size_t *scanned, struct buf *out,
                                     struct rewritten *ret)
{
    *ret = (struct rewritten){0};
    struct fields f = {.request = ret, .out = out};
    size_t before = out->len;
    struct str line, name, value;
    enum rewrite_result result = find_trailers_end(data, len, scanned, ret);
    struct cursor c = cursor_of(data, *scanned);
    while (result == REWRITE_DONE && line_next(&c, &line) == LINE_READ && line.len > 0) {
        result = split_field(&f, line, &name, &value);
        if (result == REWRITE_DONE && !rewrite_is_ours(name) && !is_framing(name))
            put_line(out, line);
    }
    if (result != REWRITE_DONE) {
        out->len = before;
        return result;
    }
    put_line(out, (struct str){0});
    ret->used = *scanned;
    return REWRITE_DONE;
}
