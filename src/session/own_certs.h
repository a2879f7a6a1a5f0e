/* SPDX-License-Identifier: Apache-2.0 */
/* The door's own certificates as they were when their files were read, and what each route makes of them. A
 * part that snapshots share (session/snapshot.h): filled by whoever makes one, not changed once it serves. */
#ifndef CARDEA_SESSION_OWN_CERTS_H
#define CARDEA_SESSION_OWN_CERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend_ech;
struct cert;
struct cert_store;
struct complaints;
struct config;
struct config_route;
struct set_aside;
struct snapshot_shared;
struct staging;
struct standby_pair;

struct route_certs {
    struct cert_store *store;           /* terminate, tunnel; NULL: all are looked up */
    struct cert_store *put;             /* for names that are looked up, what an operator has put there */
    struct cert_store *candidate_store; /* with candidates; the same where there are none */
    struct cert_store *candidate_put;
    struct cert *backend; /* shown to a TLS backend, or NULL */
    struct backend_ech *ech;
};

struct own_certs {
    uint32_t refs;              /* atomic */
    struct standby_pair *pairs; /* in the order of config->certificates */
    struct cert **v;            /* the one of each that is served; borrowed from the pairs */
    size_t n;
    struct route_certs *route; /* in the order of config->routes */
    size_t routes;
};

/* Room for those of a configuration; one reference. Never NULL. */
struct own_certs *own_certs_new(const struct config *c);

/* The same certificates of the same configuration, for other stores. */
struct own_certs *own_certs_again(const struct own_certs *old, const struct config *c);

/* In any thread; the last one frees. */
struct own_certs *own_certs_ref(struct own_certs *own);
void own_certs_unref(struct own_certs *own);

/* Read the files of the configuration of said->plan: certificates and what stands by for them. What is wrong
 * is complained of. */
void own_certs_read(struct own_certs *own, struct complaints *said);

/* Say which one of each pair is served; `aside` may be NULL. */
void own_certs_choose(struct own_certs *own, const struct set_aside *aside);

/* Make what each route chooses from, of those that are served and of what stands beside the configuration
 * (`staging` may be NULL). Stores of `before`, which has the same files, are shared where they are the same;
 * NULL: there is none. */
void own_certs_stock(struct own_certs *own, const struct staging *staging, const struct own_certs *before,
                     struct complaints *said);

/* Read what routes show to their backends, and how they hide whom they ask for. */
void own_certs_read_backends(struct own_certs *own, struct snapshot_shared *shared, struct complaints *said);

/* Does this route take certificates that are looked up by name? */
bool own_certs_looks_up(const struct config *c, const struct config_route *rc);

#endif
