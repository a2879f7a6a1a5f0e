/* SPDX-License-Identifier: Apache-2.0 */
/* The questions that take a handshake. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "cert/trust.h"
#include "probe/alt_svc.h"
#include "probe/survey_internal.h"
#include "tls/sessions.h"

static void answer(struct line *l, bool yes)
{
    l->survey->facts.answer[l->shake_line->question] = yes ? SURVEY_YES : SURVEY_NO;
}

static bool is_known(const struct survey_facts *facts, const struct server_probe_result *r)
{
    for (size_t i = 0; i < facts->certificates; i++)
        if (memcmp(facts->certificate[i]->shown.leaf.pin, r->shown.leaf.pin, sizeof(r->shown.leaf.pin)) == 0)
            return true;
    return false;
}

static bool hear_certificate(struct line *l, const struct server_probe_result *r)
{
    struct survey_facts *facts = &l->survey->facts;
    if (!r->shook_hands || is_known(facts, r) || facts->certificates == SURVEY_CERTIFICATES_MAX)
        return false;
    facts->certificate[facts->certificates++] = r;
    l->keeps = true;
    return false;
}

/* One that has resumed can. */
static void note_resumption(struct line *l, enum survey_question question, bool yes)
{
    enum survey_answer *noted = &l->survey->facts.answer[question];
    if (*noted != SURVEY_YES)
        *noted = yes ? SURVEY_YES : SURVEY_NO;
}

/* In TLS 1.3 a server may keep its tickets back until it has something to say: that none comes
 * is no answer. */
static bool hear_resumption(struct line *l, const struct server_probe_result *r)
{
    if (!r->shook_hands)
        return false;
    if (l->round == 0 && tls_sessions_count(l->sessions) > 0)
        return true;
    if (l->round > 0 || r->version < 0x0304)
        note_resumption(l, l->shake_line->question, r->resumed);
    return false;
}

static void note_alpn(struct line *l, const struct server_probe_result *r, const char *word)
{
    struct survey_facts *facts = &l->survey->facts;
    if (r->shook_hands && strcmp(r->alpn, word) == 0)
        facts->alpn[facts->alpn[0] == NULL ? 0 : 1] = word;
}

static bool hear_h2(struct line *l, const struct server_probe_result *r)
{
    note_alpn(l, r, "h2");
    return false;
}

/* A web server has said something, so that a ticket has come, if there is one. */
static bool hear_http_1_1(struct line *l, const struct server_probe_result *r)
{
    struct survey_facts *facts = &l->survey->facts;
    if (l->round > 0) {
        if (r->shook_hands)
            note_resumption(l, SURVEY_RESUMES_1_3, r->resumed);
        return false;
    }
    note_alpn(l, r, "http/1.1");
    hsts_read(r->heard.data, r->heard.len, &facts->hsts);
    facts->tells_h3 = alt_svc_tells_h3(r->heard.data, r->heard.len, l->survey->params.to.port);
    if (facts->hsts.status == 0)
        return false;
    answer(l, facts->hsts.sent && facts->hsts.max_age > 0);
    bool ticket = tls_sessions_count(l->sessions) > 0;
    if (r->version == 0x0304 && !ticket)
        note_resumption(l, SURVEY_RESUMES_1_3, false);
    return r->version == 0x0304 && ticket;
}

static bool hear_odd(struct line *l, const struct server_probe_result *r)
{
    if (r->shook_hands || r->outcome == PROBE_TLS_FAILED)
        answer(l, !r->shook_hands);
    return false;
}

const struct shake_line survey_shake_lines[] = {
    {.client = CLIENT_RSA, .hear = hear_certificate},
    {.client = CLIENT_ECDSA, .hear = hear_certificate},
    {.client = CLIENT_EDDSA, .hear = hear_certificate},
    {.client = CLIENT_MLDSA, .hear = hear_certificate},
    {.client = CLIENT_TLS_1_3, .question = SURVEY_RESUMES_1_3, .resumes = true, .hear = hear_resumption},
    {.client = CLIENT_TLS_1_2, .question = SURVEY_RESUMES_1_2, .resumes = true, .hear = hear_resumption},
    {.client = CLIENT_H2, .hear = hear_h2},
    {.client = CLIENT_HTTP_1_1,
     .question = SURVEY_HSTS,
     .resumes = true,
     .requests = true,
     .hear = hear_http_1_1},
    {.client = CLIENT_ODD, .question = SURVEY_STRICT_ALPN, .hear = hear_odd},
};
const size_t survey_shake_lines_len = ARRAY_LEN(survey_shake_lines);

const char *survey_request(const struct line *l, char *space, size_t cap)
{
    const struct approach_to *to = &l->survey->params.to;
    if (!l->shake_line->requests || to->protocol != NULL)
        return NULL;
    const char *host = to->name != NULL ? to->name : to->host;
    bool v6 = strchr(host, ':') != NULL;
    snprintf(space, cap,
             "HEAD / HTTP/1.1\r\nHost: %s%s%s\r\nUser-Agent: cardea-check\r\nConnection: close\r\n\r\n",
             v6 ? "[" : "", host, v6 ? "]" : "");
    return space;
}
