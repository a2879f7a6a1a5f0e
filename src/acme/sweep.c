/* SPDX-License-Identifier: Apache-2.0 */
/* What nobody can use any more goes, a bounded number of rows at a time. */
#include <string.h>

#include "acme/server_internal.h"
#include "base/check.h"

#define ROWS 500
#define NEVER_ORDERED \
    (7 * (int64_t)ACME_DAY) /* of an account that nothing binds and that has ordered nothing */
/* Of a certificate behind its end, for who asks when it should be renewed. */
#define KEPT_CERTIFICATE (30 * (int64_t)ACME_DAY)

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
     "number LIMIT 500)",
     ACME_DAY, true},
    {"DELETE FROM wants WHERE authorization IN (SELECT id FROM authorizations WHERE expires < ? ORDER BY "
     "expires, id LIMIT 500)",
     ACME_DAY, false},
    {"DELETE FROM challenges WHERE authorization IN (SELECT id FROM authorizations WHERE expires < ? ORDER "
     "BY expires, id LIMIT 500)",
     ACME_DAY, false},
    {"DELETE FROM authorizations WHERE id IN (SELECT id FROM authorizations WHERE expires < ? ORDER BY "
     "expires, id LIMIT 500)",
     ACME_DAY, true},
    {"DELETE FROM looks WHERE number IN (SELECT number FROM looks WHERE expires < ? LIMIT 500)", 0, true},
    {"DELETE FROM failures WHERE rowid IN (SELECT rowid FROM failures WHERE at < ? LIMIT 500)", ACME_HOUR,
     true},
    {"DELETE FROM certificates WHERE id IN (SELECT id FROM certificates WHERE not_after < ? LIMIT 500)",
     KEPT_CERTIFICATE, true},
};

/* Who was deactivated, by a key that had leaked say, and whom a rule names by that key, stays: else whoever
 * has the key could enrol anew. */
static bool is_kept(const struct acme_server *s, const struct state_query *q)
{
    char thumbprint[JWK_THUMBPRINT_MAX];
    acme_column(q, 1, thumbprint, sizeof(thumbprint));
    return state_int(q, 2) == ACME_DEACTIVATED && acme_rules_name(s, thumbprint);
}

/* Some of the accounts are looked at each time, round and round: most have certificates, and stay. */
#define IDLE_ACCOUNTS                                                                                      \
    "SELECT id, thumbprint, status FROM (SELECT * FROM accounts WHERE id > ? ORDER BY id LIMIT 500) u "    \
    "WHERE "                                                                                               \
    "(CASE WHEN ordered = 0 AND eab IS NULL THEN created < ? ELSE MAX(created, ordered) < ? END) AND NOT " \
    "EXISTS (SELECT 1 FROM orders WHERE account = u.id) AND NOT EXISTS (SELECT 1 FROM certificates WHERE " \
    "account = u.id)"

static int find_idle(struct acme_server *s, int64_t now, char (*ret)[ACME_ID_MAX], size_t *ret_count,
                     struct err *err)
{
    const int64_t idle = s->limits.idle;
    struct state_query *q =
        acme_ask(s, err, IDLE_ACCOUNTS, "sii", s->swept, now - MIN(idle, NEVER_ORDERED), now - idle);
    enum state_result result = q == NULL ? STATE_FAILED : STATE_ROW;
    *ret_count = 0;
    while (result == STATE_ROW && (result = state_step(q, err)) == STATE_ROW)
        if (!is_kept(s, q) && *ret_count < ROWS)
            acme_column(q, 0, ret[(*ret_count)++], ACME_ID_MAX);
    if (q != NULL)
        state_done(q);
    return result == STATE_FAILED ? -1 : 0;
}

/* Where the next ones begin; from the first behind the last. */
static int go_on(struct acme_server *s, struct err *err)
{
    struct state_query *q = acme_ask(
        s, err, "SELECT id FROM accounts WHERE id > ? ORDER BY id LIMIT 1 OFFSET 499", "s", s->swept);
    if (q == NULL)
        return -1;
    enum state_result result = state_step(q, err);
    if (result == STATE_ROW)
        acme_column(q, 0, s->swept, sizeof(s->swept));
    else
        s->swept[0] = '\0';
    state_done(q);
    return result == STATE_FAILED ? -1 : 0;
}

static int sweep_accounts(struct acme_server *s, int64_t now, struct err *err)
{
    char ids[ROWS][ACME_ID_MAX];
    size_t count;
    if (find_idle(s, now, ids, &count, err) < 0 || go_on(s, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (acme_run(s, err, "DELETE FROM accounts WHERE id = ?", "s", ids[i]) < 0)
            return -1;
    return 0;
}

static int sweep(struct acme_server *s, int64_t now, bool *ret_more, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (acme_run(s, err, rows[i].sql, "i", now - rows[i].age) < 0)
            return -1;
        if (rows[i].counts && state_changed(s->state) >= ROWS)
            *ret_more = true;
    }
    return sweep_accounts(s, now, err);
}

int acme_server_sweep(struct acme_server *s, int64_t now, struct err *err)
{
    bool more = false;
    CHECK_MAGIC(s, ACME_SERVER_MAGIC);
    if (state_begin(s->state, err) < 0)
        return -1;
    if (state_end(s->state, sweep(s, now, &more, err), err) < 0)
        return -1;
    return acme_certificates_count(s, err) < 0 ? -1 : more;
}
