/* SPDX-License-Identifier: Apache-2.0 */
/* login/login.h: whatever a stranger sends, every request gets an answer that is JSON, and none a
 * certificate. The first byte chooses the path, and an hour passes before each, so that no wait hides what is
 * behind it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "login/accounts.h"
#include "login/form.h"
#include "login/login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int issue(void *arg, const struct login_grant *grant, struct buf *ret_pem,
                 char ret_serial[LOGIN_SERIAL_MAX], struct err *err)
{
    (void)arg;
    (void)ret_serial;
    (void)grant;
    (void)ret_pem;
    (void)err;
    CHECK(!"nobody has proven anything");
    return -1;
}

static int look(void *arg, struct str csr, uint8_t ret_key[LOGIN_KEY_DIGEST], struct err *err)
{
    (void)arg;
    memset(ret_key, 0, LOGIN_KEY_DIGEST);
    return csr.len > 4 ? 0 : err_set(err, "too short");
}

static int revoked(void *arg, const char *uri, int64_t since, struct err *err)
{
    (void)arg;
    (void)uri;
    (void)since;
    (void)err;
    return 0;
}

static int revoke_all(void *arg, const char *uri, const char *who, int64_t now, struct err *err)
{
    (void)arg;
    (void)uri;
    (void)who;
    (void)now;
    (void)err;
    CHECK(!"nobody has a session");
    return -1;
}

static int root(void *arg, struct buf *ret_pem, struct err *err)
{
    (void)arg;
    (void)err;
    return buf_printf(ret_pem, "root") ? 0 : -1;
}

static struct {
    struct identity *stranger; /* of another CA: he says that he has a login */
    char dir[32];
    struct accounts *accounts;
    struct login *login;
    int64_t now;
} w;

static void end(void)
{
    char path[64];
    static const char *const names[] = {"login.db", "login.db-wal", "login.db-shm"};
    login_free(w.login);
    identity_free(w.stranger);
    accounts_close(w.accounts);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", w.dir, names[i]);
        unlink(path);
    }
    rmdir(w.dir);
}

static void begin(void)
{
    const struct login_issuer issuer = {
        .issue = issue, .look = look, .revoked = revoked, .revoke = revoke_all, .root = root};
    struct err err = {""};
    char code[CODE_TEXT_MAX];
    snprintf(w.dir, sizeof(w.dir), "/tmp/cardea-fuzz-XXXXXX");
    CHECK(mkdtemp(w.dir) != NULL);
    w.accounts = accounts_open(w.dir, &err);
    CHECK(w.accounts != NULL && accounts_add(w.accounts, "alice", NULL, 0, 0, 1, &err) == 0);
    CHECK(accounts_give_code(w.accounts, (struct str){"alice", 5}, 1, INT64_C(1) << 40, code, &err) == 1);
    w.login = login_new(w.accounts, &(struct login_settings){0}, &issuer);
    const struct identity_fact facts[] = {{IDENTITY_NAME, "alice"}, {IDENTITY_URI, LOGIN_URI "0123"}};
    w.stranger = identity_make(facts, ARRAY_LEN(facts));
    w.now = INT64_C(1800000000);
    atexit(end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const paths[] = {"/login/register",  "/login/register/finish", "/login/start",
                                        "/login/finish",    "/login/renew",           "/login/enrol",
                                        "/login/enrol/poll"};
    struct web_answer answer = {0};
    if (w.login == NULL)
        begin();
    if (len == 0)
        return 0;
    static const uint8_t key[SESSION_KEY];
    const char *path = paths[data[0] % ARRAY_LEN(paths)];
    const struct web_request r = {.method = {"POST", 4},
                                  .path = {path, strlen(path)},
                                  .type = {FORM_TYPE, strlen(FORM_TYPE)},
                                  .body = {(const char *)data + 1, len - 1},
                                  .tls = true,
                                  .source = {"192.0.2.1", 9},
                                  .identity = w.stranger,
                                  .key = key};
    w.now += 3600;
    struct err err;
    login_answer(w.login, &r, w.now, &answer, &err);
    json_t *m = form_read((struct str){(const char *)answer.body.data, answer.body.len});
    CHECK(m != NULL && answer.status >= 200 && (answer.status < 400 || json_object_get(m, "error") != NULL));
    CHECK(json_object_get(m, "certificate") == NULL);
    json_decref(m);
    web_answer_free(&answer);
    return 0;
}
