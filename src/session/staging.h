/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator has put beside the configuration, for some clients first and then for all: certificates
 * that stand in for those of the configuration, and TLS settings. Candidates are served to those clients whom
 * the section `staging` names; what was promoted, to everybody. Who keeps them is keeper/candidates.h; a
 * snapshot has them as they were when it was made. */
#ifndef CARDEA_SESSION_STAGING_H
#define CARDEA_SESSION_STAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/tls_group.h"

struct cert;
struct config;
struct config_tls;
struct err;
struct net_addr;

#define STAGING_MAX 64       /* candidates, and as many that were promoted */
#define STAGING_CODES_MAX 16 /* groups, or cipher suites, of one setting */

/* TLS settings that take the place of the configuration's; what is not set stays. */
struct staged_tls {
    uint16_t min_version; /* 0: stays */
    enum tls_pq pq;       /* TLS_PQ_UNSAID: stays */
    int groups[STAGING_CODES_MAX];
    size_t groups_len;
    int ciphers[STAGING_CODES_MAX];
    size_t ciphers_len;
};

struct staged {
    char *label;
    struct cert *cert;     /* a reference; NULL: TLS settings */
    struct staged_tls tls; /* where there is no certificate */
    char *tls_text;        /* ... as they were written; NULL: a certificate */
    bool promoted;         /* else a candidate */
    int64_t since;         /* seconds since 1970 */
};

/* Immutable once it was given to a door; shared by reference count. In the order in which they came. */
struct staging {
    uint32_t refs;   /* atomic */
    uint64_t number; /* another one each time: tickets of one must not hide the next */
    struct staged *v;
    size_t n;
};

/* With room for `count`; one reference. Never NULL. */
struct staging *staging_new(size_t count);

/* Append a copy of `item`; of its certificate a reference is taken. There must be room. */
void staging_add(struct staging *s, const struct staged *item);

/* In any thread; the last one frees. NULL is allowed. */
struct staging *staging_ref(struct staging *s);
void staging_unref(struct staging *s);

/* Read "min_version=1.3,pq=require,groups=X25519:P-256,ciphers=NAME:NAME", with the names of the
 * configuration. -1 with `err`. */
int staging_read_tls(const char *text, struct staged_tls *ret, struct err *err);

/* The settings of a route with those put over them that were promoted, and, with `candidates`, the candidates
 * too. *ret borrows from both. `s` may be NULL. */
void staging_tls(const struct config_tls *own, const struct staging *s, bool candidates,
                 struct config_tls *ret);

/* Does this client see candidates? */
bool staging_sees(const struct config *c, uint32_t listener, const struct net_addr *peer);

/* ---- which certificates stand in for which ---- */

/* Of the `n` certificates in `v` (NULL among them is passed over), for which does this one stand in? For
 * those that share a name with it; where one of them has its kind of key, for those alone that have; where
 * none shares a name, for those of which each name is one that it covers as a wildcard. Marks them in `ret`,
 * and says how many. */
size_t staging_stands_for(const struct cert *cert, struct cert *const *v, size_t n, bool *ret);

/* The configuration's certificates with what stands in for them. */
struct stand_ins {
    struct cert **v; /* in the order of config->certificates; borrowed; NULL: not from files */
    size_t n;
    struct cert **more; /* those that stand in for none of them */
    const char **more_labels;
    size_t more_len;
};

/* From the configuration's own and `s` (NULL: nothing), with candidates or without. For
 * stand_ins_done(). */
void stand_ins_make(struct cert *const *own, size_t n, const struct staging *s, bool candidates,
                    struct stand_ins *ret);
void stand_ins_done(struct stand_ins *ins);

/* Has one of them this host, or (with a '*' in front) this very wildcard? */
bool stand_ins_have(const struct stand_ins *ins, const char *name);

#endif
