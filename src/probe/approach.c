/* SPDX-License-Identifier: Apache-2.0 */
/* A machine of phases. Each goes as far as it can: true when the next one is to go on, false when there is
 * something to wait for, or all is over. One timer bounds all of it. */
#include "probe/approach.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/unit.h"
#include "loop/loop.h"
#include "session/dial.h"
#include "starttls/starttls.h"

#define READ_AT_ONCE 4096

#define APPROACH_MAGIC 0xa99c0ac8u

enum phase { DIALLING, ASKING, OVER };

struct approach {
    uint32_t magic;
    struct approach_to to;
    struct approach_report report;
    void (*done)(void *owner);
    void *owner;
    enum phase phase;
    struct dial dial;
    size_t left; /* addresses that were left when the timer was set last */
    struct link *link;
    struct starttls_run *run;
    struct buf heard, say;
    bool switched;             /* the dialogue is over, and TLS begins when all is said */
    int64_t timeout, deadline; /* the loop's time */
    int64_t step_began;        /* clock_monotonic() */
    struct timer timer;
    struct task over;
};

/* ---- ends ---- */

/* All is told. Returns false, as a phase does: there is nothing to go on with. */
static bool finish(struct approach *a)
{
    a->phase = OVER;
    wheel_cancel(&a->timer);
    loop_defer(a->to.loop, &a->over);
    return false;
}

/* The same, with an outcome and why. `fmt` is printf's. */
__attribute__((format(printf, 3, 4))) static bool end(struct approach *a, enum probe_outcome outcome,
                                                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(a->report.text.text, sizeof(a->report.text.text), fmt, ap);
    va_end(ap);
    a->report.outcome = outcome;
    return finish(a);
}

static bool end_broken(struct approach *a)
{
    return end(a, PROBE_CLOSED, "the connection broke before TLS began: %s", link_error(a->link));
}

static void step_took(struct approach *a, enum probe_step step)
{
    int64_t now = clock_monotonic();
    a->report.spent[step] = now - a->step_began;
    a->step_began = now;
}

static bool arrive(struct approach *a)
{
    a->report.outcome = PROBE_GOOD;
    a->report.arrived = a->step_began;
    return finish(a);
}

/* ---- connecting ---- */

static bool on_address(void *owner, const struct net_addr *addr)
{
    struct approach *a = owner;
    (void)addr;
    if (a->report.spent[PROBE_LOOKUP] == PROBE_NOT_REACHED)
        step_took(a, PROBE_LOOKUP);
    return true;
}

static bool end_undialled(struct approach *a, enum dial_status status)
{
    if (status == DIAL_NO_SUCH_HOST || status == DIAL_UNRESOLVED)
        step_took(a, PROBE_LOOKUP);
    switch (status) {
    case DIAL_NO_SUCH_HOST:
        return end(a, PROBE_NO_SUCH_HOST, "%s: %s", a->to.host, resolve_status_text(dial_resolved(&a->dial)));
    case DIAL_UNRESOLVED:
        return end(a, PROBE_UNRESOLVED, "%s: %s", a->to.host, resolve_status_text(dial_resolved(&a->dial)));
    case DIAL_REFUSED:
        return end(a, PROBE_REFUSED, "the connection was refused: nothing listens there");
    case DIAL_NO_DESCRIPTOR:
        return end(a, PROBE_UNREACHABLE, "no connection: this process may open no more files (ulimit -n)");
    default:
        return end(a, PROBE_UNREACHABLE, "the address cannot be reached");
    }
}

/* What time is left is shared among the addresses that are. */
static void share_time(struct approach *a)
{
    size_t left = MAX(dial_left(&a->dial), (size_t)1);
    if (left == a->left)
        return;
    int64_t now = loop_now(a->to.loop);
    a->left = left;
    loop_set_timer(a->to.loop, &a->timer, now + (a->deadline - now) / (int64_t)left);
}

static void on_link_wake(struct link *l);

static void connected(struct approach *a)
{
    step_took(a, PROBE_CONNECT);
    a->link = dial_take(&a->dial);
    a->link->wake = on_link_wake;
    a->link->owner = a;
    loop_set_timer(a->to.loop, &a->timer, a->deadline);
}

static void set(struct approach *a, const char *variable, const char *value)
{
    starttls_run_set(a->run, variable, (struct str){value, strlen(value)});
}

static void begin_dialogue(struct approach *a)
{
    struct utsname us;
    a->run = starttls_run_new(a->to.protocol);
    set(a, "me", uname(&us) == 0 && us.nodename[0] != '\0' ? us.nodename : "localhost");
    set(a, "name", a->to.name);
    a->heard.max = STARTTLS_UNIT_MAX + READ_AT_ONCE;
    starttls_run_begin(a->run, starttls_section(a->to.protocol, STARTTLS_ASK), &a->say);
    a->phase = ASKING;
}

static bool dial(struct approach *a)
{
    enum dial_status status = dial_step(&a->dial);
    const struct net_addr *address = dial_address(&a->dial);
    if (address != NULL)
        a->report.address = *address;
    if (status == DIAL_WAIT) {
        share_time(a);
        return false;
    }
    if (status != DIAL_OK)
        return end_undialled(a, status);
    connected(a);
    if (a->to.protocol == NULL)
        return arrive(a);
    begin_dialogue(a);
    return true;
}

/* ---- asking for TLS ---- */

/* What may be meant, while the server has said nothing at all. */
static const char *silence_hint(const struct approach *a)
{
    return a->link->bytes_read > 0 ? "" : "; perhaps TLS begins at once there: --starttls none";
}

