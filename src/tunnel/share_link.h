/* SPDX-License-Identifier: Apache-2.0 */
/* A link over the unix socket between a `cardea connect` and the process that carries its connection. A unix
 * socket has no reset: whatever became of the process behind it looks like an end. So bytes travel in frames,
 * and an end is one too; a socket that ends without it was cut off, and who cuts it off can say why.
 *
 * A frame is its kind in a byte, its length in three (big-endian), and so many bytes. */
#ifndef CARDEA_TUNNEL_SHARE_LINK_H
#define CARDEA_TUNNEL_SHARE_LINK_H

#include <stdint.h>

#include "base/err.h"
#include "link/link.h"
#include "loop/loop.h"

#define SHARE_HEAD 4
/* A read of 16 KiB takes a frame and the next head. */
#define SHARE_DATA_MAX (16 * 1024 - SHARE_HEAD)
#define SHARE_TEXT_MAX (ERR_TEXT_MAX - 1)

enum share_kind {
    SHARE_DATA,   /* 1 to SHARE_DATA_MAX bytes of the connection */
    SHARE_END,    /* 0 bytes: this direction ends */
    SHARE_FAILED, /* 1 to SHARE_TEXT_MAX bytes: why there is no more, for people */
    SHARE_SPEAK,  /* 0 bytes: what is meant for the target may come before the answer */
    SHARE_BAD,    /* read only: this is no head of a frame */
};

/* Read the head of a frame; *ret_len bytes follow it. Pure. */
enum share_kind share_head_read(const uint8_t head[SHARE_HEAD], size_t *ret_len);

/* Write one; `len` must be one that the kind may have. */
void share_head_write(uint8_t head[SHARE_HEAD], enum share_kind kind, size_t len);

/* A link on a connected, non-blocking unix socket, which it owns from then on. NULL with errno set (and fd
 * not taken) when it can't be watched. */
struct link *share_link_new(struct loop *loop, int fd);

/* Tell the other side why it is over. Only link_close() with `abort` is left to do. What the socket does not
 * take at once is dropped, and the other side knows only that it was cut off. */
void share_link_fail(struct link *l, const char *text);

/* Tell the other side that what it has for the target may come now; before anything else is said. */
void share_link_let_speak(struct link *l);

/* Has the other side said so? Known as far as it has been read. */
bool share_link_may_speak(const struct link *l);

/* Why the other side says that it is over; NULL: it has not said. Control characters are replaced. */
const char *share_link_text(struct link *l);

#endif
