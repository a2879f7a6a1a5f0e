/* SPDX-License-Identifier: Apache-2.0 */
/* What a survey has found, and the grade that it makes. */
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/str.h"
#include "cmd/check_report.h"
#include "cmd/table.h"
#include "probe/grade.h"
#include "probe/survey.h"

#define INDENT 15   /* of what goes on */
#define COLUMNS 100 /* of lists of words */

/* Names of what a list has. */
typedef const char *name_fn(uint16_t code);

/* ---- for people ---- */

static void put_codes(struct buf *out, const char *before, const struct survey_codes *codes, name_fn *name)
{
    for (size_t i = 0; i < codes->len; i++)
        buf_printf(out, "%s%s", i == 0 ? before : "\n               ", name(codes->code[i]));
    if (codes->len > 0)
        buf_printf(out, "\n");
}

/* The questions that have this answer. */
static void put_answers(struct buf *out, const char *label, const struct survey_facts *facts,
                        enum survey_question from, enum survey_question to, enum survey_answer answer)
{
    size_t column = 0;
    for (int q = (int)from; q <= (int)to; q++) {
        const char *title = survey_question_title((enum survey_question)q);
        if (facts->answer[q] != answer)
            continue;
        bool wraps = column + strlen(title) > COLUMNS;
        buf_printf(out, "%s%s", column == 0 ? label : wraps ? ",\n               " : ", ", title);
        column = (column == 0 ? strlen(label) : wraps ? INDENT : column + 2) + strlen(title);
    }
    if (column > 0)
        buf_printf(out, "\n");
}

void check_text_path(struct buf *out, const struct path_report *path)
{
    for (size_t i = 0; i < path->path_len; i++)
        buf_printf(out, "%s'%s'", i == 0 ? "  proven by    " : " < ", path->path[i].subject);
    if (path->path_len > 0)
        buf_printf(out, "\n");
}

static void put_shown(struct buf *out, const struct cert_shown *s, const struct cert_facts *c)
{
    size_t timestamps = s->timestamps_embedded + s->timestamps_sent + s->timestamps_stapled;
    buf_printf(out, "  sent         %zu certificate%s of %zu bytes, staple %s, %zu timestamp%s%s\n",
               c->chain_len, c->chain_len == 1 ? "" : "s", s->bytes, shown_staple_word(s->staple), timestamps,
               timestamps == 1 ? "" : "s", s->leaf.must_staple ? ", must-staple" : "");
}

static void put_certificates(struct buf *out, const struct survey_facts *facts)
{
    for (size_t i = 0; i < facts->certificates; i++) {
        if (i > 0)
            check_text_certificate(out, &facts->certificate[i]->certificate);
        put_shown(out, &facts->certificate[i]->shown, &facts->certificate[i]->certificate);
        check_text_path(out, &facts->path[i]);
    }
}

static void put_http(struct buf *out, const struct survey_facts *facts)
{
    if (facts->alpn[0] == NULL)
        return;
    buf_printf(out, "  HTTP         %s%s%s", facts->alpn[0], facts->alpn[1] != NULL ? ", " : "",
               facts->alpn[1] != NULL ? facts->alpn[1] : "");
    if (facts->hsts.sent)
        buf_printf(out, "; Strict-Transport-Security for %lld days%s",
                   (long long)(facts->hsts.max_age / 86400), facts->hsts.subdomains ? " and subdomains" : "");
    if (facts->tells_h3)
        buf_printf(out, "; HTTP/3 is told of by Alt-Svc");
    buf_printf(out, "\n");
}

static void put_ech(struct buf *out, const struct ech_facts *ech)
{
    if (!ech->asked)
        return;
    buf_printf(out, "  ECH          %s", ech_finding_title(ech->finding));
    if (ech->text.text[0] != '\0')
        buf_printf(out, ": %s", ech->text.text);
    if (ech->public_name[0] != '\0')
        buf_printf(out, "; public name %s", ech->public_name);
    for (size_t i = 0; i < ech->alpn_len; i++)
        buf_printf(out, "%s%s", i == 0 ? "; the record names " : ", ", ech->alpn[i]);
    buf_printf(out, "\n");
}

static void put_finding(struct buf *out, const struct grade_finding *f, bool coloured)
{
    static const enum table_colour colours[] = {
        ['F'] = TABLE_RED,    ['D'] = TABLE_RED,   ['C'] = TABLE_YELLOW,
        ['B'] = TABLE_YELLOW, ['A'] = TABLE_PLAIN, ['n'] = TABLE_PLAIN};
    const struct grade_words *w = grade_rule_words(f->rule);
    enum table_colour colour = f->accepted ? TABLE_PLAIN : colours[(unsigned char)w->level[0]];
    const char *begin = coloured ? table_code(colour) : "", *end = coloured ? table_code(TABLE_PLAIN) : "";
    buf_printf(out, "    %s%-5s%s %s", begin, f->accepted ? "known" : w->level, end, w->what);
    if (f->detail.text[0] != '\0')
        buf_printf(out, ": %s", f->detail.text);
    buf_printf(out, "\n          %s (%s)\n", w->todo, w->word);
}

