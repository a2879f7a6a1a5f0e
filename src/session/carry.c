/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes both ways, what stays in their stead, and the last words to a client that gets none. */
#include "base/clock.h"
#include "net/socket.h"
#include "session/programs.h"
#include "session/session_internal.h"
#include "session/worker.h"
#include "starttls/starttls.h"

/* ---- RESIDE ---- */

struct session_origin session_origin(const struct session *s)
{
    return (struct session_origin){
        .listener = s->listener,
        .peer = &s->peer,
        .epoch = s->epoch,
        .route = s->route,
        .hello = &s->setup->hello,
        .carrier = s->id,
    };
}

enum session_state session_house(struct session *s, struct resident *r)
{
    s->resident = r;
    session_keep_descriptors(s, link_socket(link_bottom(s->down)) >= 0 ? 1 : 0);
    r->landlord = s;
    list_init(&r->unreviewed);
    if (s->worker->draining) /* it was on its way when the others were told */
        r->ops->drain(r);
    session_settle(s);
    return SESSION_RESIDE;
}

void resident_succeed(struct resident *r, struct resident *next)
{
    struct session *s = r->landlord;
    r->successor = next;
    list_remove(&r->unreviewed);
    s->resident = next;
    next->landlord = s;
    list_init(&next->unreviewed);
    if (s->worker->draining)
        next->ops->drain(next);
    resident_wake(next);
}

enum session_state step_reside(struct session *s)
{
    struct resident_end end = {.reason = CLOSE_DONE};
    struct resident *r = s->resident;
    bool goes_on = r->ops->run(r, &end);
    if (s->resident != r) /* it has made way for another */
        r->ops->close(r);
    if (goes_on)
        return SESSION_RESIDE;
    s->broken = end.detail;
    session_end(s, end.reason);
    return end.lingers ? SESSION_DRAIN : SESSION_CLOSED;
}

/* ---- PIPE ---- */

/* Who has read last words, the end behind them and perhaps a ticket need not have acknowledged them yet. Who
 * breaks off in the middle of more than that has more on its way. */
#define LAST_WORDS 4096

/* Did this side have all of the other's words, up to its end, before it went? Asked of sockets: what of a
 * stream of QUIC has arrived is not known here. */
static bool had_all(const struct session *s, enum pipe_side side)
{
    struct link *l = s->pipe.link[side];
    int fd = link_socket(link_bottom(l));
    return s->pipe.half[!side].shut && !link_was_told(l) && fd >= 0 && socket_unsent(fd) <= LAST_WORDS;
}

/* Does such a backend close as soon as it has heard its client's last word, before it reads our close_notify?
 * That resets the connection. */
static bool closes_premature(const struct session *s)
{
    return s->route->asks != NULL && starttls_closes_premature(s->route->asks);
}

static enum session_state pipe_failed(struct session *s)
{
    struct link_peer peer;
    s->broken = link_error(s->pipe.link[s->pipe.failed]);
    link_peer(s->pipe.link[s->pipe.failed], &peer);
    if (s->pipe.failed == PIPE_B && closes_premature(s) && had_all(s, PIPE_B))
        return session_end(s, CLOSE_DONE);
    if (s->pipe.failed == PIPE_B && peer.misspoke) /* the client, to a relay towards the backend */
        return session_end(s, CLOSE_BAD_REQUEST);
    if (s->pipe.failed == PIPE_B)
        return session_end(s, s->agent != NULL && agent_is_stopping(s->agent) ? CLOSE_AGENT_STOPPED
                                                                              : CLOSE_BACKEND_RESET);
    if (had_all(s, PIPE_A))
        return session_end(s, CLOSE_DONE);
    if (peer.misspoke) { /* it has been told, and is to hear it */
        session_end(s, CLOSE_BAD_REQUEST);
        return SESSION_DRAIN;
    }
    return session_end(s, peer.truncated ? CLOSE_TRUNCATED : CLOSE_CLIENT_RESET);
}

static uint64_t bytes_moved(const struct session *s)
{
    return s->down->bytes_read + s->down->bytes_written + s->up->bytes_read + s->up->bytes_written;
}

