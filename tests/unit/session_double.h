/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as a protocol that carries many requests sees them, without the rest of a door: each is told its
 * request, answers it at once or later, reads or does not, and ends. For tests of src/http/h2*.c and h3*.c,
 * and their fuzz targets. */
#ifndef CARDEA_TESTS_UNIT_SESSION_DOUBLE_H
#define CARDEA_TESTS_UNIT_SESSION_DOUBLE_H

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "session/front.h"

struct sessions {
    struct session_double *first; /* the youngest */
    enum front_outcome outcome;   /* what comes of requests that can be read */
    bool slow;                    /* they answer in sessions_answer() only */
    bool idle;                    /* they do not read */
    bool echoes;                  /* they send back what they read */
};

struct session_double {
    struct link *link; /* NULL once it is over */
    struct sessions *all;
    const struct front *front;
    int64_t id; /* of the stream */
    struct front_request request;
    struct buf got;
    bool answered, yes, finished;
    bool aborted; /* it ended broken */
    struct session_double *next;
};

static inline void session_double_end(struct session_double *s, bool abort)
{
    struct link *l = s->link;
    s->link = NULL;
    s->aborted = abort;
    link_close(l, abort);
}

static inline void session_double_run(struct link *l)
{
    struct session_double *s = l->owner;
    enum link_status status = LINK_OK;
    uint8_t bytes[700];
    size_t n, done, put;
    if (!s->answered || s->all->idle)
        return;
    while ((status = link_read(l, bytes, sizeof(bytes), &n)) == LINK_OK) {
        CHECK(n > 0 && n <= sizeof(bytes) && buf_append(&s->got, bytes, n));
        done = 0;
        while (s->yes && s->all->echoes && done < n && link_write(l, bytes + done, n - done, &put) == LINK_OK)
            done += put;
    }
    if (status == LINK_ERROR)
        session_double_end(s, true);
    else if (status == LINK_EOF && (s->finished || link_finish(l) != LINK_AGAIN))
        session_double_end(s, false);
}

static inline void session_answer(struct session_double *s)
{
    static const struct str none = {"", 0};
    struct front_request *r = &s->request;
    bool good = r->target.host[0] != '\0';
    struct front_answer a = {.outcome = good ? s->all->outcome : r->bad, .udp = r->target.udp};
    s->answered = true;
    s->front->tell(s->link, &a);
    s->yes = a.outcome == FRONT_OK;
    if (s->yes) {
        s->link = s->front->wrap(s->link, r, none, none);
        s->link->owner = s;
        s->link->wake = session_double_run;
    } else {
        s->finished = link_finish(s->link) != LINK_AGAIN;
    }
    session_double_run(s->link);
}

/* A request has become a session. What it says of its target is checked. */
static inline void session_begin(struct sessions *all, const struct front *front, struct link *link,
                                 int64_t id, const struct front_request *request)
{
    struct session_double *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    *s = (struct session_double){
        .link = link, .all = all, .front = front, .id = id, .request = *request, .next = all->first};
    all->first = s;
    link->owner = s;
    link->wake = session_double_run;
    CHECK(!request->target.offered && request->spare[0] == '\0' && !request->datagrams);
    if (request->target.host[0] != '\0')
        CHECK(request->target.port != 0 && memchr(request->target.host, 0, HOST_MAX) != NULL);
    else
        CHECK(request->bad == FRONT_BAD_HELLO || request->bad == FRONT_BAD_METHOD ||
              request->bad == FRONT_BAD_PROTOCOL);
    if (!all->slow)
        session_answer(s);
}

static inline void sessions_answer(struct sessions *all)
{
    for (struct session_double *s = all->first; s != NULL; s = s->next)
        if (s->link != NULL && !s->answered)
            session_answer(s);
}

static inline struct session_double *sessions_find(const struct sessions *all, int64_t id)
{
    struct session_double *s = all->first;
    while (s != NULL && s->id != id)
        s = s->next;
    return s;
}

/* All end, as broken, and are freed. */
static inline void sessions_end(struct sessions *all)
{
    for (struct session_double *s = all->first, *next; s != NULL; s = next) {
        next = s->next;
        if (s->link != NULL)
            session_double_end(s, true);
        buf_free(&s->got);
        free(s);
    }
    all->first = NULL;
}

/* ---- fields, as HPACK and QPACK write them ---- */

/* Append an integer with a prefix of so many bits (RFC 7541, 5.1); `head` are the bits above. */
static inline void put_integer(struct buf *out, uint8_t head, unsigned bits, size_t v)
{
    size_t most = ((size_t)1 << bits) - 1;
    uint8_t byte = head | (uint8_t)MIN(v, most);
    CHECK(buf_append(out, &byte, 1));
    if (v < most)
        return;
    for (v -= most; v >= 128; v >>= 7) {
        byte = (uint8_t)(v | 128);
        CHECK(buf_append(out, &byte, 1));
    }
    byte = (uint8_t)v;
    CHECK(buf_append(out, &byte, 1));
}

#endif
