/* SPDX-License-Identifier: Apache-2.0 */
/* OPAQUE (RFC 9807): a client proves a password that the server never learns, not even when it is set; both
 * prove themselves and get a common secret. OPAQUE-3DH over ristretto255 with SHA-512, HKDF-SHA-512 and
 * HMAC-SHA-512, its password stretched by Argon2id.
 *
 *     setting the password             logging in
 *     client  opaque_register_start    client  opaque_login_start    -> KE1
 *     server  opaque_register_answer   server  opaque_login_answer   -> KE2
 *     client  opaque_register_finish   client  opaque_login_finish   -> KE3
 *     the server keeps the record      server  opaque_is_proven
 *
 * No sockets, no clock; what is random is given, by opaque_random_*() outside of tests. Messages have fixed
 * sizes and are checked by those who read them. What is secret is named so, and is the caller's to wipe
 * (opaque_wipe). A false tells that the other side's message, or the password, is not good; nothing is said
 * about which, and what was to be returned is wiped. */
#ifndef CARDEA_OPAQUE_OPAQUE_H
#define CARDEA_OPAQUE_OPAQUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define OPAQUE_KEY 32
#define OPAQUE_NONCE 32
#define OPAQUE_HASH 64
#define OPAQUE_REQUEST 32                            /* the client's registration request, 5.1 */
#define OPAQUE_RESPONSE (32 + OPAQUE_KEY)            /* the answer to it */
#define OPAQUE_ENVELOPE (OPAQUE_NONCE + OPAQUE_HASH) /* 4 */
#define OPAQUE_RECORD (OPAQUE_KEY + OPAQUE_HASH + OPAQUE_ENVELOPE)
#define OPAQUE_KE1 (32 + OPAQUE_NONCE + OPAQUE_KEY) /* 6.1 */
#define OPAQUE_KE2 \
    (32 + OPAQUE_NONCE + OPAQUE_KEY + OPAQUE_ENVELOPE + OPAQUE_NONCE + OPAQUE_KEY + OPAQUE_HASH)
#define OPAQUE_KE3 OPAQUE_HASH
#define OPAQUE_PASSWORD_MAX 1024 /* bytes */
#define OPAQUE_NAME_MAX 255      /* bytes of each of struct opaque_names */

/* What both must agree on: the application (its `context`, 6.4.2) and who they are. An identity that is empty
 * is its public key. */
struct opaque_names {
    struct str context;
    struct str client;
    struct str server;
};

/* How hard the client makes it to try passwords with a stolen record: Argon2id with one lane, 7. Both zero:
 * not at all (Identity), for the vectors of the RFC. */
struct opaque_stretch {
    unsigned passes;
    size_t memory; /* bytes */
};

/* RFC 9106, 4, second recommended: three passes over 64 MiB. */
extern const struct opaque_stretch opaque_stretch_default;

/* What a server has once and for good; secret. When it is lost or changed, all passwords are void. */
struct opaque_server {
    uint8_t oprf_seed[OPAQUE_HASH];
    uint8_t private_key[OPAQUE_KEY];
    uint8_t public_key[OPAQUE_KEY];
};

/* What of a client's step is random. Secret. */
struct opaque_client_random {
    uint8_t blind[OPAQUE_KEY];         /* a scalar */
    uint8_t nonce[OPAQUE_NONCE];       /* of the envelope, or of KE1 */
    uint8_t keyshare_seed[OPAQUE_KEY]; /* logging in only */
};

struct opaque_server_random {
    uint8_t masking_nonce[OPAQUE_NONCE];
    uint8_t nonce[OPAQUE_NONCE];
    uint8_t keyshare_seed[OPAQUE_KEY];
};

/* What the client must remember between its two steps. Secret. */
struct opaque_client {
    uint8_t blind[OPAQUE_KEY];
    uint8_t nonce[OPAQUE_NONCE];         /* setting a password: of the envelope */
    uint8_t keyshare_secret[OPAQUE_KEY]; /* logging in */
    uint8_t ke1[OPAQUE_KE1];
};

