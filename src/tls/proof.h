/* SPDX-License-Identifier: Apache-2.0 */
/* What the two ends of one TLS connection prove to each other, whatever carries its records: a TLS link, or
 * a QUIC connection. It hangs on the SSL object, where the callbacks of the library find it. */
#ifndef CARDEA_TLS_PROOF_H
#define CARDEA_TLS_PROOF_H

#include <openssl/ssl.h>

#include "base/err.h"
#include "base/str.h"
#include "link/link.h"

struct authenticator_proof;
struct cert;
struct ech_attempt;
struct expect;
struct identity;
struct tls_sessions;
struct trust;

struct tls_proof {
    const struct trust *trust;     /* judges the peer's chain; NULL: no chain is. Borrowed */
    const struct expect *expect;   /* what the peer must prove besides; NULL: no more. Borrowed */
    struct tls_sessions *sessions; /* client: where tickets go; NULL: nowhere. Borrowed */
    uint32_t sessions_age;         /* ... as long as they are so old */
    bool offered;                  /* ... and one was offered that has not led to anything yet */
    char *host;                    /* what the peer's certificate must name; NULL: anything. Owned */
    struct ech_attempt *ech; /* client: what it offers of ECH, until the handshake is over; NULL: GREASE.
                              * Borrowed */
    struct str alpn_choice;  /* server: answered when nothing of its own list is offered. Borrowed until
                                the ClientHello has been taken */
    struct cert *own;        /* server: the certificate that is shown. A reference, owned */
    uint16_t signature;      /* server: the scheme that its key signed the handshake with; 0: it did not */
    const char *refusal;     /* server: why no handshake with that client comes to anything, or NULL */
    bool only_hybrid;        /* client: nothing but post-quantum key exchange is offered */
    uint32_t handshake_in, handshake_out; /* see struct link_peer */
    bool only_looks;           /* what is wrong is kept, nobody is refused, nobody has an identity */
    struct identity *identity; /* the peer's, once proven. Owned */
    struct stack_st_CRYPTO_BUFFER *later; /* the certificates that prove it, where they came after the
                                             handshake; NULL: the handshake's. Owned */
    struct err *failure;                  /* why it was not believed; NULL while nothing is wrong. Owned */
    enum fault fault;                     /* the same as a code */
};

/* Hang the proof (zeroed but for what the caller has set) on a connection; it must live as long as `ssl`. */
void tls_proof_attach(struct tls_proof *proof, SSL *ssl);

/* The proof that hangs on a connection. */
struct tls_proof *tls_proof_of(const SSL *ssl);

/* For SSL_CTX_set_custom_verify: judges the peer's chain, for the role it has. */
enum ssl_verify_result_t tls_proof_verify(SSL *ssl, uint8_t *ret_alert);

/* For SSL_CTX_set_msg_callback of servers: notes `signature`. */
void tls_proof_message(int is_write, int version, int content_type, const void *data, size_t len, SSL *ssl,
                       void *arg);

/* The handshake is complete: take the peer's identity. A chain that a ticket remembers is proven again, since
 * a ticket must not outlive a revocation. -1 with the alert to send when the peer is not believed. */
int tls_proof_complete(struct tls_proof *proof, SSL *ssl, uint8_t *ret_alert);

/* Client: a call of the library has failed. True where that is since the server has refused ECH, and proven
 * its public name: the attempt knows now, and the library's queue of errors is empty. */
bool tls_proof_ech_refused(struct tls_proof *proof, SSL *ssl);

/* Client: the peer has refused us, perhaps for what an earlier connection has proven: nothing is resumed. */
void tls_proof_refused(struct tls_proof *proof);

/* What has come of the ticket that was offered, if one was: the peer resumed and was believed, or not. */
void tls_proof_settle(struct tls_proof *proof, bool good);

/* The peer has proven other certificates since, by an authenticator (taken): these are his from now on. */
void tls_proof_renew(struct tls_proof *proof, struct authenticator_proof *by);

/* The part of link_peer() that TLS knows. */
void tls_proof_peer(const struct tls_proof *proof, const SSL *ssl, struct link_peer *ret);

/* Free what the proof owns. */
void tls_proof_free(struct tls_proof *proof);

#endif
