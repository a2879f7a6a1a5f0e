/* SPDX-License-Identifier: Apache-2.0 */
/* Of accounts (login/accounts.h): where they are used from, and the sessions in which certificates are
 * renewed. */
#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/check.h"
#include "login/accounts.h"
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

/* 1: it lives, and goes on. */
static int continue_session(struct accounts *a, struct str name, struct str id, int64_t now, int64_t until,
                            struct err *err)
{
    struct state_query *q = state_query(
        accounts_state(a), "UPDATE session SET until = ? WHERE id = ? AND account = ? AND until > ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, until);
    state_put_text(q, id);
    state_put_text(q, name);
    state_put_int(q, now);
    return state_run(q, err) < 0 ? -1 : state_changed(accounts_state(a)) > 0;
}

static int insert_session(struct accounts *a, struct str name, int64_t until, char ret_id[SESSION_ID_MAX],
                          struct err *err)
{
    uint8_t id[(SESSION_ID_MAX - 1) / 2];
    struct state_query *q =
        state_query(accounts_state(a), "INSERT INTO session (id, account, until) VALUES (?, ?, ?)", err);
    if (q == NULL)
        return -1;
    CHECK(RAND_bytes(id, sizeof(id)) == 1);
    for (size_t i = 0; i < sizeof(id); i++)
        snprintf(ret_id + 2 * i, 3, "%02x", id[i]);
    state_put_text(q, text_of(ret_id));
    state_put_text(q, name);
    state_put_int(q, until);
    return state_run(q, err);
}

static int find_or_insert_session(struct accounts *a, struct str name, struct str known, int64_t now,
                                  int64_t until, char ret_id[SESSION_ID_MAX], struct err *err)
{
    int found =
        known.len > 0 && known.len < SESSION_ID_MAX ? continue_session(a, name, known, now, until, err) : 0;
    if (found == 1)
        str_copy(ret_id, SESSION_ID_MAX, known.p, known.len);
    return found == 0 ? insert_session(a, name, until, ret_id, err) : found < 0 ? -1 : 0;
}

int accounts_begin_session(struct accounts *a, struct str name, struct str source, struct str known,
                           int64_t now, int64_t life, char ret_id[SESSION_ID_MAX], struct err *err)
{
    if (state_begin(accounts_state(a), err) < 0)
        return -1;
    if ((source.len > 0 && note_source(a, name, source, now, err) < 0) || note_login(a, name, now, err) < 0 ||
        find_or_insert_session(a, name, known, now, now + life, ret_id, err) < 0) {
        state_rollback(accounts_state(a));
        return -1;
    }
    return state_commit(accounts_state(a), err);
}

int accounts_find_session(struct accounts *a, struct str name, struct str id, int64_t now, int64_t *ret_until,
                          struct err *err)
{
    struct state_query *q = state_query(
        accounts_state(a), "SELECT until FROM session WHERE id = ? AND account = ? AND until > ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, id);
    state_put_text(q, name);
    state_put_int(q, now);
    enum state_result r = state_step(q, err);
    if (r == STATE_ROW)
        *ret_until = state_int(q, 0);
    state_done(q);
    return r == STATE_ROW ? 1 : r == STATE_END ? 0 : -1;
}
