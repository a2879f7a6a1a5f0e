/* SPDX-License-Identifier: Apache-2.0 */
#include "http/connect.h"

#include <string.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/str.h"

#define SHOWN_MAX 1024 /* bytes of a text in an answer, with its NUL */

/* ---- reading ---- */

/* Is the request line `CONNECT host:port HTTP/1.1` (RFC 9112, 3.2.3)? */
static bool is_connect(const struct head *h, struct front_request *ret, struct err *err)
{
    if (!str_is(h->method, "CONNECT")) {
        ret->bad = FRONT_BAD_METHOD;
        err_set(err,
                "only CONNECT is served here: this door is a proxy, not a web server (curl: --proxytunnel)");
        return false;
    }
    ret->target.udp = false;
    if (str_host_port(h->target.p, h->target.len, ret->target.host, &ret->target.port, err) == 0)
        return true;
    err_prefix(err, "the target of CONNECT is not HOST:PORT");
    return false;
}

/* Host is not looked at: the request line names the target. */
static enum front_result ask(const uint8_t *data, size_t len, struct front_request *ret, struct err *err)
{
    struct head h;
    ret->bad = FRONT_BAD_HELLO;
    head_begin(&h, data, len);
    enum head_status s = head_request_line(&h, err);
    if (s == HEAD_READ && !is_connect(&h, ret, err))
        return FRONT_BAD;
    if (s == HEAD_READ)
        s = head_fields(&h, err);
    ret->used = head_used(&h);
    CHECK(ret->used <= len);
    return s == HEAD_READ ? FRONT_TARGET : s == HEAD_MORE ? FRONT_MORE : FRONT_BAD;
}

/* ---- writing ---- */

static const struct row {
    unsigned status;
    const char *phrase;
    const char *type; /* of RFC 9209, 2.3 */
    const char *text;
} rows[FRONT_OUTCOMES] = {
#define OUTCOME(name, code, status, phrase, type, socks, text) {status, phrase, type, text},
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
