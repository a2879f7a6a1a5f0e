/* SPDX-License-Identifier: Apache-2.0 */
/* An agent asks on its control stream to have a key certified for what it offers end-to-end. That it may is
 * the policy's to say; the office issues (ca/certifier.h). */
#include <string.h>

#include "cert/identity.h"
#include "session/office.h"
#include "tunnel/door_offer_internal.h"

/* For one offer: each request costs a signature to be verified here, and one to be made. */
#define REQUESTS_AT_ONCE 5
#define REQUESTS_A_SECOND 1

#define AGAIN_FAILED 60   /* seconds until asking again is worth it, where the CA cannot */
#define AGAIN_LIMIT 600   /* ... where too much was asked for */
#define AGAIN_DENIED 3600 /* ... where somebody has to change something */

static void refuse(struct door_offer *o, enum front_outcome how, uint32_t again, const char *why)
{
    struct wire_control control = {.uncertified = how, .again = again};
    str_copy(control.why, sizeof(control.why), why, strnlen(why, sizeof(control.why) - 1));
    door_offer_say(o, &control);
}

/* The office has answered. */
static void on_back(struct inquiry *q)
{
    struct door_offer *o = q->asker;
    const struct str body = {(const char *)q->answer.body.data, q->answer.body.len};
    if (o != NULL) {
        o->certify.asked = NULL;
        if (q->answer.status == 200 && body.len <= WIRE_CHAIN_MAX)
            door_offer_say(o, &(struct wire_control){.chain = body});
        else if (q->answer.status == 200)
            refuse(o, FRONT_UNREACHABLE, AGAIN_DENIED, "the CA's chain is too long");
        else if (q->answer.status == 429)
            refuse(o, FRONT_LIMIT, AGAIN_LIMIT, buf_text(&q->answer.body));
        else if (q->answer.status == 400)
            refuse(o, FRONT_BAD_HELLO, AGAIN_DENIED, buf_text(&q->answer.body));
        else
            refuse(o, FRONT_UNREACHABLE, AGAIN_FAILED, buf_text(&q->answer.body));
    }
    inquiry_free(q);
}

/* What it is about belongs to the inquiry: the offer may be gone before it is answered. */
static struct inquiry *make_inquiry(struct door_offer *o, const struct web_service *certifier, struct str csr)
{
    struct inquiry *q = inquiry_new();
    struct link_peer peer;
    const char *name = agent_offer(o->agent)->name;
    session_peer(o->resident.landlord, &peer);
    CHECK(peer.identity != NULL);
    q->service = certifier;
    q->identity = identity_make(peer.identity->facts, peer.identity->count);
    CHECK(q->identity != NULL);
    CHECK(buf_append(&q->content, name, strlen(name)) && buf_append(&q->content, csr.p, csr.len));
    q->request = (struct web_request){.path = {(const char *)q->content.data, strlen(name)},
                                      .body = {(const char *)q->content.data + strlen(name), csr.len},
                                      .identity = q->identity};
    q->back = on_back;
    q->asker = o;
    return q;
}

static void ask_office(struct door_offer *o, struct str csr)
{
    const struct snapshot_shared *shared = o->worker->shared;
    const struct config *config = o->worker->epoch->snap->config;
    if (config->ca == NULL || config->ca->agents == NULL || shared->office == NULL ||
        shared->bindings->certifier == NULL) {
        refuse(o, FRONT_DENIED, AGAIN_DENIED,
               "this door has no CA for what agents offer ('agents' of 'ca' is missing): the agent needs a "
               "certificate of its own (--service-cert, --service-key)");
        return;
    }
    struct inquiry *q = make_inquiry(o, shared->bindings->certifier, csr);
    o->certify.asked = q;
    if (office_ask(shared->office, q, o->worker->loop, config->limits.requests))
        return;
    o->certify.asked = NULL;
    inquiry_free(q);
    refuse(o, FRONT_LIMIT, AGAIN_FAILED, "too many requests wait for the door's CA");
}

void door_certify_init(struct door_certify *c, int64_t now)
{
    patience_init_as(&c->patience, REQUESTS_AT_ONCE, REQUESTS_A_SECOND, now);
}

const char *door_certify_ask(struct door_offer *o, struct str csr)
{
    struct session_denial denial;
    if (agent_offer(o->agent)->kind != OFFER_END_TO_END)
        return "a certification request on an offer that is not end-to-end";
    if (o->certify.asked != NULL)
        return "a certification request before the one before it was answered";
    if (!patience_bear(&o->certify.patience, door_offer_now(o)))
        refuse(o, FRONT_LIMIT, AGAIN_LIMIT, "too many certification requests on one offer");
    else if (session_may_certify(o->resident.landlord, &o->origin, agent_offer(o->agent), &denial))
        ask_office(o, csr);
    else
        refuse(o, FRONT_DENIED, AGAIN_DENIED, denial.text);
    return NULL;
}

void door_certify_end(struct door_certify *c)
{
    if (c->asked != NULL)
        c->asked->asker = NULL;
    c->asked = NULL;
}
