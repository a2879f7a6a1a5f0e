/* SPDX-License-Identifier: Apache-2.0 */
/* Authorizations and their challenges (RFC 8555, 7.1.4, 7.5 and 8). */
#include <stdlib.h>
#include <string.h>

#include "acme/server_internal.h"
#include "base/check.h"
#include "cert/pem.h"

#define REUSE_AT_LEAST ACME_HOUR /* what must be left of a proof for it to serve a new order */

static const struct {
    bool wildcard, ip;
} kinds[] = {
#define CHALLENGE(NAME, word, wildcard, ip) {wildcard, ip},
#include "tables/acme_challenges.def"
#undef CHALLENGE
};

bool acme_can_prove(const struct acme_server *s, enum acme_challenge type, const struct acme_name *name)
{
    return s->params->challenges[type] && (kinds[type].wildcard || !name->wildcard) &&
           (kinds[type].ip || !name->ip);
}

/* Making
 * ------------------------------------------------------------------------------------------------------------
 */

/* One that has been proven and lasts for a while. 1 with its id; 0; -1 with c->err. */
static int find_proven(struct acme_call *c, const struct acme_name *name, char ret[ACME_ID_MAX])
{
    struct state_query *q = acme_ask(
        c->s, &c->err,
        "SELECT id FROM authorizations WHERE account = ? AND name = ? AND wildcard = ? AND status = 3 AND "
        "trusted = 0 AND expires > ?",
        "ssii", c->account.id, name->text, (int64_t)name->wildcard, c->now + REUSE_AT_LEAST);
    enum state_result result = q == NULL ? STATE_FAILED : state_step(q, &c->err);
    if (result == STATE_ROW)
        acme_column(q, 0, ret, ACME_ID_MAX);
    if (q != NULL)
        state_done(q);
    return result == STATE_ROW ? 1 : result == STATE_END ? 0 : -1;
}

static int make_challenges(struct acme_call *c, const struct acme_name *name, const char *authorization)
{
    for (size_t i = 0; i < ACME_CHALLENGES; i++) {
        char id[ACME_ID_MAX], token[ACME_ID_MAX];
        if (!acme_can_prove(c->s, (enum acme_challenge)i, name))
            continue;
        acme_new_id(id);
        acme_new_id(token); /* 128 bits, as RFC 8555, 8.3 asks for */
        if (acme_run(c->s, &c->err, "INSERT INTO challenges VALUES (?, ?, ?, ?, 0, 0, NULL)", "ssis", id,
                     authorization, (int64_t)i, token) < 0)
            return -1;
    }
    return 0;
}

int acme_authorization_make(struct acme_call *c, const struct acme_name *name, bool trusted,
                            char ret[ACME_ID_MAX], bool *ret_valid)
{
    int found = trusted ? 0 : find_proven(c, name, ret);
    *ret_valid = trusted || found == 1;
    if (found != 0)
        return found == 1 ? 0 : -1;
    acme_new_id(ret);
    if (acme_run(c->s, &c->err, "INSERT INTO authorizations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", "ssiisiiii",
                 ret, c->account.id, (int64_t)name->ip, (int64_t)name->wildcard, name->text,
                 (int64_t)(trusted ? ACME_VALID : ACME_PENDING), (int64_t)trusted, c->now,
                 c->now + c->s->limits.pending) < 0)
        return -1;
    return trusted ? 0 : make_challenges(c, name, ret);
}

/* Showing
 * -----------------------------------------------------------------------------------------------------------
 */

struct authorization {
    char id[ACME_ID_MAX];
    struct acme_name name;
    enum acme_status status;
    int64_t expires;
};

