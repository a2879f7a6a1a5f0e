/* SPDX-License-Identifier: Apache-2.0 */
/* Sending a server a ClientHello that was written by hand (hello/write.h), and reading how it begins to
 * answer. */
#ifndef CARDEA_PROBE_HELLO_PROBE_H
#define CARDEA_PROBE_HELLO_PROBE_H

#include "base/buf.h"
#include "hello/answer.h"
#include "probe/approach.h"

struct hello_probe;

enum hello_probe_end {
    HELLO_PROBE_ANSWERED,  /* by the server, with what `answer` says */
    HELLO_PROBE_CLOSED,    /* the connection ended instead */
    HELLO_PROBE_SILENT,    /* nothing came in time */
    HELLO_PROBE_UNREACHED, /* the hello could not even be sent: nothing is known */
};

struct hello_probe_result {
    enum hello_probe_end end;
    struct hello_answer answer; /* with HELLO_PROBE_ANSWERED */
};

struct hello_probe_params {
    struct approach_to to;
    struct buf wire;           /* the hello in records; taken over */
    size_t first;              /* bytes of it that are sent first ... */
    int64_t pause;             /* ... so long, in nanoseconds, before the rest; 0: all at once */
    int64_t timeout;           /* for all of it, in nanoseconds */
    void (*done)(void *owner); /* from the loop, once; free it there if you like */
    void *owner;
};

/* Begin. Never NULL. */
struct hello_probe *hello_probe_start(const struct hello_probe_params *params);

/* What was found, once `done` was called. Lives as long as the probe. */
const struct hello_probe_result *hello_probe_result(const struct hello_probe *p);

/* At any time. NULL is allowed. */
void hello_probe_free(struct hello_probe *p);

#endif
