/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the DNS for the ECHConfigs of a name, by DNS over HTTPS (ech/question.h): asked in the clear it would
 * tell what ECH is to hide. */
#ifndef CARDEA_ECH_LOOKUP_H
#define CARDEA_ECH_LOOKUP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/doh.h"
#include "base/err.h"

struct ech_lookup;
struct fetcher;

/* What there is to know: an ECHConfigList with a config for us, or an empty one where the name has none; and
 * how many seconds that holds (0: the answer does not say). Or `why` it is not known, else NULL. Borrowed for
 * the call. */
typedef void ech_looked_up(void *arg, const struct buf *configs, uint32_t ttl, const struct err *why);

/* Begin; `done` is called later, never from within. The resolver is borrowed until then. NULL with `err`. */
struct ech_lookup *ech_lookup_start(struct fetcher *fetcher, const struct doh_resolver *resolver,
                                    const char *host, uint16_t port, ech_looked_up *done, void *arg,
                                    struct err *err);

/* `done` is not called any more. Not from within it. NULL is allowed. */
void ech_lookup_cancel(struct ech_lookup *lookup);

#endif
