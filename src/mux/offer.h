/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent offers: a service under a name, in some kind. */
#ifndef CARDEA_MUX_OFFER_H
#define CARDEA_MUX_OFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hostport.h"
#include "base/offer_kind.h"

struct offer {
    char name[HOST_MAX]; /* canonical, as a server name is (base/hostname.h) */
    enum offer_kind kind;
    bool udp;          /* visitors send datagrams; goes with a port only */
    uint16_t port;     /* of the door, for visitors, with OFFER_PUBLIC; 0: they come by name */
    uint64_t instance; /* a number of the agent's, which tells it from others with its certificate; 0: none */
    uint32_t connections; /* visitors that this agent takes at once, as it says; 0: it does not say */
};

/* A one-use id, under which an agent brings a connection for a visitor: base64url without padding. */
#define OFFER_ID_TEXT 40

/* Numbers of agents are below: JSON is read everywhere up to there (RFC 8259, 6). */
#define OFFER_INSTANCES ((uint64_t)1 << 53)

/* Most ids that one message grants. */
#define OFFER_IDS_MAX 16

/* Of others that offer the same name no more are counted: where it is said, there may be more. */
#define OFFER_FELLOWS_MAX 100

#endif
