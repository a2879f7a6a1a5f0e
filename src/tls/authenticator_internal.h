/* SPDX-License-Identifier: Apache-2.0 */
/* Between authenticator.c, which computes, and authenticator_message.c, which reads and writes. */
#ifndef CARDEA_TLS_AUTHENTICATOR_INTERNAL_H
#define CARDEA_TLS_AUTHENTICATOR_INTERNAL_H

#include <openssl/pool.h>

#include "base/cursor.h"
#include "tls/authenticator.h"

/* Handshake types (RFC 8446, 4; RFC 9261, 8.3). */
enum {
    MESSAGE_CERTIFICATE = 11,
    MESSAGE_CERTIFICATE_REQUEST = 13,
    MESSAGE_CERTIFICATE_VERIFY = 15,
    MESSAGE_CLIENT_CERTIFICATE_REQUEST = 17,
    MESSAGE_FINISHED = 20,
};

#define EXTENSIONS_MAX 32 /* of a request; more are too many to be meant */

/* A request that has been read; borrowed from its bytes. */
struct request_view {
    uint8_t type;
    struct str context;
    uint16_t extensions[EXTENSIONS_MAX]; /* that it has */
    size_t extensions_len;
    struct cursor schemes; /* signature_algorithms, two bytes each */
};

/* An authenticator likewise. */
struct authenticator_view {
    struct str certificate; /* the messages, headers included; empty in an empty one */
    struct str verify;
    struct str finished;
    struct str context;
    struct cursor entries; /* certificate_list */
    uint16_t scheme;
    struct str signature;
    struct str mac; /* verify_data */
};

/* One handshake message at the front of `in`, of that type: its body, and all of it. */
bool authenticator_next(struct cursor *in, uint8_t *ret_type, struct cursor *ret_body, struct str *ret_whole);

int authenticator_read_request(struct str message, struct request_view *ret, struct err *err);

int authenticator_read(struct str message, struct authenticator_view *ret, struct err *err);

/* The certificates of a list; extensions are taken that the request has, each once (`request` NULL: none
 * are). NULL with `err`. */
STACK_OF(CRYPTO_BUFFER) *
    authenticator_read_chain(struct cursor entries, const struct request_view *request, struct err *err);

/* Append a Certificate message; `chain` may have none (RFC 8446, 4.4.2). */
void authenticator_put_certificate(struct buf *out, struct str context, CRYPTO_BUFFER *const *chain,
                                   size_t chain_len);

/* Append a handshake message of these two parts. */
void authenticator_put_message(struct buf *out, uint8_t type, const void *head, size_t head_len,
                               const void *body, size_t len);

#endif
