/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration made ready to serve: frozen, shared by all workers, never changed. A reload makes a new
 * one; sessions that began under the old one end under it. */
#ifndef CARDEA_SESSION_SNAPSHOT_H
#define CARDEA_SESSION_SNAPSHOT_H

#include <stdatomic.h>

#include "cert/expect.h"
#include "config/config.h"
#include "session/upstream.h"

struct buf;
struct cert;
struct cert_provider;
struct cert_source;
struct cert_store;
struct challenges;
struct counters;
struct ech_ring;
struct front;
struct office;
struct own_certs;
struct plan;
struct policy;
struct quic_secrets;
struct revocations_provider;
struct revoked;
struct route_table;
struct set_aside;
struct staging;
struct standby_pair;
struct starttls;
struct tickets;
struct tls_client;
struct tls_server;
struct trust;
struct web_service;

/* What has been counted under a route's name. Outlives reloads. */
struct route_stats {
    uint32_t magic;
    struct list node; /* in the shared parts */
    char *name;
    struct counters **block; /* one per worker */
    size_t blocks;
    _Atomic uint32_t live; /* connections now, of all workers */
    _Atomic uint32_t turn; /* whose it is among backends that are equally good */
};

/* A front and the ALPN protocol that asks for it. */
struct front_binding {
    const char *alpn;
    const struct front *front;
};

/* What whoever makes a door gives it to serve with. All of it is borrowed and must outlive the door. */
struct door_bindings {
    const struct front_binding *fronts;
    size_t fronts_len;
    const struct web_service *services; /* that routes with `serve` may name; n <= DOOR_SERVICES_MAX */
    size_t services_len;
    const struct web_service *certifier; /* what agents offer is certified by it (ca/certifier.h), in the
                                            office; NULL: nothing is */
    struct challenges *challenges;       /* answered before any route; NULL: none ever */
    struct cert_provider *provider; /* of certificates that are looked up; NULL: nothing will be served */
    struct revocations_provider *revocations; /* of the door's own CA; NULL: it has none */
    struct staging *staging; /* what the door begins with beside its configuration; NULL: nothing */
    struct set_aside *aside; /* ... and of its files what backups are served for; NULL: of none */
};

#define DOOR_SERVICES_MAX 16

/* A ring of ticket keys; rings outlive reloads, so that tickets do. */
struct ticket_ring {
    struct list node;
    struct tickets *tickets;
    int64_t rotate_at; /* monotonic */
};

/* A ring of ECH keys; it outlives reloads, so that what clients know of it stays good. */
struct ech_place {
    struct list node;
    struct ech_ring *ring;
    char complaint[256]; /* told last; "" */
};

/* What snapshots share and what lives longer than they do. Belongs to the control thread. */
struct snapshot_shared {
    size_t workers;
    bool only_checks;  /* nothing will be served: leave the disk as it is */
    uint64_t first_id; /* of connections: of each worker every `workers`-th from there on, plus its index */
    const struct door_bindings *bindings;
    struct office *office;   /* NULL before a route has led to it */
    struct staging *staging; /* for snapshots that are built; a reference; NULL: nothing */
    struct set_aside *aside; /* the same */
    struct backend_registry backends;
    struct list stats;        /* struct route_stats */
    struct list ticket_rings; /* struct ticket_ring */
    struct list ech_places;   /* struct ech_place */
    struct list ech_sources;  /* of backend_ech.c */
    struct quic_secrets *quic_secrets;
};

/* For `workers` workers. `bindings` must outlive it. */
void snapshot_shared_init(struct snapshot_shared *shared, size_t workers,
                          const struct door_bindings *bindings);

/* After the last snapshot: counters, ticket keys and backends go. */
void snapshot_shared_free(struct snapshot_shared *shared);

/* What clients that see candidates are served with instead of the route's own. */
struct route_candidates {
    const struct cert_store *store, *put;
    struct tls_server *tls, *tls_open; /* both NULL: there are no candidates for the route */
};

