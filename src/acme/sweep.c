/* SPDX-License-Identifier: Apache-2.0 */
/* What nobody can use any more goes, a bounded number of rows at a time. */
#include "acme/server_internal.h"
#include "base/check.h"

#define ROWS 500
#define UNUSED_LIFETIME (90 * (int64_t)ACME_DAY) /* of an account that has never ordered anything */
#define UNUSED_WINDOW (30 * (int64_t)ACME_DAY)   /* how far back such accounts are looked for */
#define KEPT_CERTIFICATE                                                               \
    (30 * (int64_t)ACME_DAY) /* behind its end, for who asks when it should be renewed \
                              */

/* Each has one parameter: what is older than that. Rows that others point at come last. */
static const struct {
    const char *sql;
    int64_t age;
    bool counts; /* what it has removed says whether there is more */
} rows[] = {
    {"DELETE FROM wants WHERE number IN (SELECT number FROM orders WHERE expires < ? ORDER BY expires, "
     "number LIMIT 500)",
     ACME_DAY, false},
    {"DELETE FROM orders WHERE number IN (SELECT number FROM orders WHERE expires < ? ORDER BY expires, "
     "number LIMIT "
     "500)",
     ACME_DAY, true},
    {"DELETE FROM challenges WHERE authorization IN (SELECT id FROM authorizations a WHERE expires < ? AND "
     "NOT EXISTS "
     "(SELECT 1 FROM wants WHERE authorization = a.id) ORDER BY expires, id LIMIT 500)",
     ACME_DAY, false},
    {"DELETE FROM authorizations WHERE id IN (SELECT id FROM authorizations a WHERE expires < ? AND NOT "
     "EXISTS (SELECT "
     "1 FROM wants WHERE authorization = a.id) ORDER BY expires, id LIMIT 500)",
     ACME_DAY, true},
    {"DELETE FROM failures WHERE rowid IN (SELECT rowid FROM failures WHERE at < ? LIMIT 500)", ACME_HOUR,
     true},
    {"DELETE FROM certificates WHERE id IN (SELECT id FROM certificates WHERE not_after < ? LIMIT 500)",
     KEPT_CERTIFICATE, true},
};

static int sweep(struct acme_server *s, int64_t now, bool *ret_more, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (acme_run(s, err, rows[i].sql, "i", now - rows[i].age) < 0)
            return -1;
        if (rows[i].counts && state_changed(s->state) >= ROWS)
            *ret_more = true;
    }
    return acme_run(
        s, err,
        "DELETE FROM accounts WHERE id IN (SELECT id FROM accounts u WHERE created < ? AND created > ? AND "
        "status = 3 AND NOT EXISTS (SELECT 1 FROM orders WHERE account = u.id) AND NOT EXISTS (SELECT 1 "
        "FROM certificates WHERE account = u.id) LIMIT 500)",
        "ii", now - UNUSED_LIFETIME, now - UNUSED_LIFETIME - UNUSED_WINDOW);
}

int acme_server_sweep(struct acme_server *s, int64_t now, struct err *err)
{
    bool more = false;
    CHECK_MAGIC(s, ACME_SERVER_MAGIC);
    if (state_begin(s->state, err) < 0)
        return -1;
    if (sweep(s, now, &more, err) < 0) {
        state_rollback(s->state);
        return -1;
    }
    return state_commit(s->state, err) < 0 ? -1 : more;
}
