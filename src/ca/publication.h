/* SPDX-License-Identifier: Apache-2.0 */
/* What a CA tells everybody, as answers to requests: its certificates, its CRL, OCSP (RFC 6960), and a page
 * for people that says where these are. Owns no socket and asks no clock; belongs to one thread, as the
 * authority does.
 *
 * Answers are kept and given again, the CRL and a bounded number of OCSP's. Before each is given the log is
 * looked at: once anything has been revoked, by whichever process, they are made anew. */
#ifndef CARDEA_CA_PUBLICATION_H
#define CARDEA_CA_PUBLICATION_H

#include <stdint.h>

#include "base/err.h"
#include "web/web.h"

struct authority;
struct publication;

#define PUBLICATION_PATH "/ca/" /* what paths of its requests begin with */

/* How long what is signed holds, in seconds. It is made anew once half of that is over, so whoever asks gets
 * something that holds for the other half at least. */
struct publication_lifetimes {
    int64_t crl, ocsp;
};

/* For an authority that is unlocked and lives longer. Never NULL. */
struct publication *publication_new(struct authority *a, const struct publication_lifetimes *lifetimes);

/* NULL is allowed. */
void publication_free(struct publication *p);

/* Answer a request. `now` is in seconds since 1970. -1 with `err`, for the operator, when the answer is 500,
 * or an older CRL that still holds, because no new one could be made. */
int publication_answer(struct publication *p, const struct web_request *request, int64_t now,
                       struct web_answer *ret, struct err *err);

#endif
