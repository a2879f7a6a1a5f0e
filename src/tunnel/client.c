/* SPDX-License-Identifier: Apache-2.0 */
/* One connection through a door. */
#include "tunnel/client.h"

#include <stdlib.h>
#include <string.h>

#include "audit/reason.h"
#include "base/alert.h"
#include "base/clock.h"
#include "net/socket.h"
#include "quic/flow_link.h"
#include "quic/quic.h"
#include "tunnel/carrier.h"
#include "tunnel/client_call.h"
#include "tunnel/share_link.h"
#include "tunnel/share_request.h"
#include "tunnel/warm.h"

#define NEAR_GRACE_NS NSEC_PER_SEC    /* so that who carries the connection says first that time is over */
#define FIRST_MAX ((size_t)16 * 1024) /* of the local side's bytes that are sent before the answer */
#define FIRST_READ ((size_t)4 * 1024)
#define ACK_NS NSEC_PER_SEC /* that a connection which has waited has to show that it is alive; or: */
#define ACK_TRIPS 4         /* as many of its round trips, if that is longer */
#define ANSWER_ROOM 17408   /* bytes that the longest TLS record fits into (RFC 8446, 5.2) */

static void client_run(struct client *c);

/* ---- ending ---- */

static enum client_state finish(struct client *c, enum client_outcome outcome)
{
    c->outcome = outcome;
    return CLIENT_CLOSED;
}

static enum client_state failed(struct client *c)
{
    return finish(c, CLIENT_FAILED);
}

static void client_free(struct task *t)
{
    struct client *c = CONTAINER_OF(t, struct client, again);
    CHECK_MAGIC(c, CLIENT_MAGIC);
    c->magic = 0;
    free(c);
}

/* Close everything. A stream that was cut off is reset, so that nobody takes it for a whole one. */
static void teardown(struct client *c)
{
    bool cut = c->outcome != CLIENT_DONE;
    wheel_cancel(&c->timer);
    list_remove(&c->again.node);
    list_remove(&c->node);
    way_cancel(&c->way);
    pipe_free(&c->pipe);
    renewer_leave(&c->part);
    client_add_datagrams(c, &c->door->history.datagrams);
    if (c->far != NULL) {
        c->door->history.bytes_in += c->far->bytes_read;
        c->door->history.bytes_out += c->far->bytes_written;
    }
    link_close(c->far, cut);
    link_close(c->local, cut && c->pipe.link[PIPE_A] != NULL);
    c->far = c->local = NULL;
    buf_free(&c->bytes);
    buf_free(&c->first);
    task_init(&c->again, client_free); /* a link that wakes in this round may still name us */
    loop_defer(c->door->loop, &c->again);
}

static void on_wake(struct link *l)
{
    client_run(l->owner);
}

static void on_way_wake(void *owner)
{
    client_run(owner);
}

/* ---- REACH, HELLO, ANSWER ---- */

/* What the process that carries the connection says is what we would have said in its place. */
static enum client_state near_failed(struct client *c)
{
    const char *text = share_link_text(c->near);
    if (text != NULL)
        err_set(&c->door->text, "%s", text);
    else
        err_set(&c->door->text,
                "the connection through the door %s was cut off: the process that carried it (cardea carry) "
                "has ended",
                c->door->place);
    return failed(c);
}

static enum client_state far_failed(struct client *c)
{
    if (c->near != NULL && (!c->inner || c->near->error != NULL))
        return near_failed(c);
    if (c->inner)
        client_text_inner(c->door, &c->target, c->far, &c->door->text);
    else
        client_text_tls(c->door, c->far, true, &c->door->text);
    return failed(c);
}

/* Nothing is left to set up: bytes from now on. `early`: what came right behind the answer. */
static enum client_state join(struct client *c, const uint8_t *early, size_t len)
{
    client_answered *tell = c->terms.answered;
    wheel_cancel(&c->timer);
    c->terms.answered = NULL;
    if (tell != NULL)
        tell(c->owner, FRONT_OK, c->local);
    if (c->terms.joined != NULL)
        c->terms.joined(c->local, c->tls);
    pipe_init(&c->pipe, c->local, c->far);
    pipe_prime(&c->pipe, PIPE_B, early, len);
    pipe_prime(&c->pipe, PIPE_A, c->first.data + c->first_sent, c->first.len - c->first_sent);
    if (c->local_ended)
        pipe_prime_end(&c->pipe, PIPE_A);
    buf_free(&c->bytes);
    buf_free(&c->first);
    return CLIENT_PIPE;
}

