/* SPDX-License-Identifier: Apache-2.0 */
/* First the DNS is asked; then one connection is made by what it tells, and a second one where the server
 * tells otherwise; last, where ECH was accepted, one in the public name, for that is what clients depend on
 * whose record has become stale. */
#include "probe/ech_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/unit.h"
#include "dns/query.h"
#include "ech/config.h"
#include "ech/lookup.h"
#include "ech/offer.h"
#include "loop/loop.h"
#include "probe/server_probe.h"

#define ECH_PROBE_MAGIC 0xec4920beu

struct ech_probe {
    uint32_t magic;
    struct ech_probe_params params;
    struct ech_facts facts;
    struct ech_lookup *lookup; /* one of the two that is under way */
    struct server_probe *shake;
    struct ech_offer offer;
    struct ech_attempt attempt;
    struct timer timer; /* of `lookup` */
    struct task over;
};

static const struct {
    const char *word, *title;
} findings[] = {
#define X(NAME, word, title) {word, title},
#include "tables/ech_findings.def"
#undef X
};

const char *ech_finding_word(enum ech_finding finding)
{
    CHECK((size_t)finding < ARRAY_LEN(findings));
    return findings[finding].word;
}

const char *ech_finding_title(enum ech_finding finding)
{
    CHECK((size_t)finding < ARRAY_LEN(findings));
    return findings[finding].title;
}

static void finish(struct ech_probe *p)
{
    wheel_cancel(&p->timer);
    loop_defer(p->params.to.loop, &p->over);
}

static void end(struct ech_probe *p, enum ech_finding finding, const char *text)
{
    p->facts.finding = finding;
    err_set(&p->facts.text, "%s", text);
    finish(p);
}

/* ---- connections ---- */

static void shake(struct ech_probe *p, const char *name, struct ech_attempt *ech, void (*done)(void *owner))
{
    struct approach_to to = p->params.to;
    to.name = name;
    server_probe_free(p->shake);
    p->shake = server_probe_start(&(struct server_probe_params){.to = to,
                                                                .scratch = p->params.scratch,
                                                                .tls = p->params.tls,
                                                                .ech = ech,
                                                                .timeout = p->params.timeout,
                                                                .done = done,
                                                                .owner = p});
}

static void on_public_name(void *owner)
{
    struct ech_probe *p = owner;
    const struct server_probe_result *r = server_probe_result(p->shake);
    if (r->outcome == PROBE_UNPROVEN || r->outcome == PROBE_TLS_FAILED)
        p->facts.public_text = r->text;
    finish(p);
}

static void offer(struct ech_probe *p);

/* The server has refused what was offered, and either it is to be tried once more, or that is the end. */
static void go_on_refused(struct ech_probe *p, const struct server_probe_result *r)
{
    bool again = ech_attempt_again(&p->attempt);
    if (r->outcome == PROBE_UNPROVEN)
        end(p, ECH_IS_NOT_PROVEN, r->text.text);
    else if (p->attempt.stage == ECH_FAILED)
        end(p, ECH_IS_CONTRADICTED, "");
    else if (p->attempt.stage == ECH_WITHOUT)
        end(p, ECH_IS_REFUSED, "");
    else if (again)
        offer(p);
    else
        end(p, ECH_IS_FAILED, r->text.text);
}

static void on_offered(void *owner)
{
    struct ech_probe *p = owner;
    const struct server_probe_result *r = server_probe_result(p->shake);
    if (r->shook_hands && p->attempt.stage == ECH_FIRST) {
        p->facts.finding = ECH_IS_ACCEPTED;
        shake(p, p->facts.public_name, NULL, on_public_name);
    } else if (r->shook_hands) {
        end(p, ECH_IS_STALE, "");
    } else if (p->attempt.stage != ECH_FIRST) {
        go_on_refused(p, r);
    } else {
        bool reached = r->outcome == PROBE_TLS_FAILED || r->outcome == PROBE_TIMED_OUT;
        end(p, reached ? ECH_IS_FAILED : ECH_IS_UNKNOWN, r->text.text);
    }
}

