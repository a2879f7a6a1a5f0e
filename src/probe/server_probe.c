/* SPDX-License-Identifier: Apache-2.0 */
/* An approach, and then a machine of phases. Each goes as far as it can: true when the next one is to go on,
 * false when there is something to wait for, or all is over. One timer bounds all of it. */
#include "probe/server_probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alert.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/unit.h"
#include "cert/path_report.h"
#include "cert/trust.h"
#include "link/link.h"
#include "loop/loop.h"
#include "starttls/starttls.h"
#include "tls/client.h"
#include "tls/sessions.h"

#define READ_AT_ONCE 4096

/* In TLS 1.3 a server refuses a client's certificate only after the client holds the handshake for complete.
 * So long it may take for that: one way there and back is on its way already. */
#define AFTERWORD_NS NSEC_PER_SEC

#define PROBE_MAGIC 0x5e72b09eu

const int server_probe_groups[SERVER_PROBE_GROUPS] = {0x11ec, 0x001d, 0x11eb, 0x11ed, 0x0017, 0x0018, 0x0019};

enum phase { APPROACHING, SHAKING, CONVERSING, LISTENING, OVER };

struct server_probe {
    uint32_t magic;
    struct server_probe_params params;
    struct server_probe_result result;
    enum phase phase;
    struct approach *approach;
    struct link *link;
    struct buf say;
    bool ended;                   /* our end is written */
    uint64_t read_by, written_by; /* bytes of the connection before TLS began */
    int64_t deadline;             /* of all; the loop's time */
    int64_t began;                /* TLS; clock_monotonic() */
    struct timer timer;
    struct task over;
};

/* ---- ends ---- */

/* All is told. Returns false, as a phase does: there is nothing to go on with. */
static bool finish(struct server_probe *p)
{
    p->phase = OVER;
    wheel_cancel(&p->timer);
    loop_defer(p->params.to.loop, &p->over);
    return false;
}

/* The same, with an outcome and why. `fmt` is printf's. */
__attribute__((format(printf, 3, 4))) static bool end(struct server_probe *p, enum probe_outcome outcome,
                                                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->result.text.text, sizeof(p->result.text.text), fmt, ap);
    va_end(ap);
    p->result.outcome = outcome;
    return finish(p);
}

/* ---- TLS ---- */

static bool end_without_tls(struct server_probe *p)
{
    struct link_peer peer;
    char text[STARTTLS_CLEAR_MAX];
    link_peer(p->link, &peer);
    p->result.alert = peer.alert;
    if (peer.found.len > 0 && p->params.to.protocol == NULL)
        return end(p, PROBE_OTHER_PROTOCOL, "%s", starttls_found_clear(peer.found, "--starttls ", text));
    if (peer.found.len > 0)
        return end(p, PROBE_INJECTED, "%s, behind the word to begin it",
                   starttls_found_clear(peer.found, NULL, text));
    if (peer.fault == FAULT_ECH && *peer.failure != '\0')
        return end(p, PROBE_UNPROVEN, "%s", peer.failure);
    return end(p, PROBE_TLS_FAILED, "no TLS came about: %s", link_error(p->link));
}

void server_probe_take(const struct link_peer *peer, struct server_probe_result *ret)
{
    ret->shook_hands = true;
    ret->resumed = peer->resumed;
    ret->version = peer->version;
    ret->group_code = peer->group;
    ret->group = peer->group_name;
    ret->cipher = peer->cipher;
    ret->traffic.retried = peer->hello_retry;
    if (peer->alpn.len > 0)
        str_copy(ret->alpn, sizeof(ret->alpn), peer->alpn.p, peer->alpn.len);
    cert_shown_read(peer->shown, peer->staple, peer->timestamps, time(NULL), &ret->shown);
    bool readable = cert_facts_read(peer->shown, &ret->certificate, &ret->text) == 0;
    if (*peer->failure != '\0')
        err_set(&ret->text, "%s", peer->failure);
    ret->outcome = readable && *peer->failure == '\0' ? PROBE_GOOD : PROBE_UNPROVEN;
}

