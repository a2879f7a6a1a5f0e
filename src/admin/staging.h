/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of candidates, and of what was promoted. */
#ifndef CARDEA_ADMIN_STAGING_H
#define CARDEA_ADMIN_STAGING_H

#include <stdbool.h>

struct buf;
struct snapshot;
struct staging;

/* Append the names, a line each, that everybody is served now, with `before` (NULL: nothing) beside the
 * configuration, and that no certificate would have with what was promoted in `after`. False when memory is
 * out.
 */
bool staging_put_lost(struct buf *b, const struct snapshot *snap, const struct staging *before,
                      const struct staging *after);

#endif
