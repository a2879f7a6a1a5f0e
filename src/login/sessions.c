/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of accounts, and where these are used from. */
#include "login/sessions.h"

#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/check.h"
#include "state/state.h"

#define FAMILIAR_LIFE (INT64_C(90) * 86400)

static struct str text_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

bool accounts_is_familiar(struct accounts *a, struct str name, struct str source, int64_t now)
{
    struct state_query *q = state_query(
        accounts_state(a), "SELECT 1 FROM familiar WHERE account = ? AND source = ? AND seen > ?", NULL);
    if (q == NULL)
        return false;
    state_put_text(q, name);
    state_put_text(q, source);
    state_put_int(q, now - FAMILIAR_LIFE);
    bool found = state_step(q, NULL) == STATE_ROW;
    state_done(q);
    return found;
}

static int note_source(struct accounts *a, struct str name, struct str source, int64_t now, struct err *err)
{
    struct state_query *q = state_query(accounts_state(a),
                                        "INSERT INTO familiar (account, source, seen) VALUES (?, ?, ?) ON "
                                        "CONFLICT DO UPDATE SET seen = excluded.seen",
                                        err);
    if (q == NULL)
        return -1;
    state_put_text(q, name);
    state_put_text(q, source);
    state_put_int(q, now);
    if (state_run(q, err) < 0)
        return -1;
    q = state_query(
        accounts_state(a),
        "DELETE FROM familiar WHERE account = ?1 AND source NOT IN (SELECT source FROM familiar WHERE "
        "account = ?1 ORDER BY seen DESC, source LIMIT ?2)",
        err);
    if (q == NULL)
        return -1;
    state_put_text(q, name);
    state_put_int(q, ACCOUNT_FAMILIAR_MAX);
    return state_run(q, err);
}

