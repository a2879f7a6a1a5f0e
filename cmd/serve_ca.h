/* SPDX-License-Identifier: Apache-2.0 */
/* The CA of a door, and the services that use it: opened before the door begins, and taken anew when its
 * configuration is. What is opened here on the control thread belongs to the office's from then on. */
#ifndef CARDEA_CMD_SERVE_CA_H
#define CARDEA_CMD_SERVE_CA_H

#include <stddef.h>

#include "admin/server.h"
#include "base/err.h"
#include "web/service.h"

struct config;
struct door;
struct ear;
struct revocations_provider;
struct serve_ca;

#define SERVE_CA_SERVICES 3

/* Services that turn requests away until there is a CA. `operator` hears what is wrong with it. Never NULL.
 */
struct serve_ca *serve_ca_new(const struct ear *operator);

/* After the door's end. NULL is allowed. */
void serve_ca_free(struct serve_ca *c);

/* For the door; they live as long as `c`. */
void serve_ca_services(struct serve_ca *c, struct web_service ret[SERVE_CA_SERVICES]);

/* What agents offer is certified by this one, which is no route's; it lives as long as `c`. */
struct web_service serve_ca_certifier(struct serve_ca *c);

/* Open the CA of this configuration, if it has one, before the door begins. -1 with `err`. */
int serve_ca_open(struct serve_ca *c, const struct config *config, struct err *err);

/* For the door, once that is done: what the CA has revoked; NULL: there is no CA. It lives as long as `c`. */
struct revocations_provider *serve_ca_revocations(const struct serve_ca *c);

enum serve_ca_result {
    SERVE_CA_TAKEN, /* also where nothing has changed */
    SERVE_CA_STAYS, /* only a start can do that: another folder, a CA or an ACME server that comes or goes */
    SERVE_CA_FAILED /* with `err`: what was before stays */
};

/* After a reload: take the settings of this configuration, and an intermediate that the CA has since.
 * Whatever is asked behind this call is answered by them. */
enum serve_ca_result serve_ca_reload(struct serve_ca *c, struct door *door, const struct config *config,
                                     struct err *err);

/* When the certificates of the CA end, an admin_ca_fn. From any thread. */
admin_ca_fn serve_ca_ends;

#endif
