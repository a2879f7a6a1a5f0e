/* SPDX-License-Identifier: Apache-2.0 */
/* An answer of HTTP/1.1 as a whole (RFC 9112), for who has asked for it on a connection of its own. Pure and
 * strict. */
#ifndef CARDEA_HTTP1_REPLY_H
#define CARDEA_HTTP1_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define REPLY_HEAD_MAX 16384 /* bytes of a head */

enum reply_status {
    REPLY_READ,
    REPLY_MORE, /* it is not whole yet; never said of bytes that are all there are */
    REPLY_BAD,  /* err says why */
};

/* Read it from `data`, all bytes that have come so far (`ended`: no more will), to a request that was no
 * HEAD; interim answers (1xx) before it are passed over. READ: its status is in *ret_status, its content, of
 * `most` bytes at most, appended to *ret_content, which is left alone otherwise. */
enum reply_status reply_read(const uint8_t *data, size_t len, bool ended, size_t most, unsigned *ret_status,
                             struct buf *ret_content, struct err *err);

#endif
