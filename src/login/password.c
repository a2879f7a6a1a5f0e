/* SPDX-License-Identifier: Apache-2.0 */
/* To set a password and to log in with it, both by OPAQUE. */
#include <stdio.h>
#include <string.h>

#include <openssl/mem.h>
#include <openssl/sha.h>

#include "base/check.h"
#include "login/login_internal.h"

#define TRIED_MAX (ACCOUNT_NAME_MAX + 1 + LOGIN_SOURCE_MAX + 1)

static bool read_user(struct login_step *s, struct str *ret)
{
    if (form_text(s->m, "user", ACCOUNT_NAME_MAX, ret) && account_name_is_sound(*ret))
        return true;
    login_refuse(s, 400, "'user' is no name of an account: expected at most %d of a-z, 0-9, '.', '_' and '-'",
                 ACCOUNT_NAME_MAX);
    return false;
}

static struct opaque_names names_of(struct str user)
{
    return (struct opaque_names){.context = login_text(LOGIN_CONTEXT), .client = user};
}

/* What a try is counted under. Who attacks an account from all over the world makes its owner wait, and who
 * tries all accounts from one address all those behind it: but not where the owner has logged in before.
 * There his tries are counted by themselves. */
struct
try {
    char account[TRIED_MAX];
    const char *source; /* NULL: does not count */
};

static struct try name_try(const struct login_step *s, struct str user, bool familiar)
{
    struct try t = {.source = familiar ? NULL : s->source};
    snprintf(t.account, sizeof(t.account), "%.*s %s", (int)user.len, user.p, familiar ? s->source : "");
    return t;
}

/* Count it, unless it is too early: then that is answered. */
static bool may_try(struct login_step *s, const struct try *t)
{
    int64_t wait = tries_wait(s->l->accounts_tried, login_text(t->account), s->now);
    int64_t of_source = t->source != NULL ? tries_wait(s->l->sources, login_text(t->source), s->now) : 0;
    if (of_source > wait)
        wait = of_source;
    if (wait > 0) {
        login_wait(s, wait);
        return false;
    }
    tries_count(s->l->accounts_tried, login_text(t->account), s->now);
    if (t->source != NULL)
        tries_count(s->l->sources, login_text(t->source), s->now);
    return true;
}

static void count_good(struct login_step *s, const struct try *t)
{
    tries_forget(s->l->accounts_tried, login_text(t->account));
    if (t->source != NULL)
        tries_refund(s->l->sources, login_text(t->source));
}

/* ---- setting a password ---- */

/* Without a good code the OPRF is not asked: by that alone passwords could be tried. */
static bool has_code(struct login_step *s, struct str user, struct str *ret_code)
{
    struct err err = {""};
    struct try try = name_try(s, user, false);
    if (!form_text(s->m, "code", CODE_TEXT_MAX * 2, ret_code)) {
        login_refuse(s, 400, "'code' is missing: the code for registering that the administrator gave");
        return false;
    }
    if (!may_try(s, &try))
        return false;
    int status = accounts_code_is_good(s->l->accounts, user, *ret_code, s->now, &err);
    if (status < 0)
        login_broken(s, &err);
    else if (status == 0)
        login_refuse(s, 403,
                     "the user or the code is wrong, or the code is used up or too old: "
                     "ask your administrator for another");
    else
        count_good(s, &try);
    return status == 1;
}

void login_register_start(struct login_step *s)
{
    struct str user, code;
    uint8_t request[OPAQUE_REQUEST], response[OPAQUE_RESPONSE];
    if (!read_user(s, &user))
        return;
    login_deed(s, "login:register", user);
    if (!has_code(s, user, &code))
        return;
    if (!form_bytes(s->m, "request", request, sizeof(request)) ||
        !opaque_register_answer(accounts_server(s->l->accounts), user, request, response)) {
        login_refuse(s, 400, "'request' is no registration request (RFC 9807, 5.1)");
        return;
    }
    json_t *m = json_object();
    form_put_bytes(m, "response", response, sizeof(response));
    s->ret->deed = (struct web_deed){0}; /* told once the password is set */
    login_say(s, m);
}

