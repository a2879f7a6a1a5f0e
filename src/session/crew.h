/* SPDX-License-Identifier: Apache-2.0 */
/* The workers as a crew: started together, told things together, stopped together. Control thread only. */
#ifndef CARDEA_SESSION_CREW_H
#define CARDEA_SESSION_CREW_H

#include <stddef.h>

struct admission;
struct err;
struct fellows;
struct loop;
struct parting;
struct sink_file;
struct snapshot_shared;
struct worker;

struct crew {
    struct agents_hub *agents;
    struct worker *worker;
    size_t count;
    struct fellows *fellows;
    size_t running;
    struct loop *control;
    void (*stopped)(void *arg);
    void *stopped_arg;
    struct parting *parting; /* one per worker: its last message */
};

/* Make `count` workers; none runs yet. -1 with `err`. */
int crew_init(struct crew *crew, size_t count, struct admission *admission,
              const struct snapshot_shared *shared, struct sink_file *audit, struct err *err);

/* Start their threads; `control` is the loop of the calling thread. -1 with `err`. */
int crew_start(struct crew *crew, struct loop *control, struct err *err);

/* Call `run` in every worker's thread, then `done` (may be NULL) in the control thread. */
void crew_broadcast(struct crew *crew, struct loop *control, void (*run)(struct worker *, void *arg),
                    void (*done)(void *arg), void *arg);

/* Call `stopped` in the control thread once every worker's loop has ended and its thread was joined. */
void crew_when_stopped(struct crew *crew, void (*stopped)(void *arg), void *arg);

/* Free workers that do not run. Harmless on a zeroed struct. */
void crew_free(struct crew *crew);

#endif
