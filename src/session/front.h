/* SPDX-License-Identifier: Apache-2.0 */
/* A front is a protocol in which the client names its target inside the TLS connection: cardea/1
 * (tunnel/wire.h) and HTTP CONNECT (http/connect.h). Reading and answering are
 * pure: bytes in, target out; answer in, bytes out. The session owns sockets and time. A protocol that
 * carries many requests keeps its state in a resident or a tenant, which it makes. */
#ifndef CARDEA_SESSION_FRONT_H
#define CARDEA_SESSION_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hostport.h"
#include "base/str.h"
#include "mux/offer.h"
#include "net/addr.h"
#include "session/outcome.h"

/* What an outcome is called on the wire: "refused". */
const char *front_code(enum front_outcome outcome);

/* Where the client wants to go. */
struct front_target {
    char host[HOST_MAX]; /* canonical, see base/hostport.h: a name, or an address without brackets */
    uint16_t port;
    bool udp;     /* datagrams instead of a byte stream */
    bool offered; /* a name that an agent offers: port is 0 */
};

enum front_result {
    FRONT_MORE,   /* ask again when there are more bytes; never said once there are `max` of them */
    FRONT_TARGET, /* target and used are set */
    FRONT_OFFER,  /* an agent offers a service: offer and used are set */
    FRONT_SPARE,  /* an agent brings a connection for a visitor: spare and used are set */
    FRONT_RENEW,  /* a newer certificate is to be proven on a connection: renew and used are set */
    FRONT_BAD,    /* bad and err are set: answer with that outcome and that text, then close */
};

struct front_request {
    struct front_target target;
    struct offer offer;
    char spare[OFFER_ID_TEXT];
    uint64_t renew; /* the id of a connection, as an answer has told it */
    bool renews;    /* the client wants to know that id */
    bool proves;    /* with FRONT_OFFER: the agent proves another identity for it, then it is judged */
    bool datagrams; /* the client takes datagrams of the stream (quic/flow_link.h) */
    size_t used;    /* bytes of the request; what follows them is payload for the target */
    enum front_outcome bad; /* FRONT_BAD_HELLO, _METHOD or _PROTOCOL */
};

/* What to tell the client. The texts are borrowed for the call. */
struct front_answer {
    enum front_outcome outcome;
    const char *rule; /* the policy row that decided, or NULL; said only with FRONT_DENIED */
    const char *text; /* for people, or NULL for the outcome's own */
    const char
        *warning;   /* with FRONT_OK: what is taken, but hardly meant; or NULL. Not every front says it */
    bool tls;       /* with FRONT_OK: the far end of the stream speaks TLS */
    bool datagrams; /* FRONT_OK: the door will send and take them; only where the client said so */
    bool udp;       /* with FRONT_OK: the target is one over UDP */
    uint64_t
        connection; /* with FRONT_OK: its id, for FRONT_RENEW; 0: not to be told. Not every front says it */
};

/* A visitor, as an agent is told of him. */
struct front_visit {
    const char *name;            /* of the offer */
    struct net_addr peer, local; /* the ends of his connection; AF_UNSPEC where not known */
    const char *identity;        /* who he has proven to be, or NULL */
    struct str sni, alpn;
    bool udp;
};

#define FRONT_TEXT_MAX 256

/* What the agent says to that. */
struct front_greeted {
    enum front_outcome outcome;
    char text[FRONT_TEXT_MAX]; /* for people */
    size_t used;               /* bytes of its answer; what follows comes from its service */
};

/* In what words an agent is told of a visitor, on a fresh link to it. */
struct agent_protocol {
    /* Append the message that announces him to `out`. False when what is to be said does not fit one. */
    bool (*greet)(const struct front_visit *visit, struct buf *out);

    /* Read the answer at the start of `data`. FRONT_TARGET: it was read into *ret. */
    enum front_result (*greeted)(const uint8_t *data, size_t len, struct front_greeted *ret, struct err *err);
};

struct link;
struct resident;
struct session_origin;
struct tenant_ops;
struct worker;

struct front {
    const char *name;
    size_t max;     /* most bytes of a request */
    bool over_quic; /* spoken on streams of QUIC too */
    bool renews;    /* clients can prove newer certificates in it (FRONT_RENEW) */
    bool readied;   /* clients have TLS connections ready for requests to come */

    /* Read the request at the start of `data`: all bytes that came since the handshake, from the first on.
     * Keeps no state, so the whole is given again each time; the result depends on the bytes, not on how they
     * were split. */
    enum front_result (*ask)(const uint8_t *data, size_t len, struct front_request *ret, struct err *err);

    /* Append the answer for the client to `out`. False when it does not fit; nothing is appended then. After
     * any outcome but FRONT_OK the connection closes. */
    bool (*answer)(const struct front_answer *answer, struct buf *out);

    /* Instead of `answer`, where what is told is no bytes of the client's stream: tell it by the link itself.
     * May be NULL. */
    void (*tell)(struct link *down, const struct front_answer *answer);

    /* What serves the connection from now on, see resident.h: after FRONT_OFFER and FRONT_RENEW, or, where
     * there is no `ask` because the protocol carries many requests, from the start. `early` (borrowed) has
     * been read from the link already. NULL with `err` when an offer conflicts with others. May be NULL. */
    struct resident *(*reside)(struct worker *w, struct link *link, const struct session_origin *origin,
                               struct str early, struct err *err);

    /* How those are told of visitors who offer something in it (FRONT_OFFER). NULL: nobody does. */
    const struct agent_protocol *agent;

    /* After a yes: the link that carries the session from then on, on top of `down` (taken), or `down`
     * itself. `request` is what `ask` read; its `datagrams` says whether the stream will have any. `early`
     * has been read from `down` already, `unsent` is what of the yes has not gone out yet; both are borrowed,
     * and the new link has to take them over. May be NULL: it is always `down`. */
    struct link *(*wrap)(struct link *down, const struct front_request *request, struct str early,
                         struct str unsent);

    /* On QUIC, instead of a session for each stream: what serves a client's connection, see tenant.h. Then it
     * is spoken on QUIC only. May be NULL. */
    const struct tenant_ops *tenant;
};

#endif
