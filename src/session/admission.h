/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections there are, in all and per source address, and the descriptors that they need. Shared
 * by all workers without locks and of fixed size, whatever strangers do. */
#ifndef CARDEA_SESSION_ADMISSION_H
#define CARDEA_SESSION_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"

struct admission;

/* Counts of nothing, under a fresh key. Never NULL. */
struct admission *admission_new(void);

void admission_free(struct admission *a);

enum admission_verdict { ADMIT_OK, ADMIT_TOO_MANY, ADMIT_TOO_MANY_OF_SOURCE };

/* Count a connection from `peer` when the limits allow one more. Sources are IPv4 addresses and IPv6 /64
 * networks. Counts are kept in a sketch: never too low; too high only when another busy source shares both of
 * a source's cells, which a stranger cannot arrange since the hash is keyed. */
enum admission_verdict admission_enter(struct admission *a, const struct net_addr *peer, size_t limit,
                                       size_t limit_per_source);

/* The peer of an admitted connection turned out to be another (PROXY protocol): count it there instead. False
 * when that source is at its limit; the connection is then counted in all but under no source. */
bool admission_move(struct admission *a, const struct net_addr *from, const struct net_addr *to,
                    size_t limit_per_source);

/* The connection has ended. `peer` as it was counted last; AF_UNSPEC when under no source. */
void admission_leave(struct admission *a, const struct net_addr *peer);

/* Count one whose peer may have made up its address: in all, but under no source. False, and nothing is
 * counted, where that would be more than `limit` in all or more than `limit_unproven` of this kind. */
bool admission_enter_unproven(struct admission *a, size_t limit, size_t limit_unproven);
void admission_leave_unproven(struct admission *a);

/* Its address has turned out to be `peer`'s: from now on it is counted as if it had entered with that. False
 * when that source is at its limit; the connection is then counted in all but under no source. */
bool admission_prove(struct admission *a, const struct net_addr *peer, size_t limit_per_source);

/* Count one more program. False, and it is not counted, where that would be more than `limit`. */
bool admission_enter_program(struct admission *a, size_t limit);
void admission_leave_program(struct admission *a);

/* Connections now. */
size_t admission_total(const struct admission *a);

/* Set so many descriptors aside, before any of them is opened. False, and nothing is, where that would be
 * more than `limit` in all. */
bool admission_reserve(struct admission *a, size_t descriptors, size_t limit);
void admission_release(struct admission *a, size_t descriptors);

/* Descriptors that are set aside now. */
size_t admission_reserved(const struct admission *a);

#endif
