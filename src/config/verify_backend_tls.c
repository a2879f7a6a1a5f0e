/* SPDX-License-Identifier: Apache-2.0 */
#include "config/verify_backend_tls.h"

#include <stddef.h>

/* The first key that asks something of the backend, or NULL. */
static const char *expectation(const struct config_backend_tls *t)
{
    return t->uri.text != NULL      ? "uri"
           : t->pin.n > 0           ? "pin"
           : t->issuer.text != NULL ? "issuer"
           : t->trust.text != NULL  ? "trust"
                                    : NULL;
}

bool verify_backend_tls_keys(const struct config_backend_tls *t, const struct config_addresses *to,
                             struct err *err)
{
    if (t->verify == CONFIG_VERIFY_ANY && expectation(t) != NULL) {
        err_set(err,
                "has 'verify: any', which asks nothing of the backend, and '%s', which does; leave one out",
                expectation(t));
        return false;
    }
    if (t->verify == CONFIG_VERIFY_CHAIN && t->trust.text == NULL &&
        (t->uri.text != NULL || t->issuer.text != NULL)) {
        err_set(
            err,
            "has '%s', which only a certificate proves that somebody vouches for: beside 'pin' say by whom, "
            "with 'trust' (system: the machine's own CAs)",
            t->uri.text != NULL ? "uri" : "issuer");
        return false;
    }
    for (size_t k = 0; k < to->n && t->trust.text != NULL && t->name.text == NULL && t->uri.text == NULL; k++)
        if (to->v[k].path != NULL) {
            err_set(
                err,
                "needs a 'name' or a 'uri': the backend %s has no host whose certificate could be checked",
                to->v[k].text.text);
            return false;
        }
    return true;
}
