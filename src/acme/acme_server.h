/* SPDX-License-Identifier: Apache-2.0 */
/* An ACME server (RFC 8555, with RFC 8738, RFC 9773 and draft-ietf-acme-profiles) without sockets and without
 * a clock: a request in, an answer out, at `now` (seconds since 1970). What it knows is in a database. It
 * hands out what is to be looked at (acme_server_next()) and is told what was seen (acme_server_validated());
 * who looks is acme/validate.h. It belongs to one thread. doc/internals/acme.md says more. */
#ifndef CARDEA_ACME_ACME_SERVER_H
#define CARDEA_ACME_ACME_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hostname.h"
#include "ca/ca.h"
#include "web/web.h"

struct acme_server;
struct evp_pkey_st;

#define ACME_NAMES_MAX 100  /* identifiers of one order; a certificate holds no more than that well */
#define ACME_ID_MAX 24      /* bytes of an object's id with its NUL */
#define ACME_SOURCE_MAX 64  /* of an address in text (net/addr.h) */
#define ACME_TOKEN_MAX 44   /* of a challenge's token */
#define ACME_EAB_ID_MAX 128 /* of the id of a key of external account binding */

enum acme_challenge {
#define CHALLENGE(NAME, word, wildcard, ip) ACME_##NAME,
#include "tables/acme_challenges.def"
#undef CHALLENGE
    ACME_CHALLENGES
};

const char *acme_challenge_name(enum acme_challenge c);

enum acme_problem {
#define PROBLEM(NAME, word, status) ACME_##NAME,
#include "tables/acme_problems.def"
#undef PROBLEM
    ACME_PROBLEMS
};

/* A kind of certificate that can be ordered. */
struct acme_profile {
    const char *name;
    const char *text;     /* for people, in the directory */
    enum ca_profile kind; /* CA_PROFILE_SERVER, _CLIENT or _AGENT */
    int64_t lifetime;     /* seconds: what is given unless less is asked for */
};

/* Who may enrol what. The first rule that fits an order as a whole permits it. Lists are NULL-terminated;
 * NULL is: all. */
struct acme_rule {
    const char *const *accounts; /* "eab:PATTERN": bound by a key of that id; "key:THUMBPRINT" (RFC 7638) */
    const char *const *profiles; /* names */
    const char *const *names;    /* patterns, of DNS names and of addresses in text */
    const char *const *groups;   /* that its certificates have, as the OU of their subject; NULL: none */
    bool trusted; /* the account is proof enough: no challenge is set. For devices and agents */
};

/* Numbers that bound what strangers can do. 0 stands for the default behind each. */
struct acme_limits {
    uint32_t accounts;            /* in all; 100,000 */
    uint32_t accounts_per_source; /* new ones in an hour from an address (IPv6: a /64); 20 */
    uint32_t orders;              /* that are not finished, in all, a tenth from one address; 10,000 */
    uint32_t orders_per_account;  /* new ones in an hour; 100 */
    uint32_t failures;            /* failed validations of an account and a name in an hour; 5 */
    uint32_t names;               /* of an order; ACME_NAMES_MAX, which is the most */
    uint32_t certificates;        /* that are kept, in all, a tenth for one address; 1,000,000 */
    uint32_t waiting_per_account; /* challenges that wait to be looked at; 200, two large orders */
    uint32_t waiting_per_source;  /* the same of all accounts from an address; 1,000 */
    int64_t pending; /* seconds that an order, and what is to be proven for it, may take; an hour */
    int64_t idle;    /* seconds without an order behind which an account without certificates goes; 90 days */
};

/* What is to be certified: names were proven or are trusted. */
struct acme_certify {
    struct evp_pkey_st *key;
    enum ca_profile kind;
    const char *name; /* CN, or NULL */
    const char *const *sans;
    size_t sans_len;
    const char *const *groups;
    size_t groups_len;
    bool must_staple; /* asks for the TLS feature of RFC 7633 */
    int64_t now;
    int64_t not_before; /* 0: `now`, and a little before */
    int64_t lifetime;   /* seconds */
    const char *who;    /* "acme:ACCOUNT" */
};

enum acme_revoked { ACME_REVOKED, ACME_WAS_REVOKED, ACME_NOT_OURS, ACME_REVOKE_FAILED };

