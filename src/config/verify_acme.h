/* SPDX-License-Identifier: Apache-2.0 */
/* Rules between the keys of `ca.acme`, and with the routes that serve it. */
#ifndef CARDEA_CONFIG_VERIFY_ACME_H
#define CARDEA_CONFIG_VERIFY_ACME_H

#include "config/config.h"
#include "config/report.h"

/* -1 with one error or more in the report. */
int verify_acme(struct report *r, const struct config *c);

#endif
