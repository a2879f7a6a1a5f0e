/* SPDX-License-Identifier: Apache-2.0 */
/* What `cardea login` was told, and how it does it. */
#ifndef CARDEA_CMD_LOGIN_H
#define CARDEA_CMD_LOGIN_H

#include <stdbool.h>

#include "cmd/connect_settings.h"
#include "cmd/login_http.h"
#include "login/keep.h"

enum login_mode { LOGIN_BY_PASSWORD, LOGIN_REGISTER, LOGIN_BY_CODE, LOGIN_RENEW, LOGIN_STATUS, LOGIN_LOGOUT };

struct login_options {
    enum login_mode mode;
    struct connect_settings settings; /* door, name and CA */
    const char *code;                 /* with LOGIN_REGISTER */
    const char *password_file;        /* NULL: ask */
    const char *fingerprint;          /* of the door's CA; NULL: it is known already */
    bool json;
    bool if_due; /* with LOGIN_RENEW: unless that is too early */
    /* After login_options_complete(): */
    char *file;       /* what is kept of the login */
    char *ca_file;    /* where a CA that the fingerprint shows to be good is kept */
    struct keep kept; /* what `file` says; zeroed where there is none */
    bool has_kept;
    int lock; /* on `file`, held from before `kept` was read: with LOGIN_RENEW; else -1 */
    char user[KEEP_TEXT_MAX];
    char door[KEEP_TEXT_MAX];
};

/* Returns -1 to go on, or an exit status. Either way login_options_free(). */
int login_options_read(struct login_options *o, int argc, char **argv);
void login_options_free(struct login_options *o);

/* Each returns an exit status. */
int login_show_status(const struct login_options *o);
int login_log_out(const struct login_options *o);

/* Tell of the login that is kept now. */
int login_tell(const struct login_options *o, const struct keep *k);

#endif
