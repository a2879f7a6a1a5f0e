/* SPDX-License-Identifier: Apache-2.0 */
/* Exported Authenticators (RFC 9261): the proof of a certificate that an end of a TLS connection makes long
 * after the handshake, and that is good on that connection only. Bytes and values of the connection's
 * exporter go in, bytes or a verdict come out: whoever carries them, on whatever connection, need not be
 * trusted.
 *
 * What an identity may be made of is a chain that authenticator_prove() has held against a trust bundle. Of
 * each authenticator that is one leaf; identities of several are never added up. */
#ifndef CARDEA_TLS_AUTHENTICATOR_H
#define CARDEA_TLS_AUTHENTICATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "cert/trust.h"

struct cert;
struct identity;
struct ssl_st;

/* The end of the connection that makes the authenticator. */
enum authenticator_sender { AUTHENTICATOR_CLIENT, AUTHENTICATOR_SERVER };

#define AUTHENTICATOR_HASH_MAX 48             /* bytes of SHA-384 */
#define AUTHENTICATOR_MAX ((size_t)48 * 1024) /* bytes of one: a chain as in a handshake, and a signature */
#define AUTHENTICATOR_REQUEST_MAX ((size_t)16 * 1024) /* bytes of a request, of a peer's */
#define AUTHENTICATOR_CONTEXT 32 /* bytes of a certificate_request_context that we choose */

/* What both ends of a connection, and nobody else, can make authenticators of one sender with (RFC
 * 9261, 5.1). `finished` is a secret. */
struct authenticator_keys {
    size_t hash; /* bytes: 32 (SHA-256) or 48 (SHA-384), the hash of the connection's cipher suite */
    uint8_t context[AUTHENTICATOR_HASH_MAX];  /* Handshake Context */
    uint8_t finished[AUTHENTICATOR_HASH_MAX]; /* Finished MAC Key */
};

/* Take them from a connection whose handshake is complete. -1 with `err` where it is not, or is not TLS 1.3:
 * authenticators of TLS 1.2 need an extension (RFC 7627) that we do not count on. */
int authenticator_export(const struct ssl_st *ssl, enum authenticator_sender sender,
                         struct authenticator_keys *ret, struct err *err);

/* Wipe them. */
void authenticator_forget(struct authenticator_keys *keys);

/* Contexts that were used on a connection, so that none is used twice (RFC 9261, 4 and 5.2). Zeroed it is
 * empty.
 */
struct authenticator_contexts {
    struct buf used;
};

#define AUTHENTICATOR_CONTEXTS_MAX 4096 /* of one connection; when they are used up, no more are taken */

void authenticator_contexts_free(struct authenticator_contexts *contexts);

/* Append a request for a certificate of the other end: of a client's a CertificateRequest, of a server's a
 * ClientCertificateRequest (RFC 9261, 4). It asks for signatures that we verify (signature_algorithms), of
 * the server with `name` (may be NULL, else a DNS name) for that name too (RFC 6066, 3). The context is
 * random. */
void authenticator_request(enum authenticator_sender of, const char *name, struct buf *out);

/* The certificate_request_context of a request or of an authenticator; borrowed from its bytes. -1 with `err`
 * where it is neither: an empty authenticator has none. */
int authenticator_context(struct str message, struct str *ret, struct err *err);

/* On what an authenticator is made or judged. */
struct authenticator_terms {
    const struct authenticator_keys *keys; /* of the sender, on this connection */
    enum authenticator_sender sender;
    struct str request; /* what it answers, as authenticator_request() made it; empty: it was not asked for,
                           which only a server's may be */
    const uint16_t *schemes; /* not asked for: signature_algorithms of the ClientHello (RFC 8446, 4.2.3) */
    size_t schemes_len;
    struct authenticator_contexts *contexts; /* of this connection and sender; NULL: the caller sees to it
                                                that each request is answered once */
};

/* Append an authenticator for `cert`; for NULL an empty one, which says no to a request (RFC 9261, 6). -1
 * with `err` where the request cannot be read or was answered before, or takes no signature that the key can
 * make: nothing is appended then. */
int authenticator_make(const struct authenticator_terms *terms, const struct cert *cert, struct buf *out,
                       struct err *err);

enum authenticator_verdict {
    AUTHENTICATOR_GOOD,
    AUTHENTICATOR_REFUSED, /* an empty one, and genuine: the other end does not want to say who it is */
    AUTHENTICATOR_BAD,     /* with `err` */
};

/* Does the sender hold the key of the leaf that it shows? AUTHENTICATOR_GOOD: with the chain, leaf first,
 * which is the caller's and which nobody vouches for yet. Only then its context is used up. Constant-time
 * where secrets are compared. */
enum authenticator_verdict authenticator_validate(const struct authenticator_terms *terms, struct str message,
                                                  struct stack_st_CRYPTO_BUFFER **ret_chain, struct err *err);

/* What an authenticator has proven. */
struct authenticator_proof {
    struct stack_st_CRYPTO_BUFFER *chain; /* that the trust bundle has vouched for */
    struct identity *identity;            /* of its leaf */
};

/* The same, and the chain is proven by `trust` at `now` (seconds since 1970) as in a handshake: as a
 * client's, or as that of a server of `host` (NULL: of any). AUTHENTICATOR_GOOD: with `ret`, for
 * authenticator_proof_free(). */
enum authenticator_verdict authenticator_prove(const struct authenticator_terms *terms, struct str message,
                                               const struct trust *trust, const char *host, int64_t now,
                                               struct authenticator_proof *ret, struct err *err);

/* A zeroed one is allowed. */
void authenticator_proof_free(struct authenticator_proof *proof);

#endif
