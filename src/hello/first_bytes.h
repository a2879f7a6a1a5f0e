/* SPDX-License-Identifier: Apache-2.0 */
/* Tells from the first bytes of a connection what protocol the client speaks. The rows are in
 * tables/first_bytes.def. */
#ifndef CARDEA_HELLO_FIRST_BYTES_H
#define CARDEA_HELLO_FIRST_BYTES_H

#include <stddef.h>
#include <stdint.h>

enum first_bytes {
    FIRST_BYTES_MORE,         /* could still be one of those below */
    FIRST_BYTES_UNKNOWN,      /* is none of them, or the client waits for the server to speak first */
    FIRST_BYTES_TLS,          /* a TLS handshake record: go on with hello_scan() */
    FIRST_BYTES_SSH,          /* RFC 4253, 4.2 */
    FIRST_BYTES_HTTP,         /* a method and a space, or the preface of HTTP/2 without TLS */
    FIRST_BYTES_POSTGRES_TLS, /* PostgreSQL's SSLRequest */
    FIRST_BYTES_POSTGRES_GSS, /* its GSSENCRequest, which comes before that */
    FIRST_BYTES_XMPP,         /* RFC 6120, 4.2 */
    FIRST_BYTES_LDAP,         /* RFC 4511, 4.1.1 */
    /* Never read, but what routes take all the same: */
    FIRST_BYTES_STARTTLS, /* TLS that was led to in the protocol that the listener speaks */
    FIRST_BYTES_PLAIN,    /* anything, on a listener that speaks no TLS */
};

#define FIRST_BYTES_MAX 24 /* no answer takes more bytes than this */

/* Pure; reads no further than `len`. The answer for a prefix is either final or FIRST_BYTES_MORE. */
enum first_bytes first_bytes_read(const uint8_t *data, size_t len);

#endif
