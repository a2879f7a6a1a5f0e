/* SPDX-License-Identifier: Apache-2.0 */
#include "link/link.h"

#include "base/buf.h"
#include "base/check.h"

enum link_status link_write_buf(struct link *l, struct buf *b)
{
    enum link_status status = LINK_OK;
    size_t done = 0;
    while (done < b->len && status == LINK_OK) {
        size_t n = 0;
        status = link_write(l, b->data + done, b->len - done, &n);
        done += status == LINK_OK ? n : 0;
    }
    buf_consume(b, done);
    if (b->len == 0)
        buf_free(b);
    return status;
}

enum link_status link_read_buf(struct link *l, struct buf *b, size_t room)
{
    size_t n = 0;
    CHECK(room > 0 && buf_reserve(b, room));
    enum link_status status = link_read(l, b->data + b->len, room, &n);
    b->len += status == LINK_OK ? n : 0;
    return status;
}
