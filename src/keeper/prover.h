/* SPDX-License-Identifier: Apache-2.0 */
/* Who puts a proof where a CA can see it (acme/client_proof.h), and takes it down again: the door's own table
 * of challenges, or a program that knows the DNS. Each belongs to the keeper's thread. */
#ifndef CARDEA_KEEPER_PROVER_H
#define CARDEA_KEEPER_PROVER_H

#include <stddef.h>

#include "acme/client_proof.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/addr.h"

struct challenges;
struct list;
struct prover;

/* One thing to do. Embed it; `proof` lives until `done`. */
struct prover_call {
    const struct acme_client_proof *proof;
    /* Perhaps before prover_put() has returned. `why` is NULL when it went well: borrowed for the call. */
    void (*done)(struct prover_call *call, const struct err *why);
    void *state; /* the prover's */
};

struct prover_ops {
    void (*put)(struct prover *p, struct prover_call *call);
    void (*drop)(struct prover *p, struct prover_call *call);
    void (*cancel)(struct prover *p, struct prover_call *call); /* `done` is not called any more */
    void (*free)(struct prover *p);
};

struct prover {
    const struct prover_ops *ops;
};

/* By tls-alpn-01 and http-01, in that table, which outlives it. Never NULL. */
struct prover *prover_door(struct challenges *challenges);

/* By dns-01, with a program: `argv` (its words to a NULL, the first one a path; copied), then "present" or
 * "cleanup", then _acme-challenge.NAME, then what the TXT record is to say. It has PATH alone in its
 * environment, `patience` ns, and is to exit with 0 once all name servers know. While it runs it is among
 * `programs` (net/program.h), also when it has no more time. Never NULL. */
struct prover *prover_hook(struct loop *loop, struct list *programs, char *const argv[], int64_t patience);

/* By dns-01, with DNS UPDATE (RFC 2136) of that zone at that server, signed with TSIG by hmac-sha256. All is
 * copied. Never NULL. */
struct prover *prover_update(struct loop *loop, const struct net_addr *server, const char *zone,
                             const char *key_name, struct str secret);

/* NULL is allowed. No call may be under way. */
void prover_free(struct prover *p);

#endif
