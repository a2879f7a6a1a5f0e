/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what a server answers in the clear: ServerHello and HelloRetryRequest (RFC 8446, 4.1.3; RFC
 * 5246, 7.4.1.3), and of TLS 1.2 the group in ServerKeyExchange (RFC 8422, 5.4). Pure; nothing allocated. */
#ifndef CARDEA_HELLO_SERVER_HELLO_H
#define CARDEA_HELLO_SERVER_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/str.h"

#define SERVER_HELLO 2         /* types of handshake messages */
#define SERVER_KEY_EXCHANGE 12 /* before TLS 1.3 */

/* The cursors point into the message. */
struct server_hello {
    struct cursor session_id;
    struct str alpn;  /* TLS 1.2; empty: not said */
    uint16_t version; /* 0x0303, 0x0304 ... */
    uint16_t cipher;
    uint8_t compression; /* 0: none */
    uint16_t group;     /* TLS 1.3: of the key share, or the one that a HelloRetryRequest asks for; 0: none */
    bool retry;         /* HelloRetryRequest */
    bool resumes;       /* TLS 1.3: a pre_shared_key was taken */
    bool renegotiation; /* renegotiation_info (RFC 5746) */
    bool extended_master; /* extended_master_secret (RFC 7627) */
};

/* Read a whole message, its header of 4 bytes included. False: it is malformed, or another one. */
bool server_hello_parse(const uint8_t *message, size_t len, struct server_hello *ret);

/* The same without its header. */
bool server_hello_parse_body(struct cursor body, struct server_hello *ret);

/* Read the named group of a ServerKeyExchange, its header included. False: a key exchange without one. */
bool server_hello_group(const uint8_t *message, size_t len, uint16_t *ret);

/* The same without its header. */
bool server_hello_group_of_body(struct cursor body, uint16_t *ret);

#endif
