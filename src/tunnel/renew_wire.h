/* SPDX-License-Identifier: Apache-2.0 */
/* What client and door say to each other to prove a newer certificate on a connection
 * (doc/internals/tunnel-protocol.md, "Renewal"), behind the hello that names it. Pure. */
#ifndef CARDEA_TUNNEL_RENEW_WIRE_H
#define CARDEA_TUNNEL_RENEW_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "tunnel/wire.h"

/* The client: append the hello for the connection of that id. False when it does not fit. */
bool renew_encode_hello(uint64_t id, struct buf *out);

/* The door: append the yes to it, with a request (RFC 9261, 4); `request` has a few hundred bytes at most. */
bool renew_encode_request(const struct buf *request, struct buf *out);

/* The client: append the head of an authenticator of `size` bytes (1 to AUTHENTICATOR_MAX), which follow it.
 */
bool renew_encode_proof(size_t size, struct buf *out);

/* The door: append that it was good, and when (seconds since 1970) the certificate runs out. A no is
 * front_cardea.answer(). */
bool renew_encode_good(int64_t expires, struct buf *out);

/* The door: read an authenticator with its head at the start of `data`. WIRE_OK: *ret is its bytes in `data`,
 * and nothing follows. Keeps no state. */
enum wire_result renew_parse_proof(const uint8_t *data, size_t len, struct str *ret, struct err *err);

/* The client: read what the door says to the hello, or in the end. WIRE_OK: `ret` tells whether it is a yes,
 * as wire_parse_answer() does; then the request is appended to `ret_request` (may be NULL), and *ret_expires
 * is set where the answer has it, else 0. Keeps no state. */
enum wire_result renew_parse_answer(const uint8_t *data, size_t len, struct wire_answer *ret,
                                    struct buf *ret_request, int64_t *ret_expires, size_t *ret_used,
                                    struct err *err);

#endif
