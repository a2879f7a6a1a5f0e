/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration wants obtained (`certificates: - acme:`), as a copy that outlives it. */
#ifndef CARDEA_KEEPER_ACME_WISH_H
#define CARDEA_KEEPER_ACME_WISH_H

#include "acme/client_proof.h"
#include "ca/ca.h"
#include "keeper/life.h"
#include "net/addr.h"

struct config_acme;

struct acme_wish {
    char **names; /* to a NULL, as all lists here */
    size_t names_len;
    char **cas; /* URLs of directories, most wanted first */
    size_t cas_len;
    char *ca_file, *email, *profile; /* or NULL */
    char *eab_kid, *eab_key_file;    /* both or none */
    char **hook;                     /* for dns-01, or NULL */
    struct net_addr dns_server;      /* for dns-01; AF_UNSPEC: none */
    char *dns_zone, *dns_key, *dns_secret_file;
    int64_t settle; /* seconds */
    enum ca_key_kind key;
    enum acme_client_proof_kind proofs[ACME_PROOF_KINDS];
    size_t proofs_len;
    int64_t renew_before; /* seconds */
    int backup;           /* which of `cas` a backup comes from; -1: none is wanted */
    bool on_demand;       /* renewed only while it is asked for */
};

/* Never NULL. */
struct acme_wish *acme_wish_new(const struct config_acme *from);

/* The same for that one name, on demand. Never NULL. */
struct acme_wish *acme_wish_for(const struct acme_wish *like, const char *name);

/* NULL is allowed. */
void acme_wish_free(struct acme_wish *w);

#endif
