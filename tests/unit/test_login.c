/* SPDX-License-Identifier: Apache-2.0 */
/* login/: what the door answers, to the good and to the hostile, while hours pass in no time. */
#include "pki.h"

#include <sys/stat.h>

#include "base/base64.h"
#include "cert/identity.h"
#include "login/enrolments.h"
#include "login/form.h"
#include "login/login.h"
#include "login/seal.h"
#include "login/tries.h"

#define NOW INT64_C(1800000000)
#define HOUR INT64_C(3600)
#define STR(text) ((struct str){text, strlen(text)})

static const struct opaque_stretch no_stretch = {0};

/* ---- an issuer that writes down what it is asked for ---- */

static char issued[512]; /* the last */
static unsigned issues;

static int issue(void *arg, const struct login_grant *g, struct buf *ret_pem,
                 char ret_serial[LOGIN_SERIAL_MAX], struct err *err)
{
    struct buf b = {0};
    if (arg != NULL)
        return err_set(err, "out of order");
    for (size_t i = 0; i < g->groups_len; i++)
        assert_true(buf_printf(&b, "%s,", g->groups[i]));
    snprintf(issued, sizeof(issued), "%s %s %s %lld for %.*s", g->name,
             g->groups_len > 0 ? buf_text(&b) : "-", g->who, (long long)g->lifetime, (int)g->csr.len,
             g->csr.p);
    buf_free(&b);
    issues++;
    snprintf(ret_serial, LOGIN_SERIAL_MAX, "%02X", issues);
    return buf_printf(ret_pem, "PEM %s", g->uri) ? 0 : -1;
}

static int look(void *arg, struct str csr, uint8_t ret_key[LOGIN_KEY_DIGEST], struct err *err)
{
    (void)arg;
    code_digest(csr, ret_key); /* requests that differ are for keys that do */
    return str_is(csr, "bad") ? err_set(err, "not signed by its key") : 0;
}

static const char *revoked_uri;

static int revoked(void *arg, const char *uri, int64_t since, struct err *err)
{
    (void)arg;
    (void)err;
    (void)since;
    return revoked_uri != NULL && strcmp(uri, revoked_uri) == 0;
}

static char revoke_told[128]; /* the last */

static int revoke_all(void *arg, const char *uri, const char *who, int64_t now, struct err *err)
{
    (void)now;
    if (arg != NULL)
        return err_set(err, "out of order");
    snprintf(revoke_told, sizeof(revoke_told), "%s %s", uri, who);
    return 0;
}

static int root(void *arg, struct buf *ret_pem, struct err *err)
{
    (void)arg;
    (void)err;
    return buf_printf(ret_pem, "ROOT") ? 0 : -1;
}

static const struct login_issuer good_issuer = {NULL, issue, look, revoked, revoke_all, root};

/* ---- the world of a test ---- */

struct world {
    struct accounts *accounts;
    struct login *login;
    int64_t now;
    const char *source;
    const struct identity *identity;
    const uint8_t *key; /* that it is proven by */
    unsigned status;
    struct web_deed deed;
    json_t *answer; /* NULL: no object */
    struct buf fields;
};

static void begin(struct world *w, const char *name)
{
    struct err err = {""};
    const char *dir = pki_path(name);
    assert_int_equal(mkdir(dir, 0700), 0);
    *w = (struct world){.accounts = accounts_open(dir, &err), .now = NOW, .source = "192.0.2.7"};
    if (w->accounts == NULL)
        fail_msg("%s", err.text);
    w->login = login_new(w->accounts, &(struct login_settings){0}, &good_issuer);
}

static void end(struct world *w)
{
    json_decref(w->answer);
    buf_free(&w->fields);
    login_free(w->login);
    accounts_close(w->accounts);
}

static void request(struct world *w, const char *method, const char *path, const char *type, struct str body)
{
    struct web_request r = {.method = STR(method),
                            .path = STR(path),
                            .type = STR(type),
                            .body = body,
                            .tls = true,
                            .source = STR(w->source),
                            .identity = w->identity,
                            .key = w->key};
    struct web_answer a = {0};
    struct err err = {0};
    int told = login_answer(w->login, &r, w->now, &a, &err);
    assert_int_equal(told, a.status == 503 ? -1 : 0);
    assert_true(told == 0 || err.text[0] != '\0');
    json_decref(w->answer);
    buf_free(&w->fields);
    w->status = a.status;
    w->deed = a.deed;
    w->answer = form_read((struct str){(const char *)a.body.data, a.body.len});
    w->fields = a.fields;
    a.fields = (struct buf){0};
    web_answer_free(&a);
}

/* `m` is taken over. */
static void post(struct world *w, const char *path, json_t *m)
{
    struct buf b = {0};
    form_write(m, &b);
    request(w, "POST", path, "application/json", (struct str){(const char *)b.data, b.len});
    buf_free(&b);
    json_decref(m);
}

static json_t *form(const char *user, const char *code)
{
    json_t *m = json_object();
    if (user != NULL)
        form_put_text(m, "user", user, strlen(user));
    if (code != NULL)
        form_put_text(m, "code", code, strlen(code));
    return m;
}

/* ---- a client ---- */

static struct opaque_names names_for(const char *user)
{
    return (struct opaque_names){STR(LOGIN_CONTEXT), STR(user), {NULL, 0}};
}

