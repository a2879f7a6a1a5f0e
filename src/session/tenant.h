/* SPDX-License-Identifier: Apache-2.0 */
/* What serves a client's QUIC connection where not each of its streams is a session from its first byte on: a
 * protocol with streams of its own and requests in its own framing (HTTP/3). The carrier remains the
 * landlord: it owns the connection, is counted and leaves the audit line; the tenant owns the streams, and
 * makes sessions of those that are requests. */
#ifndef CARDEA_SESSION_TENANT_H
#define CARDEA_SESSION_TENANT_H

#include <stdint.h>

#include "link/link.h"

struct quic_carrier;
struct front_request;
struct quic_conn;
struct snapshot;
struct tenant;
struct worker;

/* Never called from within a call of the tenant's own. */
struct tenant_ops {
    const char *transport; /* the word for the audit lines */
    uint64_t uni_streams;  /* unidirectional streams that the client may have open at once */
    /* The handshake is complete. Never NULL. */
    struct tenant *(*open)(struct worker *w, struct quic_conn *conn, const struct snapshot *snap);
    /* The client has opened a stream (taken). */
    void (*stream)(struct tenant *t, struct link *link);
    /* A datagram came that belongs to no stream: see quic.h. */
    void (*bad_datagram)(struct tenant *t);
    /* The client may begin nothing new any more: tell it. At most once (RFC 9114, 5.2: a GOAWAY must not name
     * a later stream than the one before it did). */
    void (*drain)(struct tenant *t);
    /* The connection is over. It may live on for what it has made sessions of. */
    void (*close)(struct tenant *t);
};

/* Embed it. */
struct tenant {
    const struct tenant_ops *ops;
    struct quic_carrier *landlord; /* set by the carrier; NULL once the connection is over */
};

/* For a tenant: make a session of a stream (taken), for that request (borrowed). The session may be over when
 * this returns. */
void tenant_begin_session(struct tenant *t, struct link *link, const struct front_request *request);

/* For a tenant: the client has broken the protocol. Close the connection with that application error code;
 * `text` (static) is for the audit line. Only from a task of the loop's: `close` is called from within. */
void tenant_leave(struct tenant *t, uint64_t code, const char *text);

#endif
