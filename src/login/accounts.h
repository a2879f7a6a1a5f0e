/* SPDX-License-Identifier: Apache-2.0 */
/* Who may log in: a database beside the CA. It holds no password, but what a password can be tried with at
 * leisure by whoever steals it (RFC 9807, 10), and the secret of the OPAQUE server. An administrator's
 * command and the door use it at once. `now` is in seconds since 1970. */
#ifndef CARDEA_LOGIN_ACCOUNTS_H
#define CARDEA_LOGIN_ACCOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "login/code.h"
#include "opaque/opaque.h"

#define ACCOUNT_NAME_MAX 64
#define ACCOUNT_GROUPS_MAX 16
#define ACCOUNT_GROUPS_TEXT (ACCOUNT_GROUPS_MAX * (ACCOUNT_NAME_MAX + 1))
#define ACCOUNT_FAMILIAR_MAX 16 /* sources that an account is known to be used from */
#define ACCOUNT_LIFETIME (INT64_C(4) * 3600)
#define ACCOUNT_LIFETIME_MAX (INT64_C(24) * 3600)
#define ACCOUNT_CODE_LIFE (INT64_C(72) * 3600)

struct accounts;
struct state;

struct account {
    char name[ACCOUNT_NAME_MAX + 1];
    char groups[ACCOUNT_GROUPS_TEXT]; /* a blank between two */
    int64_t lifetime;                 /* of certificates, seconds */
    bool disabled;
    bool has_password;
    uint8_t record[OPAQUE_RECORD]; /* where it has one; secret */
    int64_t code_until;            /* a code to set the password with is out, until then; 0: none is */
    int64_t last_login;            /* with a password or by an administrator; 0: never */
};

/* Of an account or a group: 1 to 64 of a-z 0-9 . _ -, beginning with a letter or a digit. Of a group also
 * A-Z. */
bool account_name_is_sound(struct str name);
bool account_group_is_sound(struct str group);

/* Open `dir`/login.db, or make it, with the secret of the OPAQUE server. NULL with `err`. */
struct accounts *accounts_open(const char *dir, struct err *err);
void accounts_close(struct accounts *a); /* NULL is allowed */

const struct opaque_server *accounts_server(const struct accounts *a);
struct state *accounts_state(const struct accounts *a);

/* Add one without a password. -1 with `err`: there is one, or a name is not sound. `lifetime` 0:
 * ACCOUNT_LIFETIME. */
int accounts_add(struct accounts *a, const char *name, const char *const *groups, size_t groups_len,
                 int64_t lifetime, int64_t now, struct err *err);

/* 1, 0 where there is none, -1 with `err`. */
int accounts_find(struct accounts *a, struct str name, struct account *ret, struct err *err);

/* Called with each, by name; less than 0 stops. */
typedef int account_fn(void *arg, const struct account *account, struct err *err);
int accounts_each(struct accounts *a, account_fn *fn, void *arg, struct err *err);

/* Each of these: 1 done, 0 there is no such account, -1 with `err`. To disable one ends its sessions too:
 * nothing is renewed any more. */
int accounts_set_disabled(struct accounts *a, struct str name, bool disabled, struct err *err);
int accounts_remove(struct accounts *a, struct str name, struct err *err);

/* A code by which the password can be set once until `now` + `life`; a code given before is void. */
int accounts_give_code(struct accounts *a, struct str name, int64_t now, int64_t life,
                       char ret[CODE_TEXT_MAX], struct err *err);

/* The same, and the password and all sessions are void at once. */
int accounts_reset(struct accounts *a, struct str name, int64_t now, int64_t life, char ret[CODE_TEXT_MAX],
                   struct err *err);

/* Is this the code of that account, which is not disabled? 0 also where there is no such account. */
int accounts_code_is_good(struct accounts *a, struct str name, struct str code, int64_t now, struct err *err);

/* Use the code up and keep the record. 0: the code is not good (any more). */
int accounts_set_record(struct accounts *a, struct str name, struct str code,
                        const uint8_t record[OPAQUE_RECORD], int64_t now, struct err *err);

/* Has the account been used from there, lately (90 days)? Errors are a no. */
bool accounts_is_familiar(struct accounts *a, struct str name, struct str source, int64_t now);

#endif
