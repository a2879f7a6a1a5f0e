/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that serves: its loop, its listeners, its sessions, and the scratch space they use by turns. A
 * connection touches nothing of another worker's; the little that workers share, atomics and three short
 * locks, is listed in ARCHITECTURE.md under Threads. Control talks to them by messages. */
#ifndef CARDEA_SESSION_WORKER_H
#define CARDEA_SESSION_WORKER_H

#include <pthread.h>

#include "audit/counters.h"
#include "audit/reason.h"
#include "audit/sink.h"
#include "loop/loop.h"
#include "net/acceptor.h"
#include "net/resolver.h"
#include "pipe/pipe.h"
#include "session/admission.h"
#include "session/snapshot.h"
#include "tls/tls_link.h"

/* A worker's hold on a snapshot: counted without atomics, since only this thread counts. */
struct epoch {
    struct snapshot *snap;
    size_t holders;              /* sessions, and the worker itself while the epoch is current */
    uint64_t number;             /* of this worker: 1, 2, ... */
    struct backend_pools *pools; /* NULL before a session has come to a TLS backend */
    struct cert_desk *desk;      /* asks the snapshot's source of certificates; NULL: it has none */
};

/* A listener of this worker. */
struct port {
    struct acceptor acceptor;
    struct worker *worker;
    struct list node;
    struct port *next;        /* of the same listener, while they are fresh */
    struct socket_file *file; /* of a unix socket of ours; else NULL */
    char *key;                /* the address as configured: what it is known by across reloads */
    uint32_t listener;        /* index in the current configuration */
    bool keep;                /* while a new configuration is put in place */
    struct task free_later;   /* an event of this round may still name the acceptor */
};

struct agents;
struct pages_counts;
struct agents_hub;
struct backend_pools;
struct cert_desk;
struct quic_scratch;
struct review;

/* What the workers of a crew know of each other. */
struct fellows {
    struct worker *worker; /* all of them, in order */
    size_t count;
    _Atomic size_t busy;             /* those that a stop has to wait for */
    _Atomic size_t retired;          /* UDP listeners that are kept for their connections only */
    _Atomic uint64_t astray;         /* packets that came to another than theirs (astray.h), so far */
    _Atomic uint64_t astray_dropped; /* of these, since too many waited */
};

/* Where a worker's notices go: to a function in the thread of that loop. */
struct worker_ear {
    struct loop *loop;
    void (*hear)(void *arg, const char *text);
    void *arg;
};

struct worker {
    uint32_t magic;
    unsigned index;
    struct loop *loop;
    pthread_t thread;
    struct resolver *resolver;
    struct pipe_scratch pipe_scratch;
    struct tls_scratch tls_scratch;
    struct quic_scratch *quic_scratch;
    struct sink sink;
    struct agents *agents; /* its view of what is offered */
    struct epoch *epoch;
    uint64_t epochs; /* so far */
    struct list ports;
    struct list quic_ports;      /* UDP */
    _Atomic size_t astray_bytes; /* of packets that others have handed to us, and we have not seen yet */
    struct list sessions;
    size_t session_count;
    struct list unreviewed; /* residents, see review.h */
    struct timer review;    /* goes on with them */
    uint64_t next_id;
    struct admission *admission;          /* shared by all */
    const struct snapshot_shared *shared; /* its fronts */
    struct fellows *fellows;
    bool draining;
    bool empty;              /* draining, and nothing is left */
    bool called;             /* ... or its time is over: sessions have been closed */
    struct timer last_call;  /* the end of draining */
    struct timer last_words; /* looks whether what was said has arrived */
    struct message *over;    /* posted to `ear.loop` once, when no session is left; else NULL */
    enum close_reason last;  /* how the session that has ended last did */
    struct pages_counts *requests;
    struct list programs; /* of sessions, also of those that have ended */
    struct worker_ear ear;
    int64_t packed_since;  /* when offers were last told that the door is packed */
    int64_t notices_since; /* so many notices have gone out since then, or were left out */
    size_t notices;
};

/* A worker that has no configuration yet. -1 with `err`. */
int worker_init(struct worker *w, unsigned index, struct fellows *fellows, struct agents_hub *hub,
                struct admission *admission, const struct snapshot_shared *shared, struct sink_file *audit,
                struct err *err);

/* A listening socket for a port of a worker. */
struct port_socket {
    int fd;
    bool shared;              /* duplicates of it are other workers' */
    bool lasting;             /* it goes on listening without us */
    struct socket_file *file; /* a reference is taken; or NULL */
};