static void set_password(struct world *w, const char *user, const char *code, const char *password)
{
    struct opaque_client_random random;
    struct opaque_client client;
    uint8_t first[OPAQUE_REQUEST], response[OPAQUE_RESPONSE], record[OPAQUE_RECORD];
    const struct opaque_names names = names_for(user);
    opaque_random_client(&random);
    assert_true(opaque_register_start(STR(password), &random, &client, first));
    json_t *m = form(user, code);
    form_put_bytes(m, "request", first, sizeof(first));
    post(w, "/login/register", m);
    if (w->status != 200)
        return;
    assert_true(form_bytes(w->answer, "response", response, sizeof(response)));
    assert_true(opaque_register_finish(&client, STR(password), &names, &no_stretch, response, record, NULL));
    m = form(user, code);
    form_put_bytes(m, "record", record, sizeof(record));
    post(w, "/login/register/finish", m);
}

struct attempt {
    const char *user;
    struct opaque_client client;
    struct opaque_secrets secrets;
    uint8_t ke3[OPAQUE_KE3], token[SEAL_BYTES], mac[OPAQUE_HASH];
    bool believed; /* the client found the password right */
};

static void start(struct world *w, const char *user, const char *password, struct attempt *ret)
{
    struct opaque_client_random random;
    uint8_t ke1[OPAQUE_KE1], ke2[OPAQUE_KE2];
    const struct opaque_names names = names_for(user);
    *ret = (struct attempt){.user = user};
    opaque_random_client(&random);
    assert_true(opaque_login_start(STR(password), &random, &ret->client, ke1));
    json_t *m = form(user, NULL);
    form_put_bytes(m, "ke1", ke1, sizeof(ke1));
    post(w, "/login/start", m);
    if (w->status != 200)
        return;
    assert_true(form_bytes(w->answer, "ke2", ke2, sizeof(ke2)));
    assert_true(form_bytes(w->answer, "token", ret->token, sizeof(ret->token)));
    ret->believed =
        opaque_login_finish(&ret->client, STR(password), &names, &no_stretch, ke2, ret->ke3, &ret->secrets);
}

static void bind(struct attempt *a, const char *csr)
{
    const struct str part = STR(csr);
    opaque_bind(a->secrets.session_key, LOGIN_MAC_CSR, &part, 1, a->mac);
}

static void finish(struct world *w, struct attempt *a, const char *csr)
{
    json_t *m = json_object();
    form_put_bytes(m, "token", a->token, sizeof(a->token));
    form_put_bytes(m, "ke3", a->ke3, sizeof(a->ke3));
    form_put_bytes(m, "mac", a->mac, sizeof(a->mac));
    form_put_bytes(m, "csr", csr, strlen(csr));
    post(w, "/login/finish", m);
}

/* The status of the whole of a login. */
static unsigned log_in(struct world *w, const char *user, const char *password)
{
    struct attempt a;
    start(w, user, password, &a);
    if (w->status != 200)
        return w->status;
    bind(&a, "csr");
    finish(w, &a, "csr");
    return w->status;
}

