/* SPDX-License-Identifier: Apache-2.0 */
/* What the forms of `cardea ca` share. */
#ifndef CARDEA_CMD_CA_H
#define CARDEA_CMD_CA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ca/authority.h"
#include "cmd/secret.h"

#define CA_LIST_MAX 64

struct ca_list {
    const char *at[CA_LIST_MAX];
    size_t len;
};

/* What the command line says; NULL, 0 or false: nothing. */
struct ca_options {
    const char *dir, *passphrase_file, *root_passphrase_file;
    const char *root_key, *intermediate_key, *ssh_user_key, *ssh_host_key; /* URIs; with renew also a file */
    const char *name, *url, *replace, *out;
    const char *ssh, *id, *force_command, *source_address; /* with issue */
    const char *head;
    const char *user;  /* with approve */
    int64_t code_life; /* with user: seconds */
    struct ca_list permits, groups, principals;
    struct ca_list words; /* those that are no options */
    enum ca_profile profile;
    enum key_kind key;
    enum ca_reason reason;
    int64_t lifetime;                                    /* seconds */
    const char *new_root_key, *new_root_passphrase_file; /* with renew --root */
    bool key_given, same_key, generate, root;
    bool json, all, krl, der, must_staple, no_pty, no_forwarding;
};

/* Read the command line of a form (argv[0] its name) and run it. Returns the exit status. */
int ca_run_form(int argc, char **argv);

/* The forms. Each prints what went wrong and returns the exit status. */
int ca_init(const struct ca_options *o);
int ca_renew(const struct ca_options *o);
int ca_renew_root(const struct ca_options *o); /* of renew, with --root; ca_root.c */
int ca_issue_form(const struct ca_options *o);
int ca_issue_ssh(const struct ca_options *o);
int ca_sign(const struct ca_options *o);
int ca_revoke(const struct ca_options *o);
int ca_list_form(const struct ca_options *o);
int ca_crl(const struct ca_options *o);
int ca_audit(const struct ca_options *o);
int ca_show(const struct ca_options *o);
int ca_set(const struct ca_options *o);
int ca_user(const struct ca_options *o); /* ca_accounts.c */
int ca_pending(const struct ca_options *o);
int ca_approve(const struct ca_options *o);
int ca_refuse(const struct ca_options *o);

/* The folder of the CA: --dir, CARDEA_CA_DIR, or where we are. */
const char *ca_folder(const struct ca_options *o);

/* Of a CA's keys. */
extern const struct secret_kind ca_passphrase;

/* One out of `file`; where that is NULL it is asked at the terminal. -1 with `err`. */
int ca_get_passphrase(const char *file, const char *prompt, struct secret *ret, struct err *err);

/* What opens keys, as it is asked for; to be wiped with ca_forget_secrets(). */
struct ca_secrets {
    struct secret passphrase, pin;
};

struct key_secrets ca_secrets_of(const struct ca_secrets *s);
void ca_forget_secrets(struct ca_secrets *s);

/* Those that unlock `a`: out of --passphrase-file, or asked at the terminal; none where none is needed. -1
 * with `err`. */
int ca_ask_secrets(const struct authority *a, const struct ca_options *o, struct ca_secrets *ret,
                   struct err *err);

/* The PIN of a token, asked at the terminal after `prompt` where one of these URIs does not say where it is;
 * NULL is none. -1 with `err`. */
int ca_ask_pin(const char *const *uris, size_t n, const char *prompt, struct secret *ret, struct err *err);

/* Open the CA of --dir; with `unlock` its keys too, for which a passphrase may be asked. NULL after telling
 * why. */
struct authority *ca_open(const struct ca_options *o, bool unlock);

/* What opens the root's key, wherever it is. -1 with `err`. */
int ca_ask_root(const struct authority *a, const struct ca_options *o, struct ca_secrets *ret,
                struct err *err);

/* The time now, in seconds; and who asks, for the log ("cli:USER"). */
int64_t ca_now(void);
const char *ca_who(char text[64]);

/* What was issued: as an object, and told in a line. */
json_t *ca_entry_json(const struct authority_entry *e);
int ca_tell_issued(struct authority *a, const struct ca_serial *serial, const char *files, bool json);

/* Print an object and free it. Returns CMD_OK. */
int ca_print_json(json_t *object);

/* Say on standard error that the root or the intermediate is near its end, and what to do, if that is so. */
void ca_warn_of_end(const struct authority *a);

/* "89d", "5h", "12m", "expired". Returns `text`. */
const char *ca_left(int64_t until, int64_t now, char text[32]);

#endif
