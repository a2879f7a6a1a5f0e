/* SPDX-License-Identifier: Apache-2.0 */
/* QUIC at the door: a carrier is one client's QUIC connection; each of its streams is a session that begins
 * where TLS is done already. Carriers live and die on the worker whose socket their packets reach. */
#ifndef CARDEA_SESSION_QUIC_CARRIER_H
#define CARDEA_SESSION_QUIC_CARRIER_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/udp.h"

struct quic_port;
struct renewal_question;
struct review;
struct worker;
struct worker_listener;

/* Make a UDP listener of this worker out of a bound socket (taken, also on failure), without receiving yet:
 * for quic_carriers_install(), or else quic_port_drop(). `key` is copied. In any thread. NULL with `err`. */
struct quic_port *quic_port_new(struct worker *w, const char *key, int fd, struct err *err);

/* Close one that does not serve; NULL is allowed. In any thread, before the worker has seen it. */
void quic_port_drop(struct quic_port *port);

/* The worker has a new configuration: serve at its listeners that have QUIC, and nowhere else. In the
 * worker's thread, like all that follows. */
void quic_carriers_install(struct worker *w, const struct worker_listener *listeners, size_t count);

/* A packet has come to another worker's listener of this key (session/astray.h). Dropped when we have none.
 */
void quic_carriers_take(struct worker *w, const char *key, const struct udp_packets *packet);

/* The worker has other rules in force: judge all carriers by them, in small parts, from soon on. They are
 * counted in `sum`. */
void quic_carriers_review(struct worker *w, struct review *sum);

/* How many carriers there are. */
size_t quic_carriers_count(const struct worker *w);

/* Append a JSON object for each carrier, at most `limit`, commas between them. False when memory is out. */
bool quic_carriers_json(const struct worker *w, size_t limit, struct buf *out);

/* End the carrier of that id, whose sessions have ended. Returns how many that was: 1 or 0. */
size_t quic_carriers_end(struct worker *w, uint64_t id);

/* Judge what its client has to prove for the carrier of that id, and go on by that: see renewal.h. False
 * where there is none of that id; else *ret_good, with `err` where it is not. */
bool quic_carriers_renew(struct worker *w, const struct renewal_question *q, bool *ret_good,
                         int64_t *ret_expires, struct err *err);

/* Take no new clients anywhere. */
void quic_carriers_drain(struct worker *w);

/* Is something on its way that streams were given before they ended? */
bool quic_carriers_busy(const struct worker *w);

/* Close all listeners and carriers now. */
void quic_carriers_close(struct worker *w);

#endif
