/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/grade.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/tls_group.h"
#include "probe/quic_probe.h"
#include "probe/survey.h"
#include "tls/budget.h"

#define HSTS_AGE_MIN (INT64_C(182) * 86400) /* half a year */
#define TIMESTAMPS_MIN 2
#define PRIME_BITS_MIN 2048
#define HTTP3 "h3"
#define LEFT_PART_MIN 10 /* of a certificate's time a tenth */

enum level { LEVEL_F, LEVEL_D, LEVEL_C, LEVEL_B, LEVEL_A, LEVEL_NOTE };

static const struct rule {
    struct grade_words words;
    enum level level;
} rules[GRADE_RULES] = {
#define X(NAME, word, level, what, todo) \
    {{word, LEVEL_##level == LEVEL_NOTE ? "note" : #level, what, todo}, LEVEL_##level},
#include "tables/grade_rules.def"
#undef X
};

struct judging {
    const struct grade_question *question;
    const struct survey_facts *facts;
    struct grade_report *report;
};

const struct grade_words *grade_rule_words(enum grade_rule rule)
{
    CHECK((size_t)rule < GRADE_RULES);
    return &rules[rule].words;
}

static const char *const texts[] = {"F", "D", "C", "B", "A", "A+"};

const char *grade_text(enum grade grade)
{
    CHECK((size_t)grade < ARRAY_LEN(texts));
    return texts[grade];
}

bool grade_parse(const char *text, enum grade *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (strcasecmp(text, texts[i]) == 0) {
            *ret = (enum grade)i;
            return true;
        }
    return false;
}

/* ---- findings ---- */

/* Each rule is told of once: what is found first is told. `fmt` is printf's. */
__attribute__((format(printf, 3, 4))) static void find(struct judging *j, enum grade_rule rule,
                                                       const char *fmt, ...)
{
    struct grade_report *r = j->report;
    for (size_t i = 0; i < r->findings; i++)
        if (r->finding[i].rule == rule)
            return;
    struct grade_finding *f = &r->finding[r->findings++];
    const bool *accepted = j->question->accepted;
    *f = (struct grade_finding){.rule = rule, .accepted = accepted != NULL && accepted[rule]};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f->detail.text, sizeof(f->detail.text), fmt, ap);
    va_end(ap);
    if (!f->accepted && rules[rule].level != LEVEL_NOTE)
        r->grade = MIN(r->grade, (enum grade)rules[rule].level);
}

static bool is(const struct judging *j, enum survey_question question, enum survey_answer answer)
{
    return j->facts->answer[question] == answer;
}

/* What is as bad as the answer to one question says. */
static void judge_answers(struct judging *j)
{
    static const struct {
        enum survey_question question;
        enum survey_answer bad;
        enum grade_rule rule;
    } rows[] = {
        {SURVEY_SSL_3_0, SURVEY_YES, GRADE_SSL_3_0},
        {SURVEY_TLS_1_0, SURVEY_YES, GRADE_TLS_1_0},
        {SURVEY_TLS_1_1, SURVEY_YES, GRADE_TLS_1_1},
        {SURVEY_TLS_1_3, SURVEY_NO, GRADE_NO_TLS_1_3},
        {SURVEY_COMPRESSION, SURVEY_YES, GRADE_COMPRESSION},
        {SURVEY_RENEGOTIATION, SURVEY_NO, GRADE_RENEGOTIATION},
        {SURVEY_EXTENDED_MASTER, SURVEY_NO, GRADE_EXTENDED_MASTER},
        {SURVEY_SERVER_ORDER, SURVEY_NO, GRADE_CLIENT_ORDER},
        {SURVEY_LONG_HELLO, SURVEY_NO, GRADE_LONG_HELLO},
        {SURVEY_SPLIT_SEGMENTS, SURVEY_NO, GRADE_SPLIT_SEGMENTS},
        {SURVEY_SPLIT_RECORDS, SURVEY_NO, GRADE_SPLIT_RECORDS},
        {SURVEY_GREASE, SURVEY_NO, GRADE_GREASE},
        {SURVEY_FUTURE_VERSION, SURVEY_NO, GRADE_FUTURE_VERSION},
        {SURVEY_ECH_GREASE, SURVEY_NO, GRADE_ECH_GREASE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (is(j, rows[i].question, rows[i].bad))
            find(j, rows[i].rule, "%s", "");
    if (is(j, SURVEY_TLS_1_2, SURVEY_NO) && is(j, SURVEY_TLS_1_3, SURVEY_NO))
        find(j, GRADE_NO_MODERN_VERSION, "%s", "");
    if (is(j, SURVEY_STRICT_ALPN, SURVEY_NO) && j->facts->alpn[0] != NULL) /* others need not know ALPN */
        find(j, GRADE_LAX_ALPN, "%s", "");
    /* one version alone cannot be forced down */
    if (is(j, SURVEY_FALLBACK, SURVEY_NO) && is(j, SURVEY_TLS_1_3, SURVEY_YES) &&
        is(j, SURVEY_TLS_1_2, SURVEY_YES))
        find(j, GRADE_FALLBACK, "%s", "");
}

static void judge_resumption(struct judging *j)
{
    bool newer = is(j, SURVEY_RESUMES_1_3, SURVEY_NO), older = is(j, SURVEY_RESUMES_1_2, SURVEY_NO);
    if (newer || (older && !is(j, SURVEY_RESUMES_1_3, SURVEY_YES)))
        find(j, GRADE_NO_RESUMPTION, "in TLS %s", newer && older ? "1.2 and 1.3" : newer ? "1.3" : "1.2");
}

static void judge_suites(struct judging *j)
{
    static const struct {
        enum suite_class class;
        enum grade_rule rule;
    } rows[] = {{SUITE_BROKEN, GRADE_BROKEN_SUITES},
                {SUITE_SHORT_BLOCK, GRADE_SHORT_BLOCKS},
                {SUITE_STATIC, GRADE_STATIC_SUITES},
                {SUITE_PRIME, GRADE_PRIME_SUITES},
                {SUITE_CBC, GRADE_CBC_SUITES}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct survey_codes *found = &j->facts->suites[rows[i].class];
        if (found->len > 0)
            find(j, rows[i].rule, "%zu: %s%s", found->len, suite_name(found->code[0]),
                 found->len > 1 ? " and others" : "");
    }
    if (j->facts->prime_bits > 0 && j->facts->prime_bits < PRIME_BITS_MIN)
        find(j, GRADE_WEAK_PRIME, "%u bits", j->facts->prime_bits);
}

static void judge_groups(struct judging *j)
{
    const struct survey_codes *groups = &j->facts->groups;
    for (size_t i = 0; i < groups->len; i++)
        if (tls_group_is_hybrid(groups->code[i]))
            return;
    if (groups->len > 0 || is(j, SURVEY_TLS_1_3, SURVEY_NO))
        find(j, GRADE_NO_HYBRID, "%s", "");
}

/* ---- certificates ---- */

static void judge_staple(struct judging *j, const struct cert_shown *s)
{
    switch (s->staple) {
    case STAPLE_GOOD:
        return;
    case STAPLE_REVOKED:
        find(j, GRADE_REVOKED, "%s", "");
        return;
    case STAPLE_BAD:
        find(j, GRADE_BAD_STAPLE, "%s", s->staple_text.text);
        return;
    case STAPLE_NONE:
        if (s->leaf.must_staple)
            find(j, GRADE_MUST_STAPLE, "%s", "");
        else if (s->leaf.ocsp[0] != '\0')
            find(j, GRADE_NO_STAPLE, "%s", s->leaf.ocsp);
    }
}

static void judge_key(struct judging *j, const struct cert_facts *c)
{
    unsigned bits;
    if (sscanf(c->key, "RSA-%u", &bits) == 1 && bits < 2048)
        find(j, GRADE_WEAK_KEY, "'%s': %s", c->subject, c->key);
    if (c->signature != NULL && (strstr(c->signature, "SHA1") != NULL || strstr(c->signature, "MD5") != NULL))
        find(j, GRADE_WEAK_SIGNATURE, "'%s': %s", c->subject, c->signature);
}

static void judge_time(struct judging *j, const struct cert_facts *c)
{
    if (c->not_before == INT64_MIN || c->not_after == INT64_MIN || c->not_after <= c->not_before)
        return;
    int64_t left = c->not_after - j->question->now, all = c->not_after - c->not_before;
    if (left >= 0 && left < all / LEFT_PART_MIN)
        find(j, GRADE_EXPIRES_SOON, "'%s': %lld hours are left", c->subject, (long long)(left / 3600));
}

static void judge_chain(struct judging *j, const struct cert_shown *s)
{
    size_t timestamps = s->timestamps_embedded + s->timestamps_sent + s->timestamps_stapled;
    if (j->question->public_trust && timestamps < TIMESTAMPS_MIN)
        find(j, GRADE_FEW_TIMESTAMPS, "found %zu", timestamps);
    if (s->bytes > BUDGET_CHAIN_WALL)
        find(j, GRADE_CHAIN_TOO_LONG, "%zu bytes", s->bytes);
    else if (s->bytes > BUDGET_CHAIN_GOOD)
        find(j, GRADE_CHAIN_LONG, "%zu bytes", s->bytes);
}

static void judge_certificate(struct judging *j, const struct server_probe_result *r)
{
    if (r->outcome == PROBE_UNPROVEN)
        find(j, GRADE_NOT_PROVEN, "'%s': %s", r->certificate.subject, r->text.text);
    judge_staple(j, &r->shown);
    judge_key(j, &r->certificate);
    judge_time(j, &r->certificate);
    judge_chain(j, &r->shown);
}

/* ---- the rest ---- */

static void judge_hsts(struct judging *j)
{
    const struct hsts *h = &j->facts->hsts;
    if (h->status == 0)
        return;
    if (!h->sent)
        find(j, GRADE_NO_HSTS, "%s", "");
    else if (h->max_age < HSTS_AGE_MIN)
        find(j, GRADE_NO_HSTS, "max-age=%lld", (long long)h->max_age);
}

static bool speaks(const struct survey_facts *facts, const char *protocol)
{
    for (size_t i = 0; i < SURVEY_ALPN_MAX && facts->alpn[i] != NULL; i++)
        if (strcmp(facts->alpn[i], protocol) == 0)
            return true;
    return false;
}

static bool record_names(const struct survey_facts *facts, const char *protocol)
{
    for (size_t i = 0; i < facts->ech.alpn_len; i++)
        if (strcmp(facts->ech.alpn[i], protocol) == 0)
            return true;
    return false;
}

/* Of the protocols of a record those are known that have been asked for. */
static void judge_record(struct judging *j)
{
    static const char *const known[] = {"h2", "http/1.1"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (record_names(j->facts, known[i]) && j->facts->alpn[0] != NULL && !speaks(j->facts, known[i]))
            find(j, GRADE_RECORD_ALPN, "%s", known[i]);
    if (record_names(j->facts, HTTP3) && j->question->quic != NULL && !j->question->quic->shake.shook_hands)
        find(j, GRADE_RECORD_ALPN, "%s", HTTP3);
}

static void judge_ech(struct judging *j)
{
    static const enum grade_rule rule_of[] = {
        [ECH_IS_UNKNOWN] = GRADE_RULES, /* none */
        [ECH_IS_NO_RECORD] = GRADE_NO_ECH,      [ECH_IS_NO_CONFIG] = GRADE_NO_ECH,
        [ECH_IS_UNREADABLE] = GRADE_ECH_STALE,  [ECH_IS_UNUSABLE] = GRADE_RULES,
        [ECH_IS_ACCEPTED] = GRADE_RULES,        [ECH_IS_STALE] = GRADE_ECH_STALE,
        [ECH_IS_REFUSED] = GRADE_ECH_STALE,     [ECH_IS_CONTRADICTED] = GRADE_ECH_BROKEN,
        [ECH_IS_NOT_PROVEN] = GRADE_ECH_BROKEN, [ECH_IS_FAILED] = GRADE_ECH_BROKEN,
    };
    const struct ech_facts *ech = &j->facts->ech;
    if (!ech->asked)
        return;
    enum grade_rule rule = rule_of[ech->finding];
    bool more = ech->text.text[0] != '\0';
    if (rule != GRADE_RULES)
        find(j, rule, "%s%s%s", ech_finding_title(ech->finding), more ? ": " : "", ech->text.text);
    if (ech->public_text.text[0] != '\0')
        find(j, GRADE_ECH_PUBLIC_NAME, "%s", ech->public_text.text);
    judge_record(j);
}

static void judge_budget(struct judging *j)
{
    if (j->facts->certificates == 0) {
        find(j, GRADE_NO_HANDSHAKE, "%s", "");
        return;
    }
    const struct server_probe_result *first = j->facts->certificate[0];
    struct budget_handshake h = {.version = first->version,
                                 .resumed = first->resumed,
                                 .retried = first->traffic.retried,
                                 .received = first->traffic.received};
    j->report->round_trips = budget_round_trips(&h, BUDGET_WINDOW);
    if (budget_flights(h.received, BUDGET_WINDOW) > 1)
        find(j, GRADE_ROUND_TRIPS,
             "%zu bytes from the server; %u round trips, and %u with a window of %d packets", h.received,
             j->report->round_trips, budget_round_trips(&h, BUDGET_WINDOW_LARGE), BUDGET_WINDOW_LARGE);
    if (h.retried)
        find(j, GRADE_RETRY, "%s", "");
}

static void judge_quic_cost(struct judging *j, const struct quic_probe_result *q)
{
    const struct quic_handshake_facts *h = &q->handshake;
    if (h->retried)
        find(j, GRADE_QUIC_RETRY, "%s", "");
    else if (h->first_in > q->allowed)
        find(j, GRADE_QUIC_AMPLIFIES, "%llu bytes for %llu", (unsigned long long)h->first_in,
             (unsigned long long)h->first_out);
    else if (h->in > q->allowed)
        find(j, GRADE_QUIC_ROUND_TRIPS, "%llu bytes from the server, and %llu at first",
             (unsigned long long)h->in, (unsigned long long)q->allowed);
}

static void judge_quic(struct judging *j)
{
    const struct quic_probe_result *q = j->question->quic;
    const struct survey_facts *facts = j->facts;
    if (q == NULL)
        return;
    if (!q->shake.shook_hands) {
        find(j, GRADE_NO_QUIC, "%s", q->shake.text.text);
        return;
    }
    if (q->shake.outcome == PROBE_UNPROVEN)
        find(j, GRADE_NOT_PROVEN, "over QUIC: '%s': %s", q->shake.certificate.subject, q->shake.text.text);
    if (q->shake.group == NULL || strstr(q->shake.group, "MLKEM") == NULL)
        find(j, GRADE_NO_HYBRID, "over QUIC: %s", q->shake.group != NULL ? q->shake.group : "no group");
    judge_quic_cost(j, q);
    if (strcmp(q->shake.alpn, HTTP3) == 0 && facts->hsts.status != 0 && !facts->tells_h3 &&
        !record_names(facts, HTTP3))
        find(j, GRADE_UNTOLD_H3, "%s", "");
}

/* The worst first; within a grade as the table has them. */
static void sort(struct grade_report *r)
{
    for (size_t i = 1; i < r->findings; i++)
        for (size_t k = i; k > 0 && r->finding[k].rule < r->finding[k - 1].rule; k--) {
            struct grade_finding moved = r->finding[k];
            r->finding[k] = r->finding[k - 1];
            r->finding[k - 1] = moved;
        }
}

bool grade_can_be(const struct survey_facts *facts)
{
    for (int q = SURVEY_SSL_3_0; q <= SURVEY_TLS_1_3; q++)
        if (facts->answer[q] == SURVEY_YES)
            return true;
    return facts->certificates > 0;
}

void grade_make(const struct grade_question *question, struct grade_report *ret)
{
    struct judging j = {.question = question, .facts = question->facts, .report = ret};
    *ret = (struct grade_report){.grade = GRADE_IS_A_PLUS};
    judge_answers(&j);
    judge_resumption(&j);
    judge_suites(&j);
    judge_groups(&j);
    for (size_t i = 0; i < j.facts->certificates; i++)
        judge_certificate(&j, j.facts->certificate[i]);
    judge_hsts(&j);
    judge_ech(&j);
    judge_budget(&j);
    judge_quic(&j);
    if (j.facts->cut_short)
        find(&j, GRADE_INCOMPLETE, "%s", "");
    sort(ret);
}
