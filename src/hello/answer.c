/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/answer.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "hello/server_hello.h"

enum { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22 };
#define SERVER_HELLO_DONE 14

#define RECORD_MAX (16384 + 2048) /* RFC 5246, 6.2.3 */
#define FATAL 2

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

static bool read_hello(struct cursor body, struct hello_answer *ret)
{
    struct server_hello s;
    if (!server_hello_parse_body(body, &s))
        return false;
    *ret = (struct hello_answer){.kind = s.retry ? ANSWER_RETRY : ANSWER_HELLO,
                                 .compression = s.compression,
                                 .version = s.version,
                                 .suite = s.cipher,
                                 .group = s.group,
                                 .renegotiation = s.renegotiation,
                                 .extended_master = s.extended_master};
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
    struct cursor prime;
    if (is_of_curves(ret->suite)) {
        server_hello_group_of_body(c, &ret->group);
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
