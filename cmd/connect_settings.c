/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/connect_settings.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/ech_setting.h"
#include "cert/pem.h"
#include "cmd/cmd.h"
#include "config/config.h"
#include "login/keep.h"
#include "tunnel/wire.h"

#define VARIABLE(NAME, flag) [SETTING_##NAME] = "CARDEA_" #NAME
static const char *const variables[SETTINGS] = {CONNECT_SETTINGS(VARIABLE)};

#define FLAG(NAME, flag) [SETTING_##NAME] = "--" flag
static const char *const flags[SETTINGS] = {CONNECT_SETTINGS(FLAG)};

const char *connect_setting_flag(enum connect_setting which)
{
    return flags[which];
}

/* TRANSPORT_UNSAID: no such word. */
static enum transport find_transport(const char *word)
{
    for (int t = TRANSPORT_UNSAID + 1; t < TRANSPORTS; t++)
        if (strcmp(word, transport_word((enum transport)t)) == 0)
            return (enum transport)t;
    return TRANSPORT_UNSAID;
}

enum tls_pq connect_settings_pq(const struct connect_settings *s)
{
    const char *word = s->value[SETTING_PQ];
    return word == NULL ? TLS_PQ_UNSAID : tls_pq_read(word, strlen(word));
}

int connect_settings_take(struct connect_settings *s, int option, const char *verb)
{
    CHECK(option >= CONNECT_OPTION_SETTING && option < CONNECT_OPTION_SETTING + SETTINGS);
    int which = option - CONNECT_OPTION_SETTING;
    if (which == SETTING_TRANSPORT && find_transport(optarg) == TRANSPORT_UNSAID)
        return cmd_misused(verb, "--transport %s: expected auto, quic or tcp", optarg);
    if (which == SETTING_PQ && tls_pq_read(optarg, strlen(optarg)) == TLS_PQ_UNSAID)
        return cmd_misused(verb, "--pq %s: expected prefer, require or off", optarg);
    struct ech_setting ignored;
    if (which == SETTING_ECH && !ech_setting_read(optarg, &ignored))
        return cmd_misused(verb, "--ech '%s': expected " ECH_SETTING_WORDS, optarg);
    if (*optarg == '\0')
        return cmd_misused(verb, "%s '': it says nothing; leave it out, or give a value", flags[which]);
    s->value[which] = optarg;
    return -1;
}

/* A variable that is set to nothing counts as not set. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

char *connect_settings_path(const char *name)
{
    struct buf b = {0};
    const char *config = variable("XDG_CONFIG_HOME"), *home = variable("HOME");
    if (config == NULL && home == NULL)
        return NULL;
    CHECK(buf_printf(&b, "%s%s/cardea/%s", config != NULL ? config : home, config != NULL ? "" : "/.config",
                     name));
    return buf_text(&b);
}

void connect_settings_fill(struct connect_settings *s, enum connect_setting which, const char *value)
{
    if (s->value[which] == NULL)
        s->value[which] = value;
}

static void fill_from_file(struct connect_settings *s, enum connect_setting which, const char *value)
{
    s->from_file[which] = s->from_file[which] || (s->value[which] == NULL && value != NULL);
    connect_settings_fill(s, which, value);
}

/* Returns -1 to go on, or an exit status. */
static int read_file(struct connect_settings *s)
{
    struct buf errors = {0};
    s->path = connect_settings_path("config.yaml");
    if (s->path == NULL || access(s->path, F_OK) != 0)
        return -1;
    s->file = client_config_load(s->path, &errors);
    if (s->file == NULL)
        fputs(buf_text(&errors), stderr);
    buf_free(&errors);
    if (s->file == NULL)
        return CMD_FAILED;
    fill_from_file(s, SETTING_DOOR, s->file->door.text.text);
    fill_from_file(s, SETTING_CERT, s->file->cert.text);
    fill_from_file(s, SETTING_KEY, s->file->key.text);
    fill_from_file(s, SETTING_CA, s->file->ca.text);
    fill_from_file(s, SETTING_SERVICE_CA, s->file->service_ca.text);
    fill_from_file(s, SETTING_NAME, s->file->name.text);
    fill_from_file(s, SETTING_TRANSPORT, transport_word(s->file->transport));
    fill_from_file(s, SETTING_PQ, tls_pq_word(s->file->pq));
    fill_from_file(s, SETTING_ECH, s->file->ech.text);
    fill_from_file(s, SETTING_DOH, s->file->doh.text);
    fill_from_file(s, SETTING_DOH_CA, s->file->doh_ca.text);
    fill_from_file(s, SETTING_DOH_PROXY, s->file->doh_proxy.text);
    fill_from_file(s, SETTING_DOH_CONFIGS, s->file->doh_configs.text);
    return -1;
}

