/* SPDX-License-Identifier: Apache-2.0 */
#include "config/complete.h"

#include <string.h>

#include "config/keys.h"
#include "config/schema.h"
#include "config/store.h"

#define TUNNEL_ALPN "cardea/1"

/* Routes */

static int one_text(struct config_store *s, const char *text, struct config_pos at, struct config_texts *ret)
{
    ret->v = store_alloc(s, 1, sizeof(*ret->v));
    if (ret->v == NULL)
        return -1;
    ret->v[0] = (struct config_text){text, at};
    ret->n = 1;
    return 0;
}

/* The entries that are no prefixes. */
static int exact_only(struct config_store *s, const struct config_texts *patterns, struct config_texts *ret)
{
    ret->v = store_alloc(s, patterns->n, sizeof(*ret->v));
    if (ret->v == NULL)
        return -1;
    for (size_t i = 0; i < patterns->n; i++)
        if (strchr(patterns->v[i].text, '*') == NULL)
            ret->v[ret->n++] = patterns->v[i];
    return 0;
}

/* Who is known by his key, or by nothing, needs nobody to vouch for him. */
static void complete_backend_tls(const struct config *c, struct config_backend_tls *t)
{
    schema_inherit(&keys_backend_tls, t, &keys_tls, &c->tls);
    if (t->trust.text == NULL && t->pin.n == 0 && t->verify == CONFIG_VERIFY_CHAIN)
        t->trust = (struct config_text){CONFIG_TRUST_SYSTEM, t->head.at};
}

static int complete_route(struct config *c, struct config_route *r)
{
    /* The schema has seen to it that there is exactly one. */
    r->action = r->pass != NULL        ? CONFIG_PASS
                : r->terminate != NULL ? CONFIG_TERMINATE
                : r->tunnel != NULL    ? CONFIG_TUNNEL
                : r->expose != NULL    ? CONFIG_EXPOSE
                : r->forward != NULL   ? CONFIG_FORWARD
                : r->serve.n > 0       ? CONFIG_SERVE
                                       : CONFIG_REJECT;
    schema_inherit(&keys_route_tls, &r->tls, &keys_tls, &c->tls);
    schema_inherit(&keys_route_limits, &r->limits, &keys_limits, &c->limits);
    if (r->terminate != NULL && r->terminate->tls != NULL)
        complete_backend_tls(c, r->terminate->tls);
    if (r->forward != NULL && r->forward->tls != NULL)
        complete_backend_tls(c, r->forward->tls);
    if (r->action == CONFIG_TUNNEL && r->alpn.n == 0)
        return one_text(c->store, TUNNEL_ALPN, r->head.at, &r->alpn);
    if (r->terminate != NULL && r->terminate->alpn.n == 0 && r->alpn.n == 0 && r->hand_on.headers)
        return one_text(c->store, CONFIG_HEADERS_ALPN, r->head.at, &r->terminate->alpn);
    if (r->terminate != NULL && r->terminate->alpn.n == 0)
        return exact_only(c->store, &r->alpn, &r->terminate->alpn);
    return 0;
}

/* CAs of certificates */

/* Add what `ca` stands for: one of acme_cas, or else a URL. */
static size_t add_ca(const struct config *c, const struct config_text *ca, struct config_acme_cas *ret)
{
    struct config_acme_ca *add = &ret->v[ret->n];
    *add = (struct config_acme_ca){.head.at = ca->at, .url = *ca};
    for (size_t i = 0; i < c->acme_cas.n; i++)
        if (strcmp(c->acme_cas.v[i].name.text, ca->text) == 0)
            *add = c->acme_cas.v[i];
    return ret->n++;
}

static size_t find_ca(const struct config_acme *a, const char *ca)
{
    size_t i = 0;
    while (i < a->ca.n && strcmp(a->ca.v[i].text, ca) != 0)
        i++;
    return i;
}

static int complete_acme(const struct config *c, struct config_acme *a)
{
    a->from.v = store_alloc(c->store, a->ca.n + 1, sizeof(*a->from.v));
    if (a->from.v == NULL)
        return -1;
    for (size_t i = 0; i < a->ca.n; i++)
        add_ca(c, &a->ca.v[i], &a->from);
    a->backup_from = CONFIG_NO_BACKUP;
    if (!a->backup.wanted)
        return 0;
    a->backup_from = a->backup.ca.text == NULL ? 1 : find_ca(a, a->backup.ca.text);
    if (a->backup.ca.text != NULL && a->backup_from == a->ca.n)
        a->backup_from = add_ca(c, &a->backup.ca, &a->from);
    return 0;
}

static int complete_certificate(const struct config *c, struct config_certificate *cc)
{
    if (cc->acme != NULL && complete_acme(c, cc->acme) < 0)
        return -1;
    return cc->on_demand != NULL ? complete_acme(c, cc->on_demand) : 0;
}

/* All of it */

int config_complete(struct config *c)
{
    for (size_t i = 0; i < c->listeners.n; i++)
        if (c->listeners.v[i].name.text == NULL) /* it stands nowhere */
            c->listeners.v[i].name.text = c->listeners.v[i].address.text.text;
    for (size_t i = 0; i < c->routes.n; i++)
        if (complete_route(c, &c->routes.v[i]) < 0)
            return -1;
    for (size_t i = 0; i < c->certificates.n; i++)
        if (complete_certificate(c, &c->certificates.v[i]) < 0)
            return -1;
    return 0;
}
