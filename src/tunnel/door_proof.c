/* SPDX-License-Identifier: Apache-2.0 */
/* It asks, hears the authenticator, and has it judged on this very connection; then the offer is judged as
 * any other, by the identity that was proven, and lives here in its place. */
#include "tunnel/door_proof.h"

#include <stdlib.h>

#include "session/review.h"
#include "session/routing.h"
#include "session/session.h"
#include "tunnel/door_ask.h"
#include "tunnel/door_offer.h"

struct door_proof {
    struct door_ask ask;
    struct session_origin origin; /* of the offer; what it points to is below */
    struct front_request offer;
    struct net_addr peer;
    struct hello_note *hello;
};

/* It is proven: go on as if the connection were that identity's. */
static void make_way(struct door_proof *d)
{
    struct resident *r = &d->ask.resident;
    struct session_denial denial;
    struct link_peer peer;
    struct err err;
    session_peer(r->landlord, &peer);
    d->origin.who = peer.identity;
    if (!session_may_offer(r->landlord, &d->origin, &d->offer.offer, &denial)) {
        door_ask_refuse(
            &d->ask, denial.reason,
            &(struct front_answer){.outcome = FRONT_DENIED, .rule = denial.rule, .text = denial.text});
        return;
    }
    struct resident *next = door_offer_reside(d->ask.worker, d->ask.link, &d->origin, (struct str){0}, &err);
    if (next == NULL) {
        door_ask_refuse(&d->ask, CLOSE_CONFLICT,
                        &(struct front_answer){.outcome = FRONT_CONFLICT, .text = err.text});
        return;
    }
    resident_succeed(r, next);
    review_soon(d->ask.worker, next); /* and again before what was proven runs out */
}

static void judge(struct door_ask *a, struct str authenticator)
{
    struct door_proof *d = CONTAINER_OF(a, struct door_proof, ask);
    const struct str request = {(const char *)a->request.data, a->request.len};
    struct err err;
    if (session_prove_further(a->resident.landlord, request, authenticator, &err)) {
        make_way(d);
        return;
    }
    err_prefix(&err, "what is to prove who offers it is not taken");
    door_ask_refuse(a, CLOSE_DENIED, &(struct front_answer){.outcome = FRONT_DENIED, .text = err.text});
}

static void door_proof_close(struct resident *r)
{
    struct door_proof *d = CONTAINER_OF(door_ask_of(r), struct door_proof, ask);
    door_ask_done(&d->ask);
    free(d->hello);
    free(d);
}

static const struct resident_ops door_proof_ops = {
    .action = "offer",
    .run = door_ask_run,
    .drain = door_ask_drain,
    .close = door_proof_close,
};

struct resident *door_proof_reside(struct worker *w, struct link *link, const struct session_origin *origin,
                                   struct str early)
{
    struct door_proof *d = calloc(1, sizeof(*d));
    struct hello_note *hello = calloc(1, sizeof(*hello));
    CHECK(d != NULL && hello != NULL);
    *hello = *origin->hello;
    *d = (struct door_proof){
        .origin = *origin, .offer = *origin->request, .peer = *origin->peer, .hello = hello};
    d->origin.request = &d->offer;
    d->origin.peer = &d->peer;
    d->origin.hello = hello;
    door_ask_begin(&d->ask, &door_proof_ops, judge, w, link, origin, early);
    return &d->ask.resident;
}
