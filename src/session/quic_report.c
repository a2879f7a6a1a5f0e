/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of carriers: the audit line of each, and the list of those that are open. */
#include <string.h>

#include "audit/record.h"
#include "base/check.h"
#include "base/clock.h"
#include "session/front.h"
#include "session/quic_carrier_internal.h"
#include "session/session_row.h"
#include "session/worker.h"

const char *quic_carrier_transport(const struct quic_carrier *c)
{
    return c->front != NULL && c->front->tenant != NULL ? c->front->tenant->transport : "quic";
}

void quic_carrier_audit(const struct quic_carrier *c, const struct link_peer *peer, enum close_reason reason,
                        const char *text)
{
    struct worker *w = c->worker;
    char from[NET_ADDR_TEXT_MAX], groups[HELLO_OFFERS_TEXT_MAX], ciphers[HELLO_OFFERS_TEXT_MAX];
    bool open = c->opened != 0;
    struct buf verifies = {0};
    struct audit_record r = {
        .time = clock_wall(),
        .id = c->id,
        .listener = c->at.epoch->snap->config->listeners.v[c->at.listener].name.text,
        .transport = quic_carrier_transport(c),
        .peer = net_addr_format(&c->peer, from),
        .sni = {c->hello.sni, strlen(c->hello.sni)},
        .ech = ech_result_word(c->ech),
        .outer_sni = {c->hello.outer, strlen(c->hello.outer)},
        .alpn = {c->hello.alpn, c->hello.alpn_len},
        .route = c->at.route == NULL ? NULL : c->at.route->config->name.text,
        .action = "carrier",
        .ja4 = {c->hello.ja4, strlen(c->hello.ja4)},
        .offers_groups = hello_offers_groups(&c->hello.offers, groups),
        .offers_ciphers = hello_offers_ciphers(&c->hello.offers, ciphers),
        .carries = true,
        .streams = c->streams,
        .handshake_bytes_in = peer->handshake_in,
        .handshake_bytes_out = peer->handshake_out,
        .handshake_ns = open ? c->opened - c->began : -1,
        .total_ns = loop_now(w->loop) - c->began,
        .reason = reason,
        .detail = reason == CLOSE_DONE ? NULL : text,
    };
    if (open) {
        r.tls = true;
        r.version = "1.3";
        r.verifies = cert_put_kinds(&verifies, c->verifies) ? buf_text(&verifies) : NULL;
        r.group = peer->group_name;
        r.signature = peer->signature;
        r.cipher = peer->cipher;
        r.resumed = peer->resumed;
        r.hello_retry = peer->hello_retry;
        r.identity = peer->identity == NULL ? NULL : identity_label(peer->identity);
    }
    audit_format(sink_lines(&w->sink), &r);
    buf_free(&verifies);
    sink_commit(&w->sink);
}

static bool to_json(const struct quic_carrier *c, struct buf *out)
{
    struct link_peer peer;
    struct quic_path_facts facts;
    quic_conn_peer(c->conn, &peer);
    quic_conn_facts(c->conn, &facts);
    const char *route = c->at.route == NULL ? "" : c->at.route->config->name.text;
    const char *identity = peer.identity == NULL ? "" : identity_label(peer.identity);
    bool leaves = c->at.refused != CLOSE_DONE;
    const struct session_row row = {
        .id = c->id,
        .peer = &c->peer,
        .state = timer_is_set(&c->wanted.late) ? "certify"
                 : c->opened == 0              ? "handshake"
                 : leaves                      ? "leaving"
                                               : "carrier",
        .reason = leaves ? close_reason_word(c->at.refused) : NULL,
        .detail = leaves ? c->at.why->text : NULL,
        .transport = quic_carrier_transport(c),
        .carries = true,
        .streams = quic_conn_held(c->conn),
        .route = {route, strlen(route)},
        .sni = {c->hello.sni, strlen(c->hello.sni)},
        .identity = {identity, strlen(identity)},
        .in = facts.bytes_in,
        .out = facts.bytes_out,
        .age = loop_now(c->worker->loop) - c->began,
    };
    return session_row_json(&row, out);
}

size_t quic_carriers_count(const struct worker *w)
{
    size_t count = 0;
    for (struct list *n = w->quic_ports.next; n != &w->quic_ports; n = n->next)
        count += CONTAINER_OF(n, struct quic_port, node)->carriers;
    return count;
}

bool quic_carriers_json(const struct worker *w, size_t limit, struct buf *out)
{
    bool ok = true;
    size_t told = 0;
    for (struct list *n = w->quic_ports.next; n != &w->quic_ports; n = n->next) {
        struct quic_port *port = CONTAINER_OF(n, struct quic_port, node);
        for (struct list *o = port->all.next; ok && o != &port->all && told < limit; o = o->next, told++)
            ok = (told == 0 || buf_append(out, ",\n", 2)) &&
                 to_json(CONTAINER_OF(o, struct quic_carrier, node), out);
    }
    return ok;
}