/* What the server must remember between KE2 and KE3. Secret. */
struct opaque_expected {
    uint8_t client_mac[OPAQUE_HASH];
    uint8_t session_key[OPAQUE_HASH];
};

/* What the client has at the end. Secret. */
struct opaque_secrets {
    uint8_t session_key[OPAQUE_HASH]; /* the server's too; fresh each time */
    uint8_t
        export_key[OPAQUE_HASH]; /* the client's only; the same each time, until the password is set anew */
};

/* Before all else, once per process; may be called again. False where there is no good randomness. */
bool opaque_init(void);

void opaque_random_server(struct opaque_server *ret);
void opaque_random_client(struct opaque_client_random *ret);
void opaque_random_answer(struct opaque_server_random *ret);
void opaque_wipe(void *p, size_t len);

/* Restore the public key from the other two. False where the private key is none. */
bool opaque_server_complete(struct opaque_server *s);

/* The client begins to set `password` (of at most OPAQUE_PASSWORD_MAX bytes; an empty one is refused). */
bool opaque_register_start(struct str password, const struct opaque_client_random *random,
                           struct opaque_client *ret_state, uint8_t ret_request[OPAQUE_REQUEST]);

/* The server answers. `credential` is the account's identifier, never another account's. */
bool opaque_register_answer(const struct opaque_server *s, struct str credential,
                            const uint8_t request[OPAQUE_REQUEST], uint8_t ret_response[OPAQUE_RESPONSE]);

/* The client makes the record, which the server keeps. `ret_export_key` may be NULL. */
bool opaque_register_finish(const struct opaque_client *state, struct str password,
                            const struct opaque_names *names, const struct opaque_stretch *stretch,
                            const uint8_t response[OPAQUE_RESPONSE], uint8_t ret_record[OPAQUE_RECORD],
                            uint8_t ret_export_key[OPAQUE_HASH]);

/* Could these bytes be a record: is its key an element, other than the identity? */
bool opaque_record_is_sound(const uint8_t record[OPAQUE_RECORD]);

/* A record for whom nobody knows (10.9): to opaque_login_answer() it does not differ from another. It is the
 * same for the same server and credential. */
void opaque_fake_record(const struct opaque_server *s, struct str credential, uint8_t ret[OPAQUE_RECORD]);

bool opaque_login_start(struct str password, const struct opaque_client_random *random,
                        struct opaque_client *ret_state, uint8_t ret_ke1[OPAQUE_KE1]);

/* The server answers: whoever gets KE2 can try one password by it. So it is here, not at KE3, that tries are
 * to be counted. */
bool opaque_login_answer(const struct opaque_server *s, const struct opaque_names *names,
                         struct str credential, const uint8_t record[OPAQUE_RECORD],
                         const uint8_t ke1[OPAQUE_KE1], const struct opaque_server_random *random,
                         uint8_t ret_ke2[OPAQUE_KE2], struct opaque_expected *ret_expected);

/* False: the password is wrong, or the server is not the one that it was set at. */
bool opaque_login_finish(const struct opaque_client *state, struct str password,
                         const struct opaque_names *names, const struct opaque_stretch *stretch,
                         const uint8_t ke2[OPAQUE_KE2], uint8_t ret_ke3[OPAQUE_KE3],
                         struct opaque_secrets *ret_secrets);

/* Has the client proven the password? In constant time. */
bool opaque_is_proven(const struct opaque_expected *expected, const uint8_t ke3[OPAQUE_KE3]);

/* HMAC-SHA-512 under a key derived from a session key for one use, which `label` names: for what is to be
 * bound to a login. Parts are told apart by their lengths. */
void opaque_bind(const uint8_t session_key[OPAQUE_HASH], const char *label, const struct str *parts,
                 size_t count, uint8_t ret[OPAQUE_HASH]);

/* Are these the same? In constant time. */
bool opaque_same(const uint8_t *a, const uint8_t *b, size_t len);

#endif
