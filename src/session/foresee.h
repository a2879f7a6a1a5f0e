/* SPDX-License-Identifier: Apache-2.0 */
/* What would become of a connection, by a configuration alone: for `cardea explain`. Asks the functions that
 * sessions ask (session/routing.h, session/certify.h, tls/server.h), in the order of their steps, so that it
 * says what a door does. What only a running door knows (agents, backends that are down, limits,
 * certificates that are fetched, ECH, challenges) is left open. */
#ifndef CARDEA_SESSION_FORESEE_H
#define CARDEA_SESSION_FORESEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/reason.h"
#include "base/str.h"
#include "cert/cert.h"
#include "hello/hello.h"
#include "net/addr.h"
#include "policy/policy.h"

struct buf;
struct config;
struct identity;
struct route_runtime;
struct route_trial;
struct snapshot;
struct snapshot_shared;

/* Who comes. What is not said of him is as it is of clients of today: he speaks TLS 1.2 too, and has all
 * cipher suites and groups. All is borrowed. */
struct foresee_client {
    uint32_t listener;
    bool quic;
    struct net_addr peer;            /* AF_UNSPEC: unknown */
    const char *name;                /* in lower case, without a last dot; "": he sends none */
    const uint8_t *alpn;             /* the names of a ProtocolNameList, each after its one-byte length */
    size_t alpn_len;                 /* 0: he sends none */
    uint16_t version;                /* the highest that he offers: 0x0303 or 0x0304 */
    const enum cert_key_kind *kinds; /* of key that he can verify, most wanted first */
    size_t kinds_len;                /* 0: all, as a door prefers them */
    const uint16_t *groups;          /* that he offers, code points of tables/groups.def */
    size_t groups_len;               /* 0: all */
    const struct buf *pem;           /* the chain that he shows when he is asked, leaf first; NULL: none */
};

/* Texts and pointers live as long as snapshot and client. Free with foresight_free(). */
struct foresight {
    const struct route_runtime *route; /* NULL: none takes it */
    bool ends_tls;                     /* the door speaks TLS with him, and has found what with */
    bool candidates;                   /* he sees candidates */
    uint16_t version;                  /* that is agreed */
    char alpn[256];                    /* that is agreed, NUL-terminated; "": none */
    bool asks;                         /* he is asked for a certificate */
    bool demands;                      /* ... and must show one */
    const struct cert *cert;           /* that he is shown; NULL: none is known */
    bool looked_up;                    /* ... but one that is looked up by a running door comes before it */
    struct identity *identity;         /* that he has proven; NULL: none */
    bool judged;                       /* the policy was asked ... */
    struct policy_verdict verdict;     /* ... and says this */
    enum close_reason reason;          /* CLOSE_DONE: nothing stops him */
    uint8_t alert;                     /* else what he is told; 0: nothing */
    char why[POLICY_TEXT_MAX];         /* ... and why */
};

/* Why a running door looks up no certificate for that name, in its words: static text; NULL: it may have one.
 * `route` as in struct cert_question. */
typedef const char *foresee_lacks(const struct config *config, uint32_t route, const char *name);

/* Fill in *ret as far as the connection comes. `client->listener` is one of the configuration that begins
 * with TLS, or with STARTTLS. */
void foresee(const struct snapshot *snap, const struct snapshot_shared *shared,
             const struct foresee_client *client, foresee_lacks *lacks, struct foresight *ret);

/* Free the identity; the rest is borrowed. */
void foresight_free(struct foresight *f);

/* Call `each` with every rule: see routing_trace(). */
int foresee_routes(const struct snapshot *snap, const struct foresee_client *client,
                   void (*each)(void *arg, const struct route_trial *trial), void *arg, bool *ret_as_http);

#endif
