/* SPDX-License-Identifier: Apache-2.0 */
/* Between h3.c (a connection: streams of one direction, what nghttp3 has to say), h3_stream.c (requests, and
 * what becomes of them as links) and h3_flow.c (UDP on such a link).
 *
 * Who owns what. The carrier owns the QUIC connection. A connection here lives until that has ended and the
 * last of its requests is gone; each request is a link that its session owns. nghttp3 is given bytes only as
 * somebody reads them, so a slow reader stops its writer, and it is never entered again from within itself:
 * sessions begin, and links are closed, when it is off the stack. */
#ifndef CARDEA_HTTP_H3_INTERNAL_H
#define CARDEA_HTTP_H3_INTERNAL_H

#include <nghttp3/nghttp3.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/patience.h"
#include "http/h3.h"
#include "http/request.h"
#include "link/link.h"
#include "loop/loop.h"
#include "quic/quic.h"
#include "session/tenant.h"

#define H3_DATAGRAM_ERROR 0x33 /* RFC 9297, 5.2 */

/* Bytes of a stream that nghttp3 is given at once. */
#define H3_PIECE (16 * 1024)

struct h3_stream;

struct h3_conn {
    uint32_t magic;
    struct tenant tenant;
    struct worker *worker;
    struct quic_conn *quic; /* NULL once it is over */
    nghttp3_conn *lib;
    size_t refs; /* the carrier's, and one for each request */
    int64_t handshake_timeout;
    struct list unis;          /* streams of one direction, ours and theirs */
    struct list requests;      /* that are not sessions yet */
    struct h3_stream *reading; /* whose bytes nghttp3 has in hand */
    bool unwanted;             /* nghttp3 wants nothing more of the stream in hand, ... */
    uint64_t unwanted_code;    /* ... and says so with this code */
    bool datagrams;            /* the client takes HTTP datagrams */
    struct patience patience;  /* for requests that the client takes back, or that are never whole */
    bool failed;               /* the client has broken the protocol: nghttp3 must not be called any more */
    uint64_t streams;          /* of requests that are closed, and that may be open */
    uint64_t code;             /* with which it is closed */
    const char *why;
    struct task leave;
};

/* Give nghttp3 bytes of a stream, or its end. False when the client has broken the protocol by them. */
bool h3_feed(struct h3_conn *c, int64_t stream, const uint8_t *data, size_t len, bool fin);

/* Write what nghttp3 has to say; `answering` may be NULL. */
void h3_pump(struct h3_conn *c, struct h3_stream *answering);

/* The client has broken the protocol: close the connection at the end of the round. */
void h3_fail(struct h3_conn *c, uint64_t code, const char *why);

/* A request's stream is closed: nghttp3 forgets it. */
void h3_forget(struct h3_conn *c, int64_t stream);

/* A request was broken off by the client, or never was whole: the connection fails when there are too many.
 */
void h3_bear(struct h3_conn *c);

void h3_unref(struct h3_conn *c);

/* ---- h3_stream.c ---- */

struct h3_stream {
    struct link link;
    uint32_t magic;
    struct h3_conn *conn;
    struct link *raw; /* the stream of QUIC */
    int64_t id;
    struct list node;        /* of the connection, until it is a session */
    struct timer timer;      /* the request must be whole by then */
    struct request *request; /* while it is being read */
    char *why;               /* what is wrong with it; NULL: nothing */
    struct buf early;        /* body that came with the request */
    uint8_t *sink;           /* where the reader wants the body; NULL: in `early` */
    size_t sunk;             /* bytes of it */
    uint64_t code;           /* with which it is cut */
    bool whole;              /* the request is */
    bool connects;           /* its method is CONNECT */
    bool ended;              /* nghttp3 knows that no more comes */
};

/* A stream that the client has opened (taken). */
void h3_stream_new(struct h3_conn *c, struct link *raw);

/* From nghttp3: a field, the end of the fields, body. */
void h3_stream_field(struct h3_stream *s, struct str name, struct str value);
void h3_stream_whole(struct h3_stream *s);
void h3_stream_body(struct h3_stream *s, const uint8_t *data, size_t len);

/* Drop one that is no session. */
void h3_stream_drop(struct h3_stream *s, uint64_t code);

struct h3_stream *h3_stream_of(const struct link *l);

/* For a front: see front.h. */
void h3_stream_tell(struct link *down, const struct front_answer *from);

/* ---- h3_flow.c ---- */

/* For a front: see front.h. */
struct link *h3_flow_wrap(struct link *down, const struct front_request *request, struct str early,
                          struct str unsent);

#endif
