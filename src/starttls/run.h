/* SPDX-License-Identifier: Apache-2.0 */
/* What templates ask of a dialogue. Private to starttls/. */
#ifndef CARDEA_STARTTLS_RUN_H
#define CARDEA_STARTTLS_RUN_H

#include "starttls/script.h"

/* What is remembered under a variable; borrowed until the next step. */
struct str run_value(const struct starttls_run *r, uint16_t var);

#endif
