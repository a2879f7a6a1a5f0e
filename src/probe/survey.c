/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/survey.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hostport.h"
#include "probe/survey_internal.h"
#include "tls/sessions.h"

#define SURVEY_MAGIC 0x5c72ee81u
#define REQUEST_MAX (HOST_MAX + 128)

static const struct {
    const char *word, *title;
} questions[] = {
#define X(NAME, word, title, meaning) {word, title},
#include "tables/survey_questions.def"
#undef X
};

const char *survey_question_word(enum survey_question question)
{
    CHECK((size_t)question < ARRAY_LEN(questions));
    return questions[question].word;
}

const char *survey_question_title(enum survey_question question)
{
    CHECK((size_t)question < ARRAY_LEN(questions));
    return questions[question].title;
}

/* ---- the end ---- */

static void judge_order(struct survey *s)
{
    if (s->first_suite != 0 && s->first_reversed != 0)
        s->facts.answer[SURVEY_SERVER_ORDER] = s->first_suite == s->first_reversed ? SURVEY_YES : SURVEY_NO;
}

/* A server that refuses our plain hello of the very version in which the first handshake was made dislikes
 * something else about it. Then it is not known why it has refused the odd ones, either. */
static void doubt(struct survey *s)
{
    enum survey_answer *answer = s->facts.answer;
    const struct server_probe_result *first = s->params.first;
    if (first == NULL)
        return;
    enum survey_question plain = first->version == 0x0304 ? SURVEY_TLS_1_3 : SURVEY_TLS_1_2;
    if (answer[plain] != SURVEY_NO)
        return;
    answer[plain] = SURVEY_UNKNOWN;
    for (int q = SURVEY_LONG_HELLO; q <= SURVEY_ECH_GREASE; q++)
        if (answer[q] == SURVEY_NO)
            answer[q] = SURVEY_UNKNOWN;
}

static void finish(struct survey *s)
{
    s->is_over = true;
    wheel_cancel(&s->timer);
    judge_order(s);
    doubt(s);
    for (size_t i = 0; i < s->facts.certificates; i++)
        server_probe_prove(s->facts.certificate[i], survey_trust(s->params.clients), s->params.to.name,
                           &s->facts.path[i]);
    loop_defer(s->params.to.loop, &s->over);
}

/* ---- lines ---- */

static void ask_hello(struct line *l);
static void ask_handshake(struct line *l);
static void ask_dns(struct line *l);

static void begin_line(struct line *l)
{
    if (l->hello_line != NULL && l->hello_line->begin != NULL)
        l->hello_line->begin(l);
    if (l->hello_line != NULL)
        ask_hello(l);
    else if (l->shake_line != NULL)
        ask_handshake(l);
    else
        ask_dns(l);
}

static void end_line(struct line *l)
{
    struct survey *s = l->survey;
    s->ended++;
    if (s->params.progress != NULL)
        s->params.progress(s->params.owner, s->ended, s->lines);
    if (s->ended == s->lines)
        finish(s);
    else if (s->begun < s->lines)
        begin_line(&s->line[s->begun++]);
}

static void on_hello(void *owner)
{
    struct line *l = owner;
    bool again = l->hello_line->hear(l, hello_probe_result(l->hello));
    hello_probe_free(l->hello);
    l->hello = NULL;
    l->round++;
    if (again)
        ask_hello(l);
    else
        end_line(l);
}

static void ask_hello(struct line *l)
{
    const struct survey_params *p = &l->survey->params;
    struct hello_probe_params params = {
        .to = p->to, .timeout = p->question_timeout, .done = on_hello, .owner = l};
    survey_write_hello(l, &params.wire, &params.first, &params.pause);
    l->hello = hello_probe_start(&params);
}

static void on_handshake(void *owner)
{
    struct line *l = owner;
    bool again = l->shake_line->hear(l, server_probe_result(l->shake));
    if (!l->keeps) {
        server_probe_free(l->shake);
        l->shake = NULL;
    }
    l->round++;
    if (again)
        ask_handshake(l);
    else
        end_line(l);
}