static void offer(struct ech_probe *p)
{
    shake(p, p->params.to.name, &p->attempt, on_offered);
}

/* ---- the record ---- */

/* Words as they are in use: what a stranger has chosen is told to people. */
static bool is_word(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("\"\\,'", s.p[i]) != NULL)
            return false;
    return s.len <= ECH_PROBE_PROTOCOL_MAX;
}

static void take_protocols(struct ech_facts *facts, struct cursor alpn)
{
    struct str one;
    while (facts->alpn_len < ECH_PROBE_ALPN_MAX && dns_next_protocol(&alpn, &one))
        if (is_word(one))
            str_copy(facts->alpn[facts->alpn_len++], sizeof(facts->alpn[0]), one.p, one.len);
}

static enum ech_finding judge_record(const struct ech_told *told)
{
    struct cursor ignored;
    if (!told->recorded)
        return ECH_IS_NO_RECORD;
    if (told->listed.len == 0)
        return ECH_IS_NO_CONFIG;
    return ech_config_list((const uint8_t *)told->listed.p, told->listed.len, &ignored) ? ECH_IS_UNUSABLE
                                                                                        : ECH_IS_UNREADABLE;
}

static void on_told(void *arg, const struct ech_told *told, const struct err *why)
{
    struct ech_probe *p = arg;
    p->lookup = NULL;
    wheel_cancel(&p->timer);
    if (why != NULL) {
        end(p, ECH_IS_UNKNOWN, why->text);
        return;
    }
    take_protocols(&p->facts, told->alpn);
    if (told->configs.len == 0) {
        end(p, judge_record(told), "");
        return;
    }
    struct str name = ech_list_public_name((const uint8_t *)told->configs.p, told->configs.len);
    str_copy(p->facts.public_name, sizeof(p->facts.public_name), name.p, name.len);
    CHECK(buf_append(&p->offer.configs, told->configs.p, told->configs.len));
    CHECK(ech_attempt_begin(&p->attempt, &p->offer));
    offer(p);
}

static void on_timer(struct timer *t)
{
    struct ech_probe *p = CONTAINER_OF(t, struct ech_probe, timer);
    char within[UNIT_TEXT_MAX], text[UNIT_TEXT_MAX + 64];
    ech_lookup_cancel(p->lookup);
    p->lookup = NULL;
    snprintf(text, sizeof(text), "no answer within %s",
             unit_format(p->params.timeout, unit_durations, within));
    end(p, ECH_IS_UNKNOWN, text);
}

/* ---- the whole ---- */

static void on_over(struct task *t)
{
    struct ech_probe *p = CONTAINER_OF(t, struct ech_probe, over);
    CHECK_MAGIC(p, ECH_PROBE_MAGIC);
    p->params.done(p->params.owner);
}

struct ech_probe *ech_probe_start(const struct ech_probe_params *params)
{
    struct ech_probe *p = calloc(1, sizeof(*p));
    struct loop *loop = params->to.loop;
    struct err err;
    CHECK(p != NULL);
    p->magic = ECH_PROBE_MAGIC;
    p->params = *params;
    p->facts.asked = true;
    timer_init(&p->timer, on_timer);
    task_init(&p->over, on_over);
    loop_set_timer(loop, &p->timer, loop_now(loop) + params->timeout);
    p->lookup = ech_lookup_start(params->fetcher, params->resolver, params->to.name, params->to.port, on_told,
                                 p, &err);
    if (p->lookup == NULL)
        end(p, ECH_IS_UNKNOWN, err.text);
    return p;
}

const struct ech_facts *ech_probe_facts(const struct ech_probe *p)
{
    CHECK_MAGIC(p, ECH_PROBE_MAGIC);
    return &p->facts;
}

void ech_probe_free(struct ech_probe *p)
{
    if (p == NULL)
        return;
    CHECK_MAGIC(p, ECH_PROBE_MAGIC);
    wheel_cancel(&p->timer);
    list_remove(&p->over.node);
    ech_lookup_cancel(p->lookup);
    server_probe_free(p->shake);
    ech_attempt_end(&p->attempt);
    ech_offer_free(&p->offer);
    p->magic = 0;
    free(p);
}
