/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/ask_hook.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "config/config.h"
#include "fetch/fetch.h"
#include "net/hook.h"

#define ANSWER_MAX 4096 /* bytes of content, which nobody reads */

struct ask_call {
    const struct ask_hook *hook; /* until it was told */
    struct ask_crowd *crowd;
    struct loop *loop;
    ask_done *done; /* NULL: it was told */
    void *arg;
    struct fetch *fetch;  /* or: */
    struct hook *program; /* NULL: it is a URL that is asked */
    struct task reap;
};

void ask_hook_init(struct ask_hook *h, const struct config_ask *from, int64_t timeout)
{
    *h = (struct ask_hook){.timeout = timeout};
    if (from->text.text != NULL && from->program == NULL)
        h->url = str_dup(from->text.text);
    h->program = hook_words_copy(from->program);
}

void ask_hook_done(struct ask_hook *h)
{
    hook_words_free(h->program);
    free(h->url);
    *h = (struct ask_hook){0};
}

static void tell(struct ask_call *c, enum ask_answer answer, const struct err *err)
{
    ask_done *done = c->done;
    c->done = NULL;
    if (done != NULL)
        done(c->arg, answer, err);
}

static void reap(struct task *t)
{
    free(CONTAINER_OF(t, struct ask_call, reap));
}

/* Nothing is left of what was asked. */
static void end(struct ask_call *c)
{
    c->crowd->under_way--;
    loop_defer(c->loop, c->crowd->room);
    loop_defer(c->loop, &c->reap);
}

/* ---- a URL ---- */

static void on_fetched(void *arg, const struct fetch_answer *answer, const struct err *why)
{
    struct ask_call *c = arg;
    struct err err;
    if (answer == NULL) {
        tell(c, ASK_FAILED, why);
    } else if (answer->status == 200) {
        tell(c, ASK_YES, NULL);
    } else {
        err_set(&err, "%s says %u, expected 200", c->hook->url, answer->status);
        tell(c, answer->status >= 500 ? ASK_FAILED : ASK_NO, &err);
    }
    end(c);
}

static int start_fetch(struct ask_call *c, const char *name, struct err *err)
{
    struct buf url = {0};
    const struct ask_hook *h = c->hook;
    CHECK(buf_printf(&url, "%s%cdomain=%s", h->url, strchr(h->url, '?') != NULL ? '&' : '?', name));
    const struct fetch_request request = {
        .method = "GET", .url = buf_text(&url), .timeout = h->timeout, .max = ANSWER_MAX};
    c->fetch = h->fetcher != NULL ? fetch_start(h->fetcher, &request, on_fetched, c, err) : NULL;
    if (h->fetcher == NULL)
        err_set(err, "libcurl is missing");
    buf_free(&url);
    return c->fetch != NULL ? 0 : -1;
}

/* ---- a program ---- */

static void on_program(void *arg, enum hook_end how, const struct err *why)
{
    static const enum ask_answer answers[] = {
        [HOOK_DONE] = ASK_YES, [HOOK_REFUSED] = ASK_NO, [HOOK_KILLED] = ASK_FAILED, [HOOK_LATE] = ASK_FAILED};
    struct ask_call *c = arg;
    struct err late;
    if (how == HOOK_LATE) { /* questions have less time than a second, perhaps */
        err_set(&late, "%s did not end within %lld ms", c->hook->program[0],
                (long long)(c->hook->timeout / NSEC_PER_MSEC));
        why = &late;
    }
    tell(c, answers[how], why);
}

static void on_gone(void *arg)
{
    end(arg);
}

static int start_program(struct ask_call *c, const char *name, struct err *err)
{
    const struct ask_hook *h = c->hook;
    const char *more[] = {name, NULL};
    const struct hook_wish wish = {.loop = h->loop,
                                   .programs = h->programs,
                                   .command = h->program,
                                   .more = more,
                                   .patience = h->timeout,
                                   .mute = true,
                                   .done = on_program,
                                   .gone = on_gone,
                                   .arg = c};
    c->program = hook_start(&wish, err);
    return c->program != NULL ? 0 : -1;
}

struct ask_call *ask_hook_start(const struct ask_hook *h, const char *name, ask_done *done, void *arg,
                                struct err *err)
{
    struct ask_call *c = calloc(1, sizeof(*c));
    CHECK(c != NULL && (h->url != NULL || h->program != NULL));
    *c = (struct ask_call){.hook = h, .crowd = h->crowd, .loop = h->loop, .done = done, .arg = arg};
    task_init(&c->reap, reap);
    if ((h->url != NULL ? start_fetch(c, name, err) : start_program(c, name, err)) == 0) {
        h->crowd->under_way++;
        return c;
    }
    free(c);
    return NULL;
}

void ask_hook_cancel(struct ask_call *c)
{
    c->done = NULL;
    if (c->program != NULL) {
        hook_kill(c->program);
        return;
    }
    fetch_cancel(c->fetch);
    end(c);
}
