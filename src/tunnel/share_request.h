/* SPDX-License-Identifier: Apache-2.0 */
/* What a process asks of the one that carries connections for it: a hello of cardea/1 (tunnel/wire.h) that
 * also says how long it may take, or a question about the carrier. Pure. */
#ifndef CARDEA_TUNNEL_SHARE_REQUEST_H
#define CARDEA_TUNNEL_SHARE_REQUEST_H

#include "tunnel/wire.h"

#define SHARE_TIMEOUT_MAX INT64_C(86400000) /* milliseconds */

struct share_request {
    bool status; /* tell what is carried; nothing else is set then */
    struct front_target target;
    int64_t timeout; /* nanoseconds until the door's answer */
};

/* Append a request; `timeout` is in nanoseconds and at most a day. False when it does not fit. */
bool share_encode_hello(const struct front_target *target, int64_t timeout, struct buf *out);

/* Append the question about the carrier. */
bool share_encode_status(struct buf *out);

/* Read the request at the start of `data`; keeps no state. FRONT_TARGET: *ret is set (also with `status`) and
 * *ret_used bytes were it. FRONT_MORE is never said once there are WIRE_MESSAGE_MAX bytes. */
enum front_result share_parse(const uint8_t *data, size_t len, struct share_request *ret, size_t *ret_used,
                              struct err *err);

#endif
