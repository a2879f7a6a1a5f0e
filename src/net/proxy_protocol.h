/* SPDX-License-Identifier: Apache-2.0 */
/* HAProxy's PROXY protocol, versions 1 (a line of text) and 2 (binary): who really connected, told by the
 * proxy in front of us or to the backend behind us. Pure: bytes and addresses, no sockets. */
#ifndef CARDEA_NET_PROXY_PROTOCOL_H
#define CARDEA_NET_PROXY_PROTOCOL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cursor.h"

#define PROXY_V1_MAX 107u  /* bytes of the line with its CRLF */
#define PROXY_V2_MAX 4096u /* default bound on a header of version 2, signature included */

enum proxy_result {
    PROXY_MORE, /* good so far; read more, up to `need` bytes in all */
    PROXY_DONE,
    PROXY_ABSENT, /* the first bytes are not those of a PROXY header */
    PROXY_BAD,    /* a PROXY header, but a wrong one; `reason` says why */
};

enum proxy_reason {
#define X(name, text) PROXY_REASON_##name,
#include "tables/proxy_reasons.def"
#undef X
    PROXY_REASON_COUNT
};

/* TLV types of version 2. */
enum proxy_tlv_type {
    PROXY_TLV_ALPN = 0x01,
    PROXY_TLV_AUTHORITY = 0x02, /* the SNI */
    PROXY_TLV_CRC32C = 0x03,
    PROXY_TLV_NOOP = 0x04,
    PROXY_TLV_UNIQUE_ID = 0x05, /* at most 128 bytes */
    PROXY_TLV_SSL = 0x20,       /* u8 client flags, u32 verify (0 = verified), then TLVs of the types below */
    PROXY_TLV_SSL_VERSION = 0x21,
    PROXY_TLV_SSL_CN = 0x22,
    PROXY_TLV_SSL_CIPHER = 0x23,
    PROXY_TLV_SSL_SIG_ALG = 0x24,
    PROXY_TLV_SSL_KEY_ALG = 0x25,
    PROXY_TLV_SSL_GROUP = 0x26,
    PROXY_TLV_SSL_SIG_SCHEME = 0x27,
    PROXY_TLV_SSL_CLIENT_CERT = 0x28, /* DER */
    PROXY_TLV_NETNS = 0x30,
};

struct proxy_tlv {
    uint8_t type;
    uint16_t len;
    const void *value;
};

/* Client flags of a PROXY_TLV_SSL. */
enum proxy_ssl_flag {
    PROXY_SSL_TLS = 1,          /* the client speaks TLS */
    PROXY_SSL_CERT_CONN = 2,    /* it has shown a certificate on this connection */
    PROXY_SSL_CERT_SESSION = 4, /* ... or on one whose session this one goes on with */
};

/* The value of a PROXY_TLV_SSL (section 2.2.6). What is NULL, or empty, is left out. */
struct proxy_ssl {
    uint8_t flags;         /* enum proxy_ssl_flag */
    bool verified;         /* it has shown a certificate, and that was believed */
    const char *version;   /* "TLSv1.3" */
    const char *cn;        /* of the client */
    const char *cipher;    /* "ECDHE-RSA-AES128-GCM-SHA256" */
    const char *sig_alg;   /* by which the certificate that the client was shown is signed: "RSA-SHA256" */
    const char *key_alg;   /* its key: "RSA2048" */
    const char *group;     /* of the key exchange: "secp256r1" */
    const char *scheme;    /* by which the server has signed the handshake: "rsa_pss_rsae_sha256" */
    struct proxy_tlv cert; /* of the client, in DER; its type does not matter */
};

/* A header that was read. */
struct proxy_header {
    size_t len;               /* PROXY_DONE: bytes to take off the stream; the connection's own begin there */
    size_t need;              /* PROXY_MORE: with fewer bytes than this the answer stays PROXY_MORE */
    enum proxy_reason reason; /* PROXY_BAD */
    uint8_t version;          /* 1 or 2 */
    bool
        local; /* the proxy's own connection (LOCAL, such as a health check): the socket's peer is the peer */
    bool datagram;      /* version 2 can say DGRAM */
    struct cursor tlvs; /* version 2: validated, proxy_next_tlv(); in the bytes that were parsed */
    struct sockaddr_storage
        src; /* AF_INET, AF_INET6, AF_UNIX, or AF_UNSPEC: not told, use the socket's peer */
    struct sockaddr_storage dst; /* same family */
};

/* Read a header of either version from all bytes read so far. The answer is the same however they were cut.
 * `max_v2` bounds a version 2 header with its signature (16 to 65551; PROXY_V2_MAX). A CRC32C TLV is verified
 * when there is one. The caller asks this only where the peer is trusted to send a header, and then demands
 * it: guessing whether a header is there lets anyone forge an address. */
enum proxy_result proxy_protocol_read(const uint8_t *data, size_t len, size_t max_v2,
                                      struct proxy_header *ret);

/* What is wrong, as a phrase ("checksum mismatch"). */
const char *proxy_reason_text(enum proxy_reason reason);

/* Take the next TLV off a copy of `tlvs` (or of what follows the first 5 bytes of a PROXY_TLV_SSL); false at
 * the end. */
bool proxy_next_tlv(struct cursor *list, struct proxy_tlv *ret);

/* Write a header for a TCP connection from `src` to `dst` into `out` and return its length, or 0 when it
 * takes more than `cap`. IPv4-mapped IPv6 addresses are written as IPv4. Version 1 says UNKNOWN when either
 * is NULL or both are not of one IP family; PROXY_V1_MAX always suffices. */
size_t proxy_protocol_write_v1(uint8_t *out, size_t cap, const struct sockaddr_storage *src,
                               const struct sockaddr_storage *dst);

/* Same for version 2, with `count` TLVs appended as given. A NULL address writes LOCAL (a health check of our
 * own); one IPv4 and one IPv6 address are both written as IPv6; AF_UNIX pairs as such; any other pair as
 * UNSPEC. */
size_t proxy_protocol_write_v2(uint8_t *out, size_t cap, const struct sockaddr_storage *src,
                               const struct sockaddr_storage *dst, const struct proxy_tlv *tlvs,
                               size_t count);

/* Write the value of a PROXY_TLV_SSL into `out` and return its length, or 0 when it takes more than `cap`. */
size_t proxy_ssl_write(uint8_t *out, size_t cap, const struct proxy_ssl *ssl);

#endif