static void put_grade(struct buf *out, const struct grade_report *g, bool coloured)
{
    enum table_colour colour = g->grade >= GRADE_IS_A   ? TABLE_GREEN
                               : g->grade >= GRADE_IS_C ? TABLE_YELLOW
                                                        : TABLE_RED;
    buf_printf(out, "  grade        %s%s%s\n", coloured ? table_code(colour) : "", grade_text(g->grade),
               coloured ? table_code(TABLE_PLAIN) : "");
    for (size_t i = 0; i < g->findings; i++)
        put_finding(out, &g->finding[i], coloured);
}

void check_grade_text(struct buf *out, const struct check_findings *f)
{
    if (f->grade == NULL)
        return;
    const struct survey_facts *facts = f->seen.facts;
    const struct probe_traffic *traffic = &f->seen.first->traffic;
    static const char *const labels[SUITE_CLASSES] = {
        [SUITE_GOOD] = "  suites 1.2   ",        [SUITE_PRIME] = "  ... of DHE   ",
        [SUITE_CBC] = "  ... of CBC   ",         [SUITE_STATIC] = "  ... static   ",
        [SUITE_SHORT_BLOCK] = "  ... short    ", [SUITE_BROKEN] = "  ... broken   "};
    put_certificates(out, facts);
    put_answers(out, "  versions     ", facts, SURVEY_SSL_3_0, SURVEY_TLS_1_3, SURVEY_YES);
    put_codes(out, "  suites 1.3   ", &facts->suites_13, suite_name);
    for (int class = 0; class < SUITE_CLASSES; class ++)
        put_codes(out, labels[class], &facts->suites[class], suite_name);
    put_codes(out, "  groups       ", &facts->groups, survey_group_name);
    put_answers(out, "  yes          ", facts, SURVEY_COMPRESSION, SURVEY_ECH_GREASE, SURVEY_YES);
    put_answers(out, "  no           ", facts, SURVEY_COMPRESSION, SURVEY_ECH_GREASE, SURVEY_NO);
    put_http(out, facts);
    put_ech(out, &facts->ech);
    if (f->seen.first->shook_hands)
        buf_printf(out, "  handshake    %zu bytes sent, %zu received, %u round trips with TCP's\n",
                   traffic->sent, traffic->received, f->grade->round_trips);
    put_grade(out, f->grade, f->coloured);
}

/* ---- for machines ---- */

static void codes_json(struct buf *out, const char *before, const char *key, const struct survey_codes *codes,
                       name_fn *name)
{
    buf_printf(out, "%s\"%s\":[", before, key);
    for (size_t i = 0; i < codes->len; i++)
        buf_printf(out, "%s\"%s\"", i > 0 ? "," : "", name(codes->code[i]));
    buf_printf(out, "]");
}

static void answers_json(struct buf *out, const struct survey_facts *facts)
{
    static const char *const words[] = {
        [SURVEY_UNKNOWN] = "null", [SURVEY_NO] = "false", [SURVEY_YES] = "true"};
    buf_printf(out, ",\"answers\":{");
    for (int q = 0; q < SURVEY_QUESTIONS; q++)
        buf_printf(out, "%s\"%s\":%s", q > 0 ? "," : "", survey_question_word((enum survey_question)q),
                   words[facts->answer[q]]);
    buf_printf(out, "}");
}

static void findings_json(struct buf *out, const struct grade_report *g)
{
    buf_printf(out, ",\"findings\":[");
    for (size_t i = 0; i < g->findings; i++) {
        const struct grade_finding *f = &g->finding[i];
        const struct grade_words *w = grade_rule_words(f->rule);
        buf_printf(out, "%s{\"finding\":\"%s\",\"leaves\":\"%s\",\"accepted\":%s", i > 0 ? "," : "", w->word,
                   w->level, f->accepted ? "true" : "false");
        check_json_member(out, "what", w->what);
        check_json_member(out, "detail", f->detail.text[0] != '\0' ? f->detail.text : NULL);
        check_json_member(out, "todo", w->todo);
        buf_printf(out, "}");
    }
    buf_printf(out, "]");
}