/* The door has said that it sends and takes datagrams: from now on, and not before, so do we. */
static enum client_state join_flow(struct client *c, const uint8_t *early, size_t len)
{
    c->far = flow_link(c->far, (struct str){(const char *)early, len}, (struct str){NULL, 0});
    c->far->wake = on_wake;
    c->far->owner = c;
    c->flow = true;
    return join(c, NULL, 0);
}

/* What lies between here and the door may have forgotten a connection that waited, and say nothing. */
static void expect_sign_of_life(struct client *c)
{
    struct socket_path path;
    int fd = link_socket(link_bottom(c->far));
    socket_path(fd, &path);
    c->acked = path.acked;
    socket_expect_ack(fd, MAX(ACK_NS, ACK_TRIPS * path.rtt));
}

/* Asked again in vain: how that failed says nothing more. */
static void say_stopping(struct client *c)
{
    err_set(&c->door->text, "the door %s is stopping, and no other has taken its place yet: try again later",
            c->door->place);
}

static enum client_state step_reach(struct client *c)
{
    struct link_peer peer;
    enum way_status status = way_step(&c->way);
    if (status == WAY_WAIT)
        return CLIENT_REACH;
    if (status != WAY_OK && c->door_stops)
        say_stopping(c);
    if (status != WAY_OK)
        return failed(c);
    c->shared = way_is_shared(&c->way);
    if (c->shared)
        c->until = carrier_certificate(c->door->carrier);
    c->carrier = c->door->carrier_turn;
    c->warm = way_is_warm(&c->way);
    bool near = way_is_near(&c->way);
    if (!c->shared && !near && !c->warm)
        client_note_tcp(c->door);
    c->far = way_take(&c->way);
    c->near = near ? c->far : NULL;
    c->far->wake = on_wake;
    c->far->owner = c;
    if (c->target.host[0] == '\0')
        return join(c, NULL, 0);
    if (c->warm)
        expect_sign_of_life(c);
    c->bytes.max = WIRE_MESSAGE_MAX + ANSWER_ROOM;
    if (near) {
        CHECK(share_encode_hello(&c->target, c->terms.timeout, &c->bytes));
        return CLIENT_HELLO;
    }
    link_peer(c->far, &peer);
    if (!str_is(peer.alpn, WIRE_ALPN)) {
        err_set(&c->door->text, "%s at the door %s is no tunnel: is the name right (--name)?", c->door->name,
                c->door->place);
        return failed(c);
    }
    struct wire_client we = {.datagrams = c->target.udp && quic_stream_datagram_max(c->far) > 0,
                             .renews = c->door->cert != NULL};
    CHECK(wire_encode_hello(&c->target, we, &c->bytes));
    return CLIENT_HELLO;
}

static void set_deadline(struct client *c, int64_t grace)
{
    c->deadline = loop_now(c->door->loop) + c->terms.timeout;
    loop_set_timer(c->door->loop, &c->timer, c->deadline + grace);
}

/* With the certificate of now, whatever comes meanwhile. */
static void reach(struct client *c)
{
    c->until = c->door->cert == NULL ? 0 : c->door->cert->not_after;
    way_start(&c->way, c->deadline);
}

/* Leave the connection that was asked on; what the local side has said is kept for the next. */
static void leave_far(struct client *c)
{
    renewer_leave(&c->part);
    link_close(c->far, true);
    c->far = c->near = NULL;
    c->first_sent = 0;
    c->unwritable = false;
    buf_free(&c->bytes);
}

/* Nobody carries it for us after all, unless we were told why it cannot be. */
static enum client_state go_alone(struct client *c)
{
    if (share_link_text(c->near) != NULL)
        return near_failed(c);
    leave_far(c);
    if (client_door_complete(c->door) != 0)
        return failed(c);
    set_deadline(c, 0);
    reach(c);
    return CLIENT_REACH;
}

