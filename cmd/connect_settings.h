/* SPDX-License-Identifier: Apache-2.0 */
/* Where `cardea connect` and its like have their settings from: flags beat the environment, the environment
 * beats the file. */
#ifndef CARDEA_CMD_CONNECT_SETTINGS_H
#define CARDEA_CMD_CONNECT_SETTINGS_H

#include <stdbool.h>

#include "base/buf.h"
#include "config/config.h"
#include "tunnel/client.h"

/* Each has a flag (--door) and a variable (CARDEA_DOOR). Those by which nobody on the way hears the name: */
#define ECH_SETTINGS(ROW)                                                                 \
    ROW(ECH, "ech"), ROW(DOH, "doh"), ROW(DOH_CA, "doh-ca"), ROW(DOH_PROXY, "doh-proxy"), \
        ROW(DOH_CONFIGS, "doh-configs")

/* ... for all who reach a door: */
#define DOOR_SETTINGS(ROW)                                                                   \
    ROW(DOOR, "door"), ROW(CERT, "cert"), ROW(KEY, "key"), ROW(CA, "ca"), ROW(NAME, "name"), \
        ROW(TRANSPORT, "transport"), ROW(PQ, "pq"), ECH_SETTINGS(ROW)

/* For those who ask for a target, too. */
#define CONNECT_SETTINGS(ROW) DOOR_SETTINGS(ROW), ROW(SERVICE_CA, "service-ca")

#define CONNECT_SETTING_NUMBER(NAME, flag) SETTING_##NAME
enum connect_setting { CONNECT_SETTINGS(CONNECT_SETTING_NUMBER), SETTINGS };

/* What getopt_long() answers for the flag of a setting: this plus its enum connect_setting. */
#define CONNECT_OPTION_SETTING 512

/* Rows of getopt_long()'s table. */
#define CONNECT_SETTING_FLAG(NAME, flag)                                                             \
    {                                                                                                \
        .name = (flag), .has_arg = required_argument, .val = CONNECT_OPTION_SETTING + SETTING_##NAME \
    }
#define ECH_SETTING_FLAGS ECH_SETTINGS(CONNECT_SETTING_FLAG)
#define DOOR_SETTING_FLAGS DOOR_SETTINGS(CONNECT_SETTING_FLAG)
#define CONNECT_SETTING_FLAGS CONNECT_SETTINGS(CONNECT_SETTING_FLAG)

struct connect_settings {
    const char *value[SETTINGS]; /* NULL: nobody says */
    bool from_file[SETTINGS];
    char *path;                 /* of the file; NULL: there is no place for it */
    struct client_config *file; /* owns the values that came from it */
    char *login;       /* what `cardea login` has kept stands in for certificate and key; NULL: it does not */
    char *login_ca;    /* ... and the CA that it has found good */
    struct keep *kept; /* what is read of it, where nobody names a door: it is at the login's */
};

/* The file NAME of this user's settings: $XDG_CONFIG_HOME/cardea/NAME, where that variable stands for
 * ~/.config if it is not set. The caller frees it. NULL: there is no home. */
char *connect_settings_path(const char *name);

#define CONNECT_LOGIN "login.pem"       /* what `cardea login` keeps (login/keep.h) */
#define CONNECT_LOGIN_CA "login-ca.pem" /* the CA of a door that was known by its fingerprint */

/* Take optarg as what one of the flags above says. Returns -1 to go on, or an exit status, told as a misuse
 * of `verb`. */
int connect_settings_take(struct connect_settings *s, int option, const char *verb);

/* "--door" */
const char *connect_setting_flag(enum connect_setting which);

/* What they say of post-quantum key exchange, once completed. */
enum tls_pq connect_settings_pq(const struct connect_settings *s);

/* What nobody has said yet; NULL says nothing. */
void connect_settings_fill(struct connect_settings *s, enum connect_setting which, const char *value);

/* Fill in what the flags left NULL from the environment, the file and what `cardea login` has kept, and check
 * the result as connect_settings_check() does. Returns -1 to go on, or an exit status, with what is wrong
 * told. */
int connect_settings_complete(struct connect_settings *s, const char *verb);

/* The same without what a login has kept, and without a check: for who logs in. */
int connect_settings_complete_door(struct connect_settings *s, const char *verb);

/* Where nobody names a CA, it is the one that a login has found good by its fingerprint, where
 * there is one. */
void connect_settings_fill_login_ca(struct connect_settings *s);

/* The file of settings, for texts, once completed. Borrowed. */
const char *connect_settings_file(const struct connect_settings *s);

/* Is what a door is reached with there? Returns -1 to go on, or an exit status, with what is missing told as
 * a misuse of `verb`. */
int connect_settings_check(const struct connect_settings *s, const char *verb);

/* Has the login run out that stands in for a certificate? Returns -1 to go on, or an exit status, told. */
int connect_settings_check_login(const struct connect_settings *s);

/* The same for the tunnel's client, which the caller completes. The texts stay borrowed. */
struct client_settings connect_settings_client(const struct connect_settings *s);

void connect_settings_free(struct connect_settings *s);

#endif
