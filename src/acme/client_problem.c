/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are errors (RFC 8555, 6.7). Some only say that the same has to be asked in another way; the
 * others become one text that says which name and why, in the CA's own words, made safe for a terminal. */
#include <stdlib.h>
#include <string.h>

#include "acme/client_internal.h"
#include "base/clean.h"

#define URN "urn:ietf:params:acme:error:"
#define SUBPROBLEMS_SHOWN 3
#define NONCES_REFUSED_MAX                                                           \
    50 /* in a row, for one request; pebble refuses half of them where it is told to \
        */

/* ---- words ---- */

static void put(char *ret, size_t cap, const char *before, const char *text)
{
    char clean[PROBLEM_TEXT_MAX];
    size_t len = strlen(ret);
    str_clean(clean, sizeof(clean), text);
    snprintf(ret + len, cap - len, "%s%s", before, clean);
}

static void put_problem(const json_t *problem, char *ret, size_t cap)
{
    const char *type = json_string_value(json_object_get(problem, "type"));
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    if (type != NULL)
        put(ret, cap, "", strncmp(type, URN, strlen(URN)) == 0 ? type + strlen(URN) : type);
    if (detail != NULL)
        put(ret, cap, type != NULL ? ": " : "", detail);
}

void client_problem_text(const json_t *problem, char ret[PROBLEM_TEXT_MAX * 3])
{
    const json_t *one;
    size_t i, cap = PROBLEM_TEXT_MAX * 3;
    ret[0] = '\0';
    put_problem(problem, ret, cap);
    json_array_foreach(json_object_get(problem, "subproblems"), i, one)
    {
        const char *name = json_string_value(json_object_get(json_object_get(one, "identifier"), "value"));
        if (i == SUBPROBLEMS_SHOWN) {
            put(ret, cap, "; ", "and others");
            break;
        }
        put(ret, cap, "; ", name != NULL ? name : "?");
        put(ret, cap, ": ", "");
        put_problem(one, ret, cap);
    }
    if (ret[0] == '\0')
        put(ret, cap, "", "it gives no reason");
}

/* ---- other ways ---- */

static bool is_type(const json_t *problem, const char *type)
{
    const char *text = json_string_value(json_object_get(problem, "type"));
    return text != NULL && strncmp(text, URN, strlen(URN)) == 0 && strcmp(text + strlen(URN), type) == 0;
}

/* What was asked can be asked differently. */
static bool try_otherwise(struct acme_client *c, const json_t *problem, unsigned status)
{
    if (c->by_the_way)
        return false;
    if (is_type(problem, "badNonce") && c->nonces_refused < NONCES_REFUSED_MAX) {
        c->nonces_refused++;
        return true;
    }
    if (is_type(problem, "accountDoesNotExist") && c->account != NULL && !c->fresh_kid) {
        free(c->account);
        c->account = NULL;
        client_go(c, STEP_ACCOUNT);
        return true;
    }
    if (status >= 500 || status == 429)
        return false;
    if (c->step == STEP_ORDER && c->order == NULL) { /* the one that was begun before is gone */
        c->known_order = NULL;
        client_go(c, STEP_NEW_ORDER);
        return true;
    }
    if (c->step == STEP_NEW_ORDER &&
        c->replaces != NULL) { /* alreadyReplaced, or it does not know that one */
        c->replaces = NULL;
        return true;
    }
    if (c->step == STEP_FINALIZE && is_type(problem, "orderNotReady")) {
        client_go(c, STEP_ORDER);
        return true;
    }
    return c->step == STEP_REVOCATION && is_type(problem, "alreadyRevoked");
}

static void fail(struct acme_client *c, int64_t now, const struct acme_client_answer *a,
                 const json_t *problem)
{
    char text[PROBLEM_TEXT_MAX * 3];
    const char *what = client_step_row(c->by_the_way ? STEP_NONCE : c->step)->what;
    bool limited = a->status == 429 || is_type(problem, "rateLimited");
    const char *name = c->step == STEP_RESPOND ? c->authorizations[c->at].name : NULL;
    client_problem_text(problem, text);
    err_set(&c->failure.why, "asked for %s%s%s, the CA answered with %u: %s", what,
            name != NULL ? " of " : "", name != NULL ? name : "", a->status, text);
    client_fail(c,
                limited            ? ACME_RATE_LIMITED
                : a->status >= 500 ? ACME_UNREACHABLE
                                   : ACME_REFUSED,
                client_retry_after(a->retry_after, now));
}

void client_problem(struct acme_client *c, int64_t now, const struct acme_client_answer *a)
{
    struct err why;
    char text[PROBLEM_TEXT_MAX * 3];
    json_t *problem = json_loadb(a->body.p != NULL ? a->body.p : "", a->body.len, 0, NULL);
    if (try_otherwise(c, problem, a->status)) {
        if (c->step == STEP_REVOCATION)
            client_go(c, STEP_DONE);
    } else if (a->status >= 500 && client_retry_after(a->retry_after, now) == 0) {
        client_problem_text(problem, text);
        err_set(&why, "the CA answered with %u: %s", a->status, text);
        c->sent = true;
        acme_client_unanswered(c, now, &why);
    } else {
        fail(c, now, a, problem);
    }
    json_decref(problem);
}
