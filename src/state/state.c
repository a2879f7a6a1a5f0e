/* SPDX-License-Identifier: Apache-2.0 */
#include "state/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"

#define STATE_MAGIC 0x57a7e0dbu
#define BUSY_MS 5000
#define BUSY_STEP_MS 10

struct state_query {
    struct state_query *next;
    struct state *of;
    const char *sql; /* static: its address names the query */
    sqlite3_stmt *statement;
    int bound;
    bool running;
    bool full; /* a parameter could not be bound */
};

struct state {
    uint32_t magic;
    sqlite3 *db;
    char *path;
    struct state_query *queries;
};

static int failed(const struct state *s, struct err *err)
{
    int code = sqlite3_errcode(s->db);
    const char *text = sqlite3_errmsg(s->db);
    switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return err_set(
            err, "%s: damaged, or no SQLite database (%s); put a copy back, or move it away to begin anew",
            s->path, text);
    case SQLITE_BUSY:
        return err_set(err, "%s: another process has been writing to it for more than %d s", s->path,
                       BUSY_MS / 1000);
    case SQLITE_FULL:
        return err_set(err, "%s: no room left on the device; nothing was changed", s->path);
    default:
        return err_set(err, "%s: %s", s->path, text);
    }
}

static int run_script(struct state *s, const char *sql, struct err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(s, err);
}

/* ---- opening ---- */

/* SQLite would make the file as the umask says; its companions (-wal, -shm) take the mode from it. */
static int make_file(const char *path, struct err *err)
{
    if (access(path, F_OK) == 0 || file_create_atomic(path, 0600, NULL, 0, err) == 0)
        return 0;
    return access(path, F_OK) == 0 ? 0 : -1; /* another process was faster */
}

