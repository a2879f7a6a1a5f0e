/* SPDX-License-Identifier: Apache-2.0 */
/* Rules between what listeners speak and the routes that name them. */
#ifndef CARDEA_CONFIG_VERIFY_PORTS_H
#define CARDEA_CONFIG_VERIFY_PORTS_H

#include "config/config.h"
#include "config/report.h"

/* `c` is completed. What a protocol's script has is not looked at. -1 with one error or more in the report.
 */
int verify_ports(struct report *r, const struct config *c);

#endif
