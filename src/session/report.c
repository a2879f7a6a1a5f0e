/* SPDX-License-Identifier: Apache-2.0 */
/* What is told about a session: the audit line, the counters, its row in the status. */
#include <string.h>

#include "audit/record.h"
#include "base/clock.h"
#include "base/tls_version.h"
#include "link/datagram_link.h"
#include "quic/quic.h"
#include "session/session_internal.h"
#include "session/session_row.h"
#include "session/worker.h"
#include "starttls/starttls.h"

static struct str text_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

struct str session_note(const struct session *s, enum note which)
{
    const struct setup *p = s->setup;
    size_t at = 0;
    if (p != NULL)
        return which == NOTE_STARTTLS ? text_of(p->talk.spoken == NULL ? "" : starttls_name(p->talk.spoken))
               : which == NOTE_SNI    ? text_of(p->hello.sni)
               : which == NOTE_OUTER  ? text_of(p->hello.outer)
               : which == NOTE_JA4    ? text_of(p->hello.ja4)
               : which == NOTE_ALPN   ? (struct str){p->hello.alpn, p->hello.alpn_len}
                                      : text_of(p->target);
    for (int i = 0; i < (int)which; i++)
        at += s->note_len[i];
    return (struct str){s->notes + at, s->note_len[which]};
}

static void record_tls(const struct session *s, struct audit_record *r, struct buf *verifies)
{
    struct link_peer peer;
    if (s->verifies != 0 && cert_put_kinds(verifies, s->verifies))
        r->verifies = buf_text(verifies);
    bool known = session_peer(s, &peer);
    r->handshake_bytes_in = s->carrier == 0 ? peer.handshake_in : 0;
    r->handshake_bytes_out = peer.handshake_out;
    if (!known || s->when.opened == 0)
        return;
    r->tls = true;
    r->version = tls_version_word(peer.version);
    r->group = peer.group_name;
    r->signature = peer.signature;
    r->cipher = peer.cipher;
    r->resumed = peer.resumed;
    r->hello_retry = peer.hello_retry;
    r->alpn = peer.alpn;
    r->identity = peer.identity == NULL ? NULL : identity_label(peer.identity);
    r->handshake_ns = s->when.opened - s->when.routed;
}

/* How the TLS connection to the backend came to be, once it stands. */
static const char *backend_tls_of(const struct session *s)
{
    struct link_peer peer;
    if (s->route == NULL || s->route->backend_tls == NULL || s->up == NULL || s->setup != NULL)
        return NULL;
    link_peer(s->up, &peer);
    return s->spare ? "spare" : peer.resumed ? "resumed" : "full";
}

static const char *action_of(const struct session *s)
{
    if (s->resident != NULL)
        return s->resident->ops->action;
    if (s->spare_for != NULL)
        return "spare";
    return s->route == NULL ? NULL : config_action_name(s->route->config->action);
}

/* What is known of a flow's datagrams. One side is UDP, a target's socket or the port that a visitor came to,
 * and counts all; of the other, the client's or the agent's, those are known that QUIC carried. */
static struct audit_datagrams datagrams_of(const struct session *s)
{
    bool visits = s->agent != NULL;
    struct link *tunnel = visits ? s->up : s->down;
    const struct link *stream = link_bottom(tunnel);
    struct link_datagrams all;
    struct quic_datagram_facts carried;
    link_datagrams(visits ? s->down : s->up, &all);
    bool known = quic_stream_datagram_facts(stream, &carried) && stream != tunnel;
    return (struct audit_datagrams){
        .in = visits ? all.received : all.sent,
        .out = visits ? all.sent : all.received,
        .dropped = all.dropped + carried.dropped_in + carried.dropped_out + datagram_link_dropped(tunnel),
        .lost = known ? (int64_t)carried.lost : -1,
        .largest = all.largest,
    };
}

/* Anybody can make up any number of senders to whom nobody answers. */
static bool is_noise(const struct session *s)
{
    return s->unproven && s->down->bytes_written == 0;
}