static void add(struct world *w, const char *name, char code[CODE_TEXT_MAX])
{
    static const char *const groups[] = {"ops", "admins"};
    struct err err = {""};
    if (accounts_add(w->accounts, name, groups, 2, 0, w->now, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(accounts_give_code(w->accounts, STR(name), w->now, ACCOUNT_CODE_LIFE, code, &err), 1);
}

static void add_with_password(struct world *w, const char *name, const char *password)
{
    char code[CODE_TEXT_MAX];
    add(w, name, code);
    set_password(w, name, code, password);
    assert_int_equal(w->status, 200);
}

/* ---- tests ---- */

static void test_whole_way(void **state)
{
    struct world w;
    struct attempt a;
    uint8_t mac[OPAQUE_HASH], want[OPAQUE_HASH];
    (void)state;
    begin(&w, "whole");
    add_with_password(&w, "alice", "secret");
    assert_int_equal(log_in(&w, "alice", "wrong"), 403);
    start(&w, "alice", "secret", &a);
    assert_true(a.believed);
    bind(&a, "csr");
    finish(&w, &a, "csr");
    assert_int_equal(w.status, 200);
    assert_string_equal(issued, "alice ops,admins, login:alice 14400 for csr");
    assert_int_equal(json_integer_value(json_object_get(w.answer, "until")), NOW + 4 * HOUR);
    assert_int_equal(json_integer_value(json_object_get(w.answer, "renewable_until")), NOW + 12 * HOUR);
    const char *pem = json_string_value(json_object_get(w.answer, "certificate"));
    assert_int_equal(strncmp(pem, "PEM cardea://login/", 19), 0);
    assert_true(form_bytes(w.answer, "mac", mac, sizeof(mac)));
    const struct str part = STR(pem);
    opaque_bind(a.secrets.session_key, LOGIN_MAC_CERTIFICATE, &part, 1, want);
    assert_memory_equal(mac, want, sizeof(mac));
    end(&w);
}

/* Whoever ends TLS in the middle can neither put another key in, nor use another's proof. */
static void test_key_is_bound(void **state)
{
    struct world w;
    struct attempt a, b;
    (void)state;
    begin(&w, "bound");
    add_with_password(&w, "alice", "secret");
    add_with_password(&w, "mallory", "mine");
    issues = 0;
    start(&w, "alice", "secret", &a);
    bind(&a, "csr");
    finish(&w, &a, "another");
    assert_int_equal(w.status, 403);
    start(&w, "mallory", "mine", &b);
    bind(&b, "csr");
    memcpy(b.token, a.token, sizeof(b.token)); /* her token, his proof */
    finish(&w, &b, "csr");
    assert_int_equal(w.status, 403);
    b.token[40] ^= 1;
    finish(&w, &b, "csr");
    assert_int_equal(w.status, 409);
    bind(&a, "bad");
    finish(&w, &a, "bad");
    assert_int_equal(w.status, 400);
    assert_int_equal(issues, 0);
    bind(&a, "csr");
    w.now += 61;
    finish(&w, &a, "csr");
    assert_int_equal(w.status, 409); /* too late */
    end(&w);
}

/* A proof of the password of before is worth nothing once there is another, and within its minute neither. */
static void test_password_set_meanwhile(void **state)
{
    struct world w;
    struct attempt a;
    struct err err = {""};
    char code[CODE_TEXT_MAX];
    (void)state;
    begin(&w, "meanwhile");
    add_with_password(&w, "alice", "secret");
    start(&w, "alice", "secret", &a);
    assert_true(a.believed);
    bind(&a, "csr");
    finish(&w, &a, "csr");
    assert_int_equal(w.status, 200);
    assert_int_equal(accounts_reset(w.accounts, STR("alice"), w.now, ACCOUNT_CODE_LIFE, code, &err), 1);
    set_password(&w, "alice", code, "another");
    assert_int_equal(w.status, 200);
    finish(&w, &a, "csr");
    assert_int_equal(w.status, 403);
    assert_int_equal(log_in(&w, "alice", "another"), 200);
    end(&w);
}

/* No answer tells whether there is such an account. */
static void test_unknown_is_as_wrong(void **state)
{
    struct world w;
    struct err err = {""};
    char code[CODE_TEXT_MAX];
    static const char *const users[] = {"nobody", "alice", "fresh", "gone"};
    (void)state;
    begin(&w, "unknown");
    add_with_password(&w, "alice", "secret");
    add_with_password(&w, "gone", "secret");
    add(&w, "fresh", code);
    assert_int_equal(accounts_set_disabled(w.accounts, STR("gone"), true, &err), 1);
    for (size_t u = 0; u < ARRAY_LEN(users); u++) {
        char *text;
        unsigned waits = 0;
        w.source = u % 2 == 0 ? "192.0.2.10" : "192.0.2.11";
        for (size_t i = 0; i < 8; i++) {
            struct attempt a;
            start(&w, users[u], "wrong", &a);
            assert_false(a.believed);
            if (w.status == 429) {
                waits++;
                continue;
            }
            text = json_dumps(w.answer, JSON_COMPACT | JSON_SORT_KEYS);
            assert_int_equal(strlen(text), 4 * ((OPAQUE_KE2 + 2) / 3) + 4 * ((SEAL_BYTES + 2) / 3) + 21);
            free(text);
            bind(&a, "csr");
            finish(&w, &a, "csr");
            assert_int_equal(w.status, 403);
            assert_string_equal(json_string_value(json_object_get(w.answer, "error")),
                                "wrong user or password");
        }
        assert_int_equal(waits, 3);
        w.now += HOUR;
    }
    /* Those whose password would be right, too. */
    assert_int_equal(log_in(&w, "gone", "secret"), 403);
    end(&w);
}

static void test_waits_grow_and_end(void **state)
{
    struct world w;
    (void)state;
    begin(&w, "waits");
    add_with_password(&w, "alice", "secret");
    for (int i = 0; i < 5; i++)
        assert_int_equal(log_in(&w, "alice", "wrong"), 403);
    for (int64_t wait = 1; wait <= 512; wait *= 2) {
        assert_int_equal(log_in(&w, "alice", "secret"), 429); /* also with the right one */
        assert_non_null(strstr(buf_text(&w.fields), "Retry-After: "));
        w.now += wait;
        assert_int_equal(log_in(&w, "alice", "wrong"), 403);
    }
    w.now += 899;
    assert_int_equal(log_in(&w, "alice", "secret"), 429);
    w.now += 1; /* never more than a quarter of an hour */
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    assert_int_equal(log_in(&w, "alice", "secret"), 200); /* and all is forgiven */
    end(&w);
}

/* Somebody tries an account from everywhere, all the time. Its owner gets in from where he has been before.
 */
static void test_owner_is_not_locked_out(void **state)
{
    struct world w;
    char source[32];
    (void)state;
    begin(&w, "siege");
    add_with_password(&w, "alice", "secret");
    w.source = "2001:db8:1:2::5";
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    for (int i = 0; i < 500; i++) {
        snprintf(source, sizeof(source), "198.51.%d.%d", i / 250, i % 250);
        w.source = source;
        unsigned status = log_in(&w, "alice", "wrong");
        assert_true(i < 5 ? status == 403 : status == 429 || status == 403);
        w.now++;
    }
    w.source = "2001:db8:1:2::99"; /* the same network */
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    w.source = "2001:db8:1:3::5"; /* elsewhere there is a wait, which ends */
    assert_int_equal(log_in(&w, "alice", "secret"), 429);
    w.now += 900;
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    end(&w);
}

/* One address may not try many accounts. */
static void test_source_waits(void **state)
{
    struct world w;
    char user[32];
    (void)state;
    begin(&w, "spray");
    add_with_password(&w, "alice", "secret");
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    for (int i = 0; i < 25; i++) {
        snprintf(user, sizeof(user), "user%d", i);
        assert_int_equal(log_in(&w, user, "123456"), i < 20 ? 403 : 429);
    }
    assert_int_equal(log_in(&w, "alice", "secret"), 200); /* she has been there before */
    w.now += 120;
    assert_int_equal(log_in(&w, "user0", "1"), 403); /* a while makes up for some */
    end(&w);
}

/* Who has an account does not get more tries at others by finishing his own login again and again. */
static void test_finish_counts_once(void **state)
{
    struct world w;
    struct attempt mine;
    char user[32];
    (void)state;
    begin(&w, "replay");
    add_with_password(&w, "mallory", "secret");
    start(&w, "mallory", "secret", &mine);
    bind(&mine, "csr");
    for (int i = 0; i < 40; i++) {
        finish(&w, &mine, "csr");
        assert_true(w.status == 200 || w.status == 429);
        snprintf(user, sizeof(user), "user%d", i);
        assert_int_equal(log_in(&w, user, "123456"), i < 20 ? 403 : 429);
    }
    end(&w);
}

static void test_codes_for_registering(void **state)
{
    struct world w;
    struct err err = {""};
    char code[CODE_TEXT_MAX], second[CODE_TEXT_MAX];
    (void)state;
    begin(&w, "codes");
    add(&w, "alice", code);
    set_password(&w, "alice", "2222-2222-2222-2222", "x");
    assert_int_equal(w.status, 403);
    set_password(&w, "bob", code, "x");
    assert_int_equal(w.status, 403);
    w.now += ACCOUNT_CODE_LIFE;
    set_password(&w, "alice", code, "x"); /* too old */
    assert_int_equal(w.status, 403);
    assert_int_equal(accounts_give_code(w.accounts, STR("alice"), w.now, 60, second, &err), 1);
    set_password(&w, "alice", code, "x"); /* void */
    assert_int_equal(w.status, 403);
    for (char *c = second; *c != '\0'; c++)
        *c = *c == '-' ? ' ' : *c >= 'A' ? (char)(*c - 'A' + 'a') : *c; /* as people type */
    set_password(&w, "alice", second, "secret");
    assert_int_equal(w.status, 200);
    set_password(&w, "alice", second, "other"); /* once */
    assert_int_equal(w.status, 403);
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    assert_int_equal(accounts_reset(w.accounts, STR("alice"), w.now, 60, code, &err), 1);
    assert_int_equal(log_in(&w, "alice", "secret"), 403);
    set_password(&w, "alice", code, "new");
    assert_int_equal(log_in(&w, "alice", "new"), 200);
    end(&w);
}

/* The identity that the certificate of the last login proves. */
static struct identity *shown(const struct world *w, const char *name)
{
    const char *pem = json_string_value(json_object_get(w->answer, "certificate"));
    const struct identity_fact facts[] = {{IDENTITY_NAME, name}, {IDENTITY_URI, pem + strlen("PEM ")}};
    return identity_make(facts, 2);
}

/* With the key of the request `key`, for that of `next`. */
static unsigned renew(struct world *w, const struct identity *id, const char *key, const char *next)
{
    uint8_t digest[CODE_DIGEST];
    json_t *m = json_object();
    form_put_bytes(m, "csr", next, strlen(next));
    code_digest(STR(key), digest);
    w->identity = id;
    w->key = id != NULL ? digest : NULL;
    post(w, "/login/renew", m);
    w->identity = NULL;
    w->key = NULL;
    return w->status;
}

static const char *session_of(const struct identity *id)
{
    return id->facts[1].value;
}

/* The same while that certificate is shown. */
static unsigned log_in_with(struct world *w, const char *user, const struct identity *id, const char *key)
{
    uint8_t digest[CODE_DIGEST];
    code_digest(STR(key), digest);
    w->identity = id;
    w->key = digest;
    unsigned status = log_in(w, user, "secret");
    w->identity = NULL;
    w->key = NULL;
    return status;
}

static void test_renewal(void **state)
{
    struct world w;
    struct err err = {""};
    (void)state;
    begin(&w, "renewal");
    add_with_password(&w, "alice", "secret");
    add_with_password(&w, "bob", "secret");
    assert_int_equal(renew(&w, NULL, "", "next"), 403);
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    struct identity *alice = shown(&w, "alice"), *stolen = shown(&w, "bob");
    w.now += 3 * HOUR;
    assert_int_equal(renew(&w, alice, "csr", "2"), 200);
    assert_string_equal(issued, "alice ops,admins, login:alice 14400 for 2");
    assert_int_equal(renew(&w, stolen, "2", "3"), 403); /* another's session */
    w.now += 7 * HOUR;
    assert_int_equal(renew(&w, alice, "2", "3"), 200); /* cut to twelve hours since the password */
    assert_string_equal(issued, "alice ops,admins, login:alice 7200 for 3");
    w.now += 2 * HOUR;
    assert_int_equal(renew(&w, alice, "3", "4"), 403);
    identity_free(alice);
    identity_free(stolen);
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    alice = shown(&w, "alice");
    assert_int_equal(renew(&w, alice, "csr", "2"), 200);
    assert_int_equal(accounts_set_disabled(w.accounts, STR("alice"), true, &err), 1);
    assert_int_equal(renew(&w, alice, "2", "3"), 403);
    assert_int_equal(accounts_set_disabled(w.accounts, STR("alice"), false, &err), 1);
    assert_int_equal(renew(&w, alice, "2", "3"), 403); /* the session has ended for good */
    identity_free(alice);
    end(&w);
}

/* Each password begins a session of its own, which prolongs no other and ends the one that it replaces, where
 * it is shown and of the same account. */
static void test_sessions_stand_alone(void **state)
{
    struct world w;
    (void)state;
    begin(&w, "alone");
    add_with_password(&w, "alice", "secret");
    add_with_password(&w, "bob", "secret");
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    struct identity *first = shown(&w, "alice");
    w.now += 11 * HOUR;
    assert_int_equal(log_in(&w, "alice", "secret"), 200); /* elsewhere */
    struct identity *second = shown(&w, "alice");
    assert_string_not_equal(session_of(first), session_of(second));
    assert_int_equal(json_integer_value(json_object_get(w.answer, "renewable_until")), w.now + 12 * HOUR);
    assert_int_equal(log_in_with(&w, "bob", second, "csr"),
                     200); /* another's, which he has nothing to do with */
    assert_int_equal(renew(&w, first, "csr", "f2"), 200);
    assert_int_equal(renew(&w, second, "csr", "s2"), 200);
    w.now += 2 * HOUR;
    assert_int_equal(renew(&w, first, "f2", "f3"), 403);
    assert_int_equal(renew(&w, second, "s2", "s3"), 200);
    assert_int_equal(log_in_with(&w, "alice", second, "s3"), 200);
    assert_null(json_object_get(w.answer, "reused"));
    assert_string_equal(w.deed.detail, "");
    assert_int_equal(renew(&w, second, "s3", "s4"), 403);
    identity_free(first);
    identity_free(second);
    end(&w);
}

/* A thief has the owner's key. Whoever of them comes second with it ends the session, and its certificates;
 * the owner hears of it, once, at his next login. */
static void test_stolen_key(void **state)
{
    struct world w;
    char expected[128];
    (void)state;
    begin(&w, "stolen");
    add_with_password(&w, "alice", "secret");
    for (int thief_first = 0; thief_first < 2; thief_first++) {
        assert_int_equal(log_in(&w, "alice", "secret"), 200);
        assert_null(json_object_get(w.answer, "reused"));
        struct identity *alice = shown(&w, "alice");
        assert_int_equal(renew(&w, alice, "csr", thief_first ? "thief" : "owner"), 200);
        revoke_told[0] = '\0';
        w.source = "198.51.100.9";
        assert_int_equal(renew(&w, alice, "csr", thief_first ? "owner" : "thief"), 403);
        w.source = "192.0.2.7";
        snprintf(expected, sizeof(expected), "%s login:alice", session_of(alice));
        assert_string_equal(revoke_told, expected);
        assert_true(w.deed.refused);
        assert_string_equal(w.deed.what, "login:renew");
        assert_string_equal(w.deed.who, "alice");
        assert_non_null(strstr(w.deed.detail, "a key that had been replaced"));
        assert_int_equal(renew(&w, alice, thief_first ? "thief" : "owner", "last"), 403); /* over for both */
        w.now += 60;
        assert_int_equal(log_in(&w, "alice", "secret"), 200);
        assert_int_equal(json_integer_value(json_object_get(w.answer, "reused")), w.now - 60);
        assert_string_equal(json_string_value(json_object_get(w.answer, "reused_from")), "198.51.100.9");
        identity_free(alice);
    }
    end(&w);
}

/* The client did not get the answer: it asks for the same key again, as often as it takes, until that key is
 * used. Shown at a login the key before is no alarm, an older one is. */
static void test_lost_answer(void **state)
{
    struct world w;
    (void)state;
    begin(&w, "lost");
    add_with_password(&w, "alice", "secret");
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    struct identity *alice = shown(&w, "alice");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(renew(&w, alice, "csr", "2"), 200);
        w.now += 600;
    }
    assert_int_equal(renew(&w, alice, "2", "3"), 200);
    assert_int_equal(renew(&w, alice, "2", "3"), 200);
    assert_int_equal(renew(&w, alice, "csr", "2"), 403); /* it was used */
    assert_int_equal(renew(&w, alice, "3", "4"), 403);
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    assert_non_null(json_object_get(w.answer, "reused"));
    struct identity *again = shown(&w, "alice");
    assert_int_equal(renew(&w, again, "csr", "2"), 200);
    assert_int_equal(log_in_with(&w, "alice", again, "csr"), 200);
    assert_null(json_object_get(w.answer, "reused"));
    identity_free(again);
    again = shown(&w, "alice");
    assert_int_equal(renew(&w, again, "csr", "2"), 200);
    assert_int_equal(renew(&w, again, "2", "3"), 200);
    assert_int_equal(log_in_with(&w, "alice", again, "csr"), 200);
    assert_int_equal(json_integer_value(json_object_get(w.answer, "reused")), w.now);
    assert_non_null(strstr(w.deed.detail, "of the login that this replaces"));
    assert_false(w.deed.refused);
    identity_free(again);
    identity_free(alice);
    end(&w);
}

/* One certificate of a login is revoked: that ends it, for others of it too, and no password prolongs it. */
static void test_revoked(void **state)
{
    struct world w;
    (void)state;
    begin(&w, "revoked");
    add_with_password(&w, "alice", "secret");
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    struct identity *lost = shown(&w, "alice");
    assert_int_equal(renew(&w, lost, "csr", "2"), 200);
    revoked_uri = session_of(lost);
    assert_int_equal(renew(&w, lost, "2", "3"), 403);
    assert_int_equal(log_in_with(&w, "alice", lost, "2"), 200);
    struct identity *fresh = shown(&w, "alice");
    assert_string_not_equal(session_of(fresh), revoked_uri);
    assert_int_equal(renew(&w, lost, "2", "3"), 403);
    assert_int_equal(renew(&w, fresh, "csr", "2"), 200);
    revoked_uri = NULL;
    identity_free(lost);
    identity_free(fresh);
    end(&w);
}

/* What the audit has of each: who, which session, which certificate; and nothing of what nobody has tried. */
static void test_deeds(void **state)
{
    struct world w;
    (void)state;
    begin(&w, "deeds");
    add_with_password(&w, "alice", "secret");
    assert_string_equal(w.deed.what, "login:register");
    assert_string_equal(w.deed.who, "alice");
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    struct identity *alice = shown(&w, "alice");
    assert_string_equal(w.deed.what, "login:password");
    assert_string_equal(w.deed.session, session_of(alice) + strlen(LOGIN_URI));
    assert_string_not_equal(w.deed.serial, "");
    assert_false(w.deed.refused);
    struct attempt a;
    start(&w, "alice", "wrong", &a);
    assert_string_equal(w.deed.what, "login:try");
    bind(&a, "csr");
    finish(&w, &a, "csr");
    assert_true(w.deed.refused);
    assert_string_equal(w.deed.detail, "wrong user or password");
    request(&w, "POST", "/login/start", "application/json", STR("{}"));
    assert_null(w.deed.what);
    identity_free(alice);
    end(&w);
}

static int count_session(void *arg, const struct login_session *session, struct err *err)
{
    struct login_session *last = arg;
    (void)err;
    *last = *session;
    return 0;
}

/* What an administrator sees and ends. */
static void test_sessions_are_shown(void **state)
{
    struct world w;
    struct err err = {""};
    struct login_session found = {.renewals = -1};
    (void)state;
    begin(&w, "sessions");
    add_with_password(&w, "alice", "secret");
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    struct identity *alice = shown(&w, "alice");
    w.now += HOUR;
    w.source = "198.51.100.4";
    assert_int_equal(renew(&w, alice, "csr", "2"), 200);
    assert_int_equal(sessions_each(w.accounts, STR("bob"), w.now, count_session, &found, &err), 0);
    assert_int_equal(found.renewals, -1);
    assert_int_equal(sessions_each(w.accounts, STR("alice"), w.now, count_session, &found, &err), 0);
    assert_string_equal(found.id, session_of(alice) + strlen(LOGIN_URI));
    assert_string_equal(found.source, "198.51.100.4");
    assert_int_equal(found.begun, NOW);
    assert_int_equal(found.certified, NOW + HOUR);
    assert_int_equal(found.renewals, 1);
    assert_int_equal(sessions_end(w.accounts, STR("bob"), STR(found.id), &err), 0);
    assert_int_equal(sessions_end(w.accounts, STR("alice"), STR(found.id), &err), 1);
    assert_int_equal(renew(&w, alice, "2", "3"), 403);
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    assert_int_equal(log_in(&w, "alice", "secret"), 200);
    assert_int_equal(sessions_end_all(w.accounts, STR("bob"), w.now, &err), 0);
    assert_int_equal(sessions_end_all(w.accounts, STR("alice"), w.now + 30 * 24 * HOUR, &err), 0);
    assert_int_equal(sessions_end_all(w.accounts, STR("alice"), w.now, &err), 2);
    identity_free(alice);
    end(&w);
}

static int keep_enrolment(void *arg, const struct enrolment *e, struct err *err)
{
    (void)err;
    *(struct enrolment *)arg = *e;
    return 0;
}

/* The ticket for a new key, and the code that its owner sees. */
static void enrol(struct world *w, const char *host, uint8_t ticket[ENROLMENT_TICKET],
                  char code[CODE_TEXT_MAX])
{
    struct str text;
    json_t *m = json_object();
    form_put_bytes(m, "csr", "csr", 3);
    form_put_text(m, "host", host, strlen(host));
    post(w, "/login/enrol", m);
    if (w->status != 200)
        return;
    assert_true(form_bytes(w->answer, "ticket", ticket, ENROLMENT_TICKET));
    assert_true(form_text(w->answer, "code", CODE_TEXT_MAX, &text));
    str_copy(code, CODE_TEXT_MAX, text.p, text.len);
}

static unsigned poll_ticket(struct world *w, const uint8_t ticket[ENROLMENT_TICKET])
{
    json_t *m = json_object();
    form_put_bytes(m, "ticket", ticket, ENROLMENT_TICKET);
    post(w, "/login/enrol/poll", m);
    return w->status;
}

static void test_enrolment(void **state)
{
    struct world w;
    struct err err = {""};
    struct enrolment e = {0};
    char code[CODE_TEXT_MAX], ignored[CODE_TEXT_MAX];
    uint8_t ticket[ENROLMENT_TICKET], other[ENROLMENT_TICKET], key[CODE_DIGEST];
    (void)state;
    begin(&w, "enrolment");
    add(&w, "alice", ignored);
    enrol(&w, "laptop\x1b[2J", ticket, code);
    assert_int_equal(poll_ticket(&w, ticket), 202);
    assert_int_equal(enrolments_each(w.accounts, w.now, keep_enrolment, &e, &err), 0);
    assert_string_equal(e.code, code);
    assert_string_equal(e.host, "laptop?[2J");
    assert_string_equal(e.source, "192.0.2.7");
    code_digest(STR("csr"), key);
    assert_memory_equal(e.key, key, sizeof(key));
    assert_int_equal(enrolments_decide(w.accounts, STR("2222-2222"), "alice", "root", w.now, &err), 0);
    assert_int_equal(enrolments_decide(w.accounts, STR(code), "nobody", "root", w.now, &err), -1);
    assert_int_equal(enrolments_decide(w.accounts, STR(code), "alice", "root", w.now, &err), 1);
    assert_int_equal(enrolments_decide(w.accounts, STR(code), NULL, "root", w.now, &err), 0); /* too late */
    memset(other, 0, sizeof(other));
    assert_int_equal(poll_ticket(&w, other), 410);
    assert_int_equal(poll_ticket(&w, ticket), 200);
    assert_string_equal(issued, "alice ops,admins, login:alice approved:root 14400 for csr");
    struct identity *alice = shown(&w, "alice");
    assert_int_equal(poll_ticket(&w, ticket), 410); /* once */
    assert_int_equal(renew(&w, alice, "csr", "next"), 200);
    identity_free(alice);

    enrol(&w, "laptop", ticket, code);
    assert_int_equal(enrolments_decide(w.accounts, STR(code), NULL, "root", w.now, &err), 1);
    assert_int_equal(poll_ticket(&w, ticket), 403);
    enrol(&w, "laptop", ticket, code);
    w.now += ENROLMENT_LIFE;
    assert_int_equal(enrolments_decide(w.accounts, STR(code), "alice", "root", w.now, &err), 0);
    assert_int_equal(poll_ticket(&w, ticket), 410);
    end(&w);
}

static void test_enrolments_are_few(void **state)
{
    struct world w;
    char code[CODE_TEXT_MAX], source[32];
    uint8_t ticket[ENROLMENT_TICKET];
    unsigned taken = 0;
    (void)state;
    begin(&w, "flood");
    for (int i = 0; i < ENROLMENTS_SOURCE_MAX + 1; i++) {
        enrol(&w, "bot", ticket, code);
        taken += w.status == 200;
    }
    assert_int_equal(taken, ENROLMENTS_SOURCE_MAX);
    for (int i = 0; i < ENROLMENTS_MAX + 20; i++) {
        snprintf(source, sizeof(source), "198.51.%d.%d", i / 250, i % 250);
        w.source = source;
        enrol(&w, "bot", ticket, code);
        taken += w.status == 200;
    }
    assert_int_equal(taken, ENROLMENTS_MAX);
    w.now += ENROLMENT_LIFE;
    enrol(&w, "person", ticket, code);
    assert_int_equal(w.status, 200);
    taken = 0;
    for (int i = 0; i < 2 * ENROLMENTS_SOURCE_MAX; i++) { /* addresses of one network are one source */
        snprintf(source, sizeof(source), "2001:db8:1:2::%x", i + 1);
        enrol(&w, "bot", ticket, code);
        taken += w.status == 200;
    }
    assert_int_equal(taken, ENROLMENTS_SOURCE_MAX);
    end(&w);
}

static void test_hostile_requests(void **state)
{
    static const struct {
        const char *method, *path, *type, *body;
        unsigned status;
    } rows[] = {
        {"GET", "/login/start", "application/json", "{}", 405},
        {"POST", "/login/ca", "application/json", "{}", 405},
        {"POST", "/login", "application/json", "{}", 404},
        {"POST", "/login/startx", "application/json", "{}", 404},
        {"POST", "/login/start/", "application/json", "{}", 404},
        {"POST", "/login/start", "text/plain", "{\"user\":\"alice\"}", 400},
        {"POST", "/login/start", "", "{\"user\":\"alice\"}", 400},
        {"POST", "/login/start", "application/json", "", 400},
        {"POST", "/login/start", "application/json", "[]", 400},
        {"POST", "/login/start", "application/json", "{} {}", 400},
        {"POST", "/login/start", "application/json", "{\"user\":\"alice\",\"user\":\"bob\"}", 400},
        {"POST", "/login/start", "application/json", "{\"user\":7}", 400},
        {"POST", "/login/start", "application/json", "{\"user\":\"Alice\"}", 400},
        {"POST", "/login/start", "application/json", "{\"user\":\"a b\"}", 400},
        {"POST", "/login/start", "application/json", "{\"user\":\"-a\"}", 400},
        {"POST", "/login/start", "application/json", "{\"user\":\"alice'--\"}", 400},
        {"POST", "/login/start", "application/json", "{\"user\":\"alice\\u0000\"}", 400},
        {"POST", "/login/start", "application/json; charset=utf-8", "{\"user\":\"alice\"}", 400},
        {"POST", "/login/start", "application/json", "{\"user\":\"alice\",\"ke1\":\"AAAA\"}", 400},
        {"POST", "/login/finish", "application/json", "{\"token\":\"AAAA\"}", 400},
        {"POST", "/login/register", "application/json", "{\"user\":\"alice\"}", 400},
        {"POST", "/login/register", "application/json", "{\"user\":\"alice\",\"code\":\"\"}", 400},
        {"POST", "/login/renew", "application/json", "{\"csr\":\"AAAA\"}", 403},
        {"POST", "/login/enrol", "application/json", "{}", 400},
        {"POST", "/login/enrol", "application/json", "{\"csr\":\"AAA\"}", 400},
        {"POST", "/login/enrol", "application/json", "{\"csr\":\"YmFk\"}", 400},
        {"POST", "/login/enrol/poll", "application/json", "{\"ticket\":\"AAAA\"}", 400},
    };
    struct world w;
    (void)state;
    begin(&w, "hostile");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        w.now += HOUR;
        request(&w, rows[i].method, rows[i].path, rows[i].type, STR(rows[i].body));
        if (w.status != rows[i].status || w.answer == NULL)
            fail_msg("row %zu: %u", i, w.status);
    }
    request(&w, "GET", "/login/ca", "", STR(""));
    assert_int_equal(w.status, 200);
    end(&w);
}

