/* SPDX-License-Identifier: Apache-2.0 */
#include "login/accounts.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/mem.h>

#include "base/buf.h"
#include "base/check.h"
#include "login/sessions.h"
#include "state/state.h"

struct accounts {
    struct state *state;
    struct opaque_server server;
};

static const char *const steps[] = {
    "CREATE TABLE server (id INTEGER PRIMARY KEY CHECK (id = 1), oprf_seed BLOB NOT NULL, private_key BLOB "
    "NOT "
    "NULL) STRICT;"
    "CREATE TABLE account (name TEXT PRIMARY KEY, groups TEXT NOT NULL, lifetime INTEGER NOT NULL, disabled "
    "INTEGER "
    "NOT NULL DEFAULT 0, record BLOB, code BLOB, code_until INTEGER NOT NULL DEFAULT 0, made INTEGER NOT "
    "NULL, "
    "last_login INTEGER NOT NULL DEFAULT 0, alarm INTEGER NOT NULL DEFAULT 0, alarm_source TEXT NOT NULL "
    "DEFAULT '') STRICT;"
    "CREATE TABLE session (id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES account (name) ON DELETE "
    "CASCADE, begun INTEGER NOT NULL, until INTEGER NOT NULL, key BLOB NOT NULL, key_before BLOB, certified "
    "INTEGER NOT NULL, source TEXT NOT NULL, renewals INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX session_account ON session (account);"
    "CREATE TABLE familiar (account TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE, source TEXT "
    "NOT NULL, "
    "seen INTEGER NOT NULL, PRIMARY KEY (account, source)) STRICT;"
    "CREATE TABLE enrolment (code TEXT PRIMARY KEY, ticket BLOB NOT NULL UNIQUE, csr BLOB NOT NULL, key BLOB "
    "NOT "
    "NULL, source TEXT NOT NULL, host TEXT NOT NULL, made INTEGER NOT NULL, until INTEGER NOT NULL, verdict "
    "INTEGER "
    "NOT NULL DEFAULT 0, account TEXT, who TEXT) STRICT;",
};

static struct str text_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

static bool name_is_sound(struct str name, bool upper)
{
    if (name.len == 0 || name.len > ACCOUNT_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (upper && c >= 'A' && c <= 'Z');
        if (!word && (i == 0 || (c != '.' && c != '_' && c != '-')))
            return false;
    }
    return true;
}

bool account_name_is_sound(struct str name)
{
    return name_is_sound(name, false);
}

bool account_group_is_sound(struct str group)
{
    return name_is_sound(group, true);
}

/* ---- opening ---- */

/* 1: read; 0: there is none yet; -1. */
static int read_server(struct accounts *a, struct err *err)
{
    struct state_query *q = state_query(a->state, "SELECT oprf_seed, private_key FROM server", err);
    if (q == NULL)
        return -1;
    enum state_result r = state_step(q, err);
    int status = r == STATE_ROW ? 1 : r == STATE_END ? 0 : -1;
    if (r == STATE_ROW) {
        struct str seed = state_blob(q, 0), key = state_blob(q, 1);
        if (seed.len == OPAQUE_HASH && key.len == OPAQUE_KEY) {
            memcpy(a->server.oprf_seed, seed.p, seed.len);
            memcpy(a->server.private_key, key.p, key.len);
        }
        if (!opaque_server_complete(&a->server))
            status =
                err_set(err, "the secret of the login server is damaged: restore login.db from a backup");
    }
    state_done(q);
    return status;
}

static int make_server(struct accounts *a, struct err *err)
{
    opaque_random_server(&a->server);
    struct state_query *q =
        state_query(a->state, "INSERT INTO server (id, oprf_seed, private_key) VALUES (1, ?, ?)", err);
    if (q == NULL)
        return -1;
    state_put_blob(q, a->server.oprf_seed, OPAQUE_HASH);
    state_put_blob(q, a->server.private_key, OPAQUE_KEY);
    return state_run(q, err);
}

/* Two may come at once: within a transaction, so that both have the same. */
static int ensure_server(struct accounts *a, struct err *err)
{
    if (state_begin(a->state, err) < 0)
        return -1;
    int status = read_server(a, err);
    if (status == 0)
        status = make_server(a, err);
    return state_end(a->state, status, err);
}

struct accounts *accounts_open(const char *dir, struct err *err)
{
    struct buf path = {0};
    struct accounts *a = calloc(1, sizeof(*a));
    CHECK(a != NULL && buf_printf(&path, "%s/login.db", dir));
    if (!opaque_init())
        err_set(err, "no randomness to be had from the system");
    else
        a->state = state_open(buf_text(&path), steps, ARRAY_LEN(steps), err);
    if (a->state == NULL || ensure_server(a, err) < 0) {
        accounts_close(a);
        a = NULL;
    }
    buf_free(&path);
    return a;
}

