/* SPDX-License-Identifier: Apache-2.0 */
/* The book itself, its CAs and lineages. */
#include "keeper/book.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "keeper/book_internal.h"

#define NAME "certificates.db"

/* A slot is 0 or 1, as in life.h. */
static const char *const steps[] = {
    "CREATE TABLE ca (id INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, until INTEGER NOT NULL DEFAULT 0,"
    " failures INTEGER NOT NULL DEFAULT 0, account TEXT NOT NULL DEFAULT '', account_key BLOB) STRICT;"
    "CREATE TABLE lineage (id INTEGER PRIMARY KEY, what TEXT NOT NULL UNIQUE, key_kind TEXT NOT NULL,"
    " profile TEXT NOT NULL, on_demand INTEGER NOT NULL,"
    " due INTEGER NOT NULL DEFAULT 0, active INTEGER NOT NULL DEFAULT 0, swapped INTEGER NOT NULL DEFAULT 0,"
    " swapped_at INTEGER NOT NULL DEFAULT 0, used INTEGER NOT NULL DEFAULT 0,"
    " saved INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX lineage_due ON lineage (due);"
    "CREATE TABLE name (name TEXT NOT NULL, lineage INTEGER NOT NULL REFERENCES lineage (id) ON DELETE "
    "CASCADE,"
    " PRIMARY KEY (name, lineage)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX name_lineage ON name (lineage);"
    "CREATE TABLE certificate ("
    " lineage INTEGER NOT NULL REFERENCES lineage (id) ON DELETE CASCADE, slot INTEGER NOT NULL,"
    " ca INTEGER NOT NULL, issued INTEGER NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL,"
    " pin BLOB NOT NULL UNIQUE, chain TEXT NOT NULL, key BLOB NOT NULL, staple BLOB,"
    " explanation TEXT NOT NULL DEFAULT '', PRIMARY KEY (lineage, slot)) STRICT;"
    "CREATE TABLE under_way (lineage INTEGER PRIMARY KEY REFERENCES lineage (id) ON DELETE CASCADE,"
    " slot INTEGER NOT NULL, ca INTEGER NOT NULL, url TEXT NOT NULL, key BLOB NOT NULL) STRICT;"
    "CREATE TABLE slot (lineage INTEGER NOT NULL REFERENCES lineage (id) ON DELETE CASCADE, slot INTEGER NOT "
    "NULL"
#define X(field) ", " #field " INTEGER NOT NULL DEFAULT 0"
    BOOK_SLOT_FIELDS(X)
#undef X
        ", PRIMARY KEY (lineage, slot)) STRICT;"
        "CREATE TABLE hold (lineage INTEGER NOT NULL REFERENCES lineage (id) ON DELETE CASCADE, ca INTEGER "
        "NOT NULL,"
        " until INTEGER NOT NULL, failures INTEGER NOT NULL, PRIMARY KEY (lineage, ca)) STRICT, WITHOUT "
        "ROWID;",
};

static struct str text_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

struct book *book_open(const char *dir, struct err *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/" NAME, dir) >= (int)sizeof(path)) {
        err_set(err, "the path of state is longer than %d bytes", PATH_MAX);
        return NULL;
    }
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        err_errno(err, errno,
                  "cannot make the folder %s, which is to hold the certificates that are obtained", dir);
        return NULL;
    }
    struct book *b = calloc(1, sizeof(*b));
    CHECK(b != NULL);
    b->magic = BOOK_MAGIC;
    b->state = state_open(path, steps, ARRAY_LEN(steps), err);
    if (b->state != NULL)
        return b;
    book_close(b);
    return NULL;
}

void book_close(struct book *b)
{
    if (b == NULL)
        return;
    CHECK_MAGIC(b, BOOK_MAGIC);
    state_close(b->state);
    b->magic = 0;
    free(b);
}

/* The number that a query gives: 1, 0 when it gives none, -1. */
static int number_of(struct state_query *q, int64_t *ret, struct err *err)
{
    enum state_result r = state_step(q, err);
    if (r == STATE_ROW)
        *ret = state_int(q, 0);
    state_done(q);
    return r == STATE_ROW ? 1 : r == STATE_END ? 0 : -1;
}

/* ---- CAs ---- */

