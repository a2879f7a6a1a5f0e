/* SPDX-License-Identifier: Apache-2.0 */
/* One QUIC connection as somebody on the way sees it: the ClientHello and the server's answer in its Initial
 * packets. */
#ifndef CARDEA_CAPTURE_QUIC_TALK_H
#define CARDEA_CAPTURE_QUIC_TALK_H

#include "capture/assembly.h"
#include "capture/reply.h"
#include "quic/initial.h"

#define QUIC_TALK_CID_MAX 20

struct quic_talk {
    uint32_t version; /* of the client's first packet */
    bool retried;     /* the server had the client show that it receives what is sent to its address */
    bool is_awaited;  /* ... which it has not done yet: its next first packet is of this connection */
    bool complete;    /* `message` is the whole hello */
    bool odd;         /* the client says something else than a hello */
    uint8_t dcid_len;
    uint8_t dcid[QUIC_TALK_CID_MAX]; /* from which the keys follow */
    struct initial_keys client_keys;
    struct initial_keys server_keys;
    uint32_t server_version; /* of `server_keys`; 0: not made yet */
    struct assembly client;  /* streams of handshake messages */
    struct assembly server;
    struct buf message; /* the hello, as far as it has come */
    struct reply_reader answer;
};

enum quic_talk_result {
    QUIC_TALK_TAKEN,
    QUIC_TALK_FOREIGN, /* nothing that belongs to this connection */
    QUIC_TALK_ANEW,    /* a client's first packet of another one */
};

/* Does a datagram begin with the Initial packet of a client that writes first? Then the connection is begun
 * with its keys; hand it the datagram next. `plain`: INITIAL_PLAIN_MAX bytes to work in. `total` as in
 * assembly.h. */
bool quic_talk_start(struct quic_talk *t, struct cursor datagram, uint8_t *plain, size_t *total);

/* Take a datagram of the client or the server. `most`: how many bytes may be held. */
enum quic_talk_result quic_talk_take(struct quic_talk *t, struct cursor datagram, bool from_client,
                                     uint8_t *plain, size_t most);

/* How long the hello is, as far as that is known; else 0. */
size_t quic_talk_wanted(const struct quic_talk *t);

/* Free what it holds, not itself. */
void quic_talk_free(struct quic_talk *t);

#endif
