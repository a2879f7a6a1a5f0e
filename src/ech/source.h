/* SPDX-License-Identifier: Apache-2.0 */
/* The ECHConfigs of one name, as the DNS tells them: for as long as it says, then it is asked anew. Any
 * thread may read; one keeps it. Where the resolver does not answer what was known goes on to hold: a config
 * that is stale costs one connection more, and none would cost the name. */
#ifndef CARDEA_ECH_SOURCE_H
#define CARDEA_ECH_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "ech/lookup.h"

struct ech_source;
struct loop;

/* Nobody is asked yet. The caller owns a reference. */
struct ech_source *ech_source_new(const struct doh_resolver *resolver, const char *host, uint16_t port);
struct ech_source *ech_source_ref(struct ech_source *s);

/* The last one in the thread that keeps it. NULL is allowed. */
void ech_source_unref(struct ech_source *s);

/* Does nobody have it but the caller? */
bool ech_source_is_alone(const struct ech_source *s);

/* Is it for these? */
bool ech_source_is(const struct ech_source *s, const struct doh_resolver *resolver, const char *host,
                   uint16_t port);

/* Ask for those of which nothing is known, and wait for the answers, at most `timeout` nanoseconds: others
 * have to wait as well. */
void ech_sources_wait(struct ech_source *const *v, size_t n, int64_t timeout);

/* Ask anew in time, on that loop; the caller is its thread. Once. Until ech_source_leave(). */
void ech_source_keep(struct ech_source *s, struct loop *loop);
void ech_source_leave(struct ech_source *s);

/* Append the ECHConfigList that holds now: nothing where there is none. */
void ech_source_read(struct ech_source *s, struct buf *ret);

/* Is there none since nobody has told? `ret_why`: for people, why there is none. */
bool ech_source_is_unknown(struct ech_source *s, struct err *ret_why);

/* Did nobody tell when it was last asked? `ret_words`: for people, why not and what that means, or that it
 * does again. */
bool ech_source_is_failing(struct ech_source *s, struct err *ret_words);

#endif
