/* SPDX-License-Identifier: Apache-2.0 */
/* `serve: [acme]`: the ACME server among the door's own pages, with the CA of its configuration. */
#ifndef CARDEA_ACME_SERVICE_H
#define CARDEA_ACME_SERVICE_H

#include "base/err.h"
#include "web/service.h"

struct acme_service;
struct acme_settings;
struct authority;
struct config_ca;
struct ear;

/* One that turns requests away until it has a CA. `operator` hears what is wrong with the CA or its database.
 * Never NULL. */
struct acme_service *acme_service_new(const struct ear *operator);

/* After the door's end. NULL is allowed. */
void acme_service_free(struct acme_service *s);

/* For the door; lives as long as `s`. */
struct web_service acme_service_web(struct acme_service *s);

/* Open what the server knows, DIRECTORY/acme.db; before the door begins. Certificates are issued by `a`,
 * which is unlocked, lives longer than `s` and belongs to the office's thread from now on. Where ca->acme is
 * NULL nothing is done. The configuration is copied. -1 with `err`. */
int acme_service_open(struct acme_service *s, struct authority *a, const struct config_ca *ca,
                      struct err *err);

/* What a configuration says, copied: for acme_service_take(). Never NULL. */
struct acme_settings *acme_service_prepare(const struct config_ca *ca);

/* Go by these from now on, on the office's thread or while there is none, and issue by `a`. `settings` become
 * its own; they are of the same folder, and it is open. Challenges that are being looked at are by what was
 * before. */
void acme_service_take(struct acme_service *s, struct authority *a, struct acme_settings *settings);

#endif
