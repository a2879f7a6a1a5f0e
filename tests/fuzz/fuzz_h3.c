/* SPDX-License-Identifier: Apache-2.0 */
/* http/h3*.c under a client that does whatever it likes: bytes on any stream, ends, resets and refusals of
 * them, requests of any fields, datagrams; and under sessions that are quick or slow, read or not, and go
 * away in the midst. The first byte is how many streams the client allows the door; an operation is a byte,
 * then the stream, then, where it carries any, a length and its bytes. Nothing is left in the end, and what
 * was said on a stream is whole frames (tests/unit/h3_peer.h). */
#include "tests/unit/h3_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define STREAMS 6

enum op {
    BYTES,
    BYTES_UNI,
    END,
    END_UNI,
    RESET,
    RESET_UNI,
    REFUSE,
    REFUSE_OWN,
    DATAGRAM,
    PAYLOAD, /* a datagram of a stream and a context */
    FIELDS,
    BODY,
    CONNECT,
    CONNECT_UDP,
    BEHAVE,
    CHANGE,
    OPS,
};

static void send_payload(struct peer *p, int64_t stream, const uint8_t *data, size_t len)
{
    struct buf b = {0};
    uint8_t head[DATAGRAM_HEAD_MAX];
    uint64_t context = len > 0 ? data[0] & 1 : 0;
    CHECK(buf_append(&b, head, datagram_head_write(stream, context, head)) && buf_append(&b, data, len));
    peer_datagram(p, b.data, b.len);
    buf_free(&b);
}

static void send_body(struct peer *p, int64_t stream, const uint8_t *data, size_t len)
{
    struct buf b = {0};
    peer_frame(&b, 0, data, len);
    peer_send(p, stream, b.data, b.len, false);
    buf_free(&b);
}

static void behave(struct peer *p, uint8_t how)
{
    p->sessions.slow = how & 1;
    p->sessions.idle = how & 2;
    p->sessions.echoes = how & 4;
    p->tight = how & 8;
    p->datagram_max = how & 16 ? 1200 : 0;
    p->sessions.outcome = how & 32 ? FRONT_DENIED : FRONT_OK;
}

static void change(struct peer *p, uint8_t what)
{
    struct session_double *s = peer_session(p, PEER_BIDI(what % STREAMS));
    switch (what / STREAMS % 5) {
    case 0:
        peer_drain(p);
        break;
    case 1:
        peer_take(p);
        break;
    case 2:
        peer_answer(p);
        break;
    default:
        if (s != NULL && s->link != NULL)
            session_double_end(s, what & 1);
        loop_settle(p->worker.loop);
        break;
    }
}

static void act(struct peer *p, enum op op, uint8_t arg, const uint8_t *data, size_t len)
{
    int64_t bidi = PEER_BIDI(arg % STREAMS), uni = PEER_UNI(arg % STREAMS);
    switch (op) {
    case BYTES:
        peer_send(p, bidi, data, len, false);
        break;
    case BYTES_UNI:
        peer_send(p, uni, data, len, false);
        break;
    case END:
        peer_send(p, bidi, NULL, 0, true);
        break;
    case END_UNI:
        peer_send(p, uni, NULL, 0, true);
        break;
    case RESET:
        peer_reset(p, bidi);
        break;
    case RESET_UNI:
        peer_reset(p, uni);
        break;
    case REFUSE:
        peer_refuse(p, bidi);
        break;
    case REFUSE_OWN:
        peer_refuse(p, PEER_OWN(arg % 3));
        break;
    case DATAGRAM:
        peer_datagram(p, data, len);
        break;
    case PAYLOAD:
        send_payload(p, bidi, data, len);
        break;
    case FIELDS:
        peer_request(p, bidi, data, len, arg & 128);
        break;
    case BODY:
        send_body(p, bidi, data, len);
        break;
    case CONNECT:
        peer_request(p, bidi, PEER_CONNECT, sizeof(PEER_CONNECT) - 1, arg & 128);
        break;
    case CONNECT_UDP:
        peer_request(p, bidi, PEER_CONNECT_UDP, sizeof(PEER_CONNECT_UDP) - 1, arg & 128);
        break;
    case BEHAVE:
        behave(p, arg);
        break;
    default:
        change(p, arg);
        break;
    }
}

static bool carries(enum op op)
{
    return op == BYTES || op == BYTES_UNI || op == DATAGRAM || op == PAYLOAD || op == FIELDS || op == BODY;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cursor c = cursor_of(data, len);
    uint8_t unis = 3, op, arg, most;
    cursor_u8(&c, &unis);
    struct peer p = {.unis = MIN(unis, 3)};
    peer_begin(&p, STREAMS);
    while (cursor_u8(&c, &op) && cursor_u8(&c, &arg)) {
        size_t n = 0;
        op %= OPS;
        if (carries(op) && cursor_u8(&c, &most))
            n = MIN((size_t)most, cursor_left(&c));
        act(&p, op, arg, c.p, n);
        cursor_skip(&c, n);
    }
    peer_end(&p);
    return 0;
}
