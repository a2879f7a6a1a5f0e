/* SPDX-License-Identifier: Apache-2.0 */
/* A machine of phases. Each goes as far as it can: true when the next one is to go on, false when there is
 * something to wait for, or all is over. One timer bounds all of it. */
#include "probe/server_probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/alert.h"
#include "base/clock.h"
#include "base/unit.h"
#include "loop/loop.h"
#include "session/dial.h"
#include "starttls/starttls.h"
#include "tls/client.h"

#define READ_AT_ONCE 4096

/* In TLS 1.3 a server refuses a client's certificate only after the client holds the handshake for complete.
 * So long it may take for that: one way there and back is on its way already. */
#define AFTERWORD_NS NSEC_PER_SEC

#define PROBE_MAGIC 0x5e72b09eu

enum phase { DIALLING, ASKING, SHAKING, LISTENING, OVER };

struct server_probe {
    uint32_t magic;
    struct server_probe_params params;
    struct server_probe_result result;
    enum phase phase;
    struct dial dial;
    size_t left; /* addresses that were left when the timer was set last */
    struct link *link;
    struct starttls_run *run;
    struct buf heard, say;
    bool switched;      /* the dialogue is over, and TLS begins when all is said */
    bool ended;         /* our end is written */
    int64_t deadline;   /* of all; the loop's time */
    int64_t step_began; /* clock_monotonic() */
    struct timer timer;
    struct task over;
};

const char *server_probe_word(enum server_probe_outcome outcome)
{
    static const char *const words[] = {
#define X(NAME, word, meaning) word,
#include "tables/probe_outcomes.def"
#undef X
    };
    CHECK((size_t)outcome < ARRAY_LEN(words));
    return words[outcome];
}

/* ---- ends ---- */

/* All is told. Returns false, as a phase does: there is nothing to go on with. */
static bool finish(struct server_probe *p)
{
    p->phase = OVER;
    wheel_cancel(&p->timer);
    loop_defer(p->params.loop, &p->over);
    return false;
}

/* The same, with an outcome and why. `fmt` is printf's. */
__attribute__((format(printf, 3, 4))) static bool end(struct server_probe *p,
                                                      enum server_probe_outcome outcome, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->result.text.text, sizeof(p->result.text.text), fmt, ap);
    va_end(ap);
    p->result.outcome = outcome;
    return finish(p);
}

static bool end_broken(struct server_probe *p)
{
    return end(p, PROBE_CLOSED, "the connection broke before TLS began: %s", link_error(p->link));
}

static void step_took(struct server_probe *p, enum server_probe_step step)
{
    int64_t now = clock_monotonic();
    p->result.spent[step] = now - p->step_began;
    p->step_began = now;
}

/* ---- connecting ---- */

static bool on_address(void *owner, const struct net_addr *addr)
{
    struct server_probe *p = owner;
    (void)addr;
    if (p->result.spent[PROBE_LOOKUP] == PROBE_NOT_REACHED)
        step_took(p, PROBE_LOOKUP);
    return true;
}

static bool end_undialled(struct server_probe *p, enum dial_status status)
{
    if (status == DIAL_NO_SUCH_HOST || status == DIAL_UNRESOLVED)
        step_took(p, PROBE_LOOKUP);
    switch (status) {
    case DIAL_NO_SUCH_HOST:
        return end(p, PROBE_NO_SUCH_HOST, "%s: %s", p->params.host,
                   resolve_status_text(dial_resolved(&p->dial)));
    case DIAL_UNRESOLVED:
        return end(p, PROBE_UNRESOLVED, "%s: %s", p->params.host,
                   resolve_status_text(dial_resolved(&p->dial)));
    case DIAL_REFUSED:
        return end(p, PROBE_REFUSED, "the connection was refused: nothing listens there");
    case DIAL_NO_DESCRIPTOR:
        return end(p, PROBE_UNREACHABLE, "no connection: this process may open no more files (ulimit -n)");
    default:
        return end(p, PROBE_UNREACHABLE, "the address cannot be reached");
    }
}

/* What time is left is shared among the addresses that are. */
static void share_time(struct server_probe *p)
{
    size_t left = MAX(dial_left(&p->dial), (size_t)1);
    if (left == p->left)
        return;
    int64_t now = loop_now(p->params.loop);
    p->left = left;
    loop_set_timer(p->params.loop, &p->timer, now + (p->deadline - now) / (int64_t)left);
}

