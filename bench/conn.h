/* SPDX-License-Identifier: Apache-2.0 */
/* One client connection of the load generator: it is given an order, driven until that is done, and given the
 * next. Sockets do not block. Whatever is not as it should be ends the program with a text: a benchmark that
 * shrugs off errors measures something else. */
#ifndef CARDEA_BENCH_CONN_H
#define CARDEA_BENCH_CONN_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

enum order {
    ORDER_OPEN = 'o', /* connect, then: the TLS handshake; or, passed through, a ClientHello and its answer */
    ORDER_ECHO = 'e', /* send WIRE_MESSAGE bytes, receive the same */
    ORDER_SOURCE = 's', /* receive target.bytes of the pattern */
    ORDER_SINK = 'd',   /* send target.bytes, and hear that they have arrived */
    ORDER_CLOSE = 'c',  /* close_notify and FIN, then read to the end */
};

/* What all connections of a run share. */
struct target {
    struct sockaddr_in address;
    const char *sni;
    const char *group;    /* the one key exchange offered */
    const char *starttls; /* the protocol in which TLS is asked for; NULL: it begins at once */
    bool tls;             /* false: the server passes through, and the client sends `hello` */
    bool resume;          /* offer the ticket of the connection before */
    bool expect_resumed;  /* fail where the server does not take it */
    const char *ech;      /* a file with an ECHConfigList in base64; NULL: no ECH */
    uint8_t *configs;     /* ... read */
    size_t configs_len;
    uint64_t bytes; /* of ORDER_SOURCE and ORDER_SINK */
    SSL_CTX *ctx;
    unsigned char *hello, *pattern;
    size_t hello_size;
    uint64_t to_server, from_server; /* bytes of handshakes so far, as TLS has them */
    uint64_t handshakes;
};

struct conn {
    struct target *target;
    SSL *ssl; /* NULL where the connection is passed through */
    SSL_SESSION *ticket;
    int fd;
    enum order order;
    bool sent;     /* the order's own bytes are on their way */
    bool lined;    /* behind STARTTLS something has been said */
    unsigned step; /* of the way to TLS */
    size_t heard;  /* bytes of the answer to that step */
    char answer[512];
    uint64_t done, tag;
    unsigned char message[64];
};

/* Makes ctx, hello and pattern of T, whose other fields are set. */
void target_prepare(struct target *t);

/* Begins ORDER; TAG makes its bytes and its source address differ from others'. Then conn_run is to be
 * called. */
void conn_order(struct conn *c, enum order order, uint64_t tag);

/* Goes on with the order. Returns true when it is done, false to be called again when the socket is ready. */
bool conn_run(struct conn *c);

/* Prints the text, and errno or AWS-LC's error where there is one, and ends the program. */
_Noreturn void conn_fail(const char *what);

#endif