void server_probe_prove(const struct server_probe_result *r, const struct trust *trust, const char *host,
                        struct path_report *ret)
{
    path_report_make(
        &(struct path_report_question){
            .trust = trust, .chain = &r->shown.pem, .purpose = TRUST_SERVER, .host = host, .now = time(NULL)},
        ret);
}

void server_probe_let_go(struct server_probe_result *r)
{
    buf_free(&r->heard);
    cert_facts_free(&r->certificate);
    cert_shown_free(&r->shown);
}

static void take_facts(struct server_probe *p)
{
    const struct link *wire = link_bottom(p->link);
    struct link_peer peer;
    link_peer(p->link, &peer);
    p->result.traffic = (struct probe_traffic){.sent = wire->bytes_written - p->written_by,
                                               .received = wire->bytes_read - p->read_by};
    server_probe_take(&peer, &p->result);
}

static void set_afterword(struct server_probe *p)
{
    int64_t until = MIN(p->deadline, loop_now(p->params.to.loop) + AFTERWORD_NS);
    loop_set_timer(p->params.to.loop, &p->timer, until);
}

/* A request is made of who has chosen its protocol. */
static bool makes_request(const struct server_probe *p)
{
    return p->params.request != NULL && strcmp(p->params.request_protocol, p->result.alpn) == 0;
}

static bool shake(struct server_probe *p)
{
    switch (link_open(p->link)) {
    case LINK_AGAIN:
        return false;
    case LINK_OK:
        break;
    default:
        return end_without_tls(p);
    }
    p->result.spent[PROBE_TLS] = clock_monotonic() - p->began;
    take_facts(p);
    if (!makes_request(p))
        set_afterword(p);
    p->phase = CONVERSING;
    return true;
}

static bool listen_next(struct server_probe *p)
{
    set_afterword(p);
    p->phase = LISTENING;
    return true;
}

static bool has_heard(const struct server_probe *p)
{
    const struct buf *heard = &p->result.heard;
    return !makes_request(p) || heard->len == heard->max ||
           (heard->len > 0 && memmem(heard->data, heard->len, "\r\n\r\n", 4) != NULL);
}

/* In TLS 1.3 tickets come behind the handshake, and are not taken any more once our end is written. */
static bool waits_for_ticket(const struct server_probe *p)
{
    bool asks_first = p->params.request != NULL && !makes_request(p);
    return p->params.sessions != NULL && !asks_first && p->result.version == 0x0304 && !p->result.resumed &&
           tls_sessions_count(p->params.sessions) == 0;
}

/* The request, and what comes back up to an empty line; or a ticket. That they do not come is no fault of
 * TLS. */
static bool converse(struct server_probe *p)
{
    struct buf *heard = &p->result.heard;
    enum link_status status = has_heard(p) ? LINK_OK : link_write_buf(p->link, &p->say);
    while (status == LINK_OK && (!has_heard(p) || waits_for_ticket(p)))
        status = heard->len == heard->max
                     ? LINK_EOF
                     : link_read_buf(p->link, heard, MIN(heard->max - heard->len, (size_t)READ_AT_ONCE));
    return status == LINK_AGAIN ? false : listen_next(p);
}

/* Say that this was all, and hear whether the server has anything against us. A server that goes on to speak,
 * or ends, has not. */
