/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/reply.h"

#include "base/check.h"
#include "base/str.h"
#include "hello/server_hello.h"

#define MESSAGE_HEADER 4u
#define MESSAGE_MAX \
    16384u /* a ServerHello or ServerKeyExchange of a server that is no fool is much shorter */
#define SERVER_HELLO_DONE 14
#define TLS_1_3 0x0304

enum record_type { RECORD_CCS = 20, RECORD_ALERT = 21, RECORD_HANDSHAKE = 22 };

/* Messages ------------------------------------------------------------------------------------------- */

static void take_hello(struct reply_reader *r, const struct server_hello *s)
{
    struct reply *a = &r->reply;
    a->kind = REPLY_HELLO;
    a->version = s->version;
    a->cipher = s->cipher;
    a->group = s->group;
    a->resumes = s->resumes;
    a->session_id_len = (uint8_t)MIN(cursor_left(&s->session_id), REPLY_SESSION_ID_MAX);
    memcpy(a->session_id, s->session_id.p, a->session_id_len);
    str_copy(a->alpn, sizeof(a->alpn), s->alpn.p, s->alpn.len);
    r->done = s->version >= TLS_1_3;
}

/* A whole message of a wanted type. */
static void take_message(struct reply_reader *r, const uint8_t *message, size_t len)
{
    struct server_hello s;
    if (message[0] == SERVER_KEY_EXCHANGE) {
        if (!server_hello_group(message, len, &r->reply.group))
            r->reply.group = 0;
        r->done = true;
    } else if (r->reply.kind == REPLY_HELLO || !server_hello_parse(message, len, &s)) {
        r->done = true;
    } else if (s.retry && !r->reply.retry) {
        r->reply.retry = true;
        r->reply.retry_group = s.group;
    } else {
        take_hello(r, &s);
    }
}

static bool is_wanted(const struct reply_reader *r, uint8_t type)
{
    return type == SERVER_HELLO || (type == SERVER_KEY_EXCHANGE && r->reply.kind == REPLY_HELLO);
}

/* The message at `*at` of what is held, which goes on behind it; false: it is not whole yet. */
static bool next_message(struct reply_reader *r, size_t *at)
{
    const uint8_t *p = r->held.data + *at;
    size_t have = r->held.len - *at;
    if (have < MESSAGE_HEADER)
        return false;
    uint32_t len = MESSAGE_HEADER + ((uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
    if (p[0] == SERVER_HELLO_DONE || (is_wanted(r, p[0]) && len > MESSAGE_MAX)) {
        r->done = true;
        return false;
    }
    if (!is_wanted(r, p[0])) {
        size_t here = MIN(len, have);
        *at += here;
        r->skip = len - here;
        return r->skip == 0;
    }
    if (have < len)
        return false;
    take_message(r, p, len);
    *at += len;
    return true;
}

void reply_messages(struct reply_reader *r, const uint8_t *data, size_t len)
{
    while (len > 0 && !r->done) {
        size_t n = r->skip > 0 ? (size_t)MIN(r->skip, len) : len, at = 0;
        if (r->skip > 0)
            r->skip -= n;
        else if (!buf_append(&r->held, data, n))
            r->done = true;
        data += n;
        len -= n;
        while (!r->done && r->skip == 0 && next_message(r, &at))
            ;
        buf_consume(&r->held, at);
    }
    if (r->done)
        buf_free(&r->held);
}

/* Records -------------------------------------------------------------------------------------------- */

/* The header is whole: what may follow? */
static void begin_record(struct reply_reader *r)
{
    const uint8_t *h = r->record;
    r->record_left = (uint16_t)(h[3] << 8 | h[4]);
    bool known =
        h[0] == RECORD_HANDSHAKE || h[0] == RECORD_CCS || (h[0] == RECORD_ALERT && r->record_left == 2);
    /* Behind ChangeCipherSpec a server of TLS 1.2 is not understood any more. */
    bool sealed = h[0] == RECORD_CCS && r->reply.kind == REPLY_HELLO;
    if (!known || sealed || h[1] != 3 || r->record_left == 0 || r->record_left > MESSAGE_MAX)
        r->done = true;
}

static void take_alert(struct reply_reader *r, uint8_t byte)
{
    /* The level comes first; the last byte of the record says what it is. Behind a ServerHello it is no
     * answer. */
    if (r->record_left > 1 || r->reply.kind != REPLY_NONE)
        return;
    r->reply.kind = REPLY_ALERT;
    r->reply.alert = byte;
    r->done = true;
}

/* Some bytes of a record's content; returns how many were taken. */
static size_t take_content(struct reply_reader *r, const uint8_t *data, size_t len)
{
    size_t n = MIN(len, r->record_left);
    if (r->record[0] == RECORD_HANDSHAKE) {
        reply_messages(r, data, n);
    } else if (r->record[0] == RECORD_ALERT) {
        n = 1;
        take_alert(r, *data);
    }
    r->record_left -= (uint16_t)n;
    return n;
}

void reply_records(struct reply_reader *r, const uint8_t *data, size_t len)
{
    while (len > 0 && !r->done) {
        size_t n = 1;
        if (r->record_left > 0) {
            n = take_content(r, data, len);
        } else {
            r->record[r->record_have++] = *data;
            if (r->record_have == sizeof(r->record)) {
                begin_record(r);
                r->record_have = 0;
            }
        }
        data += n;
        len -= n;
    }
    if (r->done)
        buf_free(&r->held);
}

void reply_free(struct reply_reader *r)
{
    buf_free(&r->held);
}

bool reply_resumes(const struct reply *a, const uint8_t *session_id, size_t len)
{
    if (a->kind != REPLY_HELLO || a->version >= TLS_1_3)
        return a->resumes;
    return len > 0 && len == a->session_id_len && memcmp(session_id, a->session_id, len) == 0;
}
