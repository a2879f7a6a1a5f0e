/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/door_ask.h"

#include "session/session.h"
#include "session/worker.h"
#include "tls/authenticator.h"
#include "tunnel/renew_wire.h"

#define DOOR_ASK_MAGIC 0xd004a5c0u
#define READ_PIECE ((size_t)4096)

struct door_ask *door_ask_of(struct resident *r)
{
    struct door_ask *a = CONTAINER_OF(r, struct door_ask, resident);
    CHECK_MAGIC(a, DOOR_ASK_MAGIC);
    return a;
}

static bool finish(struct resident_end *ret, enum close_reason reason)
{
    *ret = (struct resident_end){.reason = reason};
    return false;
}

void door_ask_refuse(struct door_ask *a, enum close_reason reason, const struct front_answer *answer)
{
    err_set(&a->detail, "%s", answer->text);
    a->end = (struct resident_end){.reason = reason, .detail = a->detail.text};
    a->answered = true;
    CHECK(front_cardea.answer(answer, &a->out));
}

/* What has come, as far as it can be read. */
static void take(struct door_ask *a)
{
    struct str authenticator;
    struct err err;
    switch (renew_parse_proof(a->in.data, a->in.len, &authenticator, &err)) {
    case WIRE_OK:
        a->heard = true;
        a->judge(a, authenticator);
        buf_free(&a->in);
        break;
    case WIRE_BAD:
        door_ask_refuse(a, CLOSE_BAD_REQUEST,
                        &(struct front_answer){.outcome = FRONT_BAD_HELLO, .text = err.text});
        break;
    case WIRE_MORE:
        break;
    }
}

static enum link_status hear(struct door_ask *a)
{
    enum link_status status = LINK_OK;
    while (!a->heard && !a->answered && status == LINK_OK) {
        take(a);
        if (!a->heard && !a->answered)
            status = link_read_buf(a->link, &a->in, MIN(READ_PIECE, a->in.max - a->in.len));
    }
    return status;
}

bool door_ask_run(struct resident *r, struct resident_end *ret)
{
    struct door_ask *a = door_ask_of(r);
    if (a->late)
        return finish(ret, CLOSE_HANDSHAKE_TIMEOUT);
    enum link_status status = hear(a);
    if (r->successor != NULL)
        return true;
    if (status == LINK_EOF || status == LINK_ERROR)
        return finish(ret, status == LINK_EOF ? CLOSE_CLIENT_LEFT : CLOSE_CLIENT_RESET);
    status = link_write_buf(a->link, &a->out);
    if (status == LINK_OK && a->answered)
        status = link_shutdown(a->link);
    if (status == LINK_ERROR)
        return finish(ret, CLOSE_CLIENT_RESET);
    if (status == LINK_AGAIN || !a->answered)
        return true;
    *ret = a->end;
    return false;
}

/* It is over soon by itself. */
void door_ask_drain(struct resident *r)
{
    (void)r;
}

static void on_timer(struct timer *t)
{
    struct door_ask *a = CONTAINER_OF(t, struct door_ask, timer);
    CHECK_MAGIC(a, DOOR_ASK_MAGIC);
    a->late = true;
    resident_wake(&a->resident);
}

void door_ask_begin(struct door_ask *a, const struct resident_ops *ops, door_ask_judge *judge,
                    struct worker *w, struct link *link, const struct session_origin *origin,
                    struct str early)
{
    *a = (struct door_ask){.resident.ops = ops,
                           .magic = DOOR_ASK_MAGIC,
                           .worker = w,
                           .link = link,
                           .judge = judge,
                           .in.max = WIRE_MESSAGE_MAX + AUTHENTICATOR_MAX + 1};
    authenticator_request(AUTHENTICATOR_CLIENT, NULL, &a->request);
    CHECK(renew_encode_request(&a->request, &a->out) && buf_append(&a->in, early.p, early.len));
    timer_init(&a->timer, on_timer);
    loop_set_timer(w->loop, &a->timer,
                   loop_now(w->loop) + origin->epoch->snap->config->limits.handshake_timeout);
}

void door_ask_done(struct door_ask *a)
{
    wheel_cancel(&a->timer);
    buf_free(&a->in);
    buf_free(&a->out);
    buf_free(&a->request);
    a->magic = 0;
}
