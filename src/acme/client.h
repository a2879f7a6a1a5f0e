/* SPDX-License-Identifier: Apache-2.0 */
/* An ACME client (RFC 8555, with RFC 8737, RFC 8738, RFC 9773 and draft-ietf-acme-profiles) without sockets
 * and without a clock: one errand at a CA, from its directory to its end. It says what it needs next
 * (acme_client_next()), is told what came of that, and believes nothing that it is told: answers are bounded,
 * and a certificate is held against what was ordered. Times are seconds since 1970. What an errand needs of
 * the world is keeper/acme_errand.h. */
#ifndef CARDEA_ACME_CLIENT_H
#define CARDEA_ACME_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme/client_proof.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct acme_client;
struct evp_pkey_st;

#define ACME_CLIENT_NAMES_MAX 100           /* of one order */
#define ACME_CLIENT_ANSWER_MAX (256 * 1024) /* bytes of content that an answer may have */
#define ACME_CLIENT_PATIENCE 900            /* seconds for an errand, by default */

enum acme_client_goal {
    ACME_OBTAIN,       /* a certificate */
    ACME_REVOKE,       /* one, by the account that has obtained it or by its own key (RFC 8555, 7.6) */
    ACME_CHANGE_KEY,   /* of the account (7.3.5) */
    ACME_RENEWAL_INFO, /* when to renew (RFC 9773, 4) */
};

/* What to do, and as whom. All is borrowed for the client's life; what is NULL or 0 is not asked for. */
struct acme_client_settings {
    enum acme_client_goal goal;
    const char *directory; /* its URL. Where it is https:, all that the CA names has to be */
    int64_t patience;      /* seconds; 0: ACME_CLIENT_PATIENCE */

    /* The account. Its key signs: P-256, P-384, RSA or Ed25519. With goals but ACME_RENEWAL_INFO. */
    struct evp_pkey_st *account_key; /* ACME_REVOKE without one: `key`, the certificate's, signs */
    const char *account;             /* its URL, if known; else the CA is asked, and makes one */
    const char *email;
    const char *eab_kid; /* external account binding (RFC 8555, 7.3.4) */
    struct str eab_key;  /* its bytes */

    /* ACME_OBTAIN. To configure a CA is to agree to its terms. */
    const char *const *names; /* DNS names in lower case, perhaps with "*.", and IP addresses as
                                 hostname_address() takes them */
    size_t names_len;
    enum acme_client_proof_kind proofs[ACME_PROOF_KINDS]; /* in order of preference */
    size_t proofs_len;
    int64_t settle;          /* seconds from when a dns-01 record is up until the CA may look */
    const char *profile;     /* draft-ietf-acme-profiles */
    const char *replaces;    /* the CertID of what this takes the place of (RFC 9773, 5) */
    struct evp_pkey_st *key; /* of the certificate */
    bool must_staple;        /* ask for the TLS feature status_request (RFC 7633); the CA may leave it out */
    const char *order;       /* the URL of an order with this key that was begun before */

    /* ACME_REVOKE and ACME_RENEWAL_INFO: in DER. */
    struct str certificate;
    unsigned reason; /* RFC 5280, 5.3.1 */

    struct evp_pkey_st *new_key; /* ACME_CHANGE_KEY */
};

/* NULL with `err` where the settings make no sense: a name that is none, a wildcard without dns-01. */
struct acme_client *acme_client_new(const struct acme_client_settings *settings, int64_t now,
                                    struct err *err);

/* NULL is allowed. */
void acme_client_free(struct acme_client *c);

enum acme_client_need {
    ACME_NEEDS_ANSWER,     /* to `request`: acme_client_answer() or acme_client_unanswered() */
    ACME_NEEDS_TIME,       /* call again at `at` */
    ACME_NEEDS_PROOF,      /* put `proof` up: acme_client_presented() */
    ACME_NEEDS_WITHDRAWAL, /* take `proof` down: acme_client_withdrawn(). Also of errands that fail */
    ACME_IS_DONE,
    ACME_HAS_FAILED, /* acme_client_failure() says why */
};

struct acme_client_request {
    const char *method; /* "GET", "HEAD", or "POST" of application/jose+json */
    const char *url;
    struct str body;
};

/* What an errand needs next; the part of it that `need` names is valid until the client is told something. */
struct acme_client_next {
    struct acme_client_request request;
    int64_t at;
    const struct acme_client_proof *proof;
};

/* The same until it is told something, or the time has come. */
enum acme_client_need acme_client_next(struct acme_client *c, int64_t now, struct acme_client_next *ret);

/* An answer; fields that it does not have are empty. */
struct acme_client_answer {
    unsigned status;
    struct str body;
    struct str location, nonce, retry_after; /* of Location, Replay-Nonce, Retry-After */
};

void acme_client_answer(struct acme_client *c, int64_t now, const struct acme_client_answer *answer);

/* There was none. The same is tried again a few times, in between it waits. */
void acme_client_unanswered(struct acme_client *c, int64_t now, const struct err *why);

/* The proof is up, or (`why` not NULL) cannot be put up, with which the errand fails. */
void acme_client_presented(struct acme_client *c, int64_t now, const struct err *why);
void acme_client_withdrawn(struct acme_client *c);

/* Give up, as when time is over: what is up is asked to be taken down, then it has failed. */
void acme_client_abandon(struct acme_client *c, const struct err *why);

enum acme_client_fault {
    ACME_UNREACHABLE,  /* no answer, or the CA was not well itself (5xx), or it took too long */
    ACME_RATE_LIMITED, /* rateLimited */
    ACME_REFUSED,      /* it said no */
    ACME_USELESS,      /* what it gave cannot be used */
};

struct acme_client_failure {
    enum acme_client_fault fault;
    int64_t retry_after; /* seconds, as the CA has said; 0: it has not */
    struct err why;      /* safe to print */
};

const struct acme_client_failure *acme_client_failure(const struct acme_client *c);

/* What is to be kept, as soon as it is known (NULL before): the URLs of the account and of the order. */
const char *acme_client_account(const struct acme_client *c);
const char *acme_client_order(const struct acme_client *c);

/* ACME_OBTAIN, done: the chain in PEM, leaf first; for exactly the names that were ordered, with the key that
 * was given, valid now, each certificate issued by the next. Borrowed. */
struct str acme_client_chain(const struct acme_client *c);

/* When to renew, as the CA suggests. */
struct acme_client_window {
    int64_t start, end;
    int64_t retry_after; /* seconds until it is to be asked again; 0: it did not say */
    char url[256];       /* where it explains why, or empty */
};

/* Append the CertID of a certificate in DER (RFC 9773, 4.1): BASE64URL(AKI) "." BASE64URL(serial). -1 with
 * `err` where it has none. */
int acme_client_cert_id(struct str der, struct buf *ret, struct err *err);

/* ACME_RENEWAL_INFO, done. */
const struct acme_client_window *acme_client_window(const struct acme_client *c);

#endif
