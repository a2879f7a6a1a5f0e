/* SPDX-License-Identifier: Apache-2.0 */
/* `serve: [ca]`: what a CA tells everybody (ca/publication.h) among the door's own pages. */
#ifndef CARDEA_CA_PUBLISH_H
#define CARDEA_CA_PUBLISH_H

#include "base/err.h"
#include "web/service.h"

struct ca_publisher;
struct config_ca;
struct loop;

/* What is wrong with the CA, for the operator; on the thread of the loop that was given. */
typedef void ca_publisher_notice(void *arg, const char *text);

/* One that turns requests away until it has a CA. Never NULL. */
struct ca_publisher *ca_publisher_new(struct loop *control, ca_publisher_notice *notice, void *arg);

/* After the door's end. NULL is allowed. */
void ca_publisher_free(struct ca_publisher *s);

/* For the door; lives as long as `s`. */
struct web_service ca_publisher_web(struct ca_publisher *s);

/* Open the CA; before the door begins. Where a route leads to it (`is_served`), the operator hears of it when
 * its certificates do not say that CRL and OCSP are where the door serves them. -1 with `err`. */
int ca_publisher_open(struct ca_publisher *s, const struct config_ca *ca, bool is_served, struct err *err);

#endif
