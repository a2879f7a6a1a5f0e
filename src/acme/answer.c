/* SPDX-License-Identifier: Apache-2.0 */
/* What an ACME server says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/server_internal.h"
#include "base/check.h"
#include "base/clean.h"
#include "base/json.h"

#define TEXT_MAX 600 /* of a problem, for people */

static const struct {
    const char *word;
    unsigned status;
} problems[] = {
#define PROBLEM(NAME, word, status) {word, status},
#include "tables/acme_problems.def"
#undef PROBLEM
};

static const char *const status_names[] = {
    "pending", "ready", "processing", "valid", "invalid", "deactivated", "expired", "revoked",
};
_Static_assert(ARRAY_LEN(status_names) == ACME_STATUSES, "a name for each status");

const char *acme_status_name(enum acme_status s)
{
    CHECK((unsigned)s < ACME_STATUSES);
    return status_names[s];
}

json_t *acme_problem_json(enum acme_problem p, const char *text, const char *type, const char *name)
{
    char what[96];
    CHECK((unsigned)p < ACME_PROBLEMS);
    snprintf(what, sizeof(what), "urn:ietf:params:acme:error:%s", problems[p].word);
    json_t *o = json_pack("{s:s, s:s, s:i}", "type", what, "detail", text, "status", (int)problems[p].status);
    if (o != NULL && type != NULL)
        json_object_set_new(o, "identifier", json_pack("{s:s, s:s}", "type", type, "value", name));
    return o;
}

char *acme_json_text(const json_t *object)
{
    struct buf text = {0};
    if (buf_json(&text, object) && buf_text(&text) != NULL)
        return (char *)text.data;
    buf_free(&text);
    return NULL;
}

static void put_json(struct acme_call *c, unsigned status, const char *type, json_t *object)
{
    char *text = object == NULL ? NULL : acme_json_text(object);
    json_decref(object);
    buf_free(&c->answer->body);
    c->answer->status = status;
    c->answer->type = type;
    if (text == NULL || !buf_append(&c->answer->body, text, strlen(text))) {
        c->answer->status = 500;
        c->answer->type = NULL;
        c->broken = true;
        err_set(&c->err, "out of memory");
    }
    free(text);
}

void acme_json(struct acme_call *c, unsigned status, json_t *object)
{
    put_json(c, status, "application/json", object);
}

__attribute__((format(printf, 4, 0))) static void problem(struct acme_call *c, enum acme_problem p,
                                                          json_t *subproblems, const char *fmt, va_list ap)
{
    char said[TEXT_MAX], text[TEXT_MAX];
    vsnprintf(said, sizeof(said), fmt, ap);
    str_clean(text, sizeof(text), said);
    json_t *o = acme_problem_json(p, text, NULL, NULL);
    if (p == ACME_BAD_SIGNATURE_ALGORITHM && o != NULL)
        json_object_set_new(o, "algorithms", json_pack("[s,s,s,s]", "ES256", "ES384", "RS256", "EdDSA"));
    if (json_array_size(subproblems) > 0 && o != NULL)
        json_object_set(o, "subproblems", subproblems);
    json_decref(subproblems);
    put_json(c, problems[p].status, "application/problem+json", o);
}

bool acme_problem(struct acme_call *c, enum acme_problem p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    problem(c, p, NULL, fmt, ap);
    va_end(ap);
    return false;
}

bool acme_problem_of(struct acme_call *c, enum acme_problem p, json_t *subproblems, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    problem(c, p, subproblems, fmt, ap);
    va_end(ap);
    return false;
}

bool acme_too_many(struct acme_call *c, int64_t seconds, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    problem(c, ACME_RATE_LIMITED, NULL, fmt, ap);
    va_end(ap);
    web_answer_field(c->answer, "Retry-After", "%lld", (long long)seconds);
    return false;
}

bool acme_broken(struct acme_call *c)
{
    c->broken = true;
    return acme_problem(c, ACME_SERVER_INTERNAL, "something is wrong at this server; try again later");
}

const char *acme_url(const struct acme_server *s, enum acme_resource_id at, const char *id,
                     char ret[ACME_URL_MAX])
{
    CHECK(acme_resources[at].has_id == (id != NULL));
    snprintf(ret, ACME_URL_MAX, "%s/%s%s%s", s->params->url, acme_resources[at].path, id != NULL ? "/" : "",
             id != NULL ? id : "");
    return ret;
}
