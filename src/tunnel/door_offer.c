/* SPDX-License-Identifier: Apache-2.0 */
/* An offer stands as long as its control stream does. */
#include "tunnel/door_offer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "quic/quic.h"
#include "session/admission.h"
#include "session/review.h"
#include "session/routing.h"
#include "session/standing.h"
#include "session/worker.h"
#include "tunnel/door_offer_internal.h"
#include "tunnel/offer_advice.h"

#define READ_ROOM 4096
#define READ_TURN 16                                /* reads of a control stream before others have a turn */
#define HEARD_MAX (WIRE_MESSAGE_MAX + WIRE_CSR_MAX) /* bytes of a message of an agent's */
#define UNSENT_MAX (64 * 1024)                      /* bytes that an agent may leave unread */
#define GOODBYE_NS (2 * NSEC_PER_SEC)               /* for an agent to read that its offer is withdrawn */
#define CLOSED_TEXT "the agent closed its control stream in the middle of a message"

static struct door_offer *offer_of(struct resident *r)
{
    struct door_offer *o = CONTAINER_OF(r, struct door_offer, resident);
    CHECK_MAGIC(o, DOOR_OFFER_MAGIC);
    return o;
}

int64_t door_offer_now(const struct door_offer *o)
{
    return loop_now(o->worker->loop);
}

void door_offer_say(struct door_offer *o, const struct wire_control *control)
{
    CHECK(wire_encode_control(control, &o->out));
    resident_wake(&o->resident);
}

/* ---- places ---- */

bool door_offer_take_place(const struct door_offer *o)
{
    const struct net_addr nobody = {0};
    return worker_admit(o->worker, o->origin.epoch->snap, &nobody, 1) == ADMIT_OK;
}

void door_offer_give_place(const struct door_offer *o)
{
    const struct net_addr nobody = {0};
    admission_leave(o->worker->admission, &nobody);
    admission_release(o->worker->admission, 1);
}

/* ---- the control stream ---- */

static bool finish(struct door_offer *o, struct resident_end *ret, enum close_reason reason,
                   const char *detail)
{
    free(o->detail);
    o->detail = *detail == '\0' ? NULL : strdup(detail);
    *ret = (struct resident_end){.reason = reason, .detail = o->detail};
    return false;
}

/* Not ready: the service is down, or else the agent stops. */
static void hear_ready(struct door_offer *o, const struct wire_control *control)
{
    o->stops = !control->ready && control->down == FRONT_OK;
    agents_set_ready(o->worker->agents, o->agent, !o->stops);
    agents_set_down(o->worker->agents, o->agent, control->ready ? FRONT_OK : control->down);
}

/* Work off the messages that are complete. */
static bool hear(struct door_offer *o, struct resident_end *ret)
{
    for (;;) {
        struct wire_control control;
        struct err err;
        size_t used;
        switch (wire_parse_control(o->in.data, o->in.len, &control, &used, &err)) {
        case WIRE_MORE:
            return o->in.len < HEARD_MAX ||
                   finish(o, ret, CLOSE_BAD_REQUEST, "more than an agent has to say");
        case WIRE_BAD:
            return finish(o, ret, CLOSE_BAD_REQUEST, err.text);
        case WIRE_OK:
            break;
        }
        o->heard = door_offer_now(o);
        const char *wrong = control.csr.len > 0 ? door_certify_ask(o, control.csr) : NULL;
        buf_consume(&o->in, used);
        if (wrong != NULL)
            return finish(o, ret, CLOSE_BAD_REQUEST, wrong);
        if (control.says_ready)
            hear_ready(o, &control);
    }
}

/* Who has said that it stops may close with words of ours unread, which resets the connection. */
static bool broke(struct door_offer *o, struct resident_end *ret)
{
    return o->stops ? finish(o, ret, CLOSE_DONE, "")
                    : finish(o, ret, CLOSE_CLIENT_RESET, link_error(o->link));
}

