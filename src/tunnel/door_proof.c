/* SPDX-License-Identifier: Apache-2.0 */
/* It asks, hears the authenticator, and has it judged on this very connection; then the offer is judged as
 * any other, by the identity that was proven, and lives here in its place. */
#include "tunnel/door_proof.h"

#include <stdlib.h>

#include "base/clock.h"
#include "session/resident.h"
#include "session/review.h"
#include "session/routing.h"
#include "session/session.h"
#include "session/worker.h"
#include "tls/authenticator.h"
#include "tunnel/door_offer.h"
#include "tunnel/renew_wire.h"

#define DOOR_PROOF_MAGIC 0xd004b00fu
#define READ_PIECE ((size_t)4096)

struct door_proof {
    struct resident resident;
    uint32_t magic;
    struct worker *worker;
    struct link *link;
    struct session_origin origin; /* of the offer; what it points to is below */
    struct front_request offer;
    struct net_addr peer;
    struct hello_note *hello;
    struct buf in, out, request;
    struct timer timer; /* the agent's time is over */
    bool late;
    bool answered; /* what is in `out` is the last */
    struct resident_end end;
    struct err detail;
};

static struct door_proof *proof_of(struct resident *r)
{
    struct door_proof *d = CONTAINER_OF(r, struct door_proof, resident);
    CHECK_MAGIC(d, DOOR_PROOF_MAGIC);
    return d;
}

static bool finish(struct resident_end *ret, enum close_reason reason)
{
    *ret = (struct resident_end){.reason = reason};
    return false;
}

static void refuse(struct door_proof *d, enum close_reason reason, const struct front_answer *answer)
{
    err_set(&d->detail, "%s", answer->text);
    d->end = (struct resident_end){.reason = reason, .detail = d->detail.text};
    d->answered = true;
    CHECK(front_cardea.answer(answer, &d->out));
}

/* It is proven: go on as if the connection were that identity's. */
static void make_way(struct door_proof *d)
{
    struct session_denial denial;
    struct link_peer peer;
    struct err err;
    session_peer(d->resident.landlord, &peer);
    d->origin.who = peer.identity;
    if (!session_may_offer(d->resident.landlord, &d->origin, &d->offer.offer, &denial)) {
        refuse(d, denial.reason,
               &(struct front_answer){.outcome = FRONT_DENIED, .rule = denial.rule, .text = denial.text});
        return;
    }
    struct resident *next = door_offer_reside(d->worker, d->link, &d->origin, (struct str){0}, &err);
    if (next == NULL) {
        refuse(d, CLOSE_CONFLICT, &(struct front_answer){.outcome = FRONT_CONFLICT, .text = err.text});
        return;
    }
    resident_succeed(&d->resident, next);
    review_soon(d->worker, next); /* and again before what was proven runs out */
}

static void judge(struct door_proof *d, struct str authenticator)
{
    const struct str request = {(const char *)d->request.data, d->request.len};
    struct err err;
    if (session_prove_further(d->resident.landlord, request, authenticator, &err)) {
        make_way(d);
        return;
    }
    err_prefix(&err, "what is to prove who offers it is not taken");
    refuse(d, CLOSE_DENIED, &(struct front_answer){.outcome = FRONT_DENIED, .text = err.text});
}

/* What has come, as far as it can be read. */
static void take(struct door_proof *d)
{
    struct str authenticator;
    struct err err;
    switch (renew_parse_proof(d->in.data, d->in.len, &authenticator, &err)) {
    case WIRE_OK:
        judge(d, authenticator);
        break;
    case WIRE_BAD:
        refuse(d, CLOSE_BAD_REQUEST, &(struct front_answer){.outcome = FRONT_BAD_HELLO, .text = err.text});
        break;
    case WIRE_MORE:
        break;
    }
}

static bool has_made_way(const struct door_proof *d)
{
    return d->resident.successor != NULL;
}

static enum link_status hear(struct door_proof *d)
{
    enum link_status status = LINK_OK;
    while (!d->answered && !has_made_way(d) && status == LINK_OK) {
        take(d);
        if (!d->answered && !has_made_way(d))
            status = link_read_buf(d->link, &d->in, MIN(READ_PIECE, d->in.max - d->in.len));
    }
    return status;
}

static bool door_proof_run(struct resident *r, struct resident_end *ret)
{
    struct door_proof *d = proof_of(r);
    if (d->late)
        return finish(ret, CLOSE_HANDSHAKE_TIMEOUT);
    enum link_status status = hear(d);
    if (has_made_way(d))
        return true;
    if (status == LINK_EOF || status == LINK_ERROR)
        return finish(ret, status == LINK_EOF ? CLOSE_CLIENT_LEFT : CLOSE_CLIENT_RESET);
    status = link_write_buf(d->link, &d->out);
    if (status == LINK_OK && d->answered)
        status = link_shutdown(d->link);
    if (status == LINK_ERROR)
        return finish(ret, CLOSE_CLIENT_RESET);
    if (status == LINK_AGAIN || !d->answered)
        return true;
    *ret = d->end;
    return false;
}

/* It is over soon by itself. */
static void door_proof_drain(struct resident *r)
{
    (void)r;
}

static void door_proof_close(struct resident *r)
{
    struct door_proof *d = proof_of(r);
    wheel_cancel(&d->timer);
    buf_free(&d->in);
    buf_free(&d->out);
    buf_free(&d->request);
    free(d->hello);
    d->magic = 0;
    free(d);
}

static const struct resident_ops door_proof_ops = {
    .action = "offer",
    .run = door_proof_run,
    .drain = door_proof_drain,
    .close = door_proof_close,
};

static void on_timer(struct timer *t)
{
    struct door_proof *d = CONTAINER_OF(t, struct door_proof, timer);
    CHECK_MAGIC(d, DOOR_PROOF_MAGIC);
    d->late = true;
    resident_wake(&d->resident);
}

struct resident *door_proof_reside(struct worker *w, struct link *link, const struct session_origin *origin,
                                   struct str early)
{
    struct door_proof *d = calloc(1, sizeof(*d));
    struct hello_note *hello = calloc(1, sizeof(*hello));
    CHECK(d != NULL && hello != NULL);
    *hello = *origin->hello;
    *d = (struct door_proof){.resident.ops = &door_proof_ops,
                             .magic = DOOR_PROOF_MAGIC,
                             .worker = w,
                             .link = link,
                             .origin = *origin,
                             .offer = *origin->request,
                             .peer = *origin->peer,
                             .hello = hello,
                             .in.max = WIRE_MESSAGE_MAX + AUTHENTICATOR_MAX + 1};
    d->origin.request = &d->offer;
    d->origin.peer = &d->peer;
    d->origin.hello = hello;
    authenticator_request(AUTHENTICATOR_CLIENT, NULL, &d->request);
    CHECK(renew_encode_request(&d->request, &d->out) && buf_append(&d->in, early.p, early.len));
    timer_init(&d->timer, on_timer);
    loop_set_timer(w->loop, &d->timer,
                   loop_now(w->loop) + origin->epoch->snap->config->limits.handshake_timeout);
    return &d->resident;
}
