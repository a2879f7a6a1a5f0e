/* SPDX-License-Identifier: Apache-2.0 */
/* `serve: [ca]`: what a CA tells everybody (ca/publication.h) among the door's own pages. */
#ifndef CARDEA_CA_PUBLISH_H
#define CARDEA_CA_PUBLISH_H

#include "base/err.h"
#include "web/service.h"

struct authority;
struct ca_publisher;
struct config_ca;
struct ear;

/* One that turns requests away until it has a CA. `operator` hears what is wrong with the CA. Never NULL. */
struct ca_publisher *ca_publisher_new(const struct ear *operator);

/* After the door's end. NULL is allowed. */
void ca_publisher_free(struct ca_publisher *s);

/* For the door; lives as long as `s`. */
struct web_service ca_publisher_web(struct ca_publisher *s);

/* Let it have the CA; before the door begins. `a` is unlocked, lives longer than `s` and belongs to the
 * office's thread from now on. Where a route leads to the service (`is_served`), the operator hears of it
 * when certificates do not say that CRL and OCSP are where the door serves them. -1 with `err`. */
int ca_publisher_open(struct ca_publisher *s, struct authority *a, const struct config_ca *ca, bool is_served,
                      struct err *err);

#endif
