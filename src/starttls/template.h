/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: what is said, made of texts, bytes, variables and a few functions. Private to starttls/. */
#ifndef CARDEA_STARTTLS_TEMPLATE_H
#define CARDEA_STARTTLS_TEMPLATE_H

#include "starttls/script.h"

/* Append what the template says in this dialogue. False when it does not fit, or a length is over what its
 * field holds. */
bool template_put(const struct starttls_run *r, const struct starttls *p, struct seq ops, struct buf *to);

#endif
