/* SPDX-License-Identifier: Apache-2.0 */
#include "config/verify_ports.h"

#include <string.h>

static bool speaks(const struct config_listener *l, const char *word)
{
    return strcmp(l->speaks.text, word) == 0;
}

/* ---- listeners ---- */

static bool is_named(const struct config *c, const struct config_listener *l)
{
    for (size_t i = 0; i < c->routes.n; i++)
        if (config_route_names(&c->routes.v[i], l->name.text))
            return true;
    return false;
}

/* Nothing comes from a port that does not speak TLS but by routes that are meant for it. */
static int verify_listener(struct report *r, const struct config *c, const struct config_listener *l)
{
    bool starttls = !speaks(l, CONFIG_SPEAKS_TLS) && !speaks(l, CONFIG_SPEAKS_PLAIN);
    int bad = 0;
    if (!speaks(l, CONFIG_SPEAKS_TLS) && !is_named(c, l))
        bad = report_add(r, l->speaks.at,
                         "speaks: listener '%s' speaks %s, and no route names it: 'listeners: [%s]'",
                         l->name.text, l->speaks.text, l->name.text);
    if (l->plaintext && !starttls)
        bad = report_add(
            r, l->speaks.at.line != 0 ? l->speaks.at : l->head.at,
            "plaintext: listener '%s' speaks %s: there is no STARTTLS that clients could leave out",
            l->name.text, l->speaks.text);
    return bad;
}

/* ---- routes ---- */

/* A route for clients that speak no TLS. */
static int verify_no_tls(struct report *r, const struct config_route *rc)
{
    int bad = 0;
    const char *action = config_action_name(rc->action);
    if (rc->action == CONFIG_FORWARD && rc->listeners.n == 0)
        bad = report_add(r, rc->head.at,
                         "route '%s': forward: expected 'listeners' that speak 'plain': it takes clients "
                         "that speak no TLS",
                         rc->name.text);
    if (rc->sni.n > 0 || rc->sni_file.text != NULL || rc->alpn.n > 0)
        bad =
            report_add(r, rc->head.at, "route '%s': %s: clients that speak no TLS have no %s; leave that out",
                       rc->name.text, action, rc->alpn.n > 0 ? "alpn" : "sni");
    return bad;
}

/* Who goes on in the clear has said things that a backend which was asked for TLS meanwhile would have to
 * hear; and has proven nothing, and goes on with words of his own where a server that is told of clients
 * would still have to be told: it would take him for the door. */
static int verify_plaintext(struct report *r, const struct config_route *rc, const struct config_listener *l)
{
    const struct config_backend *backend = config_route_backend(rc);
    const struct config_text *protocol = &rc->hand_on.protocol;
    int bad = 0;
    if (backend != NULL && backend->tls != NULL && backend->tls->starttls.text != NULL)
        bad = report_add(
            r, backend->tls->starttls.at,
            "route '%s': starttls: clients of listener '%s' may go on without TLS ('plaintext'), and the "
            "backend is asked for TLS in %s; leave one out, or give the backend TLS that begins at once",
            rc->name.text, l->name.text, backend->tls->starttls.text);
    if (protocol->text != NULL)
        bad = report_add(
            r, protocol->at,
            "route '%s': hand_on.protocol: found '%s', and clients of listener '%s' may go on without TLS "
            "('plaintext'), of whom the backend would be told nothing: it would take them for the door, "
            "and trust them as it trusts the door; leave one of the two out",
            rc->name.text, protocol->text, l->name.text);
    return bad;
}

/* `forward` is for plain ports, and nothing else is but `serve`, which speaks HTTP, at once or within TLS. */
static int verify_pair(struct report *r, const struct config_route *rc, const struct config_listener *l)
{
    bool plain = speaks(l, CONFIG_SPEAKS_PLAIN);
    int bad = l->plaintext ? verify_plaintext(r, rc, l) : 0;
    if (rc->action == CONFIG_SERVE && (plain || speaks(l, CONFIG_SPEAKS_TLS)))
        return bad;
    if (rc->action == CONFIG_SERVE)
        return report_add(r, rc->head.at,
                          "route '%s': serve: listener '%s' speaks %s, expected one that speaks tls or plain",
                          rc->name.text, l->name.text, l->speaks.text);
    if (plain == (rc->action == CONFIG_FORWARD))
        return bad;
    return report_add(
        r, rc->head.at,
        "route '%s': %s: listener '%s' speaks %s; 'forward' is for listeners that speak 'plain', "
        "and those are for it and for 'serve' alone",
        rc->name.text, config_action_name(rc->action), l->name.text, l->speaks.text);
}

int verify_ports(struct report *r, const struct config *c)
{
    int bad = 0;
    for (size_t i = 0; i < c->listeners.n; i++)
        bad |= verify_listener(r, c, &c->listeners.v[i]);
    for (size_t i = 0; i < c->routes.n; i++) {
        const struct config_route *rc = &c->routes.v[i];
        bad |= rc->action == CONFIG_FORWARD || config_route_is_plain(c, rc) ? verify_no_tls(r, rc) : 0;
        for (size_t k = 0; k < c->listeners.n; k++)
            if (config_route_names(rc, c->listeners.v[k].name.text))
                bad |= verify_pair(r, rc, &c->listeners.v[k]);
    }
    return bad;
}
