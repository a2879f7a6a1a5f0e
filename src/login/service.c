/* SPDX-License-Identifier: Apache-2.0 */
#include "login/service.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/mem.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "ca/authority.h"
#include "cert/pem.h"
#include "login/accounts.h"
#include "login/issuer.h"

#define PASSPHRASE_MAX 4096

struct login_service {
    struct authority *authority;
    struct accounts *accounts;
    struct login *login; /* NULL: there is no CA */
};

struct login_service *login_service_new(void)
{
    struct login_service *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    return s;
}

void login_service_free(struct login_service *s)
{
    if (s == NULL)
        return;
    login_free(s->login);
    accounts_close(s->accounts);
    authority_close(s->authority);
    free(s);
}

/* Its first line. */
static int read_passphrase(const char *path, struct buf *ret, struct err *err)
{
    mode_t mode;
    if (file_read(path, PASSPHRASE_MAX, ret, &mode, err) < 0)
        return -1;
    if (!pem_key_is_kept(mode))
        return err_set(err, "%s holds a passphrase, and others may read it (mode %04o): make it 0600", path,
                       (unsigned)mode);
    const uint8_t *end = memchr(ret->data, '\n', ret->len);
    if (end != NULL)
        ret->len = (size_t)(end - ret->data);
    return 0;
}

static int unlock(struct authority *a, const char *dir, const char *passphrase_file, struct err *err)
{
    struct buf passphrase = {0};
    if (authority_is_locked(a) && passphrase_file == NULL)
        return err_set(
            err, "the keys in %s are encrypted: ca.passphrase_file has to name the file with the passphrase",
            dir);
    int status = passphrase_file != NULL ? read_passphrase(passphrase_file, &passphrase, err) : 0;
    if (status == 0)
        status = authority_unlock(a, (struct str){(const char *)passphrase.data, passphrase.len}, err);
    if (passphrase.data != NULL)
        OPENSSL_cleanse(passphrase.data, passphrase.cap);
    buf_free(&passphrase);
    return status;
}

int login_service_open(struct login_service *s, const char *dir, const char *passphrase_file,
                       const struct login_settings *settings, struct err *err)
{
    CHECK(s->login == NULL);
    s->authority = authority_open(dir, err);
    if (s->authority == NULL || unlock(s->authority, dir, passphrase_file, err) < 0)
        return -1;
    s->accounts = accounts_open(dir, err);
    if (s->accounts == NULL)
        return -1;
    const struct login_issuer issuer = login_issuer_of(s->authority);
    s->login = login_new(s->accounts, settings, &issuer);
    return 0;
}

static void serve(void *arg, const struct web_request *request, struct web_exchange *exchange)
{
    struct login_service *s = arg;
    struct web_answer answer = {0};
    if (s->login == NULL) {
        web_exchange_text(exchange, 503,
                          "the door was started without `ca`, which logins need: start it anew");
        return;
    }
    login_answer(s->login, request, clock_wall() / NSEC_PER_SEC, &answer);
    web_exchange_answer(exchange, &answer);
}

struct web_service login_service_web(struct login_service *s)
{
    static const char *const prefixes[] = {"/login", NULL};
    return (struct web_service){.name = "login", .prefixes = prefixes, .serve = serve, .arg = s};
}
