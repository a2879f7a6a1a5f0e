/* SPDX-License-Identifier: Apache-2.0 */
/* http/h2*.c under a client that does whatever it likes: bytes, frames of any kind on any stream, requests of
 * any fields; and under sessions that are quick or slow, read or not, and go away in the midst. The first
 * byte says whether the client begins as RFC 9113, 3.4 wants it, and how much it takes without reading. An
 * operation is a byte, then the stream, then, where it carries any, a length and its bytes. */
#include "tests/unit/h2_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define STREAMS PEER_SESSIONS

enum op { BYTES, FRAME, FIELDS, BODY, CONNECT, CONNECT_UDP, RESET, CREDIT, BEHAVE, CHANGE, OPS };

static void behave(struct world *w, uint8_t how)
{
    w->sessions.slow = how & 1;
    w->sessions.idle = how & 2;
    w->sessions.echoes = how & 4;
    w->mute = how & 8;
    w->unwelcome = how & 16;
    w->sessions.outcome = how & 32 ? FRONT_DENIED : FRONT_OK;
}

static void change(struct world *w, uint8_t what)
{
    struct session_double *s = sessions_find(&w->sessions, what % STREAMS);
    switch (what / STREAMS % 4) {
    case 0:
        if (!w->over)
            w->resident->ops->drain(w->resident);
        break;
    case 1:
        sessions_answer(&w->sessions);
        break;
    default:
        if (s != NULL && s->link != NULL)
            session_double_end(s, what & 1);
        break;
    }
}

static void act(struct world *w, enum op op, uint8_t arg, const uint8_t *data, size_t len)
{
    uint32_t stream = 2 * (arg % STREAMS) + 1;
    uint8_t end = arg & 128 ? END_STREAM : 0;
    switch (op) {
    case BYTES:
        peer_send(w, data, len);
        break;
    case FRAME: /* its flags and a stream of any kind are the first bytes */
        if (len >= 2)
            peer_frame(w, arg, data[0], data[1], data + 2, len - 2);
        break;
    case FIELDS:
        peer_fields(w, stream, arg & 64 ? end : end | END_HEADERS, data, len);
        break;
    case BODY:
        peer_frame(w, DATA, end, stream, data, len);
        break;
    case CONNECT:
        peer_fields(w, stream, end | END_HEADERS, CONNECT_FIELDS, sizeof(CONNECT_FIELDS) - 1);
        break;
    case CONNECT_UDP:
        peer_fields(w, stream, end | END_HEADERS, CONNECT_UDP_FIELDS, sizeof(CONNECT_UDP_FIELDS) - 1);
        break;
    case RESET:
        peer_frame(w, RST_STREAM, 0, stream, "\0\0\0\10", 4);
        break;
    case CREDIT:
        peer_frame(w, WINDOW_UPDATE, 0, arg & 128 ? 0 : stream, "\0\0\377\377", 4);
        break;
    case BEHAVE:
        behave(w, arg);
        break;
    default:
        change(w, arg);
        break;
    }
    peer_settle(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct world w = {0};
    struct cursor c = cursor_of(data, len);
    uint8_t how = 0, op, arg, most;
    cursor_u8(&c, &how);
    peer_begin(&w, how & 1 ? 600 : 65536);
    if (!(how & 128))
        peer_preface(&w);
    while (cursor_u8(&c, &op) && cursor_u8(&c, &arg)) {
        size_t n = 0;
        op %= OPS;
        if (op <= BODY && cursor_u8(&c, &most))
            n = MIN((size_t)most, cursor_left(&c));
        act(&w, op, arg, c.p, n);
        cursor_skip(&c, n);
    }
    peer_end(&w, how & 64);
    return 0;
}
