/* SPDX-License-Identifier: Apache-2.0 */
#include "login/client.h"

#include <string.h>

#include "base/check.h"
#include "login/form.h"
#include "login/login.h"
#include "login/seal.h"

static struct str text_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

static struct opaque_names names_of(const struct login_client *c)
{
    return (struct opaque_names){.context = text_of(LOGIN_CONTEXT), .client = text_of(c->user)};
}

bool login_client_begin(struct login_client *c, const char *user, struct str password)
{
    *c = (struct login_client){.user = user, .password = password, .stretch = opaque_stretch_default};
    return opaque_init();
}

void login_client_wipe(struct login_client *c)
{
    opaque_wipe(c, sizeof(*c));
}

static json_t *for_user(const struct login_client *c, const char *code)
{
    json_t *m = json_object();
    form_put_text(m, "user", c->user, strlen(c->user));
    if (code != NULL)
        form_put_text(m, "code", code, strlen(code));
    return m;
}

static void refuse_password(struct err *err)
{
    err_set(err, "a password has 1 to %d bytes", OPAQUE_PASSWORD_MAX);
}

json_t *login_client_register(struct login_client *c, const char *code, struct err *err)
{
    struct opaque_client_random random;
    uint8_t request[OPAQUE_REQUEST];
    json_t *m = NULL;
    opaque_random_client(&random);
    if (opaque_register_start(c->password, &random, &c->state, request)) {
        m = for_user(c, code);
        form_put_bytes(m, "request", request, sizeof(request));
    } else {
        refuse_password(err);
    }
    opaque_wipe(&random, sizeof(random));
    return m;
}

json_t *login_client_record(struct login_client *c, const char *code, const json_t *answer, struct err *err)
{
    const struct opaque_names names = names_of(c);
    uint8_t response[OPAQUE_RESPONSE], record[OPAQUE_RECORD];
    json_t *m = NULL;
    if (form_bytes(answer, "response", response, sizeof(response)) &&
        opaque_register_finish(&c->state, c->password, &names, &c->stretch, response, record, NULL)) {
        m = for_user(c, code);
        form_put_bytes(m, "record", record, sizeof(record));
    } else {
        err_set(
            err,
            "the door's answer is no registration response (RFC 9807, 5.1), or there is not enough memory "
            "(%zu MiB) to stretch the password",
            c->stretch.memory >> 20);
    }
    opaque_wipe(record, sizeof(record));
    return m;
}

json_t *login_client_start(struct login_client *c, struct err *err)
{
    struct opaque_client_random random;
    uint8_t ke1[OPAQUE_KE1];
    json_t *m = NULL;
    opaque_random_client(&random);
    if (opaque_login_start(c->password, &random, &c->state, ke1)) {
        m = for_user(c, NULL);
        form_put_bytes(m, "ke1", ke1, sizeof(ke1));
    } else {
        refuse_password(err);
    }
    opaque_wipe(&random, sizeof(random));
    return m;
}

json_t *login_client_prove(struct login_client *c, const json_t *answer, struct str csr, struct err *err)
{
    const struct opaque_names names = names_of(c);
    uint8_t ke2[OPAQUE_KE2], ke3[OPAQUE_KE3], token[SEAL_BYTES], mac[OPAQUE_HASH];
    if (!form_bytes(answer, "ke2", ke2, sizeof(ke2)) || !form_bytes(answer, "token", token, sizeof(token))) {
        err_set(err, "the door's answer has no KE2 (RFC 9807, 6.1): does it serve `login`?");
        return NULL;
    }
    if (!opaque_login_finish(&c->state, c->password, &names, &c->stretch, ke2, ke3, &c->secrets)) {
        err_set(err, "wrong user or password; whoever was invited with a code sets the password first: "
                     "'cardea login --register CODE'");
        return NULL;
    }
    opaque_bind(c->secrets.session_key, LOGIN_MAC_CSR, &csr, 1, mac);
    json_t *m = json_object();
    form_put_bytes(m, "token", token, sizeof(token));
    form_put_bytes(m, "ke3", ke3, sizeof(ke3));
    form_put_bytes(m, "csr", csr.p, csr.len);
    form_put_bytes(m, "mac", mac, sizeof(mac));
    return m;
}

int login_client_check(const struct login_client *c, const json_t *answer, struct err *err)
{
    struct str pem;
    uint8_t mac[OPAQUE_HASH], expected[OPAQUE_HASH];
    if (!form_text(answer, "certificate", LOGIN_PEM_MAX, &pem) ||
        !form_bytes(answer, "mac", mac, sizeof(mac)))
        return err_set(err, "the door's answer holds no certificate");
    opaque_bind(c->secrets.session_key, LOGIN_MAC_CERTIFICATE, &pem, 1, expected);
    if (!opaque_same(mac, expected, sizeof(mac)))
        return err_set(err, "the certificate was changed on its way from the door: who ends TLS in between?");
    return 0;
}

json_t *login_client_ask(struct str csr, const char *host)
{
    json_t *m = json_object();
    form_put_bytes(m, "csr", csr.p, csr.len);
    if (host != NULL)
        form_put_text(m, "host", host, strlen(host));
    return m;
}