static bool load(struct acme_call *c, struct str id, struct authorization *ret)
{
    char text[ACME_ID_MAX];
    *ret = (struct authorization){0};
    struct state_query *q = NULL;
    enum state_result result = STATE_END;
    if (str_copy(text, sizeof(text), id.p, id.len)) {
        q = acme_ask(
            c->s, &c->err,
            "SELECT id, ip, wildcard, name, status, expires FROM authorizations WHERE id = ? AND account = ?",
            "ss", text, c->account.id);
        result = q == NULL ? STATE_FAILED : state_step(q, &c->err);
    }
    if (result == STATE_ROW) {
        acme_column(q, 0, ret->id, sizeof(ret->id));
        ret->name.ip = state_int(q, 1) != 0;
        ret->name.wildcard = state_int(q, 2) != 0;
        acme_column(q, 3, ret->name.text, sizeof(ret->name.text));
        ret->status = (enum acme_status)state_int(q, 4);
        ret->expires = state_int(q, 5);
        if (ret->expires <= c->now)
            ret->status = ret->status == ACME_VALID     ? ACME_EXPIRED
                          : ret->status == ACME_PENDING ? ACME_INVALID
                                                        : ret->status;
    }
    if (q != NULL)
        state_done(q);
    if (result == STATE_END)
        return acme_problem(c, ACME_NOT_FOUND, "this account has no such authorization");
    return result == STATE_ROW || acme_broken(c);
}

/* The columns of a challenge that are shown. */
#define CHALLENGE_COLUMNS "id, type, token, status, validated, error"

static json_t *challenge_view(struct acme_call *c, const struct state_query *q)
{
    char id[ACME_ID_MAX], token[ACME_TOKEN_MAX], url[ACME_URL_MAX], when[PEM_TIME_MAX];
    acme_column(q, 0, id, sizeof(id));
    acme_column(q, 2, token, sizeof(token));
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s}", "type", acme_challenge_name((enum acme_challenge)state_int(q, 1)),
                  "url", acme_url(c->s, ACME_AT_CHALLENGE, id, url), "token", token, "status",
                  acme_status_name((enum acme_status)state_int(q, 3)));
    struct str error = state_text(q, 5);
    if (state_int(q, 4) != 0)
        json_object_set_new(o, "validated", json_string(pem_time_text(state_int(q, 4), when)));
    if (error.len > 0)
        json_object_set_new(o, "error", json_loadb(error.p, error.len, 0, NULL));
    return o;
}

/* Of an authorization that is decided only what has decided it (RFC 8555, 7.1.4). -1 with c->err. */
static int put_challenges(struct acme_call *c, const struct authorization *a, json_t *list)
{
    struct state_query *q = acme_ask(
        c->s, &c->err, "SELECT " CHALLENGE_COLUMNS " FROM challenges WHERE authorization = ? ORDER BY type",
        "s", a->id);
    enum state_result result = q == NULL ? STATE_FAILED : STATE_ROW;
    while (result == STATE_ROW && (result = state_step(q, &c->err)) == STATE_ROW) {
        if (a->status == ACME_PENDING || state_int(q, 3) == ACME_VALID || state_int(q, 3) == ACME_INVALID)
            json_array_append_new(list, challenge_view(c, q));
        if (state_int(q, 3) == ACME_PROCESSING)
            web_answer_field(c->answer, "Retry-After", "1");
    }
    if (q != NULL)
        state_done(q);
    return result == STATE_FAILED ? -1 : 0;
}

static void answer_authorization(struct acme_call *c, const struct authorization *a)
{
    char when[PEM_TIME_MAX];
    json_t *list = json_array();
    if (put_challenges(c, a, list) < 0) {
        json_decref(list);
        acme_broken(c);
        return;
    }
    json_t *o = json_pack("{s:s, s:s, s:{s:s, s:s}, s:o}", "status", acme_status_name(a->status), "expires",
                          pem_time_text(a->expires, when), "identifier", "type", acme_name_type(&a->name),
                          "value", a->name.text, "challenges", list);
    if (a->name.wildcard)
        json_object_set_new(o, "wildcard", json_true());
    acme_json(c, 200, o);
}