static void suites_json(struct buf *out, const struct survey_facts *facts)
{
    codes_json(out, ",\"suites\":{", "tls_1_3", &facts->suites_13, suite_name);
    for (int class = 0; class < SUITE_CLASSES; class ++)
        codes_json(out, ",", suite_class_word((enum suite_class) class), &facts->suites[class], suite_name);
    buf_printf(out, "}");
    codes_json(out, ",", "groups", &facts->groups, survey_group_name);
    buf_printf(out, facts->prime_bits > 0 ? ",\"prime_bits\":%u" : ",\"prime_bits\":null", facts->prime_bits);
}

static void http_json(struct buf *out, const struct survey_facts *facts)
{
    buf_printf(out, ",\"alpn\":[");
    for (size_t i = 0; i < SURVEY_ALPN_MAX && facts->alpn[i] != NULL; i++)
        buf_printf(out, "%s\"%s\"", i > 0 ? "," : "", facts->alpn[i]);
    buf_printf(out, "],\"hsts\":");
    if (facts->hsts.sent)
        buf_printf(out, "{\"max_age\":%lld,\"subdomains\":%s}", (long long)facts->hsts.max_age,
                   facts->hsts.subdomains ? "true" : "false");
    else
        buf_printf(out, "null");
    buf_printf(out, facts->hsts.status == 0 ? ",\"tells_h3\":null"
                    : facts->tells_h3       ? ",\"tells_h3\":true"
                                            : ",\"tells_h3\":false");
}

static void ech_json(struct buf *out, const struct ech_facts *ech)
{
    if (!ech->asked) {
        buf_printf(out, ",\"ech\":null");
        return;
    }
    buf_printf(out, ",\"ech\":{\"result\":\"%s\"", ech_finding_word(ech->finding));
    check_json_member(out, "detail", ech->text.text[0] != '\0' ? ech->text.text : NULL);
    check_json_member(out, "public_name", ech->public_name[0] != '\0' ? ech->public_name : NULL);
    check_json_member(out, "public_name_detail",
                      ech->public_text.text[0] != '\0' ? ech->public_text.text : NULL);
    buf_printf(out, ",\"alpn\":[");
    for (size_t i = 0; i < ech->alpn_len; i++)
        buf_printf(out, "%s\"%s\"", i > 0 ? "," : "", ech->alpn[i]);
    buf_printf(out, "]}");
}

void check_json_path(struct buf *out, const struct path_report *path)
{
    buf_printf(out, ",\"path\":[");
    for (size_t i = 0; i < path->path_len; i++) {
        buf_printf(out, "%s", i > 0 ? "," : "");
        str_json(out, path->path[i].subject, strlen(path->path[i].subject));
    }
    buf_printf(out, "]");
}

static void one_certificate_json(struct buf *out, const struct server_probe_result *r,
                                 const struct path_report *path)
{
    const struct cert_shown *s = &r->shown;
    buf_printf(out, "{");
    check_json_certificate(out, &r->certificate);
    buf_printf(out, ",\"bytes\":%zu,\"proven\":%s", s->bytes,
               r->outcome == PROBE_UNPROVEN ? "false" : "true");
    check_json_member(out, "detail", r->outcome == PROBE_UNPROVEN ? r->text.text : NULL);
    check_json_member(out, "staple", shown_staple_word(s->staple));
    check_json_member(out, "staple_detail", s->staple_text.text[0] != '\0' ? s->staple_text.text : NULL);
    buf_printf(out, ",\"must_staple\":%s", s->leaf.must_staple ? "true" : "false");
    buf_printf(out, ",\"timestamps\":{\"embedded\":%zu,\"sent\":%zu,\"stapled\":%zu}", s->timestamps_embedded,
               s->timestamps_sent, s->timestamps_stapled);
    check_json_path(out, path);
    buf_printf(out, "}");
}

void check_grade_json(struct buf *out, const struct check_findings *f)
{
    const struct grade_report *g = f->grade;
    const struct survey_facts *facts = f->seen.facts;
    if (g == NULL) {
        buf_printf(out, ",\"grade\":null,\"survey\":null");
        return;
    }
    buf_printf(out, ",\"grade\":\"%s\",\"survey\":{\"complete\":%s", grade_text(g->grade),
               facts->cut_short ? "false" : "true");
    findings_json(out, g);
    answers_json(out, facts);
    suites_json(out, facts);
    http_json(out, facts);
    ech_json(out, &facts->ech);
    buf_printf(out, ",\"handshake\":{\"sent\":%zu,\"received\":%zu,\"retried\":%s,\"round_trips\":%u}",
               f->seen.first->traffic.sent, f->seen.first->traffic.received,
               f->seen.first->traffic.retried ? "true" : "false", g->round_trips);
    buf_printf(out, ",\"certificates\":[");
    for (size_t i = 0; i < facts->certificates; i++) {
        buf_printf(out, "%s", i > 0 ? "," : "");
        one_certificate_json(out, facts->certificate[i], &facts->path[i]);
    }
    buf_printf(out, "]}");
}