void accounts_close(struct accounts *a)
{
    if (a == NULL)
        return;
    state_close(a->state);
    OPENSSL_cleanse(a, sizeof(*a));
    free(a);
}

const struct opaque_server *accounts_server(const struct accounts *a)
{
    return &a->server;
}

struct state *accounts_state(const struct accounts *a)
{
    return a->state;
}

/* ---- accounts ---- */

/* -1 with `err` where one is not sound. */
static int join_groups(const char *const *groups, size_t count, struct buf *ret, struct err *err)
{
    if (count > ACCOUNT_GROUPS_MAX)
        return err_set(err, "%zu groups, at most %d are possible", count, ACCOUNT_GROUPS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!account_group_is_sound(text_of(groups[i])))
            return err_set(err, "group '%s': expected at most %d of letters, digits, '.', '_' and '-'",
                           groups[i], ACCOUNT_NAME_MAX);
        CHECK(buf_printf(ret, "%s%s", i > 0 ? " " : "", groups[i]));
    }
    return 0;
}

static int check_new(const char *name, int64_t lifetime, struct err *err)
{
    if (!account_name_is_sound(text_of(name)))
        return err_set(err,
                       "'%s' is no name for an account: expected at most %d of a-z, 0-9, '.', '_' and '-'",
                       name, ACCOUNT_NAME_MAX);
    if (lifetime < 10 || lifetime > ACCOUNT_LIFETIME_MAX)
        return err_set(err, "certificates of %lld seconds: expected ten seconds to %d hours",
                       (long long)lifetime, (int)(ACCOUNT_LIFETIME_MAX / 3600));
    return 0;
}

int accounts_add(struct accounts *a, const char *name, const char *const *groups, size_t groups_len,
                 int64_t lifetime, int64_t now, struct err *err)
{
    static const char sql[] =
        "INSERT INTO account (name, groups, lifetime, made) VALUES (?, ?, ?, ?) ON CONFLICT DO "
        "NOTHING";
    struct buf joined = {0};
    if (lifetime == 0)
        lifetime = ACCOUNT_LIFETIME;
    int status = check_new(name, lifetime, err);
    if (status == 0)
        status = join_groups(groups, groups_len, &joined, err);
    struct state_query *q = status == 0 ? state_query(a->state, sql, err) : NULL;
    if (q != NULL) {
        state_put_text(q, text_of(name));
        state_put_text(q, (struct str){(const char *)joined.data, joined.len});
        state_put_int(q, lifetime);
        state_put_int(q, now);
        status = state_run(q, err);
        if (status == 0 && state_changed(a->state) == 0)
            status = err_set(err, "there is an account %s already", name);
    } else {
        status = -1;
    }
    buf_free(&joined);
    return status;
}

#define ACCOUNT_COLUMNS "name, groups, lifetime, disabled, record, code_until, last_login"

static void read_account(const struct state_query *q, struct account *ret)
{
    struct str name = state_text(q, 0), groups = state_text(q, 1), record = state_blob(q, 4);
    *ret = (struct account){.lifetime = state_int(q, 2),
                            .disabled = state_int(q, 3) != 0,
                            .has_password = record.len == OPAQUE_RECORD,
                            .code_until = state_int(q, 5),
                            .last_login = state_int(q, 6)};
    str_copy(ret->name, sizeof(ret->name), name.p, name.len);
    str_copy(ret->groups, sizeof(ret->groups), groups.p, groups.len);
    if (ret->has_password)
        memcpy(ret->record, record.p, OPAQUE_RECORD);
}

