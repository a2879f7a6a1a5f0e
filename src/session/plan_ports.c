/* SPDX-License-Identifier: Apache-2.0 */
/* What listeners speak before TLS, or instead of it, and which routes take connections that began so. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "config/config.h"
#include "session/plan.h"
#include "starttls/relay.h"

/* ---- protocols ---- */

bool plan_port_leads(const struct plan_port *port)
{
    return port->speaks != NULL && starttls_relay_switches(port->speaks, STARTTLS_RELAY_SERVER);
}

const struct starttls *plan_protocol(const struct plan *plan, const char *name)
{
    const struct config_protocols *own = &plan->config->protocols;
    for (size_t i = 0; i < own->n; i++)
        if (strcmp(own->v[i].name.text, name) == 0)
            return plan->scripts[i];
    return starttls_builtin(name);
}

const char *plan_protocol_of(enum first_bytes kind)
{
    static const char *const protocols[] = {[FIRST_BYTES_POSTGRES_TLS] = "postgresql",
                                            [FIRST_BYTES_XMPP] = "xmpp",
                                            [FIRST_BYTES_LDAP] = "ldap",
                                            [FIRST_BYTES_PLAIN] = NULL};
    return protocols[kind];
}

static void read_scripts(struct plan *plan, struct complaints *to)
{
    const struct config_protocols *own = &plan->config->protocols;
    plan->scripts = calloc(own->n + 1, sizeof(struct starttls *));
    CHECK(plan->scripts != NULL);
    for (size_t i = 0; i < own->n; i++) {
        bool chat = own->v[i].chat.text != NULL;
        const struct config_text *file = chat ? &own->v[i].chat : &own->v[i].file;
        struct err err;
        plan->scripts[i] = starttls_load(file->text, chat, &err);
        if (plan->scripts[i] == NULL)
            complain(to, file->at, &err);
    }
}

bool plan_protocol_can(const struct starttls *p, enum starttls_section section)
{
    if (section == STARTTLS_IDENTIFY)
        return starttls_section(p, section) >= 0 || starttls_section(p, STARTTLS_RELAY_IDENTIFY) >= 0;
    enum starttls_section relay = section == STARTTLS_ASK ? STARTTLS_RELAY_CLIENT : STARTTLS_RELAY_SERVER;
    return starttls_section(p, section) >= 0 || starttls_relay_switches(p, relay);
}

/* The protocol of that name with that section; complains where there is none. A script that could not be read
 * has been complained of. */
static const struct starttls *protocol_with(const struct plan *plan, const struct config_text *name,
                                            const char *key, enum starttls_section section,
                                            struct complaints *to)
{
    const struct config_protocols *own = &plan->config->protocols;
    const struct starttls *p = plan_protocol(plan, name->text);
    struct err err;
    for (size_t i = 0; i < own->n && p == NULL; i++)
        if (strcmp(own->v[i].name.text, name->text) == 0)
            return NULL;
    char hint[STR_HINT_MAX];
    if (p == NULL && starttls_is_at_once(name->text))
        err_set(&err, "%s: found '%s', and in %s TLS begins at once: leave '%s' out", key, name->text,
                name->text, key);
    else if (p == NULL)
        err_set(&err, "%s: found '%s', expected a protocol%s%s; cardea-starttls(5) lists them", key,
                name->text, strcmp(key, "speaks") == 0 ? ", tls or plain" : "",
                str_hint(name->text, starttls_builtin_words(), hint));
    else if (!plan_protocol_can(p, section))
        err_set(&err, "%s: the script of '%s' has no section '%s'", key, starttls_name(p),
                starttls_section_name(section));
    else
        return p;
    complain(to, name->at, &err);
    return NULL;
}

/* ---- listeners ---- */

static void settle_port(struct plan *plan, size_t i, struct complaints *to)
{
    const struct config_listener *l = &plan->config->listeners.v[i];
    struct plan_port *port = &plan->ports[i];
    port->plain = strcmp(l->speaks.text, CONFIG_SPEAKS_PLAIN) == 0;
    if (!port->plain && strcmp(l->speaks.text, CONFIG_SPEAKS_TLS) != 0)
        port->speaks = protocol_with(plan, &l->speaks, "speaks", STARTTLS_ANSWER, to);
}

/* ---- routes ---- */

static const enum first_bytes kinds[] = {[CONFIG_FIRST_SSH] = FIRST_BYTES_SSH,
                                         [CONFIG_FIRST_HTTP] = FIRST_BYTES_HTTP,
                                         [CONFIG_FIRST_POSTGRESQL] = FIRST_BYTES_POSTGRES_TLS,
                                         [CONFIG_FIRST_LDAP] = FIRST_BYTES_LDAP,
                                         [CONFIG_FIRST_XMPP] = FIRST_BYTES_XMPP};

