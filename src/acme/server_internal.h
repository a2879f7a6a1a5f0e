/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the ACME server share. A handler answers a call in one of two ways: with what was asked
 * for, or with a problem. Helpers that can end a call say false then, and the handler only returns. */
#ifndef CARDEA_ACME_SERVER_INTERNAL_H
#define CARDEA_ACME_SERVER_INTERNAL_H

#include <jansson.h>

#include "acme/acme_server.h"
#include "acme/nonce.h"
#include "jose/jwk.h"
#include "jose/jws.h"
#include "state/state.h"

#define ACME_SERVER_MAGIC 0xac3e5e4fu
#define ACME_URL_MAX 512
#define ACME_HOUR 3600
#define ACME_DAY (24 * ACME_HOUR)
#define ACME_PROVEN_LIFETIME ACME_DAY /* how long a proof may serve further orders */
#define ACME_SERIAL_TEXT (2 * CA_SERIAL_MAX + 1)

struct acme_server {
    uint32_t magic;
    const struct acme_server_params *params;
    struct acme_limits limits; /* with their defaults */
    const char *path;          /* that of params->url: "/acme" */
    struct state *state;
    struct acme_nonces *nonces;
    char looked_for[ACME_SOURCE_MAX]; /* the source whose challenge was handed out last */
    char swept[ACME_ID_MAX];          /* the account that the sweep has come to */
    int64_t certificates;             /* how many there are; counted with each sweep */
};

/* What objects can be (RFC 8555, 7.1.6); as numbers in the database, so the order stays. */
enum acme_status {
    ACME_PENDING,
    ACME_READY,
    ACME_PROCESSING,
    ACME_VALID,
    ACME_INVALID,
    ACME_DEACTIVATED,
    ACME_EXPIRED,
    ACME_REVOKED_STATUS,
    ACME_STATUSES
};

const char *acme_status_name(enum acme_status s);

struct acme_account {
    char id[ACME_ID_MAX];
    char thumbprint[JWK_THUMBPRINT_MAX];
    char eab[ACME_EAB_ID_MAX + 1]; /* "": not bound */
    enum acme_status status;
    struct evp_pkey_st *key;
    enum { ACME_BINDING_UNKNOWN, ACME_BOUND, ACME_UNBOUND } binding; /* see acme_permit() */
};

enum acme_signer { ANYBODY, BY_KEY, BY_ACCOUNT, BY_EITHER };

struct acme_call;
typedef void acme_handler(struct acme_call *c);

struct acme_resource {
    const char *path;
    const char *listed; /* in the directory, or NULL */
    bool has_id;
    enum acme_signer signer;
    acme_handler *answer;
};

enum acme_resource_id {
#define RESOURCE(NAME, path, listed, has_id, signer, function) ACME_AT_##NAME,
#include "tables/acme_resources.def"
#undef RESOURCE
    ACME_RESOURCES
};

extern const struct acme_resource acme_resources[ACME_RESOURCES];

/* A request on its way. */
struct acme_call {
    struct acme_server *s;
    const struct web_request *request;
    struct web_answer *answer;
    int64_t now;
    const struct acme_resource *resource;
    struct str id; /* behind the resource's path; not looked at yet */
    struct jws jws;
    struct evp_pkey_st *key;     /* that has signed the request; the account's where there is one */
    struct acme_account account; /* id "": the request is signed by a key of no account */
    json_t *payload;             /* an object; NULL: POST-as-GET */
    bool writing;                /* in a transaction */
    bool broken;                 /* `err` says what is wrong here */
    struct err err;
};

#define RESOURCE(NAME, path, listed, has_id, signer, function) acme_handler function;
#include "tables/acme_resources.def"
#undef RESOURCE

/* ---- answers (answer.c) ---- */

