/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of tables/config.def as arrays. */
#ifndef CARDEA_CONFIG_KEYS_H
#define CARDEA_CONFIG_KEYS_H

#include "config/schema.h"

extern const struct schema keys_config;      /* struct config */
extern const struct schema keys_client;      /* struct client_config */
extern const struct schema keys_expose_file; /* struct expose_config */

/* Parts of it that are completed from one another. */
extern const struct schema keys_tls;
extern const struct schema keys_route;
extern const struct schema keys_route_tls;
extern const struct schema keys_backend_tls;
extern const struct schema keys_limits;
extern const struct schema keys_route_limits;
extern const struct schema keys_who;
extern const struct schema keys_hand_on;

extern const struct schema_name keys_alerts[];
extern const struct schema_name keys_groups[];
extern const struct schema_name keys_ciphers[];

#endif
