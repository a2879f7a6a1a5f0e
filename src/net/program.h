/* SPDX-License-Identifier: Apache-2.0 */
/* A program that serves one connection, as from inetd: its standard input and output are one end of a pair of
 * unix sockets, its standard error is ours. It is in a session of its own and inherits no other descriptor,
 * no signal disposition and no environment but what it is given. */
#ifndef CARDEA_NET_PROGRAM_H
#define CARDEA_NET_PROGRAM_H

#include <stdbool.h>

#include "base/list.h"
#include "loop/loop.h"

#define PROGRAM_GRACE_NS (INT64_C(5) * 1000000000) /* from SIGTERM to SIGKILL */
#define PROGRAM_FDS 1                              /* that it takes beside the socket, until it is gone */

enum program_phase {
    PROGRAM_SERVES,
    PROGRAM_FINISHES, /* has ended its connection in order, and may do what is left to do */
    PROGRAM_IS_ENDED, /* has been told to end (SIGTERM) */
};

struct program {
    struct loop *loop;
    void (*changed)(struct program *); /* it has exited; may call program_leave() */
    void (*gone)(struct program *);    /* nothing is left of it, after program_leave(): it may be freed at
                                          the end of the round */
    void *owner;
    struct list *among; /* the list that it is in from its start until it is gone */
    /* private */
    struct list node;
    int pid;
    enum program_phase phase;
    bool exited;
    bool left;
    int status; /* as from waitid(2): si_code and si_status */
    int code;
    struct watch watch; /* of its pidfd */
    struct timer patience;
};

/* Start argv[0] (a path) with these words and this environment. `loop`, `changed`, `gone`, `owner` and
 * `among` are set before. Returns our end of the pair, non-blocking, or -1 with errno: then there is no
 * process, and the struct is not in use. */
int program_start(struct program *p, char *const argv[], char *const envp[]);

enum program_status {
    PROGRAM_RUNS,
    PROGRAM_EXITED, /* by itself */
    PROGRAM_KILLED, /* by a signal */
};

/* How it is, with the status that it exited with or the number of the signal; 0 while it runs. */
enum program_status program_status(struct program *p, int *ret_number);

/* Has it ended in any way but with status 0? Writes how into `text`. */
bool program_failed(struct program *p, char *text, size_t cap);

/* Its connection is over. In order: it has closed its end itself, and has PROGRAM_GRACE_NS to finish. Else it
 * gets SIGTERM now. Who does not obey is killed; what it leaves in its process group is killed with it.
 * `gone` is called when it is reaped, perhaps at once. */
void program_leave(struct program *p, bool in_order);

/* Kill it and wait for its end, which is near; `gone` is called. For the end of a thread. */
void program_kill(struct program *p);

/* The same for all of a list. */
void programs_kill(struct list *among);

/* Those of a list that may still finish have no more time for it. */
void programs_end(struct list *among);

#endif