/* Whoever issues. */
struct acme_issuer {
    void *arg;
    /* Could it have these names? `what` has them and the groups, and no more. -1 with `err`, which the client
     * is told. */
    int (*check)(void *arg, const struct acme_certify *what, struct err *err);
    /* Append the chain in PEM, the certificate first. -1 with `err`: nothing was issued. */
    int (*issue)(void *arg, const struct acme_certify *what, struct buf *ret_chain_pem, struct err *err);
    /* When it was revoked, by whomever (0: it is not), and up to when all that was issued is to be replaced
     * (0: nothing). -1 with `err`. */
    int (*look)(void *arg, const struct ca_serial *serial, int64_t *ret_revoked, int64_t *ret_replace,
                struct err *err);
    /* Revoke, for a reason of RFC 5280, 5.3.1 that can not be taken back. `err` with ACME_REVOKE_FAILED. */
    enum acme_revoked (*revoke)(void *arg, const struct ca_serial *serial, int reason, const char *who,
                                int64_t now, struct err *err);
};

/* The secret of a key of external account binding. False: there is none of that id. */
typedef bool acme_eab_fn(void *arg, struct str id, struct buf *ret_secret);

/* All is borrowed, and outlives the server. */
struct acme_server_params {
    const char *url;  /* where it is, for the outside: "https://ca.example.com/acme" */
    const char *path; /* the database; its folder is there */
    struct acme_issuer issuer;
    const struct acme_profile *profiles; /* the first is given where none is asked for */
    size_t profiles_len;
    const struct acme_rule
        *rules; /* none: whoever proves a name gets a server certificate for it, no other */
    size_t rules_len;
    struct acme_limits limits;
    bool challenges[ACME_CHALLENGES]; /* that can be carried out */
    const char *terms;                /* URL of the terms of service, or NULL */
    const char *website;
    const char *caa; /* the name by which CAA records mean this CA, or NULL */
    bool eab_required;
    acme_eab_fn *eab; /* NULL: there are no keys */
    void *eab_arg;
};

/* Open or make the database. NULL with `err`. */
struct acme_server *acme_server_new(const struct acme_server_params *params, struct err *err);

/* Go by these from now on, which are of the same database and of a URL as acme_server_new() takes it. */
void acme_server_take(struct acme_server *s, const struct acme_server_params *params);

/* NULL is allowed. */
void acme_server_free(struct acme_server *s);

/* Does this path belong to it (it begins with that of `url`)? */
bool acme_server_has(const struct acme_server *s, struct str path);

/* Answer a request. There is always an answer; -1 where it is that something is wrong here (status 500), with
 * `err` saying what, for the operator. */
int acme_server_answer(struct acme_server *s, const struct web_request *request, int64_t now,
                       struct web_answer *ret, struct err *err);

/* Something to look at for a challenge. */
struct acme_check {
    char id[ACME_ID_MAX];
    enum acme_challenge type;
    bool ip;                      /* `name` is an address */
    char name[HOSTNAME_MAX + 1];  /* without "*." */
    char source[ACME_SOURCE_MAX]; /* where the account is from */
    char token[ACME_TOKEN_MAX];
    char key_authorization[ACME_TOKEN_MAX + 44];
};

/* The next one that nobody looks at: 1; 0: there is none; -1 with `err`. Sources take turns, and the accounts
 * from one source do. Whoever takes one says within two minutes what was seen: then it is handed out again.
 */
int acme_server_next(struct acme_server *s, int64_t now, struct acme_check *ret, struct err *err);

/* What was seen: `ok`, or the problem with a text for the client, which quotes little of what a stranger has
 * said. An id that is gone is let be. -1 with `err`. */
int acme_server_validated(struct acme_server *s, const char *id, bool ok, enum acme_problem problem,
                          const char *text, int64_t now, struct err *err);

/* It could not be looked at for now, since too much goes to the same place: hand it out again in a while,
 * which is the longer the more its account waits for. An id that is gone is let be. -1 with `err`. */
int acme_server_postpone(struct acme_server *s, const char *id, int64_t now, struct err *err);

#define ACME_POSTPONED 2 /* seconds at least */

/* Remove what nobody can use any more, up to a bound, so that a call is short. 1: there is more; 0; -1 with
 * `err`. To be called each few minutes. */
int acme_server_sweep(struct acme_server *s, int64_t now, struct err *err);

#endif