/* Make a listener of this worker out of a listening socket (its descriptor is taken, also on failure) without
 * accepting yet: for worker_install(), or else worker_port_drop(). `key` is copied. In any thread. NULL with
 * `err`. */
struct port *worker_port_new(struct worker *w, const char *key, const struct port_socket *socket,
                             struct err *err);

/* Close one that was not installed, and those that follow it; NULL is allowed. In any thread. */
void worker_port_drop(struct port *port);

/* A listener for worker_install(): `fresh` (taken) is NULL where the worker goes on with what it has. */
struct worker_listener {
    const char *key;
    struct port *fresh;          /* one, or a chain of several */
    struct quic_port *fresh_udp; /* the same for UDP */
    bool udp;                    /* QUIC is served there */
};

/* Serve under `snap` (a reference is taken) from now on; `listeners` are those of its configuration, in
 * order. Nothing of it can fail. *ret: what that has done to what was there. In the worker's thread, or
 * before it runs. */
void worker_install(struct worker *w, struct snapshot *snap, const struct worker_listener *listeners,
                    size_t count, struct review *ret);

/* Serve under `snap` (a reference is taken) from now on, whose configuration is the one in force. In the
 * worker's thread. */
void worker_refresh(struct worker *w, struct snapshot *snap);

/* The source of certificates has others now: see cert_cache_forget(). In the worker's thread. */
void worker_forget_certificates(struct worker *w, const char *name);

/* Take no more connections and drop those that have not said yet what they want; when `deadline` passes
 * (monotonic) close those that are left. Once no worker has any, and none carries bytes for another, all stop
 * their loops: until then each has to answer the others. Told again, only the deadline changes. In the
 * worker's thread. */
void worker_drain(struct worker *w, int64_t deadline);

/* After its thread has ended (or never began): close all that it has. What others have told it, or it them,
 * may still be on its way: worker_settle() for all until none has anything left to do, then free. */
void worker_close(struct worker *w);

/* Do what has been posted and put off. False when there was nothing. */
bool worker_settle(struct worker *w);

/* After worker_close(): free everything. */
void worker_free(struct worker *w);

/* An id that no other connection has or had. */
uint64_t worker_next_id(struct worker *w);

/* A hold on an epoch, the present one or another that is held, for a new session; worker_release() when it
 * ends. */
struct epoch *worker_hold(struct worker *w, struct epoch *e);
void worker_release(struct worker *w, struct epoch *e);

/* What a stop has to wait for may have ended: is anything left? */
void worker_look_for_end(struct worker *w);

/* A session began or ended. */
void worker_joined(struct worker *w, struct list *node);
void worker_left(struct worker *w, struct list *node);

/* Tell the door's operator, in one line. Clients cause notices: of more than a few a minute the rest is left
 * out, and counted. */
void worker_notice(struct worker *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The counters of this worker for a route. */
static inline struct counters *worker_counters(const struct worker *w, const struct route_stats *stats)
{
    return stats->block[w->index];
}

/* Count a handshake that is complete: what TLS knows of the client, and how long it took (nanoseconds). */
static inline void worker_count_handshake(struct counters *c, const struct link_peer *peer, int64_t duration)
{
    const struct counted_handshake done = {.version = peer->version,
                                           .group = peer->group,
                                           .resumed = peer->resumed,
                                           .hello_retry = peer->hello_retry,
                                           .bytes_in = peer->handshake_in,
                                           .bytes_out = peer->handshake_out,
                                           .duration = duration};
    counters_handshake(c, &done);
}

/* Descriptors that are set aside for a session on a socket: its own, and the one towards its target, backend
 * or agent. One on a stream has the second only. */
#define FAR_FDS ((size_t)1)
#define SESSION_FDS (1 + FAR_FDS)

/* Count a connection under the limits of `snap`, and set that many descriptors aside for it, so that none is
 * missing later: ADMIT_TOO_MANY also where too few are left. The caller gives both back with
 * admission_leave() and admission_release(). */
enum admission_verdict worker_admit(struct worker *w, const struct snapshot *snap,
                                    const struct net_addr *peer, size_t descriptors);

/* How full the door is by the configuration in force, in places or descriptors, whichever there
 * are fewer of. */
enum worker_crowd {
    WORKER_ROOMY,
    WORKER_CROWDED, /* three of four are taken: nobody takes any in advance from here on */
    WORKER_PACKED,  /* seven of eight: what was taken in advance is given up */
};
enum worker_crowd worker_crowd(const struct worker *w);

/* Where the door is packed, have the offers whose home is here give up what they keep ready. worker_admit()
 * does it; offers do it now and then for a worker that nobody comes to. At most once a second. */
void worker_make_room(struct worker *w);

#endif
