/* SPDX-License-Identifier: Apache-2.0 */
/* Session tickets without state (RFC 8446, 4.6.1; RFC 5077): the session is sealed under a key that only the
 * door's workers know. Keys rotate; the two before still open, so that a ticket lives as long as it was
 * promised, and no key longer than one and a half of that. */
#ifndef CARDEA_TLS_TICKETS_H
#define CARDEA_TLS_TICKETS_H

#include <stddef.h>
#include <stdint.h>

struct ssl_ctx_st;
struct ticket_keys;
struct tickets;

/* A ring of fresh random keys, shared by all contexts and threads. `lifetime` in nanoseconds is how long a
 * ticket may resume; tickets_rotate() is due every half of it. */
struct tickets *tickets_new(int64_t lifetime);

void tickets_free(struct tickets *t);

/* Begin to seal with a new key; the oldest opens no more. From one thread (control); workers notice without
 * locking. What is returned are the keys as they were: a thread that came before may still be reading them,
 * so they go to ticket_keys_free() when every thread has left whatever it was doing with TLS. */
struct ticket_keys *tickets_rotate(struct tickets *t);

/* Wipe and free them. NULL is allowed. */
void ticket_keys_free(struct ticket_keys *keys);

/* What was passed to tickets_new(). */
int64_t tickets_lifetime(const struct tickets *t);

/* Let a server context issue and accept tickets of this ring, which must outlive it. */
void tickets_attach(struct tickets *t, struct ssl_ctx_st *ctx);

#endif
