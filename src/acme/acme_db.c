/* SPDX-License-Identifier: Apache-2.0 */
/* What an ACME server knows. Times are seconds since 1970, statuses enum acme_status.
 *
 * Strangers make rows. What bounds each table (struct acme_limits), and when its rows go (sweep.c):
 *
 *   accounts        `accounts` in all, `accounts_per_source` in an hour. Unless it has certificates or
 * orders: `idle` behind its last order, deactivated ones too; a week if it has never ordered and nothing
 * binds it orders          `orders` that have brought nothing, a tenth of them for one source;
 * `orders_per_account` in an hour; those that have brought a certificate as many as there are of these. A day
 * behind their end wants           `names` for each order; go with it, or with their authorization
 *   authorizations  one for each row of wants at most. A day behind their end, which is `pending` behind
 * their beginning, or a day behind their proof challenges      a row of tables/acme_challenges.def for each
 * authorization; go with it looks           one for each challenge at most; `waiting_per_account`,
 * `waiting_per_source`. When it was looked at, when its authorization is decided, or with its end failures
 * one for each authorization at most; an hour certificates    `certificates` in all, a tenth of them for one
 * source; `orders_per_account`. A month behind their end
 *
 * A row itself is bounded by the request that made it, 64 KiB. */
#include <stdarg.h>
#include <string.h>

#include <openssl/rand.h>

#include "acme/server_internal.h"
#include "base/base64.h"
#include "base/check.h"

/* accounts.eab: the id of the key that it is bound by, and eab_jws how it was; ordered: when last, 0: never.
 * authorizations.trusted: the operator's rules took the account's word. orders.names: its identifiers as
 * JSON. looks.due: when it may be handed out; turn: see looks.c. certificates.renewal: its id of RFC 9773. */
static const char *const steps[] = {
    "CREATE TABLE accounts (id TEXT PRIMARY KEY, thumbprint TEXT NOT NULL UNIQUE, jwk TEXT NOT NULL,"
    "  status INTEGER NOT NULL, contact TEXT NOT NULL, terms INTEGER NOT NULL, eab TEXT, eab_jws TEXT,"
    "  source TEXT NOT NULL, created INTEGER NOT NULL, ordered INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX accounts_source ON accounts (source, created);"
    "CREATE TABLE orders (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL,"
    "  status INTEGER NOT NULL, names TEXT NOT NULL, profile TEXT NOT NULL, not_before INTEGER NOT NULL,"
    "  not_after INTEGER NOT NULL, replaces TEXT, certificate TEXT, error TEXT, created INTEGER NOT NULL,"
    "  expires INTEGER NOT NULL);"
    "CREATE INDEX orders_account ON orders (account, created);"
    "CREATE INDEX orders_held ON orders (expires, account) WHERE status <> 3;"
    "CREATE INDEX orders_expires ON orders (expires);"
    "CREATE INDEX orders_replaces ON orders (replaces) WHERE replaces IS NOT NULL;"
    "CREATE TABLE authorizations (id TEXT PRIMARY KEY, account TEXT NOT NULL, ip INTEGER NOT NULL,"
    "  wildcard INTEGER NOT NULL, name TEXT NOT NULL, status INTEGER NOT NULL, trusted INTEGER NOT NULL,"
    "  created INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX authorizations_name ON authorizations (account, name, wildcard);"
    "CREATE INDEX authorizations_expires ON authorizations (expires);"
    "CREATE TABLE wants (number INTEGER NOT NULL, authorization TEXT NOT NULL,"
    "  PRIMARY KEY (number, authorization)) WITHOUT ROWID;"
    "CREATE INDEX wants_authorization ON wants (authorization);"
    "CREATE TABLE challenges (id TEXT PRIMARY KEY, authorization TEXT NOT NULL, type INTEGER NOT NULL,"
    "  token TEXT NOT NULL, status INTEGER NOT NULL, validated INTEGER NOT NULL, error TEXT) WITHOUT ROWID;"
    "CREATE INDEX challenges_authorization ON challenges (authorization);"
    "CREATE TABLE looks (number INTEGER PRIMARY KEY, challenge TEXT NOT NULL UNIQUE,"
    "  authorization TEXT NOT NULL, account TEXT NOT NULL, source TEXT NOT NULL, turn INTEGER NOT NULL,"
    "  due INTEGER NOT NULL, expires INTEGER NOT NULL);"
    "CREATE INDEX looks_turn ON looks (source, turn, number);"
    "CREATE INDEX looks_account ON looks (account, turn);"
    "CREATE INDEX looks_authorization ON looks (authorization);"
    "CREATE INDEX looks_expires ON looks (expires);"
    "CREATE TABLE certificates (id TEXT PRIMARY KEY, account TEXT NOT NULL, serial TEXT NOT NULL UNIQUE,"
    "  renewal TEXT UNIQUE, names TEXT NOT NULL, chain TEXT NOT NULL, issued INTEGER NOT NULL,"
    "  not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, revoked INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX certificates_end ON certificates (not_after);"
    "CREATE INDEX certificates_account ON certificates (account, not_after);"
    "CREATE TABLE failures (account TEXT NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL);"
    "CREATE INDEX failures_name ON failures (account, name, at);"
    "CREATE INDEX failures_at ON failures (at);",
};

