/* SPDX-License-Identifier: Apache-2.0 */
/* The ClientHellos in captured traffic, whoever's it is: frames in, sightings out, in the order in which the
 * hellos began. Pure: no files, no clock but that of the frames. What is held is bounded for each connection
 * and in all; where the bound is reached the connection that has been silent for longest is told of as far as
 * it was seen, and forgotten. */
#ifndef CARDEA_CAPTURE_CAPTURE_H
#define CARDEA_CAPTURE_CAPTURE_H

#include "capture/reply.h"
#include "hello/hello.h"
#include "net/addr.h"

#define CAPTURE_FLOW_DEFAULT (128u * 1024)
#define CAPTURE_FLOW_MIN 4096u
#define CAPTURE_TOTAL_DEFAULT (256u * 1024 * 1024)
#define CAPTURE_TOTAL_MIN (1024u * 1024)
#define CAPTURE_MAX (1u << 30) /* of either */

struct capture_limits {
    size_t flow;  /* bytes that are held for one connection, and how far into it TLS is looked for */
    size_t total; /* bytes that are held in all; somewhat more may be, by what one connection may hold */
};

/* A ClientHello that was seen. All that it points to lives until the callback returns. */
struct sighting {
    int64_t time;   /* of the frame in which it began: nanoseconds since 1970 */
    uint64_t frame; /* its number, from 1 */
    struct net_addr client;
    struct net_addr server;
    bool quic;
    uint32_t quic_version;
    bool quic_retried;          /* a Retry came before */
    bool postgres;              /* PostgreSQL's SSLRequest came before it */
    uint64_t plain;             /* bytes of plain text before it */
    uint8_t proxy;              /* version of a PROXY header before it; 0: none */
    struct net_addr proxy_from; /* whom it tells of */
    struct net_addr proxy_to;
    size_t have;               /* bytes of it, and ... */
    size_t wanted;             /* ... of all of it; 0: not known */
    bool complete;             /* else bytes are missing in the capture */
    enum hello_reason reason;  /* complete: why a door would refuse it; HELLO_REASON_NONE: it would not */
    const struct hello *hello; /* complete and well-formed; else NULL */
    const struct reply *answer;
    bool resumed; /* the server went on with an earlier session */
};

typedef void capture_seen(void *owner, const struct sighting *s);

struct capture_counts {
    uint64_t frames;
    uint64_t foreign; /* frames neither of TCP nor of UDP, or of a link type that is not known here */
    uint64_t broken;  /* malformed, or cut off within the headers */
    uint64_t cut;     /* cut off within the payload: captured with too small a snapshot length */
    uint64_t hellos;
    uint64_t evicted; /* connections that were forgotten early, for the bound on memory */
};

struct capture;

/* Tells `seen` of every ClientHello, from within capture_frame() and capture_end(). `limits` are copied, and
 * within the bounds above. Never NULL. */
struct capture *capture_new(const struct capture_limits *limits, capture_seen *seen, void *owner);

/* Take a frame; `link` as in capture/packet.h. `len` bytes of it were captured, out of `original`. */
void capture_frame(struct capture *c, int link, int64_t time, const uint8_t *frame, size_t len,
                   size_t original);

/* No more frames: tell of what is left. */
void capture_end(struct capture *c);

/* What came so far. Borrowed, and up to date as long as it lives. */
const struct capture_counts *capture_counts(const struct capture *c);

/* What was not told by capture_end() stays untold. NULL is allowed. */
void capture_free(struct capture *c);

#endif
