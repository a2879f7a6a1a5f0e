/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea ca init` and `renew`: what the root signs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cert/pem.h"
#include "cert/pkcs11.h"
#include "cmd/ca.h"
#include "cmd/cmd.h"
#include "cmd/secret.h"

/* ---- init ---- */

struct init_secrets {
    struct secret root, other, pin;
};

static int take_root(const struct ca_options *o, struct secret *ret, struct err *err)
{
    return o->root_passphrase_file != NULL
               ? secret_read(ret, &ca_passphrase, o->root_passphrase_file, err)
               : secret_ask_new(ret, &ca_passphrase, "New passphrase for the key of the root", err);
}

static int take_secrets(const struct ca_options *o, struct init_secrets *ret, struct err *err)
{
    const char *const uris[] = {o->root_key, o->intermediate_key, o->ssh_user_key, o->ssh_host_key};
    if (o->passphrase_file != NULL && secret_read(&ret->other, &ca_passphrase, o->passphrase_file, err) < 0)
        return -1;
    if (o->root_key == NULL && take_root(o, &ret->root, err) < 0)
        return -1;
    return ca_ask_pin(uris, ARRAY_LEN(uris), "PIN of the token", &ret->pin, err);
}

static int made(const char *dir, bool in_file)
{
    printf("%s: a CA is made.\n"
           "root.pem is what others trust. Only 'cardea ca renew' needs %s from now on%s.\n",
           dir, in_file ? "root.key" : "the root's key",
           in_file ? ": keep it, and its passphrase, elsewhere" : "");
    return CMD_OK;
}

static int init(const struct ca_options *o, const struct init_secrets *s, struct err *err)
{
    const struct authority_plan plan = {.name = o->name != NULL ? o->name : "cardea",
                                        .key = o->key,
                                        .permitted = o->permits.at,
                                        .permitted_len = o->permits.len,
                                        .url = o->url,
                                        .root_passphrase = secret_text(&s->root),
                                        .passphrase = secret_text(&s->other),
                                        .root_uri = o->root_key,
                                        .intermediate_uri = o->intermediate_key,
                                        .ssh_user_uri = o->ssh_user_key,
                                        .ssh_host_uri = o->ssh_host_key,
                                        .pin = secret_text(&s->pin),
                                        .generate = o->generate};
    return authority_init(o->words.at[0], &plan, ca_now(), err);
}

int ca_init(const struct ca_options *o)
{
    struct init_secrets secrets = {.root.len = 0};
    struct err err;
    int rc = take_secrets(o, &secrets, &err);
    if (rc == 0)
        rc = init(o, &secrets, &err);
    secret_wipe(&secrets.root);
    secret_wipe(&secrets.other);
    secret_wipe(&secrets.pin);
    return rc < 0 ? cmd_failed("%s", err.text) : made(o->words.at[0], o->root_key == NULL);
}

/* ---- renew ---- */

int ca_ask_root(const struct authority *a, const struct ca_options *o, struct ca_secrets *ret,
                struct err *err)
{
    char uri[KEY_URI_MAX];
    enum key_place_kind place = authority_root_key(a, o->root_key, uri);
    const char *const uris[] = {uri};
    if (place == KEY_PLACE_ENCRYPTED)
        return ca_get_passphrase(o->root_passphrase_file, "Passphrase of the root", &ret->passphrase, err);
    return ca_ask_pin(uris, 1, "PIN of the token with the root", &ret->pin, err);
}

/* Is the new key kept as well as the one before? That one does not leave a token for a file without a word.
 */
static int check_new(struct authority *a, const struct ca_options *o, struct err *err)
{
    struct authority_facts facts;
    if (o->same_key || o->key_given || o->intermediate_key != NULL)
        return 0;
    if (authority_look(a, ca_now(), &facts, err) < 0)
        return -1;
    if (facts.intermediate.token[0] == '\0')
        return 0;
    return err_set(err,
                   "the key that issues now is in a token (%s), and the new one would be in a file: give "
                   "--intermediate-key pkcs11:... for one that is in a token (with --generate it is made "
                   "there), --same-key, or --key KIND for one in a file",
                   facts.intermediate.token);
}

/* What the new key needs. It is encrypted where there is a passphrase, be it the first one. A PIN that was
 * asked for to unlock the keys before is that of the same token, most likely. */
static int ask_new(const struct ca_options *o, struct ca_secrets *secrets, struct err *err)
{
    if (!o->same_key && o->intermediate_key == NULL && o->passphrase_file != NULL &&
        secrets->passphrase.len == 0)
        return secret_read(&secrets->passphrase, &ca_passphrase, o->passphrase_file, err);
    return secrets->pin.len > 0 ? 0
                                : ca_ask_pin(&o->intermediate_key, 1, "PIN of the token", &secrets->pin, err);
}

static int renew(struct authority *a, const struct ca_options *o, struct ca_secrets *root,
                 struct ca_secrets *secrets, struct err *err)
{
    char who[64];
    if (check_new(a, o, err) < 0 || ca_ask_secrets(a, o, secrets, err) < 0)
        return -1;
    struct key_secrets given = ca_secrets_of(secrets);
    if (authority_unlock(a, &given, err) < 0 || ca_ask_root(a, o, root, err) < 0 ||
        ask_new(o, secrets, err) < 0)
        return -1;
    const struct authority_renewal renewal = {.same_key = o->same_key,
                                              .any_kind = !o->key_given,
                                              .kind = o->key,
                                              .uri = o->intermediate_key,
                                              .generate = o->generate,
                                              .root_key = o->root_key,
                                              .lifetime = o->lifetime,
                                              .root = ca_secrets_of(root),
                                              .secrets = ca_secrets_of(secrets)};
    return authority_renew(a, &renewal, ca_who(who), ca_now(), err);
}

/* No certificate outlives its issuer. */
static void tell_cut(const struct ca_options *o, int64_t end)
{
    char until[PEM_TIME_MAX];
    fprintf(stderr,
            "cardea: the %slifetime is cut to the end of the root, %s: nothing below it lives longer; "
            "'cardea ca renew --root' makes another root\n",
            o->lifetime == 0 ? "usual " : "", pem_time_text(end, until));
}

/* Opened anew: as every other process will see it. */
static int tell_renewed(const struct ca_options *o)
{
    struct authority_facts facts;
    struct authority_issuer issuer;
    char until[PEM_TIME_MAX];
    struct err err;
    struct authority *a = ca_open(o, false);
    if (a == NULL)
        return CMD_FAILED;
    if (authority_look(a, ca_now(), &facts, &err) < 0) {
        authority_close(a);
        return cmd_failed("%s", err.text);
    }
    CHECK(authority_issuer(a, 0, &issuer));
    pem_time_text(facts.intermediate.not_after, until);
    bool cut = facts.intermediate.not_after == facts.root.not_after;
    if (cut)
        tell_cut(o, facts.root.not_after);
    if (o->json)
        ca_print_json(json_pack("{s:s, s:s, s:s, s:b, s:s}", "file", facts.intermediate.file, "name",
                                facts.intermediate.name, "not_after", until, "cut", cut, "crl",
                                issuer.suffix));
    else
        printf("%s: %s issues now, until %s%s\n"
               "A door that has this CA takes it when it is reloaded: cardea reload\n"
               "The one before goes on signing CRLs and OCSP answers. Whoever copies CRLs takes all: crl.pem "
               "of the door, or 'cardea ca crl'.\n",
               facts.intermediate.file, facts.intermediate.name, until,
               cut ? ", which is the end of the root" : "");
    authority_close(a);
    return CMD_OK;
}

int ca_renew(const struct ca_options *o)
{
    struct ca_secrets root = {.passphrase.len = 0}, secrets = {.passphrase.len = 0};
    struct err err;
    if (o->root)
        return ca_renew_root(o);
    if (o->new_root_key != NULL || o->new_root_passphrase_file != NULL)
        return cmd_misused("ca", "--new-root-key and --new-root-passphrase-file go with --root");
    if (o->same_key && (o->key_given || o->intermediate_key != NULL || o->generate))
        return cmd_misused("ca",
                           "--same-key leaves the key as it is: --key, --intermediate-key and --generate "
                           "are for another one");
    if (o->generate && o->intermediate_key == NULL)
        return cmd_misused("ca", "generate where? Give --intermediate-key pkcs11:...");
    struct authority *a = ca_open(o, false);
    if (a == NULL)
        return CMD_FAILED;
    int rc = renew(a, o, &root, &secrets, &err);
    ca_forget_secrets(&root);
    ca_forget_secrets(&secrets);
    authority_close(a);
    return rc < 0 ? cmd_failed("%s", err.text) : tell_renewed(o);
}