static void ask_handshake(struct line *l)
{
    const struct survey_params *p = &l->survey->params;
    char request[REQUEST_MAX];
    if (l->shake_line->resumes && l->sessions == NULL)
        l->sessions = tls_sessions_new();
    l->shake = server_probe_start(
        &(struct server_probe_params){.to = p->to,
                                      .scratch = p->scratch,
                                      .tls = survey_client(p->clients, l->shake_line->client),
                                      .sessions = l->sessions,
                                      .request = survey_request(l, request, sizeof(request)),
                                      .request_protocol = "http/1.1",
                                      .timeout = p->question_timeout,
                                      .done = on_handshake,
                                      .owner = l});
}

static void on_ech(void *owner)
{
    struct line *l = owner;
    l->survey->facts.ech = *ech_probe_facts(l->ech);
    end_line(l);
}

static void ask_dns(struct line *l)
{
    const struct survey_params *p = &l->survey->params;
    l->ech = ech_probe_start(&(struct ech_probe_params){.to = p->to,
                                                        .scratch = p->scratch,
                                                        .tls = survey_client(p->clients, CLIENT_TLS_1_3),
                                                        .fetcher = p->fetcher,
                                                        .resolver = p->resolver,
                                                        .timeout = p->question_timeout,
                                                        .done = on_ech,
                                                        .owner = l});
}

/* ---- the survey ---- */

static void drop(struct line *l)
{
    hello_probe_free(l->hello);
    l->hello = NULL;
    ech_probe_free(l->ech);
    l->ech = NULL;
    if (!l->keeps) {
        server_probe_free(l->shake);
        l->shake = NULL;
    }
}

static void on_timer(struct timer *t)
{
    struct survey *s = CONTAINER_OF(t, struct survey, timer);
    s->facts.cut_short = true;
    for (size_t i = 0; i < s->lines; i++)
        drop(&s->line[i]);
    finish(s);
}

static void on_over(struct task *t)
{
    struct survey *s = CONTAINER_OF(t, struct survey, over);
    CHECK_MAGIC(s, SURVEY_MAGIC);
    s->params.done(s->params.owner);
}

static void plan(struct survey *s)
{
    CHECK(survey_hello_lines_len + survey_shake_lines_len < SURVEY_LINES_MAX);
    if (s->params.resolver != NULL)
        s->line[s->lines++] = (struct line){.survey = s};
    for (size_t i = 0; i < survey_hello_lines_len; i++)
        s->line[s->lines++] = (struct line){.survey = s, .hello_line = &survey_hello_lines[i]};
    for (size_t i = 0; i < survey_shake_lines_len; i++)
        s->line[s->lines++] = (struct line){.survey = s, .shake_line = &survey_shake_lines[i]};
}

struct survey *survey_start(const struct survey_params *params)
{
    struct survey *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->magic = SURVEY_MAGIC;
    s->params = *params;
    if (params->first != NULL)
        s->facts.certificate[s->facts.certificates++] = params->first;
    timer_init(&s->timer, on_timer);
    task_init(&s->over, on_over);
    loop_set_timer(params->to.loop, &s->timer, loop_now(params->to.loop) + params->timeout);
    plan(s);
    for (int i = 0; i < SURVEY_AT_ONCE; i++)
        begin_line(&s->line[s->begun++]);
    return s;
}

const struct survey_facts *survey_facts(const struct survey *s)
{
    CHECK_MAGIC(s, SURVEY_MAGIC);
    return &s->facts;
}

void survey_free(struct survey *s)
{
    if (s == NULL)
        return;
    CHECK_MAGIC(s, SURVEY_MAGIC);
    wheel_cancel(&s->timer);
    list_remove(&s->over.node);
    for (size_t i = 0; i < s->lines; i++) {
        hello_probe_free(s->line[i].hello);
        ech_probe_free(s->line[i].ech);
        server_probe_free(s->line[i].shake);
        tls_sessions_free(s->line[i].sessions);
    }
    for (size_t i = 0; i < s->facts.certificates; i++)
        path_report_free(&s->facts.path[i]);
    s->magic = 0;
    free(s);
}
