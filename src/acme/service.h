/* SPDX-License-Identifier: Apache-2.0 */
/* `serve: [acme]`: the ACME server among the door's own pages, with the CA of its configuration. */
#ifndef CARDEA_ACME_SERVICE_H
#define CARDEA_ACME_SERVICE_H

#include "base/err.h"
#include "web/service.h"

struct acme_service;
struct config_ca;
struct loop;

/* What is wrong with the CA or its database, for the operator; on the thread of the loop that was given. */
typedef void acme_service_notice(void *arg, const char *text);

/* One that turns requests away until it has a CA. Never NULL. */
struct acme_service *acme_service_new(struct loop *control, acme_service_notice *notice, void *arg);

/* After the door's end. NULL is allowed. */
void acme_service_free(struct acme_service *s);

/* For the door; lives as long as `s`. */
struct web_service acme_service_web(struct acme_service *s);

/* Open the CA and what the server knows, DIRECTORY/acme.db; before the door begins. Where ca->acme is NULL
 * nothing is done. The configuration is copied. -1 with `err`. */
int acme_service_open(struct acme_service *s, const struct config_ca *ca, struct err *err);

#endif
