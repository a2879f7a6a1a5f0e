/* SPDX-License-Identifier: Apache-2.0 */
/* An open connection as the status shows it, whatever carries it: a session, or a carrier of QUIC. */
#ifndef CARDEA_SESSION_SESSION_ROW_H
#define CARDEA_SESSION_SESSION_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/addr.h"

/* All is borrowed. Texts of length 0 are not known. */
struct session_row {
    uint64_t id;
    uint64_t carrier; /* the id of the connection that it is a stream of; 0: it is none */
    const struct net_addr *peer;
    const char *state;     /* a word */
    const char *reason;    /* why it will end, as the audit line will have it, a word, and for people: */
    const char *detail;    /* ...; both NULL: it is not known to */
    const char *transport; /* a word */
    bool carries;          /* it has streams of its own, so many now: */
    size_t streams;
    bool denied; /* the policy in force would not let it in; it runs on */
    struct str route;
    struct str sni;
    struct str identity;
    struct str target;
    uint64_t in, out; /* bytes; of QUIC all that its packets have been */
    int64_t age;      /* nanoseconds */
};

/* Append it as a JSON object. False when memory is out; a part may have been appended then. */
bool session_row_json(const struct session_row *row, struct buf *out);

#endif
