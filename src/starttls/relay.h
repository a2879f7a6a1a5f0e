/* SPDX-License-Identifier: Apache-2.0 */
/* What is looked at in both directions between a client and its server: around TLS where the client must see
 * the server's own greeting (MySQL), and within it where one of the two does not know that there is TLS. A
 * section of a script with rules for two sides; from its end on bytes go through untouched. Pure: bytes of
 * both sides in, bytes for both out.
 *
 *   relay-server   a plain server behind, whose clients speak TLS
 *   relay-client   a client that speaks no TLS, before a server that does
 *   relay-both     where both do, up to TLS
 *   relay-identify as relay-server, and the server is told who the client is: the client must not say it as
 * well */
#ifndef CARDEA_STARTTLS_RELAY_H
#define CARDEA_STARTTLS_RELAY_H

#include "starttls/starttls.h"

enum relay_side { RELAY_NEAR, RELAY_FAR }; /* the client, the server */

struct starttls_relay;

/* Begin a section, one of those above, which the script has. */
struct starttls_relay *starttls_relay_new(const struct starttls *p, enum starttls_section which);

/* NULL is allowed. */
void starttls_relay_free(struct starttls_relay *r);

/* What the relay remembers; for starttls_run_set() and the failure's kind and text. Lives as long as it. */
struct starttls_run *starttls_relay_run(struct starttls_relay *r);

/* Is there that section, and does TLS begin in it? Then it is gone through from before TLS on, else within
 * it. */
bool starttls_relay_switches(const struct starttls *p, enum starttls_section which);

/* What the client says is not looked at for now: its turn comes when the server has spoken, or never. */
bool starttls_relay_near_waits(const struct starttls_relay *r);

/* Go on with what a side has said. `data`: all of it that was not consumed; *ret_used: how much is now. What
 * is for the side itself is appended to `back`, what is for the other to `onward`; that is to be sent, and
 * the call repeated, as long as it consumes something.
 *
 *   STARTTLS_MORE     go on when more has come
 *   STARTTLS_SWITCH   TLS begins on the side that speaks it; go on within it
 *   STARTTLS_PLAIN    the client does without TLS; the rest, from what was not consumed on, passes untouched
 *   STARTTLS_DONE     the rest of both sides passes untouched
 *   STARTTLS_BYE, STARTTLS_FAILED   say what there is to say, then end */
enum starttls_status starttls_relay_step(struct starttls_relay *r, enum relay_side side, const uint8_t *data,
                                         size_t len, size_t *ret_used, struct buf *back, struct buf *onward);

#endif