/* While one process turns a new file to WAL, SQLite tells others that it is busy without waiting. */
static int use_wal(struct state *s, struct err *err)
{
    const struct timespec pause = {.tv_nsec = BUSY_STEP_MS * NSEC_PER_MSEC};
    int rc = SQLITE_BUSY;
    for (int waited = 0; waited < BUSY_MS && (rc & 0xff) == SQLITE_BUSY; waited += BUSY_STEP_MS) {
        if (waited > 0)
            nanosleep(&pause, NULL);
        rc = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? 0 : failed(s, err);
}

static int set_up(struct state *s, struct err *err)
{
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    if (use_wal(s, err) < 0)
        return -1;
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return run_script(s,
                      "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
                      "PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON",
                      err);
}

static int read_version(struct state *s, int64_t *ret, struct err *err)
{
    struct state_query *q = state_query(s, "PRAGMA user_version", err);
    if (q == NULL)
        return -1;
    bool ok = state_step(q, err) == STATE_ROW;
    if (ok)
        *ret = state_int(q, 0);
    state_done(q);
    return ok ? 0 : -1;
}

/* Within a transaction: all steps that are still to be taken. */
static int take_steps(struct state *s, const char *const *steps, size_t count, struct err *err)
{
    int64_t version;
    if (read_version(s, &version, err) < 0)
        return -1;
    if (version < 0 || version > (int64_t)count)
        return err_set(err,
                       "%s: version %lld, expected %zu at most: a later cardea has written it; use that one",
                       s->path, (long long)version, count);
    for (size_t i = (size_t)version; i < count; i++)
        if (run_script(s, steps[i], err) < 0)
            return err_prefix(err, "bringing it from version %zu to %zu", i, i + 1);
    char text[64];
    sqlite3_snprintf(sizeof(text), text, "PRAGMA user_version = %lld", (long long)count);
    return run_script(s, text, err);
}

/* Most often there is nothing to do, and then nobody has to wait for writers. */
static int migrate(struct state *s, const char *const *steps, size_t count, struct err *err)
{
    int64_t version;
    if (read_version(s, &version, err) < 0)
        return -1;
    if (version == (int64_t)count)
        return 0;
    if (state_begin(s, err) < 0)
        return -1;
    if (take_steps(s, steps, count, err) == 0 && state_commit(s, err) == 0)
        return 0;
    state_rollback(s);
    return -1;
}

struct state *state_open(const char *path, const char *const *steps, size_t count, struct err *err)
{
    struct state *s = calloc(1, sizeof(*s));
    CHECK(s != NULL && (s->path = strdup(path)) != NULL);
    s->magic = STATE_MAGIC;
    int rc = make_file(path, err);
    if (rc == 0 &&
        sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        rc = failed(s, err);
    if (rc < 0 || set_up(s, err) < 0 || migrate(s, steps, count, err) < 0) {
        state_close(s);
        return NULL;
    }
    return s;
}

void state_close(struct state *s)
{
    if (s == NULL)
        return;
    CHECK_MAGIC(s, STATE_MAGIC);
    while (s->queries != NULL) {
        struct state_query *q = s->queries;
        s->queries = q->next;
        sqlite3_finalize(q->statement);
        free(q);
    }
    CHECK(sqlite3_close(s->db) == SQLITE_OK);
    free(s->path);
    s->magic = 0;
    free(s);
}

/* ---- transactions ---- */

int state_begin(struct state *s, struct err *err)
{
    CHECK_MAGIC(s, STATE_MAGIC);
    CHECK(sqlite3_get_autocommit(s->db) != 0);
    /* IMMEDIATE: whoever reads first and writes then could not wait for others any more. */
    return run_script(s, "BEGIN IMMEDIATE", err);
}

int state_commit(struct state *s, struct err *err)
{
    CHECK_MAGIC(s, STATE_MAGIC);
    if (run_script(s, "COMMIT", err) == 0)
        return 0;
    state_rollback(s);
    return -1;
}

void state_rollback(struct state *s)
{
    CHECK_MAGIC(s, STATE_MAGIC);
    if (sqlite3_get_autocommit(s->db) == 0) /* some errors have rolled back already */
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

int state_end(struct state *s, int status, struct err *err)
{
    if (status >= 0)
        return state_commit(s, err) < 0 ? -1 : status;
    state_rollback(s);
    return -1;
}

/* ---- statements ---- */

static struct state_query *prepare(struct state *s, const char *sql, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK) {
        failed(s, err);
        return NULL;
    }
    struct state_query *q = calloc(1, sizeof(*q));
    CHECK(q != NULL);
    *q = (struct state_query){.next = s->queries, .of = s, .sql = sql, .statement = statement};
    s->queries = q;
    return q;
}

struct state_query *state_query(struct state *s, const char *sql, struct err *err)
{
    CHECK_MAGIC(s, STATE_MAGIC);
    struct state_query *q = s->queries;
    while (q != NULL && q->sql != sql)
        q = q->next;
    if (q == NULL)
        q = prepare(s, sql, err);
    if (q == NULL)
        return NULL;
    CHECK(!q->running);
    q->running = true;
    q->full = false;
    q->bound = 0;
    return q;
}

static void note(struct state_query *q, int rc)
{
    CHECK(rc != SQLITE_RANGE && rc != SQLITE_MISUSE);
    q->full = q->full || rc != SQLITE_OK;
}

void state_put_text(struct state_query *q, struct str text)
{
    note(q, sqlite3_bind_text64(q->statement, ++q->bound, text.len == 0 ? "" : text.p, text.len,
                                SQLITE_TRANSIENT, SQLITE_UTF8));
}

void state_put_blob(struct state_query *q, const void *bytes, size_t len)
{
    note(q, sqlite3_bind_blob64(q->statement, ++q->bound, len == 0 ? "" : bytes, len, SQLITE_TRANSIENT));
}

void state_put_int(struct state_query *q, int64_t value)
{
    note(q, sqlite3_bind_int64(q->statement, ++q->bound, value));
}

void state_put_null(struct state_query *q)
{
    note(q, sqlite3_bind_null(q->statement, ++q->bound));
}

enum state_result state_step(struct state_query *q, struct err *err)
{
    CHECK(q->running);
    if (q->full) {
        err_set(err, "%s: a value is too long to be kept", q->of->path);
        return STATE_FAILED;
    }
    int rc = sqlite3_step(q->statement);
    if (rc == SQLITE_ROW)
        return STATE_ROW;
    if (rc == SQLITE_DONE)
        return STATE_END;
    failed(q->of, err);
    return STATE_FAILED;
}

struct str state_text(const struct state_query *q, int column)
{
    const char *text = (const char *)sqlite3_column_text(q->statement, column);
    return (struct str){text, text == NULL ? 0 : (size_t)sqlite3_column_bytes(q->statement, column)};
}

struct str state_blob(const struct state_query *q, int column)
{
    const char *bytes = sqlite3_column_blob(q->statement, column);
    return (struct str){bytes, bytes == NULL ? 0 : (size_t)sqlite3_column_bytes(q->statement, column)};
}

int64_t state_int(const struct state_query *q, int column)
{
    return sqlite3_column_int64(q->statement, column);
}

bool state_is_null(const struct state_query *q, int column)
{
    return sqlite3_column_type(q->statement, column) == SQLITE_NULL;
}

void state_done(struct state_query *q)
{
    CHECK(q->running);
    q->running = false;
    sqlite3_reset(q->statement);
    sqlite3_clear_bindings(q->statement); /* values may be secrets, and are not kept for next time */
}

int state_run(struct state_query *q, struct err *err)
{
    enum state_result result;
    do
        result = state_step(q, err);
    while (result == STATE_ROW);
    state_done(q);
    return result == STATE_END ? 0 : -1;
}

int64_t state_changed(const struct state *s)
{
    CHECK_MAGIC(s, STATE_MAGIC);
    return sqlite3_changes64(s->db);
}
