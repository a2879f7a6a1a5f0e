/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the door's certificates, whoever keeps them. */
#ifndef CARDEA_ADMIN_CERTIFICATES_H
#define CARDEA_ADMIN_CERTIFICATES_H

#include <stdbool.h>
#include <stddef.h>

#include "keeper/listing.h"

struct admin;
struct buf;
struct snapshot;
struct staging;

#define CERTIFICATES_LISTED 1000 /* at most; those with the least life left */
#define CERTIFICATES_MEASURED                                                     \
    500 /* that have samples among the metrics, beside those of the configuration \
         */

/* Ask whoever keeps certificates (admin_set_listing()); the configuration's files are added to the question.
 * `done` is called once, from within or later. */
void certificates_ask(const struct admin *a, const struct listing_query *query, listing_done *done,
                      void *arg);

/* Append the object that GET /certificates answers; `beside` (may be NULL): what stands beside the
 * configuration. False when memory is out. */
bool certificates_json(struct buf *b, const struct listing_answer *a, const struct staging *beside);

/* Append the samples: of the configuration's files, of all others in `a`, and of its sources. False when
 * memory is out. */
bool certificates_prometheus(struct buf *b, const struct snapshot *snap, const struct listing_answer *a);

#endif
