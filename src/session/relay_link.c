/* SPDX-License-Identifier: Apache-2.0 */
/* Four buffers, all empty on an idle connection: what each side has said of a unit that is not whole, and
 * what is on its way to each. Back-pressure: nothing is taken from the client while the backend does not take
 * what is on its way to it, or the client what is on its way to him; and nothing is read from the backend
 * before the owner asks. Both are looked at whenever the owner reads, which a pipe does each time it runs. */
#include "session/relay_link.h"

#include <stdlib.h>
#include <string.h>

#include "starttls/relay.h"

/* Of a side's bytes at once; of the client's what a record of TLS has, for mails go through here. */
#define TAKE_MOST 4096u
#define TAKE_MOST_NEAR 16384u

struct relay_link {
    struct link link;
    struct link *far;
    struct starttls_relay *relay; /* NULL: it has ended */
    struct buf said[2];           /* by enum relay_side: of a unit that is not whole */
    struct buf to_near;
    struct buf to_far;
    bool waits;    /* the owner may not write before he has read */
    bool ends;     /* once what is on its way has gone, in both directions */
    bool alone;    /* the backend has ended */
    bool misspoke; /* it failed because of what was written, not of what was read */
};

static const struct link_ops relaying, passing, splicing;

static struct relay_link *relay_of(const struct link *l)
{
    CHECK(l->ops == &relaying || l->ops == &passing || l->ops == &splicing);
    return CONTAINER_OF((struct link *)(uintptr_t)l, struct relay_link, link);
}

static void append(struct buf *to, struct buf *from)
{
    if (from->len > 0)
        CHECK(buf_append(to, from->data, from->len));
    buf_free(from);
}

/* The rest of both sides passes: what is here of it first. */
static void end_relay(struct relay_link *r)
{
    starttls_relay_free(r->relay);
    r->relay = NULL;
    append(&r->to_far, &r->said[RELAY_NEAR]);
    append(&r->to_near, &r->said[RELAY_FAR]);
}

/* From now on calls go to what this stands on, as soon as nothing is on its way. */
static void dissolve(struct relay_link *r)
{
    if (r->relay == NULL && r->to_far.len == 0 && r->to_near.len == 0 && r->link.ops == &relaying)
        r->link.ops = link_splices(r->far) ? &splicing : &passing;
}

/* So much is on its way that nothing more is gone through. */
static bool rests(const struct relay_link *r)
{
    return MAX(r->to_far.len, r->to_near.len) > STARTTLS_MEMORY_MAX;
}

static enum link_status fail_by(struct relay_link *r, enum relay_side side)
{
    r->misspoke = side == RELAY_NEAR;
    return link_fail(&r->link, starttls_run_text(starttls_relay_run(r->relay)));
}

static enum link_status relay_step(struct relay_link *r, enum relay_side side)
{
    struct buf *said = &r->said[side], *to_self = side == RELAY_NEAR ? &r->to_near : &r->to_far;
    struct buf *onward = side == RELAY_NEAR ? &r->to_far : &r->to_near;
    size_t used = 1;
    while (used > 0 && said->len > 0 && r->relay != NULL && !r->ends) {
        enum starttls_status status =
            starttls_relay_step(r->relay, side, said->data, said->len, &used, to_self, onward);
        buf_consume(said, used);
        if (status == STARTTLS_DONE || status == STARTTLS_PLAIN)
            end_relay(r);
        else if (status == STARTTLS_BYE)
            r->ends = true;
        else if (status != STARTTLS_MORE)
            return fail_by(r, side);
        if (rests(r))
            break;
    }
    if (said->len == 0)
        buf_free(said);
    return LINK_OK;
}

static bool near_waits(const struct relay_link *r)
{
    return r->relay != NULL && starttls_relay_near_waits(r->relay);
}

/* Nobody is there any more to hear the client. */
static bool is_unheard(const struct relay_link *r)
{
    return r->ends || (r->alone && near_waits(r));
}

/* The owner has to read before he can go on writing. */
static bool is_held_up(const struct relay_link *r)
{
    return rests(r) || (near_waits(r) && !is_unheard(r));
}

/* What he waited for may have come. */
static void wake_writer(struct relay_link *r)
{
    if (!r->waits || is_held_up(r))
        return;
    r->waits = false;
    link_wake(&r->link);
}

/* LINK_OK: nothing is on its way to the backend. */
static enum link_status flush(struct relay_link *r)
{
    enum link_status status = link_write_buf(r->far, &r->to_far);
    return status == LINK_ERROR ? link_fail(&r->link, link_error(r->far)) : status;
}

/* ---- when the relay has ended ---- */

/* What broke below broke this. */
static enum link_status as_below(struct link *l, enum link_status status)
{
    return status == LINK_ERROR ? link_fail(l, link_error(relay_of(l)->far)) : status;
}

static enum link_status pass_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    return as_below(l, link_read(relay_of(l)->far, buf, cap, ret_n));
}

static enum link_status pass_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    link_more(relay_of(l)->far, l->more);
    return as_below(l, link_write(relay_of(l)->far, buf, len, ret_n));
}

/* ---- read ---- */

static enum link_status deliver(struct relay_link *r, void *buf, size_t cap, size_t *ret_n)
{
    *ret_n = MIN(cap, r->to_near.len);
    memcpy(buf, r->to_near.data, *ret_n);
    buf_consume(&r->to_near, *ret_n);
    if (r->to_near.len > 0)
        return LINK_OK;
    buf_free(&r->to_near);
    dissolve(r);
    wake_writer(r);
    return LINK_OK;
}