static int note_login(struct accounts *a, struct str name, int64_t now, struct err *err)
{
    struct state_query *q =
        state_query(accounts_state(a), "UPDATE account SET last_login = ? WHERE name = ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, now);
    state_put_text(q, name);
    if (state_run(q, err) < 0)
        return -1;
    q = state_query(accounts_state(a), "DELETE FROM session WHERE until <= ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, now);
    return state_run(q, err);
}

/* Where a login was good from, and when. */
static int note(struct accounts *a, const struct session_beginning *b, struct err *err)
{
    if (b->familiar && note_source(a, b->account, b->source, b->now, err) < 0)
        return -1;
    return note_login(a, b->account, b->now, err);
}

/* ---- what a session is held to ---- */

static bool is_key(struct str kept, const uint8_t *key)
{
    return kept.len == SESSION_KEY && memcmp(kept.p, key, SESSION_KEY) == 0;
}

/* A session as it is kept. */
struct held {
    int64_t until;
    bool last;   /* the key that was shown is the one certified last */
    bool before; /* ... the one before that */
    bool again;  /* what is to be certified was certified last */
};

static enum session_verdict look(struct accounts *a, struct str account, const struct session_shown *shown,
                                 const uint8_t *next, int64_t now, struct held *ret, struct err *err)
{
    struct state_query *q = state_query(
        accounts_state(a),
        "SELECT until, key, key_before FROM session WHERE id = ? AND account = ? AND until > ?", err);
    if (q == NULL)
        return SESSION_FAILED;
    state_put_text(q, shown->session);
    state_put_text(q, account);
    state_put_int(q, now);
    enum state_result r = state_step(q, err);
    if (r == STATE_ROW) {
        struct str key = state_blob(q, 1), before = state_blob(q, 2);
        *ret = (struct held){.until = state_int(q, 0),
                             .last = is_key(key, shown->key),
                             .before = is_key(before, shown->key),
                             .again = next != NULL && is_key(key, next)};
    }
    state_done(q);
    return r == STATE_ROW ? SESSION_GOOD : r == STATE_END ? SESSION_OVER : SESSION_FAILED;
}

int sessions_end(struct accounts *a, struct str account, struct str id, struct err *err)
{
    struct state_query *q =
        state_query(accounts_state(a), "DELETE FROM session WHERE id = ? AND account = ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, id);
    state_put_text(q, account);
    return state_run(q, err) < 0 ? -1 : state_changed(accounts_state(a)) > 0;
}

int sessions_end_all(struct accounts *a, struct str account, int64_t since, struct err *err)
{
    struct state_query *q =
        state_query(accounts_state(a), "DELETE FROM session WHERE account = ? AND until > ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, account);
    state_put_int(q, since);
    return state_run(q, err) < 0 ? -1 : (int)state_changed(accounts_state(a));
}

/* A key that was replaced has been shown: whoever has it, this is over, and its owner is to know. */
static enum session_verdict end_reused(struct accounts *a, struct str account, struct str id,
                                       struct str source, int64_t now, struct err *err)
{
    struct state_query *q =
        state_query(accounts_state(a), "UPDATE account SET alarm = ?, alarm_source = ? WHERE name = ?", err);
    if (q == NULL)
        return SESSION_FAILED;
    state_put_int(q, now);
    state_put_text(q, source);
    state_put_text(q, account);
    if (state_run(q, err) < 0 || sessions_end(a, account, id, err) < 0)
        return SESSION_FAILED;
    return SESSION_REUSED;
}

/* Within a transaction: what was done stays unless it has failed. */
static enum session_verdict settle(struct accounts *a, enum session_verdict verdict, struct err *err)
{
    if (verdict != SESSION_FAILED)
        return state_commit(accounts_state(a), err) < 0 ? SESSION_FAILED : verdict;
    state_rollback(accounts_state(a));
    return SESSION_FAILED;
}

/* ---- beginning ---- */

static int insert_session(struct accounts *a, const struct session_beginning *b, char ret_id[SESSION_ID_MAX],
                          struct err *err)
{
    uint8_t id[(SESSION_ID_MAX - 1) / 2];
    struct state_query *q = state_query(accounts_state(a),
                                        "INSERT INTO session (id, account, begun, until, key, certified, "
                                        "source) VALUES (?, ?, ?, ?, ?, ?, ?)",
                                        err);
    if (q == NULL)
        return -1;
    CHECK(RAND_bytes(id, sizeof(id)) == 1);
    for (size_t i = 0; i < sizeof(id); i++)
        snprintf(ret_id + 2 * i, 3, "%02x", id[i]);
    state_put_text(q, text_of(ret_id));
    state_put_text(q, b->account);
    state_put_int(q, b->now);
    state_put_int(q, b->now + b->life);
    state_put_blob(q, b->key, SESSION_KEY);
    state_put_int(q, b->now);
    state_put_text(q, b->source);
    return state_run(q, err);
}

/* The client may have been overtaken by its own renewal while its owner typed, so the key before is no alarm
 * here. */
static enum session_verdict replace(struct accounts *a, const struct session_beginning *b, struct err *err)
{
    const struct session_shown *shown = &b->replaces;
    struct held held;
    if (shown->session.len == 0)
        return SESSION_GOOD;
    enum session_verdict found = look(a, b->account, shown, NULL, b->now, &held, err);
    if (found != SESSION_GOOD)
        return found == SESSION_OVER ? SESSION_GOOD : found;
    if (!held.last && !held.before)
        return end_reused(a, b->account, shown->session, b->source, b->now, err);
    return sessions_end(a, b->account, shown->session, err) < 0 ? SESSION_FAILED : SESSION_GOOD;
}

enum session_verdict sessions_begin(struct accounts *a, const struct session_beginning *b,
                                    char ret_id[SESSION_ID_MAX], struct err *err)
{
    if (state_begin(accounts_state(a), err) < 0)
        return SESSION_FAILED;
    enum session_verdict verdict = note(a, b, err) < 0 ? SESSION_FAILED : replace(a, b, err);
    if (verdict != SESSION_FAILED && insert_session(a, b, ret_id, err) < 0)
        verdict = SESSION_FAILED;
    return settle(a, verdict, err);
}

/* ---- renewal ---- */

/* `next` is the key that renews from now on. */
static enum session_verdict advance(struct accounts *a, const struct session_renewal *r, struct err *err)
{
    struct state_query *q =
        state_query(accounts_state(a),
                    "UPDATE session SET key_before = key, key = ?, certified = ?, source = "
                    "?, renewals = renewals + 1 WHERE id = ?",
                    err);
    if (q == NULL)
        return SESSION_FAILED;
    state_put_blob(q, r->next, SESSION_KEY);
    state_put_int(q, r->now);
    state_put_text(q, r->source);
    state_put_text(q, r->shown.session);
    return state_run(q, err) < 0 ? SESSION_FAILED : SESSION_GOOD;
}

static enum session_verdict renew(struct accounts *a, const struct session_renewal *r, int64_t *ret_until,
                                  struct err *err)
{
    struct held held = {.until = 0};
    enum session_verdict found = look(a, r->account, &r->shown, r->next, r->now, &held, err);
    *ret_until = held.until;
    if (found != SESSION_GOOD || (held.before && held.again))
        return found;
    if (!held.last)
        return end_reused(a, r->account, r->shown.session, r->source, r->now, err);
    return advance(a, r, err);
}

enum session_verdict sessions_renew(struct accounts *a, const struct session_renewal *r, int64_t *ret_until,
                                    struct err *err)
{
    if (state_begin(accounts_state(a), err) < 0)
        return SESSION_FAILED;
    return settle(a, renew(a, r, ret_until, err), err);
}

/* ---- for people ---- */

static void copy(char *ret, size_t size, struct str text)
{
    str_copy(ret, size, text.p, text.len);
}

static struct login_session read_session(const struct state_query *q)
{
    struct login_session s = {.begun = state_int(q, 2),
                              .until = state_int(q, 3),
                              .certified = state_int(q, 4),
                              .renewals = state_int(q, 6)};
    copy(s.id, sizeof(s.id), state_text(q, 0));
    copy(s.account, sizeof(s.account), state_text(q, 1));
    copy(s.source, sizeof(s.source), state_text(q, 5));
    return s;
}

int sessions_each(struct accounts *a, struct str account, int64_t now, login_session_fn *fn, void *arg,
                  struct err *err)
{
    struct state_query *q = state_query(
        accounts_state(a),
        "SELECT id, account, begun, until, certified, source, renewals FROM session WHERE account "
        "= ? AND until > ? ORDER BY begun, id",
        err);
    enum state_result r = STATE_FAILED;
    int status = 0;
    if (q == NULL)
        return -1;
    state_put_text(q, account);
    state_put_int(q, now);
    while (status >= 0 && (r = state_step(q, err)) == STATE_ROW) {
        const struct login_session s = read_session(q);
        status = fn(arg, &s, err);
    }
    state_done(q);
    return status < 0 || r == STATE_FAILED ? -1 : 0;
}

static int read_alarm(struct accounts *a, struct str account, struct session_alarm *ret, struct err *err)
{
    struct state_query *q =
        state_query(accounts_state(a), "SELECT alarm, alarm_source FROM account WHERE name = ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, account);
    enum state_result r = state_step(q, err);
    if (r == STATE_ROW) {
        ret->at = state_int(q, 0);
        copy(ret->source, sizeof(ret->source), state_text(q, 1));
    }
    state_done(q);
    return r == STATE_FAILED ? -1 : 0;
}

int sessions_take_alarm(struct accounts *a, struct str account, struct session_alarm *ret, struct err *err)
{
    *ret = (struct session_alarm){.at = 0};
    if (read_alarm(a, account, ret, err) < 0)
        return -1;
    if (ret->at == 0)
        return 0;
    struct state_query *q =
        state_query(accounts_state(a), "UPDATE account SET alarm = 0 WHERE name = ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, account);
    return state_run(q, err);
}
