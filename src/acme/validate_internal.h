/* SPDX-License-Identifier: Apache-2.0 */
/* A look at what a challenge asks for, and what its kinds share. */
#ifndef CARDEA_ACME_VALIDATE_INTERNAL_H
#define CARDEA_ACME_VALIDATE_INTERNAL_H

#include "acme/client_proof.h"
#include "acme/targets.h"
#include "acme/validate.h"
#include "base/list.h"
#include "fetch/fetch.h"
#include "loop/loop.h"
#include "net/resolver.h"
#include "session/dial.h"
#include "tls/client.h"
#include "tls/tls_link.h"

#define LOOK_PATH_MAX 1024
#define LOOK_URL_MAX (LOOK_PATH_MAX + HOSTNAME_MAX + 32)

#define LOOK_ADDRESSES 3 /* of a name that are tried */

/* tls-alpn-01: with TLS 1.3, and where that fails with 1.2 alone. What others answer with may have a key
 * usage that does not allow for signatures; of RSA in TLS 1.2 the library lets that be. */
#define LOOK_TRIES 2

struct acme_validator {
    struct acme_validator_params params;
    struct resolver *resolver;
    struct fetcher *fetcher;
    struct tls_client *tls[LOOK_TRIES];
    struct tls_scratch scratch;
    struct acme_targets *targets;
    struct list looks;
    size_t count;
};

/* What http-01 is after: changes with each redirect. */
struct look_place {
    bool tls;
    char host[HOSTNAME_MAX + 1]; /* a name or an address, without brackets */
    char path[LOOK_PATH_MAX];    /* with the query */
};

struct acme_look {
    struct list node;
    struct acme_validator *v;
    struct acme_check check;
    acme_validator_done *done;
    void *arg;
    struct timer timer;
    struct task begin, end;
    bool over;
    bool crowded;                   /* there was an address at which too many look already */
    struct acme_client_proof proof; /* of `check` */
    struct resolve_query *query;
    /* http-01 */
    struct look_place place;
    unsigned redirects;
    struct net_addr addresses[LOOK_ADDRESSES]; /* that may be looked at */
    size_t addresses_len, next;
    struct fetch *fetch;
    /* tls-alpn-01 */
    size_t dialled; /* addresses that may be dialled */
    struct dial dial;
    struct link *link;
    struct task again;
    size_t tries; /* that have failed */
};

/* It is over: tell, and free at the end of the round. `fmt` is printf's. */
void look_failed(struct acme_look *l, enum acme_problem problem, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void look_good(struct acme_look *l);

/* Likewise, and nothing was seen: others look at the same place. */
void look_later(struct acme_look *l);

/* What a lookup without addresses means. */
void look_unresolved(struct acme_look *l, const char *name, enum resolve_status status);

/* May this address be looked at? And may it now: else `crowded` is set. */
bool look_may(void *look, const struct net_addr *address);
bool look_may_now(void *look, const struct net_addr *address);

void look_http(struct acme_look *l);
void look_tls(struct acme_look *l);
void look_tls_again(struct task *again); /* of a look */

/* Read where a redirect leads, from where one is: http: and https: at the ports that are looked at, and
 * nothing else. False: it leads elsewhere. */
bool look_redirect(const struct acme_validator_params *params, struct str location, struct look_place *place);

#endif