static bool read_all(struct door_offer *o, struct resident_end *ret)
{
    for (int turn = 0;; turn++) {
        if (turn == READ_TURN) {
            resident_wake(&o->resident);
            break;
        }
        enum link_status status = link_read_buf(o->link, &o->in, READ_ROOM);
        if (status == LINK_AGAIN)
            break;
        if (status == LINK_EOF)
            return finish(o, ret, CLOSE_DONE, o->in.len > 0 ? CLOSED_TEXT : "");
        if (status == LINK_ERROR)
            return broke(o, ret);
        if (!hear(o, ret))
            return false;
    }
    if (o->in.len == 0)
        buf_free(&o->in);
    return true;
}

static bool write_all(struct door_offer *o, struct resident_end *ret)
{
    enum link_status status = link_write_buf(o->link, &o->out);
    if (status == LINK_AGAIN && o->out.len > UNSENT_MAX)
        return finish(o, ret, CLOSE_CLIENT_RESET, "the agent does not read its control stream");
    return status != LINK_ERROR || broke(o, ret);
}

/* ---- over streams: does what is sent arrive? ---- */

#define UNHEARD_NS (2 * NSEC_PER_SEC) /* that an agent's machine may leave what is sent unacknowledged */
#define LOOK_NS NSEC_PER_SEC          /* until it does again */

void door_offer_expect_answer(struct door_offer *o)
{
    if (!timer_is_set(&o->timer))
        loop_set_timer(o->worker->loop, &o->timer, door_offer_now(o) + UNHEARD_NS);
}

/* Nothing is asked of the agent for this: visitors' streams ask. */
static void look(struct door_offer *o)
{
    int64_t now = door_offer_now(o), since = quic_stream_unacknowledged(o->link);
    bool unheard = since != 0 && now - since >= UNHEARD_NS;
    agents_set_unheard(o->worker->agents, o->agent, unheard);
    if (since != 0)
        loop_set_timer(o->worker->loop, &o->timer, unheard ? now + LOOK_NS : since + UNHEARD_NS);
}

/* ---- the end of an offer ---- */

/* It leads nobody to the agent any more. */
static void take_back(struct door_offer *o, enum agents_leave how)
{
    door_port_close(o);
    door_certify_end(&o->certify);
    agents_withdraw(o->worker->agents, o->agent, how);
    o->agent = NULL;
    door_spares_close(o);
}

/* It leads nobody to the agent any more, and ends for that reason once the agent has been told. */
static void withdraw(struct door_offer *o, enum agents_leave how, enum close_reason reason, const char *why)
{
    worker_notice(o->worker, "the offer of %s by %s is withdrawn: %s", agent_offer(o->agent)->name,
                  agent_identity(o->agent), why);
    take_back(o, how);
    free(o->detail);
    o->detail = strdup(why);
    o->reason = reason;
}

/* Visitors are led to the agent without its doing: nothing that it begins would have its certificates looked
 * at. */
static void prove_later(struct door_offer *o)
{
    struct link_peer peer;
    if (o->resident.landlord == NULL)
        link_peer(o->link, &peer);
    else
        session_peer(o->resident.landlord, &peer);
    loop_set_timer(o->worker->loop, &o->proof, door_offer_now(o) + standing_look(&peer));
}

static void on_proof(struct timer *t)
{
    struct door_offer *o = CONTAINER_OF(t, struct door_offer, proof);
    review_soon(o->worker, &o->resident);
}

/* The agent may not be let in by what is in force now, or its certificates have expired, or the policy does
 * not allow the offer any more. Else it goes on in that, and so do visitors to come at its port. Whoever
 * visits already stays, as every connection does. */
static void door_offer_review(struct resident *r, struct review *sum)
{
    struct door_offer *o = offer_of(r);
    struct session_denial denial;
    if (o->agent == NULL)
        return;
    agent_set_bandwidth(o->agent, o->worker->epoch->snap->config->agents.bandwidth);
    if (o->draining)
        return;
    sum->offers++;
    if (session_may_offer(r->landlord, &o->origin, agent_offer(o->agent), &denial)) {
        door_port_fit(o);
        prove_later(o);
        return;
    }
    sum->withdrawn++;
    struct wire_control control = {0};
    str_copy(control.withdrawn, sizeof(control.withdrawn), denial.text,
             strnlen(denial.text, sizeof(control.withdrawn) - 1));
    withdraw(o, AGENTS_BARRED, denial.reason, denial.text);
    door_offer_say(o, &control);
    loop_set_timer(o->worker->loop, &o->timer, door_offer_now(o) + GOODBYE_NS);
}

