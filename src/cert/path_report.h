/* SPDX-License-Identifier: Apache-2.0 */
/* A verification told in full, for people who ask why: the path that was chosen, and each other branch with
 * the reason that it failed. The verdict is that of trust_verify(), but for the number of certificates: what
 * is asked here lies in a file, and has no peer who could send more of it. */
#ifndef CARDEA_CERT_PATH_REPORT_H
#define CARDEA_CERT_PATH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "cert/pem.h"
#include "cert/trust.h"

#define PATH_REPORT_CERTS_MAX 10000 /* of one chain */
#define PATH_REPORT_STEPS_MAX 1000  /* that are kept; more are counted */

/* A certificate of the chain or the bundle. */
struct path_report_cert {
    char subject[PEM_NAME_MAX];
    char issuer[PEM_NAME_MAX];
    size_t sent; /* as the how manieth it came, 1: the leaf; 0: it is an anchor */
    int64_t not_before, not_after;
};

/* A candidate that was looked at. */
struct path_report_step {
    size_t depth; /* certificates below `issuer` in this branch */
    struct path_report_cert cert, issuer;
    bool has_issuer; /* false: it is about `cert` itself */
    bool taken;      /* it was gone on with */
    bool chosen;     /* and is part of the path */
    char *why;       /* NULL: taken */
};

struct path_report {
    bool accepted;
    struct err why; /* not accepted */
    struct path_report_cert *path;
    size_t path_len;
    struct path_report_step *steps;
    size_t steps_len, steps_more;
    size_t issued; /* the first that names the leaf as its issuer, as the how manieth it came; 0: none does */
    size_t certs, candidates, signatures; /* that were there, and were looked at */
};

struct path_report_question {
    const struct trust *trust;
    const struct buf *chain; /* PEM: the leaf first */
    enum trust_purpose purpose;
    const char *host; /* NULL: no name is asked for */
    int64_t now;      /* seconds since 1970 */
};

/* Verify and tell. `ret` goes to path_report_free(). A chain that cannot be read is not accepted. */
void path_report_make(const struct path_report_question *question, struct path_report *ret);

void path_report_free(struct path_report *report);

#endif
