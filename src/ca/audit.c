/* SPDX-License-Identifier: Apache-2.0 */
/* Verifying the log. */
#include <string.h>

#include <openssl/sha.h>

#include "base/check.h"
#include "base/cursor.h"
#include "ca/journal.h"
#include "ca/journal_internal.h"
#include "state/state.h"

static const char format[] = "cardea ca log 1";

static void hash_number(SHA256_CTX *ctx, uint64_t value)
{
    uint8_t bytes[8];
    struct writer w = writer_of(bytes, sizeof(bytes));
    writer_uint(&w, sizeof(bytes), value);
    SHA256_Update(ctx, bytes, sizeof(bytes));
}

static void hash_bytes_behind_length(SHA256_CTX *ctx, struct str s)
{
    hash_number(ctx, s.len);
    SHA256_Update(ctx, s.p, s.len);
}

_Static_assert(AUTHORITY_HASH == SHA256_DIGEST_LENGTH, "a SHA-256");

void journal_hash(const struct journal_row *row, uint8_t hash[AUTHORITY_HASH])
{
    SHA256_CTX ctx;
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, format, sizeof(format) - 1);
    SHA256_Update(&ctx, hash, AUTHORITY_HASH);
    hash_number(&ctx, (uint64_t)row->row);
    hash_number(&ctx, (uint64_t)row->at);
    hash_bytes_behind_length(&ctx, row->act);
    hash_bytes_behind_length(&ctx, row->who);
    hash_bytes_behind_length(&ctx, row->serial);
    hash_bytes_behind_length(&ctx, row->detail);
    hash_bytes_behind_length(&ctx, row->content);
    SHA256_Final(hash, &ctx);
}

/* `head` is that before the row, and becomes that of the row. */
static int check_row(const struct state_query *q, struct authority_head *head, struct err *err)
{
    const struct journal_row row = {.row = state_int(q, 0),
                                    .at = state_int(q, 1),
                                    .act = state_text(q, 2),
                                    .who = state_text(q, 3),
                                    .serial = state_blob(q, 4),
                                    .detail = state_text(q, 5),
                                    .content = state_blob(q, 6)};
    struct str hash = state_blob(q, 7);
    if (row.row != head->row + 1)
        return err_set(err, "the log breaks at row %lld: it is missing, row %lld follows",
                       (long long)head->row + 1, (long long)row.row);
    journal_hash(&row, head->hash);
    head->row = row.row;
    if (hash.len == AUTHORITY_HASH && memcmp(hash.p, head->hash, AUTHORITY_HASH) == 0)
        return 0;
    return err_set(
        err,
        "the log breaks at row %lld: its hash is not that of its content and of the row before; this row was "
        "changed, or put in",
        (long long)row.row);
}

static int check_known(const struct authority_head *known, const struct authority_head *head, struct err *err)
{
    if (known == NULL || known->row != head->row || memcmp(known->hash, head->hash, AUTHORITY_HASH) == 0)
        return 0;
    return err_set(err,
                   "the log breaks at or before row %lld: its hash is another than the one that was kept",
                   (long long)head->row);
}

static int check_rows(struct state *db, const struct authority_head *known, struct authority_head *head,
                      struct err *err)
{
    enum state_result result;
    int rc = check_known(known, head, err); /* an empty log has a head too */
    struct state_query *q =
        state_query(db, "SELECT row, at, act, who, serial, detail, content, hash FROM log ORDER BY row", err);
    if (q == NULL)
        return -1;
    while (rc == 0 && (result = state_step(q, err)) != STATE_END)
        rc = result == STATE_FAILED || check_row(q, head, err) < 0 ? -1 : check_known(known, head, err);
    state_done(q);
    if (rc == 0 && known != NULL && known->row > head->row)
        rc = err_set(err, "the log ends at row %lld, but once had row %lld: its end was taken away",
                     (long long)head->row, (long long)known->row);
    return rc;
}

/* What is derived from the log, held against it. Each gives the rows where they differ. */
#define DETAIL                                                                                        \
    "c.profile || ' ' || c.not_before || ' ' || c.not_after || ' ' || c.issuer || ' ' || c.names || " \
    "char(10) || c.label"
#define IS_ISSUED "l.row = c.row AND l.act = 'issue' AND l.serial = c.serial AND l.detail = " DETAIL
#define IS_REVOKED                                                                            \
    "l.row = c.revoked_row AND l.act = 'revoke' AND l.serial = c.serial AND l.at = c.revoked" \
    " AND l.detail = CAST(c.reason AS TEXT)"

static const struct agreement {
    const char *sql;
    const char *what;
} agreements[] = {
    {"SELECT l.row FROM log l WHERE l.act = 'issue' AND NOT EXISTS (SELECT 1 FROM certificate c "
     "WHERE " IS_ISSUED ") LIMIT 1",
     "what was issued there is missing from the list of certificates, or stands in it otherwise"},
    {"SELECT c.row FROM certificate c WHERE NOT EXISTS (SELECT 1 FROM log l WHERE " IS_ISSUED ") LIMIT 1",
     "the list of certificates has one that the log does not know"},
    {"SELECT l.row FROM log l WHERE l.act = 'revoke' AND NOT EXISTS (SELECT 1 FROM certificate c "
     "WHERE " IS_REVOKED ") LIMIT 1",
     "what was revoked there does not count as revoked, or otherwise"},
    {"SELECT c.row FROM certificate c WHERE (c.revoked <> 0 OR c.reason <> 0 OR c.revoked_row IS NOT NULL)"
     " AND NOT EXISTS (SELECT 1 FROM log l WHERE " IS_REVOKED ") LIMIT 1",
     "it counts as revoked, and the log does not know of it"},
};

static int check_agreement(struct state *db, const struct agreement *agreement, struct err *err)
{
    struct state_query *q = state_query(db, agreement->sql, err);
    if (q == NULL)
        return -1;
    enum state_result result = state_step(q, err);
    int64_t row = result == STATE_ROW ? state_int(q, 0) : 0;
    state_done(q);
    if (result == STATE_ROW)
        return err_set(err, "the database disagrees with its log at row %lld: %s", (long long)row,
                       agreement->what);
    return result == STATE_END ? 0 : -1;
}

int journal_audit(struct state *db, const struct authority_head *known, struct authority_head *ret,
                  struct err *err)
{
    *ret = (struct authority_head){0};
    int rc = check_rows(db, known, ret, err);
    for (size_t i = 0; i < ARRAY_LEN(agreements) && rc == 0; i++)
        rc = check_agreement(db, &agreements[i], err);
    return rc;
}
