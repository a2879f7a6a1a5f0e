/* SPDX-License-Identifier: Apache-2.0 */
#include "session/routing.h"

#include <string.h>

#include "base/check.h"
#include "config/config.h"
#include "session/snapshot.h"
#include "starttls/starttls.h"
#include "tls/digest.h"

static struct route_query query_of(uint32_t listener, enum first_bytes kind, const struct hello *h)
{
    struct route_query q = {.listener = listener, .kind = (uint8_t)kind};
    if (h != NULL) {
        q.sni = (struct str){h->name, h->name_len};
        q.alpn = h->alpn.p;
        q.alpn_len = cursor_left(&h->alpn);
    }
    return q;
}

/* HTTP clients of old, and curl towards a proxy, send no ALPN: what no other route takes is taken for
 * HTTP/1.1. `q` is what decided. */
static struct route_match find_tls(const struct snapshot *snap, struct route_query *q)
{
    static const uint8_t http[] = "\x08http/1.1";
    struct route_match match = route_find(snap->table, q);
    if (match.route != ROUTE_NONE || q->alpn_len > 0)
        return match;
    q->alpn = http;
    q->alpn_len = sizeof(http) - 1;
    match = route_find(snap->table, q);
    match.alpn = (struct str){0};
    return match;
}

struct route_match routing_find(const struct snapshot *snap, uint32_t listener, enum first_bytes kind,
                                const struct hello *h)
{
    struct route_query q = query_of(listener, kind, h);
    return h == NULL ? route_find(snap->table, &q) : find_tls(snap, &q);
}

struct route_match routing_again(const struct snapshot *snap, uint32_t listener,
                                 const struct hello_note *note)
{
    uint8_t alpn[1 + sizeof(note->alpn)] = {note->alpn_len};
    memcpy(alpn + 1, note->alpn, note->alpn_len);
    struct route_query q = {.listener = listener,
                            .kind = note->kind,
                            .sni = {note->sni, strlen(note->sni)},
                            .alpn = alpn,
                            .alpn_len = note->alpn_len > 0 ? (size_t)note->alpn_len + 1 : 0};
    struct route_match match = find_tls(snap, &q);
    match.alpn = (struct str){0}; /* it points into what is gone */
    return match;
}

bool routing_knows_name(const struct snapshot *snap, uint32_t listener, enum first_bytes kind,
                        const struct hello *h)
{
    struct route_query q = query_of(listener, kind, h);
    q.any_alpn = true;
    return route_find(snap->table, &q).route != ROUTE_NONE;
}

enum alert routing_refusal(const struct snapshot *snap, uint32_t listener, enum first_bytes kind,
                           const struct hello *h, const char **ret_why)
{
    bool known = routing_knows_name(snap, listener, kind, h);
    *ret_why = known             ? "the name has routes, but none that takes this ALPN"
               : h->name_len > 0 ? "no route has this name"
                                 : "no route takes a client without SNI";
    return known ? ALERT_NO_APPLICATION_PROTOCOL : ALERT_UNRECOGNIZED_NAME;
}

int routing_trace(const struct snapshot *snap, uint32_t listener, enum first_bytes kind,
                  const struct hello *h, void (*each)(void *arg, const struct route_trial *trial), void *arg,
                  bool *ret_as_http)
{
    struct route_query q = query_of(listener, kind, h);
    size_t offered = q.alpn_len;
    find_tls(snap, &q);
    *ret_as_http = q.alpn_len != offered;
    return route_trace(snap->table, &q, each, arg);
}

bool routing_wants_another(const struct hello *h, const struct starttls *spoken, struct route_match *match)
{
    if (spoken == NULL || match->route == ROUTE_NONE || match->alpn.p != NULL || cursor_left(&h->alpn) == 0)
        return false;
    struct cursor list = h->alpn;
    struct str protocol;
    const char *name = starttls_alpn(spoken);
    while (hello_next_protocol(&list, &protocol)) {
        if (name != NULL && str_is(protocol, name)) {
            match->alpn = protocol;
            return false;
        }
    }
    return true;
}

bool routing_admits(const struct snapshot *snap, const struct route_runtime *route, const struct identity *id,
                    struct policy_verdict *ret)
{
    uint32_t number = (uint32_t)(route - snap->routes);
    bool tunnel = route->config->action == CONFIG_TUNNEL;
    *ret = (struct policy_verdict){.effect = POLICY_ALLOW};
    if (!route->ask_policy)
        return true;
    *ret = tunnel ? policy_use_tunnel(snap->policy, number, id) : policy_use_route(snap->policy, number, id);
    bool settled_later = tunnel && ret->rule == NULL; /* the target will name the rule, or the nearest */
    return ret->effect == POLICY_ALLOW || settled_later;
}

uint32_t routing_of_name(const struct snapshot *snap, const char *name)
{
    uint32_t found = ROUTE_NONE;
    struct route_query q = {.kind = FIRST_BYTES_TLS, .sni = {name, strlen(name)}};
    for (q.listener = 0; q.listener < snap->config->listeners.n; q.listener++)
        for (int any = 0; any < 2; any++) {
            q.any_alpn = any;
            uint32_t route = route_find(snap->table, &q).route;
            if (route != ROUTE_NONE && snap->routes[route].config->action == CONFIG_EXPOSE)
                return route;
            found = route != ROUTE_NONE ? route : found;
        }
    return found;
}

void routing_note(const struct hello *h, const struct route_match *match, enum ja4_transport transport,
                  struct hello_note *ret)
{
    struct cursor list = h->alpn;
    struct str protocol = match->alpn;
    ret->kind = FIRST_BYTES_TLS;
    ret->alpn_matched = protocol.p != NULL;
    if (ret->alpn_matched || hello_next_protocol(&list, &protocol)) {
        ret->alpn_len = (uint8_t)protocol.len;
        memcpy(ret->alpn, protocol.p, protocol.len);
    }
    memcpy(ret->sni, h->name, (size_t)h->name_len + 1);
    ja4_compute(h, transport, tls_sha256, ret->ja4);
    ret->offers = hello_offers_of(h);
}

static size_t copy_u16(struct cursor list, uint16_t ret[ROUTING_LIST_MAX])
{
    size_t n = 0;
    while (n < ROUTING_LIST_MAX && cursor_u16(&list, &ret[n]))
        n++;
    return n;
}

/* The version that will be negotiated; a client below our floor fails in the handshake, whatever we show it.
 */
static uint16_t likely_version(const struct hello *h, const struct config_tls *tls)
{
    uint16_t version = MIN(h->version, (uint16_t)tls->max_version);
    return MAX(version, (uint16_t)CONFIG_TLS_1_2);
}

void routing_client(const struct hello *h, const struct hello_note *note, const struct config_tls *tls,
                    struct routing_client *ret)
{
    ret->hello = (struct tls_client_hello){
        .query = {.sni = {h->name, h->name_len},
                  .version = likely_version(h, tls),
                  .sigalgs = ret->sigalgs,
                  .sigalgs_len = copy_u16(h->signatures, ret->sigalgs),
                  .sigalgs_cert = ret->sigalgs_cert,
                  .sigalgs_cert_len = copy_u16(h->signatures_cert, ret->sigalgs_cert),
                  .ciphers = ret->ciphers,
                  .ciphers_len = copy_u16(h->cipher_suites, ret->ciphers)},
        .alpn = {note->alpn, note->alpn_matched ? note->alpn_len : 0},
    };
}
