/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of a login share. */
#ifndef CARDEA_LOGIN_LOGIN_INTERNAL_H
#define CARDEA_LOGIN_LOGIN_INTERNAL_H

#include "cert/identity.h"
#include "login/form.h"
#include "login/login.h"
#include "login/seal.h"
#include "login/tries.h"

#define LOGIN_SOURCE_MAX 64
/* Seconds from KE2 to KE3: Argon2id on a slow machine, and a slow network. */
#define LOGIN_FINISH_WITHIN INT64_C(60)

struct login {
    struct accounts *accounts;
    struct login_settings settings;
    struct login_issuer issuer;
    struct tries *sources;        /* by address: tries that failed */
    struct tries *accounts_tried; /* by account, or by account and source where that is familiar */
    struct tries *issued;         /* by account: certificates */
    struct tries *finished;       /* by the token of a login: what it was good for was counted */
    uint8_t seal_key[SEAL_KEY];
};

/* A request as the steps have it. */
struct login_step {
    struct login *l;
    const struct web_request *r;
    int64_t now;
    const json_t *m;
    char source[LOGIN_SOURCE_MAX]; /* who is counted: an address, or a network of IPv6 */
    struct web_answer *ret;
    struct err *err; /* what is wrong here, for whoever runs the door */
    bool broken;     /* something is */
};

typedef void login_step_fn(struct login_step *s);

login_step_fn login_register_start, login_register_finish; /* password.c */
login_step_fn login_start, login_finish;
login_step_fn login_enrol, login_enrol_poll, login_renew; /* enrol.c */

/* What is asked for deserves a line of the audit: `what` (static) for `who`. Whatever is answered behind this
 * goes into it. */
void login_deed(struct login_step *s, const char *what, struct str who);

/* Answer with a status and {"error": ...}; printf style. */
void login_refuse(struct login_step *s, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Something is wrong here: for whoever runs the door. What is answered stays as it is. */
void login_report(struct login_step *s, const struct err *err);

/* Something is wrong here, not with the client: nothing of it is told. */
void login_broken(struct login_step *s, const struct err *err);

/* 429 with Retry-After. */
void login_wait(struct login_step *s, int64_t wait);

/* Answer 200 with `m`, which is taken over. */
void login_say(struct login_step *s, json_t *m);

/* Issue a certificate to an account and put it into the answer `m` ("certificate", "until",
 * "renewable_until"). `session`: of these certificates, which ends at `session_until`. False: an error was
 * answered. */
bool login_give(struct login_step *s, const struct account *account, struct str csr, const char *session,
                int64_t session_until, const char *who, json_t *m);

/* Has a certificate of the session been revoked? Then it is over, for whoever has one of it. 1, 0, or -1 with
 * `err`. */
int login_is_revoked(const struct login_step *s, struct str session, struct err *err);

/* The session of the certificate that the client has shown, and its key; an empty session: it has shown none
 * of a login. */
struct session_shown login_shown(const struct login_step *s);

/* A key that was replaced was shown for that session, which has ended: what was issued in it is void too.
 * Returns what the audit is to say of it. */
const char *login_end_reused(struct login_step *s, struct str session, const char *who);

/* Put into the answer `m` what the owner of the account is to be told at a login. False: an error was
 * answered. */
bool login_put_alarm(struct login_step *s, const struct account *account, json_t *m);

/* Texts with a length. */
struct str login_text(const char *text);

#endif
