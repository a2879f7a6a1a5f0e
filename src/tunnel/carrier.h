/* SPDX-License-Identifier: Apache-2.0 */
/* The client's QUIC connection to a door: one for all that goes through that door. It is made when it is
 * first wanted, kept alive while anything uses it, and made anew when it is wanted again. When this machine's
 * addresses or routes change it moves to the new path at once (RFC 9000, 9). */
#ifndef CARDEA_TUNNEL_CARRIER_H
#define CARDEA_TUNNEL_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "link/link.h"

struct carrier;
struct client_door;
struct client_facts;
struct way;

/* For a door (borrowed); nothing is sent yet. Never NULL. */
struct carrier *carrier_new(struct client_door *door);

/* Close it; ways that wait are not told. NULL is allowed. */
void carrier_free(struct carrier *c);

/* Take no new streams, and free it when the door closes it; until then it is in the list `left`. */
void carrier_leave(struct carrier *c, struct list *left);

/* Free those that were left. */
void carrier_free_all(struct list *left);

/* Somebody wants it: connect, if it is not open or opening. */
void carrier_want(struct carrier *c);

/* Is there hope, or was it in vain lately? */
bool carrier_is_likely(const struct carrier *c);

/* How long TCP waits for it: longer where it is known to work, not at all where it is not likely to. */
int64_t carrier_head_start(const struct carrier *c);

/* It is under way, and the door has answered something: UDP gets through, however slowly. */
bool carrier_is_heard(const struct carrier *c);

/* Nobody waits for it now, but many may later: try whether it works again, if that is due. */
void carrier_try(struct carrier *c);

/* A connection over TCP has completed its handshake with the door: where QUIC had no answer it is the network
 * that lets no UDP through, and not the door that is down. */
void carrier_tcp_stands(struct carrier *c);

/* Streams can be opened now, as far as the door allows it. */
bool carrier_is_open(const struct carrier *c);

/* Is it open, or will it be told whether it is? */
bool carrier_is_under_way(const struct carrier *c);

/* When the certificate runs out that the connection in use was opened with, in seconds since 1970; 0: there
 * is none.
 */
int64_t carrier_certificate(const struct carrier *c);

/* The last connection that was tried or open: has the door turned us away, see client_is_refused()? */
bool carrier_was_refused(const struct carrier *c);

/* A stream; or NULL, and while it is under way way_carrier_changed() is called when there is news. */
struct link *carrier_open_stream(struct carrier *c, struct way *w);

/* The path of the connection in use, and since when; false when there is none, and *ret is as it was. */
bool carrier_facts(const struct carrier *c, struct client_facts *ret);

#endif