static void on_link_wake(struct link *l);

static void connected(struct server_probe *p)
{
    step_took(p, PROBE_CONNECT);
    p->link = dial_take(&p->dial);
    p->link->wake = on_link_wake;
    p->link->owner = p;
    loop_set_timer(p->params.loop, &p->timer, p->deadline);
}

static void set(struct server_probe *p, const char *variable, const char *value)
{
    starttls_run_set(p->run, variable, (struct str){value, strlen(value)});
}

static void begin_dialogue(struct server_probe *p)
{
    struct utsname us;
    p->run = starttls_run_new(p->params.protocol);
    set(p, "me", uname(&us) == 0 && us.nodename[0] != '\0' ? us.nodename : "localhost");
    set(p, "name", p->params.name);
    p->heard.max = STARTTLS_UNIT_MAX + READ_AT_ONCE;
    starttls_run_begin(p->run, starttls_section(p->params.protocol, STARTTLS_ASK), &p->say);
    p->phase = ASKING;
}

static void begin_tls(struct server_probe *p)
{
    p->link = tls_client_connect(p->params.tls, p->params.name, p->params.sni, p->link, p->params.scratch);
    p->link->wake = on_link_wake;
    p->link->owner = p;
    p->phase = SHAKING;
}

static bool dial(struct server_probe *p)
{
    enum dial_status status = dial_step(&p->dial);
    const struct net_addr *address = dial_address(&p->dial);
    if (address != NULL)
        p->result.address = *address;
    if (status == DIAL_WAIT) {
        share_time(p);
        return false;
    }
    if (status != DIAL_OK)
        return end_undialled(p, status);
    connected(p);
    if (p->params.protocol != NULL)
        begin_dialogue(p);
    else
        begin_tls(p);
    return true;
}

/* ---- asking for TLS ---- */

/* What may be meant, while the server has said nothing at all. */
static const char *silence_hint(const struct server_probe *p)
{
    return p->link->bytes_read > 0 ? "" : "; perhaps TLS begins at once there: --starttls none";
}

static bool end_refused(struct server_probe *p)
{
    static const enum server_probe_outcome outcomes[] = {
        [STARTTLS_NO_FAILURE] = PROBE_CLOSED,      [STARTTLS_MISSING] = PROBE_NOT_OFFERED,
        [STARTTLS_REFUSED] = PROBE_NOT_BEGUN,      [STARTTLS_WRONG] = PROBE_OTHER_PROTOCOL,
        [STARTTLS_INJECTED] = PROBE_INJECTED,      [STARTTLS_TOO_MUCH] = PROBE_OTHER_PROTOCOL,
        [STARTTLS_AT_ONCE] = PROBE_OTHER_PROTOCOL,
    };
    link_write_buf(p->link, &p->say); /* last words, as far as they go */
    if (starttls_run_failure(p->run) == STARTTLS_NO_FAILURE)
        return end(p, PROBE_CLOSED, "the server took its leave before TLS began");
    if (starttls_run_failure(p->run) == STARTTLS_AT_ONCE)
        return end(p, PROBE_OTHER_PROTOCOL,
                   "the server answers with a TLS alert: TLS begins at once there, so --starttls none");
    return end(p, outcomes[starttls_run_failure(p->run)], "%s", starttls_run_text(p->run));
}

/* One step of the dialogue with what has come. */
static enum starttls_status hear(struct server_probe *p)
{
    size_t used;
    enum starttls_status status = starttls_run_step(p->run, p->heard.data, p->heard.len, &used, &p->say);
    buf_consume(&p->heard, used);
    p->switched = status == STARTTLS_SWITCH || status == STARTTLS_DONE;
    return status;
}

static bool ask(struct server_probe *p)
{
    for (;;) {
        enum link_status wrote = link_write_buf(p->link, &p->say);
        if (wrote != LINK_OK)
            return wrote == LINK_AGAIN ? false : end_broken(p);
        if (p->switched)
            break;
        enum starttls_status status = hear(p);
        if (!p->switched && status != STARTTLS_MORE)
            return end_refused(p);
        if (p->switched || p->say.len > 0)
            continue;
        enum link_status read = link_read_buf(p->link, &p->heard, READ_AT_ONCE);
        if (read == LINK_AGAIN)
            return false;
        if (read == LINK_EOF)
            return end(p, PROBE_CLOSED, "the server closed the connection before TLS began%s",
                       silence_hint(p));
        if (read != LINK_OK)
            return end_broken(p);
    }
    step_took(p, PROBE_STARTTLS);
    begin_tls(p);
    return true;
}

