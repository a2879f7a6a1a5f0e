/* SPDX-License-Identifier: Apache-2.0 */
/* http/h2*.c under a client that does whatever it likes: bytes, frames of any kind on any stream, requests of
 * any fields; and under sessions that are quick or slow, read or not, and go away in the midst. The first
 * byte says whether the client begins as RFC 9113, 3.4 wants it, and how much it takes without reading. An
 * operation is a byte, then the stream, then, where it carries any, a length and its bytes. The landlord
 * (session.h, standing.h, resident.h) is made here. */
#include "base/cursor.h"
#include "config/config.h"
#include "http/h2.h"
#include "link/mem_link.h"
#include "session/resident.h"
#include "session/routing.h"
#include "session/session.h"
#include "session/standing.h"
#include "session/worker.h"
#include "tests/unit/session_double.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define STREAMS 6
#define CONNECT_FIELDS ":method\0CONNECT\0:authority\0a.b:1"
#define CONNECT_UDP_FIELDS                                                         \
    ":method\0CONNECT\0:protocol\0connect-udp\0:scheme\0https\0:authority\0door\0" \
    ":path\0/.well-known/masque/udp/a.b/1/\0capsule-protocol\0?1"

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION
};
enum { END_STREAM = 1, END_HEADERS = 4 };

enum op { BYTES, FRAME, FIELDS, BODY, CONNECT, CONNECT_UDP, RESET, CREDIT, BEHAVE, CHANGE, OPS };

struct world {
    struct worker worker;
    struct snapshot snapshot;
    struct config config;
    struct epoch epoch;
    struct hello_note hello;
    struct link *client, *door;
    struct resident *resident;
    struct sessions sessions;
    int64_t begun;  /* sessions, which are known by the order in which they come */
    struct err why; /* the client is not welcome */
    bool unwelcome, touched, over, mute;
};

/* ---- the landlord ---- */

static struct world *world_of(struct session *landlord)
{
    CHECK(landlord != NULL);
    return (void *)landlord;
}

void resident_wake(struct resident *r)
{
    world_of(r->landlord)->touched = true;
}

bool session_renew(struct session *s, struct standing *st, const struct hello_note *hello)
{
    struct world *w = world_of(s);
    CHECK(hello != NULL);
    st->epoch = &w->epoch;
    st->refused = w->unwelcome ? CLOSE_DENIED : CLOSE_DONE;
    st->why = w->unwelcome ? &w->why : NULL;
    return !w->unwelcome;
}

void standing_free(struct standing *st)
{
    st->why = NULL;
}

void session_start_stream(struct worker *worker, struct link *link, const struct session_origin *origin)
{
    struct world *w = CONTAINER_OF(worker, struct world, worker);
    CHECK(!w->over && origin->request != NULL && origin->epoch == &w->epoch);
    session_begin(&w->sessions, origin->front, link, w->begun++ % STREAMS, origin->request);
}

static void close_all(struct world *w)
{
    if (w->over)
        return;
    w->over = true;
    w->resident->ops->close(w->resident);
    link_close(w->door, false);
}

static void settle(struct world *w)
{
    uint8_t bytes[4096];
    size_t n;
    struct resident_end end;
    do {
        for (int i = 0; i < 100 && w->touched && !w->over; i++) {
            w->touched = false;
            if (!w->resident->ops->run(w->resident, &end))
                close_all(w);
        }
        while (!w->mute && link_read(w->client, bytes, sizeof(bytes), &n) == LINK_OK)
            continue;
    } while (w->touched && !w->over && !w->mute);
}

static void on_door_wake(struct link *l)
{
    struct world *w = l->owner;
    w->touched = true;
}

/* ---- the client ---- */

static void send_bytes(struct world *w, const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t n = 0;
    for (; len > 0 && !w->over && link_write(w->client, p, len, &n) == LINK_OK; p += n, len -= n)
        settle(w);
}

