/* SPDX-License-Identifier: Apache-2.0 */
/* Back-pressure is one rule: a half that holds bytes does not read. So what a pipe holds one way is never
 * more than one read, `appetite`, of which the far side took only a part, or what it was primed with; and a
 * writer whose reader is slow fills the kernel's buffers and waits there.
 *
 * The scratch belongs to all pipes of the thread: bytes stay in it only from a read to the write that
 * follows. Hence a pipe must not be run from within a link's call (a link in memory wakes at once): who is
 * woken runs it afterwards.
 *
 * Per half, in this order: the source has ended, what is held is delivered, the far side is told (`shut`). */
#include "pipe/pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many reads a pipe passes on one way before others have a turn. Ending it sooner for large ones makes
 * splicing a fifth dearer. */
#define ROUNDS 8

/* The first read of a flow, and what is read from it while the far side is slow. */
#define APPETITE_MIN (16 * 1024)

/* The most that is spliced at once. */
#define SPLICE_MOST (512 * 1024)

/* A flow that gives less at once is no longer bulk. */
#define SPLICE_LEAST (32 * 1024)

/* How many turns a side has for its last words once it can't be written to. */
#define LAST_WORDS_TURNS 8

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

void pipe_prime_end(struct pipe *p, enum pipe_side from)
{
    p->half[from].ended = true;
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

/* As write_all(), of what is in the kernel's pipe. */
static enum link_status splice_all(struct link *to, int kernel_pipe, size_t len, size_t *ret_taken)
{
    enum link_status status = LINK_OK;
    *ret_taken = 0;
    while (*ret_taken < len && status == LINK_OK) {
        size_t n = 0;
        status = link_splice_write(to, kernel_pipe, len - *ret_taken, &n);
        *ret_taken += status == LINK_OK ? n : 0;
    }
    return status;
}

/* Hold what is left in the kernel's pipe: the next flow needs it empty. */
static void hold_spliced(struct pipe_half *h, int kernel_pipe, size_t len)
{
    CHECK(h->held == NULL);
    h->held = malloc(len);
    CHECK(h->held != NULL);
    while (h->held_len < len) {
        ssize_t n = read(kernel_pipe, h->held + h->held_len, len - h->held_len);
        CHECK(n > 0 || errno == EINTR);
        h->held_len += n > 0 ? (size_t)n : 0;
    }
}

/* How much to read next: more while there is much and the far side takes all of it, little once it does not,
 * since what it does not take must be held. */
static void adapt(struct pipe_half *h, bool goes_well, bool was_much)
{
    if (!goes_well)
        h->appetite = APPETITE_MIN;
    else if (was_much)
        h->appetite *= 2;
}

static enum half_status stopped(struct pipe_half *h, enum link_status status)
{
    if (status == LINK_AGAIN)
        return HALF_WAIT;
    h->ended = status == LINK_EOF;
    return h->ended ? HALF_YIELD : HALF_READ_FAILED;
}

/* Read once, at most `cap` bytes, and pass on. */
static enum half_status copy(struct pipe_half *h, struct link *from, struct link *to,
                             const struct pipe_scratch *scratch, size_t cap)
{
    size_t n = 0, taken;
    enum link_status status = link_read(from, scratch->data, MIN(cap, scratch->size), &n);
    if (status != LINK_OK)
        return stopped(h, status);
    status = write_all(to, scratch->data, n, &taken);
    if (status == LINK_ERROR)
        return HALF_WRITE_FAILED;
    adapt(h, taken == n, n == h->appetite);
    if (taken < n)
        hold(h, scratch->data + taken, n - taken);
    return status == LINK_OK ? HALF_YIELD : HALF_WAIT;
}

/* The same inside the kernel, whose pipe may be full with fewer bytes. */
static enum half_status splice_over(struct pipe_half *h, struct link *from, struct link *to,
                                    const struct pipe_scratch *scratch, size_t cap)
{
    size_t n = 0, taken;
    enum link_status status = link_splice_read(from, scratch->kernel_pipe[1], cap, &n);
    if (status == LINK_AGAIN)
        return copy(h, from, to, scratch, APPETITE_MIN);
    if (status != LINK_OK)
        return stopped(h, status);
    status = splice_all(to, scratch->kernel_pipe[0], n, &taken);
    if (taken < n)
        hold_spliced(h, scratch->kernel_pipe[0], n - taken);
    if (status == LINK_ERROR)
        return HALF_WRITE_FAILED;
    adapt(h, taken == n && n >= SPLICE_LEAST, n >= cap / 2);
    return status == LINK_OK ? HALF_YIELD : HALF_WAIT;
}

/* Read once, at most `most` bytes, and pass on.
 *
 * Bulk is what would more than fill the scratch: the far side has taken several times as much as was asked
 * for, each time the double. Less is as cheap to copy. It is asked what it has room for, since a side that
 * never reads also takes all at first. */
static enum half_status move(struct pipe_half *h, struct link *from, struct link *to,
                             const struct pipe_scratch *scratch, size_t most)
{
    bool splices = scratch->kernel_pipe[0] >= 0 && link_splices(from) && link_splices(to);
    size_t room = splices ? SPLICE_MOST : scratch->size;
    size_t cap = h->appetite = MIN(MAX(h->appetite, (size_t)APPETITE_MIN), room);
    cap = MIN(cap, most);
    if (cap > scratch->size)
        cap = MIN(cap, MAX(link_splice_room(to), (size_t)APPETITE_MIN));
    return cap > scratch->size ? splice_over(h, from, to, scratch, cap) : copy(h, from, to, scratch, cap);
}

static enum half_status waits_or_fails(enum link_status status)
{
    return status == LINK_AGAIN ? HALF_WAIT : HALF_WRITE_FAILED;
}

/* The source has ended and all is delivered: tell the far side. `last`: the other direction is over, so the
 * links will be closed after this. */
static enum half_status end_half(struct pipe_half *h, bool last, struct link *to)
{
    enum link_status status = last ? link_finish(to) : link_shutdown(to);
    if (status != LINK_OK)
        return waits_or_fails(status);
    h->shut = true;
    return HALF_SHUT;
}

/* One direction, as far as it goes; what it reads is taken off `left`. */
static enum half_status run_half(struct pipe *p, int side, const struct pipe_scratch *scratch, size_t *left)
{
    struct pipe_half *h = &p->half[side];
    struct link *from = p->link[side], *to = p->link[!side];
    for (int round = 0; round < ROUNDS; round++) {
        if (h->shut)
            return HALF_SHUT;
        enum link_status status = deliver_held(h, to);
        if (status != LINK_OK)
            return waits_or_fails(status);
        if (h->ended)
            return end_half(h, p->half[!side].shut, to);
        if (*left == 0)
            return HALF_YIELD;
        uint64_t before = from->bytes_read;
        enum half_status moved = move(h, from, to, scratch, *left);
        *left -= MIN(*left, (size_t)(from->bytes_read - before));
        if (moved != HALF_YIELD)
            return moved;
    }
    return HALF_YIELD;
}

/* A side can't be written to any more. It may have answered before it went (a refusal in the middle of an
 * upload): carry over what it said, then give up. */
static enum pipe_status write_failed(struct pipe *p, int side, const struct pipe_scratch *scratch)
{
    size_t left = SIZE_MAX;
    for (int turn = 0; turn < LAST_WORDS_TURNS; turn++)
        if (run_half(p, side, scratch, &left) != HALF_YIELD)
            break;
    p->failed = (enum pipe_side)side;
    return PIPE_FAILED;
}

/* A side has broken. What the other one has said to the end by now still is seen, for then this one may have
 * gone because it had all there is. */
static enum pipe_status read_failed(struct pipe *p, int side, const struct pipe_scratch *scratch)
{
    size_t left = SIZE_MAX;
    if (side == PIPE_A) /* PIPE_B comes second: A has had its turn */
        run_half(p, PIPE_B, scratch, &left);
    p->failed = (enum pipe_side)side;
    return PIPE_FAILED;
}

enum pipe_status pipe_run(struct pipe *p, const struct pipe_scratch *scratch)
{
    return pipe_run_within(p, scratch, SIZE_MAX);
}

enum pipe_status pipe_run_within(struct pipe *p, const struct pipe_scratch *scratch, size_t most)
{
    CHECK(scratch->size >= PIPE_SCRATCH_MIN && most > 0);
    size_t left = most - most / 2; /* the second half is the other side's, and what the first one leaves */
    bool again = false;
    for (int side = PIPE_A; side <= PIPE_B; side++) {
        bool was_shut = p->half[side].shut;
        enum half_status status = run_half(p, side, scratch, &left);
        left += side == PIPE_A ? most / 2 : 0;
        if (status == HALF_WRITE_FAILED)
            return write_failed(p, !side, scratch);
        if (status == HALF_READ_FAILED)
            return read_failed(p, side, scratch);
        /* A link that has no end of its own, such as a flow over UDP, ends with ours: it is not woken for
         * that. */
        again = again || status == HALF_YIELD || p->half[side].shut != was_shut;
    }
    if (p->half[PIPE_A].shut && p->half[PIPE_B].shut)
        return PIPE_DONE;
    return again ? PIPE_YIELD : PIPE_WAIT;
}

bool pipe_half_closed(const struct pipe *p)
{
    return p->half[PIPE_A].ended != p->half[PIPE_B].ended;
}

bool pipe_has_lost(const struct pipe *p, enum pipe_side side)
{
    return p->half[side].ended && !p->half[!side].shut && link_is_broken(p->link[side]);
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
