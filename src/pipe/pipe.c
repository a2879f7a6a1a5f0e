/* SPDX-License-Identifier: Apache-2.0 */
#include "pipe/pipe.h"

#include <stdlib.h>
#include <string.h>

/* How many buffers a pipe moves one way before others have a turn. */
#define ROUNDS 8

enum half_status { HALF_WAIT, HALF_YIELD, HALF_SHUT, HALF_READ_FAILED, HALF_WRITE_FAILED };

void pipe_init(struct pipe *p, struct link *a, struct link *b)
{
    *p = (struct pipe){.link = {a, b}};
}

static void hold(struct pipe_half *h, const uint8_t *data, size_t len)
{
    CHECK(h->held == NULL && len > 0);
    h->held = malloc(len);
    CHECK(h->held != NULL);
    memcpy(h->held, data, len);
    h->held_len = len;
    h->held_off = 0;
}

static void release(struct pipe_half *h)
{
    free(h->held);
    h->held = NULL;
    h->held_len = h->held_off = 0;
}

void pipe_prime(struct pipe *p, enum pipe_side from, const void *data, size_t len)
{
    if (len > 0)
        hold(&p->half[from], data, len);
}

/* Write until all is taken or the link says otherwise; returns its last word. */
static enum link_status write_all(struct link *to, const uint8_t *data, size_t len, size_t *ret_taken)
{
    enum link_status status = LINK_OK;
    *ret_taken = 0;
    while (*ret_taken < len && status == LINK_OK) {
        size_t n = 0;
        status = link_write(to, data + *ret_taken, len - *ret_taken, &n);
        *ret_taken += status == LINK_OK ? n : 0;
    }
    return status;
}

/* Deliver what is held. LINK_OK when nothing is held any more. */
static enum link_status deliver_held(struct pipe_half *h, struct link *to)
{
    if (h->held == NULL)
        return LINK_OK;
    size_t taken;
    enum link_status status = write_all(to, h->held + h->held_off, h->held_len - h->held_off, &taken);
    h->held_off += taken;
    CHECK(h->held_off <= h->held_len);
    if (h->held_off == h->held_len)
        release(h);
    return status;
}

/* Read once and pass on. */
static enum half_status move(struct pipe_half *h, struct link *from, struct link *to,
                             const struct pipe_scratch *scratch)
{
    size_t n = 0, taken;
    switch (link_read(from, scratch->data, scratch->size, &n)) {
    case LINK_OK:
        break;
    case LINK_AGAIN:
        return HALF_WAIT;
    case LINK_EOF:
        h->ended = true;
        return HALF_YIELD;
    default:
        return HALF_READ_FAILED;
    }
    enum link_status status = write_all(to, scratch->data, n, &taken);
    if (status == LINK_ERROR)
        return HALF_WRITE_FAILED;
    if (taken < n)
        hold(h, scratch->data + taken, n - taken);
    return status == LINK_OK ? HALF_YIELD : HALF_WAIT;
}

/* One direction, as far as it goes. `last`: the other one is over, so the links will be closed after this one. */
static enum half_status run_half(struct pipe_half *h, bool last, struct link *from, struct link *to,
                                 const struct pipe_scratch *scratch)
{
    for (int round = 0; round < ROUNDS; round++) {
        if (h->shut)
            return HALF_SHUT;
        enum link_status status = deliver_held(h, to);
        if (status == LINK_OK && h->ended) {
            status = last ? link_finish(to) : link_shutdown(to);
            h->shut = status == LINK_OK;
            continue;
        }
        if (status != LINK_OK)
            return status == LINK_AGAIN ? HALF_WAIT : HALF_WRITE_FAILED;
        enum half_status moved = move(h, from, to, scratch);
        if (moved != HALF_YIELD)
            return moved;
    }
    return h->shut ? HALF_SHUT : HALF_YIELD;
}

enum pipe_status pipe_run(struct pipe *p, const struct pipe_scratch *scratch)
{
    CHECK(scratch->size >= PIPE_SCRATCH_MIN);
    bool again = false;
    for (int side = PIPE_A; side <= PIPE_B; side++) {
        enum half_status status = run_half(&p->half[side], p->half[!side].shut, p->link[side], p->link[!side], scratch);
        if (status == HALF_READ_FAILED || status == HALF_WRITE_FAILED) {
            p->failed = (enum pipe_side)(status == HALF_READ_FAILED ? side : !side);
            return PIPE_FAILED;
        }
        again = again || status == HALF_YIELD;
    }
    if (p->half[PIPE_A].shut && p->half[PIPE_B].shut)
        return PIPE_DONE;
    return again ? PIPE_YIELD : PIPE_WAIT;
}

bool pipe_half_closed(const struct pipe *p)
{
    return p->half[PIPE_A].ended != p->half[PIPE_B].ended;
}

size_t pipe_held(const struct pipe *p)
{
    size_t held = 0;
    for (int side = PIPE_A; side <= PIPE_B; side++)
        held += p->half[side].held_len - p->half[side].held_off;
    return held;
}

void pipe_free(struct pipe *p)
{
    release(&p->half[PIPE_A]);
    release(&p->half[PIPE_B]);
}