/* The agent is to read why; closing with its bytes unread could overtake that. */
static bool take_leave(struct door_offer *o, struct resident_end *ret)
{
    enum link_status status = LINK_OK;
    uint8_t ignored[256];
    size_t n;
    *ret = (struct resident_end){.reason = o->reason, .detail = o->detail};
    status = link_write_buf(o->link, &o->out);
    if (status == LINK_OK)
        status = link_shutdown(o->link);
    if (o->late || status == LINK_ERROR)
        return false;
    for (int turn = 0; turn < READ_TURN; turn++) {
        status = link_read(o->link, ignored, sizeof(ignored), &n);
        if (status != LINK_OK)
            return status == LINK_AGAIN;
    }
    resident_wake(&o->resident);
    return true;
}

static bool door_offer_run(struct resident *r, struct resident_end *ret)
{
    struct door_offer *o = offer_of(r);
    if (o->agent == NULL)
        return take_leave(o, ret);
    if (!o->over_streams && door_offer_now(o) >= o->heard + AGENT_SILENT_NS)
        return finish(o, ret, CLOSE_IDLE_TIMEOUT, "nothing was heard from the agent");
    if (!o->spares.begun)
        door_spares_ask(o);
    o->spares.begun = true;
    return read_all(o, ret) && write_all(o, ret);
}

static void door_offer_drain(struct resident *r)
{
    struct door_offer *o = offer_of(r);
    o->draining = true;
    if (o->agent == NULL)
        return;
    door_port_close(o);
    door_spares_fail_waiting(o);
    door_offer_say(o, &(struct wire_control){.drain = true});
}

/* ---- others that offer the name ---- */

#define FELLOWS_NS NSEC_PER_SEC /* who comes and goes at once is told once, and nobody is kept busy by it */
#define JOINED_MAX 16           /* names that wait to be told */

/* Somebody who has come. He is told of even when he has gone by then: else whoever is gone at the right
 * moments could take visitors unseen. */
struct joined {
    struct list node;
    char identity[AGENT_LABEL_MAX];
};

static void take_joined(struct door_offer *o)
{
    struct joined *j = CONTAINER_OF(list_pop(&o->joined), struct joined, node);
    o->joined_count--;
    free(j);
}

static bool waits_to_be_told(const struct door_offer *o, const char *identity)
{
    for (struct list *node = o->joined.next; node != &o->joined; node = node->next)
        if (strcmp(CONTAINER_OF(node, struct joined, node)->identity, identity) == 0)
            return true;
    return false;
}

static void note_joined(struct door_offer *o, const char *identity)
{
    if (o->joined_count == JOINED_MAX || waits_to_be_told(o, identity))
        return;
    struct joined *j = calloc(1, sizeof(*j));
    CHECK(j != NULL);
    str_copy(j->identity, sizeof(j->identity), identity, strlen(identity));
    list_insert(&o->joined, &j->node);
    o->joined_count++;
}

/* One may have come as another went: who it is counts, not only how many they are. */
static bool fellows_are_told(const struct door_offer *o, size_t n, const char *identity)
{
    return n == o->fellows_told && strcmp(identity, o->fellow_told == NULL ? "" : o->fellow_told) == 0;
}

static void tell_fellows(struct door_offer *o, size_t n, const char *identity)
{
    struct wire_control control = {.says_fellows = true, .fellows = (uint32_t)n};
    if (fellows_are_told(o, n, identity))
        return;
    o->fellows_told = n;
    free(o->fellow_told);
    o->fellow_told = *identity == '\0' ? NULL : strdup(identity);
    if (strlen(identity) < sizeof(control.fellow))
        str_copy(control.fellow, sizeof(control.fellow), identity, strlen(identity));
    door_offer_say(o, &control);
}

