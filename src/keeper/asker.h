/* SPDX-License-Identifier: Apache-2.0 */
/* Asks CAs whether certificates of ours are revoked: by OCSP where the certificate names a responder, else by
 * the CRL that it names. Belongs to the keeper's thread. */
#ifndef CARDEA_KEEPER_ASKER_H
#define CARDEA_KEEPER_ASKER_H

#include "base/buf.h"
#include "cert/cert.h"
#include "cert/issued.h"
#include "cert/status.h"

struct asker;
struct fetcher;
struct loop;
struct question;

#define ASKER_CRLS 16 /* that are kept, of the URLs that were asked last */

struct asker_settings {
    size_t crl_max;      /* bytes of one CRL */
    int64_t check_every; /* seconds between looks at a certificate; for half of that one CRL does for all */
};

/* `fetcher` is borrowed; NULL: nobody can be asked. Never NULL. */
struct asker *asker_new(struct loop *loop, struct fetcher *fetcher, const struct asker_settings *settings);

/* For what is asked from now on. */
void asker_set(struct asker *a, const struct asker_settings *settings);

/* Questions have been answered or cancelled. NULL is allowed. */
void asker_free(struct asker *a);

/* Can anybody be asked about it? False where it names nobody, or its chain ends before its issuer, or it is
 * its own. *ret, where not NULL, is what it says. */
bool asker_can(const struct cert *cert, struct issued *ret);

struct question_answer {
    struct cert_status status;
    struct str staple; /* the OCSP response where that is good and current; else empty */
    const char *url;   /* of whom was asked */
};

/* `answer` is NULL where nobody has said anything that proves something, and `err` says why. Both are
 * borrowed for the call; the question is freed behind it. */
typedef void question_done(void *arg, const struct question_answer *answer, const struct err *err);

/* Ask about a certificate that asker_can(); `done` is called later, never from within. NULL with `err`. */
struct question *asker_ask(struct asker *a, struct cert *cert, question_done *done, void *arg,
                           struct err *err);

/* Forget it: `done` is not called. NULL is allowed. */
void question_cancel(struct question *q);

/* A response that was kept, as a staple at `now`: NULL where it is none that may be shown any more. */
struct cert_staple *asker_staple(const struct cert *cert, struct str response, int64_t now);

#endif
