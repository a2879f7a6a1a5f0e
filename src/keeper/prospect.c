/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/prospect.h"

#include <stdbool.h>
#include <string.h>

#include "base/check.h"
#include "cert/source.h"
#include "config/config.h"
#include "keeper/permit.h"

static bool is_of(const struct config *c, uint32_t route, const struct config_certificate *cc)
{
    CHECK(route == CERT_ANY_ROUTE || route < c->routes.n);
    const struct config_texts *wanted = route == CERT_ANY_ROUTE ? NULL : &c->routes.v[route].certificates;
    for (size_t i = 0; wanted != NULL && i < wanted->n; i++)
        if (cc->name.text != NULL && strcmp(wanted->v[i].text, cc->name.text) == 0)
            return true;
    return wanted == NULL;
}

static bool may_obtain(const struct config_acme *from, const char *name)
{
    struct err ignored;
    struct permit *p = permit_new(from, &ignored);
    bool may = p == NULL || permit_could(p, name);
    permit_free(p);
    return may;
}

const char *prospect_lacks(const struct config *c, uint32_t route, const char *name)
{
    const char *why = PROSPECT_NOT_ASKED;
    for (size_t i = 0; i < c->certificates.n; i++) {
        const struct config_certificate *cc = &c->certificates.v[i];
        if (!config_certificate_is_source(cc) || !is_of(c, route, cc))
            continue;
        if (cc->directory.text != NULL || (cc->acme != NULL && may_obtain(cc->acme, name)) ||
            (cc->on_demand != NULL && may_obtain(cc->on_demand, name)))
            return NULL;
        why = cc->on_demand != NULL ? PROSPECT_NOT_PERMITTED : why;
    }
    return why;
}