/* ---- TLS ---- */

static bool end_without_tls(struct server_probe *p)
{
    struct link_peer peer;
    char text[STARTTLS_CLEAR_MAX];
    link_peer(p->link, &peer);
    if (peer.found.len > 0 && p->params.protocol == NULL)
        return end(p, PROBE_OTHER_PROTOCOL, "%s", starttls_found_clear(peer.found, "--starttls ", text));
    if (peer.found.len > 0)
        return end(p, PROBE_INJECTED, "%s, behind the word to begin it",
                   starttls_found_clear(peer.found, NULL, text));
    return end(p, PROBE_TLS_FAILED, "no TLS came about: %s", link_error(p->link));
}

static void take_facts(struct server_probe *p)
{
    struct server_probe_result *r = &p->result;
    struct link_peer peer;
    link_peer(p->link, &peer);
    r->shook_hands = true;
    r->version = peer.version;
    r->group = peer.group_name;
    r->cipher = peer.cipher;
    if (peer.alpn.len > 0)
        str_copy(r->alpn, sizeof(r->alpn), peer.alpn.p, peer.alpn.len);
    bool readable = cert_facts_read(peer.shown, &r->certificate, &r->text) == 0;
    if (*peer.failure != '\0')
        err_set(&r->text, "%s", peer.failure);
    r->outcome = readable && *peer.failure == '\0' ? PROBE_GOOD : PROBE_UNPROVEN;
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
    step_took(p, PROBE_TLS);
    take_facts(p);
    int64_t until = MIN(p->deadline, loop_now(p->params.loop) + AFTERWORD_NS);
    loop_set_timer(p->params.loop, &p->timer, until);
    p->phase = LISTENING;
    return true;
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
        [DIALLING] = dial, [ASKING] = ask, [SHAKING] = shake, [LISTENING] = listen_on};
    while (p->phase != OVER && phases[p->phase](p))
        ;
}

static void on_dial_wake(void *owner)
{
    go(owner);
}

static void on_link_wake(struct link *l)
{
    go(l->owner);
}

static void on_timer(struct timer *t)
{
    struct server_probe *p = CONTAINER_OF(t, struct server_probe, timer);
    static const char *const texts[] = {[DIALLING] = "no connection",
                                        [ASKING] = "connected, and TLS did not begin",
                                        [SHAKING] = "connected, and the handshake was not over"};
    char within[UNIT_TEXT_MAX];
    if (p->phase == LISTENING) {
        finish(p);
        return;
    }
    if (p->phase == DIALLING && dial_left(&p->dial) > 1) {
        dial_skip(&p->dial);
        go(p);
        return;
    }
    bool silent = p->phase == ASKING && p->link->bytes_read == 0;
    char waiting[STARTTLS_WAITING_MAX] = "";
    struct str pending = {(const char *)p->heard.data, p->heard.len};
    if (p->phase == ASKING && !silent)
        starttls_run_waiting(p->run, &pending, waiting);
    end(p, PROBE_TIMED_OUT, "%s within %s%s%s",
        silent ? "connected, and the server said nothing" : texts[p->phase],
        unit_format(p->params.timeout, unit_durations, within), *waiting != '\0' ? ": " : "",
        silent ? silence_hint(p) : waiting);
}

static void on_over(struct task *t)
{
    struct server_probe *p = CONTAINER_OF(t, struct server_probe, over);
    CHECK_MAGIC(p, PROBE_MAGIC);
    dial_cancel(&p->dial);
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
    for (size_t i = 0; i < PROBE_STEPS; i++)
        p->result.spent[i] = PROBE_NOT_REACHED;
    p->deadline = loop_now(params->loop) + params->timeout;
    p->step_began = clock_monotonic();
    p->dial = (struct dial){.loop = params->loop,
                            .resolver = params->resolver,
                            .wake = on_dial_wake,
                            .allow = on_address,
                            .owner = p};
    timer_init(&p->timer, on_timer);
    task_init(&p->over, on_over);
    dial_start(&p->dial, params->host, params->port);
    go(p);
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
    dial_cancel(&p->dial);
    link_close(p->link, false);
    starttls_run_free(p->run);
    buf_free(&p->heard);
    buf_free(&p->say);
    cert_facts_free(&p->result.certificate);
    p->magic = 0;
    free(p);
}
