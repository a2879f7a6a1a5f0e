/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/way.h"

#include "base/clock.h"
#include "tunnel/carrier.h"
#include "tunnel/client_internal.h"
#include "tunnel/share_link.h"
#include "tunnel/warm.h"

#define PATIENCE_NS NSEC_PER_SEC          /* that TCP waits once more where the door is heard over QUIC */
#define LAST_CHANCE_NS (2 * NSEC_PER_SEC) /* that QUIC has when TCP has failed */

static void wake(struct way *w)
{
    if (!w->stepping)
        w->wake(w->owner);
}

static void on_dial_wake(void *owner)
{
    wake(owner);
}

static void on_link_wake(struct link *l)
{
    wake(l->owner);
}

/* ---- TCP ---- */

/* The time that is left, shared out among the addresses that are still to be tried. */
static void arm(struct way *w)
{
    struct loop *loop = w->door->loop;
    int64_t now = loop_now(loop), left = MAX(0, w->deadline - now);
    size_t ways = MAX((size_t)1, dial_left(&w->dial));
    w->tried = w->dial.next;
    if (ways > 1) /* the last one has all that is left: its end is the owner's */
        loop_set_timer(loop, &w->timer, now + left / (int64_t)ways);
    else
        wheel_cancel(&w->timer);
}

static void begin_tcp(struct way *w)
{
    struct client_door *d = w->door;
    w->tcp_begun = true;
    if (d->warm != NULL && !w->tcp_only && !w->fresh)
        w->tls = warm_take(d->warm);
    w->warm = w->tls != NULL;
    if (w->warm)
        return;
    if (!ech_attempt_begin(&w->ech, &d->ech))
        return;
    w->dial = (struct dial){.loop = d->loop, .resolver = d->resolver, .wake = on_dial_wake, .owner = w};
    dial_start(&w->dial, d->host, d->port);
    arm(w);
}

static enum way_status tcp_failed(struct way *w)
{
    struct loop *loop = w->door->loop;
    w->wants_tcp = false;
    w->tcp_text = w->door->text;
    wheel_cancel(&w->timer);
    if (w->wants_quic)
        loop_set_timer(loop, &w->timer, loop_now(loop) + LAST_CHANCE_NS);
    return WAY_FAILED;
}

static enum way_status step_dial(struct way *w)
{
    struct client_door *d = w->door;
    enum dial_status status = dial_step(&w->dial);
    if (status == DIAL_WAIT) {
        if (w->dial.next != w->tried)
            arm(w);
        return WAY_WAIT;
    }
    if (status != DIAL_OK) {
        client_text_dial(d, status, &d->text);
        return tcp_failed(w);
    }
    wheel_cancel(&w->timer);
    w->tls =
        tls_client_link(d->tls, &(struct tls_peer){.host = d->name, .sessions = d->sessions, .ech = &w->ech},
                        dial_take(&w->dial), &d->tls_scratch);
    w->tls->wake = on_link_wake;
    w->tls->owner = w;
    return WAY_OK;
}

/* The handshake has failed. */
static enum way_status tls_failed(struct way *w)
{
    struct link_peer peer;
    link_peer(w->tls, &peer);
    w->refused = w->refused || client_is_refused(&peer);
    client_text_tls(w->door, w->tls, false, &w->door->text);
    link_close(w->tls, true);
    w->tls = NULL;
    if (!ech_attempt_again(&w->ech))
        return tcp_failed(w);
    dial_again(&w->dial);
    return WAY_OK;
}

static enum way_status tls_opened(struct way *w)
{
    client_note_ech(w->door, &w->ech);
    if (w->door->carrier != NULL && !w->warm)
        carrier_tcp_stands(w->door->carrier);
    return WAY_OK;
}

static enum way_status step_tcp(struct way *w)
{
    if (!w->tcp_begun)
        return WAY_WAIT; /* QUIC has its head start */
    if (w->tls == NULL && w->ech.stage == ECH_FAILED) {
        client_text_no_ech(w->door, &w->door->text);
        return tcp_failed(w);
    }
    if (w->tls == NULL) {
        enum way_status status = step_dial(w);
        if (status != WAY_OK)
            return status;
    }
    switch (link_open(w->tls)) {
    case LINK_OK:
        return tls_opened(w);
    case LINK_AGAIN:
        return WAY_WAIT;
    default:
        return tls_failed(w) == WAY_OK ? step_tcp(w) : WAY_FAILED;
    }
}

/* ---- QUIC ---- */

static enum way_status step_quic(struct way *w)
{
    if (w->stream != NULL)
        return WAY_OK;
    w->stream = carrier_open_stream(w->door->carrier, w);
    if (w->stream != NULL)
        return WAY_OK;
    if (carrier_is_under_way(w->door->carrier))
        return WAY_WAIT;
    w->wants_quic = false;
    w->refused = w->refused || carrier_was_refused(w->door->carrier);
    if (w->wants_tcp && !w->tcp_begun)
        begin_tcp(w);
    return WAY_FAILED;
}

void way_carrier_changed(struct way *w)
{
    wake(w);
}

