/* SPDX-License-Identifier: Apache-2.0 */
#include "ca/journal.h"

#include <string.h>

#include "base/check.h"
#include "ca/journal_internal.h"
#include "state/state.h"

/* `detail` of an issuance repeats the columns beside it, so that the audit can hold one against the other. */
static const char *const steps[] = {
    "CREATE TABLE log ("
    "  row INTEGER PRIMARY KEY,"
    "  at INTEGER NOT NULL,"
    "  act TEXT NOT NULL,"
    "  who TEXT NOT NULL,"
    "  serial BLOB NOT NULL,"
    "  detail TEXT NOT NULL,"
    "  content BLOB NOT NULL,"
    "  hash BLOB NOT NULL"
    ") STRICT;"
    "CREATE INDEX log_settings ON log (row) WHERE act = 'set';"
    "CREATE INDEX log_authorities ON log (row) WHERE act IN ('init', 'renew');"
    "CREATE TRIGGER log_stays BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log can only grow'); END;"
    "CREATE TRIGGER log_is_kept BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log can only grow'); END;"
    "CREATE TRIGGER log_grows BEFORE INSERT ON log"
    "  WHEN NEW.row IS NOT (SELECT coalesce(max(row), 0) + 1 FROM log)"
    "  BEGIN SELECT RAISE(ABORT, 'the log grows at its end only'); END;"
    "CREATE TABLE certificate ("
    "  row INTEGER PRIMARY KEY REFERENCES log (row),"
    "  serial BLOB NOT NULL UNIQUE,"
    "  profile TEXT NOT NULL,"
    "  label TEXT NOT NULL,"
    "  names TEXT NOT NULL,"
    "  issuer INTEGER NOT NULL,"
    "  not_before INTEGER NOT NULL,"
    "  not_after INTEGER NOT NULL,"
    "  revoked INTEGER NOT NULL DEFAULT 0,"
    "  reason INTEGER NOT NULL DEFAULT 0,"
    "  revoked_row INTEGER UNIQUE REFERENCES log (row)"
    ") STRICT;"
    "CREATE INDEX certificate_ends ON certificate (not_after);",
};

struct state *journal_open(const char *path, struct err *err)
{
    return state_open(path, steps, ARRAY_LEN(steps), err);
}

/* ---- the log ---- */

/* The last row; row 0 and zeros for an empty log. */
int journal_head(struct state *db, struct authority_head *ret, struct err *err)
{
    *ret = (struct authority_head){0};
    struct state_query *q = state_query(db, "SELECT row, hash FROM log ORDER BY row DESC LIMIT 1", err);
    if (q == NULL)
        return -1;
    enum state_result result = state_step(q, err);
    if (result == STATE_ROW) {
        struct str hash = state_blob(q, 1);
        ret->row = state_int(q, 0);
        if (hash.len == sizeof(ret->hash))
            memcpy(ret->hash, hash.p, hash.len);
        else
            result = STATE_FAILED,
            err_set(err, "row %lld of the log has no hash; see cardea ca audit", (long long)ret->row);
    }
    state_done(q);
    return result == STATE_FAILED ? -1 : 0;
}

int journal_next(struct state *db, int64_t *ret_row, struct err *err)
{
    struct authority_head head;
    int rc = journal_head(db, &head, err);
    *ret_row = head.row + 1;
    return rc;
}

static struct str text_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

static struct str bytes_of(const struct ca_serial *serial)
{
    return (struct str){(const char *)serial->bytes, serial->len};
}

