/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the door's HTTP/2 without a network: what src/http/h2*.c is given by src/session/ (a landlord,
 * its link, sessions) is made here, in their stead. For the unit test and the fuzz target. */
#ifndef CARDEA_TESTS_UNIT_H2_PEER_H
#define CARDEA_TESTS_UNIT_H2_PEER_H

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

#define PEER_SESSIONS 6 /* how their numbers go round */
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
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct world {
    struct worker worker;
    struct snapshot snapshot;
    struct config config;
    struct epoch epoch;
    struct epoch *in_force; /* what the client is judged by */
    struct hello_note hello;
    struct link *client, *door;
    struct resident *resident;
    struct sessions sessions;
    int64_t begun;  /* sessions, which are known by the order in which they come */
    struct err why; /* the client is not welcome */
    bool unwelcome, touched, over, mute;
    struct buf *said; /* what the client has read of the door; may be NULL */
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
    st->epoch = w->in_force;
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
    CHECK(!w->over && origin->request != NULL && origin->epoch == w->in_force);
    session_begin(&w->sessions, origin->front, link, w->begun++ % PEER_SESSIONS, origin->request);
}

static inline void peer_close(struct world *w)
{
    if (w->over)
        return;
    w->over = true;
    w->resident->ops->close(w->resident);
    link_close(w->door, false);
}

static inline void peer_settle(struct world *w)
{
    uint8_t bytes[4096];
    size_t n;
    struct resident_end end;
    do {
        for (int i = 0; i < 100 && w->touched && !w->over; i++) {
            w->touched = false;
            if (!w->resident->ops->run(w->resident, &end))
                peer_close(w);
        }
        while (!w->mute && link_read(w->client, bytes, sizeof(bytes), &n) == LINK_OK)
            CHECK(w->said == NULL || buf_append(w->said, bytes, n));
    } while (w->touched && !w->over && !w->mute);
}

static void on_door_wake(struct link *l)
{
    struct world *w = l->owner;
    w->touched = true;
}

/* ---- the client ---- */

static inline void peer_send(struct world *w, const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t n = 0;
    for (; len > 0 && !w->over && link_write(w->client, p, len, &n) == LINK_OK; p += n, len -= n)
        peer_settle(w);
}

static inline void peer_frame(struct world *w, uint8_t type, uint8_t flags, uint32_t stream, const void *data,
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
    peer_send(w, b.data, b.len);
    buf_free(&b);
}

/* Literal fields (RFC 7541, 6.2.2) out of "name\0value\0...", as it stands. */
static inline void peer_fields(struct world *w, uint32_t stream, uint8_t flags, const void *text, size_t len)
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
    peer_frame(w, HEADERS, flags, stream, block.data, block.len);
    buf_free(&block);
}

/* Not yet: the preface of RFC 9113, 3.4. `capacity`: bytes that wait for the client at most. */
static inline void peer_begin(struct world *w, size_t capacity)
{
    static const struct str none = {"", 0};
    struct err err = {""};
    if (w->config.http2.streams == 0)
        w->config.http2 = (struct config_http2){
            .idle_timeout = 1000000000, .streams = 4, .stream_window = 65535, .window = 262144};
    w->snapshot.config = &w->config;
    w->epoch.snap = &w->snapshot;
    w->in_force = &w->epoch;
    w->why = (struct err){"not any more"};
    w->worker.loop = loop_new(&err);
    CHECK(w->worker.loop != NULL);
    mem_link_pair(capacity, &w->client, &w->door);
    struct session_origin origin = {.epoch = &w->epoch, .hello = &w->hello};
    w->resident = front_h2.reside(&w->worker, w->door, &origin, none, &err);
    w->resident->landlord = (void *)w;
    w->door->wake = on_door_wake;
    w->door->owner = w;
    w->touched = true;
    peer_settle(w);
}

static inline void peer_preface(struct world *w)
{
    peer_send(w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    peer_frame(w, SETTINGS, 0, 0, NULL, 0);
}

/* The client goes; then all that there was. */
static inline void peer_end(struct world *w, bool abort)
{
    link_close(w->client, abort);
    w->mute = true;
    peer_settle(w);
    peer_close(w);
    sessions_end(&w->sessions);
    loop_settle(w->worker.loop);
    loop_free(w->worker.loop);
}

#endif
