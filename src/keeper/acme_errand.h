/* SPDX-License-Identifier: Apache-2.0 */
/* An ACME client's errand (acme/client.h) in the world: its requests are sent, its proofs are put up and
 * taken down, its waits are waited for. On one loop, without blocking. */
#ifndef CARDEA_KEEPER_ACME_ERRAND_H
#define CARDEA_KEEPER_ACME_ERRAND_H

#include "acme/client.h"
#include "keeper/prover.h"

struct acme_errand;
struct fetcher;

struct acme_errand_settings {
    struct loop *loop;
    struct fetcher *fetcher;
    const char *ca_file;                /* that the CA's own certificate must lead to; NULL: the system's */
    struct acme_client_settings client; /* what it borrows lives until `done`, or acme_errand_cancel() */
    struct prover *provers[ACME_PROOF_KINDS]; /* of each kind in client.proofs */
    /* Its account or its order is known now: time to write them down. */
    void (*noted)(void *arg, const struct acme_client *c);
    /* It is over, well where `failure` is NULL. The errand is freed behind it. */
    void (*done)(void *arg, const struct acme_client *c, const struct acme_client_failure *failure);
    void *arg;
};

/* Begin; nothing is called from within. `ca_file` is copied. NULL with `err`: the settings make no sense. */
struct acme_errand *acme_errand_start(const struct acme_errand_settings *settings, struct err *err);

/* Forget it, as at the end of the thread: nothing is called any more. Proofs that the door holds are taken
 * down; what a program has put up stays, and does no harm. */
void acme_errand_cancel(struct acme_errand *e);

#endif
