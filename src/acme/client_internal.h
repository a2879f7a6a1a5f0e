/* SPDX-License-Identifier: Apache-2.0 */
/* What client.c (an errand's life), client_steps.c (what is asked, and what becomes of an answer),
 * client_order.c (orders and proofs) and client_problem.c (what goes wrong) share. */
#ifndef CARDEA_ACME_CLIENT_INTERNAL_H
#define CARDEA_ACME_CLIENT_INTERNAL_H

#include <jansson.h>

#include "acme/client.h"
#include "base/check.h"

#define CLIENT_MAGIC 0xac3ec11eu
#define URL_MAX 2048
#define NONCE_MAX 512
#define PROBLEM_TEXT_MAX 300

enum client_step {
#define STEP(NAME, what, method, make, take) STEP_##NAME,
#include "tables/acme_client_steps.def"
#undef STEP
    STEP_DONE,
    STEP_FAILED,
};

/* One authorization of an order. */
struct client_authorization {
    char *url;
    char *challenge; /* its URL; NULL: there is nothing to prove */
    char *authorization;
    char token[ACME_CLIENT_TOKEN_MAX];
    char name[HOSTNAME_MAX + 1];
    struct acme_client_proof proof;
    bool presented;
    bool responded; /* the CA was told, or knows by itself */
};

struct acme_client {
    uint32_t magic;
    struct acme_client_settings settings;
    const char *replaces, *known_order; /* of the settings, until the CA does not take them */
    enum client_step step;
    size_t at; /* which authorization the step is about */
    int64_t deadline;
    int64_t wait_until;
    unsigned unanswered, nonces_refused, polls;
    bool sent;       /* `request` is being answered */
    bool fresh_kid;  /* the account's URL was got in this errand */
    bool by_the_way; /* the step is done to fetch a nonce; then `step` goes on */

    char nonce[NONCE_MAX]; /* empty: there is none */
    char *new_nonce, *new_account, *new_order, *revoke, *change_key, *renewal_info;
    json_t *profiles;
    bool wants_eab;

    char *account;
    char *order, *finalize, *certificate;
    struct client_authorization authorizations[ACME_CLIENT_NAMES_MAX];
    size_t authorizations_len;

    struct buf payload, body;
    struct buf url;
    struct buf chain;
    struct acme_client_window window;
    struct acme_client_failure failure;
    bool failing;
};

/* What a step asks: its URL and payload go into c->url and c->payload. -1 with `err`: it cannot be asked. */
typedef int client_make_fn(struct acme_client *c, struct err *err);

/* What becomes of an answer with a status of 2xx: goes on to another step, or waits, or fails. */
typedef void client_take_fn(struct acme_client *c, int64_t now, const struct acme_client_answer *a);

enum client_method {
    CLIENT_GET,
    CLIENT_HEAD,
    CLIENT_READ, /* POST-as-GET (RFC 8555, 6.3) */
    CLIENT_POST, /* signed as the account */
    CLIENT_NEW,  /* signed with the account's key itself */
    CLIENT_NONE, /* nothing is sent */
};

struct client_step_row {
    const char *what; /* for errors: "the order" */
    enum client_method method;
    client_make_fn *make;
    client_take_fn *take;
};
const struct client_step_row *client_step_row(enum client_step step);

/* ---- client.c ---- */

void client_go(struct acme_client *c, enum client_step step);

/* Look again later: when the CA says, else after a wait that doubles up to half a minute. */
void client_poll(struct acme_client *c, int64_t now, const struct acme_client_answer *a);

/* It has failed, for the reason in c->failure.why: what is up is taken down first. */
void client_fail(struct acme_client *c, enum acme_client_fault fault, int64_t retry_after);
void client_fail_text(struct acme_client *c, enum acme_client_fault fault, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- client_steps.c ---- */

/* A member that is a text of 1 to `max` - 1 bytes, or NULL. */
const char *client_text(const json_t *object, const char *name, size_t max);

/* A member that is a URL which may be asked, as a copy in *ret (the old one is freed). False: it is none. */
bool client_url(struct acme_client *c, const json_t *object, const char *name, char **ret);
bool client_take_url(struct acme_client *c, const char *url, size_t len, char **ret);

/* The object that an answer holds, as a reference for the caller; NULL, and the errand has failed, where it
 * is none. */
json_t *client_object(struct acme_client *c, const struct acme_client_answer *a);

/* Seconds of Retry-After (RFC 9110, 10.2.3), at most a week; 0: it is not there, or over. */
int64_t client_retry_after(struct str field, int64_t now);

/* Append an object, which is taken, to c->payload. */
void client_put_payload(struct acme_client *c, json_t *object);

client_make_fn client_make_directory, client_make_nonce, client_make_account, client_make_revocation,
    client_make_key_change, client_make_renewal_info;
client_take_fn client_take_directory, client_take_nonce, client_take_account, client_take_revocation,
    client_take_key_change, client_take_renewal_info;

/* ---- client_order.c ---- */

client_make_fn client_make_new_order, client_make_order, client_make_authorization, client_make_response,
    client_make_finalize, client_make_certificate;
client_take_fn client_take_order, client_take_authorization, client_take_response, client_take_watch,
    client_take_certificate;

/* Skip what needs nothing in PRESENT, RESPOND, WATCH and WITHDRAW. */
void client_settle(struct acme_client *c, int64_t now);

/* ---- client_problem.c ---- */

/* An answer that is an error: try again in another way, or fail. */
void client_problem(struct acme_client *c, int64_t now, const struct acme_client_answer *a);

/* What a problem document says, safe to print: "TYPE: DETAIL (NAME: TYPE: DETAIL; ...)". */
void client_problem_text(const json_t *problem, char ret[PROBLEM_TEXT_MAX * 3]);

#endif
