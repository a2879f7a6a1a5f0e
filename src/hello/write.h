/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a ClientHello, to ask a server what no TLS library would say any more: old versions, weak cipher
 * suites, odd extensions. Nothing that comes of it can be a connection: there is no key behind its share.
 * Pure: what is random is given. */
#ifndef CARDEA_HELLO_WRITE_H
#define CARDEA_HELLO_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

#define HELLO_RANDOM_MAX 256 /* bytes that one hello takes */

/* A list of code points. Borrowed. */
struct hello_codes {
    const uint16_t *p;
    size_t len;
};

struct hello_offer {
    uint16_t legacy_version;     /* 0x0303, also for TLS 1.3 */
    struct hello_codes versions; /* supported_versions; none: without the extension, TLS 1.2 at most */
    struct hello_codes suites;
    struct hello_codes groups;
    struct hello_codes schemes; /* signature_algorithms */
    const char *name;           /* server_name, or NULL */
    bool share;            /* with versions: a key share of X25519; else an empty list (RFC 8446, 4.2.8) */
    bool compression;      /* DEFLATE (RFC 3749) besides none */
    bool grease;           /* RFC 8701: unknown values in all lists, and unknown extensions */
    bool ech;              /* an encrypted_client_hello that nobody can read (RFC 9849, 6.2) */
    size_t at_least;       /* bytes of the message, filled up by padding (RFC 7685); 0: as it is */
    const uint8_t *random; /* HELLO_RANDOM_MAX bytes */
};

/* Append the handshake message, header and all. False, and nothing appended, when `out` is full. */
bool hello_write(const struct hello_offer *offer, struct buf *out);

/* Append a message in TLS records: the first of at most `first` bytes of it (0: no bound), the rest in
 * another. As a client begins: record version 0x0301 (RFC 8446, 5.1), for SSL 3.0 its own. */
bool hello_put_records(const uint8_t *message, size_t len, uint16_t legacy_version, size_t first,
                       struct buf *out);

#endif
