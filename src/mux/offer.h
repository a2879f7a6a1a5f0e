/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent offers: a service under a name, in one of three kinds. */
#ifndef CARDEA_MUX_OFFER_H
#define CARDEA_MUX_OFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hostport.h"

enum offer_kind {
    OFFER_PRIVATE,    /* the door demands an authorised client certificate */
    OFFER_PUBLIC,     /* anyone */
    OFFER_END_TO_END, /* the door passes TLS through; the agent ends it */
};

struct offer {
    char name[HOST_MAX]; /* canonical, as a server name is (base/hostname.h) */
    enum offer_kind kind;
    bool udp;      /* visitors send datagrams; goes with a port only */
    uint16_t port; /* of the door, for visitors, with OFFER_PUBLIC; 0: they come by name */
};

/* "private", "public" or "end-to-end". */
static inline const char *offer_kind_word(enum offer_kind kind)
{
    return kind == OFFER_PRIVATE ? "private" : kind == OFFER_PUBLIC ? "public" : "end-to-end";
}

/* A one-use id, under which an agent brings a connection for a visitor: base64url without padding. */
#define OFFER_ID_TEXT 40

/* Most ids that one message grants. */
#define OFFER_IDS_MAX 16

#endif