/* May the door have read what was sent on the connection? */
static bool has_arrived(const struct client *c)
{
    struct socket_path path;
    if (c->shared)
        return quic_stream_arrived(link_bottom(c->far));
    return !socket_path(link_socket(link_bottom(c->far)), &path) || path.acked != c->acked;
}

/* A connection that was there before us, to be shared or kept ready, may have been lost long ago without that
 * anybody noticed. But what the local side has said must not reach the target twice. */
static bool may_ask_again(const struct client *c)
{
    bool old = c->shared || c->warm;
    return old && !c->asked_again && (c->first_sent == 0 || !has_arrived(c));
}

/* The door has said nothing yet, so nothing is lost by asking once more, on a connection that is made now. */
static enum client_state ask_again(struct client *c)
{
    c->asked_again = true;
    leave_far(c);
    c->way.fresh = true;
    reach(c);
    return CLIENT_REACH;
}

/* The door stops, and has done nothing with the stream: another that listens in its place may. What stands on
 * the connection goes on there. */
static enum client_state turned_away(struct client *c)
{
    c->door_stops = true;
    if (c->asked_again) {
        err_set(&c->door->text, "the door %s is stopping, and takes nothing new", c->door->place);
        return failed(c);
    }
    client_door_renew(c->door, c->carrier);
    return ask_again(c);
}

static enum client_state ask_failed(struct client *c)
{
    if (c->near != NULL)
        return c->first_sent == 0 ? go_alone(c) : near_failed(c);
    if (quic_stream_peer_code(link_bottom(c->far)) == CLOSE_CODE_NOT_BEGUN)
        return turned_away(c);
    return may_ask_again(c) ? ask_again(c) : far_failed(c);
}

/* What was sent behind the hello was not meant for the eyes of the door, as it turns out: the target is a
 * service of its own behind TLS. Such bytes are no good there either. */
static enum client_state ask_silently(struct client *c)
{
    c->silent = true;
    if (c->near != NULL)
        return go_alone(c);
    leave_far(c);
    reach(c);
    return CLIENT_REACH;
}

static enum client_state step_hello(struct client *c)
{
    enum link_status status = link_write_buf(c->far, &c->bytes);
    if (status == LINK_AGAIN)
        return CLIENT_HELLO;
    if (status == LINK_ERROR) { /* what the door said before says why */
        buf_consume(&c->bytes, c->bytes.len);
        c->unwritable = true;
    }
    return CLIENT_ANSWER;
}

/* ---- what the local side says before the answer ---- */

/* Not where the local side waits for an answer itself, and not before it is known that the target is none
 * whose bytes the door must not see. */
static bool may_speak(const struct client *c)
{
    if (c->silent || c->unwritable || c->target.udp || c->terms.answered != NULL || c->door->end_to_end)
        return false;
    return c->near != NULL ? share_link_may_speak(c->near)
                           : plain_targets_know(&c->door->plain, &c->target, loop_now(c->door->loop));
}

/* False when there is no more of it now; a link that is broken stays so, and the pipe will say it. */
static bool hear_local(struct client *c)
{
    struct buf *b = &c->first;
    if (c->local_ended || b->len == FIRST_MAX)
        return false;
    enum link_status status = link_read_buf(c->local, b, MIN(FIRST_READ, FIRST_MAX - b->len));
    c->local_ended = status == LINK_EOF;
    return status == LINK_OK;
}

/* Send what there is of it. False when the door's side takes no more: it may have said why. */
static bool speak(struct client *c)
{
    if (!may_speak(c))
        return true;
    if (!c->let_speak && c->terms.speak != NULL)
        c->terms.speak(c->local);
    c->let_speak = true;
    do {
        while (c->first_sent < c->first.len) {
            size_t n = 0;
            enum link_status status =
                link_write(c->far, c->first.data + c->first_sent, c->first.len - c->first_sent, &n);
            c->first_sent += status == LINK_OK ? n : 0;
            c->unwritable = status == LINK_ERROR;
            if (status != LINK_OK)
                return status == LINK_AGAIN;
        }
    } while (hear_local(c));
    return true;
}

