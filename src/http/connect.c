/* SPDX-License-Identifier: Apache-2.0 */
#include "http/connect.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/str.h"
#include "http/answer.h"
#include "http/capsule_link.h"
#include "http/masque.h"
#include "http1/field.h"

/* ---- reading ---- */

/* The path of a target in origin-form or absolute-form (RFC 9112, 3.2); the authority is not looked at. */
static struct str path_of(struct str target)
{
    static const char scheme[] = "https://";
    size_t n = sizeof(scheme) - 1;
    if (target.len < n || strncasecmp(target.p, scheme, n) != 0)
        return target;
    const char *slash = memchr(target.p + n, '/', target.len - n);
    return slash == NULL ? (struct str){"/", 1}
                         : (struct str){slash, (size_t)(target.p + target.len - slash)};
}

/* Is the request line `CONNECT host:port HTTP/1.1` (RFC 9112, 3.2.3), or one for UDP (RFC 9298, 3.2)? */
static bool is_connect(const struct head *h, struct front_request *ret, struct err *err)
{
    struct str path = path_of(h->target);
    if (str_is(h->method, "GET") && masque_is_udp_path(path))
        return masque_udp_path(path, &ret->target, err) == 0;
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

/* RFC 9298, 3.2. Capsule-Protocol need not be there: the protocol that is upgraded to says as much (RFC 9297,
 * 3.4). */
static bool is_upgraded(const struct head *h, const struct front_request *req, struct err *err)
{
    if (!req->target.udp || field_lists(h->upgrade, "connect-udp"))
        return true;
    err_set(err, "a request for UDP without 'Connection: Upgrade' and 'Upgrade: connect-udp'");
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
    if (s == HEAD_READ && !is_upgraded(&h, ret, err))
        return FRONT_BAD;
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

static bool put_fields(struct buf *out, const struct answer *a)
{
    bool ok = true;
    for (size_t i = 0; i < a->n && ok; i++)
        ok = put_name(out, a->fields[i].name) &&
             buf_append(out, a->fields[i].value.p, a->fields[i].value.len) && buf_append(out, "\r\n", 2);
    return ok;
}

/* An answer that is no yes ends the connection. */
static bool put_answer(struct buf *out, const struct answer *a)
{
    bool ok = buf_printf(out, "HTTP/1.1 %u %s\r\n", a->status, a->phrase) && put_fields(out, a);
    if (a->body.len > 0)
        ok = ok && buf_printf(out, "Connection: close\r\n");
    return ok && buf_append(out, "\r\n", 2) && buf_append(out, a->body.p, a->body.len);
}

/* RFC 9298, 3.3. */
static bool put_switch(struct buf *out, const struct answer *a)
{
    return buf_printf(out, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                           "Upgrade: connect-udp\r\n") &&
           put_fields(out, a) && buf_append(out, "\r\n", 2);
}

static bool encode_answer(const struct front_answer *answer, struct buf *out)
{
    struct answer a;
    size_t at = out->len;
    answer_make(&a, answer, answer->udp);
    bool switches = answer->udp && answer->outcome == FRONT_OK;
    bool ok = switches ? put_switch(out, &a) : put_answer(out, &a);
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
    .wrap = capsule_link_wrap,
};
