/* SPDX-License-Identifier: Apache-2.0 */
#include "http/connect.h"

#include "base/check.h"
#include "base/str.h"
#include "http/answer.h"

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

/* In the case that people are used to see in HTTP/1.1: Proxy-Status. */
static bool put_name(struct buf *out, const char *name)
{
    bool ok = true;
    for (const char *p = name; *p != '\0' && ok; p++) {
        bool first = p == name || p[-1] == '-';
        char c = first && *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
        ok = buf_append(out, &c, 1);
    }
    return ok && buf_append(out, ": ", 2);
}

/* An answer that is no yes ends the connection. */
static bool put_answer(struct buf *out, const struct answer *a)
{
    bool ok = buf_printf(out, "HTTP/1.1 %u %s\r\n", a->status, a->phrase);
    for (size_t i = 0; i < a->n && ok; i++)
        ok = put_name(out, a->fields[i].name) &&
             buf_append(out, a->fields[i].value.p, a->fields[i].value.len) && buf_append(out, "\r\n", 2);
    if (a->body.len > 0)
        ok = ok && buf_printf(out, "Connection: close\r\n");
    return ok && buf_append(out, "\r\n", 2) && buf_append(out, a->body.p, a->body.len);
}

static bool encode_answer(const struct front_answer *answer, struct buf *out)
{
    struct answer a;
    size_t at = out->len;
    answer_make(&a, answer, false);
    bool ok = put_answer(out, &a);
    if (!ok)
        out->len = at;
    answer_free(&a);
    return ok;
}

const struct front front_connect = {
    .name = "http-connect",
    .max = CONNECT_HEAD_MAX,
    .ask = ask,
    .answer = encode_answer,
};