/* ---- the answer ---- */

/* Read more of the answer, and what comes right behind it. */
static enum link_status read_answer(struct client *c)
{
    CHECK(c->bytes.len < WIRE_MESSAGE_MAX);
    return link_read_buf(c->far, &c->bytes, ANSWER_ROOM);
}

/* The far end speaks TLS, as the door says: it has to prove that it is what we asked for. That the door says
 * so is not proven; whoever does not trust it for that asks for client_settings.end_to_end. Nothing can have
 * come from the far end yet, for it waits for our ClientHello. */
static enum client_state begin_inner(struct client *c, size_t early)
{
    if (early > 0) {
        err_set(&c->door->text, "the service %s does not speak TLS, as the door says it does",
                c->target.host);
        return failed(c);
    }
    if (client_door_load_tls(c->door) != 0)
        return failed(c);
    c->inner = true;
    c->far = tls_client_link(c->door->inner,
                             &(struct tls_peer){.host = c->target.host, .ech = &c->door->inner_ech}, c->far,
                             &c->door->inner_scratch);
    c->far->wake = on_wake;
    c->far->owner = c;
    return CLIENT_INNER;
}

static enum client_state step_inner(struct client *c)
{
    switch (link_open(c->far)) {
    case LINK_OK:
        return join(c, NULL, 0);
    case LINK_AGAIN:
        return CLIENT_INNER;
    default:
        return far_failed(c);
    }
}

/* What the answer teaches for those that come after us. */
static void learn(struct client *c, bool ok)
{
    struct client_door *d = c->door;
    d->history.has_answered = c->heard = true;
    if (c->near != NULL)
        return;
    if (ok && c->shared)
        client_note_said(d, NULL);
    if (ok && !c->target.udp)
        plain_targets_note(&d->plain, &c->target, !c->tls, loop_now(d->loop));
    if (ok && !c->shared && d->warm != NULL)
        warm_want(d->warm);
}

/* A door that led us to something else would read what is not meant for it. Nothing has been said yet. */
static enum client_state not_end_to_end(struct client *c)
{
    err_set(
        &c->door->text,
        "the door %s does not lead to %s end-to-end, as --end-to-end demands: what is there speaks no TLS "
        "with us, so the door could read it; nothing was sent",
        c->door->place, c->target.host);
    return failed(c);
}

static enum client_state heard(struct client *c, const struct wire_answer *answer, size_t used)
{
    c->tls = answer->outcome == FRONT_OK && answer->tls;
    if (answer->outcome == FRONT_OK && c->near == NULL)
        renewer_join(c->door->renewer, &c->part, answer->connection, c->until, c->far, c->shared);
    learn(c, answer->outcome == FRONT_OK);
    if (c->warm)
        socket_expect_ack(link_socket(link_bottom(c->far)), 0);
    if (c->door->end_to_end && answer->outcome == FRONT_OK && !c->tls)
        return not_end_to_end(c);
    if (c->tls && c->terms.joined == NULL && c->first_sent > 0)
        return ask_silently(c);
    if (c->tls && c->terms.joined == NULL)
        return begin_inner(c, c->bytes.len - used);
    const uint8_t *early = c->bytes.data + used;
    size_t len = c->bytes.len - used;
    if (answer->outcome == FRONT_OK && answer->datagrams && c->target.udp &&
        quic_stream_datagram_max(c->far) > 0)
        return join_flow(c, early, len);
    if (answer->outcome == FRONT_OK)
        return join(c, early, len);
    c->answer = answer->outcome;
    client_text_answer(&c->target, answer, &c->door->text);
    if (c->shared && answer->outcome == FRONT_DENIED)
        client_note_said(c->door, answer->text);
    return failed(c);
}