/* A route made ready. */
struct route_runtime {
    const struct config_route *config;
    struct route_stats *stats;
    const struct cert_store *store; /* where it ends TLS; borrowed from the snapshot's certificates. NULL
                                     * there: all are looked up */
    const struct cert_store *put;   /* looks_up: what was promoted for names of its source; or NULL */
    struct route_candidates candidates;
    bool looks_up;                  /* some of its certificates are asked of the snapshot's source ... */
    uint32_t asks_as;               /* ... for a route of this index: see struct cert_question */
    struct tls_server *tls;         /* where it ends TLS; expose: in private (NULL: it has no `clients`) */
    struct tls_server *tls_open;    /* expose to everybody */
    struct upstream upstream;       /* pass, terminate, forward */
    struct tls_client *backend_tls; /* terminate, forward: to a TLS backend, or NULL */
    struct expect expect;           /* of that backend, besides the chain */
    const struct backend_ech *ech;  /* to each of them; borrowed from the certificates. NULL: no TLS */
    const struct starttls *asks;    /* the protocol in which it is asked to begin TLS, or NULL */
    const struct starttls *tells;   /* in which the backend is told of the client, or NULL */
    const struct web_service **services; /* serve: those that it names */
    size_t services_len;
    bool ask_policy; /* the route knows its clients: the policy decides */
};

struct snapshot {
    uint32_t magic;
    _Atomic uint32_t refs;
    /* Parts that it may share with others, a reference to each. */
    struct plan *plan;
    struct own_certs *own;
    struct revoked *revoked;    /* by the door's own CA; NULL: it has none */
    struct trust **trust;       /* in the order of config->trust */
    struct trust *system_trust; /* when some backend wants it */
    struct cert_source *source; /* of certificates that are looked up; NULL: none is */
    struct ech_ring *ech;       /* keys that hellos are decrypted by; NULL: none is */
    struct staging *staging;    /* what stands beside the configuration; NULL: nothing */
    struct set_aside *aside;    /* of what the backup is served; NULL: of nothing */
    /* What is in them, borrowed. */
    const struct config *config;
    const struct route_table *table;
    const struct policy *policy;
    struct cert *const *certs; /* that are served, in the order of config->certificates; NULL: many, which are
                                * looked up */
    const struct standby_pair *pairs; /* in the same order: what they are chosen from */
    /* Its own. */
    struct route_runtime *routes; /* in the order of config->routes; their ids are their indexes */
    struct route_stats *door;     /* connections that ended before they had a route */
    size_t descriptor_limit;      /* for all that connections need: see worker_admit() */
};

/* Make `config` (taken, also on failure) ready. NULL with lines of errors appended to `errors`. */
struct snapshot *snapshot_build(struct config *config, struct snapshot_shared *shared, struct buf *errors);

/* The same, but for the trust bundles: those whose CRL files have changed are read anew, and what the door's
 * own CA has revoked by now counts in all. No other file is looked at. A bundle that cannot be read stays as
 * it was, with a line appended to `errors`; *ret_unread is what snapshot_stale() would say if there were only
 * those, as their files were before they were read. NULL when nothing has changed that could be read. */
struct snapshot *snapshot_refresh(const struct snapshot *old, struct snapshot_shared *shared,
                                  struct buf *errors, uint64_t *ret_unread);

/* The same as `old` with what is in `staging` beside its configuration, and the backups served of what is in
 * `aside`; NULL: both as before. No file is read; stores of routes that serve what they did are shared. NULL
 * with lines in `errors`. */
struct snapshot *snapshot_restage(const struct snapshot *old, struct snapshot_shared *shared,
                                  struct staging *staging, struct set_aside *aside, struct buf *errors);

/* 0 while no CRL file has changed since its trust bundle was read, and the door's own CA has revoked nothing
 * more; else a number for how these are now: another when one changes again. */
uint64_t snapshot_stale(const struct snapshot *snap, const struct snapshot_shared *shared);

/* One reference more, from any thread. */
struct snapshot *snapshot_ref(struct snapshot *snap);

/* From any thread; the last one frees. NULL is allowed. */
void snapshot_unref(struct snapshot *snap);

/* The front for a negotiated ALPN protocol, or NULL. */
const struct front *snapshot_front(const struct snapshot_shared *shared, struct str alpn);

/* Is the office (session/office.h) needed: does some route lead to a service that answers there, or are
 * agents' offers certified? */
bool snapshot_needs_office(const struct snapshot *snap);

/* Can streams of QUIC reach this route when it was chosen by that ALPN protocol? */
bool snapshot_carries(const struct snapshot_shared *shared, const struct route_runtime *route,
                      struct str alpn);

/* Has this listener a use for QUIC? */
bool snapshot_listens_udp(const struct snapshot *snap, size_t listener);

#endif