int accounts_find(struct accounts *a, struct str name, struct account *ret, struct err *err)
{
    struct state_query *q =
        state_query(a->state, "SELECT " ACCOUNT_COLUMNS " FROM account WHERE name = ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, name);
    enum state_result r = state_step(q, err);
    if (r == STATE_ROW)
        read_account(q, ret);
    state_done(q);
    return r == STATE_ROW ? 1 : r == STATE_END ? 0 : -1;
}

int accounts_each(struct accounts *a, account_fn *fn, void *arg, struct err *err)
{
    struct state_query *q =
        state_query(a->state, "SELECT " ACCOUNT_COLUMNS " FROM account ORDER BY name", err);
    enum state_result r = STATE_FAILED;
    int status = 0;
    while (q != NULL && status >= 0 && (r = state_step(q, err)) == STATE_ROW) {
        struct account account;
        read_account(q, &account);
        status = fn(arg, &account, err);
        OPENSSL_cleanse(account.record, sizeof(account.record));
    }
    if (q != NULL)
        state_done(q);
    return status < 0 || r == STATE_FAILED ? -1 : 0;
}

/* Run what was begun and bound: 1 something has changed, 0 nothing has, -1. */
static int run_changing(struct accounts *a, struct state_query *q, struct err *err)
{
    if (state_run(q, err) < 0)
        return -1;
    return state_changed(a->state) > 0;
}

static int mark_disabled(struct accounts *a, struct str name, bool disabled, struct err *err)
{
    struct state_query *q = state_query(a->state, "UPDATE account SET disabled = ? WHERE name = ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, disabled);
    state_put_text(q, name);
    return run_changing(a, q, err);
}

/* Both or neither: sessions that are left would live again when the account is enabled. */
int accounts_set_disabled(struct accounts *a, struct str name, bool disabled, struct err *err)
{
    if (state_begin(a->state, err) < 0)
        return -1;
    int status = mark_disabled(a, name, disabled, err);
    if (status == 1 && disabled && sessions_end_all(a, name, 0, err) < 0)
        status = -1;
    return state_end(a->state, status, err);
}

int accounts_remove(struct accounts *a, struct str name, struct err *err)
{
    struct state_query *q = state_query(a->state, "DELETE FROM account WHERE name = ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, name);
    return run_changing(a, q, err);
}

/* ---- codes ---- */

int accounts_give_code(struct accounts *a, struct str name, int64_t now, int64_t life,
                       char ret[CODE_TEXT_MAX], struct err *err)
{
    uint8_t digest[CODE_DIGEST];
    struct state_query *q =
        state_query(a->state, "UPDATE account SET code = ?, code_until = ? WHERE name = ?", err);
    if (q == NULL)
        return -1;
    code_make(CODE_LONG, ret);
    code_digest(text_of(ret), digest);
    state_put_blob(q, digest, sizeof(digest));
    state_put_int(q, now + life);
    state_put_text(q, name);
    return run_changing(a, q, err);
}

static int void_password(struct accounts *a, struct str name, struct err *err)
{
    struct state_query *q = state_query(a->state, "UPDATE account SET record = NULL WHERE name = ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, name);
    return state_run(q, err);
}

int accounts_reset(struct accounts *a, struct str name, int64_t now, int64_t life, char ret[CODE_TEXT_MAX],
                   struct err *err)
{
    if (state_begin(a->state, err) < 0)
        return -1;
    int status = void_password(a, name, err) < 0 || sessions_end_all(a, name, 0, err) < 0
                     ? -1
                     : accounts_give_code(a, name, now, life, ret, err);
    return state_end(a->state, status, err);
}

int accounts_code_is_good(struct accounts *a, struct str name, struct str code, int64_t now, struct err *err)
{
    char read[CODE_TEXT_MAX];
    uint8_t digest[CODE_DIGEST] = {0};
    bool sound = code_read(code, CODE_LONG, read);
    if (sound)
        code_digest(text_of(read), digest);
    struct state_query *q = state_query(
        a->state, "SELECT code FROM account WHERE name = ? AND disabled = 0 AND code_until > ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, name);
    state_put_int(q, now);
    enum state_result r = state_step(q, err);
    struct str kept = r == STATE_ROW ? state_blob(q, 0) : (struct str){NULL, 0};
    bool good = sound && kept.len == CODE_DIGEST && CRYPTO_memcmp(kept.p, digest, CODE_DIGEST) == 0;
    state_done(q);
    return r == STATE_FAILED ? -1 : good;
}

static int use_code(struct accounts *a, struct str name, const uint8_t record[OPAQUE_RECORD], struct err *err)
{
    struct state_query *q = state_query(
        a->state, "UPDATE account SET record = ?, code = NULL, code_until = 0 WHERE name = ?", err);
    if (q == NULL)
        return -1;
    state_put_blob(q, record, OPAQUE_RECORD);
    state_put_text(q, name);
    return run_changing(a, q, err);
}

int accounts_set_record(struct accounts *a, struct str name, struct str code,
                        const uint8_t record[OPAQUE_RECORD], int64_t now, struct err *err)
{
    if (state_begin(a->state, err) < 0)
        return -1;
    int status = accounts_code_is_good(a, name, code, now, err);
    /* Whoever knew the old password is out. */
    if (status == 1 && sessions_end_all(a, name, 0, err) < 0)
        status = -1;
    if (status == 1)
        status = use_code(a, name, record, err);
    if (status < 1) {
        state_rollback(a->state);
        return status;
    }
    return state_commit(a->state, err) < 0 ? -1 : 1;
}
