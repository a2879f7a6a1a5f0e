/* SPDX-License-Identifier: Apache-2.0 */
/* What was found over QUIC. */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cmd/check_report.h"
#include "net/addr.h"
#include "probe/quic_probe.h"

/* Does it show the same over TCP? */
static bool is_same_leaf(const struct check_findings *f)
{
    const struct server_probe_result *tcp = f->seen.first, *quic = &f->seen.quic->shake;
    return tcp->shook_hands &&
           memcmp(tcp->shown.leaf.pin, quic->shown.leaf.pin, sizeof(quic->shown.leaf.pin)) == 0;
}

/* ---- for people ---- */

static void put_versions(struct buf *out, const struct quic_versions *v)
{
    char space[QUIC_VERSION_TEXT_MAX];
    for (size_t i = 0; i < v->len; i++)
        buf_printf(out, "%s%s", i == 0 ? "  ... speaks   " : ", ", quic_version_text(v->version[i], space));
    if (v->len > 0)
        buf_printf(out, "\n");
}

static void put_identity(struct buf *out, const struct check_findings *f)
{
    if (is_same_leaf(f)) {
        buf_printf(out, "  ... proof    the certificate is that of TCP\n");
        return;
    }
    check_text_certificate(out, &f->seen.quic->shake.certificate);
    check_text_path(out, &f->seen.quic->path);
}

static void put_handshake(struct buf *out, const struct quic_probe_result *q)
{
    const struct quic_handshake_facts *h = &q->handshake;
    buf_printf(out,
               "  ... took     %" PRIu64 " bytes sent, %" PRIu64 " received, %" PRIu64
               " of them at once (%" PRIu64 " are allowed), %u round trip%s%s%s\n",
               h->out, h->in, h->first_in, q->allowed, q->round_trips, q->round_trips == 1 ? "" : "s",
               h->retried ? ", Retry" : "", q->shake.traffic.retried ? ", HelloRetryRequest" : "");
}

static void put_parameters(struct buf *out, const struct quic_handshake_facts *h)
{
    buf_printf(out, "  ... allows   %" PRIu64 " bytes on %" PRIu64 " streams, %" PRIu64 " on each; ", h->data,
               h->streams, h->stream_data);
    if (h->idle_timeout > 0)
        buf_printf(out, "silence for %lld s; ", (long long)(h->idle_timeout / NSEC_PER_SEC));
    if (h->datagram_max > 0)
        buf_printf(out, "datagrams of %" PRIu64 " bytes; ", h->datagram_max);
    buf_printf(out, "%" PRIu64 " connection ids%s\n", h->connection_ids, h->stays ? "; no migration" : "");
}

void check_quic_text(struct buf *out, const struct check_findings *f)
{
    const struct quic_probe_result *q = f->seen.quic;
    char space[QUIC_VERSION_TEXT_MAX];
    if (q == NULL)
        return;
    if (!q->shake.shook_hands) {
        buf_printf(out, "  QUIC         FAILED: %s\n", q->shake.text.text);
        put_versions(out, &q->versions);
        return;
    }
    buf_printf(out, "  QUIC         %s, %s, %s%s%s", quic_version_text(q->handshake.version, space),
               q->shake.group != NULL ? q->shake.group : "no group", q->shake.cipher,
               q->shake.alpn[0] != '\0' ? ", ALPN " : "", q->shake.alpn);
    if (q->shake.outcome != PROBE_GOOD)
        buf_printf(out, "; %s: %s", q->shake.outcome == PROBE_UNPROVEN ? "NOT PROVEN" : "FAILED",
                   q->shake.text.text);
    buf_printf(out, "\n");
    put_versions(out, &q->versions);
    put_identity(out, f);
    put_handshake(out, q);
    put_parameters(out, &q->handshake);
    buf_printf(out, "  ... tickets  %s\n",
               !q->tickets     ? "none came"
               : q->early_data ? "with 0-RTT"
                               : "without 0-RTT");
}

/* ---- for machines ---- */

static void handshake_json(struct buf *out, const struct quic_probe_result *q)
{
    const struct quic_handshake_facts *h = &q->handshake;
    buf_printf(out,
               ",\"handshake\":{\"sent\":%" PRIu64 ",\"received\":%" PRIu64 ",\"at_once\":%" PRIu64
               ",\"allowed\":%" PRIu64,
               h->out, h->in, h->first_in, q->allowed);
    buf_printf(out, ",\"retried\":%s,\"retry\":%s,\"round_trips\":%u,\"ms\":%.3f}",
               q->shake.traffic.retried ? "true" : "false", h->retried ? "true" : "false", q->round_trips,
               (double)q->shake.spent[PROBE_TLS] / NSEC_PER_MSEC);
}

static void parameters_json(struct buf *out, const struct quic_handshake_facts *h)
{
    buf_printf(out,
               ",\"parameters\":{\"max_idle_timeout\":%lld,\"max_udp_payload_size\":%" PRIu64
               ",\"max_datagram_frame_size\":%" PRIu64 ",\"initial_max_data\":%" PRIu64,
               (long long)(h->idle_timeout / NSEC_PER_MSEC), h->payload_max, h->datagram_max, h->data);
    buf_printf(out,
               ",\"initial_max_stream_data_bidi_remote\":%" PRIu64 ",\"initial_max_streams_bidi\":%" PRIu64
               ",\"initial_max_streams_uni\":%" PRIu64,
               h->stream_data, h->streams, h->unis);
    buf_printf(out, ",\"active_connection_id_limit\":%" PRIu64 ",\"disable_active_migration\":%s}",
               h->connection_ids, h->stays ? "true" : "false");
}

static void versions_json(struct buf *out, const struct quic_versions *v)
{
    char space[QUIC_VERSION_TEXT_MAX];
    buf_printf(out, ",\"versions\":[");
    for (size_t i = 0; i < v->len; i++)
        buf_printf(out, "%s\"%s\"", i > 0 ? "," : "", quic_version_text(v->version[i], space));
    buf_printf(out, "]");
}

void check_quic_json(struct buf *out, const struct check_findings *f)
{
    const struct quic_probe_result *q = f->seen.quic;
    char address[NET_ADDR_TEXT_MAX], space[QUIC_VERSION_TEXT_MAX];
    if (q == NULL) {
        buf_printf(out, ",\"quic\":null");
        return;
    }
    const struct server_probe_result *r = &q->shake;
    buf_printf(out, ",\"quic\":{\"result\":\"%s\"", probe_outcome_word(r->outcome));
    check_json_member(out, "detail", r->outcome == PROBE_GOOD ? NULL : r->text.text);
    check_json_member(out, "address",
                      r->address.family == AF_UNSPEC ? NULL : net_addr_format(&r->address, address));
    check_json_member(out, "version", r->shook_hands ? quic_version_text(q->handshake.version, space) : NULL);
    versions_json(out, &q->versions);
    check_json_tls(out, r);
    if (r->shook_hands) {
        check_json_leaf(out, &r->certificate);
        check_json_path(out, &q->path);
        handshake_json(out, q);
        parameters_json(out, &q->handshake);
        buf_printf(out, ",\"tickets\":%s,\"early_data\":%s", q->tickets ? "true" : "false",
                   q->early_data ? "true" : "false");
    }
    buf_printf(out, "}");
}
