/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/serve_swaps.h"

#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "config/config.h"
#include "keeper/keeper.h"
#include "keeper/swaps.h"
#include "loop/loop.h"
#include "session/door.h"
#include "session/snapshot.h"

#define LOOK_NS NSEC_PER_SEC
#define RETRY_NS (60 * NSEC_PER_SEC) /* after what is wanted could not be put in force */

struct serve_swaps {
    struct serve_swaps_owner owner;
    struct swaps *swaps;
    struct door *door;     /* NULL before the start */
    struct keeper *keeper; /* the same, and after the end */
    struct timer look;
    size_t under_way; /* puts, see put() */
    int64_t retry_at; /* ns of the loop; 0: the last one has gone well */
};

/* What an operator has asked for, on its way through the workers and the keeper. */
struct asked {
    struct serve_swaps *swaps;
    char *name, *ca; /* or NULL */
    struct swaps_result files;
    serve_swaps_done *done;
    void *arg;
};

static void notice(void *arg, const char *text)
{
    const struct serve_swaps *s = arg;
    s->owner.notice(s->owner.arg, text);
}

/* ---- judging ---- */

static bool judge(struct serve_swaps *s)
{
    const struct snapshot *snap = door_snapshot(s->door);
    return swaps_judge(s->swaps, snap->pairs, snap->config->certificates.n, time(NULL), notice, s);
}

/* Make what is wanted be so; `done` ends with on_put(). */
static void put(struct serve_swaps *s, door_reloaded *done, void *arg)
{
    s->under_way++;
    door_put_aside(s->door, swaps_now(s->swaps), done, arg);
}

static void on_put(void *arg, const struct review *review, const char *errors)
{
    struct serve_swaps *s = arg;
    s->under_way--;
    s->retry_at = review == NULL ? loop_now(s->owner.loop) + RETRY_NS : 0;
    if (review == NULL)
        notice(s, errors);
}

/* Is something else in force than what is wanted, with nothing under way to change it? */
static bool is_behind(const struct serve_swaps *s, int64_t now)
{
    return s->under_way == 0 && now >= s->retry_at &&
           !set_aside_is_same(door_snapshot(s->door)->aside, swaps_now(s->swaps));
}

static void on_look(struct timer *t)
{
    struct serve_swaps *s = CONTAINER_OF(t, struct serve_swaps, look);
    int64_t now = loop_now(s->owner.loop);
    if (judge(s) || is_behind(s, now))
        put(s, on_put, s);
    loop_set_timer(s->owner.loop, t, now + LOOK_NS);
}

/* ---- the operator ---- */

static void answer(struct asked *a, size_t swapped, size_t left, const struct err *err)
{
    a->done(a->arg, swapped, left, err);
    free(a->name);
    free(a->ca);
    free(a);
}

/* Nothing is meant: what could be. `kept`: what the keeper says of those that are obtained, or empty. */
static void answer_unmeant(struct asked *a, const struct err *kept)
{
    const struct snapshot *snap = door_snapshot(a->swaps->door);
    const struct swaps_order order = {a->name, a->ca};
    struct buf choice = {0};
    struct err why;
    bool any = swaps_choice(a->swaps->swaps, snap->pairs, snap->config->certificates.n, &order, &choice);
    const char *known = any ? buf_text(&choice) : NULL, *also = kept->text;
    if (!any && *also != '\0')
        err_set(&why, "%s", also);
    else if (!any)
        err_set(&why, "no certificate has a backup: 'backup' beside 'certificate', or in 'acme'");
    else if (a->ca != NULL)
        err_set(&why, "no certificate in a file with a backup is from a CA '%s'; those are from %s%s%s",
                a->ca, known, *also == '\0' ? "" : "; ", also);
    else
        err_set(&why, "no certificate in a file with a backup is for '%s'; those are for %s%s%s",
                a->name != NULL ? a->name : "", known, *also == '\0' ? "" : "; ", also);
    answer(a, 0, 0, &why);
    buf_free(&choice);
}

/* What the keeper cannot swap counts only where no file was meant. */
static void on_kept_swapped(void *arg, size_t swapped, size_t left, const struct err *err)
{
    struct asked *a = arg;
    size_t all = a->files.swapped + swapped;
    if (a->files.swapped + a->files.left == 0 && err != NULL)
        answer_unmeant(a, err);
    else if (err == NULL)
        answer(a, all, a->files.left + left, NULL);
    else if (a->files.swapped == 0 && a->name != NULL) {
        struct err why;
        err_set(&why, "%s: %s", a->name, a->files.why.text);
        answer(a, 0, 0, &why);
    } else {
        answer(a, all, a->files.left, NULL);
    }
}

static void ask_keeper(struct asked *a)
{
    struct err stopped;
    if (a->swaps->keeper == NULL) {
        err_set(&stopped, "the door stops");
        on_kept_swapped(a, 0, 0, &stopped);
        return;
    }
    keeper_swap(a->swaps->keeper, a->name, a->ca, on_kept_swapped, a);
}

static void on_served(void *arg, const struct review *review, const char *errors)
{
    struct asked *a = arg;
    on_put(a->swaps, review, errors);
    ask_keeper(a);
}

void serve_swaps_do(void *swaps, const char *name, const char *ca, serve_swaps_done *done, void *arg)
{
    struct serve_swaps *s = swaps;
    const struct snapshot *snap = door_snapshot(s->door);
    const struct swaps_order order = {name, ca};
    struct asked *a = calloc(1, sizeof(*a));
    CHECK(a != NULL);
    *a = (struct asked){.swaps = s, .name = str_dup(name), .ca = str_dup(ca), .done = done, .arg = arg};
    swaps_do(s->swaps, snap->pairs, snap->config->certificates.n, &order, time(NULL), &a->files);
    if (judge(s))
        put(s, on_served, a);
    else
        ask_keeper(a);
}

/* ---- life ---- */

struct serve_swaps *serve_swaps_new(const struct serve_swaps_owner *owner, const char *state)
{
    struct err trouble;
    struct serve_swaps *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    *s = (struct serve_swaps){.owner = *owner, .swaps = swaps_open(state, &trouble)};
    timer_init(&s->look, on_look);
    if (trouble.text[0] != '\0')
        notice(s, trouble.text);
    return s;
}

void serve_swaps_stop(struct serve_swaps *s)
{
    if (s == NULL)
        return;
    wheel_cancel(&s->look);
    s->keeper = NULL;
}

void serve_swaps_free(struct serve_swaps *s)
{
    if (s == NULL)
        return;
    wheel_cancel(&s->look);
    swaps_close(s->swaps);
    free(s);
}

struct set_aside *serve_swaps_aside(const struct serve_swaps *s)
{
    return swaps_now(s->swaps);
}

const struct swaps *serve_swaps_told(const struct serve_swaps *s)
{
    return s->swaps;
}

void serve_swaps_start(struct serve_swaps *s, struct door *door, struct keeper *keeper)
{
    const struct snapshot *snap = door_snapshot(door);
    s->door = door;
    s->keeper = keeper;
    swaps_tell_kept(s->swaps, snap->pairs, snap->config->certificates.n, notice, s);
    on_look(&s->look);
}