static void look_for_fellows(struct door_offer *o)
{
    if (!timer_is_set(&o->fellows))
        loop_set_timer(o->worker->loop, &o->fellows, door_offer_now(o) + FELLOWS_NS);
}

/* Who has come is told first, as if he were there; then, a second later each, who is. */
static void on_fellows_timer(struct timer *t)
{
    struct door_offer *o = CONTAINER_OF(t, struct door_offer, fellows);
    const char *one;
    if (o->agent == NULL || o->draining)
        return;
    size_t n = agents_fellows(o->worker->agents, o->agent, &one);
    if (list_empty(&o->joined)) {
        tell_fellows(o, n, one);
        return;
    }
    const char *identity = CONTAINER_OF(o->joined.next, struct joined, node)->identity;
    bool gone = !agents_has_fellow(o->worker->agents, o->agent, identity);
    tell_fellows(o, gone && n < OFFER_FELLOWS_MAX ? n + 1 : n, identity);
    take_joined(o);
    if (!list_empty(&o->joined) || !fellows_are_told(o, n, one))
        look_for_fellows(o);
}

static void door_offer_close(struct resident *r)
{
    struct door_offer *o = offer_of(r);
    wheel_cancel(&o->timer);
    wheel_cancel(&o->fellows);
    wheel_cancel(&o->proof);
    if (o->agent != NULL)
        take_back(o, o->stops ? AGENTS_STOPPED : AGENTS_LOST);
    buf_free(&o->in);
    buf_free(&o->out);
    free(o->hello);
    free(o->detail);
    free(o->fellow_told);
    while (!list_empty(&o->joined))
        take_joined(o);
    o->magic = 0;
    free(o);
}

static const struct resident_ops door_offer_ops = {.action = "offer",
                                                   .carries = true,
                                                   .run = door_offer_run,
                                                   .drain = door_offer_drain,
                                                   .review = door_offer_review,
                                                   .close = door_offer_close};

/* ---- beginning ---- */

static void on_timer(struct timer *t)
{
    struct door_offer *o = CONTAINER_OF(t, struct door_offer, timer);
    o->late = o->agent == NULL;
    if (o->late) {
        resident_wake(&o->resident);
        return;
    }
    if (o->over_streams) {
        look(o);
        return;
    }
    door_offer_say(o, &(struct wire_control){0});
    worker_make_room(o->worker);
    door_spares_ask(o); /* for ids that nobody has used in time */
    loop_set_timer(o->worker->loop, &o->timer, door_offer_now(o) + MIN(SIGN_OF_LIFE_NS, door_spares_look(o)));
}

/* Whoever held the port may have gone: it is ours then. */
static void on_changed(void *owner, const struct agent *came)
{
    struct door_offer *o = owner;
    CHECK_MAGIC(o, DOOR_OFFER_MAGIC);
    door_port_want(o);
    door_port_fit(o);
    if (came != NULL)
        note_joined(o, agent_identity(came));
    look_for_fellows(o);
}

/* It ends without a word: the agent offers again then, and is told of the conflict as any other is. */
static void on_beaten(void *owner, const struct agent *by)
{
    struct door_offer *o = owner;
    struct err text;
    CHECK_MAGIC(o, DOOR_OFFER_MAGIC);
    offer_is_taken(by, &text);
    withdraw(o, AGENTS_BEATEN, CLOSE_CONFLICT, text.text);
    o->late = true;
    resident_wake(&o->resident);
}

static const struct agent_ops agent_ops = {.wanted = door_spares_wanted,
                                           .brought = door_spares_brought,
                                           .changed = on_changed,
                                           .beaten = on_beaten,
                                           .packed = door_spares_packed};

