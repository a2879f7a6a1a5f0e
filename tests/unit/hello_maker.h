/* SPDX-License-Identifier: Apache-2.0 */
/* ClientHellos for tests: captured ones from files, made ones from hexadecimal text, and both cut into
 * records. */
#ifndef CARDEA_TESTS_HELLO_MAKER_H
#define CARDEA_TESTS_HELLO_MAKER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"

/* What a hello has before its extensions when a test is not about that: one cipher suite, null compression.
 */
#define PLAIN_FIELDS "0303 R 00 0002 1301 01 00"

static inline void put(struct buf *b, const void *data, size_t len)
{
    CHECK(buf_append(b, data, len));
}

static inline void put_uint(struct buf *b, size_t width, size_t v)
{
    for (size_t i = width; i-- > 0;) {
        uint8_t byte = (uint8_t)(v >> (8 * i));
        put(b, &byte, 1);
    }
}

/* Append bytes written as hexadecimal digits; spaces are skipped, and R stands for the 32 bytes of a random.
 */
static inline void put_hex(struct buf *b, const char *hex)
{
    static const uint8_t random[32] = "these are thirty-two bytes long";
    for (; *hex != '\0'; hex++) {
        unsigned byte;
        if (*hex == ' ')
            continue;
        if (*hex == 'R') {
            put(b, random, sizeof(random));
            continue;
        }
        CHECK(sscanf(hex++, "%2x", &byte) == 1);
        put_uint(b, 1, byte);
    }
}

/* A handshake message; `extensions` NULL leaves the whole block out. */
static inline struct buf make_message(const char *fields, const char *extensions)
{
    struct buf body = {0}, block = {0}, message = {0};
    put_hex(&body, fields);
    if (extensions != NULL) {
        put_hex(&block, extensions);
        put_uint(&body, 2, block.len);
        put(&body, block.data, block.len);
    }
    put_uint(&message, 1, 1);
    put_uint(&message, 3, body.len);
    put(&message, body.data, body.len);
    buf_free(&body);
    buf_free(&block);
    return message;
}

/* Append one handshake record. */
static inline void put_record(struct buf *wire, const uint8_t *payload, size_t len)
{
    put_hex(wire, "16 0301");
    put_uint(wire, 2, len);
    put(wire, payload, len);
}

/* A message in records of `size` bytes each; 0: of random sizes. */
static inline struct buf make_records(const uint8_t *message, size_t len, size_t size)
{
    struct buf wire = {0};
    for (size_t at = 0; at < len;) {
        size_t want = size != 0 ? size : 1 + (size_t)rand() % 300;
        size_t n = MIN(want, len - at);
        put_record(&wire, message + at, n);
        at += n;
    }
    return wire;
}

/* A captured hello, as it came off the wire in one record. Tests run in the root of the source tree. */
static inline struct buf load_sample(const char *name)
{
    char path[256];
    uint8_t block[4096];
    struct buf b = {0};
    snprintf(path, sizeof(path), "tests/fuzz/corpus/hello/%s", name);
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    put(&b, block, fread(block, 1, sizeof(block), f));
    fclose(f);
    CHECK(b.len > 9 && b.len < sizeof(block));
    return b;
}

#endif
