/* SPDX-License-Identifier: Apache-2.0 */
/* What a verb that stays arranges for its process: signals that come through its loop, and descriptors. */
#ifndef CARDEA_CMD_PROCESS_H
#define CARDEA_CMD_PROCESS_H

#include "base/err.h"
#include "loop/loop.h"

/* SIGINT and SIGTERM always; */
#define SIGNALS_HANGUP 1 /* SIGHUP as well; */
/* but none that whoever started us has us ignore (nohup, a shell's background job): those stay ignored. */
#define SIGNALS_INHERIT 2
/* SIGHUP always, to read a file again; that of a terminal that goes away is told as a SIGTERM, if at all. */
#define SIGNALS_RELOAD 4

struct signals {
    void (*told)(struct signals *s, int number); /* once for each that came */
    struct watch watch;                          /* private, as what follows */
    bool reload;
    bool no_hangup; /* a terminal that goes away is nothing to us */
};

#define SIGNALS_NONE         \
    {                        \
        .watch = {.fd = -1 } \
    }

/* From now on these signals do nothing but call `told` from the loop. Returns 0, or -1 with `err`. */
int signals_watch(struct signals *s, struct loop *loop, int which,
                  void (*told)(struct signals *s, int number), struct err *err);

/* Before the loop goes. They stay blocked. Nothing to do for SIGNALS_NONE. */
void signals_unwatch(struct signals *s);

/* Take as many descriptors as the system lets us: each connection needs two. */
void process_raise_descriptors(void);

/* Programs that we start leave word of how they ended, also where who started us did not want to hear it of
 * his own (SIGCHLD ignored, which is inherited). */
void process_keep_children(void);

/* Keep a little of what is freed. Queues of busy streams free and take the same memory all the time; given
 * back to the system in between it comes back page by page, which was a quarter of a client's cost over QUIC.
 */
void process_keep_memory(void);

#endif
