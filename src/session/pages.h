/* SPDX-License-Identifier: Apache-2.0 */
/* A client's connection of HTTP/1.1 to the door's own pages (`serve`), as a resident: it reads requests, has
 * services answer them, and writes the answers, one after the other. */
#ifndef CARDEA_SESSION_PAGES_H
#define CARDEA_SESSION_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct link;
struct pages_counts;
struct resident;
struct session_origin;
struct snapshot_shared;
struct worker;

/* On a link that is open; `early` (borrowed) has been read from it already. `tls`: it is within TLS. Never
 * NULL. */
struct resident *pages_new(struct worker *w, struct link *link, const struct session_origin *origin, bool tls,
                           struct str early);

/* What one worker has counted of requests, for door_requests(); a worker makes one at its beginning. */
struct pages_counts *pages_counts_new(const struct snapshot_shared *shared);

/* From any thread. */
uint64_t pages_count(const struct pages_counts *counts, size_t service, unsigned hundred);

#endif