static bool listen_on(struct server_probe *p)
{
    uint8_t ignored[READ_AT_ONCE];
    struct link_peer peer;
    size_t n;
    if (!p->ended)
        p->ended = link_shutdown(p->link) != LINK_AGAIN;
    if (p->result.version < 0x0304)
        return p->ended ? finish(p) : false;
    enum link_status read = link_read(p->link, ignored, sizeof(ignored), &n);
    if (read == LINK_AGAIN)
        return false;
    link_peer(p->link, &peer);
    if (read != LINK_ERROR || peer.alert == 0 || p->result.outcome == PROBE_UNPROVEN)
        return finish(p); /* what was found first is worse */
    bool wants = peer.alert == ALERT_CERTIFICATE_REQUIRED;
    return end(p, PROBE_TURNED_AWAY, "the server broke off behind the handshake: %s%s", link_error(p->link),
               wants ? "; it takes only clients with a certificate" : "");
}

/* ---- driver ---- */

static void go(struct server_probe *p)
{
    static bool (*const phases[])(struct server_probe *) = {
        [SHAKING] = shake, [CONVERSING] = converse, [LISTENING] = listen_on};
    while (p->phase != OVER && phases[p->phase](p))
        ;
}

static void on_link_wake(struct link *l)
{
    go(l->owner);
}

static void begin_tls(struct server_probe *p, const struct approach_report *report)
{
    struct link *wire = approach_take(p->approach);
    p->began = report->arrived;
    p->read_by = wire->bytes_read;
    p->written_by = wire->bytes_written;
    p->link = tls_client_link(p->params.tls,
                              &(struct tls_peer){.host = p->params.to.name,
                                                 .sni = p->params.sni,
                                                 .sessions = p->params.sessions,
                                                 .ech = p->params.ech},
                              wire, p->params.scratch);
    p->link->wake = on_link_wake;
    p->link->owner = p;
    loop_set_timer(p->params.to.loop, &p->timer, p->deadline);
    p->phase = SHAKING;
    go(p);
}

static void on_approach(void *owner)
{
    struct server_probe *p = owner;
    CHECK_MAGIC(p, PROBE_MAGIC);
    const struct approach_report *report = approach_report(p->approach);
    memcpy(p->result.spent, report->spent, sizeof(report->spent));
    p->result.address = report->address;
    if (report->outcome == PROBE_GOOD)
        begin_tls(p, report);
    else
        end(p, report->outcome, "%s", report->text.text);
}

static void on_timer(struct timer *t)
{
    struct server_probe *p = CONTAINER_OF(t, struct server_probe, timer);
    char within[UNIT_TEXT_MAX];
    if (p->phase == SHAKING)
        end(p, PROBE_TIMED_OUT, "connected, and the handshake was not over within %s",
            unit_format(p->params.timeout, unit_durations, within));
    else
        finish(p);
}

static void on_over(struct task *t)
{
    struct server_probe *p = CONTAINER_OF(t, struct server_probe, over);
    CHECK_MAGIC(p, PROBE_MAGIC);
    link_close(p->link, false);
    p->link = NULL;
    p->params.done(p->params.owner);
}

struct server_probe *server_probe_start(const struct server_probe_params *params)
{
    struct server_probe *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->magic = PROBE_MAGIC;
    p->params = *params;
    p->result.heard.max = PROBE_HEARD_MAX;
    p->result.spent[PROBE_TLS] = PROBE_NOT_REACHED;
    p->deadline = loop_now(params->to.loop) + params->timeout;
    if (params->request != NULL)
        CHECK(buf_append(&p->say, params->request, strlen(params->request)));
    timer_init(&p->timer, on_timer);
    task_init(&p->over, on_over);
    p->approach = approach_start(&params->to, params->timeout, on_approach, p);
    return p;
}

const struct server_probe_result *server_probe_result(const struct server_probe *p)
{
    CHECK_MAGIC(p, PROBE_MAGIC);
    return &p->result;
}

void server_probe_free(struct server_probe *p)
{
    if (p == NULL)
        return;
    CHECK_MAGIC(p, PROBE_MAGIC);
    wheel_cancel(&p->timer);
    list_remove(&p->over.node);
    approach_free(p->approach);
    link_close(p->link, false);
    buf_free(&p->say);
    server_probe_let_go(&p->result);
    p->magic = 0;
    free(p);
}
