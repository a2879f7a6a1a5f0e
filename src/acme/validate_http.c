/* SPDX-License-Identifier: Apache-2.0 */
/* http-01 (RFC 8555, 8.3). The name is looked up and each address is held against the operator's policy here,
 * before anything connects: redirects are followed here too, so that none leads past that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "acme/validate_internal.h"
#include "base/check.h"
#include "base/clock.h"

#define REDIRECTS_MAX 10
#define CONTENT_MAX 4096 /* bytes; a key authorization has 66 */
#define FETCH_TIME (10 * NSEC_PER_SEC)

/* Redirects
 * ---------------------------------------------------------------------------------------------------------
 */

static bool skip(struct str *s, const char *begin)
{
    size_t len = strlen(begin);
    if (s->len < len || strncasecmp(s->p, begin, len) != 0)
        return false;
    *s = (struct str){s->p + len, s->len - len};
    return true;
}

/* The port of an authority must be the scheme's, or the one that is looked at in its place. */
static bool is_port(const struct acme_validator_params *params, bool tls, struct str text)
{
    char number[8];
    uint64_t port;
    return str_copy(number, sizeof(number), text.p, text.len) && str_u64(number, 65535, &port) &&
           (port == (tls ? 443 : 80) || port == (tls ? params->tls_port : params->http_port));
}

/* HOST, HOST:PORT or [IPv6]:PORT; nobody's name before an '@'. */
static bool read_authority(const struct acme_validator_params *params, struct str text,
                           struct look_place *place)
{
    uint8_t ip[16];
    const char *colon = memrchr(text.p, ':', text.len);
    bool brackets = text.len > 0 && text.p[0] == '[';
    const char *end = brackets ? memchr(text.p, ']', text.len) : NULL;
    if (brackets && end == NULL)
        return false;
    if (colon != NULL && (!brackets || colon > end)) {
        struct str port = {colon + 1, (size_t)(text.p + text.len - colon - 1)};
        if (!is_port(params, place->tls, port))
            return false;
        text.len = (size_t)(colon - text.p);
    }
    if (brackets) {
        if (end != text.p + text.len - 1)
            return false;
        text = (struct str){text.p + 1, text.len - 2};
    }
    if (!str_copy(place->host, sizeof(place->host), text.p, text.len))
        return false;
    str_lower(place->host, text.len);
    size_t address = hostname_address(place->host, ip);
    return brackets ? address == 16 : address == 4 || hostname_check(place->host, text.len) == HOSTNAME_OK;
}

static bool is_path(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] <= ' ' || text.p[i] > '~')
            return false;
    return text.len > 0 && text.p[0] == '/' && text.len < LOOK_PATH_MAX;
}

bool look_redirect(const struct acme_validator_params *params, struct str location, struct look_place *place)
{
    struct look_place to = *place;
    const char *fragment = memchr(location.p, '#', location.len);
    if (fragment != NULL)
        location.len = (size_t)(fragment - location.p);
    bool https = skip(&location, "https://");
    if (https || skip(&location, "http://")) {
        size_t len = 0;
        while (len < location.len && strchr("/?", location.p[len]) == NULL)
            len++;
        to.tls = https;
        if (!read_authority(params, (struct str){location.p, len}, &to))
            return false;
        location = (struct str){location.p + len, location.len - len};
        if (location.len == 0)
            location = (struct str){"/", 1};
    }
    /* A relative one begins with '/', and not with an authority of its own ("//host"). */
    if (!is_path(location) || (location.len > 1 && location.p[1] == '/'))
        return false;
    str_copy(to.path, sizeof(to.path), location.p, location.len);
    *place = to;
    return true;
}

/* Looking
 * -----------------------------------------------------------------------------------------------------------
 */

static void look_up(struct acme_look *l);
static void fetch_next(struct acme_look *l);

static const char *put_url(const struct look_place *p, char url[LOOK_URL_MAX])
{
    bool six = strchr(p->host, ':') != NULL;
    snprintf(url, LOOK_URL_MAX, "%s://%s%s%s%s", p->tls ? "https" : "http", six ? "[" : "", p->host,
             six ? "]" : "", p->path);
    return url;
}

