/* SPDX-License-Identifier: Apache-2.0 */
/* The backends of a route: which is up, which has the fewest connections. Shared by all workers without
 * locks. */
#ifndef CARDEA_SESSION_UPSTREAM_H
#define CARDEA_SESSION_UPSTREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define UPSTREAM_BACKENDS_MAX 64
#define UPSTREAM_RETRY_NS (INT64_C(1000) * 1000000) /* a backend that refused is left alone this long */

/* One address, wherever the configuration names it. It outlives a reload, so that counts and health stay
 * right. */
struct backend {
    uint32_t magic;
    _Atomic uint32_t refs;
    struct list node; /* in the registry */
    char *key;        /* "HOST:PORT" or "unix:PATH": what it is known by */
    char *host;       /* NULL for unix */
    uint16_t port;
    _Atomic uint32_t live;       /* connections now, of all workers */
    _Atomic bool down;           /* by active checks */
    _Atomic bool tried;          /* by a connection or a check: before, nobody knows whether it is up */
    _Atomic int64_t avoid_until; /* by failures in passing */
};

/* All backends that any live configuration names; belongs to the control thread. */
struct backend_registry {
    struct list backends;
};

void backend_registry_init(struct backend_registry *r);

/* The backend of that key, made if it is new; a reference for the caller. `host` is NULL for a unix socket.
 */
struct backend *backend_get(struct backend_registry *r, const char *key, const char *host, uint16_t port);

/* From any thread; NULL is allowed. Frees nothing: that is left to backend_registry_sweep(), since the list
 * is the control thread's. */
void backend_unref(struct backend *b);

/* Free those that nobody refers to any more. */
void backend_registry_sweep(struct backend_registry *r);

/* The path of a unix socket backend, or NULL. */
const char *backend_unix_path(const struct backend *b);

struct upstream {
    struct backend **v;
    size_t n;
    _Atomic uint32_t *turn; /* breaks ties; counted beside the snapshot, which never changes */
};

/* The backend to try at `now`: of those that are up and not in `tried` (a bit each), the one with the fewest
 * connections; when all those are being avoided, the least avoided. -1 when none is left. */
int upstream_pick(const struct upstream *u, int64_t now, uint64_t tried);

/* It was picked: it counts as one more connection from now on, until backend_release(), so that others who
 * pick meanwhile see it. */
void backend_acquire(struct backend *b);
void backend_release(struct backend *b);

/* There was an attempt to reach it. */
void backend_tried(struct backend *b);

/* It took the connection, or did not: then it is avoided for a while. */
void backend_succeeded(struct backend *b);
void backend_failed(struct backend *b, int64_t now);

#endif
