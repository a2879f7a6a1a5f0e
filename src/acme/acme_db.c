/* SPDX-License-Identifier: Apache-2.0 */
/* What an ACME server knows. Times are seconds since 1970, statuses enum acme_status. */
#include <stdarg.h>
#include <string.h>

#include <openssl/rand.h>

#include "acme/server_internal.h"
#include "base/base64.h"
#include "base/check.h"

/* accounts.eab: the id of the key that it is bound by, and eab_jws how it was. authorizations.trusted: the
 * operator's rules took the account's word. orders.names: its identifiers as JSON. challenges.due: when it
 * may be handed out to be looked at. certificates.renewal: its id of RFC 9773. */
static const char *const steps[] = {
    "CREATE TABLE accounts (id TEXT PRIMARY KEY, thumbprint TEXT NOT NULL UNIQUE, jwk TEXT NOT NULL,"
    "  status INTEGER NOT NULL, contact TEXT NOT NULL, terms INTEGER NOT NULL, eab TEXT, eab_jws TEXT,"
    "  source TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX accounts_source ON accounts (source, created);"
    "CREATE INDEX accounts_created ON accounts (created);"
    "CREATE TABLE orders (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL,"
    "  status INTEGER NOT NULL, names TEXT NOT NULL, profile TEXT NOT NULL, not_before INTEGER NOT NULL,"
    "  not_after INTEGER NOT NULL, replaces TEXT, certificate TEXT, error TEXT, created INTEGER NOT NULL,"
    "  expires INTEGER NOT NULL);"
    "CREATE INDEX orders_account ON orders (account, created);"
    "CREATE INDEX orders_open ON orders (expires) WHERE status < 2;"
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
    "  token TEXT NOT NULL, status INTEGER NOT NULL, due INTEGER NOT NULL, validated INTEGER NOT NULL,"
    "  error TEXT) WITHOUT ROWID;"
    "CREATE INDEX challenges_authorization ON challenges (authorization);"
    "CREATE INDEX challenges_due ON challenges (due) WHERE status = 2;"
    "CREATE TABLE certificates (id TEXT PRIMARY KEY, account TEXT NOT NULL, serial TEXT NOT NULL UNIQUE,"
    "  renewal TEXT UNIQUE, names TEXT NOT NULL, chain TEXT NOT NULL, not_before INTEGER NOT NULL,"
    "  not_after INTEGER NOT NULL, revoked INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX certificates_end ON certificates (not_after);"
    "CREATE INDEX certificates_account ON certificates (account);"
    "CREATE TABLE failures (account TEXT NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL);"
    "CREATE INDEX failures_name ON failures (account, name, at);"
    "CREATE INDEX failures_at ON failures (at);",
    "DROP INDEX orders_open;"
    "CREATE INDEX orders_held ON orders (expires, account) WHERE status <> 3;",
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
