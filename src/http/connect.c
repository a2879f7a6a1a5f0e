/* SPDX-License-Identifier: Apache-2.0 */
#include "http/connect.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/cursor.h"
#include "base/str.h"

#define SHOWN_MAX 1024 /* bytes of a text in an answer, with its NUL */

/* ---- reading ---- */

enum step {
    STEP_ON,   /* taken; go on */
    STEP_MORE, /* the line is not complete */
    STEP_BAD,  /* err is set */
};

/* What the fields of a head have shown so far. */
struct fields {
    unsigned count;
    unsigned hosts;
    unsigned lengths;
};

static enum step refuse(struct err *err, const char *why)
{
    err_set(err, "%s", why);
    return STEP_BAD;
}

/* Take the next line, without its CRLF. Only CRLF ends a line, and no control character but TAB is let in:
 * lone CR, lone LF and NUL are what smuggling is made of (RFC 9112, 2.2; RFC 9110, 5.5). */
static enum step line_next(struct cursor *c, struct str *ret, struct err *err)
{
    const uint8_t *start = c->p, *p = start;
    while (p < c->end && (*p == '\t' || (*p >= 0x20 && *p != 0x7f)))
        p++;
    if (p == c->end || (*p == '\r' && p + 1 == c->end))
        return STEP_MORE;
    if (*p == '\n' || (*p == '\r' && p[1] != '\n'))
        return refuse(err, "a line does not end in CR LF");
    if (*p != '\r')
        return refuse(err, "a control character in the request");
    *ret = (struct str){(const char *)start, (size_t)(p - start)};
    c->p = p + 2;
    return STEP_ON;
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

/* Split `s` at the first `sep`: *ret_head before it, `s` after it. */
static bool split(struct str *s, char sep, struct str *ret_head)
{
    const char *at = memchr(s->p, sep, s->len);
    if (at == NULL)
        return false;
    *ret_head = (struct str){s->p, (size_t)(at - s->p)};
    s->len -= ret_head->len + 1;
    s->p = at + 1;
    return true;
}

/* `CONNECT host:port HTTP/1.1`, single spaces (RFC 9112, 3 and 3.2.3). HTTP/1.0 is taken too: some clients
 * say it, and nothing in CONNECT differs but that Host may be absent. */
static enum step request_line(struct str line, struct front_request *ret, bool *ret_host_needed,
                              struct err *err)
{
    struct str method, target;
    if (!split(&line, ' ', &method) || !split(&line, ' ', &target) || !is_token(method))
        return refuse(err, "not the first line of an HTTP/1.1 request");
    *ret_host_needed = str_is(line, "HTTP/1.1");
    if (!*ret_host_needed && !str_is(line, "HTTP/1.0"))
        return refuse(err, "not HTTP/1.1");
    if (!str_is(method, "CONNECT")) {
        ret->bad = FRONT_BAD_METHOD;
        return refuse(err, "only CONNECT is served here: this door is a proxy, not a web server");
    }
    if (str_host_port(target.p, target.len, ret->target.host, &ret->target.port, err) < 0) {
        err_prefix(err, "the target of CONNECT is not HOST:PORT");
        return STEP_BAD;
    }
    ret->target.udp = false;
    return STEP_ON;
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

/* The value of Host is not used, for the request line names the target; but it must look like one (RFC
 * 9112, 3.2). */
static bool is_host_value(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("\"#,/<>?@\\^`{|}", s.p[i]) != NULL)
            return false;
    return true;
}

static enum step field_line(struct str line, struct fields *seen, struct err *err)
{
    struct str name;
    if (++seen->count > CONNECT_FIELDS_MAX)
        return refuse(err, "too many header fields");
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return refuse(err, "a folded header field (RFC 9112, 5.2)");
    if (!split(&line, ':', &name) || !is_token(name))
        return refuse(err, "a line that is no header field");
    struct str value = trim(line);
    if (name_is(name, "host") && (++seen->hosts > 1 || !is_host_value(value)))
        return refuse(err, seen->hosts > 1 ? "more than one Host" : "the value of Host is no host");
    if (name_is(name, "transfer-encoding"))
        return refuse(err, "CONNECT has no content, so no Transfer-Encoding");
    if (name_is(name, "content-length") && (++seen->lengths > 1 || !str_is(value, "0")))
        return refuse(err, "CONNECT has no content, so no Content-Length but 0");
    return STEP_ON;
}

/* From the request line to the empty line. */
static enum step read_head(struct cursor *c, struct front_request *ret, struct err *err)
{
    struct fields seen = {0};
    struct str line;
    bool host_needed;
    enum step s = line_next(c, &line, err);
    if (s == STEP_ON)
        s = request_line(line, ret, &host_needed, err);
    if (s != STEP_ON)
        return s;
    while ((s = line_next(c, &line, err)) == STEP_ON && line.len > 0)
        if ((s = field_line(line, &seen, err)) != STEP_ON)
            break;
    if (s == STEP_ON && host_needed && seen.hosts == 0)
        return refuse(err, "there is no Host");
    return s;
}

static enum front_result ask(const uint8_t *data, size_t len, struct front_request *ret, struct err *err)
{
    struct cursor c = cursor_of(data, MIN(len, (size_t)CONNECT_HEAD_MAX));
    ret->bad = FRONT_BAD_HELLO;
    enum step s = read_head(&c, ret, err);
    if (s == STEP_MORE && len >= CONNECT_HEAD_MAX) {
        err_set(err, "the head of the request is longer than %d bytes", CONNECT_HEAD_MAX);
        return FRONT_BAD;
    }
    ret->used = (size_t)(c.p - data);
    CHECK(ret->used <= len && ret->used <= CONNECT_HEAD_MAX);
    return s == STEP_ON ? FRONT_TARGET : s == STEP_MORE ? FRONT_MORE : FRONT_BAD;
}

/* ---- writing ---- */

static const struct row {
    unsigned status;
    const char *phrase;
    const char *type; /* of RFC 9209, 2.3 */
    const char *text;
} rows[FRONT_OUTCOMES] = {
#define OUTCOME(name, code, status, phrase, type, text) {status, phrase, type, text},
#include "tables/outcomes.def"
#undef OUTCOME
};

/* Append a string of structured fields (RFC 9651, 3.3.3): printable ASCII in quotes. */
static bool put_quoted(struct buf *out, const char *text)
{
    bool ok = buf_append(out, "\"", 1);
    for (; *text != '\0' && ok; text++) {
        char c = *text;
        if (c == '"' || c == '\\')
            ok = buf_printf(out, "\\%c", c);
        else
            ok = buf_append(out, c >= 0x20 && c < 0x7f ? &c : "?", 1);
    }
    return ok && buf_append(out, "\"", 1);
}

/* One line for people: what happened, and for a denial by which rule, where the text does not say so itself.
 */
static bool put_text(struct buf *body, const struct front_answer *answer)
{
    char text[SHOWN_MAX], rule[SHOWN_MAX];
    str_clean(text, sizeof(text), answer->text != NULL ? answer->text : rows[answer->outcome].text);
    if (answer->outcome != FRONT_DENIED)
        return buf_printf(body, "%s", text);
    str_clean(rule, sizeof(rule), answer->rule != NULL ? answer->rule : "no rule");
    if (strstr(text, rule) != NULL)
        return buf_printf(body, "%s", text);
    return buf_printf(body, "%s (%s%s)", text, answer->rule != NULL ? "rule " : "", rule);
}

/* Status line, fields and body of any outcome but FRONT_OK. No Date: cores have no clock (RFC 9110, 6.6.1
 * lets a recipient add it). */
static bool put_refusal(struct buf *out, const struct row *row, const char *text)
{
    return buf_printf(out, "HTTP/1.1 %u %s\r\n", row->status, row->phrase) &&
           buf_printf(out, "Proxy-Status: cardea; error=%s; details=", row->type) && put_quoted(out, text) &&
           buf_printf(out, "\r\n%s", row->status == 405 ? "Allow: CONNECT\r\n" : "") &&
           buf_printf(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n",
                      strlen(text) + 1) &&
           buf_printf(out, "Connection: close\r\n\r\n%s\n", text);
}

static bool encode_answer(const struct front_answer *answer, struct buf *out)
{
    CHECK(answer->outcome < FRONT_OUTCOMES);
    const struct row *row = &rows[answer->outcome];
    size_t at = out->len;
    bool ok;
    if (answer->outcome == FRONT_OK) {
        /* No Content-Length and no Transfer-Encoding: what follows is the tunnel (RFC 9110, 9.3.6). */
        ok = buf_printf(out, "HTTP/1.1 %u %s\r\n\r\n", row->status, row->phrase);
    } else {
        struct buf body = {0};
        const char *text = put_text(&body, answer) ? buf_text(&body) : NULL;
        ok = text != NULL && put_refusal(out, row, text);
        buf_free(&body);
    }
    if (!ok)
        out->len = at;
    return ok;
}

const struct front front_connect = {
    .name = "http-connect",
    .max = CONNECT_HEAD_MAX,
    .ask = ask,
    .answer = encode_answer,
};
