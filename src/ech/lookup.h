/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the DNS for the ECHConfigs of a name, by DNS over HTTPS (ech/question.h): asked in the clear it would
 * tell what ECH is to hide. For who has nothing to hide, and looks at a server, there is that, too. */
#ifndef CARDEA_ECH_LOOKUP_H
#define CARDEA_ECH_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/doh.h"
#include "base/err.h"
#include "base/str.h"

struct ech_lookup;
struct fetcher;
struct resolver;

/* Who is asked. */
struct ech_resolver {
    const struct doh_resolver *doh;
    struct resolver *plain; /* is asked in its place, in the clear; NULL: it is not */
};

/* What the DNS has told; borrowed for the call. */
struct ech_told {
    struct str configs; /* an ECHConfigList with a config for us, or of no length: the name has none */
    struct str listed;  /* ... and what stands there, whether or not it is one */
    bool recorded;      /* there is an HTTPS record, with an `ech` or without */
    struct cursor alpn; /* of that: dns_next_protocol() */
    uint32_t ttl;       /* seconds that this holds; 0: the answer does not say */
};

/* `why` nothing is known, else NULL; then there is `told`. */
typedef void ech_looked_up(void *arg, const struct ech_told *told, const struct err *why);

/* Begin; `done` is called later, never from within. What `resolver` points at is borrowed until then;
 * with a plain one `fetcher` is not used. NULL with `err`. */
struct ech_lookup *ech_lookup_start(struct fetcher *fetcher, const struct ech_resolver *resolver,
                                    const char *host, uint16_t port, ech_looked_up *done, void *arg,
                                    struct err *err);

/* `done` is not called any more. Not from within it. NULL is allowed. */
void ech_lookup_cancel(struct ech_lookup *lookup);

#endif
