/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent and the door say to each other after the hello (doc/internals/tunnel-protocol.md, "Agents"):
 * on the control stream of an offer, and at the start of each visitor's stream. Pure. */
#ifndef CARDEA_TUNNEL_AGENT_WIRE_H
#define CARDEA_TUNNEL_AGENT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hostport.h"
#include "mux/offer.h"
#include "net/addr.h"
#include "session/front.h"
#include "tunnel/message.h"

#define WIRE_IDENTITY_MAX 256  /* with the NUL; a longer one is left out: cut, it might be another's */
#define WIRE_WITHDRAWN_MAX 512 /* with the NUL; a longer text is cut */
#define WIRE_WHY_MAX 256       /* likewise */
#define WIRE_CSR_MAX 2048      /* bytes of a certification request */
#define WIRE_CHAIN_MAX 32768   /* bytes of a chain in PEM */
#define WIRE_AGAIN_MAX 86400   /* seconds */
#define WIRE_CONTROL_MAX (WIRE_MESSAGE_MAX + WIRE_CHAIN_MAX) /* bytes of a message with what follows it */

/* Over TCP each side says something at least so often, and gives the other up after so much silence; QUIC has
 * signs of life of its own. */
#define SIGN_OF_LIFE_NS (15 * NSEC_PER_SEC)
#define AGENT_SILENT_NS (45 * NSEC_PER_SEC) /* the door's patience */
#define DOOR_SILENT_NS (45 * NSEC_PER_SEC)  /* the agent's */

/* A message on the control stream, of either side. All zero is the sign of life. */
struct wire_control {
    bool says_ready; /* agent: `ready` holds */
    bool ready;
    enum front_outcome down; /* agent, not ready: its health check finds the service down, in this way;
                                FRONT_OK: that is not why */
    bool drain;              /* door: offer anew, on another connection */
    char withdrawn[WIRE_WITHDRAWN_MAX]; /* door: the offer is over, and why, for people; "": it is not.
                                           Cleaned: it may go to a terminal */
    bool says_fellows;                  /* door: `fellows` and `fellow` hold */
    uint32_t fellows;                   /* so many other agents offer the name now */
    char fellow[WIRE_IDENTITY_MAX];     /* who one of them is; cleaned; "": not said */
    struct str
        csr; /* agent: certify this key for the offer (RFC 2986, DER); borrowed; empty: it is not asked */
    struct str chain; /* door: the certificate and those above it, in PEM; borrowed; empty: there is none */
    enum front_outcome uncertified; /* door: there will be none, in this way; FRONT_OK: it is not said */
    char why[WIRE_WHY_MAX];         /* ... and why, for people; cleaned, never empty with it */
    uint32_t again;                 /* ... and asking again is worth it in so many seconds */
    size_t spares;                  /* door: bring a connection under each of these */
    char spare[OFFER_IDS_MAX][OFFER_ID_TEXT];
};

/* Append it. False when it does not fit; nothing is appended then. */
bool wire_encode_control(const struct wire_control *control, struct buf *out);

/* Read the message at the start of `data`; *ret_used bytes are it, with what follows it, and the next may
 * come then. WIRE_MORE is never said once there are WIRE_CONTROL_MAX bytes. Keeps no state: the result
 * depends on the bytes, not on how they were split. */
enum wire_result wire_parse_control(const uint8_t *data, size_t len, struct wire_control *ret,
                                    size_t *ret_used, struct err *err);

#define WIRE_ALPN_MAX 256 /* likewise */

/* A visitor, as the door announces it to the agent. Texts that are not known are "". */
struct wire_visit {
    char name[HOST_MAX];              /* of the offer; canonical */
    struct net_addr peer, local;      /* the visitor's connection; AF_UNSPEC where not known */
    char identity[WIRE_IDENTITY_MAX]; /* the texts hold no control characters: they may go to a terminal */
    char sni[HOST_MAX];
    char alpn[WIRE_ALPN_MAX];
    bool udp;       /* datagrams follow, each after its length (link/frames.h) */
    bool datagrams; /* with `udp`: the door takes datagrams of the stream, where it is one of QUIC */
};

/* As above. */
bool wire_encode_visit(const struct wire_visit *visit, struct buf *out);
enum wire_result wire_parse_visit(const uint8_t *data, size_t len, struct wire_visit *ret, size_t *ret_used,
                                  struct err *err);

/* struct agent_protocol: greet, greeted. */
bool wire_greet_agent(const struct front_visit *visit, struct buf *out);
enum front_result wire_agent_greeted(const uint8_t *data, size_t len, struct front_greeted *ret,
                                     struct err *err);

#endif
