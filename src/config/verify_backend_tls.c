/* SPDX-License-Identifier: Apache-2.0 */
#include "config/verify_backend_tls.h"

#include <stddef.h>
#include <string.h>

#include "base/ech_setting.h"
#include "base/hostname.h"

/* The first key that asks something of the backend, or NULL. */
static const char *expectation(const struct config_backend_tls *t)
{
    return t->uri.text != NULL      ? "uri"
           : t->pin.n > 0           ? "pin"
           : t->issuer.text != NULL ? "issuer"
           : t->trust.text != NULL  ? "trust"
                                    : NULL;
}

static int verify_expectations(const struct config_backend_tls *t, struct err *err)
{
    if (t->verify == CONFIG_VERIFY_ANY && expectation(t) != NULL)
        return err_set(
            err, "has 'verify: any', which asks nothing of the backend, and '%s', which does; leave one out",
            expectation(t));
    if (t->verify == CONFIG_VERIFY_CHAIN && t->trust.text == NULL &&
        (t->uri.text != NULL || t->issuer.text != NULL))
        return err_set(
            err,
            "has '%s', which only a certificate proves that somebody vouches for: beside 'pin' say by whom, "
            "with 'trust' (system: the machine's own CAs)",
            t->uri.text != NULL ? "uri" : "issuer");
    return 0;
}

/* Where a chain is judged there is something that its leaf must name. */
static int verify_name(const struct config_backend *b, struct err *err)
{
    const struct config_backend_tls *t = b->tls;
    for (size_t k = 0; k < b->to.n && t->trust.text != NULL && t->name.text == NULL && t->uri.text == NULL;
         k++)
        if (b->to.v[k].place != CONFIG_AT_IP)
            return err_set(
                err,
                "needs a 'name' or a 'uri': the backend %s has no host whose certificate could be checked",
                b->to.v[k].text.text);
    return 0;
}

static int verify_spares(const struct config_route *r, const struct config_backend *b, struct err *err)
{
    if (b->tls->spares > 0 && r->hand_on.proxy != CONFIG_SEND_PROXY_NONE)
        return err_set(
            err, "has 'spares', connections that are begun before their client is known, so no PROXY header "
                 "can tell of him; leave out either 'spares' or 'hand_on.proxy'");
    if (b->tls->spares > 0 && r->hand_on.protocol.text != NULL)
        return err_set(err, "has 'spares', connections that are begun before their client is known, and "
                            "'hand_on.protocol', which tells of him; leave one out");
    if (b->tls->starttls.text != NULL && r->hand_on.protocol.text != NULL)
        return err_set(
            err, "has 'starttls', which takes the backend's greeting, and 'hand_on.protocol', which begins "
                 "with it; leave one out: TLS to the backend may begin at once");
    if (b->tls->spares > 0 && b->tls->starttls.text != NULL)
        return err_set(
            err, "has 'spares', connections whose TLS is begun before their client is known, and 'starttls', "
                 "where what is said before TLS is his; leave one out");
    for (size_t k = 0; k < b->to.n && b->tls->spares > 0; k++)
        if (b->to.v[k].place == CONFIG_AT_PROGRAM)
            return err_set(
                err, "has 'spares', but %s is a program that runs for one client each time; leave them out",
                b->to.v[k].text.text);
    return 0;
}

/* The DNS is asked for the name that is sent. */
static int verify_ech_names(const struct config_backend *b, struct err *err)
{
    for (size_t k = 0; k < b->to.n; k++) {
        const char *name = b->tls->name.text != NULL ? b->tls->name.text : b->to.v[k].host;
        if (name == NULL || hostname_check(name, strlen(name)) != HOSTNAME_OK)
            return err_set(
                err,
                "has 'ech: %s', for which the DNS is asked, and for %s there is no name to ask for; "
                "give it as 'name'",
                b->tls->ech.text, b->to.v[k].text.text);
    }
    return 0;
}

static int verify_ech(const struct config *c, const struct config_backend *b, struct err *err)
{
    struct ech_setting setting;
    const struct config_backend_tls *t = b->tls;
    if (!ech_setting_read(t->ech.text, &setting) ||
        (setting.wish != ECH_WISH_FILE && setting.wish != ECH_WISH_AUTO))
        return 0;
    if (t->max_version < CONFIG_TLS_1_3)
        return err_set(err,
                       "has 'ech: %s', and a 'max_version' below 1.3, the first that has Encrypted "
                       "ClientHello; leave one out",
                       t->ech.text);
    if (setting.wish == ECH_WISH_FILE)
        return 0;
    if (c->doh == NULL)
        return err_set(
            err,
            "has 'ech: %s', for which the DNS is asked, and there is no 'doh: {url: ...}' that says "
            "whom to ask",
            t->ech.text);
    return verify_ech_names(b, err);
}

bool verify_backend_tls_keys(const struct config *c, const struct config_route *r, struct err *err)
{
    const struct config_backend *b = config_route_backend(r);
    return verify_expectations(b->tls, err) == 0 && verify_name(b, err) == 0 && verify_ech(c, b, err) == 0 &&
           verify_spares(r, b, err) == 0;
}
