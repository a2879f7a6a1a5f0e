/* SPDX-License-Identifier: Apache-2.0 */
/* The orders under way in the book. */
#include "base/check.h"
#include "keeper/book_internal.h"

int book_save_order(struct book *b, int64_t id, const struct book_order *order, struct err *err)
{
    CHECK_MAGIC(b, BOOK_MAGIC);
    CHECK(order->url.len > 0 && order->key.len > 0);
    struct state_query *q = state_query(
        b->state, "INSERT OR REPLACE INTO under_way (lineage, slot, ca, url, key) VALUES (?, ?, ?, ?, ?)",
        err);
    if (q == NULL)
        return -1;
    state_put_int(q, id);
    state_put_int(q, order->slot);
    state_put_int(q, order->ca);
    state_put_text(q, order->url);
    state_put_blob(q, order->key.p, order->key.len);
    return state_run(q, err);
}

int book_order(struct book *b, int64_t id, struct book_order *ret, struct buf *space, struct err *err)
{
    CHECK_MAGIC(b, BOOK_MAGIC);
    struct state_query *q =
        state_query(b->state, "SELECT slot, ca, url, key FROM under_way WHERE lineage = ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, id);
    enum state_result r = state_step(q, err);
    if (r == STATE_ROW) {
        struct str url = state_text(q, 2), key = state_blob(q, 3);
        CHECK(buf_reserve(space, url.len + key.len + 2));
        *ret = (struct book_order){.slot = (int)state_int(q, 0), .ca = (uint16_t)state_int(q, 1)};
        ret->url = book_keep(space, url);
        CHECK(buf_append(space, "", 1)); /* for who needs a text that ends */
        ret->key = book_keep(space, key);
    }
    state_done(q);
    return r == STATE_ROW ? 1 : r == STATE_END ? 0 : -1;
}

int book_end_order(struct book *b, int64_t id, struct err *err)
{
    struct state_query *q = state_query(b->state, "DELETE FROM under_way WHERE lineage = ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, id);
    return state_run(q, err);
}
