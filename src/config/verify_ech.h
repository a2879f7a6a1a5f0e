/* SPDX-License-Identifier: Apache-2.0 */
/* Rules between the keys of `ech`. */
#ifndef CARDEA_CONFIG_VERIFY_ECH_H
#define CARDEA_CONFIG_VERIFY_ECH_H

#include "config/config.h"
#include "config/report.h"

/* -1 with one error or more in the report. */
int verify_ech(struct report *r, const struct config *c);

#endif