int journal_append(struct state *db, const struct journal_act *act, int64_t *ret_row, struct err *err)
{
    struct authority_head head;
    if (strlen(act->who) > JOURNAL_WHO_MAX)
        return err_set(err, "who asks is told in %zu bytes, expected %d at most", strlen(act->who),
                       JOURNAL_WHO_MAX);
    if (journal_head(db, &head, err) < 0)
        return -1;
    const struct journal_row row = {.row = head.row + 1,
                                    .at = act->at,
                                    .act = text_of(act->act),
                                    .who = text_of(act->who),
                                    .serial = bytes_of(&act->serial),
                                    .detail = act->detail,
                                    .content = act->content};
    journal_hash(&row, head.hash);
    struct state_query *q = state_query(
        db,
        "INSERT INTO log (row, at, act, who, serial, detail, content, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        err);
    if (q == NULL)
        return -1;
    state_put_int(q, row.row);
    state_put_int(q, row.at);
    state_put_text(q, row.act);
    state_put_text(q, row.who);
    state_put_blob(q, row.serial.p, row.serial.len);
    state_put_text(q, row.detail);
    state_put_blob(q, row.content.p, row.content.len);
    state_put_blob(q, head.hash, sizeof(head.hash));
    *ret_row = row.row;
    return state_run(q, err);
}

int journal_setting(struct state *db, const char *name, struct buf *ret, struct err *err)
{
    struct state_query *q = state_query(
        db, "SELECT detail FROM log WHERE act = 'set' AND detail GLOB ? || '=*' ORDER BY row DESC LIMIT 1",
        err);
    if (q == NULL)
        return -1;
    state_put_text(q, text_of(name));
    enum state_result result = state_step(q, err);
    bool ok = result != STATE_FAILED;
    if (result == STATE_ROW) {
        struct str detail = state_text(q, 0);
        size_t skip = strlen(name) + 1;
        ok = buf_append(ret, detail.p + skip, detail.len - skip);
        if (!ok)
            err_set(err, "out of memory");
    }
    state_done(q);
    return ok ? 0 : -1;
}

/* ---- what was issued ---- */

static int put_certificate(struct state *db, const struct authority_entry *entry, int64_t row,
                           struct err *err)
{
    struct state_query *q =
        state_query(db,
                    "INSERT INTO certificate (row, serial, profile, label, names, issuer, not_before,"
                    " not_after) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    err);
    if (q == NULL)
        return -1;
    state_put_int(q, row);
    state_put_blob(q, entry->serial.bytes, entry->serial.len);
    state_put_text(q, entry->profile);
    state_put_text(q, entry->label);
    state_put_text(q, entry->names);
    state_put_int(q, entry->issuer);
    state_put_int(q, entry->not_before);
    state_put_int(q, entry->not_after);
    return state_run(q, err);
}

/* As DETAIL of audit.c has it in SQL. */
static bool put_detail(const struct authority_entry *e, struct buf *ret)
{
    return buf_append(ret, e->profile.p, e->profile.len) &&
           buf_printf(ret, " %lld %lld %lld ", (long long)e->not_before, (long long)e->not_after,
                      (long long)e->issuer) &&
           buf_append(ret, e->names.p, e->names.len) && buf_append(ret, "\n", 1) &&
           buf_append(ret, e->label.p, e->label.len);
}

static int issue(struct state *db, const struct authority_entry *entry, int64_t at, struct err *err)
{
    struct buf detail = {0};
    char who[JOURNAL_WHO_MAX + 2];
    int64_t row = 0;
    if (!put_detail(entry, &detail)) {
        buf_free(&detail);
        return err_set(err, "out of memory");
    }
    str_copy(who, sizeof(who), entry->who.p, entry->who.len); /* one too long stays too long */
    const struct journal_act act = {.at = at,
                                    .act = "issue",
                                    .who = who,
                                    .serial = entry->serial,
                                    .detail = {(const char *)detail.data, detail.len},
                                    .content = entry->content};
    int rc = journal_append(db, &act, &row, err);
    buf_free(&detail);
    return rc < 0 ? -1 : put_certificate(db, entry, row, err);
}

int journal_issue(struct state *db, const struct authority_entry *entry, int64_t at, bool in_transaction,
                  struct err *err)
{
    if (in_transaction)
        return issue(db, entry, at, err);
    return state_begin(db, err) < 0 ? -1 : state_end(db, issue(db, entry, at, err), err);
}

/* ---- what is revoked ---- */

int journal_status(struct state *db, const struct ca_serial *serial, struct journal_status *ret,
                   struct err *err)
{
    struct state_query *q =
        state_query(db, "SELECT issuer, revoked, reason FROM certificate WHERE serial = ?", err);
    if (q == NULL)
        return -1;
    state_put_blob(q, serial->bytes, serial->len);
    enum state_result result = state_step(q, err);
    if (result == STATE_ROW)
        *ret = (struct journal_status){state_int(q, 0), state_int(q, 1), (int)state_int(q, 2)};
    state_done(q);
    return result == STATE_FAILED ? -1 : result == STATE_ROW;
}

int journal_revoked_since(struct state *db, int64_t *row, struct err *err)
{
    static const char last[] = "SELECT max(row), 0 FROM log";
    static const char behind[] = "SELECT max(row), max(act = 'revoke') FROM log WHERE row > ?";
    struct state_query *q = state_query(db, *row == 0 ? last : behind, err);
    if (q == NULL)
        return -1;
    if (*row != 0)
        state_put_int(q, *row);
    enum state_result result = state_step(q, err);
    int revoked = 0;
    if (result == STATE_ROW && !state_is_null(q, 0)) {
        *row = state_int(q, 0);
        revoked = state_int(q, 1) != 0;
    }
    state_done(q);
    return result == STATE_FAILED ? -1 : revoked;
}

static int mark_revoked(struct state *db, const struct ca_serial *serial, int reason, int64_t at, int64_t row,
                        struct err *err)
{
    struct state_query *q = state_query(
        db, "UPDATE certificate SET revoked = ?, reason = ?, revoked_row = ? WHERE serial = ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, at);
    state_put_int(q, reason);
    state_put_int(q, row);
    state_put_blob(q, serial->bytes, serial->len);
    return state_run(q, err);
}

static enum authority_revoked revoke(struct state *db, const struct ca_serial *serial, enum ca_reason reason,
                                     const char *who, int64_t at, struct err *err)
{
    struct journal_status before = {0};
    int64_t row = 0;
    char detail[16];
    int known = journal_status(db, serial, &before, err);
    if (known <= 0)
        return known < 0 ? AUTHORITY_FAILED : AUTHORITY_UNKNOWN;
    if (before.revoked != 0)
        return AUTHORITY_WAS_REVOKED;
    struct buf text = {.data = (uint8_t *)detail, .cap = sizeof(detail), .max = sizeof(detail)};
    CHECK(str_put_u64(&text, reason));
    const struct journal_act act = {
        .at = at, .act = "revoke", .who = who, .serial = *serial, .detail = {detail, text.len}};
    if (journal_append(db, &act, &row, err) < 0 || mark_revoked(db, serial, reason, at, row, err) < 0)
        return AUTHORITY_FAILED;
    return AUTHORITY_REVOKED;
}

enum authority_revoked journal_revoke(struct state *db, const struct ca_serial *serial, enum ca_reason reason,
                                      const char *who, int64_t at, struct err *err)
{
    if (state_begin(db, err) < 0)
        return AUTHORITY_FAILED;
    enum authority_revoked result = revoke(db, serial, reason, who, at, err);
    if (result != AUTHORITY_REVOKED)
        state_rollback(db);
    else if (state_commit(db, err) < 0)
        result = AUTHORITY_FAILED;
    return result;
}

/* ---- reading ---- */

#define ENTRY                                                                                               \
    "SELECT c.serial, c.profile, c.label, c.names, l.who, c.not_before, c.not_after, c.revoked, c.reason, " \
    "c.row,"                                                                                                \
    " l.content, c.issuer FROM certificate c JOIN log l ON l.row = c.row "

static int read_entry(const struct state_query *q, struct authority_entry *ret, struct err *err)
{
    struct str serial = state_blob(q, 0);
    *ret = (struct authority_entry){.profile = state_text(q, 1),
                                    .label = state_text(q, 2),
                                    .names = state_text(q, 3),
                                    .who = state_text(q, 4),
                                    .not_before = state_int(q, 5),
                                    .not_after = state_int(q, 6),
                                    .revoked = state_int(q, 7),
                                    .reason = (int)state_int(q, 8),
                                    .row = state_int(q, 9),
                                    .content = state_blob(q, 10),
                                    .issuer = state_int(q, 11)};
    if (serial.len == 0 || serial.len > CA_SERIAL_MAX)
        return err_set(err, "row %lld: a serial number of %zu bytes; see cardea ca audit",
                       (long long)ret->row, serial.len);
    memcpy(ret->serial.bytes, serial.p, serial.len);
    ret->serial.len = serial.len;
    ret->ssh = str_is(ret->profile, "user") || str_is(ret->profile, "host");
    return 0;
}

/* Ends the query. The number of entries, or -1. */
static int go_through(struct state_query *q, authority_entry_fn *fn, void *arg, struct err *err)
{
    struct authority_entry entry;
    enum state_result result;
    int rc = 0;
    while (rc >= 0 && (result = state_step(q, err)) != STATE_END) {
        if (result == STATE_FAILED || read_entry(q, &entry, err) < 0 || fn(arg, &entry, err) < 0)
            rc = -1;
        else
            rc = 1;
    }
    state_done(q);
    return rc;
}

int journal_each(struct state *db, int64_t since, authority_entry_fn *fn, void *arg, struct err *err)
{
    struct state_query *q = state_query(db, ENTRY "WHERE c.not_after > ? ORDER BY c.row", err);
    if (q == NULL)
        return -1;
    state_put_int(q, since);
    return go_through(q, fn, arg, err) < 0 ? -1 : 0;
}

int journal_find(struct state *db, const struct ca_serial *serial, authority_entry_fn *fn, void *arg,
                 struct err *err)
{
    struct state_query *q = state_query(db, ENTRY "WHERE c.serial = ?", err);
    if (q == NULL)
        return -1;
    state_put_blob(q, serial->bytes, serial->len);
    return go_through(q, fn, arg, err);
}

int journal_revoked(struct state *db, int64_t since, authority_entry_fn *fn, void *arg, struct err *err)
{
    struct state_query *q = state_query(
        db, ENTRY "WHERE c.revoked_row IS NOT NULL AND c.not_after > ? ORDER BY c.revoked_row", err);
    if (q == NULL)
        return -1;
    state_put_int(q, since);
    return go_through(q, fn, arg, err) < 0 ? -1 : 0;
}

int journal_authorities(struct state *db, journal_authority_fn *fn, void *arg, struct err *err)
{
    struct state_query *q = state_query(
        db, "SELECT row, detail, content FROM log WHERE act IN ('init', 'renew') ORDER BY row", err);
    enum state_result result;
    int rc = 0;
    if (q == NULL)
        return -1;
    while (rc == 0 && (result = state_step(q, err)) != STATE_END)
        rc = result == STATE_FAILED || fn(arg, state_int(q, 0), state_text(q, 1), state_blob(q, 2), err) < 0
                 ? -1
                 : 0;
    state_done(q);
    return rc;
}
