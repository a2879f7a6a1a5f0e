/* SPDX-License-Identifier: Apache-2.0 */
/* Keys whose owners wait for an administrator to say whose they are. Kept in the accounts' database, so that
 * a command may look at what came to the door. Bounded in number and in time. */
#ifndef CARDEA_LOGIN_ENROLMENTS_H
#define CARDEA_LOGIN_ENROLMENTS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "login/accounts.h"
#include "login/code.h"

#define ENROLMENTS_MAX 256      /* that wait, in all */
#define ENROLMENTS_SOURCE_MAX 4 /* ... from one source */
#define ENROLMENT_LIFE INT64_C(600)
#define ENROLMENT_GRACE INT64_C(120) /* seconds that there are at least to fetch what was approved */
#define ENROLMENT_TICKET 32
#define ENROLMENT_KEY 32
#define ENROLMENT_SOURCE_MAX 64
#define ENROLMENT_HOST_MAX 64

enum enrolment_verdict { ENROLMENT_WAITS, ENROLMENT_APPROVED, ENROLMENT_REFUSED };

struct enrolment {
    char code[CODE_TEXT_MAX];
    uint8_t key[ENROLMENT_KEY]; /* SHA-256 of the public key (SubjectPublicKeyInfo) */
    char source[ENROLMENT_SOURCE_MAX + 1];
    char host[ENROLMENT_HOST_MAX + 1]; /* what the client calls its machine: claimed, not proven */
    int64_t made;
    int64_t until;
    enum enrolment_verdict verdict;
    char account[ACCOUNT_NAME_MAX + 1]; /* once approved */
    char who[ACCOUNT_NAME_MAX + 1];     /* has decided */
};

/* What a client asks for. */
struct enrolment_request {
    struct str csr; /* in DER */
    const uint8_t *key;
    struct str source;
    struct str host; /* cleaned and cut here */
};

/* Let one wait; those whose time is over go. Fills in `ret_code`, to be read by people, and `ret_ticket`, by
 * which the client asks again. 0: too many wait; -1 with `err`. */
int enrolments_add(struct accounts *a, const struct enrolment_request *r, int64_t now,
                   char ret_code[CODE_TEXT_MAX], uint8_t ret_ticket[ENROLMENT_TICKET], struct err *err);

/* Called with each that waits, oldest first; less than 0 stops. */
typedef int enrolment_fn(void *arg, const struct enrolment *e, struct err *err);
int enrolments_each(struct accounts *a, int64_t now, enrolment_fn *fn, void *arg, struct err *err);

/* Approve for an account, or refuse where `account` is NULL. 0: no such code waits; -1 with `err`, also where
 * there is no such account or it is disabled. */
int enrolments_decide(struct accounts *a, struct str code, const char *account, const char *who, int64_t now,
                      struct err *err);

/* What the ticket stands for; `ret_csr` gets the request appended. 0: nothing (any more). */
int enrolments_find(struct accounts *a, const uint8_t ticket[ENROLMENT_TICKET], int64_t now,
                    struct enrolment *ret, struct buf *ret_csr, struct err *err);

/* It has its certificate, or its refusal. 0: somebody was faster. */
int enrolments_end(struct accounts *a, const char *code, struct err *err);

#endif