void session_write_audit(struct session *s)
{
    if (is_noise(s))
        return;
    struct worker *w = s->worker;
    const struct config *c = s->epoch->snap->config;
    char peer[NET_ADDR_TEXT_MAX], groups[HELLO_OFFERS_TEXT_MAX], ciphers[HELLO_OFFERS_TEXT_MAX];
    const struct hello_offers *offers = s->setup == NULL ? &s->offers : &s->setup->hello.offers;
    struct audit_datagrams datagrams;
    struct buf verifies = {0};
    struct audit_record r = {
        .time = clock_wall(),
        .id = s->id,
        .listener = c->listeners.v[s->listener].name.text,
        .transport = s->transport,
        .carrier = s->carrier,
        .peer = net_addr_format(&s->peer, peer),
        .starttls = session_note(s, NOTE_STARTTLS),
        .sni = session_note(s, NOTE_SNI),
        .ech = ech_result_word(s->ech),
        .outer_sni = session_note(s, NOTE_OUTER),
        .alpn = session_note(s, NOTE_ALPN),
        .route = s->route == NULL ? NULL : s->route->config->name.text,
        .action = action_of(s),
        .ja4 = session_note(s, NOTE_JA4),
        .offers_groups = hello_offers_groups(offers, groups),
        .offers_ciphers = hello_offers_ciphers(offers, ciphers),
        .target = session_note(s, NOTE_TARGET),
        .backend = s->last == NULL ? NULL : s->last->key,
        .backend_tls = backend_tls_of(s),
        .agent = s->agent == NULL ? NULL : agent_identity(s->agent),
        .offer = s->agent == NULL ? NULL : offer_kind_word(agent_offer(s->agent)->kind),
        .rule = s->setup == NULL ? NULL : s->setup->rule,
        .bytes_in = s->down->bytes_read,
        .bytes_out = s->down->bytes_written,
        .handshake_ns = -1,
        .total_ns = loop_now(w->loop) - s->when.accepted,
        .reason = s->reason,
        .detail = s->setup == NULL ? s->broken : s->setup->detail,
    };
    if (s->resident != NULL && s->resident->ops->carries) {
        r.carries = true;
        r.streams = s->resident->streams;
    }
    if (s->resident != NULL && s->resident->ops->answers) {
        r.answers = true;
        r.requests = s->resident->streams;
        r.status = s->resident->status;
    }
    if (s->datagrams) {
        datagrams = datagrams_of(s);
        r.datagrams = &datagrams;
    }
    record_tls(s, &r, &verifies);
    audit_format(sink_lines(&w->sink), &r);
    buf_free(&verifies);
    sink_commit(&w->sink);
}

void session_refused(struct worker *w, const struct session_origin *o, enum close_reason reason)
{
    char text[NET_ADDR_TEXT_MAX], target[TARGET_TEXT_MAX] = "";
    const struct snapshot *snap = o->epoch->snap;
    const struct config_route *route = o->route == NULL ? NULL : o->route->config;
    CHECK(o->listener < snap->config->listeners.n);
    if (o->visits != NULL)
        session_offer_target(o->visits, target, sizeof(target));
    struct audit_record r = {
        .time = clock_wall(),
        .id = worker_next_id(w),
        .listener = snap->config->listeners.v[o->listener].name.text,
        .transport = o->transport,
        .carrier = o->carrier,
        .peer = o->peer == NULL ? NULL : net_addr_format(o->peer, text),
        .route = route == NULL ? NULL : route->name.text,
        .action = route == NULL ? NULL : config_action_name(route->action),
        .target = text_of(target),
        .handshake_ns = -1,
        .reason = reason,
    };
    counter_add(&worker_counters(w, snap->door)->reason[reason], 1);
    audit_format(sink_lines(&w->sink), &r);
    sink_commit(&w->sink);
}

void session_count(struct session *s)
{
    struct route_stats *stats = s->route != NULL ? s->route->stats : s->epoch->snap->door;
    struct counters *c = worker_counters(s->worker, stats);
    counter_add(&c->reason[s->reason], 1);
    counter_add(&c->n[COUNTER_FLOWS_UNANSWERED], is_noise(s));
    counter_add(&c->n[COUNTER_BYTES_IN], s->down->bytes_read);
    counter_add(&c->n[COUNTER_BYTES_OUT], s->down->bytes_written);
    if (s->datagrams) {
        struct audit_datagrams d = datagrams_of(s);
        counter_add(&c->n[COUNTER_DATAGRAMS_IN], d.in);
        counter_add(&c->n[COUNTER_DATAGRAMS_OUT], d.out);
        counter_add(&c->n[COUNTER_DATAGRAMS_DROPPED], d.dropped);
        counter_add(&c->n[COUNTER_DATAGRAMS_LOST], (uint64_t)MAX(d.lost, 0));
    }
    if (s->agent != NULL && s->setup == NULL)
        agent_visited(s->agent, s->down->bytes_read, s->down->bytes_written);
    counter_add(&c->n[COUNTER_SECONDS_NS], (uint64_t)(loop_now(s->worker->loop) - s->when.accepted));
    if (s->route != NULL)
        atomic_fetch_sub_explicit(&s->route->stats->live, 1, memory_order_relaxed);
}

bool session_json(const struct session *s, struct buf *out)
{
    struct link_peer peer;
    session_peer(s, &peer);
    const char *carries = s->resident == NULL ? NULL : s->resident->ops->transport;
    const struct session_row row = {
        .id = s->id,
        .carrier = s->carrier,
        .peer = &s->peer,
        .state = carries != NULL ? "carrier" : session_state_word(s->state),
        .transport = s->transport != NULL ? s->transport
                     : carries != NULL    ? carries
                                          : "tcp",
        .carries = carries != NULL,
        .streams = carries == NULL ? 0 : s->resident->open,
        .denied = session_is_denied_now(s),
        .route = text_of(s->route == NULL ? "" : s->route->config->name.text),
        .sni = session_note(s, NOTE_SNI),
        .identity = text_of(peer.identity == NULL ? "" : identity_label(peer.identity)),
        .target = session_note(s, NOTE_TARGET),
        .in = s->down->bytes_read,
        .out = s->down->bytes_written,
        .age = loop_now(s->worker->loop) - s->when.accepted,
    };
    return session_row_json(&row, out);
}
