/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/server_hello.h"

#include "hello/hello.h"

#define RANDOM_LEN 32
#define NAMED_CURVE 3

enum extension {
    EXT_ALPN = 16,
    EXT_EXTENDED_MASTER_SECRET = 23,
    EXT_PRE_SHARED_KEY = 41,
    EXT_SUPPORTED_VERSIONS = 43,
    EXT_KEY_SHARE = 51,
    EXT_RENEGOTIATION_INFO = 0xff01,
};

/* SHA-256 of "HelloRetryRequest": the random that tells it from a ServerHello (RFC 8446, 4.1.3). */
static const uint8_t retry_random[RANDOM_LEN] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

/* The body of a message of this type. */
static bool body_of(const uint8_t *message, size_t len, uint8_t type, struct cursor *ret)
{
    struct cursor all = cursor_of(message, len);
    uint8_t found;
    return cursor_u8(&all, &found) && found == type && cursor_vector(&all, 3, ret) && cursor_left(&all) == 0;
}

/* RFC 7301, 3.1: exactly one name. */
static bool read_alpn(struct cursor body, struct server_hello *s)
{
    struct cursor list, name;
    if (!cursor_vector(&body, 2, &list) || !cursor_vector(&list, 1, &name) || cursor_left(&list) > 0)
        return false;
    s->alpn = (struct str){(const char *)name.p, cursor_left(&name)};
    return true;
}

static bool read_extension(uint16_t type, struct cursor body, struct server_hello *s)
{
    switch (type) {
    case EXT_SUPPORTED_VERSIONS:
        return cursor_u16(&body, &s->version);
    case EXT_KEY_SHARE: /* the key behind it is not looked at */
        return cursor_u16(&body, &s->group);
    case EXT_PRE_SHARED_KEY:
        s->resumes = true;
        return true;
    case EXT_EXTENDED_MASTER_SECRET:
        s->extended_master = true;
        return true;
    case EXT_RENEGOTIATION_INFO:
        s->renegotiation = true;
        return true;
    case EXT_ALPN:
        return read_alpn(body, s);
    default:
        return true;
    }
}

bool server_hello_parse_body(struct cursor body, struct server_hello *ret)
{
    struct cursor list = {0}, extension;
    const uint8_t *random;
    uint16_t type;
    *ret = (struct server_hello){.alpn = {"", 0}};
    if (!cursor_u16(&body, &ret->version) || !cursor_bytes(&body, RANDOM_LEN, &random) ||
        !cursor_vector(&body, 1, &ret->session_id) || !cursor_u16(&body, &ret->cipher) ||
        !cursor_u8(&body, &ret->compression))
        return false;
    ret->retry = memcmp(random, retry_random, RANDOM_LEN) == 0;
    if (cursor_left(&body) > 0 && !cursor_vector(&body, 2, &list))
        return false;
    while (hello_next_extension(&list, &type, &extension))
        if (!read_extension(type, extension, ret))
            return false;
    return cursor_left(&list) == 0 && cursor_left(&body) == 0;
}

bool server_hello_parse(const uint8_t *message, size_t len, struct server_hello *ret)
{
    struct cursor body;
    return body_of(message, len, SERVER_HELLO, &body) && server_hello_parse_body(body, ret);
}

bool server_hello_group_of_body(struct cursor body, uint16_t *ret)
{
    uint8_t curve;
    return cursor_u8(&body, &curve) && curve == NAMED_CURVE && cursor_u16(&body, ret);
}

bool server_hello_group(const uint8_t *message, size_t len, uint16_t *ret)
{
    struct cursor body;
    return body_of(message, len, SERVER_KEY_EXCHANGE, &body) && server_hello_group_of_body(body, ret);
}
