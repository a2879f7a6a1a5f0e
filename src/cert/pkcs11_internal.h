/* SPDX-License-Identifier: Apache-2.0 */
/* What finding a key in a token, using it and making one share. */
#ifndef CARDEA_CERT_PKCS11_INTERNAL_H
#define CARDEA_CERT_PKCS11_INTERNAL_H

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define TOKEN_KEY_MAGIC 0x70c31100u
#define TOKEN_LABEL_MAX 200 /* bytes of a URI that are told */

/* A private key in a token. One session, one signature at a time: PKCS#11 knows no other way. */
struct token_key {
    uint32_t magic;
    CK_FUNCTION_LIST **modules; /* of this key: held as long as it is */
    CK_FUNCTION_LIST *module;   /* NULL: not found */
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE object;
    pthread_mutex_t lock;
};

/* What is sought, while it is. */
struct token_search {
    P11KitUri *uri;
    char label[TOKEN_LABEL_MAX]; /* the URI up to its query, where a PIN may stand: for people */
    CK_FLAGS flags;              /* of the session: CKF_RW_SESSION to write, or 0 */
    /* In a session with each token that the URI means, logged in: 1 ends the search, 0 goes on, -1 with
     * `err`. */
    int (*visit)(struct token_key *k, const struct token_search *search, struct err *err);
    int type, parameter; /* of the key to be made, see pkcs11_make_key() */
};

/* Go to the token that `text` names. NULL with `err`; `none` is what is told where no visit ended the
 * search. To be freed with token_key_free(). */
struct token_key *token_find(const char *text, struct str pin, struct token_search *search, const char *none,
                             struct err *err);
void token_key_free(struct token_key *k); /* NULL is allowed */

/* The private keys that the URI means: how many, with 2 for all that are more than one; the first one in
 * *ret. */
CK_ULONG token_look(const struct token_key *k, const struct token_search *search, CK_OBJECT_HANDLE *ret);

/* The objects with these attributes, in the same way. */
CK_ULONG token_objects(const struct token_key *k, CK_ATTRIBUTE *wanted, CK_ULONG count,
                       CK_OBJECT_HANDLE *ret);

#endif
