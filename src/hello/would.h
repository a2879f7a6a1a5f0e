/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a stricter floor would turn away: a question ("min_version=1.3"), held against what a client has
 * offered. Pure. Asked of hellos in a capture and of lines of the audit log. */
#ifndef CARDEA_HELLO_WOULD_H
#define CARDEA_HELLO_WOULD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/err.h"
#include "hello/hello.h"

#define WOULD_CIPHERS_MAX 32 /* tables/ciphers.def has fewer */

enum would_kind {
    WOULD_MIN,     /* tls.min_version */
    WOULD_PQ,      /* a key exchange that a quantum computer does not break */
    WOULD_CIPHERS, /* tls.ciphers */
};

struct would {
    enum would_kind kind;
    uint16_t min;                        /* WOULD_MIN: 0x0303 or 0x0304 */
    size_t count;                        /* WOULD_CIPHERS */
    uint16_t ciphers[WOULD_CIPHERS_MAX]; /* IANA code points */
};

/* What a client has offered. */
struct would_offer {
    bool tls12;
    bool tls13;
    bool pq;               /* one of its groups is a hybrid (base/tls_group.h) */
    struct cursor ciphers; /* u16 each, borrowed; empty: not known */
};

enum would_verdict {
    WOULD_WORK,
    WOULD_BREAK_VERSION, /* no version that is left */
    WOULD_BREAK_GROUP,   /* no post-quantum group, or no TLS 1.3, which alone has them */
    WOULD_BREAK_CIPHER,  /* no cipher suite that is left, of the version that it comes to */
    WOULD_UNKNOWN,       /* its cipher suites are not known */
    WOULD_VERDICTS,
};

/* Read "min_version=1.2", "min_version=1.3" (or "min=" for short), "pq=require" or "ciphers=NAME:NAME"
 * (tables/ciphers.def, ',' or ':' between two). -1: it is something else, *err says what was expected. */
int would_parse(const char *text, struct would *ret, struct err *err);

/* What a hello offers; lives as long as its message. */
struct would_offer would_offer_of(const struct hello *h);

/* Would this client still get through? With ciphers the door's own rule holds: where none of a version of TLS
 * is named, all that the door knows of that version stay. */
enum would_verdict would_judge(const struct would *w, const struct would_offer *offer);

/* Does the client get nothing any more? */
static inline bool would_breaks(enum would_verdict v)
{
    return v != WOULD_WORK && v != WOULD_UNKNOWN;
}

/* Why, as a phrase ("offers no TLS 1.3"). `w` is the question. Static text. */
const char *would_text(const struct would *w, enum would_verdict verdict);

#endif