static enum client_state step_answer(struct client *c)
{
    for (;;) {
        struct wire_answer answer;
        struct err *text = &c->door->text;
        size_t used;
        switch (wire_parse_answer(c->bytes.data, c->bytes.len, &answer, &used, text)) {
        case WIRE_OK:
            return heard(c, &answer, used);
        case WIRE_BAD:
            if (c->near != NULL)
                return ask_failed(c);
            err_prefix(text, "the door's answer cannot be read");
            return failed(c);
        case WIRE_MORE:
            break;
        }
        enum link_status status = read_answer(c);
        if (status == LINK_AGAIN && speak(c))
            return CLIENT_ANSWER;
        if (status == LINK_AGAIN)
            continue;
        if (status == LINK_EOF && c->warm && !c->asked_again && c->bytes.len == 0)
            return ask_again(c); /* the door was about to close it, and has not read the hello */
        if (status == LINK_EOF && c->near == NULL) {
            err_set(text, "the door %s closed the connection without an answer", c->door->place);
            return failed(c);
        }
        if (status != LINK_OK)
            return ask_failed(c);
    }
}

/* ---- PIPE ---- */

/* Did the door's side stop without saying that it was the end? What came may be half of something then. */
static bool cut_off(const struct client *c)
{
    struct link_peer peer;
    return c->pipe.half[PIPE_B].shut && link_peer(c->far, &peer) && peer.truncated;
}

/* Has the door said that it ends the connection: by an alert, below TLS with the far end too, or by a code?
 */
static bool was_told(const struct client *c)
{
    return link_was_told(c->far) || quic_stream_peer_code(link_bottom(c->far)) != 0;
}

/* Over TCP there is one reason that has an alert of its own. */
static uint64_t cut_code(struct client *c)
{
    struct link_peer peer;
    uint64_t code = quic_stream_peer_code(link_bottom(c->far));
    link_peer(c->inner ? link_below(c->far) : c->far, &peer);
    return code == 0 && peer.alert == ALERT_CERTIFICATE_EXPIRED ? close_reason_code(CLOSE_EXPIRED) : code;
}

static enum client_state say_cut_off(struct client *c)
{
    struct client_cut cut = {
        .code = cut_code(c), .told = was_told(c), .silent = c->far->bytes_read == 0, .inner = c->inner};
    client_text_cut(c->door, &c->target, &cut, &c->door->text);
    if (cut.code == close_reason_code(CLOSE_SHUTDOWN))
        client_note_said(c->door, close_code_text(cut.code));
    return failed(c);
}

/* Amid the bytes an alert says just that, and nothing about the door. */
static enum client_state pipe_failed(struct client *c)
{
    if (c->pipe.failed == PIPE_B)
        return was_told(c) ? say_cut_off(c) : far_failed(c);
    err_set(&c->door->text, "%s", link_error(c->local));
    return finish(c, CLIENT_LOCAL);
}

static enum client_state step_pipe(struct client *c)
{
    enum pipe_status status = pipe_run(&c->pipe, &c->door->pipe_scratch);
    if (status == PIPE_FAILED)
        return pipe_failed(c);
    if (cut_off(c))
        return say_cut_off(c);
    if (status == PIPE_DONE)
        return finish(c, CLIENT_DONE);
    if (status == PIPE_YIELD)
        loop_defer(c->door->loop, &c->again);
    return CLIENT_PIPE;
}

/* ---- the driver ---- */

static enum client_state (*const steps[])(struct client *) = {
    [CLIENT_REACH] = step_reach, [CLIENT_HELLO] = step_hello, [CLIENT_ANSWER] = step_answer,
    [CLIENT_INNER] = step_inner, [CLIENT_PIPE] = step_pipe,
};

/* The tunnel does not stand: who asked to be told gets his link back. */
static void give_back(struct client *c)
{
    struct link *local = c->local;
    if (c->terms.answered == NULL)
        return;
    c->local = NULL;
    local->wake = NULL;
    local->owner = NULL;
    c->terms.answered(c->owner, c->answer, local);
}

/* Close, then tell the owner: what it prints comes out of a terminal that is as it was before. */
static void conclude(struct client *c)
{
    const char *text = c->outcome == CLIENT_DONE ? "" : c->door->text.text;
    if (c->outcome == CLIENT_FAILED && !c->heard) {
        client_note_said(c->door, NULL); /* that was of another connection */
        client_note_loss(c->door, text);
    }
    if (c->outcome == CLIENT_FAILED && c->terms.failing != NULL)
        c->terms.failing(c->local, text);
    give_back(c);
    teardown(c);
    c->ended(c->owner, c->outcome, text);
}