static void send_frame(struct world *w, uint8_t type, uint8_t flags, uint32_t stream, const void *data,
                       size_t len)
{
    struct buf b = {0};
    uint8_t head[9];
    struct writer to = writer_of(head, sizeof(head));
    writer_uint(&to, 3, len);
    writer_uint(&to, 1, type);
    writer_uint(&to, 1, flags);
    writer_uint(&to, 4, stream);
    CHECK(buf_append(&b, head, sizeof(head)) && buf_append(&b, data, len));
    send_bytes(w, b.data, b.len);
    buf_free(&b);
}

/* Literal fields (RFC 7541, 6.2.2) out of "name\0value\0...", as it stands. */
static void send_fields(struct world *w, uint32_t stream, uint8_t flags, const void *text, size_t len)
{
    struct buf block = {0};
    const char *p = text, *end = p + len;
    for (bool name = true; p < end; name = !name) {
        size_t n = strnlen(p, (size_t)(end - p));
        CHECK(!name || buf_append(&block, "", 1));
        put_integer(&block, 0, 7, n);
        CHECK(buf_append(&block, p, n));
        p += MIN(n + 1, (size_t)(end - p));
    }
    send_frame(w, HEADERS, flags, stream, block.data, block.len);
    buf_free(&block);
}

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
        send_bytes(w, data, len);
        break;
    case FRAME: /* its flags and a stream of any kind are the first bytes */
        if (len >= 2)
            send_frame(w, arg, data[0], data[1], data + 2, len - 2);
        break;
    case FIELDS:
        send_fields(w, stream, arg & 64 ? end : end | END_HEADERS, data, len);
        break;
    case BODY:
        send_frame(w, DATA, end, stream, data, len);
        break;
    case CONNECT:
        send_fields(w, stream, end | END_HEADERS, CONNECT_FIELDS, sizeof(CONNECT_FIELDS) - 1);
        break;
    case CONNECT_UDP:
        send_fields(w, stream, end | END_HEADERS, CONNECT_UDP_FIELDS, sizeof(CONNECT_UDP_FIELDS) - 1);
        break;
    case RESET:
        send_frame(w, RST_STREAM, 0, stream, "\0\0\0\10", 4);
        break;
    case CREDIT:
        send_frame(w, WINDOW_UPDATE, 0, arg & 128 ? 0 : stream, "\0\0\377\377", 4);
        break;
    case BEHAVE:
        behave(w, arg);
        break;
    default:
        change(w, arg);
        break;
    }
    settle(w);
}

static void begin(struct world *w, uint8_t how)
{
    static const struct str none = {"", 0};
    struct err err = {""};
    *w = (struct world){.config = {.http2 = {.idle_timeout = 1000000000,
                                             .streams = 4,
                                             .stream_window = 65535,
                                             .window = 262144}},
                        .why = {"not any more"}};
    w->snapshot.config = &w->config;
    w->epoch.snap = &w->snapshot;
    w->worker.loop = loop_new(&err);
    CHECK(w->worker.loop != NULL);
    mem_link_pair(how & 1 ? 600 : 65536, &w->client, &w->door);
    struct session_origin origin = {.epoch = &w->epoch, .hello = &w->hello};
    w->resident = front_h2.reside(&w->worker, w->door, &origin, none, &err);
    w->resident->landlord = (void *)w;
    w->door->wake = on_door_wake;
    w->door->owner = w;
    w->touched = true;
    settle(w);
    if (!(how & 128)) {
        send_bytes(w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
        send_frame(w, SETTINGS, 0, 0, NULL, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct world w;
    struct cursor c = cursor_of(data, len);
    uint8_t how = 0, op, arg, most;
    cursor_u8(&c, &how);
    begin(&w, how);
    while (cursor_u8(&c, &op) && cursor_u8(&c, &arg)) {
        size_t n = 0;
        op %= OPS;
        if (op <= BODY && cursor_u8(&c, &most))
            n = MIN((size_t)most, cursor_left(&c));
        act(&w, op, arg, c.p, n);
        cursor_skip(&c, n);
    }
    link_close(w.client, how & 64);
    w.mute = true;
    settle(&w);
    close_all(&w);
    sessions_end(&w.sessions);
    loop_settle(w.worker.loop);
    loop_free(w.worker.loop);
    return 0;
}
