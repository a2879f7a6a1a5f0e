/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of HTTP/2 share: h2.c (the connection, a resident) and h2_stream.c (its streams, links). */
#ifndef CARDEA_HTTP_H2_INTERNAL_H
#define CARDEA_HTTP_H2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "base/patience.h"
#include "base/queue.h"
#include "config/config.h"
#include "http/request.h"
#include "loop/loop.h"
#include "session/resident.h"
#include "session/routing.h"
#include "session/session.h"
#include "session/standing.h"

struct worker;

/* What the client's connection has proven, for its streams, some of which outlive it. */
struct h2_patron {
    size_t holders;
    struct link_peer peer;
    struct identity *identity;
};

struct h2_conn {
    struct resident resident;
    uint32_t magic;
    bool running;     /* on the stack: what is touched is seen to before it ends */
    bool draining;    /* the door stops: no new streams */
    bool turned_away; /* a request has been refused since its client is not welcome any more */
    bool idle;        /* without a stream for too long */
    bool failed;      /* `end` says how */
    struct resident_end end;
    struct worker *worker;
    struct link *link; /* the landlord's, as long as we live */
    nghttp2_session *lib;
    struct h2_patron *patron;
    struct config_http2 settings; /* what the client was told: `origin` may move to another configuration */
    struct session_origin origin; /* of every stream */
    struct hello_note hello;
    struct standing standing; /* the landlord's */
    struct list streams;      /* all that one of their two masters still needs */
    struct list begun;        /* whose request is whole: sessions to be */
    struct list woken;        /* whose owner should look */
    size_t live;              /* streams with an owner */
    size_t growth_left;       /* bytes that the windows of all streams together may still grow by */
    struct buf out;           /* what the connection has not taken yet */
    struct timer idling;
    struct request *request; /* that is being read: header blocks do not interleave (RFC 9113, 4.3) */
    size_t block_size;       /* bytes of the fields of this header block */
    unsigned continuations;  /* frames of it */
    struct patience patience;
};

struct h2_stream {
    struct link link;
    uint32_t magic;
    int32_t id;
    struct h2_conn *conn; /* NULL once that is gone */
    struct h2_patron *patron;
    struct list node;  /* of the connection */
    struct list begun; /* in a list of the connection, or alone */
    struct list woken;
    size_t grown;     /* by which the window has grown */
    size_t round;     /* bytes read since it last might have */
    struct queue in;  /* from the client, not read yet */
    struct queue out; /* to the client, not taken by the library yet */
    struct front_request request;
    char *why;      /* what is wrong with the request, or NULL */
    bool owned;     /* there has been a session */
    bool abandoned; /* ... and it has closed the link */
    bool gone;      /* the library has closed the stream */
    bool in_ended;  /* END_STREAM came */
    bool answered;
    bool shut;     /* our direction ends when `out` has gone */
    bool cut;      /* ... but as broken */
    bool fin_sent; /* END_STREAM has gone */
    bool deferred; /* the library waits for bytes */
    bool starved;  /* the reader waits */
    bool blocked;  /* the writer waits */
};

/* ---- h2.c ---- */

/* There is something to send, or somebody to wake. */
void h2_touch(struct h2_conn *c);

/* The last owner of a stream has left, or the first has come. */
void h2_set_live(struct h2_conn *c, size_t live);

/* ---- h2_stream.c ---- */

/* The front of a stream: its request is known, the answer goes into HEADERS. */
extern const struct front h2_stream_front;

struct h2_stream *h2_stream_new(struct h2_conn *c, int32_t id);

/* From the library: bytes; END_STREAM; END_STREAM of ours has been sent; closed, and no callback comes any
 * more. */
void h2_stream_received(struct h2_stream *s, const uint8_t *data, size_t len);
void h2_stream_ended(struct h2_stream *s);
void h2_stream_fin_sent(struct h2_stream *s);
void h2_stream_gone(struct h2_stream *s);

/* The connection goes; the stream is out of its lists. */
void h2_stream_orphan(struct h2_stream *s);

void h2_patron_leave(struct h2_patron *p);

#endif