static int find_ca(struct book *b, const char *url, int64_t *ret, struct err *err)
{
    struct state_query *q = state_query(b->state, "SELECT id FROM ca WHERE url = ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, text_of(url));
    return number_of(q, ret, err);
}

static int insert_ca(struct book *b, const char *url, struct err *err)
{
    struct state_query *q =
        state_query(b->state, "INSERT INTO ca (id, url) SELECT ifnull(max(id), 0) + 1, ? FROM ca", err);
    if (q == NULL)
        return -1;
    state_put_text(q, text_of(url));
    return state_run(q, err);
}

int book_add_ca(struct book *b, const char *url, struct err *err)
{
    int64_t id = 0;
    int found = find_ca(b, url, &id, err);
    if (found == 0) {
        if (insert_ca(b, url, err) < 0)
            return -1;
        found = find_ca(b, url, &id, err);
    }
    if (found < 1)
        return -1;
    return id <= UINT16_MAX ? (int)id - 1 : err_set(err, "more than %d CAs in the book", UINT16_MAX);
}

int book_each_ca(struct book *b, book_ca_fn *fn, void *arg, struct err *err)
{
    enum state_result r;
    int done = 0;
    struct state_query *q = state_query(
        b->state, "SELECT id, url, until, failures, account, account_key FROM ca ORDER BY id", err);
    if (q == NULL)
        return -1;
    while (done == 0 && (r = state_step(q, err)) != STATE_END) {
        struct book_ca ca;
        if (r == STATE_ROW) {
            ca = (struct book_ca){.number = (uint16_t)(state_int(q, 0) - 1),
                                  .url = state_text(q, 1),
                                  .state = {state_int(q, 2), (uint16_t)state_int(q, 3)},
                                  .account = state_text(q, 4),
                                  .account_key = state_blob(q, 5)};
            done = fn(arg, &ca, err);
        } else {
            done = -1;
        }
    }
    state_done(q);
    return done < 0 ? -1 : 0;
}

int book_save_ca(struct book *b, uint16_t ca, const struct life_ca_state *state, struct err *err)
{
    struct state_query *q = state_query(b->state, "UPDATE ca SET until = ?, failures = ? WHERE id = ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, state->until);
    state_put_int(q, state->failures);
    state_put_int(q, ca + 1);
    return state_run(q, err);
}

int book_save_account(struct book *b, uint16_t ca, struct str account, struct str key, struct err *err)
{
    struct state_query *q =
        state_query(b->state, "UPDATE ca SET account = ?, account_key = ? WHERE id = ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, account);
    state_put_blob(q, key.p, key.len);
    state_put_int(q, ca + 1);
    return state_run(q, err);
}

/* ---- lineages ---- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What tells a lineage from others: its names in order, the kind of its key, its profile. False when memory
 * is out. */
static bool put_what(struct buf *out, const struct book_lineage *l)
{
    const char *sorted[BOOK_NAMES_MAX];
    bool ok = true;
    for (size_t i = 0; i < l->names_len; i++)
        sorted[i] = l->names[i];
    qsort(sorted, l->names_len, sizeof(sorted[0]), compare);
    for (size_t i = 0; i < l->names_len && ok; i++)
        ok = buf_printf(out, "%s ", sorted[i]);
    return ok && buf_printf(out, "/%s/%s", l->key_kind, l->profile);
}

static int find_lineage(struct book *b, struct str what, int64_t *ret, struct err *err)
{
    struct state_query *q = state_query(b->state, "SELECT id FROM lineage WHERE what = ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, what);
    return number_of(q, ret, err);
}

static int insert_lineage(struct book *b, const struct book_lineage *l, struct str what, struct err *err)
{
    struct state_query *q = state_query(
        b->state, "INSERT INTO lineage (what, key_kind, profile, on_demand) VALUES (?, ?, ?, ?)", err);
    if (q == NULL)
        return -1;
    state_put_text(q, what);
    state_put_text(q, text_of(l->key_kind));
    state_put_text(q, text_of(l->profile));
    state_put_int(q, l->on_demand);
    return state_run(q, err);
}

static int insert_names(struct book *b, const struct book_lineage *l, int64_t id, struct err *err)
{
    for (size_t i = 0; i < l->names_len; i++) {
        struct state_query *q =
            state_query(b->state, "INSERT OR IGNORE INTO name (name, lineage) VALUES (?, ?)", err);
        if (q == NULL)
            return -1;
        state_put_text(q, text_of(l->names[i]));
        state_put_int(q, id);
        if (state_run(q, err) < 0)
            return -1;
    }
    return 0;
}

int64_t book_add(struct book *b, const struct book_lineage *l, struct err *err)
{
    CHECK_MAGIC(b, BOOK_MAGIC);
    CHECK(l->names_len > 0 && l->names_len <= BOOK_NAMES_MAX);
    struct buf out = {0};
    CHECK(put_what(&out, l));
    struct str what = {(const char *)out.data, out.len};
    int64_t id = -1;
    int found = find_lineage(b, what, &id, err);
    if (found == 0)
        found = state_begin(b->state, err) == 0 &&
                        state_end(b->state,
                                  insert_lineage(b, l, what, err) == 0 && find_lineage(b, what, &id, err) == 1
                                      ? insert_names(b, l, id, err)
                                      : -1,
                                  err) == 0
                    ? 1
                    : -1;
    buf_free(&out);
    return found == 1 ? id : -1;
}

int64_t book_known(struct book *b, const struct book_lineage *l, struct err *err)
{
    CHECK_MAGIC(b, BOOK_MAGIC);
    struct buf out = {0};
    int64_t id = 0;
    CHECK(put_what(&out, l));
    int found = find_lineage(b, (struct str){(const char *)out.data, out.len}, &id, err);
    buf_free(&out);
    return found < 0 ? -1 : found == 0 ? 0 : id;
}

static int remove_lineage(struct book *b, int64_t id, struct err *err)
{
    struct state_query *q = state_query(b->state, "DELETE FROM lineage WHERE id = ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, id);
    return state_run(q, err);
}

int book_remove(struct book *b, const int64_t *ids, int count, struct err *err)
{
    int rc = state_begin(b->state, err);
    if (rc < 0)
        return -1;
    for (int i = 0; i < count && rc == 0; i++)
        rc = remove_lineage(b, ids[i], err);
    return state_end(b->state, rc, err);
}

static int find_name(struct book *b, struct str name, int64_t ret[BOOK_FOUND_MAX], struct err *err)
{
    enum state_result r;
    int n = 0;
    struct state_query *q =
        state_query(b->state, "SELECT lineage FROM name WHERE name = ? ORDER BY lineage", err);
    if (q == NULL)
        return -1;
    state_put_text(q, name);
    while ((r = state_step(q, err)) == STATE_ROW && n < BOOK_FOUND_MAX)
        ret[n++] = state_int(q, 0);
    state_done(q);
    return r == STATE_FAILED ? -1 : n;
}

int book_find(struct book *b, struct str name, int64_t ret[BOOK_FOUND_MAX], struct err *err)
{
    char wild[256] = "*";
    const char *dot = memchr(name.p, '.', name.len);
    int n = find_name(b, name, ret, err);
    if (n != 0 || dot == NULL ||
        !str_copy(wild + 1, sizeof(wild) - 1, dot, name.len - (size_t)(dot - name.p)))
        return n;
    return find_name(b, text_of(wild), ret, err);
}

/* ---- reading lineages ---- */

static int tell(struct book *b, const struct state_query *row, book_lineage_fn *fn, void *arg,
                struct err *err)
{
    const char *names[BOOK_NAMES_MAX];
    size_t at[BOOK_NAMES_MAX], n = 0;
    struct buf texts = {0};
    enum state_result r = STATE_FAILED;
    struct str kind = state_text(row, 1), profile = state_text(row, 2);
    struct state_query *q =
        state_query(b->state, "SELECT name FROM name WHERE lineage = ? ORDER BY name", err);
    if (q == NULL)
        return -1;
    state_put_int(q, state_int(row, 0));
    bool ok = buf_printf(&texts, "%.*s%c%.*s%c", (int)kind.len, kind.p, 0, (int)profile.len, profile.p, 0);
    while (ok && n < BOOK_NAMES_MAX && (r = state_step(q, err)) == STATE_ROW) {
        struct str name = state_text(q, 0);
        at[n++] = texts.len;
        ok = buf_printf(&texts, "%.*s%c", (int)name.len, name.p, 0);
    }
    state_done(q);
    CHECK(ok);
    for (size_t i = 0; i < n; i++)
        names[i] = (const char *)texts.data + at[i];
    struct book_lineage l = {.id = state_int(row, 0),
                             .names = names,
                             .names_len = n,
                             .key_kind = (const char *)texts.data,
                             .profile = (const char *)texts.data + kind.len + 1,
                             .on_demand = state_int(row, 3) != 0};
    int done = r == STATE_FAILED ? -1 : fn(arg, &l, state_int(row, 4), err);
    buf_free(&texts);
    return done;
}

static int tell_all(struct book *b, struct state_query *q, book_lineage_fn *fn, void *arg, struct err *err)
{
    enum state_result r;
    int n = 0;
    while ((r = state_step(q, err)) == STATE_ROW) {
        if (tell(b, q, fn, arg, err) < 0) {
            r = STATE_FAILED;
            break;
        }
        n++;
    }
    state_done(q);
    return r == STATE_FAILED ? -1 : n;
}

int book_get(struct book *b, int64_t id, book_lineage_fn *fn, void *arg, struct err *err)
{
    struct state_query *q =
        state_query(b->state, "SELECT id, key_kind, profile, on_demand, due FROM lineage WHERE id = ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, id);
    return tell_all(b, q, fn, arg, err);
}

int book_each_demanded(struct book *b, int64_t before, size_t most, book_lineage_fn *fn, void *arg,
                       struct err *err)
{
    struct state_query *q = state_query(b->state,
                                        "SELECT id, key_kind, profile, on_demand, due FROM lineage"
                                        " WHERE due < ? AND on_demand AND"
                                        " (saved OR id IN (SELECT lineage FROM under_way))"
                                        " ORDER BY due LIMIT ?",
                                        err);
    if (q == NULL)
        return -1;
    state_put_int(q, before);
    state_put_int(q, (int64_t)MIN(most, INT_MAX));
    return tell_all(b, q, fn, arg, err);
}

int book_put_off(struct book *b, int64_t id, int64_t due, struct err *err)
{
    struct state_query *q = state_query(b->state, "UPDATE lineage SET due = ? WHERE id = ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, due);
    state_put_int(q, id);
    return state_run(q, err);
}
