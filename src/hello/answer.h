/* SPDX-License-Identifier: Apache-2.0 */
/* Reads how a server begins to answer a ClientHello: ServerHello or HelloRetryRequest (RFC 8446, 4.1.3 and
 * 4.1.4), and of TLS 1.2 and before its ServerKeyExchange (RFC 8422, 5.4; RFC 5246, 7.4.3), as far as that
 * stands in the clear; or an alert. Pure: bytes in, facts out, nothing allocated. */
#ifndef CARDEA_HELLO_ANSWER_H
#define CARDEA_HELLO_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_MAX ((size_t)64 * 1024) /* bytes on the wire that are looked at */

enum answer_kind {
    ANSWER_MORE,  /* good so far; more bytes are needed. `suite` is not 0 once the ServerHello is there */
    ANSWER_HELLO, /* the server goes on with what is told */
    ANSWER_RETRY, /* so it does, once it is sent a key share of `group` */
    ANSWER_ALERT, /* it does not: `alert` */
    ANSWER_BAD,   /* no TLS, or what no server may say */
};

struct hello_answer {
    enum answer_kind kind;
    uint8_t alert;
    uint8_t compression; /* 0: none */
    uint16_t version;    /* 0x0304, by supported_versions where that is there */
    uint16_t suite;
    uint16_t group;       /* of the key exchange; 0: none is named */
    uint16_t prime_bits;  /* of Diffie-Hellman with a prime that the server chose (TLS 1.2); 0: none */
    bool renegotiation;   /* renegotiation_info (RFC 5746) */
    bool extended_master; /* extended_master_secret (RFC 7627) */
};

/* Look at all bytes that have come since the hello was sent. The same for any way of cutting them;
 * ANSWER_MORE is never said once there are ANSWER_MAX. */
void hello_answer_read(const uint8_t *data, size_t len, struct hello_answer *ret);

#endif
