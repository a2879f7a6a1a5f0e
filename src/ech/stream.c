/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/stream.h"

#include <string.h>

#include "base/check.h"

#define RECORD_HEADER 5
#define RECORD_MAX 16384
#define TYPE_HANDSHAKE 22
#define SERVER_HELLO 2
#define HANDSHAKE_HEADER 4
#define RANDOM_LEN 32

/* The random of a ServerHello that is a HelloRetryRequest (RFC 8446, 4.1.3). */
static const uint8_t retry_random[RANDOM_LEN] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

void ech_stream_begin(struct ech_stream *s, struct ech_opening *opening, size_t hello_max)
{
    *s =
        (struct ech_stream){.state = ECH_STREAM_ANSWER, .opening = opening, .hello_max = (uint32_t)hello_max};
}

void ech_stream_free(struct ech_stream *s)
{
    ech_opening_free(s->opening);
    s->opening = NULL;
    buf_free(&s->held);
}

static void end(struct ech_stream *s, enum ech_stream_state state)
{
    s->state = state;
    ech_stream_free(s);
}

bool ech_stream_put_records(const struct buf *message, struct buf *ret)
{
    for (size_t at = 0; at < message->len;) {
        size_t n = MIN(message->len - at, (size_t)RECORD_MAX);
        uint8_t header[RECORD_HEADER] = {TYPE_HANDSHAKE, 3, 1, (uint8_t)(n >> 8), (uint8_t)n};
        if (!buf_append(ret, header, sizeof(header)) || !buf_append(ret, message->data + at, n))
            return false;
        at += n;
    }
    return true;
}

/* Take bytes into a space of `want`; true once it is full. */
static bool gather(uint8_t *space, size_t want, size_t *have, const uint8_t **data, size_t *len)
{
    size_t n = MIN(want - *have, *len);
    memcpy(space + *have, *data, n);
    *have += n;
    *data += n;
    *len -= n;
    return *have == want;
}

static size_t record_len(const uint8_t header[RECORD_HEADER])
{
    return (size_t)header[3] << 8 | header[4];
}

/* ---- the server ---- */

/* What its first message is; anything but a HelloRetryRequest means that no second hello comes. */
static enum ech_stream_state judge_answer(const struct ech_stream *s)
{
    bool retry = s->answer[0] == SERVER_HELLO &&
                 memcmp(s->answer + HANDSHAKE_HEADER + 2, retry_random, RANDOM_LEN) == 0;
    return retry ? ECH_STREAM_SECOND : ECH_STREAM_OVER;
}

void ech_stream_down(struct ech_stream *s, const uint8_t *data, size_t len)
{
    while (len > 0 && s->state == ECH_STREAM_ANSWER) {
        if (s->down_left == 0) {
            if (!gather(s->down_head, RECORD_HEADER, &s->down_head_len, &data, &len))
                return;
            s->down_left = record_len(s->down_head);
            s->down_head_len = 0;
            if (s->down_head[0] != TYPE_HANDSHAKE || s->down_left == 0)
                end(s, ECH_STREAM_OVER);
            continue;
        }
        size_t most = MIN(len, s->down_left), left = most;
        bool whole = gather(s->answer, sizeof(s->answer), &s->answer_len, &data, &left);
        s->down_left -= most - left;
        len -= most - left;
        if (whole && judge_answer(s) == ECH_STREAM_SECOND)
            s->state = ECH_STREAM_SECOND;
        else if (whole)
            end(s, ECH_STREAM_OVER);
    }
}

/* ---- the client ---- */

static void bad(struct ech_stream *s, enum alert alert, const char *why)
{
    s->why = why;
    s->alert = alert;
    end(s, ECH_STREAM_BAD);
}

static void open_second(struct ech_stream *s, struct buf *ret)
{
    struct ech_opened opened;
    struct buf scratch = {0};
    CHECK(buf_reserve(&scratch, s->scan.message_len));
    const uint8_t *message = hello_scan_message(&s->scan, s->held.data, scratch.data);
    if (ech_open_second(s->opening, message, s->scan.message_len, &opened) == ECH_OPENED) {
        CHECK(ech_stream_put_records(&opened.inner, ret));
        end(s, ECH_STREAM_OVER);
    } else {
        bad(s, opened.alert, opened.why);
    }
    buf_free(&opened.inner);
    buf_free(&scratch);
}

/* Hold what belongs to the second hello until it is whole. */
static void hold(struct ech_stream *s, const uint8_t **data, size_t *len, struct buf *ret)
{
    size_t before = s->held.len;
    if (before == 0)
        s->scan = hello_scan_start(s->hello_max);
    CHECK(buf_append(&s->held, *data, *len));
    switch (hello_scan(&s->scan, s->held.data, s->held.len)) {
    case HELLO_MORE:
        *data += *len;
        *len = 0;
        break;
    case HELLO_DONE:
        *data += s->scan.wire_len - before;
        *len -= s->scan.wire_len - before;
        open_second(s, ret);
        break;
    default:
        bad(s, ALERT_DECODE_ERROR, "a second hello that is none");
    }
}

/* Pass the client's bytes, and know where each record ends. */
static void pass(struct ech_stream *s, const uint8_t **data, size_t *len, struct buf *ret)
{
    const uint8_t *from = *data;
    if (s->up_left > 0) {
        size_t n = MIN(*len, s->up_left);
        s->up_left -= n;
        *data += n;
        *len -= n;
    } else if (gather(s->up_head, RECORD_HEADER, &s->up_head_len, data, len)) {
        s->up_left = record_len(s->up_head);
        s->up_head_len = 0;
    }
    CHECK(buf_append(ret, from, (size_t)(*data - from)));
}

/* Does a record of the second hello stand here? A record that was begun before the answer was known is none.
 */
static bool is_second(const struct ech_stream *s, const uint8_t *data)
{
    bool between = s->up_left == 0 && s->up_head_len == 0;
    return s->state == ECH_STREAM_SECOND && between && (s->held.len > 0 || *data == TYPE_HANDSHAKE);
}

void ech_stream_up(struct ech_stream *s, const uint8_t *data, size_t len, struct buf *ret)
{
    while (len > 0 && (s->state == ECH_STREAM_ANSWER || s->state == ECH_STREAM_SECOND))
        if (is_second(s, data))
            hold(s, &data, &len, ret);
        else
            pass(s, &data, &len, ret);
    if (s->state == ECH_STREAM_OVER)
        CHECK(buf_append(ret, data, len));
}
