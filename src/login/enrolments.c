/* SPDX-License-Identifier: Apache-2.0 */
#include "login/enrolments.h"

#include <string.h>

#include <openssl/rand.h>

#include "base/check.h"
#include "state/state.h"

static struct str text_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

static int forget_old(struct state *s, int64_t now, struct err *err)
{
    struct state_query *q = state_query(s, "DELETE FROM enrolment WHERE until <= ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, now);
    return state_run(q, err);
}

/* 1: there is room; 0; -1. */
static int has_room(struct state *s, struct str source, struct err *err)
{
    struct state_query *q =
        state_query(s, "SELECT count(*), count(*) FILTER (WHERE source = ?) FROM enrolment", err);
    if (q == NULL)
        return -1;
    state_put_text(q, source);
    enum state_result r = state_step(q, err);
    bool room = r == STATE_ROW && state_int(q, 0) < ENROLMENTS_MAX && state_int(q, 1) < ENROLMENTS_SOURCE_MAX;
    state_done(q);
    return r == STATE_ROW ? room : -1;
}

/* What a stranger calls his machine, as a terminal may show it: printable ASCII without blanks. */
static void clean_host(struct str host, char ret[ENROLMENT_HOST_MAX + 1])
{
    str_copy(ret, ENROLMENT_HOST_MAX + 1, host.p, host.len);
    for (char *c = ret; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~')
            *c = '?';
}

static int insert(struct state *s, const struct enrolment_request *r, int64_t now, const char *code,
                  const uint8_t ticket[ENROLMENT_TICKET], struct err *err)
{
    uint8_t digest[CODE_DIGEST];
    char host[ENROLMENT_HOST_MAX + 1];
    struct state_query *q =
        state_query(s,
                    "INSERT INTO enrolment (code, ticket, csr, key, source, host, made, until) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    err);
    if (q == NULL)
        return -1;
    code_digest((struct str){(const char *)ticket, ENROLMENT_TICKET}, digest);
    clean_host(r->host, host);
    state_put_text(q, text_of(code));
    state_put_blob(q, digest, sizeof(digest));
    state_put_blob(q, r->csr.p, r->csr.len);
    state_put_blob(q, r->key, ENROLMENT_KEY);
    state_put_text(q, r->source);
    state_put_text(q, text_of(host));
    state_put_int(q, now);
    state_put_int(q, now + ENROLMENT_LIFE);
    return state_run(q, err);
}

int enrolments_add(struct accounts *a, const struct enrolment_request *r, int64_t now,
                   char ret_code[CODE_TEXT_MAX], uint8_t ret_ticket[ENROLMENT_TICKET], struct err *err)
{
    struct state *s = accounts_state(a);
    CHECK(RAND_bytes(ret_ticket, ENROLMENT_TICKET) == 1);
    code_make(CODE_SHORT, ret_code);
    if (state_begin(s, err) < 0)
        return -1;
    int status = forget_old(s, now, err) < 0 ? -1 : has_room(s, r->source, err);
    if (status == 1 && insert(s, r, now, ret_code, ret_ticket, err) < 0)
        status = -1;
    return state_end(s, status, err);
}

#define COLUMNS "code, key, source, host, made, until, verdict, account, who"

static void read_row(const struct state_query *q, struct enrolment *ret)
{
    struct str code = state_text(q, 0), key = state_blob(q, 1), source = state_text(q, 2),
               host = state_text(q, 3);
    struct str account = state_text(q, 7), who = state_text(q, 8);
    *ret = (struct enrolment){.made = state_int(q, 4),
                              .until = state_int(q, 5),
                              .verdict = (enum enrolment_verdict)state_int(q, 6)};
    str_copy(ret->code, sizeof(ret->code), code.p, code.len);
    str_copy(ret->source, sizeof(ret->source), source.p, source.len);
    str_copy(ret->host, sizeof(ret->host), host.p, host.len);
    str_copy(ret->account, sizeof(ret->account), account.p, account.len);
    str_copy(ret->who, sizeof(ret->who), who.p, who.len);
    if (key.len == ENROLMENT_KEY)
        memcpy(ret->key, key.p, key.len);
}

int enrolments_each(struct accounts *a, int64_t now, enrolment_fn *fn, void *arg, struct err *err)
{
    struct state_query *q = state_query(
        accounts_state(a),
        "SELECT " COLUMNS " FROM enrolment WHERE until > ? AND verdict = 0 ORDER BY made, code", err);
    enum state_result r = STATE_FAILED;
    int status = 0;
    if (q == NULL)
        return -1;
    state_put_int(q, now);
    while (status >= 0 && (r = state_step(q, err)) == STATE_ROW) {
        struct enrolment e;
        read_row(q, &e);
        status = fn(arg, &e, err);
    }
    state_done(q);
    return status < 0 || r == STATE_FAILED ? -1 : 0;
}

static int write_verdict(struct state *s, const char *code, const char *account, const char *who, int64_t now,
                         struct err *err)
{
    struct state_query *q = state_query(
        s,
        "UPDATE enrolment SET verdict = ?, account = ?, who = ?, until = max(until, ?) WHERE code = ? AND "
        "verdict = 0 AND until > ?",
        err);
    if (q == NULL)
        return -1;
    state_put_int(q, account != NULL ? ENROLMENT_APPROVED : ENROLMENT_REFUSED);
    state_put_text(q, text_of(account != NULL ? account : ""));
    state_put_text(q, text_of(who));
    state_put_int(q, now + ENROLMENT_GRACE);
    state_put_text(q, text_of(code));
    state_put_int(q, now);
    return state_run(q, err) < 0 ? -1 : state_changed(s) > 0;
}

int enrolments_decide(struct accounts *a, struct str code, const char *account, const char *who, int64_t now,
                      struct err *err)
{
    char read[CODE_TEXT_MAX];
    struct account found;
    if (!code_read(code, CODE_SHORT, read))
        return 0;
    if (account != NULL) {
        int status = accounts_find(a, text_of(account), &found, err);
        if (status < 1)
            return status < 0
                       ? -1
                       : err_set(err, "there is no account %s; 'cardea ca user add' makes one", account);
        if (found.disabled)
            return err_set(err, "account %s is disabled; 'cardea ca user enable' changes that", account);
    }
    return write_verdict(accounts_state(a), read, account, who, now, err);
}

int enrolments_find(struct accounts *a, const uint8_t ticket[ENROLMENT_TICKET], int64_t now,
                    struct enrolment *ret, struct buf *ret_csr, struct err *err)
{
    uint8_t digest[CODE_DIGEST];
    struct state_query *q = state_query(
        accounts_state(a), "SELECT " COLUMNS ", csr FROM enrolment WHERE ticket = ? AND until > ?", err);
    if (q == NULL)
        return -1;
    code_digest((struct str){(const char *)ticket, ENROLMENT_TICKET}, digest);
    state_put_blob(q, digest, sizeof(digest));
    state_put_int(q, now);
    enum state_result r = state_step(q, err);
    if (r == STATE_ROW) {
        struct str csr = state_blob(q, 9);
        read_row(q, ret);
        CHECK(buf_append(ret_csr, csr.p, csr.len));
    }
    state_done(q);
    return r == STATE_ROW ? 1 : r == STATE_END ? 0 : -1;
}

int enrolments_end(struct accounts *a, const char *code, struct err *err)
{
    struct state_query *q = state_query(accounts_state(a), "DELETE FROM enrolment WHERE code = ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, text_of(code));
    return state_run(q, err) < 0 ? -1 : state_changed(accounts_state(a)) > 0;
}
