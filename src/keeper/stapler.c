/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/stapler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/list.h"
#include "base/str.h"
#include "cert/ocsp.h"
#include "keeper/asker.h"
#include "keeper/staple_file.h"
#include "loop/loop.h"

#define STAPLER_MAGIC 0x57a91e00u
#define ASKED_MAX 16            /* at once */
#define TURN_MOST INT64_C(60)   /* seconds: the wall clock may be set, and certificates go */
#define RETRY_LEAST INT64_C(60) /* seconds, doubling up to ... */
#define RETRY_MOST INT64_C(3600)

struct stapled {
    struct list node;
    struct stapler *stapler;
    struct cert *cert;
    char *file;          /* name of the file that keeps the response: key and serial number */
    struct buf response; /* the last good one */
    struct question *asked;
    int64_t at; /* seconds since 1970: when to ask next */
    unsigned failures;
    enum listing_revoked heard;
};

struct stapler {
    uint32_t magic;
    struct stapler_owner owner;
    int64_t check_every;
    size_t most;
    char *kept; /* NULL: nothing is */
    struct list all;
    size_t count, asked;
    struct timer timer;
    struct task turn;
};

static int64_t now_seconds(void)
{
    return clock_wall() / NSEC_PER_SEC;
}

static void say(const struct stapled *c, const char *what, const char *why)
{
    struct err text;
    err_set(&text, "certificate %s: %s%s", c->cert->label, what, why);
    c->stapler->owner.notice(c->stapler->owner.arg, &text);
}

static void set_heard(struct stapled *c, enum listing_revoked heard)
{
    c->heard = heard;
    c->cert->revoked = heard == LISTING_REVOKED;
    c->cert->good = heard == LISTING_GOOD;
}

/* ---- what is kept ---- */

/* What another copy of the certificate has, as that of the configuration before; else what is kept. */
static void recall(struct stapled *c)
{
    for (struct list *n = c->stapler->all.next; n != &c->stapler->all && c->heard == LISTING_UNHEARD;
         n = n->next) {
        const struct stapled *other = CONTAINER_OF(n, struct stapled, node);
        if (strcmp(other->file, c->file) != 0)
            continue;
        buf_append(&c->response, other->response.data, other->response.len);
        set_heard(c, other->heard);
    }
    if (c->heard == LISTING_UNHEARD)
        staple_file_recall(c->stapler->kept, c->file, &c->response);
}

/* ---- serving ---- */

static void serve(const struct stapled *c, struct cert_staple *staple)
{
    const struct stapler_owner *owner = &c->stapler->owner;
    struct cert_staple *before = cert_set_staple(c->cert, staple);
    if (before != NULL)
        owner->retired(owner->arg, before);
}

/* Half way to nextUpdate, and never later than revocation is to be noticed. */
static int64_t next_look(const struct stapler *s, const struct cert_status *status, int64_t now)
{
    int64_t middle = status->this_update + (status->next_update - status->this_update) / 2;
    int64_t wait = middle > now ? middle - now : (status->next_update - now) / 2;
    return now + MAX(MIN(wait, s->check_every), MIN(RETRY_LEAST, s->check_every));
}

static void on_good(struct stapled *c, const struct question_answer *a)
{
    buf_consume(&c->response, c->response.len);
    if (a->staple.len > 0) { /* else a CRL says so */
        CHECK(buf_append(&c->response, a->staple.p, a->staple.len));
        serve(c, cert_staple_new(a->staple.p, a->staple.len, a->status.next_update));
        staple_file_keep(c->stapler->kept, c->file, a->staple);
    }
    c->failures = 0;
    set_heard(c, LISTING_GOOD);
    c->at = next_look(c->stapler, &a->status, now_seconds());
}

static void on_revoked(struct stapled *c, const char *url)
{
    if (c->heard != LISTING_REVOKED)
        say(c, "it is revoked, and should be replaced at once, as says ", url);
    buf_consume(&c->response, c->response.len);
    set_heard(c, LISTING_REVOKED);
    serve(c, NULL);
    staple_file_forget(c->stapler->kept, c->file);
    c->at = now_seconds() + c->stapler->check_every;
}

/* Said once, until it is well again. */
static void on_unheard(struct stapled *c, const char *why)
{
    int64_t wait = RETRY_LEAST << MIN(c->failures, 6u);
    if (c->failures++ == 0)
        say(c, "there is no new staple for it: ", why);
    c->at = now_seconds() + MIN(MIN(wait, RETRY_MOST), c->stapler->check_every);
}

static void go_on(struct stapler *s)
{
    loop_defer(s->owner.loop, &s->turn);
}

static void on_answer(void *arg, const struct question_answer *a, const struct err *why)
{
    struct stapled *c = arg;
    c->asked = NULL;
    c->stapler->asked--;
    if (a == NULL)
        on_unheard(c, why->text);
    else if (a->status.verdict == CERT_REVOKED)
        on_revoked(c, a->url);
    else if (a->status.verdict == CERT_UNKNOWN)
        on_unheard(c, "the responder does not know the certificate");
    else
        on_good(c, a);
    go_on(c->stapler);
}