void login_register_finish(struct login_step *s)
{
    struct err err = {""};
    struct str user, code;
    uint8_t record[OPAQUE_RECORD];
    if (!read_user(s, &user))
        return;
    login_deed(s, "login:register", user);
    if (!has_code(s, user, &code))
        return;
    if (!form_bytes(s->m, "record", record, sizeof(record)) || !opaque_record_is_sound(record)) {
        login_refuse(s, 400, "'record' is no registration record (RFC 9807, 5.1)");
        return;
    }
    int status = accounts_set_record(s->l->accounts, user, code, record, s->now, &err);
    OPENSSL_cleanse(record, sizeof(record));
    if (status < 0)
        login_broken(s, &err);
    else if (status == 0)
        login_refuse(s, 403, "the code was used up meanwhile: ask your administrator for another");
    else
        login_say(s, json_object());
}

/* ---- logging in ---- */

/* The account's record, or one that looks like it where there is no such account, or it has no password, or
 * is disabled. -1 with `err`. */
static int find_record(struct login_step *s, struct str user, uint8_t ret[OPAQUE_RECORD], struct err *err)
{
    struct account account;
    uint8_t fake[OPAQUE_RECORD];
    int status = accounts_find(s->l->accounts, user, &account, err);
    /* Made in any case, to take the same time. */
    opaque_fake_record(accounts_server(s->l->accounts), user, fake);
    bool usable = status == 1 && account.has_password && !account.disabled;
    memcpy(ret, usable ? account.record : fake, OPAQUE_RECORD);
    OPENSSL_cleanse(&account, sizeof(account));
    OPENSSL_cleanse(fake, sizeof(fake));
    return status < 0 ? -1 : 0;
}

static void answer_ke1(struct login_step *s, struct str user, bool familiar,
                       const uint8_t record[OPAQUE_RECORD], const uint8_t ke1[OPAQUE_KE1])
{
    const struct opaque_names names = names_of(user);
    struct sealed_login login = {.until = s->now + LOGIN_FINISH_WITHIN, .familiar = familiar};
    struct opaque_server_random random;
    uint8_t ke2[OPAQUE_KE2], token[SEAL_BYTES];
    str_copy(login.name, sizeof(login.name), user.p, user.len);
    SHA256(record, OPAQUE_RECORD, login.record);
    opaque_random_answer(&random);
    if (!opaque_login_answer(accounts_server(s->l->accounts), &names, user, record, ke1, &random, ke2,
                             &login.expected)) {
        login_refuse(s, 400, "'ke1' is no KE1 (RFC 9807, 6.1)");
        return;
    }
    seal_close(s->l->seal_key, &login, token);
    json_t *m = json_object();
    form_put_bytes(m, "ke2", ke2, sizeof(ke2));
    form_put_bytes(m, "token", token, sizeof(token));
    login_say(s, m);
    OPENSSL_cleanse(&login, sizeof(login));
    OPENSSL_cleanse(&random, sizeof(random));
}

void login_start(struct login_step *s)
{
    struct err err = {""};
    struct str user;
    uint8_t ke1[OPAQUE_KE1], record[OPAQUE_RECORD];
    if (!read_user(s, &user))
        return;
    login_deed(s, "login:try", user);
    if (!form_bytes(s->m, "ke1", ke1, sizeof(ke1))) {
        login_refuse(s, 400, "'ke1' is missing, or not %d bytes in base64", OPAQUE_KE1);
        return;
    }
    bool familiar = accounts_is_familiar(s->l->accounts, user, login_text(s->source), s->now);
    const struct try try = name_try(s, user, familiar);
    if (!may_try(s, &try))
        return;
    if (find_record(s, user, record, &err) < 0)
        login_broken(s, &err);
    else
        answer_ke1(s, user, familiar, record, ke1);
    OPENSSL_cleanse(record, sizeof(record));
}

/* What KE3 must be, out of the token; has it been proven, and does the MAC hold the request for a certificate
 * to that proof? */
static bool is_proven(struct login_step *s, struct sealed_login *ret_login, struct buf *ret_csr)
{
    uint8_t token[SEAL_BYTES], ke3[OPAQUE_KE3], mac[OPAQUE_HASH], expected[OPAQUE_HASH];
    if (!form_bytes(s->m, "token", token, sizeof(token)) || !form_bytes(s->m, "ke3", ke3, sizeof(ke3)) ||
        !form_bytes(s->m, "mac", mac, sizeof(mac)) || !form_blob(s->m, "csr", LOGIN_CSR_MAX, ret_csr)) {
        login_refuse(s, 400, "expected 'token', 'ke3', 'csr' and 'mac'");
        return false;
    }
    if (!seal_open(s->l->seal_key, token, ret_login) || ret_login->until < s->now) {
        login_refuse(s, 409, "this login took too long, or the door was started anew meanwhile: try again");
        return false;
    }
    const struct str csr = {(const char *)ret_csr->data, ret_csr->len};
    opaque_bind(ret_login->expected.session_key, LOGIN_MAC_CSR, &csr, 1, expected);
    bool good = opaque_is_proven(&ret_login->expected, ke3) && opaque_same(mac, expected, sizeof(mac));
    OPENSSL_cleanse(expected, sizeof(expected));
    if (!good)
        login_refuse(s, 403, "wrong user or password");
    return good;
}

