/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a certificate that was obtained is revoked, and its staple. */
#include "base/clock.h"
#include "cert/cert.h"
#include "keeper/obtainer_internal.h"
#include "loop/loop.h"

#define AWAITED_LEAST INT64_C(60) /* seconds that the staple of a new certificate may take, at least */

/* ---- until there is a staple ---- */

void obtained_outgoing_end(struct obtained *g)
{
    if (g->outgoing == NULL)
        return;
    wheel_cancel(&g->outgoing_end);
    cert_unref(g->outgoing);
    g->outgoing = NULL;
    obtained_changed(g);
}

static void on_outgoing_end(struct timer *t)
{
    struct obtained *g = CONTAINER_OF(t, struct obtained, outgoing_end);
    struct err text;
    err_set(&text,
            "clients demand a staple (RFC 7633) of what was obtained last, and none has come as long as the "
            "one before could be served: it is served without one");
    if (g->served == g->outgoing_slot)
        obtained_notice(g, &text);
    obtained_outgoing_end(g);
}

/* What goes is not asked about any more: so not for longer than revocation may go unnoticed. */
bool obtained_awaits_staple(struct obtained *g, int slot, const struct life_slot *before)
{
    const struct life_slot *fresh = &g->lineage->state.slot[slot];
    struct loop *loop = g->o->owner.loop;
    int64_t now = obtainer_now(), wait = MAX(g->o->check_every, AWAITED_LEAST);
    bool awaited = g->served == slot && g->certs[slot] != NULL && life_rank(fresh, now) == LIFE_UNSTAPLED &&
                   fresh->has_status && !fresh->by_crl;
    if (g->outgoing != NULL && awaited && g->outgoing_slot == slot)
        return true; /* what has come between never had one */
    obtained_outgoing_end(g);
    if (!awaited || life_rank(before, now) != LIFE_GOOD)
        return false;
    wait = MIN(wait, before->not_after - now);
    if (before->must_staple)
        wait = MIN(wait, before->staple_next - now);
    g->outgoing = cert_ref(g->certs[slot]);
    g->outgoing_slot = slot;
    g->troubled = false; /* what is told from now on is of another certificate */
    timer_init(&g->outgoing_end, on_outgoing_end);
    loop_set_timer(loop, &g->outgoing_end, loop_now(loop) + wait * NSEC_PER_SEC);
    return true;
}

/* ---- answers ---- */

/* What lasts is said once, until it is well again. */
static void complain(struct obtained *g, const struct err *why)
{
    const struct life_slot *s = &g->lineage->state.slot[g->status_slot];
    bool demanded = g->served == g->status_slot && life_rank(s, obtainer_now()) == LIFE_UNSTAPLED;
    struct err text;
    err_set(&text, "whether it is revoked is not known%s%s: %s",
            demanded ? ", and clients demand a staple (RFC 7633) that there is not" : "",
            demanded && g->outgoing != NULL ? ", so that the one before is served still" : "", why->text);
    if (!g->troubled)
        obtained_notice(g, &text);
    g->troubled = true;
}

void obtained_staple(const struct obtained *g, int slot, struct cert_staple *staple)
{
    struct cert_staple *before = cert_set_staple(g->certs[slot], staple);
    if (before != NULL)
        g->o->owner.retired(g->o->owner.arg, before);
}

static void on_good(struct obtained *g, int slot, const struct question_answer *a)
{
    const struct cert_status *s = &a->status;
    struct err err;
    life_status(g->o->life, g->lineage, false, s->this_update, s->next_update, obtainer_now());
    g->troubled = false;
    if (a->staple.len == 0) {
        obtained_save(g);
        return;
    }
    obtained_staple(g, slot, cert_staple_new(a->staple.p, a->staple.len, s->next_update));
    if (g->outgoing_slot == slot)
        obtained_outgoing_end(g);
    if (book_save_staple(g->o->book, g->lineage, life_due_of(g->lineage), slot, a->staple, &err) < 0)
        obtained_notice(g, &err);
}

static void on_revoked(struct obtained *g, int slot, const struct question_answer *a)
{
    const struct cert_status *s = &a->status;
    struct err err;
    err_set(&err, "is revoked, as %s says", a->url);
    obtained_notice(g, &err);
    obtained_staple(g, slot, NULL);
    if (g->outgoing_slot == slot)
        obtained_outgoing_end(g);
    life_status(g->o->life, g->lineage, true, s->this_update, s->next_update, obtainer_now());
    if (book_save_staple(g->o->book, g->lineage, life_due_of(g->lineage), slot, (struct str){"", 0}, &err) <
        0)
        obtained_notice(g, &err);
}

static void on_unheard(struct obtained *g, const struct err *why)
{
    complain(g, why);
    life_status_failed(g->o->life, g->lineage, obtainer_now());
    obtained_save(g);
}

static void on_answer(void *arg, const struct question_answer *a, const struct err *why)
{
    struct obtained *g = arg;
    int slot = g->status_slot;
    struct err err;
    g->status = NULL;
    if (g->lineage->look_stale) { /* it is about a certificate that has been replaced since */
        life_status_failed(g->o->life, g->lineage, obtainer_now());
    } else if (a == NULL) {
        on_unheard(g, why);
    } else if (a->status.verdict == CERT_UNKNOWN) {
        err_set(&err, "%s: the responder does not know the certificate", a->url);
        on_unheard(g, &err);
    } else if (a->status.verdict == CERT_REVOKED) {
        on_revoked(g, slot, a);
    } else {
        on_good(g, slot, a);
    }
    obtainer_go_on(g->o);
}

void obtained_ask_status(struct obtained *g, int slot)
{
    struct err err;
    CHECK(g->status == NULL);
    g->status_slot = slot;
    if (g->certs[slot] != NULL)
        g->status = asker_ask(g->o->asker, g->certs[slot], on_answer, g, &err);
    else
        err_set(&err, "the book has lost it");
    if (g->status == NULL)
        on_unheard(g, &err);
}

void obtained_cancel_status(struct obtained *g)
{
    question_cancel(g->status);
    g->status = NULL;
}
