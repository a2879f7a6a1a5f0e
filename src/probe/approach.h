/* SPDX-License-Identifier: Apache-2.0 */
/* Coming to where TLS begins at a server: look its name up, connect, and ask for TLS in the server's
 * protocol. What is done there is others' (probe/server_probe.h, probe/hello_probe.h). */
#ifndef CARDEA_PROBE_APPROACH_H
#define CARDEA_PROBE_APPROACH_H

#include <stdint.h>

#include "base/err.h"
#include "net/addr.h"
#include "probe/outcome.h"

struct approach;
struct link;
struct loop;
struct resolver;
struct starttls;

/* Who is looked at, and as whom. What is pointed at is borrowed and outlives all who look. */
struct approach_to {
    struct loop *loop;
    struct resolver *resolver;
    const struct starttls *protocol; /* has a section `ask`; NULL: TLS begins at once */
    const char *host;                /* where to connect */
    uint16_t port;
    const char *name; /* what the server is to prove to be; also sent as SNI. NULL: any, and none */
};

struct approach_report {
    enum probe_outcome outcome; /* PROBE_GOOD: TLS may begin */
    struct err text;            /* else what was found and what was expected */
    struct net_addr address;    /* that was tried last; AF_UNSPEC: none was */
    int64_t spent[PROBE_TLS];   /* nanoseconds, or PROBE_NOT_REACHED */
    int64_t arrived;            /* clock_monotonic(), with PROBE_GOOD */
};

/* Begin. `timeout`, in nanoseconds, is for all of it. `done` is called from the loop, once. Never NULL. */
struct approach *approach_start(const struct approach_to *to, int64_t timeout, void (*done)(void *owner),
                                void *owner);

/* What came of it, once `done` was called. Lives as long as the approach. */
const struct approach_report *approach_report(const struct approach *a);

/* The connection, at which TLS is to begin: with PROBE_GOOD, once. The caller owns it, and sets its `wake`.
 */
struct link *approach_take(struct approach *a);

/* At any time. NULL is allowed. */
void approach_free(struct approach *a);

#endif