/* Answer with a problem document (RFC 7807; RFC 8555, 6.7); text printf style. Always false. */
bool acme_problem(struct acme_call *c, enum acme_problem p, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with subproblems (RFC 8555, 6.7.1), an array that is taken over; NULL or empty: none. */
bool acme_problem_of(struct acme_call *c, enum acme_problem p, json_t *subproblems, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A problem document as an object; of an identifier unless `type` is NULL. */
json_t *acme_problem_json(enum acme_problem p, const char *text, const char *type, const char *name);

/* Something is wrong here: c->err says what. The client is told no more than that. Always false. */
bool acme_broken(struct acme_call *c);

/* Too many of something: try again in `seconds`. Always false. */
bool acme_too_many(struct acme_call *c, int64_t seconds, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Answer with JSON, which is taken over; NULL: memory is out. */
void acme_json(struct acme_call *c, unsigned status, json_t *object);

/* JSON as text, for the caller to free(), which is our own and not the library's; NULL when memory is out. */
char *acme_json_text(const json_t *object);

/* The URL of an object of ours. Returns `ret`. */
const char *acme_url(const struct acme_server *s, enum acme_resource_id at, const char *id,
                     char ret[ACME_URL_MAX]);

/* ---- database (acme_db.c) ---- */

struct state *acme_db_open(const char *path, struct err *err);

/* Begin a statement with its parameters, one letter each in `types`: 's' const char * (NULL: null), 'i'
 * int64_t. NULL with `err`. */
struct state_query *acme_ask(struct acme_server *s, struct err *err, const char *sql, const char *types, ...);

/* Run one that gives no rows. -1 with `err`. */
int acme_run(struct acme_server *s, struct err *err, const char *sql, const char *types, ...);

/* The number that one gives in its only row. -1 with `err`. */
int acme_count(struct acme_server *s, struct err *err, int64_t *ret, const char *sql, const char *types, ...);

/* Transactions of a call; one that has not been committed is undone when the call ends. False: broken. */
bool acme_begin(struct acme_call *c);
bool acme_commit(struct acme_call *c);

/* A column's text, cut where it does not fit. */
void acme_column(const struct state_query *q, int column, char *ret, size_t cap);

/* A new id: 128 bits that nobody guesses, in base64url. */
void acme_new_id(char ret[ACME_ID_MAX]);

/* ---- accounts (account.c) ---- */

/* Load one by its id or by its key. 1; 0: there is none; -1 with `err`. Free with acme_account_free(). */
int acme_account_by_id(struct acme_server *s, struct str id, struct acme_account *ret, struct err *err);
int acme_account_by_key(struct acme_server *s, const char *thumbprint, struct acme_account *ret,
                        struct err *err);
void acme_account_free(struct acme_account *a);

/* ---- who may what (permit.c) ---- */

/* An identifier. */
struct acme_name {
    bool ip;
    bool wildcard;
    char text[HOSTNAME_MAX + 1]; /* lower case, without "*."; an address in its canonical form */
};

#define ACME_NAME_TEXT (HOSTNAME_MAX + 3)

/* As the client has it, with "*.". Returns `ret`. */
const char *acme_name_text(const struct acme_name *n, char ret[ACME_NAME_TEXT]);

const char *acme_name_type(const struct acme_name *n); /* "dns" or "ip" */

/* The rule that permits all of it; NULL: none does. The account notes whether the key that it is bound by
 * still is one, which is asked once. */
const struct acme_rule *acme_permit(const struct acme_server *s, struct acme_account *account,
                                    const struct acme_profile *profile, const struct acme_name *names,
                                    size_t count);

/* Does a rule name the key of that thumbprint? */
bool acme_rules_name(const struct acme_server *s, const char *thumbprint);

const struct acme_profile *acme_profile_named(const struct acme_server *s, const char *name);

/* ---- orders (order.c) ---- */

struct acme_order {
    int64_t number; /* its key in the database */
    char id[ACME_ID_MAX];
    enum acme_status status;
    int64_t expires;
    int64_t not_before, not_after;      /* 0: not asked for */
    const struct acme_profile *profile; /* NULL: there is no such one any more */
    char profile_name[64];
    char replaces[ACME_URL_MAX];
    char certificate[ACME_ID_MAX];
    char *error; /* a problem document, or NULL */
    struct acme_name *names;
    size_t names_len;
};

/* The caller's order of that id; false: the call is answered. Free with acme_order_free() in any case. */
bool acme_order_load(struct acme_call *c, struct str id, struct acme_order *ret);
void acme_order_free(struct acme_order *o);

/* Answer with it as it is now. */
void acme_order_answer(struct acme_call *c, unsigned status, const struct acme_order *o);

/* Identifiers as JSON (RFC 8555, 7.1.3), and those of the database back. The caller frees; false: not ours.
 */
json_t *acme_names_json(const struct acme_name *names, size_t count);
bool acme_names_load(struct str json, struct acme_name **ret, size_t *ret_count);

/* Read one as a client sends it: a DNS name, perhaps with "*.", or an address. False with what is wrong. */
bool acme_name_read(const char *type, const char *value, struct acme_name *ret,
                    enum acme_problem *ret_problem, const char **ret_why);

bool acme_name_equal(const struct acme_name *a, const struct acme_name *b);

/* Set what follows for orders when this authorization has become valid, or never will (then `problem` is why,
 * a problem document, or NULL); it is not looked at any more. -1 with `err`. */
int acme_orders_follow(struct acme_server *s, const char *authorization, bool valid, const char *problem,
                       struct err *err);

/* ---- authorizations (authorization.c) ---- */

/* Is this challenge offered here, and can it prove such a name? */
bool acme_can_prove(const struct acme_server *s, enum acme_challenge type, const struct acme_name *name);

/* The authorization for a name of an account: one that is proven already, or a new one with its challenges,
 * valid at once where `trusted`. -1 with `err`. */
int acme_authorization_make(struct acme_call *c, const struct acme_name *name, bool trusted,
                            char ret[ACME_ID_MAX], bool *ret_valid);

/* ---- looks (looks.c) ---- */

/* A challenge of the caller's is to be looked at. False: the call is answered, for too many wait already. */
bool acme_look_ask(struct acme_call *c, const char *challenge, const char *authorization, int64_t expires);

/* Nothing of this authorization, or of this account, is to be looked at any more. -1 with `err`. */
int acme_look_forget(struct acme_server *s, const char *authorization, struct err *err);
int acme_look_forget_account(struct acme_server *s, const char *account, struct err *err);

/* ---- certificates ---- */

/* Count them, which takes too long to be done for each order. -1 with `err`. */
int acme_certificates_count(struct acme_server *s, struct err *err);

/* Would the CA certify the names of this order, under this rule? False: the call is answered. */
bool acme_certifiable(struct acme_call *c, const struct acme_order *o, const struct acme_rule *rule);

/* May an order for these names replace that certificate (RFC 9773, 5)? False: the call is answered. */
bool acme_replaces_check(struct acme_call *c, const char *certid, const struct acme_name *names,
                         size_t count);

/* Append the id by which RFC 9773, 4.1 calls a certificate. False: it has none. */
bool acme_renewal_id(const struct x509_st *cert, struct buf *ret);

/* The first certificate of a PEM text. The caller owns it; NULL with `err`. */
struct x509_st *acme_leaf(const struct buf *pem, struct err *err);

/* The serial number, and as text in hexadecimal. False: longer than one may be. */
bool acme_serial(const struct x509_st *cert, struct ca_serial *ret, char ret_text[ACME_SERIAL_TEXT]);

#endif