/* The client may know by this that the answer is from whom it has proven its password to. */
static void bind_certificate(json_t *m, const uint8_t session_key[OPAQUE_HASH])
{
    const char *pem = json_string_value(json_object_get(m, "certificate"));
    const struct str part = {pem, strlen(pem)};
    uint8_t mac[OPAQUE_HASH];
    opaque_bind(session_key, LOGIN_MAC_CERTIFICATE, &part, 1, mac);
    form_put_bytes(m, "mac", mac, sizeof(mac));
}

/* Disabled or reset since KE2, or with another password: who knew the one of before is out. */
static bool is_as_it_began(const struct account *account, const struct sealed_login *login)
{
    uint8_t record[SEAL_RECORD];
    SHA256(account->record, OPAQUE_RECORD, record);
    return !account->disabled && account->has_password &&
           CRYPTO_memcmp(record, login->record, SEAL_RECORD) == 0;
}

static void log_in(struct login_step *s, const struct sealed_login *login, struct str csr)
{
    struct account account;
    struct err err = {""};
    char session[SESSION_ID_MAX], who[ACCOUNT_NAME_MAX + 8];
    uint8_t key[LOGIN_KEY_DIGEST];
    int status = accounts_find(s->l->accounts, login_text(login->name), &account, &err);
    if (status == 0 || (status == 1 && !is_as_it_began(&account, login))) {
        login_refuse(s, 403, "wrong user or password");
        return;
    }
    if (status == 1 && s->l->issuer.look(s->l->issuer.arg, csr, key, &err) < 0) {
        login_refuse(s, 400, "'csr': %s", err.text);
        return;
    }
    const struct session_beginning beginning = {.account = login_text(login->name),
                                                .source = login_text(s->source),
                                                .familiar = true,
                                                .key = key,
                                                .replaces = login_shown(s),
                                                .now = s->now,
                                                .life = s->l->settings.renewable};
    enum session_verdict begun =
        status < 0 ? SESSION_FAILED : sessions_begin(s->l->accounts, &beginning, session, &err);
    if (begun == SESSION_FAILED) {
        login_broken(s, &err);
        return;
    }
    snprintf(who, sizeof(who), "login:%s", account.name);
    if (begun == SESSION_REUSED)
        snprintf(s->ret->deed.detail, sizeof(s->ret->deed.detail), "of the login that this replaces %s",
                 login_end_reused(s, beginning.replaces.session, who));
    json_t *m = json_object();
    if (login_give(s, &account, csr, session, s->now + beginning.life, who, m) &&
        login_put_alarm(s, &account, m)) {
        bind_certificate(m, login->expected.session_key);
        login_say(s, json_incref(m));
    }
    json_decref(m);
    OPENSSL_cleanse(&account, sizeof(account));
}

/* The same finish may come again, for its answer may be lost, and from anywhere. It makes up for its own try
 * only: else whoever has an account could try the passwords of all others by saying it again in between. */
static void count_finish(struct login_step *s, const struct sealed_login *login)
{
    const struct try try = name_try(s, login_text(login->name), login->familiar);
    const struct str token = {(const char *)login->id, sizeof(login->id)};
    if (tries_wait(s->l->finished, token, s->now) > 0)
        return;
    tries_count(s->l->finished, token, s->now);
    count_good(s, &try);
}

void login_finish(struct login_step *s)
{
    struct sealed_login login = {0};
    struct buf csr = {0};
    login_deed(s, "login:password", login_text(""));
    if (is_proven(s, &login, &csr)) {
        login_deed(s, "login:password", login_text(login.name));
        count_finish(s, &login);
        int64_t wait = tries_wait(s->l->issued, login_text(login.name), s->now);
        if (wait > 0)
            login_wait(s, wait);
        else
            log_in(s, &login, (struct str){(const char *)csr.data, csr.len});
    }
    OPENSSL_cleanse(&login, sizeof(login));
    buf_free(&csr);
}
