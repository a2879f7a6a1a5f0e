/* SPDX-License-Identifier: Apache-2.0 */
/* One connection between two addresses, over TCP or UDP, as somebody on the way sees it. */
#ifndef CARDEA_CAPTURE_FLOW_H
#define CARDEA_CAPTURE_FLOW_H

#include "base/list.h"
#include "capture/assembly.h"
#include "capture/capture.h"
#include "capture/finder.h"
#include "capture/packet.h"
#include "capture/quic_talk.h"

/* Both directions of a connection have the same: `a` is the lower address. */
struct flow_key {
    struct net_addr a;
    struct net_addr b;
    uint32_t udp;
};

/* Direction of a packet: 0 from a to b, 1 back. */
struct flow_key flow_key_of(const struct packet *p, unsigned *ret_side);

/* What one side of a TCP connection says. */
struct tcp_side {
    bool known;        /* `sequence` is */
    bool ended;        /* FIN */
    uint32_t sequence; /* of the byte at offset `origin` */
    struct assembly pieces;
    struct finder finder;
};

struct flow {
    struct flow_key key;
    struct list chain; /* of its bucket */
    struct list age;   /* of all, the one that was silent for longest first */
    struct list queue; /* of those in which a hello has begun, until it is told of */
    int64_t last;      /* when its last packet came, and which frame that was */
    uint64_t last_frame;
    bool closed;     /* nothing more is expected: what has begun is all */
    bool begun;      /* a hello has, by the side `client` */
    bool told;       /* ... and the owner knows */
    unsigned client; /* over UDP always known */
    int64_t hello_time;
    uint64_t hello_frame;
    size_t buffers; /* flow_buffers() when it was last asked */
    struct tcp_side tcp[2];
    struct quic_talk quic;
};

/* A new connection, never NULL. `total` as in assembly.h, the same for both. */
struct flow *flow_new(const struct flow_key *key, size_t *total);
void flow_free(struct flow *f, size_t *total);

/* Take a TCP packet; it must not be the first of another connection (flow_is_anew()). */
void flow_take_tcp(struct flow *f, const struct packet *p, unsigned side, size_t most);

/* Is the packet a SYN of another connection between the same ports? */
bool flow_is_anew(const struct flow *f, const struct packet *p, unsigned side);

/* Bytes that it holds beside what assemblies count. */
size_t flow_buffers(const struct flow *f);

/* Is there nothing more to learn? */
bool flow_is_complete(const struct flow *f);

/* Nothing more will come: go on behind what is missing, so that what has come is looked at. */
void flow_close(struct flow *f, size_t most);

/* Drop what is held, but for the knowledge that it was told of. */
void flow_forget(struct flow *f);

/* Fill in what is known of the hello; `hello` has room for it where it is complete. */
void flow_describe(const struct flow *f, struct hello *hello, uint8_t *scratch, struct sighting *ret);

#endif
