/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the ClientHello in a TLS record stream that arrives in pieces. Pure: no sockets, no clock, no
 * allocation.
 *
 *     struct hello_scan scan = hello_scan_start(max);
 *     ... after each read, with everything read so far:
 *     switch (hello_scan(&scan, data, len)) ...            HELLO_MORE: read on, until there are scan.need
 * bytes const uint8_t *message = hello_scan_message(&scan, data, scratch); hello_parse(message,
 * scan.message_len, &hello)       hello/hello.h
 */
#ifndef CARDEA_HELLO_SCAN_H
#define CARDEA_HELLO_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hello/reason.h"

/* The default of limits.hello_size, and the most that can be asked for. */
#define HELLO_SIZE_DEFAULT (64u * 1024)
#define HELLO_SIZE_MAX (1024u * 1024)

enum hello_result {
    HELLO_MORE,    /* good so far; more bytes are needed */
    HELLO_DONE,    /* complete */
    HELLO_NOT_TLS, /* the first bytes are not those of a TLS handshake record: ask first_bytes_read() */
    HELLO_BAD,     /* TLS, but not a ClientHello that we accept; `reason` says why */
};

/* Where scanning stands. Offsets, not pointers: the buffer may move between calls. Callers read `need`,
 * `message_len`, `records`, `wire_len` and `reason`. */
struct hello_scan {
    uint32_t max; /* most wire bytes, record headers included */
    uint32_t
        need; /* HELLO_MORE: with fewer wire bytes than this the answer stays HELLO_MORE (for SO_RCVLOWAT) */
    uint32_t wire_len; /* bytes of the whole records so far; HELLO_DONE: where the hello ends in the buffer */
    uint32_t payload_len;     /* message bytes in those records */
    uint32_t message_len;     /* length of the message with its header of 4; 0 until that header is there */
    uint32_t records;         /* whole records so far */
    uint8_t header[4];        /* of the message, gathered from however many records it comes in */
    enum hello_reason reason; /* HELLO_BAD */
};

/* Begin. `max` bounds what a peer can make us hold: wire bytes, record headers included (1 to
 * HELLO_SIZE_MAX). */
struct hello_scan hello_scan_start(size_t max);

/* Look at all bytes read so far (`data` begins with the first byte of the connection). Answers as early as
 * the bytes allow, the same for any way of cutting them, in constant time while `len` < `need` and in linear
 * time over all calls together. A message in any number of records is accepted; empty records, other record
 * types in between, and anything after the message in its last record are refused (RFC 8446, 5.1). */
enum hello_result hello_scan(struct hello_scan *s, const uint8_t *data, size_t len);

/* After HELLO_DONE: the handshake message, `message_len` bytes with its header of 4. In place when it came in
 * one record (`records` == 1; `scratch` may be NULL), else put together in `scratch`, which holds
 * `message_len` bytes. */
const uint8_t *hello_scan_message(const struct hello_scan *s, const uint8_t *data, uint8_t *scratch);

#endif
