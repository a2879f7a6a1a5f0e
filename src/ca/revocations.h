/* SPDX-License-Identifier: Apache-2.0 */
/* What the door's own CA has revoked, for its trust bundles: read out of the CA's book, whichever process has
 * written it there. On the control thread, with a handle on the book of its own. */
#ifndef CARDEA_CA_REVOCATIONS_H
#define CARDEA_CA_REVOCATIONS_H

#include "base/err.h"
#include "session/provider.h"

struct ca_revocations;
struct ear;

/* Of the CA in that folder; no key of it is needed. `operator` hears when the book cannot be read: what was
 * known before goes on. NULL with `err`. */
struct ca_revocations *ca_revocations_open(const char *dir, const struct ear *operator, struct err * err);

/* NULL is allowed. */
void ca_revocations_close(struct ca_revocations *r);

/* For the door; lives as long as `r`. */
struct revocations_provider *ca_revocations_provider(struct ca_revocations *r);

#endif
