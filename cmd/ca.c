/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea ca`: its forms, and what they have in common. */
#include "cmd/ca.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "cert/pem.h"
#include "cert/pkcs11.h"
#include "cmd/cmd.h"

#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)

int cmd_ca(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return cmd_usage("ca", true);
    if (argc < 2)
        return cmd_usage("ca", false);
    return ca_run_form(argc - 1, argv + 1);
}

int64_t ca_now(void)
{
    return clock_wall() / NSEC_PER_SEC;
}

const char *ca_who(char text[64])
{
    const struct passwd *user = getpwuid(getuid());
    if (user != NULL)
        snprintf(text, 64, "cli:%s", user->pw_name);
    else
        snprintf(text, 64, "cli:%u", (unsigned)getuid());
    return text;
}

const struct secret_kind ca_passphrase = {
    "passphrase", "--passphrase-file (of the root: --root-passphrase-file) names a file with it"};

static const struct secret_kind pin_kind = {
    "PIN", "pin-source in the URI of the key names a file with it: pkcs11:...?pin-source=FILE"};

struct key_secrets ca_secrets_of(const struct ca_secrets *s)
{
    return (struct key_secrets){secret_text(&s->passphrase), secret_text(&s->pin)};
}

void ca_forget_secrets(struct ca_secrets *s)
{
    secret_wipe(&s->passphrase);
    secret_wipe(&s->pin);
}

int ca_get_passphrase(const char *file, const char *prompt, struct secret *ret, struct err *err)
{
    return file != NULL ? secret_read(ret, &ca_passphrase, file, err)
                        : secret_ask(ret, &ca_passphrase, prompt, err);
}

int ca_ask_pin(const char *const *uris, size_t n, const char *prompt, struct secret *ret, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (uris[i] != NULL && pkcs11_is_uri(uris[i]) && pkcs11_asks_pin(uris[i]))
            return secret_ask(ret, &pin_kind, prompt, err);
    return 0;
}

int ca_ask_secrets(const struct authority *a, const struct ca_options *o, struct ca_secrets *ret,
                   struct err *err)
{
    int rc = 0;
    if (authority_is_locked(a))
        rc = ca_get_passphrase(o->passphrase_file, "Passphrase of the intermediate", &ret->passphrase, err);
    if (rc == 0 && authority_asks_pin(a))
        rc = secret_ask(&ret->pin, &pin_kind, "PIN of the token", err);
    return rc;
}

static int unlock_with(struct authority *a, const struct ca_options *o, struct err *err)
{
    struct ca_secrets secrets = {.passphrase.len = 0};
    int rc = ca_ask_secrets(a, o, &secrets, err);
    const struct key_secrets given = ca_secrets_of(&secrets);
    if (rc == 0)
        rc = authority_unlock(a, &given, err);
    ca_forget_secrets(&secrets);
    return rc;
}

const char *ca_folder(const struct ca_options *o)
{
    const char *dir = o->dir != NULL ? o->dir : getenv("CARDEA_CA_DIR");
    return dir != NULL ? dir : ".";
}

struct authority *ca_open(const struct ca_options *o, bool unlock)
{
    struct err err;
    struct authority *a = authority_open(ca_folder(o), &err);
    if (a != NULL && unlock && unlock_with(a, o, &err) < 0) {
        authority_close(a);
        a = NULL;
    }
    if (a == NULL)
        cmd_failed("%s", err.text);
    return a;
}

/* ---- telling ---- */

const char *ca_left(int64_t until, int64_t now, char text[32])
{
    int64_t left = until - now;
    if (left <= 0)
        return "expired";
    if (left >= 2 * DAY)
        snprintf(text, 32, "%lldd", (long long)(left / DAY));
    else if (left >= 2 * HOUR)
        snprintf(text, 32, "%lldh", (long long)(left / HOUR));
    else
        snprintf(text, 32, "%lldm", (long long)(left / 60));
    return text;
}

void ca_warn_of_end(const struct authority *a)
{
    const int64_t now = ca_now();
    char left[32];
    struct x509_st *root = authority_root(a), *issuer = authority_intermediate(a);
    if (authority_is_ending(root, now))
        fprintf(
            stderr,
            "cardea: the root is near its end (%s): nothing that it vouches for is good behind that; make "
            "another with 'cardea ca renew --root' in time\n",
            ca_left(authority_end(root), now, left));
    else if (authority_is_ending(issuer, now))
        fprintf(stderr,
                "cardea: the intermediate is near its end (%s), and what it issues ends with it: cardea ca "
                "renew\n",
                ca_left(authority_end(issuer), now, left));
}

static json_t *text_json(struct str s)
{
    json_t *text = json_stringn(s.p, s.len);
    return text != NULL ? text : json_string("?"); /* not UTF-8: of no name that we certify */
}

static json_t *time_json(int64_t seconds)
{
    char text[PEM_TIME_MAX];
    return seconds == 0 ? json_null() : json_string(pem_time_text(seconds, text));
}

json_t *ca_entry_json(const struct authority_entry *e)
{
    char serial[CA_SERIAL_TEXT];
    json_t *names = json_array();
    for (const char *p = e->names.p, *end = p + e->names.len; p < end;) {
        const char *space = memchr(p, ' ', (size_t)(end - p));
        size_t len = (size_t)((space != NULL ? space : end) - p);
        json_array_append_new(names, text_json((struct str){p, len}));
        p += len + 1;
    }
    const char *reason = e->revoked != 0 ? ca_reason_name(e->reason) : NULL;
    json_t *object = json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "serial",
                               ca_serial_text(&e->serial, serial), "ssh", e->ssh, "profile",
                               text_json(e->profile), "name", text_json(e->label), "names", names, "who",
                               text_json(e->who), "not_before", time_json(e->not_before), "not_after",
                               time_json(e->not_after), "revoked", time_json(e->revoked), "reason",
                               reason != NULL ? json_string(reason) : json_null(), "row", (json_int_t)e->row);
    CHECK(object != NULL);
    return object;
}

int ca_print_json(json_t *object)
{
    cmd_print_json(object);
    json_decref(object);
    return CMD_OK;
}

struct tell {
    const char *files;
    bool json;
    int64_t issuer_end;
};

static int tell_entry(void *arg, const struct authority_entry *e, struct err *err)
{
    const struct tell *tell = arg;
    char serial[CA_SERIAL_TEXT], until[PEM_TIME_MAX];
    (void)err;
    if (!e->ssh && e->not_after == tell->issuer_end)
        fprintf(stderr, "cardea: the lifetime is cut to the end of the intermediate: cardea ca renew\n");
    if (tell->json) {
        json_t *object = ca_entry_json(e);
        json_object_set_new(object, "files", json_string(tell->files));
        return ca_print_json(object);
    }
    printf("%s: %.*s, for %.*s%s%.*s, serial %s, until %s\n", tell->files, (int)e->profile.len, e->profile.p,
           (int)e->label.len, e->label.p, e->names.len > 0 ? ": " : "", (int)e->names.len, e->names.p,
           ca_serial_text(&e->serial, serial), pem_time_text(e->not_after, until));
    return 0;
}

int ca_tell_issued(struct authority *a, const struct ca_serial *serial, const char *files, bool json)
{
    struct err err;
    struct tell tell = {.files = files, .json = json, .issuer_end = authority_end(authority_intermediate(a))};
    return authority_find(a, serial, tell_entry, &tell, &err) < 0 ? cmd_failed("%s", err.text) : CMD_OK;
}
