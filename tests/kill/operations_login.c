/* SPDX-License-Identifier: Apache-2.0 */
/* What logins write into login.db. */
#include "base/check.h"
#include "login/accounts.h"
#include "login/enrolments.h"
#include "login/sessions.h"
#include "operations.h"
#include "state/state.h"

#define T INT64_C(1800000000)
#define ADA "ada"

static const uint8_t record[OPAQUE_RECORD] = {7};
static const uint8_t key[ENROLMENT_KEY] = {9};

static struct accounts *enter(const char *dir)
{
    struct accounts *a = accounts_open(dir, &err);
    must(a != NULL);
    return a;
}

/* ---- acts ---- */

static void add(struct accounts *a)
{
    static const char *const groups[] = {"ops", "web"};
    must(accounts_add(a, ADA, groups, 2, 0, T, &err) == 0);
}

/* A code, then the password that it lets set. */
static void give_code(struct accounts *a)
{
    char code[CODE_TEXT_MAX];
    must(accounts_give_code(a, str_of(ADA), T, 1000, code, &err) == 1);
}

static void set_password(struct accounts *a)
{
    char code[CODE_TEXT_MAX];
    must(accounts_give_code(a, str_of(ADA), T, 1000, code, &err) == 1);
    must(accounts_set_record(a, str_of(ADA), str_of(code), record, T, &err) == 1);
}

static const uint8_t session_keys[2][SESSION_KEY] = {{1}, {2}};

static void begin_session(struct accounts *a)
{
    const struct session_beginning b = {.account = str_of(ADA),
                                        .source = str_of("192.0.2.1"),
                                        .familiar = true,
                                        .key = session_keys[0],
                                        .now = T,
                                        .life = 1000};
    char id[SESSION_ID_MAX];
    must(sessions_begin(a, &b, id, &err) == SESSION_GOOD);
}

static int take_id(void *arg, const struct login_session *s, struct err *ret_err)
{
    (void)ret_err;
    CHECK(str_copy(arg, SESSION_ID_MAX, s->id, strlen(s->id)));
    return 0;
}

static enum session_verdict renew_from(struct accounts *a, const uint8_t *shown, const uint8_t *next)
{
    char id[SESSION_ID_MAX];
    int64_t until;
    must(sessions_each(a, str_of(ADA), T, take_id, id, &err) == 0);
    const struct session_renewal r = {.account = str_of(ADA),
                                      .shown = {str_of(id), shown},
                                      .next = next,
                                      .source = str_of("192.0.2.1"),
                                      .now = T};
    return sessions_renew(a, &r, &until, &err);
}

static void renew_session(struct accounts *a)
{
    must(renew_from(a, session_keys[0], session_keys[1]) == SESSION_GOOD);
}

/* By the key that was replaced. */
static void reuse_key(struct accounts *a)
{
    const uint8_t third[SESSION_KEY] = {3};
    must(renew_from(a, session_keys[0], third) == SESSION_REUSED);
}

static void reset(struct accounts *a)
{
    char code[CODE_TEXT_MAX];
    must(accounts_reset(a, str_of(ADA), T, 1000, code, &err) == 1);
}

static void disable(struct accounts *a)
{
    must(accounts_set_disabled(a, str_of(ADA), true, &err) == 1);
}

static void remove_account(struct accounts *a)
{
    must(accounts_remove(a, str_of(ADA), &err) == 1);
}

static void wait_for_approval(struct accounts *a)
{
    static const char csr[BIG] = {5};
    const struct enrolment_request r = {
        .csr = {csr, sizeof(csr)}, .key = key, .source = str_of("192.0.2.1"), .host = str_of("laptop")};
    char code[CODE_TEXT_MAX];
    uint8_t ticket[ENROLMENT_TICKET];
    must(enrolments_add(a, &r, T, code, ticket, &err) == 1);
}

static int take_code(void *arg, const struct enrolment *e, struct err *ret_err)
{
    (void)ret_err;
    CHECK(str_copy(arg, CODE_TEXT_MAX, e->code, strlen(e->code)));
    return 0;
}

static void approve(struct accounts *a)
{
    char code[CODE_TEXT_MAX];
    must(enrolments_each(a, T, take_code, code, &err) == 0);
    must(enrolments_decide(a, str_of(code), ADA, "root", T, &err) == 1);
}

static void refuse(struct accounts *a)
{
    char code[CODE_TEXT_MAX];
    must(enrolments_each(a, T, take_code, code, &err) == 0);
    must(enrolments_decide(a, str_of(code), NULL, "root", T, &err) == 1);
}

static void end_enrolment(struct accounts *a)
{
    char code[CODE_TEXT_MAX];
    must(enrolments_each(a, T, take_code, code, &err) == 0);
    must(enrolments_end(a, code, &err) == 1);
}

static void play(const char *dir, void (*const acts[])(struct accounts *a))
{
    struct accounts *a = enter(dir);
    for (; *acts != NULL; acts++)
        (*acts)(a);
    accounts_close(a);
}

/* ---- what is there ---- */

