/* SPDX-License-Identifier: Apache-2.0 */
/* Looking whether a challenge is met: http-01 and dns-01 (RFC 8555, 8.3 and 8.4), tls-alpn-01 (RFC 8737), of
 * names and of addresses (RFC 8738). On a loop; nothing here waits. What is looked at is chosen by strangers:
 * every look is bounded in time and bytes, and goes only where the operator lets it (doc/internals/acme.md).
 */
#ifndef CARDEA_ACME_VALIDATE_H
#define CARDEA_ACME_VALIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "acme/acme_server.h"
#include "base/err.h"

struct acme_validator;
struct loop;
struct net_addr;

struct acme_validator_params {
    struct loop *loop;
    const char *dns;           /* name servers, "192.0.2.53:53,[2001:db8::53]:53"; NULL: the system's */
    uint16_t http_port;        /* 0: 80 */
    uint16_t tls_port;         /* of tls-alpn-01, and of redirects to https:; 0: 443 */
    uint16_t looks;            /* at once; 0: 32 */
    uint16_t looks_per_target; /* at once, and in a second, see acme/targets.h; 0: 8 */
    /* May this address be looked at? NULL: any. */
    bool (*allow)(void *arg, const struct net_addr *address);
    void *arg;
};

/* Parameters are copied, what they point at is borrowed. NULL with `err`. */
struct acme_validator *acme_validator_new(const struct acme_validator_params *params, struct err *err);

/* Forgets what is being looked at. NULL is allowed. */
void acme_validator_free(struct acme_validator *v);

enum acme_seen {
    ACME_SEEN_GOOD,
    ACME_SEEN_BAD,  /* with a problem and its text */
    ACME_SEEN_LATER /* nothing was seen: looks_per_target are there already */
};

/* What was seen, see acme_server_validated(); from the loop, not from within acme_validator_look(). */
typedef void acme_validator_done(void *arg, const char *id, enum acme_seen seen, enum acme_problem problem,
                                 const char *text);

/* Are as many under way as there may be? */
bool acme_validator_is_full(const struct acme_validator *v);

/* Is none under way? */
bool acme_validator_is_idle(const struct acme_validator *v);

/* Look, unless it is full. */
void acme_validator_look(struct acme_validator *v, const struct acme_check *check, acme_validator_done *done,
                         void *arg);

#endif
