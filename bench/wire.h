/* SPDX-License-Identifier: Apache-2.0 */
/* What the load generator and the backend say to each other through the server that is measured. */
#ifndef CARDEA_BENCH_WIRE_H
#define CARDEA_BENCH_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The first byte a backend receives says what it shall do. */
enum {
    WIRE_ECHO = 'E',   /* send everything back, this byte too */
    WIRE_SOURCE = 'S', /* a u64 (big-endian) follows: send that many bytes of the pattern */
    WIRE_SINK = 'D',   /* a u64 follows: swallow that many bytes, then answer with one WIRE_SINK */
    WIRE_HELLO = 0x16, /* a ClientHello, passed through: answer with WIRE_FLIGHT bytes of the pattern, then
                          take orders */
    WIRE_LINE = '\n',  /* nothing; behind STARTTLS, what is said first is to be a line */
};

enum {
    WIRE_ORDER = 9,          /* bytes of a WIRE_SOURCE or WIRE_SINK order */
    WIRE_RECORD = 5,         /* bytes of a TLS record's header */
    WIRE_FLIGHT = 1000,      /* about what a TLS 1.3 server's first flight comes to */
    WIRE_MESSAGE = 64,       /* bytes of one echoed message */
    WIRE_PERIOD = 251,       /* the pattern: byte i of a stream is i modulo this prime */
    WIRE_BLOCK = 251 * 1024, /* a whole number of periods, so that any block may follow any other */
};

/* A block of the pattern that can be read from any phase on, or NULL where there is no memory. Freed by
 * free(). */
static inline unsigned char *wire_pattern(void)
{
    unsigned char *block = malloc(WIRE_BLOCK + WIRE_PERIOD);
    for (size_t i = 0; block && i < WIRE_BLOCK + WIRE_PERIOD; i++)
        block[i] = (unsigned char)(i % WIRE_PERIOD);
    return block;
}

static inline void wire_put_u64(unsigned char *to, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        to[i] = (unsigned char)value;
}

static inline uint64_t wire_get_u64(const unsigned char *from)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | from[i];
    return value;
}

#endif
