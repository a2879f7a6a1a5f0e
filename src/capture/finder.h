/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for TLS in what one side of a TCP connection says: a ClientHello or a server's answer, at the very
 * beginning, behind a PROXY header or PostgreSQL's SSLRequest, or at the beginning of a segment behind plain
 * text (STARTTLS, proxies that were asked to CONNECT). Pure. */
#ifndef CARDEA_CAPTURE_FINDER_H
#define CARDEA_CAPTURE_FINDER_H

#include "base/buf.h"
#include "capture/reply.h"
#include "hello/scan.h"
#include "net/addr.h"

enum finder_state {
    FINDER_SEEKS,  /* nothing yet */
    FINDER_TRIES,  /* what is held may be the beginning of something */
    FINDER_HELLO,  /* a ClientHello has begun */
    FINDER_ANSWER, /* a server's answer has begun */
    FINDER_DONE,   /* ... and is complete; or nothing is looked for any more */
};

struct finder {
    enum finder_state state;
    enum finder_state found;    /* FINDER_HELLO or FINDER_ANSWER, once it has begun; else FINDER_SEEKS */
    enum hello_result result;   /* of the hello: MORE until it is complete; BAD: see `scan.reason` */
    bool postgres;              /* SSLRequest came before it */
    uint8_t proxy;              /* version of a PROXY header before it; 0: none */
    struct net_addr proxy_from; /* whom it tells of; of no family: of nobody */
    struct net_addr proxy_to;
    uint64_t plain; /* bytes of plain text before it */
    struct hello_scan scan;
    struct buf held; /* from the first byte of what has begun */
    struct reply_reader answer;
};

/* Begin; `seen_all`: the bytes will be all that this side has said, so that a PROXY header may come first. */
struct finder finder_start(bool seen_all);

/* Take the next bytes; `begins`: they are the beginning of a segment. `most`: how many bytes of plain text
 * are looked through, and how many may be held. */
void finder_take(struct finder *f, const uint8_t *data, size_t len, bool begins, size_t most);

/* Bytes are missing here: what has begun stays incomplete. */
void finder_miss(struct finder *f);

/* Free what it holds, not itself. */
void finder_free(struct finder *f);

#endif
