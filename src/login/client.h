/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of a login: what to send, and what to make of the answers. No sockets, no files, no
 * clock; who calls it carries the messages (doc/internals/login.md). Each step returns the next message,
 * which the caller owns, or NULL with `err`. */
#ifndef CARDEA_LOGIN_CLIENT_H
#define CARDEA_LOGIN_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "opaque/opaque.h"

/* Secret; login_client_wipe() ends it. The texts are borrowed. */
struct login_client {
    const char *user;
    struct str password;
    struct opaque_stretch stretch;
    struct opaque_client state;
    struct opaque_secrets secrets; /* once the server has been proven */
};

/* False where there is no good randomness, and nothing else may be called. */
bool login_client_begin(struct login_client *c, const char *user, struct str password);
void login_client_wipe(struct login_client *c);

/* To set the password: /login/register, and with what that has answered /login/register/finish. */
json_t *login_client_register(struct login_client *c, const char *code, struct err *err);
json_t *login_client_record(struct login_client *c, const char *code, const json_t *answer, struct err *err);

/* To log in: /login/start, and with what that has answered /login/finish, for a certification request in DER.
 * That takes a while, as stretching the password is meant to. */
json_t *login_client_start(struct login_client *c, struct err *err);
json_t *login_client_prove(struct login_client *c, const json_t *answer, struct str csr, struct err *err);

/* Is the certificate in the answer from the server that knows the password? -1 with `err`. */
int login_client_check(const struct login_client *c, const json_t *answer, struct err *err);

/* Without a password: /login/enrol (`host`: what this machine is called), or /login/renew where it is NULL.
 */
json_t *login_client_ask(struct str csr, const char *host);

#endif
