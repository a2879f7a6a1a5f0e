/* SPDX-License-Identifier: Apache-2.0 */
#include "link/link.h"

#include "base/buf.h"

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
