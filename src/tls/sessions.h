/* SPDX-License-Identifier: Apache-2.0 */
/* What a client may resume with (RFC 8446, 2.2; RFC 5077): the last tickets of one peer, of whom the same was
 * expected each time. Belongs to one thread. */
#ifndef CARDEA_TLS_SESSIONS_H
#define CARDEA_TLS_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_session_st;
struct ssl_st;
struct tls_sessions;

/* So many are kept; of more the oldest goes. As many handshakes at once can resume. */
#define TLS_SESSIONS_MAX 16

/* Without any. Never NULL. */
struct tls_sessions *tls_sessions_new(void);

/* After the last link that was made with it. NULL is allowed. */
void tls_sessions_free(struct tls_sessions *s);

/* How many there are. */
size_t tls_sessions_count(const struct tls_sessions *s);

/* Does the newest say that data may be sent before the handshake is over (RFC 8446, 2.3)? */
bool tls_sessions_take_early(const struct tls_sessions *s);

/* How often they were forgotten: a link that began before that has nothing to add, for it may have proven
 * what is not to be resumed any more. */
uint32_t tls_sessions_age(const struct tls_sessions *s);

/* Keep one (taken over). */
void tls_sessions_put(struct tls_sessions *s, struct ssl_session_st *fresh);

/* Have a handshake that has not begun offer the newest. One of TLS 1.3 is used once, so that connections
 * cannot be told to be of one client by it (RFC 8446, C.4). False when there is none. */
bool tls_sessions_offer(struct tls_sessions *s, struct ssl_st *ssl);

/* The peer does not take what it gave out, or has not proven itself by it: of the others nothing better is to
 * be expected. */
void tls_sessions_forget(struct tls_sessions *s);

#endif