/* KE1 made of what is no element is a try too, and told apart by nobody. */
static void test_bad_elements_count(void **state)
{
    struct world w;
    uint8_t zero[OPAQUE_KE1] = {0};
    (void)state;
    begin(&w, "elements");
    for (int i = 0; i < 6; i++) {
        json_t *m = form("alice", NULL);
        form_put_bytes(m, "ke1", zero, sizeof(zero));
        post(&w, "/login/start", m);
        assert_int_equal(w.status, i < 5 ? 400 : 429);
    }
    end(&w);
}

/* What is wrong at the door is not told to strangers. */
static void test_issuer_out_of_order(void **state)
{
    struct world w;
    struct login_issuer broken = good_issuer;
    (void)state;
    begin(&w, "broken");
    add_with_password(&w, "alice", "secret");
    login_free(w.login);
    broken.arg = &w;
    w.login = login_new(w.accounts, &(struct login_settings){0}, &broken);
    assert_int_equal(log_in(&w, "alice", "secret"), 503);
    assert_null(strstr(json_string_value(json_object_get(w.answer, "error")), "out of order"));
    end(&w);
}

static void test_accounts(void **state)
{
    static const char *const bad_names[] = {
        "",    "A",   "a b",      ".a",
        "a/b", "a\n", "\xc3\xa9", "12345678901234567890123456789012345678901234567890123456789012345"};
    struct world w;
    struct err err = {""};
    struct account a;
    char code[CODE_TEXT_MAX];
    (void)state;
    begin(&w, "accounts");
    for (size_t i = 0; i < ARRAY_LEN(bad_names); i++)
        assert_int_equal(accounts_add(w.accounts, bad_names[i], NULL, 0, 0, NOW, &err), -1);
    assert_int_equal(accounts_add(w.accounts, "a", &(const char *){"two words"}, 1, 0, NOW, &err), -1);
    assert_int_equal(accounts_add(w.accounts, "a", NULL, 0, ACCOUNT_LIFETIME_MAX + 1, NOW, &err), -1);
    add(&w, "alice", code);
    assert_int_equal(accounts_add(w.accounts, "alice", NULL, 0, 0, NOW, &err), -1);
    assert_string_equal(err.text, "there is an account alice already");
    assert_int_equal(accounts_find(w.accounts, STR("alice"), &a, &err), 1);
    assert_string_equal(a.groups, "ops admins");
    assert_false(a.has_password || a.disabled);
    /* All is there after it was closed, the server's secret too. */
    struct opaque_server before = *accounts_server(w.accounts);
    accounts_close(w.accounts);
    w.accounts = accounts_open(pki_path("accounts"), &err);
    assert_memory_equal(&before, accounts_server(w.accounts), sizeof(before));
    assert_int_equal(accounts_find(w.accounts, STR("alice"), &a, &err), 1);
    assert_int_equal(accounts_remove(w.accounts, STR("alice"), &err), 1);
    assert_int_equal(accounts_remove(w.accounts, STR("alice"), &err), 0);
    assert_int_equal(accounts_set_disabled(w.accounts, STR("alice"), true, &err), 0);
    end(&w);
}

