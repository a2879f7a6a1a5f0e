/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for what agents offer end-to-end (doc/internals/tunnel-protocol.md, "Certificates"), by the CA
 * that the door serves. Who asks, and for which name, the door has proven and its policy has allowed before;
 * what is certified is the key of a request (CSR), for that name and nothing else. */
#ifndef CARDEA_CA_CERTIFIER_H
#define CARDEA_CA_CERTIFIER_H

#include <stdint.h>

#include "base/err.h"
#include "web/service.h"

struct authority;
struct certifier;
struct config_ca;
struct ear;

/* One that certifies nothing until it has a CA. `operator` hears what is wrong with the CA. Never NULL. */
struct certifier *certifier_new(const struct ear *operator);

/* After the door's end. NULL is allowed. */
void certifier_free(struct certifier *c);

/* For the door, not for its routes: of a request `path` is the name, `body` the CSR in DER, `identity` the
 * agent's. It is answered by 200 with the chain in PEM, or with a line for people by 400 (the CSR), 429 (too
 * many within the hour), or 503 (there is no CA, it cannot, or its constraints are against the name). Lives
 * as long as `c`. */
struct web_service certifier_web(struct certifier *c);

struct certifier_settings {
    int64_t lifetime; /* seconds; 0: nothing is certified */
    uint32_t per_name, per_hour;
};

struct certifier_settings certifier_settings(const struct config_ca *ca);

/* Let it have the CA, with these settings: before the door begins, or on the office's thread between two
 * requests. `a` is unlocked and belongs to that thread from now on; it lives longer than `c`, or until the
 * next one is taken. What was issued within the hour stays counted. */
void certifier_take(struct certifier *c, struct authority *a, const struct certifier_settings *settings);

#endif
