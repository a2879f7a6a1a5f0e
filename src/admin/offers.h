/* SPDX-License-Identifier: Apache-2.0 */
/* What status and metrics tell of the offers of agents. */
#ifndef CARDEA_ADMIN_OFFERS_H
#define CARDEA_ADMIN_OFFERS_H

#include <stdbool.h>
#include <stddef.h>

struct agent;
struct buf;

/* Append `,"offers":[...]`, and `,"offers_total":N` when there are more than are shown. False when memory is
 * out. */
bool offers_json(struct buf *b, struct agent *const *offers, size_t count);

/* Append the samples of the offers, of each name (offers of one stand together). False when memory is out. */
bool offers_prometheus(struct buf *b, struct agent *const *offers, size_t count);

#endif