static void test_limits_are_bounded(void **state)
{
    static const struct tries_rule rule = {.free = 3, .first = 1, .longest = 100};
    struct tries *l = tries_new(&rule);
    char key[32];
    (void)state;
    for (int i = 0; i < 20; i++)
        tries_count(l, STR("victim"), NOW);
    assert_int_equal(tries_wait(l, STR("victim"), NOW), 100);
    for (int i = 0; i < 200000; i++) {
        snprintf(key, sizeof(key), "invented %d", i);
        tries_count(l, STR(key), NOW + 1);
    }
    assert_int_equal(tries_wait(l, STR("victim"), NOW + 1), 99);
    assert_int_equal(tries_wait(l, STR("victim"), NOW - 50), 100); /* the clock was set back */
    assert_int_equal(tries_wait(l, STR("victim"), NOW + 100), 0);
    /* Pauses make up for tries where the rule says so. */
    struct tries *mild =
        tries_new(&(struct tries_rule){.free = 2, .first = 8, .longest = 100, .forgive = 10});
    for (int i = 0; i < 4; i++)
        tries_count(mild, STR("a"), NOW);
    assert_int_equal(tries_wait(mild, STR("a"), NOW), 32);
    assert_int_equal(tries_wait(mild, STR("a"), NOW + 10), 6); /* of 16 */
    assert_int_equal(tries_wait(mild, STR("a"), NOW + 30), 0);
    tries_free(mild);
    tries_count(l, STR("victim"), NOW + 300); /* forgotten meanwhile */
    assert_int_equal(tries_wait(l, STR("victim"), NOW + 300), 0);
    tries_free(l);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_way),
        cmocka_unit_test(test_key_is_bound),
        cmocka_unit_test(test_password_set_meanwhile),
        cmocka_unit_test(test_unknown_is_as_wrong),
        cmocka_unit_test(test_waits_grow_and_end),
        cmocka_unit_test(test_owner_is_not_locked_out),
        cmocka_unit_test(test_source_waits),
        cmocka_unit_test(test_finish_counts_once),
        cmocka_unit_test(test_codes_for_registering),
        cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_sessions_stand_alone),
        cmocka_unit_test(test_stolen_key),
        cmocka_unit_test(test_lost_answer),
        cmocka_unit_test(test_deeds),
        cmocka_unit_test(test_sessions_are_shown),
        cmocka_unit_test(test_revoked),
        cmocka_unit_test(test_enrolment),
        cmocka_unit_test(test_enrolments_are_few),
        cmocka_unit_test(test_hostile_requests),
        cmocka_unit_test(test_bad_elements_count),
        cmocka_unit_test(test_issuer_out_of_order),
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_limits_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