/* RFC 8555, 7.5.2. */
static bool deactivate(struct acme_call *c, struct authorization *a)
{
    const char *status = json_string_value(json_object_get(c->payload, "status"));
    if (json_object_get(c->payload, "status") == NULL)
        return true;
    if (status == NULL || strcmp(status, "deactivated") != 0)
        return acme_problem(c, ACME_MALFORMED,
                            "\"status\" of an authorization can only be made \"deactivated\"");
    if (a->status != ACME_PENDING && a->status != ACME_VALID)
        return acme_problem(c, ACME_MALFORMED, "this authorization is %s already",
                            acme_status_name(a->status));
    a->status = ACME_DEACTIVATED;
    if (!acme_begin(c))
        return false;
    if (acme_run(c->s, &c->err, "UPDATE authorizations SET status = ? WHERE id = ?", "is", (int64_t)a->status,
                 a->id) < 0 ||
        acme_orders_follow(c->s, a->id, false, NULL, &c->err) < 0)
        return acme_broken(c);
    return acme_commit(c);
}

void acme_answer_authorization(struct acme_call *c)
{
    struct authorization a;
    if (load(c, c->id, &a) && deactivate(c, &a))
        answer_authorization(c, &a);
}

/* Challenges
 * --------------------------------------------------------------------------------------------------------
 */

/* The authorization that a challenge is of, and its status. */
static bool load_challenge(struct acme_call *c, char ret_authorization[ACME_ID_MAX], enum acme_status *ret)
{
    char text[ACME_ID_MAX];
    struct state_query *q = NULL;
    enum state_result result = STATE_END;
    if (str_copy(text, sizeof(text), c->id.p, c->id.len)) {
        q = acme_ask(c->s, &c->err, "SELECT authorization, status FROM challenges WHERE id = ?", "s", text);
        result = q == NULL ? STATE_FAILED : state_step(q, &c->err);
    }
    if (result == STATE_ROW) {
        acme_column(q, 0, ret_authorization, ACME_ID_MAX);
        *ret = (enum acme_status)state_int(q, 1);
    }
    if (q != NULL)
        state_done(q);
    if (result == STATE_END)
        return acme_problem(c, ACME_NOT_FOUND, "this account has no such challenge");
    return result == STATE_ROW || acme_broken(c);
}

static void answer_challenge(struct acme_call *c, const char *authorization)
{
    char id[ACME_ID_MAX], url[ACME_URL_MAX];
    json_t *o = NULL;
    str_copy(id, sizeof(id), c->id.p, c->id.len);
    struct state_query *q =
        acme_ask(c->s, &c->err, "SELECT " CHALLENGE_COLUMNS " FROM challenges WHERE id = ?", "s", id);
    if (q != NULL && state_step(q, &c->err) == STATE_ROW)
        o = challenge_view(c, q);
    if (q != NULL && o != NULL && state_int(q, 3) == ACME_PROCESSING)
        web_answer_field(c->answer, "Retry-After", "1");
    if (q != NULL)
        state_done(q);
    if (o == NULL) {
        acme_broken(c);
        return;
    }
    web_answer_field(c->answer, "Link", "<%s>;rel=\"up\"",
                     acme_url(c->s, ACME_AT_AUTHORIZATION, authorization, url));
    acme_json(c, 200, o);
}

/* A payload, be it {}, says that it may be looked at (RFC 8555, 7.5.1). Asking again changes nothing. */
void acme_answer_challenge(struct acme_call *c)
{
    char authorization[ACME_ID_MAX], id[ACME_ID_MAX];
    enum acme_status status = ACME_INVALID;
    struct authorization a;
    if (!load_challenge(c, authorization, &status) ||
        !load(c, (struct str){authorization, strlen(authorization)}, &a))
        return;
    str_copy(id, sizeof(id), c->id.p, c->id.len);
    bool asks = c->payload != NULL && status == ACME_PENDING && a.status == ACME_PENDING;
    if (!asks || acme_look_ask(c, id, authorization, a.expires))
        answer_challenge(c, authorization);
}
