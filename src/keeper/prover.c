/* SPDX-License-Identifier: Apache-2.0 */
/* The prover that is the door itself. */
#include "keeper/prover.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "cert/cert.h"
#include "web/challenges.h"

struct door_prover {
    struct prover base;
    struct challenges *challenges;
};

static int put_certificate(struct challenges *all, const struct acme_client_proof *proof, struct err *err)
{
    char name[ACME_CLIENT_SNI_MAX];
    struct cert *cert = acme_client_alpn_certificate(proof, clock_wall() / NSEC_PER_SEC, err);
    if (cert == NULL)
        return -1;
    acme_client_alpn_name(proof, name);
    int rc = challenges_put_cert(all, name, cert)
                 ? 0
                 : err_set(err, "the door holds %d challenges already", CHALLENGES_MAX);
    cert_unref(cert);
    return rc;
}

static void put(struct prover *p, struct prover_call *call)
{
    struct challenges *all = CONTAINER_OF(p, struct door_prover, base)->challenges;
    const struct acme_client_proof *proof = call->proof;
    struct err err;
    int rc = 0;
    if (proof->kind == ACME_BY_TLS_ALPN)
        rc = put_certificate(all, proof, &err);
    else if (!challenges_put(all, proof->name, proof->token, proof->authorization))
        rc = err_set(&err, "the door holds %d challenges already", CHALLENGES_MAX);
    call->done(call, rc == 0 ? NULL : &err);
}

static void drop(struct prover *p, struct prover_call *call)
{
    struct challenges *all = CONTAINER_OF(p, struct door_prover, base)->challenges;
    char name[ACME_CLIENT_SNI_MAX];
    if (call->proof->kind == ACME_BY_TLS_ALPN) {
        acme_client_alpn_name(call->proof, name);
        challenges_drop(all, name, NULL);
    } else {
        challenges_drop(all, call->proof->name, call->proof->token);
    }
    call->done(call, NULL);
}

static void cancel(struct prover *p, struct prover_call *call)
{
    (void)p; /* nothing takes time */
    (void)call;
}

static void free_prover(struct prover *p)
{
    free(CONTAINER_OF(p, struct door_prover, base));
}

struct prover *prover_door(struct challenges *challenges)
{
    static const struct prover_ops ops = {put, drop, cancel, free_prover};
    struct door_prover *d = calloc(1, sizeof(*d));
    CHECK(d != NULL);
    *d = (struct door_prover){{&ops}, challenges};
    return &d->base;
}

void prover_free(struct prover *p)
{
    if (p != NULL)
        p->ops->free(p);
}
