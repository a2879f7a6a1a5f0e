/* SPDX-License-Identifier: Apache-2.0 */
/* It asks, hears the authenticator, has it judged where the connection is that it is for (session/renewal.h),
 * says what came of it and ends. Each asks in words of its own, once, so no answer is good twice. */
#include "tunnel/door_renewal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "session/renewal.h"
#include "session/resident.h"
#include "session/session.h"
#include "session/worker.h"
#include "tunnel/renew_wire.h"

#define DOOR_RENEWAL_MAGIC 0x4e4ed004u
#define READ_PIECE ((size_t)4096)

struct door_renewal {
    struct resident resident;
    uint32_t magic;
    struct worker *worker;
    struct link *link;
    struct buf in, out;
    struct renewal_question question;
    struct renewal *asked;
    struct timer timer; /* the client's time is over */
    bool late;
    bool answered; /* what is in `out` is the last */
    struct resident_end end;
    struct err detail;
};

static struct door_renewal *renewal_of(struct resident *r)
{
    struct door_renewal *d = CONTAINER_OF(r, struct door_renewal, resident);
    CHECK_MAGIC(d, DOOR_RENEWAL_MAGIC);
    return d;
}

/* ---- the end ---- */

static void refuse(struct door_renewal *d, enum close_reason reason, enum front_outcome outcome,
                   const struct err *why)
{
    struct front_answer answer = {.outcome = outcome, .text = why->text};
    d->detail = *why;
    d->end = (struct resident_end){.reason = reason, .detail = d->detail.text};
    d->answered = true;
    CHECK(front_cardea.answer(&answer, &d->out));
}

static void on_judged(void *owner, bool good, int64_t expires, const struct err *why)
{
    struct door_renewal *d = owner;
    CHECK_MAGIC(d, DOOR_RENEWAL_MAGIC);
    d->asked = NULL;
    d->answered = true;
    if (good)
        CHECK(renew_encode_good(expires, &d->out));
    else
        refuse(d, CLOSE_DENIED, FRONT_DENIED, why);
    resident_wake(&d->resident);
}

static void on_timer(struct timer *t)
{
    struct door_renewal *d = CONTAINER_OF(t, struct door_renewal, timer);
    CHECK_MAGIC(d, DOOR_RENEWAL_MAGIC);
    d->late = true;
    resident_wake(&d->resident);
}

static bool finish(struct resident_end *ret, enum close_reason reason)
{
    *ret = (struct resident_end){.reason = reason};
    return false;
}

/* ---- going on ---- */

static void ask_home(struct door_renewal *d, struct str authenticator)
{
    CHECK(buf_append(&d->question.authenticator, authenticator.p, authenticator.len));
    d->asked = renewal_begin(d->worker, &d->question, on_judged, d);
    d->question.request = d->question.authenticator = (struct buf){0};
    buf_free(&d->in);
}

/* What has come, as far as it can be read. */
static void take(struct door_renewal *d)
{
    struct str authenticator;
    struct err err;
    switch (renew_parse_proof(d->in.data, d->in.len, &authenticator, &err)) {
    case WIRE_OK:
        ask_home(d, authenticator);
        break;
    case WIRE_BAD:
        refuse(d, CLOSE_BAD_REQUEST, FRONT_BAD_HELLO, &err);
        break;
    case WIRE_MORE:
        break;
    }
}

static enum link_status hear(struct door_renewal *d)
{
    enum link_status status = LINK_OK;
    while (d->asked == NULL && !d->answered && status == LINK_OK) {
        take(d);
        if (d->asked == NULL && !d->answered)
            status = link_read_buf(d->link, &d->in, MIN(READ_PIECE, d->in.max - d->in.len));
    }
    return status;
}

static bool door_renewal_run(struct resident *r, struct resident_end *ret)
{
    struct door_renewal *d = renewal_of(r);
    if (d->late)
        return finish(ret, CLOSE_HANDSHAKE_TIMEOUT);
    enum link_status status = hear(d);
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
static void door_renewal_drain(struct resident *r)
{
    (void)r;
}

static void door_renewal_close(struct resident *r)
{
    struct door_renewal *d = renewal_of(r);
    wheel_cancel(&d->timer);
    renewal_cancel(d->asked);
    buf_free(&d->in);
    buf_free(&d->out);
    buf_free(&d->question.request);
    buf_free(&d->question.authenticator);
    d->magic = 0;
    free(d);
}

static const struct resident_ops door_renewal_ops = {
    .action = "renewal",
    .run = door_renewal_run,
    .drain = door_renewal_drain,
    .close = door_renewal_close,
};

struct resident *door_renewal_reside(struct worker *w, struct link *link, const struct session_origin *origin,
                                     struct str early)
{
    struct door_renewal *d = calloc(1, sizeof(*d));
    CHECK(d != NULL);
    *d = (struct door_renewal){.resident.ops = &door_renewal_ops,
                               .magic = DOOR_RENEWAL_MAGIC,
                               .worker = w,
                               .link = link,
                               .question.id = origin->request->renew,
                               .in.max = WIRE_MESSAGE_MAX + AUTHENTICATOR_MAX + 1};
    authenticator_request(AUTHENTICATOR_CLIENT, NULL, &d->question.request);
    CHECK(renew_encode_request(&d->question.request, &d->out) && buf_append(&d->in, early.p, early.len));
    timer_init(&d->timer, on_timer);
    loop_set_timer(w->loop, &d->timer,
                   loop_now(w->loop) + origin->epoch->snap->config->limits.handshake_timeout);
    return &d->resident;
}
