/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the service manager how its service is: the protocol of sd_notify(3), datagrams of VARIABLE=VALUE
 * lines to a unix socket, so that no library is needed. Readiness, reloads, the stop, a line of status, and
 * the watchdog: a sign of life for as long as the owner's own workers give one. All calls belong to the
 * loop's thread. */
#ifndef CARDEA_NET_SUPERVISOR_H
#define CARDEA_NET_SUPERVISOR_H

#include <stdint.h>

struct buf;
struct err;
struct loop;
struct supervisor;

/* What a service manager hands its service in the environment. */
struct supervision {
    const char *socket;   /* NOTIFY_SOCKET: an absolute path, or @NAME in the abstract namespace; NULL: nobody
                             wants to know */
    const char *watchdog; /* WATCHDOG_USEC: microseconds within which a sign of life must come; NULL: none */
    const char *watchdog_pid; /* WATCHDOG_PID: the process that the watchdog is for; NULL: whoever reads it */
};

/* How its owner is. */
struct supervised {
    /* Append one line without its end. */
    void (*describe)(void *arg, struct buf *text);
    /* Make sure that everything that must live does, then call `answered` once, on the loop's thread. What
     * hangs never calls it. */
    void (*ask)(void *arg, void (*answered)(void *answered_arg), void *answered_arg);
    void *arg;
};

/* Open the way to the service manager. `loop` and `how` are borrowed. NULL with an empty `err` when nobody
 * supervises, and with its text when `with` cannot be followed; every other call takes that NULL and does
 * nothing. */
struct supervisor *supervisor_new(struct loop *loop, const struct supervision *with,
                                  const struct supervised *how, struct err *err);

/* The service serves. From now on the watchdog gets its sign of life, and the status is kept up to date. */
void supervisor_ready(struct supervisor *s);

/* A reload begins; supervisor_ready() ends it, whatever came of it. */
void supervisor_reloading(struct supervisor *s);

/* The service has been told to stop, which may take `most` nanoseconds: the manager is to wait for so long.
 */
void supervisor_stopping(struct supervisor *s, int64_t most);

/* Before the loop goes, and after a question that is out can still be answered. */
void supervisor_free(struct supervisor *s);

#endif
