/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration wants obtained (`certificates: - acme:`), as a copy that outlives it. */
#ifndef CARDEA_KEEPER_ACME_WISH_H
#define CARDEA_KEEPER_ACME_WISH_H

#include "acme/client_proof.h"
#include "base/key_kind.h"
#include "keeper/life.h"
#include "net/addr.h"

struct config_acme;

/* What is NULL is not asked for. */
struct acme_wish_ca {
    char *name; /* in `acme_cas` */
    char *url;  /* of its directory */
    char *ca_file, *email, *profile;
    char *eab_kid, *eab_key_file; /* both or none */
};

struct acme_wish {
    char **names; /* to a NULL, as all lists here */
    size_t names_len;
    struct acme_wish_ca *cas; /* most wanted first */
    size_t cas_len;
    char **hook;                /* for dns-01, or NULL */
    struct net_addr dns_server; /* for dns-01; AF_UNSPEC: none */
    char *dns_zone, *dns_key, *dns_secret_file;
    int64_t settle;       /* seconds */
    int64_t hook_timeout; /* ns */
    enum key_kind key;
    enum acme_client_proof_kind proofs[ACME_PROOF_KINDS];
    size_t proofs_len;
    int64_t patience;     /* seconds, with an order */
    int64_t renew_before; /* seconds */
    bool must_staple;     /* TLS feature status_request (RFC 7633) */
    int backup;           /* which of `cas` a backup comes from; -1: none is wanted */
    bool on_demand;
    int64_t unused_after; /* seconds; on demand: from then on it is not renewed */
};

/* The CA with that directory; NULL: it is not asked any more. */
const struct acme_wish_ca *acme_wish_ca(const struct acme_wish *w, const char *url);

/* The profile that its lineage is known by: of the most wanted CA; "" for none. */
const char *acme_wish_profile(const struct acme_wish *w);

/* Never NULL. */
struct acme_wish *acme_wish_new(const struct config_acme *from);

/* The same for that one name, on demand. Never NULL. */
struct acme_wish *acme_wish_for(const struct acme_wish *like, const char *name);

/* NULL is allowed. */
void acme_wish_free(struct acme_wish *w);

#endif
