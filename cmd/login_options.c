/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `cardea login`, and what it leaves to the settings of `cardea connect` and to the last
 * login. */
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/cmd.h"
#include "cmd/login.h"
#include "login/accounts.h"

enum {
    OPTION_REGISTER = 256,
    OPTION_CODE,
    OPTION_RENEW,
    OPTION_IF_DUE,
    OPTION_STATUS,
    OPTION_LOGOUT,
    OPTION_PASSWORD_FILE,
    OPTION_FINGERPRINT,
    OPTION_JSON
};

static const struct option options[] = {
    {"register", required_argument, NULL, OPTION_REGISTER},
    {"code", no_argument, NULL, OPTION_CODE},
    {"renew", no_argument, NULL, OPTION_RENEW},
    {"if-due", no_argument, NULL, OPTION_IF_DUE},
    {"status", no_argument, NULL, OPTION_STATUS},
    {"logout", no_argument, NULL, OPTION_LOGOUT},
    {"password-file", required_argument, NULL, OPTION_PASSWORD_FILE},
    {"ca-fingerprint", required_argument, NULL, OPTION_FINGERPRINT},
    {"ca", required_argument, NULL, CONNECT_OPTION_SETTING + SETTING_CA},
    {"name", required_argument, NULL, CONNECT_OPTION_SETTING + SETTING_NAME},
    {"pq", required_argument, NULL, CONNECT_OPTION_SETTING + SETTING_PQ},
    ECH_SETTING_FLAGS,
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int choose(struct login_options *o, enum login_mode mode)
{
    if (o->mode != LOGIN_BY_PASSWORD)
        return cmd_misused("login", "--register, --code, --renew, --status and --logout: only one at a time");
    o->mode = mode;
    return -1;
}

/* Returns -1 to go on, or an exit status. */
static int take(struct login_options *o, int option)
{
    switch (option) {
    case OPTION_REGISTER:
        o->code = optarg;
        return choose(o, LOGIN_REGISTER);
    case OPTION_CODE:
        return choose(o, LOGIN_BY_CODE);
    case OPTION_RENEW:
        return choose(o, LOGIN_RENEW);
    case OPTION_IF_DUE:
        o->if_due = true;
        return -1;
    case OPTION_STATUS:
        return choose(o, LOGIN_STATUS);
    case OPTION_LOGOUT:
        return choose(o, LOGIN_LOGOUT);
    case OPTION_PASSWORD_FILE:
        o->password_file = optarg;
        return -1;
    case OPTION_FINGERPRINT:
        o->fingerprint = optarg;
        return -1;
    case OPTION_JSON:
        o->json = true;
        return -1;
    case 'h':
        return cmd_usage("login", true);
    default:
        return option >= CONNECT_OPTION_SETTING ? connect_settings_take(&o->settings, option, "login")
                                                : cmd_usage("login", false);
    }
}

/* [USER@][DOOR]. The last '@' counts, since none is in a door. */
static int take_door(struct login_options *o, const char *text)
{
    const char *at = strrchr(text, '@');
    const char *door = at != NULL ? at + 1 : text;
    if (at != NULL && !str_copy(o->user, sizeof(o->user), text, (size_t)(at - text)))
        return cmd_misused("login", "the name of the user is too long");
    if (*door != '\0')
        o->settings.value[SETTING_DOOR] = door;
    return -1;
}

static void copy(char ret[KEEP_TEXT_MAX], const char *text)
{
    if (text != NULL)
        str_copy(ret, KEEP_TEXT_MAX, text, strlen(text));
}

/* As ssh does it: without a name it is who is logged in here. */
static void find_user(struct login_options *o)
{
    const struct passwd *pw;
    if (o->user[0] == '\0' && o->has_kept)
        copy(o->user, o->kept.user);
    if (o->user[0] == '\0')
        copy(o->user, getenv("USER"));
    if (o->user[0] == '\0' && (pw = getpwuid(getuid())) != NULL)
        copy(o->user, pw->pw_name);
}

static int check_user(const struct login_options *o)
{
    bool asked = o->mode == LOGIN_BY_PASSWORD || o->mode == LOGIN_REGISTER;
    if (!asked || account_name_is_sound((struct str){o->user, strlen(o->user)}))
        return -1;
    return cmd_misused("login", "'%s' is no name of an account: who are you? Give USER@DOOR", o->user);
}

/* What the last login was made with does for the next one. */
static void fill_from_kept(struct login_options *o)
{
    if (!o->has_kept)
        return;
    connect_settings_fill(&o->settings, SETTING_DOOR, o->kept.door[0] != '\0' ? o->kept.door : NULL);
    connect_settings_fill(&o->settings, SETTING_NAME, o->kept.name[0] != '\0' ? o->kept.name : NULL);
    connect_settings_fill(&o->settings, SETTING_CA, o->kept.ca[0] != '\0' ? o->kept.ca : NULL);
}

static int find_files(struct login_options *o)
{
    struct err err = {""};
    o->file = connect_settings_path(CONNECT_LOGIN);
    o->ca_file = connect_settings_path(CONNECT_LOGIN_CA);
    if (o->file == NULL || o->ca_file == NULL)
        return cmd_failed("no place to keep a login: neither HOME nor XDG_CONFIG_HOME is set");
    if (o->mode == LOGIN_RENEW && access(o->file, F_OK) == 0 && (o->lock = keep_lock(o->file, &err)) < 0)
        return cmd_failed("%s", err.text);
    int found = keep_read(o->file, &o->kept, &err);
    o->has_kept = found > 0;
    if (found < 0 && (o->mode == LOGIN_RENEW || o->mode == LOGIN_STATUS))
        return cmd_failed("%s", err.text);
    if (found == 0 && o->mode == LOGIN_RENEW)
        return cmd_failed("there is no login to renew: run 'cardea login'");
    return -1;
}

static int complete(struct login_options *o)
{
    int status = find_files(o);
    if (status >= 0 || o->mode == LOGIN_STATUS || o->mode == LOGIN_LOGOUT)
        return status;
    if (o->mode == LOGIN_RENEW)
        fill_from_kept(o);
    status = connect_settings_complete_door(&o->settings, "login");
    if (status >= 0)
        return status;
    fill_from_kept(o);
    connect_settings_fill_login_ca(&o->settings);
    find_user(o);
    if (o->settings.value[SETTING_DOOR] == NULL)
        return cmd_misused("login",
                           "which door? Give it, set CARDEA_DOOR, or write 'door: HOST:PORT' into %s",
                           connect_settings_file(&o->settings));
    copy(o->door, o->settings.value[SETTING_DOOR]);
    return check_user(o);
}

int login_options_read(struct login_options *o, int argc, char **argv)
{
    int status = -1;
    *o = (struct login_options){.mode = LOGIN_BY_PASSWORD, .lock = -1};
    for (int c; status < 0 && (c = cmd_option(argc, argv, "", options)) != -1;)
        status = take(o, c);
    if (status < 0 && argc - optind > 1)
        status = cmd_misused("login", "%s: one door at a time", argv[optind + 1]);
    if (status < 0 && optind < argc)
        status = take_door(o, argv[optind]);
    if (status < 0 && o->if_due && o->mode != LOGIN_RENEW)
        status = cmd_misused("login", "--if-due goes with --renew");
    return status < 0 ? complete(o) : status;
}

void login_options_free(struct login_options *o)
{
    connect_settings_free(&o->settings);
    if (o->lock >= 0)
        close(o->lock);
    free(o->file);
    free(o->ca_file);
}
