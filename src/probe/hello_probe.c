/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/hello_probe.h"

#include <stdlib.h>

#include "base/check.h"
#include "link/link.h"
#include "loop/loop.h"

#define READ_AT_ONCE 4096

#define HELLO_PROBE_MAGIC 0x4e110b0eu

struct hello_probe {
    uint32_t magic;
    struct hello_probe_params params;
    struct hello_probe_result result;
    struct approach *approach;
    struct link *link;
    struct buf say, heard;
    bool waits; /* before the rest of the hello */
    int64_t deadline;
    struct timer timer, pause;
    struct task over;
    bool is_over;
};

static void finish(struct hello_probe *p, enum hello_probe_end end)
{
    p->result.end = end;
    p->is_over = true;
    wheel_cancel(&p->timer);
    wheel_cancel(&p->pause);
    loop_defer(p->params.to.loop, &p->over);
}

/* A server that breaks off behind its ServerHello has said what was asked. */
static void finish_cut_off(struct hello_probe *p, enum hello_probe_end end)
{
    bool answered = p->result.answer.kind == ANSWER_MORE && p->result.answer.suite != 0;
    if (answered)
        p->result.answer.kind = ANSWER_HELLO;
    finish(p, answered ? HELLO_PROBE_ANSWERED : end);
}

static void hear(struct hello_probe *p)
{
    for (;;) {
        enum link_status status = link_read_buf(p->link, &p->heard, READ_AT_ONCE);
        if (status == LINK_AGAIN)
            return;
        if (status != LINK_OK) {
            finish_cut_off(p, HELLO_PROBE_CLOSED);
            return;
        }
        hello_answer_read(p->heard.data, p->heard.len, &p->result.answer);
        if (p->result.answer.kind != ANSWER_MORE) {
            finish(p, HELLO_PROBE_ANSWERED);
            return;
        }
    }
}

static void go(struct hello_probe *p)
{
    if (p->is_over)
        return;
    enum link_status status = link_write_buf(p->link, &p->say);
    if (status == LINK_OK && p->waits && !timer_is_set(&p->pause)) {
        int64_t until = loop_now(p->params.to.loop) + p->params.pause;
        loop_set_timer(p->params.to.loop, &p->pause, until);
    }
    hear(p); /* an alert may have come before all is said, also where writing fails */
}

static void on_link_wake(struct link *l)
{
    go(l->owner);
}

static void on_pause(struct timer *t)
{
    struct hello_probe *p = CONTAINER_OF(t, struct hello_probe, pause);
    struct buf *wire = &p->params.wire;
    p->waits = false;
    CHECK(buf_append(&p->say, wire->data + p->params.first, wire->len - p->params.first));
    go(p);
}

static void on_approach(void *owner)
{
    struct hello_probe *p = owner;
    CHECK_MAGIC(p, HELLO_PROBE_MAGIC);
    const struct buf *wire = &p->params.wire;
    if (approach_report(p->approach)->outcome != PROBE_GOOD) {
        finish(p, HELLO_PROBE_UNREACHED);
        return;
    }
    p->link = approach_take(p->approach);
    p->link->wake = on_link_wake;
    p->link->owner = p;
    p->waits = p->params.pause > 0 && p->params.first < wire->len;
    CHECK(buf_append(&p->say, wire->data, p->waits ? p->params.first : wire->len));
    loop_set_timer(p->params.to.loop, &p->timer, p->deadline);
    go(p);
}

static void on_timer(struct timer *t)
{
    finish_cut_off(CONTAINER_OF(t, struct hello_probe, timer), HELLO_PROBE_SILENT);
}

static void on_over(struct task *t)
{
    struct hello_probe *p = CONTAINER_OF(t, struct hello_probe, over);
    CHECK_MAGIC(p, HELLO_PROBE_MAGIC);
    link_close(p->link, false);
    p->link = NULL;
    p->params.done(p->params.owner);
}

struct hello_probe *hello_probe_start(const struct hello_probe_params *params)
{
    struct hello_probe *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->magic = HELLO_PROBE_MAGIC;
    p->params = *params;
    p->heard.max = ANSWER_MAX + READ_AT_ONCE;
    p->deadline = loop_now(params->to.loop) + params->timeout;
    timer_init(&p->timer, on_timer);
    timer_init(&p->pause, on_pause);
    task_init(&p->over, on_over);
    p->approach = approach_start(&params->to, params->timeout, on_approach, p);
    return p;
}

const struct hello_probe_result *hello_probe_result(const struct hello_probe *p)
{
    CHECK_MAGIC(p, HELLO_PROBE_MAGIC);
    return &p->result;
}

void hello_probe_free(struct hello_probe *p)
{
    if (p == NULL)
        return;
    CHECK_MAGIC(p, HELLO_PROBE_MAGIC);
    wheel_cancel(&p->timer);
    wheel_cancel(&p->pause);
    list_remove(&p->over.node);
    approach_free(p->approach);
    link_close(p->link, false);
    buf_free(&p->params.wire);
    buf_free(&p->say);
    buf_free(&p->heard);
    p->magic = 0;
    free(p);
}