uint32_t plan_kinds_of(const struct plan *plan, const struct config_route *rc)
{
    uint32_t ret = rc->first_bytes.n == 0 ? 1u << FIRST_BYTES_TLS : 0;
    bool served = rc->action == CONFIG_SERVE && rc->first_bytes.n == 0;
    if (rc->action == CONFIG_FORWARD || (served && config_route_is_plain(plan->config, rc)))
        return 1u << FIRST_BYTES_PLAIN;
    for (size_t i = 0; i < rc->first_bytes.n; i++)
        ret |= 1u << kinds[rc->first_bytes.v[i]];
    for (size_t i = 0; i < plan->config->listeners.n; i++)
        if (plan->ports[i].speaks != NULL && config_route_names(rc, plan->config->listeners.v[i].name.text))
            ret |= 1u << FIRST_BYTES_STARTTLS;
    return ret;
}

static bool has_program(const struct config_backend *b)
{
    for (size_t i = 0; b != NULL && i < b->to.n; i++)
        if (b->to.v[i].place == CONFIG_AT_PROGRAM)
            return true;
    return false;
}

/* Where clients are to see the backend's own greeting, the backend is known before they
 * have said anything. */
static void check_leading(const struct plan *plan, size_t i, struct complaints *to)
{
    const struct config *c = plan->config;
    const struct config_listener *l = &c->listeners.v[i];
    const struct config_route *only = NULL;
    struct err err;
    if (!plan_port_leads(&plan->ports[i]))
        return;
    for (size_t k = 0; k < c->routes.n; k++) {
        const struct config_route *rc = &c->routes.v[k];
        if (!config_route_names(rc, l->name.text))
            continue;
        const struct config_backend *backend = config_route_backend(rc);
        bool asks = backend != NULL && backend->tls != NULL && backend->tls->starttls.text != NULL &&
                    (strcmp(backend->tls->starttls.text, l->speaks.text) != 0 ||
                     starttls_section(plan->ports[i].speaks, STARTTLS_RELAY_BOTH) < 0);
        bool program = has_program(backend);
        bool chosen = rc->sni.n > 0 || rc->sni_file.text != NULL || rc->alpn.n > 0;
        if (only == NULL && rc->action == CONFIG_TERMINATE && !chosen && !asks && !program) {
            only = rc;
            continue;
        }
        err_set(&err,
                "route '%s': listener '%s' speaks %s, whose clients see the backend's greeting before TLS: "
                "found %s, expected one route, 'terminate' without sni and alpn, to a backend that speaks "
                "no other protocol before TLS",
                rc->name.text, l->name.text, l->speaks.text,
                only != NULL ? "a second route"
                : chosen     ? "a choice by what comes within TLS"
                : asks       ? "another tls.starttls"
                : program    ? "a program, which would be started for whoever connects"
                             : config_action_name(rc->action));
        complain(to, rc->head.at, &err);
    }
}

/* The configuration may have a protocol of its own under that name. */
static void check_first_bytes(const struct plan *plan, const struct config_route *rc, struct complaints *to)
{
    for (size_t i = 0; i < rc->first_bytes.n; i++) {
        struct config_text name = {.text = plan_protocol_of(kinds[rc->first_bytes.v[i]]), .at = rc->head.at};
        if (name.text != NULL)
            protocol_with(plan, &name, "first_bytes", STARTTLS_ANSWER, to);
    }
}

static void check_backend(const struct plan *plan, const struct config_route *rc, struct complaints *to)
{
    const struct config_backend *backend = config_route_backend(rc);
    if (backend != NULL && backend->tls != NULL && backend->tls->starttls.text != NULL)
        protocol_with(plan, &backend->tls->starttls, "starttls", STARTTLS_ASK, to);
    if (rc->hand_on.protocol.text != NULL)
        protocol_with(plan, &rc->hand_on.protocol, "hand_on.protocol", STARTTLS_IDENTIFY, to);
}

void plan_ports_make(struct plan *plan, struct complaints *to)
{
    const struct config *c = plan->config;
    plan->ports = calloc(c->listeners.n + 1, sizeof(*plan->ports));
    CHECK(plan->ports != NULL);
    read_scripts(plan, to);
    for (size_t i = 0; i < c->listeners.n; i++)
        settle_port(plan, i, to);
    for (size_t i = 0; i < c->listeners.n; i++)
        check_leading(plan, i, to);
    for (size_t i = 0; i < c->routes.n; i++) {
        check_first_bytes(plan, &c->routes.v[i], to);
        check_backend(plan, &c->routes.v[i], to);
    }
}

void plan_ports_free(struct plan *plan)
{
    for (size_t i = 0; plan->scripts != NULL && i < plan->config->protocols.n; i++)
        starttls_free(plan->scripts[i]);
    free(plan->scripts);
    free(plan->ports);
}
