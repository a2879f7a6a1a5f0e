/* SPDX-License-Identifier: Apache-2.0 */
/* What the door answers to `cardea login`: passwords by OPAQUE (RFC 9807), keys that an administrator
 * approves, and the renewal of what was given. A certificate says who somebody is by the account alone, never
 * by what the client asks for. doc/internals/login.md tells the messages, and why they are as they are.
 *
 * Pure but for the accounts' database: requests and the time (`now`, seconds since 1970) come as arguments.
 * It belongs to one thread. */
#ifndef CARDEA_LOGIN_LOGIN_H
#define CARDEA_LOGIN_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "cert/identity.h"
#include "login/accounts.h"
#include "login/sessions.h"
#include "web/web.h"

/* Behind this in the certificate (a URI of its subject's names) stands the session. */
#define LOGIN_URI IDENTITY_LOGIN_URI
#define LOGIN_CONTEXT "cardea login 1"   /* OPAQUE's context, 6.4.2 */
#define LOGIN_MAC_CSR "cardea login csr" /* labels of opaque_bind() */
#define LOGIN_MAC_CERTIFICATE "cardea login certificate"
#define LOGIN_KEY_DIGEST SESSION_KEY
#define LOGIN_PEM_MAX 65536
#define LOGIN_SERIAL_MAX 48
#define LOGIN_POLL 3 /* seconds between two questions of whoever waits to be approved */

/* A certificate to be issued. Borrowed for the call. */
struct login_grant {
    struct str csr; /* in DER; only its key counts */
    const char *name;
    const char *const *groups;
    size_t groups_len;
    const char *uri;
    int64_t now;
    int64_t lifetime; /* seconds */
    const char *who;  /* for the CA's log: "login:alice" */
};

/* Who issues. Each returns -1 with `err`. */
struct login_issuer {
    void *arg;
    /* Append the certificate and those above it without the root, in PEM; its serial number in hexadecimal.
     */
    int (*issue)(void *arg, const struct login_grant *grant, struct buf *ret_pem,
                 char ret_serial[LOGIN_SERIAL_MAX], struct err *err);
    /* Is this a certification request (DER) that could be granted? SHA-256 of its SubjectPublicKeyInfo. */
    int (*look)(void *arg, struct str csr, uint8_t ret_key[LOGIN_KEY_DIGEST], struct err *err);
    /* Is a certificate revoked that has this URI and ends after `since`? 1 or 0. */
    int (*revoked)(void *arg, const char *uri, int64_t since, struct err *err);
    /* Revoke all certificates that have this URI and have not ended at `now`: others may have their keys. */
    int (*revoke)(void *arg, const char *uri, const char *who, int64_t now, struct err *err);
    /* Append the roots in PEM, for who knows only the fingerprint of one. */
    int (*root)(void *arg, struct buf *ret_pem, struct err *err);
};

struct login_settings {
    int64_t renewable; /* seconds since the password (or the approval) in which certificates are renewed; 0:
                          12 h */
};

#define LOGIN_RENEWABLE (INT64_C(12) * 3600)

struct login;

/* The accounts stay the caller's, and outlive it. Never NULL. */
struct login *login_new(struct accounts *accounts, const struct login_settings *settings,
                        const struct login_issuer *issuer);
void login_free(struct login *l); /* NULL is allowed */

/* Go by these from now on. Logins that have begun go on. */
void login_take(struct login *l, const struct login_settings *settings, const struct login_issuer *issuer);

/* Answer a request for a path that begins with "/login". -1 where the answer is that something is wrong here:
 * `err` is for whoever runs the door. */
int login_answer(struct login *l, const struct web_request *r, int64_t now, struct web_answer *ret,
                 struct err *err);

#endif
