/* SPDX-License-Identifier: Apache-2.0 */
/* Accepts connections on a listening socket. When descriptors run out it lets clients go at once instead of
 * spinning or leaving them to wait, and when told to pause it leaves them in the kernel's queue. */
#ifndef CARDEA_NET_ACCEPTOR_H
#define CARDEA_NET_ACCEPTOR_H

#include "loop/loop.h"
#include "net/addr.h"

struct acceptor {
    struct watch watch;
    struct loop *loop;
    int reserve; /* a descriptor to give up when there are none left */
    bool paused;
    bool shared;  /* other acceptors, in other threads, wait at the same socket: set before */
    bool lasting; /* it goes on listening after we have gone: who waits there is left to whoever comes next */
    struct timer retry;
    /* A new connection; the callee owns fd. It may pause the acceptor, but not stop it. */
    void (*accepted)(struct acceptor *, int fd, const struct net_addr *peer);
    /* A client was let go because this process or the system has no descriptor or memory for it. */
    void (*refused)(struct acceptor *, int error);
};

/* Take over `fd` (also on failure, when it is closed), but accept nothing before acceptor_resume(): all that
 * can fail is done here, and it may be called in another thread than the loop's. Set `accepted` and `refused`
 * before. -1 with `err`. */
int acceptor_prepare(struct acceptor *a, struct loop *loop, int fd, struct err *err);

/* The same, and begin to accept. */
int acceptor_start(struct acceptor *a, struct loop *loop, int fd, struct err *err);

/* Stop taking connections until acceptor_resume(); they wait in the kernel's queue. */
void acceptor_pause(struct acceptor *a);

/* Go on; harmless when it is not paused. */
void acceptor_resume(struct acceptor *a);

/* Take what is waiting (`accepted` is called for it), then close. Harmless when it is stopped already. The
 * acceptor may be freed at the end of the round. */
void acceptor_stop(struct acceptor *a);

/* Close one that was prepared and never resumed; in any thread. */
void acceptor_abandon(struct acceptor *a);

#endif
