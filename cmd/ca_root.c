/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea ca renew --root`: another root, which the one before vouches for. */
#include <jansson.h>
#include <stdio.h>

#include "cert/pem.h"
#include "cmd/ca.h"
#include "cmd/cmd.h"

/* The new key does not leave a token for a file without a word. */
static int ask_new(const struct authority *a, const struct ca_options *o, const struct ca_secrets *root,
                   struct ca_secrets *ret, struct err *err)
{
    char uri[KEY_URI_MAX];
    if (o->new_root_key != NULL)
        return ca_ask_pin(&o->new_root_key, 1, "PIN of the token", &ret->pin, err);
    if (o->new_root_passphrase_file != NULL)
        return secret_read(&ret->passphrase, &ca_passphrase, o->new_root_passphrase_file, err);
    if (authority_root_key(a, o->root_key, uri) == KEY_PLACE_ENCRYPTED) {
        ret->passphrase = root->passphrase;
        return 0;
    }
    return err_set(
        err, "the key of the root is in a token, and the new one would be in a file: give --new-root-key "
             "pkcs11:... for one that is in a token (with --generate it is made there), or "
             "--new-root-passphrase-file for one in a file");
}

static int renew(struct authority *a, const struct ca_options *o, struct ca_secrets *root,
                 struct ca_secrets *fresh, struct err *err)
{
    char who[64];
    if (ca_ask_root(a, o, root, err) < 0 || ask_new(a, o, root, fresh, err) < 0)
        return -1;
    const struct authority_root_renewal renewal = {.any_kind = !o->key_given,
                                                   .kind = o->key,
                                                   .uri = o->new_root_key,
                                                   .generate = o->generate,
                                                   .root_key = o->root_key,
                                                   .lifetime = o->lifetime,
                                                   .root = ca_secrets_of(root),
                                                   .passphrase = secret_text(&fresh->passphrase),
                                                   .pin = secret_text(&fresh->pin)};
    return authority_renew_root(a, &renewal, ca_who(who), ca_now(), err);
}

/* Opened anew: as every other process will see it. */
static int tell(const struct ca_options *o)
{
    struct authority_facts facts;
    char until[PEM_TIME_MAX];
    struct err err;
    struct authority *a = ca_open(o, false);
    if (a == NULL)
        return CMD_FAILED;
    int rc = authority_look(a, ca_now(), &facts, &err);
    authority_close(a);
    if (rc < 0)
        return cmd_failed("%s", err.text);
    pem_time_text(facts.root.not_after, until);
    if (o->json)
        return ca_print_json(json_pack("{s:s, s:s, s:s, s:s}", "file", facts.root.file, "name",
                                       facts.root.name, "not_after", until, "sha256", facts.root.sha256));
    printf("%s: %s, until %s, SHA-256 %s\n"
           "It and the root before vouch for each other. root.pem has both now: give it to whom you gave the "
           "one before, as they come by; who has only one of them believes in what is issued from now on, "
           "too.\n"
           "The door takes it when it is reloaded (cardea reload); the next intermediate is signed by it "
           "(cardea ca renew).\n",
           facts.root.file, facts.root.name, until, facts.root.sha256);
    return CMD_OK;
}

int ca_renew_root(const struct ca_options *o)
{
    struct ca_secrets root = {.passphrase.len = 0}, fresh = {.passphrase.len = 0};
    struct err err;
    if (o->same_key || o->intermediate_key != NULL || o->passphrase_file != NULL)
        return cmd_misused("ca",
                           "--same-key, --intermediate-key and --passphrase-file are for an intermediate, "
                           "and --root makes none: run 'cardea ca renew' after it");
    if (o->generate && o->new_root_key == NULL)
        return cmd_misused("ca", "generate where? Give --new-root-key pkcs11:...");
    if (o->new_root_key != NULL && o->new_root_passphrase_file != NULL)
        return cmd_misused("ca",
                           "--new-root-key is in a token, --new-root-passphrase-file for one in a file");
    struct authority *a = ca_open(o, false);
    if (a == NULL)
        return CMD_FAILED;
    int rc = renew(a, o, &root, &fresh, &err);
    ca_forget_secrets(&root);
    ca_forget_secrets(&fresh);
    authority_close(a);
    return rc < 0 ? cmd_failed("%s", err.text) : tell(o);
}
