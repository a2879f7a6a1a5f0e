/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/answer.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"

enum { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22 };
enum { SERVER_HELLO = 2, SERVER_KEY_EXCHANGE = 12, SERVER_HELLO_DONE = 14 };
enum { EXTENDED_MASTER_SECRET = 23, SUPPORTED_VERSIONS = 43, KEY_SHARE = 51, RENEGOTIATION_INFO = 0xff01 };

#define RECORD_MAX (16384 + 2048) /* RFC 5246, 6.2.3 */
#define FATAL 2
#define NAMED_CURVE 3
#define RANDOM 32

/* The random of a HelloRetryRequest (RFC 8446, 4.1.3): SHA-256 of that word. */
static const uint8_t retry_random[RANDOM] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                             0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                             0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

/* The handshake messages, which lie in any number of records, as one stream of bytes. */
struct stream {
    struct cursor wire;    /* behind the record at hand */
    struct cursor record;  /* what is left of it */
    enum answer_kind kind; /* why it goes no further: ANSWER_MORE, ANSWER_ALERT or ANSWER_BAD */
    uint8_t alert;
};

static bool stop(struct stream *s, enum answer_kind kind)
{
    s->kind = kind;
    return false;
}

/* An alert that warns (unrecognized_name, in TLS 1.2) is passed over. */
static bool read_alert(struct stream *s)
{
    uint8_t level = 0, alert = 0;
    if (cursor_left(&s->record) != 2)
        return stop(s, ANSWER_BAD);
    cursor_u8(&s->record, &level);
    cursor_u8(&s->record, &alert);
    s->alert = alert;
    return level != FATAL && alert != 0 ? true : stop(s, ANSWER_ALERT);
}

static bool read_record(struct stream *s, uint8_t *ret_type)
{
    uint8_t major;
    uint16_t len;
    struct cursor at = s->wire;
    if (cursor_u8(&at, ret_type) && *ret_type != RECORD_HANDSHAKE && *ret_type != RECORD_ALERT)
        return stop(s, ANSWER_BAD);
    if (cursor_u8(&at, &major) && major != 3)
        return stop(s, ANSWER_BAD);
    if (cursor_skip(&at, 1) && cursor_u16(&at, &len) && (len == 0 || len > RECORD_MAX))
        return stop(s, ANSWER_BAD);
    at = s->wire;
    if (!cursor_skip(&at, 3) || !cursor_vector(&at, 2, &s->record))
        return stop(s, ANSWER_MORE);
    s->wire = at;
    return true;
}

/* Go to the next record that has bytes of the handshake. */
static bool next_record(struct stream *s)
{
    uint8_t type = 0;
    while (read_record(s, &type))
        if (type == RECORD_HANDSHAKE)
            return true;
        else if (!read_alert(s))
            return false;
    return false;
}

/* Take `n` bytes of the handshake: `ret`, where it is not NULL, gets as many of the first as it can hold. */
static bool take(struct stream *s, size_t n, uint8_t *ret, size_t cap)
{
    while (n > 0) {
        if (cursor_left(&s->record) == 0 && !next_record(s))
            return false;
        size_t part = MIN(n, cursor_left(&s->record)), kept = MIN(part, cap);
        const uint8_t *p = NULL;
        cursor_bytes(&s->record, part, &p);
        if (kept > 0) {
            memcpy(ret, p, kept);
            ret += kept;
            cap -= kept;
        }
        n -= part;
    }
    return true;
}

static void read_extension(uint16_t type, struct cursor body, struct hello_answer *ret)
{
    switch (type) {
    case EXTENDED_MASTER_SECRET:
        ret->extended_master = true;
        break;
    case RENEGOTIATION_INFO:
        ret->renegotiation = true;
        break;
    case SUPPORTED_VERSIONS:
        cursor_u16(&body, &ret->version);
        break;
    case KEY_SHARE:
        cursor_u16(&body, &ret->group);
        break;
    default:
        break;
    }
}

