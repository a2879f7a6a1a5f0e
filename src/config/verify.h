/* SPDX-License-Identifier: Apache-2.0 */
/* What only the whole configuration can tell: names that refer to one another, and keys that do not go
 * together. */
#ifndef CARDEA_CONFIG_VERIFY_H
#define CARDEA_CONFIG_VERIFY_H

#include "config/config.h"
#include "config/report.h"

/* `c` has been read without errors and completed. -1 with one error or more in the report. */
int config_verify(struct report *r, const struct config *c);

/* `c` has been read with errors, and is not completed: look for names that surely do not exist or are there
 * twice, and for listeners that overlap. Adds to the report. */
void config_verify_names(struct report *r, const struct config *c);

#endif