/* A file of ours that is there; NULL. The caller frees it. */
static char *find_kept(const char *name)
{
    char *path = connect_settings_path(name);
    if (path != NULL && access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static const char *some(const char *text)
{
    return *text != '\0' ? text : NULL;
}

/* Where nobody names a door, it is the one that the login is from, by its name and its CA. */
static void fill_door_from_login(struct connect_settings *s)
{
    struct err err;
    if (s->login == NULL || s->value[SETTING_DOOR] != NULL)
        return;
    s->kept = calloc(1, sizeof(*s->kept));
    CHECK(s->kept != NULL);
    if (keep_read(s->login, s->kept, &err) <= 0) /* connect_settings_check_login() says why */
        return;
    fill_from_file(s, SETTING_DOOR, some(s->kept->door));
    fill_from_file(s, SETTING_NAME, some(s->kept->name));
    fill_from_file(s, SETTING_CA, some(s->kept->ca));
}

void connect_settings_fill_login_ca(struct connect_settings *s)
{
    if (s->login_ca == NULL && s->value[SETTING_CA] == NULL)
        s->login_ca = find_kept(CONNECT_LOGIN_CA);
    fill_from_file(s, SETTING_CA, s->login_ca);
}

/* Where nobody names a certificate, that of the login will do. */
static void fill_from_login(struct connect_settings *s)
{
    bool none = s->value[SETTING_CERT] == NULL && s->value[SETTING_KEY] == NULL;
    s->login = none ? find_kept(CONNECT_LOGIN) : NULL;
    fill_from_file(s, SETTING_CERT, s->login);
    fill_from_file(s, SETTING_KEY, s->login);
    fill_door_from_login(s);
    connect_settings_fill_login_ca(s);
}

int connect_settings_check_login(const struct connect_settings *s)
{
    char until[PEM_TIME_MAX];
    struct err err = {""};
    struct keep keep;
    if (s->login == NULL)
        return -1;
    if (keep_read(s->login, &keep, &err) < 0)
        return cmd_failed("%s", err.text);
    if (keep.until > clock_wall() / NSEC_PER_SEC)
        return -1;
    return cmd_failed("the login of %s ended at %s: run 'cardea login'", keep.user,
                      pem_time_text(keep.until, until));
}

int connect_settings_complete_door(struct connect_settings *s, const char *verb)
{
    for (int i = 0; i < SETTINGS; i++)
        connect_settings_fill(s, (enum connect_setting)i, variable(variables[i]));
    const char *transport = s->value[SETTING_TRANSPORT]; /* a flag or a file has been judged already */
    if (transport != NULL && find_transport(transport) == TRANSPORT_UNSAID)
        return cmd_misused(verb, "CARDEA_TRANSPORT=%s: expected auto, quic or tcp", transport);
    if (s->value[SETTING_PQ] != NULL && connect_settings_pq(s) == TLS_PQ_UNSAID)
        return cmd_misused(verb, "CARDEA_PQ=%s: expected prefer, require or off", s->value[SETTING_PQ]);
    return read_file(s);
}

int connect_settings_complete(struct connect_settings *s, const char *verb)
{
    int status = connect_settings_complete_door(s, verb);
    if (status < 0)
        fill_from_login(s);
    return status < 0 ? connect_settings_check(s, verb) : status;
}

const char *connect_settings_file(const struct connect_settings *s)
{
    return s->path != NULL ? s->path : "~/.config/cardea/config.yaml";
}

int connect_settings_check(const struct connect_settings *s, const char *verb)
{
    if (s->value[SETTING_DOOR] == NULL)
        return cmd_misused(verb,
                           "which door? Give --door HOST:PORT, set CARDEA_DOOR, write 'door: HOST:PORT' "
                           "into %s, or run 'cardea login'",
                           connect_settings_file(s));
    if ((s->value[SETTING_CERT] == NULL) != (s->value[SETTING_KEY] == NULL))
        return cmd_misused(verb, "a certificate and its key go together: %s is missing",
                           s->value[SETTING_KEY] == NULL ? "--key (CARDEA_KEY)" : "--cert (CARDEA_CERT)");
    return -1;
}

struct client_settings connect_settings_client(const struct connect_settings *s)
{
    const char *transport = s->value[SETTING_TRANSPORT];
    return (struct client_settings){
        .door = s->value[SETTING_DOOR],
        .cert = s->value[SETTING_CERT],
        .key = s->value[SETTING_KEY],
        .ca = s->value[SETTING_CA] != NULL ? s->value[SETTING_CA] : "system",
        .service_ca = s->value[SETTING_SERVICE_CA],
        .name = s->value[SETTING_NAME],
        .ech = s->value[SETTING_ECH],
        .doh = {.url = s->value[SETTING_DOH],
                .ca = s->value[SETTING_DOH_CA],
                .proxy = s->value[SETTING_DOH_PROXY],
                .configs = s->value[SETTING_DOH_CONFIGS]},
        .alpn = WIRE_ALPN,
        .transport = transport != NULL ? find_transport(transport) : TRANSPORT_AUTO,
        .pq = connect_settings_pq(s),
    };
}

void connect_settings_free(struct connect_settings *s)
{
    client_config_free(s->file);
    free(s->path);
    free(s->login);
    free(s->login_ca);
    free(s->kept);
}