/* ---- both ---- */

/* QUIC is on its way and only slow: a connection over TCP beside it would most likely be one that the door
 * sees begin and break off. */
static void be_patient(struct way *w)
{
    struct loop *loop = w->door->loop;
    w->patient = true;
    loop_set_timer(loop, &w->timer, loop_now(loop) + PATIENCE_NS);
}

static void on_timer(struct timer *t)
{
    struct way *w = CONTAINER_OF(t, struct way, timer);
    if (!w->tcp_begun && !w->patient && carrier_is_heard(w->door->carrier))
        be_patient(w);
    else if (!w->tcp_begun)
        begin_tcp(w);
    else if (!w->wants_tcp)
        w->wants_quic = false;
    else if (dial_left(&w->dial) > 1)
        dial_skip(&w->dial);
    wake(w);
}

/* Where another process carries connections for us there is nothing to wait for. */
static struct link *take_near(struct client_door *d)
{
    int fd = d->shared_fd;
    if (fd < 0)
        return NULL;
    d->shared_fd = -1;
    struct link *l = share_link_new(d->loop, fd);
    CHECK(l != NULL); /* the loop has refused a descriptor */
    return l;
}

void way_start(struct way *w, int64_t deadline)
{
    struct client_door *d = w->door;
    *w = (struct way){.door = d,
                      .wake = w->wake,
                      .owner = w->owner,
                      .tcp_only = w->tcp_only,
                      .fresh = w->fresh,
                      .deadline = deadline};
    list_init(&w->waiting);
    timer_init(&w->timer, on_timer);
    w->near = w->tcp_only ? NULL : take_near(d);
    if (w->near != NULL)
        return;
    w->wants_tcp = d->transport != TRANSPORT_QUIC || w->tcp_only;
    w->wants_quic = d->carrier != NULL && !w->tcp_only &&
                    (d->transport == TRANSPORT_QUIC || carrier_is_likely(d->carrier));
    w->stepping = true;
    if (!w->wants_quic)
        begin_tcp(w);
    if (w->wants_quic)
        carrier_want(d->carrier);
    else if (d->carrier != NULL && d->stays && !w->tcp_only)
        carrier_try(d->carrier);
    /* What we computed since this turn began was no wait for the network: the head start begins now. */
    if (w->wants_quic && w->wants_tcp)
        loop_set_timer(d->loop, &w->timer, clock_monotonic() + carrier_head_start(d->carrier));
    w->stepping = false;
}

enum way_status way_step(struct way *w)
{
    enum way_status quic = WAY_FAILED, tcp = WAY_FAILED;
    if (w->near != NULL)
        return WAY_OK;
    w->stepping = true;
    if (w->wants_quic)
        quic = step_quic(w);
    if (quic != WAY_OK && w->wants_tcp)
        tcp = step_tcp(w);
    w->stepping = false;
    if (quic == WAY_OK || tcp == WAY_OK)
        return WAY_OK;
    if (w->wants_quic || w->wants_tcp)
        return WAY_WAIT;
    if (w->tcp_text.text[0] != '\0')
        w->door->text = w->tcp_text;
    return WAY_FAILED;
}

bool way_is_shared(const struct way *w)
{
    return w->stream != NULL;
}

bool way_is_warm(const struct way *w)
{
    return w->near == NULL && w->stream == NULL && w->warm;
}

bool way_is_near(const struct way *w)
{
    return w->near != NULL;
}

struct link *way_take(struct way *w)
{
    struct link *l = w->near != NULL ? w->near : w->stream != NULL ? w->stream : w->tls;
    CHECK(l != NULL);
    if (l == w->tls)
        w->tls = NULL;
    w->stream = w->near = NULL;
    l->wake = NULL;
    l->owner = NULL;
    way_cancel(w);
    return l;
}

const char *way_late(const struct way *w)
{
    bool unheard = w->wants_quic && !carrier_is_heard(w->door->carrier);
    if (w->wants_quic && carrier_is_open(w->door->carrier))
        return "has no stream left for us: so many stand on the connection as it grants to one";
    if (w->door->transport == TRANSPORT_QUIC && unheard)
        return "did not answer over QUIC: UDP may be blocked: try --transport auto or tcp";
    if (w->tls == NULL && w->wants_quic && !unheard)
        return "did not complete the TLS handshake over QUIC";
    if (w->tls == NULL)
        return unheard ? "did not answer, neither over QUIC (UDP may be blocked) nor over TCP: is the "
                         "address right?"
                       : "did not answer: is the address right?";
    return unheard ? "did not complete the TLS handshake over TCP, nor answer over QUIC (UDP may be blocked)"
                   : "did not complete the TLS handshake";
}

void way_cancel(struct way *w)
{
    if (w->door == NULL)
        return;
    wheel_cancel(&w->timer);
    list_remove(&w->waiting);
    dial_cancel(&w->dial);
    link_close(w->tls, true);
    link_close(w->stream, true);
    link_close(w->near, true);
    ech_attempt_end(&w->ech);
    w->tls = w->stream = w->near = NULL;
}
