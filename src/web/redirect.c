/* SPDX-License-Identifier: Apache-2.0 */
#include "web/redirect.h"

#include <string.h>

#include "base/check.h"

#define HTTPS_PORT 443

/* Without the port. An address of IPv6 stands in brackets, which stay. */
static struct str host_of(struct str host)
{
    for (size_t i = host.len; i > 0 && host.p[i - 1] != ']'; i--)
        if (host.p[i - 1] == ':')
            return (struct str){host.p, i - 1};
    return host;
}

/* GET by the status that everything understands; what has content is to be repeated as it was (RFC 9110,
 * 15.4.9). */
static unsigned status_for(struct str method)
{
    return str_is(method, "GET") || str_is(method, "HEAD") ? 301 : 308;
}

static void serve(void *arg, const struct web_request *r, struct web_exchange *exchange)
{
    struct web_answer answer = {0};
    struct buf to = {0};
    struct str host = host_of(r->host);
    (void)arg;
    if (r->tls || host.len == 0) {
        web_exchange_text(exchange, r->tls ? 404 : 400,
                          r->tls ? "nothing else is served here"
                                 : "a request without Host cannot be sent on to https://");
        return;
    }
    CHECK(buf_printf(&to, "https://%.*s", (int)host.len, host.p) &&
          (r->https_port == HTTPS_PORT || buf_printf(&to, ":%u", r->https_port)) &&
          buf_append(&to, r->path.p, r->path.len) &&
          (r->query.len == 0 || (buf_append(&to, "?", 1) && buf_append(&to, r->query.p, r->query.len))));
    web_answer_text(&answer, status_for(r->method), "this host is served within TLS: %s", buf_text(&to));
    web_answer_field(&answer, "Location", "%s", buf_text(&to));
    buf_free(&to);
    web_exchange_answer(exchange, &answer);
}

static const char *const everything[] = {"/", NULL};

const struct web_service web_redirect = {
    .name = "redirect", .prefixes = everything, .plain = true, .at_once = true, .serve = serve};