static bool end_refused(struct approach *a)
{
    static const enum probe_outcome outcomes[] = {
        [STARTTLS_NO_FAILURE] = PROBE_CLOSED,      [STARTTLS_MISSING] = PROBE_NOT_OFFERED,
        [STARTTLS_REFUSED] = PROBE_NOT_BEGUN,      [STARTTLS_WRONG] = PROBE_OTHER_PROTOCOL,
        [STARTTLS_INJECTED] = PROBE_INJECTED,      [STARTTLS_TOO_MUCH] = PROBE_OTHER_PROTOCOL,
        [STARTTLS_AT_ONCE] = PROBE_OTHER_PROTOCOL,
    };
    link_write_buf(a->link, &a->say); /* last words, as far as they go */
    if (starttls_run_failure(a->run) == STARTTLS_NO_FAILURE)
        return end(a, PROBE_CLOSED, "the server took its leave before TLS began");
    if (starttls_run_failure(a->run) == STARTTLS_AT_ONCE)
        return end(a, PROBE_OTHER_PROTOCOL,
                   "the server answers with a TLS alert: TLS begins at once there, so --starttls none");
    return end(a, outcomes[starttls_run_failure(a->run)], "%s", starttls_run_text(a->run));
}

/* One step of the dialogue with what has come. */
static enum starttls_status hear(struct approach *a)
{
    size_t used;
    enum starttls_status status = starttls_run_step(a->run, a->heard.data, a->heard.len, &used, &a->say);
    buf_consume(&a->heard, used);
    a->switched = status == STARTTLS_SWITCH || status == STARTTLS_DONE;
    return status;
}

static bool ask(struct approach *a)
{
    for (;;) {
        enum link_status wrote = link_write_buf(a->link, &a->say);
        if (wrote != LINK_OK)
            return wrote == LINK_AGAIN ? false : end_broken(a);
        if (a->switched)
            break;
        enum starttls_status status = hear(a);
        if (!a->switched && status != STARTTLS_MORE)
            return end_refused(a);
        if (a->switched || a->say.len > 0)
            continue;
        enum link_status read = link_read_buf(a->link, &a->heard, READ_AT_ONCE);
        if (read == LINK_AGAIN)
            return false;
        if (read == LINK_EOF)
            return end(a, PROBE_CLOSED, "the server closed the connection before TLS began%s",
                       silence_hint(a));
        if (read != LINK_OK)
            return end_broken(a);
    }
    step_took(a, PROBE_STARTTLS);
    return arrive(a);
}

/* ---- driver ---- */

static void go(struct approach *a)
{
    static bool (*const phases[])(struct approach *) = {[DIALLING] = dial, [ASKING] = ask};
    while (a->phase != OVER && phases[a->phase](a))
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
    struct approach *a = CONTAINER_OF(t, struct approach, timer);
    static const char *const texts[] = {
        [DIALLING] = "no connection", [ASKING] = "connected, and TLS did not begin"};
    char within[UNIT_TEXT_MAX];
    if (a->phase == DIALLING && dial_left(&a->dial) > 1) {
        dial_skip(&a->dial);
        go(a);
        return;
    }
    bool silent = a->phase == ASKING && a->link->bytes_read == 0;
    char waiting[STARTTLS_WAITING_MAX] = "";
    struct str pending = {(const char *)a->heard.data, a->heard.len};
    if (a->phase == ASKING && !silent)
        starttls_run_waiting(a->run, &pending, waiting);
    end(a, PROBE_TIMED_OUT, "%s within %s%s%s",
        silent ? "connected, and the server said nothing" : texts[a->phase],
        unit_format(a->timeout, unit_durations, within), *waiting != '\0' ? ": " : "",
        silent ? silence_hint(a) : waiting);
}

static void on_over(struct task *t)
{
    struct approach *a = CONTAINER_OF(t, struct approach, over);
    CHECK_MAGIC(a, APPROACH_MAGIC);
    dial_cancel(&a->dial);
    if (a->report.outcome != PROBE_GOOD) {
        link_close(a->link, false);
        a->link = NULL;
    }
    a->done(a->owner);
}

struct approach *approach_start(const struct approach_to *to, int64_t timeout, void (*done)(void *owner),
                                void *owner)
{
    struct approach *a = calloc(1, sizeof(*a));
    CHECK(a != NULL);
    a->magic = APPROACH_MAGIC;
    a->to = *to;
    a->timeout = timeout;
    a->done = done;
    a->owner = owner;
    for (size_t i = 0; i < ARRAY_LEN(a->report.spent); i++)
        a->report.spent[i] = PROBE_NOT_REACHED;
    a->deadline = loop_now(to->loop) + timeout;
    a->step_began = clock_monotonic();
    a->dial = (struct dial){
        .loop = to->loop, .resolver = to->resolver, .wake = on_dial_wake, .allow = on_address, .owner = a};
    timer_init(&a->timer, on_timer);
    task_init(&a->over, on_over);
    dial_start(&a->dial, to->host, to->port);
    go(a);
    return a;
}

const struct approach_report *approach_report(const struct approach *a)
{
    CHECK_MAGIC(a, APPROACH_MAGIC);
    return &a->report;
}

struct link *approach_take(struct approach *a)
{
    CHECK_MAGIC(a, APPROACH_MAGIC);
    struct link *link = a->link;
    CHECK(link != NULL && a->report.outcome == PROBE_GOOD);
    a->link = NULL;
    return link;
}

void approach_free(struct approach *a)
{
    if (a == NULL)
        return;
    CHECK_MAGIC(a, APPROACH_MAGIC);
    wheel_cancel(&a->timer);
    list_remove(&a->over.node);
    dial_cancel(&a->dial);
    link_close(a->link, false);
    starttls_run_free(a->run);
    buf_free(&a->heard);
    buf_free(&a->say);
    a->magic = 0;
    free(a);
}
