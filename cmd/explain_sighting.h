/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of one ClientHello that was seen in a capture, for people and as JSON. */
#ifndef CARDEA_CMD_EXPLAIN_SIGHTING_H
#define CARDEA_CMD_EXPLAIN_SIGHTING_H

#include "base/buf.h"
#include "base/str.h"
#include "capture/capture.h"
#include "hello/ja3.h"
#include "hello/ja4.h"
#include "hello/would.h"

#define EXPLAIN_WOULDS_MAX 8

/* The floors that are asked about. */
struct explain_woulds {
    size_t count;
    const char *text[EXPLAIN_WOULDS_MAX]; /* "min_version=1.3" */
    struct would v[EXPLAIN_WOULDS_MAX];
};

/* A hello with what follows from it. */
struct explain_sighting {
    const struct sighting *seen;
    const struct explain_woulds *woulds;
    char ja3[JA3_TEXT_MAX]; /* empty where the hello is not whole and well-formed */
    char ja4[JA4_TEXT_MAX];
    enum would_verdict verdict[EXPLAIN_WOULDS_MAX]; /* for each of `woulds`; WOULD_UNKNOWN where it is not */
};

/* Both are borrowed. */
struct explain_sighting explain_sighting_of(const struct sighting *seen, const struct explain_woulds *woulds);

/* Print it on standard output: a block of lines, or one line of JSON. */
void explain_sighting_text(const struct explain_sighting *s);
void explain_sighting_json(const struct explain_sighting *s);

/* Append a protocol's name, which may be any bytes. */
void explain_put_protocol(struct buf *b, struct str name);

/* "1.3" of "TLS 1.3"; what is none of those as it is. */
const char *explain_version_word(const char *name);

/* Has the client sent a key share for that group? */
bool explain_has_share(const struct hello *h, uint16_t group);

/* The first post-quantum group that is offered; 0: none. */
uint16_t explain_pq_group(const struct hello *h);

#endif
