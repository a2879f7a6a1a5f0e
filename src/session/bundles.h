/* SPDX-License-Identifier: Apache-2.0 */
/* The trust bundles of a configuration: their files, and what the door's own CA has revoked. */
#ifndef CARDEA_SESSION_BUNDLES_H
#define CARDEA_SESSION_BUNDLES_H

#include <stdint.h>

#include "base/err.h"

struct config_trust;
struct revoked;
struct snapshot_shared;
struct trust;

/* What the door's own CA has revoked by now; NULL: it has none. Borrowed until the next call. Control thread.
 */
struct revoked *bundles_revoked(const struct snapshot_shared *shared);

/* Read the files of a bundle. `revoked` may be NULL. The caller owns a reference; NULL with `err`. */
struct trust *bundles_load(const struct config_trust *t, struct revoked *revoked, struct err *err);

/* The bundle as its CRL files and `revoked` are now: the caller owns a reference. NULL: as before.
 * *ret_unread is 0, or trust_stale() of files that could not be read, with `err`: then the CRLs before go on.
 */
struct trust *bundles_renew(struct trust *old, struct revoked *revoked, uint64_t *ret_unread,
                            struct err *err);

#endif