struct state *acme_db_open(const char *path, struct err *err)
{
    return state_open(path, steps, ARRAY_LEN(steps), err);
}

static struct state_query *ask(struct acme_server *s, struct err *err, const char *sql, const char *types,
                               va_list ap)
{
    struct state_query *q = state_query(s->state, sql, err);
    for (; q != NULL && *types != '\0'; types++) {
        if (*types == 'i') {
            state_put_int(q, va_arg(ap, int64_t));
            continue;
        }
        CHECK(*types == 's');
        const char *text = va_arg(ap, const char *);
        if (text == NULL)
            state_put_null(q);
        else
            state_put_text(q, (struct str){text, strlen(text)});
    }
    return q;
}

struct state_query *acme_ask(struct acme_server *s, struct err *err, const char *sql, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    struct state_query *q = ask(s, err, sql, types, ap);
    va_end(ap);
    return q;
}

int acme_run(struct acme_server *s, struct err *err, const char *sql, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    struct state_query *q = ask(s, err, sql, types, ap);
    va_end(ap);
    return q == NULL ? -1 : state_run(q, err);
}

int acme_count(struct acme_server *s, struct err *err, int64_t *ret, const char *sql, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    struct state_query *q = ask(s, err, sql, types, ap);
    va_end(ap);
    if (q == NULL)
        return -1;
    enum state_result result = state_step(q, err);
    *ret = result == STATE_ROW ? state_int(q, 0) : 0;
    state_done(q);
    return result == STATE_FAILED ? -1 : 0;
}

bool acme_begin(struct acme_call *c)
{
    CHECK(!c->writing);
    if (state_begin(c->s->state, &c->err) < 0)
        return acme_broken(c);
    c->writing = true;
    return true;
}

bool acme_commit(struct acme_call *c)
{
    CHECK(c->writing);
    c->writing = false;
    return state_commit(c->s->state, &c->err) == 0 || acme_broken(c);
}

void acme_column(const struct state_query *q, int column, char *ret, size_t cap)
{
    struct str text = state_text(q, column);
    str_copy(ret, cap, text.p, text.len);
}

void acme_new_id(char ret[ACME_ID_MAX])
{
    uint8_t bytes[16];
    struct buf text = {0};
    CHECK(RAND_bytes(bytes, sizeof(bytes)) == 1 && base64url_put(&text, bytes, sizeof(bytes)));
    CHECK(str_copy(ret, ACME_ID_MAX, (const char *)text.data, text.len));
    buf_free(&text);
}