/* The server has one secret, which is whole, and what `sql` says is 0 or 1 (NULL: something between). */
static bool look(const char *dir, const char *sql)
{
    struct accounts *a = enter(dir);
    const char *const all[] = {"SELECT COUNT(*) - 1 FROM server", sql};
    bool is_new = false;
    CHECK(accounts_server(a) != NULL);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct state_query *q = state_query(accounts_state(a), all[i], &err);
        must(q != NULL);
        CHECK(state_step(q, &err) == STATE_ROW && !state_is_null(q, 0));
        int64_t is = state_int(q, 0);
        CHECK(is == 0 || (is == 1 && i > 0));
        is_new = is == 1;
        state_done(q);
    }
    accounts_close(a);
    return is_new;
}

/* ---- which ---- */

/* An operation NAME: from what the acts behind it leave, what ACT does; SQL says whether it is done. */
#define OPERATION(name, act, sql, ...)                                \
    static void name##_make(const char *dir)                          \
    {                                                                 \
        play(dir, (void (*const[])(struct accounts *)){__VA_ARGS__}); \
    }                                                                 \
    static void name##_do(const char *dir)                            \
    {                                                                 \
        play(dir, (void (*const[])(struct accounts *)){act, NULL});   \
    }                                                                 \
    static bool name##_is_new(const char *dir)                        \
    {                                                                 \
        return look(dir, sql);                                        \
    }

/* Where a password is void its sessions are, and one that is disabled has none. */
#define CASES(is_new, is_old) "SELECT CASE WHEN " is_new " THEN 1 WHEN " is_old " THEN 0 END FROM account"
#define SESSIONS "(SELECT COUNT(*) FROM session)"

OPERATION(add, add, "SELECT COUNT(*) FROM account WHERE groups = 'ops web'", NULL)
OPERATION(given, give_code, CASES("code IS NOT NULL AND code_until > 0", "code IS NULL AND code_until = 0"),
          add, NULL)
OPERATION(session, begin_session,
          CASES("last_login > 0 AND " SESSIONS " = 1 AND EXISTS (SELECT 1 FROM familiar)",
                "last_login = 0 AND " SESSIONS " = 0 AND NOT EXISTS (SELECT 1 FROM familiar)"),
          add, set_password, NULL)
OPERATION(renew, renew_session,
          "SELECT CASE WHEN renewals = 1 AND hex(key) LIKE '02%' AND hex(key_before) LIKE '01%' THEN 1 WHEN "
          "renewals = 0 AND hex(key) LIKE '01%' AND key_before IS NULL THEN 0 END FROM session",
          add, set_password, begin_session, NULL)
OPERATION(reuse, reuse_key,
          CASES("alarm > 0 AND alarm_source <> '' AND " SESSIONS " = 0", "alarm = 0 AND " SESSIONS " = 1"),
          add, set_password, begin_session, renew_session, NULL)
OPERATION(reset, reset,
          CASES("record IS NULL AND code IS NOT NULL AND " SESSIONS " = 0",
                "record IS NOT NULL AND code IS NULL AND " SESSIONS " = 1"),
          add, set_password, begin_session, NULL)
OPERATION(disable, disable, CASES("disabled = 1 AND " SESSIONS " = 0", "disabled = 0 AND " SESSIONS " = 1"),
          add, set_password, begin_session, NULL)
OPERATION(
    remove, remove_account,
    "SELECT CASE (SELECT COUNT(*) FROM account) + (SELECT COUNT(*) FROM session) + (SELECT COUNT(*) FROM "
    "familiar) WHEN 3 THEN 0 WHEN 0 THEN 1 END",
    add, set_password, begin_session, NULL)
OPERATION(wait, wait_for_approval, "SELECT COUNT(*) FROM enrolment", add, NULL)
OPERATION(
    approve, approve,
    "SELECT CASE WHEN verdict = 1 AND account = 'ada' AND who = 'root' THEN 1 WHEN verdict = 0 AND account "
    "IS NULL AND who IS NULL THEN 0 END FROM enrolment",
    add, wait_for_approval, NULL)
OPERATION(
    refuse, refuse,
    "SELECT CASE WHEN verdict = 2 AND who = 'root' THEN 1 WHEN verdict = 0 AND who IS NULL THEN 0 END FROM "
    "enrolment",
    add, wait_for_approval, NULL)
OPERATION(end, end_enrolment, "SELECT 1 - COUNT(*) FROM enrolment", add, wait_for_approval, NULL)

/* A code is used up with the password that it sets: it is given under the same roof, so it may be out. */
OPERATION(password, set_password, CASES("record IS NOT NULL AND code IS NULL", "record IS NULL"), add, NULL)

const struct operation login_operations[] = {
    {"login-first", nothing, add_do, add_is_new},
    {"login-add", add_make, add_do, add_is_new},
    {"login-code", given_make, given_do, given_is_new},
    {"login-password", password_make, password_do, password_is_new},
    {"login-session", session_make, session_do, session_is_new},
    {"login-renew", renew_make, renew_do, renew_is_new},
    {"login-reuse", reuse_make, reuse_do, reuse_is_new},
    {"login-reset", reset_make, reset_do, reset_is_new},
    {"login-disable", disable_make, disable_do, disable_is_new},
    {"login-remove", remove_make, remove_do, remove_is_new},
    {"login-wait", wait_make, wait_do, wait_is_new},
    {"login-approve", approve_make, approve_do, approve_is_new},
    {"login-refuse", refuse_make, refuse_do, refuse_is_new},
    {"login-end", end_make, end_do, end_is_new},
    {0},
};
