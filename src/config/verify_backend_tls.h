/* SPDX-License-Identifier: Apache-2.0 */
/* Rules between the keys of one section that says how to speak TLS to backends. */
#ifndef CARDEA_CONFIG_VERIFY_BACKEND_TLS_H
#define CARDEA_CONFIG_VERIFY_BACKEND_TLS_H

#include "base/err.h"
#include "config/config.h"

/* Do the keys of the `tls` of the route's backends, which have one, go together and with those beside it?
 * False with the first thing that is wrong, which goes on after the section's name. A missing certificate or
 * key, what the section refers to, versions and groups are not looked at. */
bool verify_backend_tls_keys(const struct config *c, const struct config_route *r, struct err *err);

#endif
