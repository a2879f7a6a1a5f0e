/* SPDX-License-Identifier: Apache-2.0 */
/* Joins two open links: what one reads the other writes, both ways at once, with back-pressure and
 * half-close. It does not know what the links are. It holds bytes only while the far side can't take them. */
#ifndef CARDEA_PIPE_PIPE_H
#define CARDEA_PIPE_PIPE_H

#include "link/link.h"

/* Space that all pipes of a thread read into by turns; nothing stays in it between calls. */
struct pipe_scratch {
    uint8_t *data;
    size_t size;        /* at least PIPE_SCRATCH_MIN */
    int kernel_pipe[2]; /* a pipe(7), for bulk that need not leave the kernel; -1 where there is none */
};

#define PIPE_SCRATCH_MIN 1024

/* Make the scratch. With `splices` it gets its pipe(7) too, if the system lets us have one that is large
 * enough to be worth it; else all bytes are copied. SIGPIPE must be ignored then: splice(2) can't be told not
 * to send it. */
void pipe_scratch_init(struct pipe_scratch *scratch, bool splices);
void pipe_scratch_free(struct pipe_scratch *scratch);

enum pipe_side { PIPE_A, PIPE_B };

enum pipe_status {
    PIPE_WAIT,  /* nothing possible until one of the links wakes */
    PIPE_YIELD, /* more is possible, but others should have a turn: call again soon */
    PIPE_DONE, /* both directions ended and delivered; closing the links (not aborting) tells the last side */
    PIPE_FAILED, /* a link broke: pipe->failed says which one */
};

/* One direction. */
struct pipe_half {
    uint8_t *held; /* read but not yet taken by the far side; NULL when there is nothing */
    size_t held_len;
    size_t held_off;
    size_t appetite; /* how much to read next */
    bool ended;      /* the source has given EOF */
    bool shut;       /* ... and the far side has been told */
};

struct pipe {
    struct link *link[2];
    struct pipe_half half[2]; /* half[PIPE_A] carries from A to B */
    enum pipe_side failed;
};

/* Join two links; the pipe does not own them. */
void pipe_init(struct pipe *p, struct link *a, struct link *b);

/* Give the pipe bytes that were read from side `from` before it was made; they go first. They are copied.
 * Only before the first pipe_run(). */
void pipe_prime(struct pipe *p, enum pipe_side from, const void *data, size_t len);

/* Likewise: side `from` has been read to its end. */
void pipe_prime_end(struct pipe *p, enum pipe_side from);

/* Move what can be moved. */
enum pipe_status pipe_run(struct pipe *p, const struct pipe_scratch *scratch);

/* The same, but read no more than `most` bytes (> 0), both directions together, of which side A's are about
 * half: what one sends does not keep what he is sent from coming. PIPE_YIELD also when that was why it ended.
 */
enum pipe_status pipe_run_within(struct pipe *p, const struct pipe_scratch *scratch, size_t most);

/* True when exactly one direction has ended. */
bool pipe_half_closed(const struct pipe *p);

/* Has that side broken after it had ended its direction? Nobody reads from it any more, so pipe_run() finds
 * out only when there is something to write to it; a link wakes its owner for it all the same. */
bool pipe_has_lost(const struct pipe *p, enum pipe_side side);

/* Bytes held at the moment; for tests and for bounds. */
size_t pipe_held(const struct pipe *p);

/* Free what is held. The links stay. */
void pipe_free(struct pipe *p);

#endif
