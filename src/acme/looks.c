/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of challenges that are to be looked at (RFC 8555, 7.5.1). Sources take turns, then the accounts
 * from one source, then what an account has asked for in its order: so nobody waits for another's hundreds.
 *
 * A row's `turn` is the round of its source in which it has its turn: an account's rows are in rounds that
 * follow each other, and its first is in the round that is now. Whose turn it is among the sources is kept in
 * memory; a restart begins with the first. */
#include <stdlib.h>
#include <string.h>

#include "acme/server_internal.h"
#include "base/check.h"

#define LEASE 120        /* seconds in which whoever looks says what was seen */
#define RETRY_WAITING 60 /* seconds */

/* Asking
 * ------------------------------------------------------------------------------------------------------------
 */

static bool check_queue(struct acme_call *c)
{
    int64_t own, of_source;
    const struct acme_limits *l = &c->s->limits;
    if (acme_count(c->s, &c->err, &own, "SELECT COUNT(*) FROM looks WHERE account = ?", "s", c->account.id) <
            0 ||
        acme_count(c->s, &c->err, &of_source,
                   "SELECT COUNT(*) FROM looks WHERE source = (SELECT source FROM accounts WHERE id = ?)",
                   "s", c->account.id) < 0)
        return acme_broken(c);
    if (own >= l->waiting_per_account)
        return acme_too_many(c, RETRY_WAITING, "%u challenges of this account wait to be looked at",
                             l->waiting_per_account);
    return of_source < l->waiting_per_source ||
           acme_too_many(c, RETRY_WAITING, "%u challenges of accounts from one address wait to be looked at",
                         l->waiting_per_source);
}

/* The round that is now is that of the first row that nobody looks at. */
#define INSERT_LOOK                                                                                          \
    "INSERT INTO looks (challenge, authorization, account, source, turn, due, expires) SELECT ?, ?, id, "    \
    "source, MAX(COALESCE((SELECT MIN(turn) FROM looks WHERE source = u.source AND due <= ?), 0), COALESCE(" \
    "(SELECT MAX(turn) + 1 FROM looks WHERE account = u.id), 0)), ?, ? FROM accounts u WHERE id = ?"

bool acme_look_ask(struct acme_call *c, const char *challenge, const char *authorization, int64_t expires)
{
    if (!acme_begin(c) || !check_queue(c))
        return false;
    if (acme_run(c->s, &c->err, "UPDATE challenges SET status = 2 WHERE id = ?", "s", challenge) < 0 ||
        acme_run(c->s, &c->err, INSERT_LOOK, "ssiiis", challenge, authorization, c->now, c->now, expires,
                 c->account.id) < 0)
        return acme_broken(c);
    return acme_commit(c);
}

int acme_look_forget(struct acme_server *s, const char *authorization, struct err *err)
{
    return acme_run(s, err, "DELETE FROM looks WHERE authorization = ?", "s", authorization);
}

int acme_look_forget_account(struct acme_server *s, const char *account, struct err *err)
{
    return acme_run(s, err, "DELETE FROM looks WHERE account = ?", "s", account);
}

/* Handing out
 * -------------------------------------------------------------------------------------------------------
 */

#define NEXT_LOOK(compare)                                                                                \
    "SELECT l.challenge, c.type, c.token, a.ip, a.name, u.thumbprint, l.source FROM looks l JOIN "        \
    "challenges "                                                                                         \
    "c ON c.id = l.challenge JOIN authorizations a ON a.id = l.authorization JOIN accounts u ON u.id = "  \
    "l.account WHERE l.source " compare " ? AND l.due <= ? AND l.expires > ? ORDER BY l.source, l.turn, " \
    "l.number LIMIT 1"

static int find(struct acme_server *s, const char *sql, const char *source, int64_t now,
                struct acme_check *ret, struct err *err)
{
    char thumbprint[JWK_THUMBPRINT_MAX];
    struct state_query *q = acme_ask(s, err, sql, "sii", source, now, now);
    if (q == NULL)
        return -1;
    *ret = (struct acme_check){0};
    enum state_result result = state_step(q, err);
    if (result == STATE_ROW) {
        acme_column(q, 0, ret->id, sizeof(ret->id));
        ret->type = (enum acme_challenge)state_int(q, 1);
        acme_column(q, 2, ret->token, sizeof(ret->token));
        ret->ip = state_int(q, 3) != 0;
        acme_column(q, 4, ret->name, sizeof(ret->name));
        acme_column(q, 5, thumbprint, sizeof(thumbprint));
        acme_column(q, 6, ret->source, sizeof(ret->source));
        snprintf(ret->key_authorization, sizeof(ret->key_authorization), "%s.%s", ret->token, thumbprint);
    }
    state_done(q);
    return result == STATE_ROW ? 1 : result == STATE_END ? 0 : -1;
}

