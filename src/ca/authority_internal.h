/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about an authority share. */
#ifndef CARDEA_CA_AUTHORITY_INTERNAL_H
#define CARDEA_CA_AUTHORITY_INTERNAL_H

#include "base/buf.h"
#include "base/str.h"
#include "ca/authority.h"
#include "ca/ca_internal.h"

struct state;

#define ROOT_LIFETIME (INT64_C(20) * 365 * 86400)        /* seconds, unless something else is asked for */
#define INTERMEDIATE_LIFETIME (INT64_C(5) * 365 * 86400) /* seconds, unless something else is asked for */

#define AUTHORITY_MAGIC 0xa07409b1u

#define ROOT_CERT "root.pem"
#define ROOT_KEY "root.key"
#define INTERMEDIATE "intermediate"
#define INTERMEDIATE_CERT INTERMEDIATE ".pem"
#define INTERMEDIATE_KEY INTERMEDIATE ".key"
#define SSH_USER_CA "ssh_user_ca"
#define SSH_HOST_CA "ssh_host_ca"
#define DATABASE "ca.db"

enum { SSH_USER, SSH_HOST, SSH_CAS };

#define GENERATION_FILE_MAX 32

/* An intermediate. Those that share a key are one issuer. */
struct generation {
    struct ca *ca;                  /* its key once unlocked, if it can be had */
    char cert[GENERATION_FILE_MAX]; /* names in the folder */
    char key[GENERATION_FILE_MAX];
    char suffix[GENERATION_FILE_MAX]; /* of the key's name, behind "intermediate" */
    int64_t row;                      /* of the log, which tells of it ... */
    int64_t issuer;                   /* ... and of its key */
};

#define ROOTS_MAX CA_CHAIN_MAX

/* What others trust. */
struct root {
    struct ca *ca;                  /* its certificate, and its key for as long as that is needed */
    char cert[GENERATION_FILE_MAX]; /* names in the folder */
    char key[GENERATION_FILE_MAX];
};

/* The roots as the log tells of them, the first one first, and the certificates by which they vouch for each
 * other. */
struct roots {
    struct root v[ROOTS_MAX];
    size_t n;
    X509 *cross[2 * ROOTS_MAX];
    size_t cross_n;
};

/* Take a row about a root: a later one only where one before vouches for it. 1; 0: the row is about something
 * else; -1 with `err`. */
int roots_take(struct roots *r, int64_t row, struct str detail, struct str content, struct err *err);
void roots_free(struct roots *r);

/* The latest; there is one. */
struct root *roots_latest(struct roots *r);

/* Has one of them signed it? */
bool roots_signed(const struct roots *r, X509 *cert);

/* Append to an intermediate the certificates by which those who trust another root than its own believe in
 * it, as far as they are good at `now`. What stood above it goes. */
void roots_put_above(const struct roots *r, struct ca *intermediate, int64_t now);

/* Append all that have not expired at `now`, the latest one first, in PEM. False when memory is out. */
bool roots_put_pem(const struct roots *r, int64_t now, struct buf *ret);

/* Is the certificate signed by this issuer, whose name it has? */
bool authority_is_signed(X509 *cert, X509 *issuer);

/* A certificate as the log has it, DER; the caller owns it. NULL: it is none, or there is more. */
X509 *authority_read_cert(struct str der);

struct authority {
    uint32_t magic;
    char *dir;
    struct roots roots;
    struct generation *generations; /* one at least; the last one issues */
    size_t generations_len;
    EVP_PKEY *ssh[SSH_CAS];      /* once unlocked */
    struct buf ssh_pub[SSH_CAS]; /* the public keys, as OpenSSH writes them in a key blob; once unlocked */
    struct state *db;
    struct buf url; /* text */
};

/* DIR/NAME; to be freed. */
char *authority_path(const char *dir, const char *name);

/* Is this one to be put into certificates? -1 with `err`. */
int authority_check_url(const char *url, struct err *err);

/* The one that issues. */
struct generation *authority_current(const struct authority *a);

/* That of an issuer, see authority_issuer(); NULL behind the last one. */
struct generation *authority_generation(const struct authority *a, size_t issuer);

/* Read which intermediates there are, and their certificates. -1 with `err`. */
int authority_load_generations(struct authority *a, struct err *err);
void authority_free_generations(struct authority *a);

/* Read the key of one. -1 with `err`. */
int authority_load_key(const struct authority *a, const struct generation *g,
                       const struct key_secrets *secrets, struct err *err);

/* Read the key of the latest root, from `root_key` (NULL: its file in the folder), only as long as it is
 * needed. -1 with `err`. */
int authority_unlock_root(struct authority *a, const char *root_key, const struct key_secrets *secrets,
                          struct err *err);
void authority_lock_root(struct authority *a);

/* Is there a file of this name in the folder? */
bool authority_has_file(const struct authority *a, const char *name);

#define AUTHORITY_NAME_LEN 64 /* of a common name (RFC 5280, A.1) */

/* The common name of `cert` without a number `before` at its end, and with this one. -1 with `err`. */
int authority_next_name(X509 *cert, const char *before, int number, char ret[AUTHORITY_NAME_LEN + 1],
                        struct err *err);

/* Which kind of key it is; P-256 where that is none that we make. */
enum key_kind authority_kind_like(const EVP_PKEY *key);

/* Write ca's certificates and its key into files of the folder: the key encrypted where there is a
 * passphrase, or its URI. -1 with `err`. */
int authority_write_pair(const struct ca *ca, const char *dir, const char *cert, const char *key,
                         const char *uri, struct str passphrase, struct err *err);
int authority_write_cert(const struct ca *ca, const char *dir, const char *cert, struct err *err);

/* Write down, in a transaction of the caller, that there is a certificate of the CA. `detail` names its
 * file. -1 with `err`. */
int authority_log_certificate(struct state *db, const struct ca *ca, const char *act, const char *who,
                              const char *detail, int64_t now, struct err *err);

/* Is one of the keys that unlocking needs there? */
bool authority_has_key(const struct authority *a, enum key_place_kind place);

/* 0, or -1 with `err` saying that the keys were not read. */
int authority_check_unlocked(const struct authority *a, struct err *err);

#endif
