/* SPDX-License-Identifier: Apache-2.0 */
/* Durable state: versions, transactions, and what is not a database of ours. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "pki.h"

#include "state/state.h"

static const char *const steps[] = {
    "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bytes BLOB) STRICT;",
    "ALTER TABLE thing ADD COLUMN weight INTEGER NOT NULL DEFAULT 7;"
    "CREATE TABLE part (thing INTEGER NOT NULL REFERENCES thing (id)) STRICT;",
};

static struct state *open_steps(const char *name, size_t count)
{
    struct err err = {""};
    struct state *s = state_open(pki_path(name), steps, count, &err);
    if (s == NULL)
        fail_msg("%s", err.text);
    return s;
}

static int add(struct state *s, const char *name, struct err *err)
{
    struct state_query *q = state_query(s, "INSERT INTO thing (name, bytes) VALUES (?, ?)", err);
    assert_non_null(q);
    state_put_text(q, (struct str){name, strlen(name)});
    state_put_blob(q, "\0\1", 2);
    return state_run(q, err);
}

static int64_t number(struct state *s, const char *sql)
{
    struct err err = {""};
    struct state_query *q = state_query(s, sql, &err);
    if (q == NULL)
        fail_msg("%s", err.text);
    assert_int_equal(state_step(q, &err), STATE_ROW);
    int64_t value = state_int(q, 0);
    assert_int_equal(state_step(q, &err), STATE_END);
    state_done(q);
    return value;
}

static const char count_all[] = "SELECT count(*) FROM thing";

static void test_values(void **unused)
{
    (void)unused;
    struct err err = {""};
    umask(0);
    struct state *s = open_steps("values.db", 2);
    struct stat st;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(stat(pki_path(i == 0 ? "values.db" : "values.db-wal"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    assert_int_equal(add(s, "one", &err), 0);
    assert_int_equal(state_changed(s), 1);
    struct state_query *q = state_query(s, "INSERT INTO thing (name, bytes, weight) VALUES (?, ?, ?)", &err);
    state_put_text(q, (struct str){NULL, 0});
    state_put_null(q);
    state_put_int(q, INT64_MIN);
    assert_int_equal(state_run(q, &err), 0);
    q = state_query(s, "SELECT name, bytes, weight FROM thing ORDER BY id", &err);
    assert_int_equal(state_step(q, &err), STATE_ROW);
    assert_true(str_is(state_text(q, 0), "one"));
    assert_int_equal(state_blob(q, 1).len, 2);
    assert_memory_equal(state_blob(q, 1).p, "\0\1", 2);
    assert_int_equal(state_int(q, 2), 7);
    assert_int_equal(state_step(q, &err), STATE_ROW);
    assert_int_equal(state_text(q, 0).len, 0);
    assert_false(state_is_null(q, 0));
    assert_true(state_is_null(q, 1));
    assert_int_equal(state_blob(q, 1).len, 0);
    assert_true(state_int(q, 2) == INT64_MIN);
    assert_int_equal(state_step(q, &err), STATE_END);
    state_done(q);
    state_close(s);
}

static void test_rules_hold(void **unused)
{
    (void)unused;
    struct err err = {""};
    struct state *s = open_steps("rules.db", 2);
    assert_int_equal(add(s, "one", &err), 0);
    assert_int_equal(add(s, "one", &err), -1);
    assert_non_null(strstr(err.text, "rules.db: UNIQUE"));
    struct state_query *q = state_query(s, "INSERT INTO part (thing) VALUES (99)", &err);
    assert_int_equal(state_run(q, &err), -1);
    assert_non_null(strstr(err.text, "FOREIGN KEY"));
    assert_null(state_query(s, "SELECT nonsense", &err));
    assert_int_equal(number(s, "PRAGMA synchronous"), 2);
    state_close(s);
}

static void test_rollback(void **unused)
{
    (void)unused;
    struct err err = {""};
    struct state *s = open_steps("rollback.db", 2);
    assert_int_equal(state_begin(s, &err), 0);
    assert_int_equal(add(s, "gone", &err), 0);
    state_rollback(s);
    assert_int_equal(number(s, count_all), 0);
    assert_int_equal(state_begin(s, &err), 0);
    assert_int_equal(add(s, "stays", &err), 0);
    assert_int_equal(state_commit(s, &err), 0);
    assert_int_equal(state_begin(s, &err), 0);
    assert_int_equal(add(s, "closed over", &err), 0);
    state_close(s);
    s = open_steps("rollback.db", 2);
    assert_int_equal(number(s, count_all), 1);
    state_close(s);
}

static void test_versions(void **unused)
{
    (void)unused;
    struct err err = {""};
    struct state *s = open_steps("versions.db", 1);
    assert_int_equal(add(s, "old", &err), 0);
    state_close(s);
    s = open_steps("versions.db", 2);
    assert_int_equal(number(s, "SELECT weight FROM thing"), 7);
    assert_int_equal(number(s, "PRAGMA user_version"), 2);
    state_close(s);
    assert_null(state_open(pki_path("versions.db"), steps, 1, &err));
    assert_non_null(strstr(err.text, "versions.db: version 2, expected 1 at most"));
}

/* A step that fails leaves all as it was, those before it as well. */
static void test_broken_step(void **unused)
{
    (void)unused;
    static const char *const broken[] = {"CREATE TABLE a (x);", "CREATE TABLE b (x); CREATE TABLE a (x);"};
    struct err err = {""};
    assert_null(state_open(pki_path("broken.db"), broken, 2, &err));
    assert_non_null(strstr(err.text, "from version 1 to 2"));
    struct state *s = open_steps("broken.db", 0);
    assert_int_equal(number(s, "SELECT count(*) FROM sqlite_schema"), 0);
    state_close(s);
}