int acme_server_next(struct acme_server *s, int64_t now, struct acme_check *ret, struct err *err)
{
    CHECK_MAGIC(s, ACME_SERVER_MAGIC);
    int found = find(s, NEXT_LOOK(">"), s->looked_for, now, ret, err);
    if (found == 0)
        found = find(s, NEXT_LOOK(">="), "", now, ret, err);
    if (found != 1)
        return found;
    str_copy(s->looked_for, sizeof(s->looked_for), ret->source, strlen(ret->source));
    return acme_run(s, err, "UPDATE looks SET due = ? WHERE challenge = ?", "is", now + LEASE, ret->id) < 0
               ? -1
               : 1;
}

/* So many of an account's are tried in a second at most, however many there are. */
#define TRIES "8"

int acme_server_postpone(struct acme_server *s, const char *id, int64_t now, struct err *err)
{
    return acme_run(s, err,
                    "UPDATE looks SET due = ? + (SELECT COUNT(*) FROM looks l WHERE l.account = "
                    "looks.account) / " TRIES " WHERE challenge = ?",
                    "is", now + ACME_POSTPONED, id);
}

/* What was seen
 * -----------------------------------------------------------------------------------------------------
 */

/* What a challenge that is looked at is about. */
struct looked {
    char authorization[ACME_ID_MAX], account[ACME_ID_MAX];
    struct acme_name name;
};

/* 1; 0: it is none any more; -1 with `err`. */
static int find_looked(struct acme_server *s, const char *id, struct looked *ret, struct err *err)
{
    *ret = (struct looked){0};
    struct state_query *q = acme_ask(s, err,
                                     "SELECT a.id, a.ip, a.wildcard, a.name, a.account FROM looks l JOIN "
                                     "authorizations a ON a.id = l.authorization WHERE l.challenge = ?",
                                     "s", id);
    if (q == NULL)
        return -1;
    enum state_result result = state_step(q, err);
    if (result == STATE_ROW) {
        acme_column(q, 0, ret->authorization, sizeof(ret->authorization));
        ret->name.ip = state_int(q, 1) != 0;
        ret->name.wildcard = state_int(q, 2) != 0;
        acme_column(q, 3, ret->name.text, sizeof(ret->name.text));
        acme_column(q, 4, ret->account, sizeof(ret->account));
    }
    state_done(q);
    return result == STATE_ROW ? 1 : result == STATE_END ? 0 : -1;
}

static int set_proven(struct acme_server *s, const char *id, const struct looked *l, int64_t now,
                      struct err *err)
{
    if (acme_run(s, err, "UPDATE challenges SET status = 3, validated = ? WHERE id = ?", "is", now, id) < 0 ||
        acme_run(s, err, "UPDATE authorizations SET status = 3, expires = ? WHERE id = ?", "is",
                 now + ACME_PROVEN_LIFETIME, l->authorization) < 0)
        return -1;
    return acme_orders_follow(s, l->authorization, true, NULL, err);
}

static int set_failed(struct acme_server *s, const char *id, const struct looked *l,
                      enum acme_problem problem, const char *text, int64_t now, struct err *err)
{
    char name[ACME_NAME_TEXT];
    json_t *o = acme_problem_json(problem, text, NULL, NULL);
    json_t *of = acme_problem_json(problem, text, acme_name_type(&l->name), acme_name_text(&l->name, name));
    char *error = acme_json_text(o), *order_error = acme_json_text(of);
    json_decref(o);
    json_decref(of);
    int rc = error == NULL || order_error == NULL ? err_set(err, "out of memory") : 0;
    if (rc == 0 &&
        (acme_run(s, err, "UPDATE challenges SET status = 4, error = ? WHERE id = ?", "ss", error, id) < 0 ||
         acme_run(s, err, "UPDATE authorizations SET status = 4 WHERE id = ?", "s", l->authorization) < 0 ||
         acme_run(s, err, "INSERT INTO failures VALUES (?, ?, ?)", "ssi", l->account, l->name.text, now) <
             0 ||
         acme_orders_follow(s, l->authorization, false, order_error, err) < 0))
        rc = -1;
    free(error);
    free(order_error);
    return rc;
}

int acme_server_validated(struct acme_server *s, const char *id, bool ok, enum acme_problem problem,
                          const char *text, int64_t now, struct err *err)
{
    struct looked l;
    CHECK_MAGIC(s, ACME_SERVER_MAGIC);
    if (state_begin(s->state, err) < 0)
        return -1;
    int rc = find_looked(s, id, &l, err);
    if (rc == 1)
        rc = ok ? set_proven(s, id, &l, now, err) : set_failed(s, id, &l, problem, text, now, err);
    if (rc == 0 && state_commit(s->state, err) == 0)
        return 0;
    state_rollback(s->state);
    return -1;
}
