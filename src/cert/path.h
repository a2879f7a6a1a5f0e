/* SPDX-License-Identifier: Apache-2.0 */
/* Path building (RFC 4158) and validation (RFC 5280, 6) in one: from a leaf upwards, depth first, over what
 * the peer sent and the anchors. Each rule is applied as soon as it can be, so that a bad branch is left
 * early and another tried; signatures come last of a step, for they cost most, and each is checked once. Pure
 * but for the keys' arithmetic: neither clock nor files. Private to cert/; how it goes is told in
 * doc/internals/path-building.md. */
#ifndef CARDEA_CERT_PATH_H
#define CARDEA_CERT_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cert/anchors.h"
#include "cert/path_cert.h"
#include "cert/trust.h"

#define PATH_DEPTH_MAX 20       /* certificates of one path, leaf and anchor among them */
#define PATH_SIGNATURES_MAX 256 /* the most that limits may allow */

/* How much one search may do. Beyond it ends with PATH_GAVE_UP, never with a path. */
struct path_limits {
    size_t depth;       /* certificates of a path */
    size_t steps;       /* candidates looked at */
    size_t signatures;  /* signatures checked */
    size_t comparisons; /* of a name with a name constraint */
    size_t paths;       /* complete paths that were shown to `accept` */
};

/* 100 signatures cost 5 to 10 ms with today's algorithms, and as many are what other verifiers allow (Go,
 * webpki): chains that they take are taken here. 20,000 candidates take some 5 ms, and honest graphs need a
 * few hundred. Comparisons are as cheap, and a CA of a large house has some hundred subtrees. A path that was
 * complete and was then refused is rare (a revoked cross certificate); each costs a look at all CRLs. */
static const struct path_limits path_limits_default = {
    .depth = PATH_DEPTH_MAX, .steps = 20000, .signatures = 100, .comparisons = 50000, .paths = 32};

/* What is wrong with a certificate or a step. */
enum path_fault {
    PATH_GOOD,
    PATH_ODD_EXTENSIONS,
    PATH_UNKNOWN_CRITICAL,
    PATH_NOT_YET_VALID,
    PATH_EXPIRED,
    PATH_WEAK_KEY,
    PATH_HUGE_KEY,
    PATH_WEAK_SIGNATURE,
    PATH_NOT_A_CA,
    PATH_NO_CERT_SIGN,   /* keyUsage */
    PATH_WRONG_PURPOSE,  /* extendedKeyUsage; of a leaf also keyUsage */
    PATH_TOO_MANY_BELOW, /* pathLenConstraint */
    PATH_NAME,           /* name constraints */
    PATH_BAD_SIGNATURE,
    PATH_OTHER_KEY,  /* the same, and key identifiers had said so before */
    PATH_NO_ISSUER,  /* neither sent nor an anchor */
    PATH_CIRCLE,     /* all who could be the issuer stand below already */
    PATH_LOOP,       /* the same name and key stand below already */
    PATH_TOO_LONG,   /* limits.depth */
    PATH_REFUSED,    /* by `accept` */
    PATH_GAVE_UP,    /* a limit was reached */
    PATH_UNREADABLE, /* it cannot be read in full */
};

/* One look at a candidate. */
struct path_step {
    struct path_cert *cert;   /* below */
    struct path_cert *issuer; /* the candidate above; NULL: there is none, or it is about `cert` itself */
    size_t depth;             /* certificates of the path up to and with `cert` */
    enum path_fault fault;    /* PATH_GOOD: it was gone on with */
    enum constraint_verdict names;  /* with PATH_NAME */
    char name[CONSTRAINT_NAME_MAX]; /* with PATH_NAME: of which certificate below is `named` */
    struct path_cert *named;
};

enum path_verdict { PATH_TAKE, PATH_TRY_ANOTHER, PATH_STOP };

struct path_question {
    struct path_cert *certs; /* the leaf, and then what else was sent */
    size_t len;              /* at least 1 */
    const struct anchors *anchors;
    enum trust_purpose purpose;
    int64_t now; /* seconds since 1970 */
    struct path_limits limits;
    /* May be NULL. Called with each complete path, leaf first, once every rule here is met. */
    enum path_verdict (*accept)(void *arg, struct path_cert *const *path, size_t len);
    /* May be NULL. Told of each step, in the order in which they are made. */
    void (*trace)(void *arg, const struct path_step *step);
    void *arg;
    /* Once there is a path, go on to tell `trace` of the other branches, each certificate once. */
    bool tell_all;
};

struct path_answer {
    bool found;
    struct path_cert *path[PATH_DEPTH_MAX]; /* leaf first */
    size_t len;
    struct path_step why; /* not found: of the branch that came furthest */
    const char *limit;    /* with PATH_GAVE_UP: what of, such as "signatures" */
    size_t limit_value;
    size_t steps, signatures; /* that were made, up to the path */
    size_t told;              /* so often `trace` was called up to then */
};

/* Search. Returns ret->found. */
bool path_build(const struct path_question *question, struct path_answer *ret);

/* What is wrong with a certificate as the leaf; its names are not looked at. */
enum path_fault path_judge_leaf(const struct path_cert *leaf, enum trust_purpose purpose, int64_t now,
                                bool is_anchor);

/* What is wrong with a certificate as a CA, wherever in a path it stands. The dates, the constraints and the
 * usage of an anchor count as those of any CA: the bundle says whom we believe, and its certificate for how
 * long and in what. That is what RFC 5280, 6.1 leaves to whoever verifies, what RFC 5937 asks for, and what
 * Go and OpenSSL do; Chromium holds constraints of anchors of the user's own against a chain, too. Its
 * signature proves nothing and is not looked at. */
enum path_fault path_judge_ca(const struct path_cert *ca, enum trust_purpose purpose, int64_t now);

#endif