static struct door_offer *door_offer_new(struct worker *w, struct link *link,
                                         const struct session_origin *origin, struct str early)
{
    struct door_offer *o = calloc(1, sizeof(*o));
    struct hello_note *hello = calloc(1, sizeof(*hello));
    CHECK(o != NULL && hello != NULL);
    *hello = *origin->hello;
    *o = (struct door_offer){.resident.ops = &door_offer_ops,
                             .magic = DOOR_OFFER_MAGIC,
                             .worker = w,
                             .link = link,
                             .origin = *origin,
                             .peer = *origin->peer,
                             .hello = hello,
                             .heard = loop_now(w->loop),
                             .over_streams = link_branches(link)};
    o->origin.hello = hello;
    o->origin.front = NULL;
    o->origin.request = NULL;
    o->origin.who = NULL;
    o->origin.carrier = 0; /* who comes to the port has a connection of his own */
    o->origin.transport = NULL;
    door_spares_init(&o->spares, loop_now(w->loop));
    door_certify_init(&o->certify, loop_now(w->loop));
    timer_init(&o->timer, on_timer);
    timer_init(&o->fellows, on_fellows_timer);
    list_init(&o->joined);
    timer_init(&o->proof, on_proof);
    door_port_init(o);
    CHECK(buf_append(&o->in, early.p, early.len));
    return o;
}

/* Say yes, before anything else is said on the control stream. */
static void accept_offer(struct door_offer *o, const struct session_origin *origin)
{
    struct err warning;
    struct front_answer answer = {.outcome = FRONT_OK, .connection = origin->connection};
    if (offer_warning(o->worker->epoch->snap, agent_offer(o->agent), &warning)) {
        answer.warning = warning.text;
        worker_notice(o->worker, "%s offers %s, but %s", agent_identity(o->agent),
                      agent_offer(o->agent)->name, warning.text);
    }
    CHECK(origin->front->answer(&answer, &o->out));
}

static struct agent *make_known(struct door_offer *o, const struct session_origin *origin,
                                const struct offer *offer)
{
    struct agent_terms terms = {.offer = *offer,
                                .peer = *origin->peer,
                                .transport = origin->transport,
                                .since = clock_wall(),
                                .protocol = origin->front->agent,
                                .bandwidth = origin->epoch->snap->config->agents.bandwidth,
                                .grace = origin->epoch->snap->config->agents.grace,
                                .ops = &agent_ops,
                                .owner = o};
    struct link_peer peer;
    link_peer(o->link, &peer);
    CHECK(peer.identity != NULL); /* tunnels demand one */
    const char *label = identity_label(origin->who != NULL ? origin->who : peer.identity);
    str_copy(terms.identity, sizeof(terms.identity), label, strlen(label));
    identity_digest(peer.identity, terms.fingerprint);
    return agents_offer(o->worker->agents, &terms);
}

/* Make the offer known, and open its port: in this order, for whoever is in the port's queue is led to the
 * agent. The first who offers a name at a port opens it; the others stand by. */
static int begin(struct door_offer *o, const struct session_origin *origin, struct err *err)
{
    const struct offer *offer = &origin->request->offer;
    enum offer_kind kind;
    bool others = agents_find(o->worker->agents, offer->name, 0, &kind) == AGENTS_PRESENT;
    o->agent = make_known(o, origin, offer);
    if (o->agent == NULL) {
        offer_rival(o->worker->agents, offer, err);
        return -1;
    }
    if (offer->port == 0 || door_port_open(o, offer, err) == 0)
        return 0;
    if (others) {
        door_port_stand_by(o);
        return 0;
    }
    offer_port_is_ours(o->worker->epoch->snap, o->worker->agents, offer, err);
    agents_withdraw(o->worker->agents, o->agent, AGENTS_LOST);
    return -1;
}

struct resident *door_offer_reside(struct worker *w, struct link *link, const struct session_origin *origin,
                                   struct str early, struct err *err)
{
    struct door_offer *o = door_offer_new(w, link, origin, early);
    const char *fellow;
    if (begin(o, origin, err) != 0) {
        buf_free(&o->in);
        free(o->hello);
        free(o);
        return NULL;
    }
    accept_offer(o, origin);
    if (agents_fellows(w->agents, o->agent, &fellow) > 0) {
        note_joined(o, fellow);
        look_for_fellows(o);
    }
    if (!o->over_streams)
        loop_set_timer(w->loop, &o->timer, door_offer_now(o) + SIGN_OF_LIFE_NS);
    prove_later(o);
    return &o->resident;
}