static void test_damaged(void **unused)
{
    (void)unused;
    struct err err = {""};
    pki_write("text.db", "This is a text of more than sixteen bytes, and no database.", 59);
    assert_null(state_open(pki_path("text.db"), steps, 2, &err));
    assert_non_null(strstr(err.text, "text.db: damaged, or no SQLite database"));
    struct state *s = open_steps("torn.db", 2);
    for (int i = 0; i < 400; i++) {
        char name[32];
        snprintf(name, sizeof(name), "a longer name %d", i);
        assert_int_equal(add(s, name, &err), 0);
    }
    state_close(s);
    int fd = open(pki_path("torn.db"), O_WRONLY);
    static const char noise[] = "????????????????????????????????????????????????????????????????";
    for (off_t at = 4096; at < 16384; at += 64)
        assert_int_equal(pwrite(fd, noise, 64, at), 64);
    close(fd);
    s = state_open(pki_path("torn.db"), steps, 2, &err);
    if (s != NULL) { /* the page with the version is whole */
        struct state_query *q = state_query(s, "SELECT name FROM thing ORDER BY name DESC", &err);
        assert_true(q == NULL || state_run(q, &err) < 0);
        assert_non_null(strstr(err.text, "torn.db: damaged"));
        state_close(s);
    }
    assert_null(state_open(pki_path("no/folder.db"), steps, 2, &err));
    assert_non_null(strstr(err.text, "no/folder.db: "));
}

#define WRITERS 2
#define ROWS 60

static int write_rows(int who)
{
    struct err err = {""};
    struct state *s = state_open(pki_path("two.db"), steps, 2, &err);
    bool ok = s != NULL;
    for (int i = 0; i < ROWS && ok; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%d-%d", who, i);
        ok = state_begin(s, &err) == 0 && number(s, count_all) >= i && add(s, name, &err) == 0 &&
             state_commit(s, &err) == 0;
    }
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    state_close(s);
    return ok ? 0 : 1;
}

/* Both find no file at first, and make it. */
static void test_two_processes(void **unused)
{
    (void)unused;
    pki_dir();
    pid_t children[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            _exit(write_rows(i));
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    struct state *s = open_steps("two.db", 2);
    assert_int_equal(number(s, count_all), WRITERS * ROWS);
    state_close(s);
}

/* What was committed is there when the process dies without another word; what was not, is not. */
static void test_killed(void **unused)
{
    (void)unused;
    pki_dir();
    pid_t child = fork();
    if (child == 0) {
        struct err err;
        struct state *s = open_steps("killed.db", 2);
        bool ok = state_begin(s, &err) == 0 && add(s, "kept", &err) == 0 && state_commit(s, &err) == 0 &&
                  state_begin(s, &err) == 0 && add(s, "lost", &err) == 0;
        _exit(ok ? 0 : 1); /* NOLINT: nothing is closed */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct state *s = open_steps("killed.db", 2);
    assert_int_equal(number(s, "SELECT count(*) FROM thing WHERE name = 'kept'"), 1);
    assert_int_equal(number(s, count_all), 1);
    state_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),      cmocka_unit_test(test_rules_hold),
        cmocka_unit_test(test_rollback),    cmocka_unit_test(test_versions),
        cmocka_unit_test(test_broken_step), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_killed),      cmocka_unit_test(test_two_processes),
    };
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