static void client_run(struct client *c)
{
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (c->state == CLIENT_CLOSED)
        return;
    if (c->running) { /* woken by what a step did: look again when it is done */
        loop_defer(c->door->loop, &c->again);
        return;
    }
    c->running = true;
    while (c->state != CLIENT_CLOSED) {
        enum client_state next = steps[c->state](c);
        if (next == c->state)
            break;
        c->state = next;
    }
    c->running = false;
    if (c->state == CLIENT_CLOSED)
        conclude(c);
}

static void on_again(struct task *t)
{
    client_run(CONTAINER_OF(t, struct client, again));
}

static void on_timer(struct timer *t)
{
    struct client *c = CONTAINER_OF(t, struct client, timer);
    struct client_door *d = c->door;
    CHECK_MAGIC(c, CLIENT_MAGIC);
    CHECK(c->state < CLIENT_PIPE && !c->running);
    static const char *const late[] = {
        [CLIENT_REACH] = NULL,
        [CLIENT_HELLO] = "did not take our request",
        [CLIENT_ANSWER] = "did not say whether the target can be reached",
        [CLIENT_INNER] = "led to a service that did not complete the TLS handshake",
    };
    const char *what = c->state == CLIENT_REACH ? way_late(&c->way) : late[c->state];
    err_set(&d->text, "time is over (--timeout): after %.3g s the door %s %s",
            (double)c->terms.timeout / NSEC_PER_SEC, d->place, what);
    if (c->door_stops && c->state == CLIENT_REACH)
        say_stopping(c);
    c->state = failed(c);
    conclude(c);
}

/* Called from a timer of the loop, so no connection is within a step. */
static void ask_elsewhere(struct client *c)
{
    bool waits = c->state == CLIENT_HELLO || c->state == CLIENT_ANSWER;
    if (!waits || !c->shared || !may_ask_again(c))
        return;
    c->state = ask_again(c);
    loop_defer(c->door->loop, &c->again);
}

void client_carrier_is_silent(struct client_door *door, unsigned turn)
{
    if (door->visitors != NULL)
        door->visitors->unheard(door->visitors_owner, turn);
    if (turn != door->carrier_turn) /* one that was left: nothing is asked on it */
        return;
    for (struct list *n = door->clients.next; n != &door->clients; n = n->next)
        ask_elsewhere(CONTAINER_OF(n, struct client, node));
}

void client_drop(struct list *node)
{
    struct client *c = CONTAINER_OF(node, struct client, node);
    CHECK_MAGIC(c, CLIENT_MAGIC);
    CHECK(!c->running);
    if (c->state == CLIENT_PIPE && c->target.udp) { /* only whoever sends datagrams knows when it is all */
        link_finish(c->far);
        c->state = finish(c, CLIENT_DONE);
    } else {
        c->state = failed(c);
    }
    teardown(c);
}

void client_start_on(struct client_door *door, const struct front_target *target, struct link *local,
                     const struct client_terms *terms, client_ended *ended, void *owner)
{
    CHECK_MAGIC(door, CLIENT_DOOR_MAGIC);
    struct client *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->magic = CLIENT_MAGIC;
    c->state = CLIENT_REACH;
    c->door = door;
    if (target != NULL)
        c->target = *target;
    c->terms = *terms;
    c->answer = FRONT_OUTCOMES;
    c->ended = ended;
    c->owner = owner;
    c->local = local;
    local->wake = on_wake;
    local->owner = c;
    c->way = (struct way){.door = door, .wake = on_way_wake, .owner = c};
    timer_init(&c->timer, on_timer);
    set_deadline(c, door->shared_fd >= 0 ? NEAR_GRACE_NS : 0);
    reach(c);
    task_init(&c->again, on_again);
    list_insert(&door->clients, &c->node);
    loop_defer(door->loop, &c->again); /* so that `ended` is never told from within this call */
}

void client_start(struct client_door *door, const struct front_target *target, struct link *local,
                  client_answered *answered, client_ended *ended, void *owner)
{
    struct client_terms terms = {.timeout = door->timeout, .answered = answered};
    client_start_on(door, target, local, &terms, ended, owner);
}