static void redirected(struct acme_look *l, const struct fetch_answer *a)
{
    struct str location = fetch_field(a, "Location");
    char url[LOOK_URL_MAX];
    put_url(&l->place, url);
    if (++l->redirects > REDIRECTS_MAX)
        look_failed(l, ACME_CONNECTION, "%.200s: more than %d redirects", url, REDIRECTS_MAX);
    else if (!look_redirect(&l->v->params, location, &l->place))
        look_failed(l, ACME_CONNECTION,
                    "%.200s: is redirected to where this server does not look; expected http: or https: at "
                    "their usual ports",
                    url);
    else
        look_up(l);
}

/* The content, with white space behind it that editors leave (RFC 8555, 8.3). */
static bool is_wanted(const struct acme_look *l, struct str body)
{
    while (body.len > 0 && strchr(" \t\r\n", body.p[body.len - 1]) != NULL)
        body.len--;
    return str_is(body, l->check.key_authorization);
}

static void on_answer(void *arg, const struct fetch_answer *a, const struct err *err)
{
    struct acme_look *l = arg;
    char url[LOOK_URL_MAX];
    l->fetch = NULL;
    put_url(&l->place, url);
    if (a == NULL && l->next < l->addresses_len)
        fetch_next(l);
    else if (a == NULL)
        look_failed(l, ACME_CONNECTION, "%s", err->text);
    else if (a->status >= 301 && a->status <= 308 && a->status != 304)
        redirected(l, a);
    else if (a->status != 200)
        look_failed(l, ACME_INCORRECT_RESPONSE, "%.200s: answered with status %u, expected 200", url,
                    a->status);
    else if (!is_wanted(l, a->body))
        look_failed(l, ACME_INCORRECT_RESPONSE, "%.200s: the content is not the key authorization", url);
    else
        look_good(l);
}

static void fetch_next(struct acme_look *l)
{
    char url[LOOK_URL_MAX], to[NET_ADDR_TEXT_MAX];
    struct err err;
    struct net_addr address = l->addresses[l->next++];
    if (!look_may_now(l, &address)) {
        look_later(l);
        return;
    }
    address.port = l->place.tls ? l->v->params.tls_port : l->v->params.http_port;
    struct fetch_request request = {.method = "GET",
                                    .url = put_url(&l->place, url),
                                    .connect_to = net_addr_format(&address, to),
                                    .unproven = true,
                                    .timeout = FETCH_TIME,
                                    .max = CONTENT_MAX};
    l->fetch = fetch_start(l->v->fetcher, &request, on_answer, l, &err);
    if (l->fetch == NULL)
        look_failed(l, ACME_CONNECTION, "%s", err.text);
}

static void on_addresses(void *arg, enum resolve_status status, const struct net_addr *addresses,
                         size_t count)
{
    struct acme_look *l = arg;
    l->query = NULL;
    l->addresses_len = l->next = 0;
    for (size_t i = 0; i < count && l->addresses_len < LOOK_ADDRESSES; i++)
        if (look_may(l, &addresses[i]))
            l->addresses[l->addresses_len++] = addresses[i];
    if (status != RESOLVE_OK)
        look_unresolved(l, l->place.host, status);
    else if (l->addresses_len == 0)
        look_failed(l, ACME_CONNECTION, "%s: this server does not look at its addresses", l->place.host);
    else
        fetch_next(l);
}

static void look_up(struct acme_look *l)
{
    struct resolve_query *query = resolver_lookup(l->v->resolver, l->place.host, 0, on_addresses, l);
    if (query != NULL)
        l->query = query;
}

void look_http(struct acme_look *l)
{
    str_copy(l->place.host, sizeof(l->place.host), l->check.name, strlen(l->check.name));
    snprintf(l->place.path, sizeof(l->place.path), "/.well-known/acme-challenge/%s", l->check.token);
    look_up(l);
}