/* How much may be moved in this turn: of a name that is visited what its bandwidth allows. 0: it is used up,
 * and the timer goes on with it. */
static size_t allowance(struct session *s)
{
    int64_t now = loop_now(s->worker->loop);
    size_t most = SIZE_MAX;
    if (s->agent == NULL)
        return most;
    if (now < s->when.paused)
        return 0;
    int64_t wait = agent_allow(s->agent, now, &most), before = s->when.paused;
    s->when.paused = wait > 0 ? now + wait : 0;
    if (s->when.paused != before)
        session_arm_pipe(s);
    return wait > 0 ? 0 : most;
}

enum session_state step_pipe(struct session *s)
{
    size_t most = allowance(s);
    if (most == 0)
        return SESSION_PIPE;
    uint64_t before = bytes_moved(s);
    bool was_half_closed = pipe_half_closed(&s->pipe);
    enum pipe_status status = pipe_run_within(&s->pipe, &s->worker->pipe_scratch, most);
    uint64_t moved = bytes_moved(s) - before;
    if (moved > 0)
        s->when.active = loop_now(s->worker->loop);
    if (pipe_half_closed(&s->pipe) && !was_half_closed)
        session_arm_pipe(s);
    if (moved > 0 && s->agent != NULL)
        agent_charge(s->agent, s->when.active, moved / 2);
    switch (status) {
    case PIPE_WAIT:
        return SESSION_PIPE;
    case PIPE_YIELD:
        loop_defer(s->worker->loop, &s->again);
        return SESSION_PIPE;
    case PIPE_DONE:
        return session_end(s, CLOSE_DONE);
    default:
        return pipe_failed(s);
    }
}

/* ---- REAP ---- */

enum session_state step_reap(struct session *s)
{
    return programs_awaited(s) ? SESSION_REAP : SESSION_CLOSED;
}

/* ---- DRAIN: last words ---- */

/* How much of a client's bytes is thrown away, and in one turn, while it reads our last words. */
#define DISCARD_MAX (1024 * 1024)
#define DISCARD_READS 8

enum session_state session_farewell(struct session *s, const void *data, size_t len, enum close_reason reason)
{
    session_end(s, reason);
    session_say(s, s->down, data, len);
    return SESSION_DRAIN;
}

/* Read and forget. LINK_OK: there is more, later. */
static enum link_status discard(struct session *s)
{
    /* From below TLS: nobody wants to know what it says, so nothing is decrypted. */
    struct link *from = link_bottom(s->down);
    const struct pipe_scratch *scratch = &s->worker->pipe_scratch;
    enum link_status status = LINK_OK;
    for (int i = 0; i < DISCARD_READS && status == LINK_OK; i++) {
        size_t n = 0;
        status = link_read(from, scratch->data, scratch->size, &n);
        s->discarded += status == LINK_OK ? n : 0;
    }
    return s->discarded > DISCARD_MAX ? LINK_ERROR : status;
}

/* Closing a socket with unread bytes resets it, and the reset can overtake our last words: so end our
 * direction, then read and forget until the client has ended its own, or its time is over. */
enum session_state step_drain(struct session *s)
{
    enum link_status said = link_shutdown(s->down);
    if (said == LINK_ERROR)
        return SESSION_CLOSED;
    s->told = said == LINK_OK;
    switch (discard(s)) {
    case LINK_OK:
        loop_defer(s->worker->loop, &s->again);
        return SESSION_DRAIN;
    case LINK_AGAIN:
        return SESSION_DRAIN;
    case LINK_EOF:
        return said == LINK_OK ? SESSION_CLOSED : SESSION_DRAIN;
    default:
        return SESSION_CLOSED;
    }
}

/* ---- LINGER: what was written arrives before the reset ---- */

#define LOOK_NS (20 * NSEC_PER_MSEC)

/* The kernel does not tell when the last byte has been acknowledged. */
enum session_state step_linger(struct session *s)
{
    if (socket_unsent(link_socket(s->down)) == 0 || loop_now(s->worker->loop) >= s->linger_by)
        return SESSION_CLOSED;
    session_deadline(s, LOOK_NS);
    return SESSION_LINGER;
}