static enum link_status relay_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct relay_link *r = relay_of(l);
    if (flush(r) == LINK_ERROR)
        return LINK_ERROR;
    for (;;) {
        if (relay_step(r, RELAY_FAR) != LINK_OK || relay_step(r, RELAY_NEAR) != LINK_OK ||
            flush(r) == LINK_ERROR)
            return LINK_ERROR;
        if (r->to_near.len > 0)
            return deliver(r, buf, cap, ret_n);
        dissolve(r);
        wake_writer(r);
        if (r->ends)
            return LINK_EOF;
        if (r->relay == NULL)
            return pass_read(l, buf, cap, ret_n);
        if (r->to_far.len > 0)
            return LINK_AGAIN;
        enum link_status status = link_read_buf(r->far, &r->said[RELAY_FAR], TAKE_MOST);
        if (status == LINK_EOF && r->said[RELAY_FAR].len > 0) {
            append(&r->to_near, &r->said[RELAY_FAR]);
            continue;
        }
        if (status == LINK_ERROR)
            return link_fail(l, link_error(r->far));
        if (status != LINK_OK) {
            r->alone = status == LINK_EOF;
            wake_writer(r);
            if (r->said[RELAY_FAR].len == 0)
                buf_free(&r->said[RELAY_FAR]);
            return status;
        }
    }
}

/* ---- write ---- */

static enum link_status relay_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct relay_link *r = relay_of(l);
    enum link_status status = flush(r);
    if (status != LINK_OK)
        return status;
    r->waits = is_held_up(r);
    if (r->waits)
        return LINK_AGAIN;
    if (r->relay == NULL)
        return pass_write(l, buf, len, ret_n);
    *ret_n = MIN(len, (size_t)TAKE_MOST_NEAR);
    if (is_unheard(r))
        return LINK_OK;
    CHECK(buf_append(&r->said[RELAY_NEAR], buf, *ret_n));
    if (relay_step(r, RELAY_NEAR) != LINK_OK || flush(r) == LINK_ERROR)
        return LINK_ERROR;
    dissolve(r);
    return LINK_OK;
}

/* Whole units that were left here for later come before the end. What is not whole goes nowhere: no rule has
 * seen it, and a server may take it for a command all the same. */
static enum link_status relay_shutdown(struct link *l, bool closing)
{
    struct relay_link *r = relay_of(l);
    if (flush(r) == LINK_ERROR || relay_step(r, RELAY_NEAR) != LINK_OK)
        return LINK_ERROR;
    r->waits = is_held_up(r) && !is_unheard(r) && r->said[RELAY_NEAR].len > 0;
    if (r->waits)
        return LINK_AGAIN;
    buf_free(&r->said[RELAY_NEAR]);
    enum link_status status = flush(r);
    if (status != LINK_OK)
        return status;
    return closing ? link_finish(r->far) : link_shutdown(r->far);
}

/* ---- the rest ---- */

static enum link_status relay_open(struct link *l)
{
    return link_open(relay_of(l)->far);
}

static void relay_close(struct link *l, bool abort)
{
    struct relay_link *r = relay_of(l);
    starttls_relay_free(r->relay);
    r->far->keep_written = l->keep_written;
    link_close(r->far, abort);
    buf_free(&r->said[RELAY_NEAR]);
    buf_free(&r->said[RELAY_FAR]);
    buf_free(&r->to_near);
    buf_free(&r->to_far);
    free(r);
}

static void relay_peer(const struct link *l, struct link_peer *ret)
{
    link_peer(relay_of(l)->far, ret);
    ret->misspoke |= relay_of(l)->misspoke;
}

static struct link *relay_below(struct link *l)
{
    return relay_of(l)->far;
}

static enum link_status pass_splice_read(struct link *l, int kernel_pipe, size_t cap, size_t *ret_n)
{
    return as_below(l, link_splice_read(relay_of(l)->far, kernel_pipe, cap, ret_n));
}

static enum link_status pass_splice_write(struct link *l, int kernel_pipe, size_t len, size_t *ret_n)
{
    return as_below(l, link_splice_write(relay_of(l)->far, kernel_pipe, len, ret_n));
}

static size_t pass_splice_room(const struct link *l)
{
    return link_splice_room(relay_of(l)->far);
}

static const struct link_ops relaying = {
    .name = "relay",
    .open = relay_open,
    .read = relay_read,
    .write = relay_write,
    .shutdown = relay_shutdown,
    .close = relay_close,
    .peer = relay_peer,
    .below = relay_below,
};

static const struct link_ops passing = {
    .name = "relay",
    .open = relay_open,
    .read = pass_read,
    .write = pass_write,
    .shutdown = relay_shutdown,
    .close = relay_close,
    .peer = relay_peer,
    .below = relay_below,
};

static const struct link_ops splicing = {
    .name = "relay",
    .open = relay_open,
    .read = pass_read,
    .write = pass_write,
    .shutdown = relay_shutdown,
    .close = relay_close,
    .splice_read = pass_splice_read,
    .splice_write = pass_splice_write,
    .splice_room = pass_splice_room,
    .peer = relay_peer,
    .below = relay_below,
};

static void far_wake(struct link *far)
{
    link_wake(&((struct relay_link *)far->owner)->link);
}

struct link *relay_link_new(struct starttls_relay *relay, struct link *far, struct buf *early)
{
    struct relay_link *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    r->link.ops = &relaying;
    r->far = far;
    r->relay = relay;
    starttls_run_go_within(starttls_relay_run(relay));
    r->link.bytes_read = far->bytes_read;
    r->link.bytes_written = far->bytes_written;
    append(&r->said[RELAY_FAR], early);
    far->owner = r;
    far->wake = far_wake;
    return &r->link;
}
