/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about an authority share. */
#ifndef CARDEA_CA_AUTHORITY_INTERNAL_H
#define CARDEA_CA_AUTHORITY_INTERNAL_H

#include "base/buf.h"
#include "base/str.h"
#include "ca/authority.h"
#include "ca/ca_internal.h"

struct state;

#define AUTHORITY_MAGIC 0xa07409b1u

#define ROOT_CERT "root.pem"
#define ROOT_KEY "root.key"
#define INTERMEDIATE_CERT "intermediate.pem"
#define INTERMEDIATE_KEY "intermediate.key"
#define SSH_USER_CA "ssh_user_ca"
#define SSH_HOST_CA "ssh_host_ca"
#define DATABASE "ca.db"

enum { SSH_USER, SSH_HOST, SSH_CAS };

struct authority {
    uint32_t magic;
    char *dir;
    struct ca *root;             /* without its key */
    struct ca *issuer;           /* the intermediate; its key once unlocked */
    EVP_PKEY *ssh[SSH_CAS];      /* once unlocked */
    struct buf ssh_pub[SSH_CAS]; /* the public keys, as OpenSSH writes them in a key blob; once unlocked */
    struct state *db;
    struct buf url; /* text */
};

/* DIR/NAME; to be freed. */
char *authority_path(const char *dir, const char *name);

/* Is this one to be put into certificates? -1 with `err`. */
int authority_check_url(const char *url, struct err *err);

/* 0, or -1 with `err` saying that the keys were not read. */
int authority_check_unlocked(const struct authority *a, struct err *err);

#endif