/* ---- turns ---- */

static void drop(struct stapled *c)
{
    if (c->asked != NULL)
        c->stapler->asked--;
    question_cancel(c->asked);
    list_remove(&c->node);
    c->stapler->count--;
    cert_unref(c->cert);
    free(c->file);
    buf_free(&c->response);
    free(c);
}

/* Nobody serves it any more. What is kept goes with the last copy of it. */
static void retire(struct stapled *c)
{
    bool last = true;
    for (struct list *n = c->stapler->all.next; n != &c->stapler->all; n = n->next) {
        const struct stapled *other = CONTAINER_OF(n, struct stapled, node);
        last = last && (other == c || strcmp(other->file, c->file) != 0);
    }
    if (last)
        staple_file_forget(c->stapler->kept, c->file);
    drop(c);
}

static void ask(struct stapled *c)
{
    struct err err;
    c->asked = asker_ask(c->stapler->owner.asker, c->cert, on_answer, c, &err);
    if (c->asked != NULL)
        c->stapler->asked++;
    else
        on_unheard(c, err.text);
}

static void on_turn(struct task *t)
{
    struct stapler *s = CONTAINER_OF(t, struct stapler, turn);
    int64_t now = now_seconds(), due = now + TURN_MOST;
    for (struct list *n = s->all.next, *next; n != &s->all; n = next) {
        struct stapled *c = CONTAINER_OF(n, struct stapled, node);
        next = n->next;
        if (cert_is_unshared(c->cert)) {
            retire(c);
            continue;
        }
        if (c->asked == NULL && c->at > now + s->check_every) /* the clock was set back */
            c->at = now;
        if (c->asked == NULL && c->at <= now && s->asked < ASKED_MAX)
            ask(c);
        if (c->asked == NULL)
            due = MIN(due, c->at);
    }
    loop_set_timer(s->owner.loop, &s->timer, loop_now(s->owner.loop) + MAX(1, due - now) * NSEC_PER_SEC);
}

static void on_timer(struct timer *t)
{
    go_on(CONTAINER_OF(t, struct stapler, timer));
}

/* ---- questions ---- */

enum listing_revoked stapler_heard(const struct stapler *s, const struct cert *cert)
{
    struct str der = cert_leaf_der(cert);
    for (struct list *n = s->all.next; n != &s->all; n = n->next) {
        const struct stapled *c = CONTAINER_OF(n, struct stapled, node);
        struct str mine = cert_leaf_der(c->cert);
        if (c->cert == cert || (mine.len == der.len && memcmp(mine.p, der.p, der.len) == 0))
            return c->heard;
    }
    return LISTING_UNHEARD;
}

/* ---- life ---- */

struct stapler *stapler_new(const struct stapler_owner *owner)
{
    struct stapler *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->magic = STAPLER_MAGIC;
    s->owner = *owner;
    list_init(&s->all);
    timer_init(&s->timer, on_timer);
    task_init(&s->turn, on_turn);
    return s;
}

void stapler_free(struct stapler *s)
{
    if (s == NULL)
        return;
    CHECK_MAGIC(s, STAPLER_MAGIC);
    for (struct list *n = s->all.next, *next; n != &s->all; n = next) {
        next = n->next;
        drop(CONTAINER_OF(n, struct stapled, node));
    }
    wheel_cancel(&s->timer);
    list_remove(&s->turn.node);
    free(s->kept);
    s->magic = 0;
    free(s);
}

void stapler_set(struct stapler *s, int64_t check_every, size_t most, const char *kept)
{
    CHECK_MAGIC(s, STAPLER_MAGIC);
    free(s->kept);
    s->kept = str_dup(kept);
    s->check_every = check_every;
    s->most = most;
}

static char *file_name(const struct issued *names)
{
    struct buf text = {0};
    for (size_t i = 0; i < sizeof(names->pin); i++)
        CHECK(buf_printf(&text, "%02x", names->pin[i]));
    CHECK(buf_printf(&text, "-%s.der", names->serial));
    char *ret = strdup(buf_text(&text));
    CHECK(ret != NULL);
    buf_free(&text);
    return ret;
}

void stapler_add(struct stapler *s, struct cert *cert, bool by_crl)
{
    CHECK_MAGIC(s, STAPLER_MAGIC);
    struct issued names;
    if (s->count >= s->most || !asker_can(cert, &names) || (names.ocsp[0] == '\0' && !by_crl))
        return;
    struct stapled *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    *c = (struct stapled){.stapler = s, .cert = cert_ref(cert), .file = file_name(&names)};
    recall(c);
    struct cert_staple *staple =
        asker_staple(cert, (struct str){(const char *)c->response.data, c->response.len}, now_seconds());
    if (staple != NULL) {
        serve(c, staple);
        set_heard(c, LISTING_GOOD);
    } else {
        buf_consume(&c->response, c->response.len);
    }
    list_insert(&s->all, &c->node);
    s->count++;
    go_on(s);
}