static bool read_hello(struct cursor c, struct hello_answer *ret)
{
    const uint8_t *random;
    struct cursor session, extensions, body;
    uint16_t type;
    if (!cursor_u16(&c, &ret->version) || !cursor_bytes(&c, RANDOM, &random) ||
        !cursor_vector(&c, 1, &session) || !cursor_u16(&c, &ret->suite) || !cursor_u8(&c, &ret->compression))
        return false;
    ret->kind = memcmp(random, retry_random, RANDOM) == 0 ? ANSWER_RETRY : ANSWER_HELLO;
    if (cursor_left(&c) == 0)
        return true;
    if (!cursor_vector(&c, 2, &extensions) || cursor_left(&c) > 0)
        return false;
    while (cursor_left(&extensions) > 0) {
        if (!cursor_u16(&extensions, &type) || !cursor_vector(&extensions, 2, &body))
            return false;
        read_extension(type, body, ret);
    }
    return true;
}

/* Of the suites in tables/probe_suites.def those of curves are in these blocks, among a few of primes: with
 * CCM, ARIA and ChaCha20. */
static bool is_of_curves(uint16_t suite)
{
    uint8_t block = (uint8_t)(suite >> 8);
    bool dhe = (suite >= 0xc09c && suite <= 0xc0ab) || suite == 0xc052 || suite == 0xc053 || suite == 0xccaa;
    return (block == 0xc0 || block == 0xcc) && !dhe;
}

static void read_key_exchange(struct cursor c, struct hello_answer *ret)
{
    uint8_t type;
    struct cursor prime;
    if (is_of_curves(ret->suite)) {
        if (cursor_u8(&c, &type) && type == NAMED_CURVE)
            cursor_u16(&c, &ret->group);
        return;
    }
    if (!cursor_vector(&c, 2, &prime) || cursor_left(&prime) > UINT16_MAX / 8)
        return;
    while (cursor_left(&prime) > 0 && *prime.p == 0)
        cursor_skip(&prime, 1);
    unsigned bits = 8 * (unsigned)cursor_left(&prime);
    for (uint8_t mask = 0x80; bits > 0 && (*prime.p & mask) == 0; mask >>= 1)
        bits--;
    ret->prime_bits = (uint16_t)bits;
}

/* A ServerHello and ServerKeyExchange are shorter, but for extensions that nobody has asked for. */
#define MESSAGE_MAX 8192

/* One message; the body of what is longer than MESSAGE_MAX is passed over. */
static bool next_message(struct stream *s, uint8_t *ret_type, uint8_t body[MESSAGE_MAX],
                         struct cursor *ret_body)
{
    uint8_t head[4];
    if (!take(s, sizeof(head), head, sizeof(head)))
        return false;
    size_t len = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    *ret_type = head[0];
    *ret_body = cursor_of(body, MIN(len, (size_t)MESSAGE_MAX));
    return take(s, len, body, MESSAGE_MAX);
}

/* What stands in the clear behind a ServerHello of TLS 1.2, up to ServerHelloDone. A server that breaks off
 * within has said what was asked. */
static void read_rest(struct stream *s, uint8_t body[MESSAGE_MAX], struct hello_answer *ret)
{
    struct cursor c;
    uint8_t type = 0;
    while (next_message(s, &type, body, &c) && type != SERVER_HELLO_DONE)
        if (type == SERVER_KEY_EXCHANGE)
            read_key_exchange(c, ret);
    if (type != SERVER_HELLO_DONE && s->kind == ANSWER_MORE)
        ret->kind = ANSWER_MORE;
}

void hello_answer_read(const uint8_t *data, size_t len, struct hello_answer *ret)
{
    uint8_t body[MESSAGE_MAX], type;
    struct stream s = {.wire = cursor_of(data, MIN(len, ANSWER_MAX))};
    struct cursor c;
    *ret = (struct hello_answer){0};
    if (!next_message(&s, &type, body, &c))
        *ret = (struct hello_answer){.kind = s.kind, .alert = s.kind == ANSWER_ALERT ? s.alert : 0};
    else if (type != SERVER_HELLO || !read_hello(c, ret))
        *ret = (struct hello_answer){.kind = ANSWER_BAD};
    else if (ret->version < 0x0304 && ret->kind == ANSWER_HELLO)
        read_rest(&s, body, ret);
    if (ret->kind == ANSWER_MORE && len >= ANSWER_MAX)
        ret->kind = ANSWER_BAD;
}
