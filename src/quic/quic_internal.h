/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this folder: endpoint.c (sockets, who gets which packet), accept.c (strangers), conn.c
 * (the life of a connection), library.c (what the library calls), flush.c (packets out), stream.c (links). */
#ifndef CARDEA_QUIC_QUIC_INTERNAL_H
#define CARDEA_QUIC_QUIC_INTERNAL_H

#include <ngtcp2/ngtcp2.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/queue.h"
#include "quic/path_size.h"
#include "quic/quic.h"
#include "quic/ring.h"

/* Our own connection ids have this many bytes. The first one says which endpoint of those that share an
 * address made it; the rest is random. */
#define QUIC_CID_LEN 12

/* Windows grow to so many times their first size. */
#define STREAM_GROWTH 32
#define WINDOW_GROWTH 8

/* ---- connection ids (cids.c) ---- */

struct cid_entry {
    struct cid_entry *next;
    struct quic_conn *conn;
    ngtcp2_cid cid;
};

struct cid_table {
    struct hash_key key;
    struct cid_entry **slots;
    size_t slot_count; /* a power of two */
    size_t count;
};

void cids_init(struct cid_table *t);
void cids_free(struct cid_table *t);
void cids_put(struct cid_table *t, const ngtcp2_cid *cid, struct quic_conn *conn);
void cids_remove(struct cid_table *t, const ngtcp2_cid *cid, const struct quic_conn *conn);
/* Whose it is, or NULL. */
struct quic_conn *cids_get(const struct cid_table *t, const uint8_t *cid, size_t len);

/* ---- sockets (endpoint.c) ---- */

struct quic_scratch {
    struct udp_inbox *inbox;
    uint8_t out[UDP_SEND_MAX]; /* packets being written */
};

/* A socket; a client that migrates has another one than before. */
struct quic_socket {
    struct udp_socket udp;
    struct watch watch;
    struct quic_endpoint *endpoint;
    struct list node;
    struct task free_later;
    bool writable;
};

struct quic_endpoint {
    uint32_t magic;
    struct loop *loop;
    struct quic_server server;
    bool serves;
    bool refusing; /* takes no new connections */
    struct quic_settings settings;
    const struct quic_secrets *secrets;
    struct quic_scratch *scratch;
    struct cid_table cids;
    struct list sockets;
    struct list conns;
    struct list received; /* connections that packets of this batch were for */
    size_t opening;       /* server: handshakes that are not finished */
    struct task free_later;
};

struct quic_socket *endpoint_add_socket(struct quic_endpoint *e, int fd, uint32_t events);
/* After a migration: of the sockets only the newest, and the one before it, for what is still on its way
 * there. */
void endpoint_keep_two(struct quic_endpoint *e);
/* Close it; it is freed at the end of the round. */
void endpoint_remove_socket(struct quic_socket *s);
/* The socket that has this address; the newest when none has. */
struct quic_socket *endpoint_socket(struct quic_endpoint *e, const struct net_addr *local);

/* The socket takes no more: wait until it does. */
void endpoint_socket_full(struct quic_socket *s);

/* A packet for nobody that we know (accept.c): a new connection, an answer without one, or nothing. */
void endpoint_stranger(struct quic_socket *s, const struct udp_packets *p, const ngtcp2_version_cid *vc);
/* Its version is none of ours: say which are. */
void endpoint_other_version(struct quic_socket *s, const struct udp_packets *p, const ngtcp2_version_cid *vc);

/* ---- connections (conn.c) ---- */

enum conn_state {
    CONN_OPENING,
    CONN_OPEN,
    CONN_CLOSING,  /* we have said that it is over, and say it again when asked (RFC 9000, 10.2.1) */
    CONN_DRAINING, /* the peer has said it: we keep silent (10.2.2) */
    CONN_DEAD,
};

/* Of a client's handshake, as quic_handshake_facts has them; 0: not yet. */
struct opening_facts {
    uint64_t first_out, first_in, out, in;
    bool retried;
};

struct quic_conn {
    uint32_t magic;
    enum conn_state state;
    ngtcp2_conn *lib;
    struct quic_endpoint *endpoint;
    const struct quic_events *events;
    void *owner;          /* NULL once he has been told that it is over, or has closed it */
    struct tls_quic *tls; /* server: NULL until the ClientHello is whole */
    struct buf hello;     /* server: until then */
    ngtcp2_cid first;     /* server: the id that the client's first packet was for, which it chose */
    struct list node;     /* of the endpoint */
    struct list received; /* in the endpoint's list while a batch of packets is worked off */
    struct list streams;  /* all of them */
    struct list ready;    /* those with something to send */
    struct list woken;    /* those whose owner should look */
    struct list fresh;    /* opened by the peer, not handed out yet */
    size_t stream_count;
    size_t unacked;             /* bytes that all streams hold to be sent or acknowledged */
    size_t pending;             /* those of them that have not been sent yet */
    uint64_t stream_window;     /* of each stream at first */
    uint64_t growth_left;       /* bytes that the windows of all streams together may still grow by */
    struct list datagram_turns; /* streams with datagrams to send */
    unsigned datagram_row;      /* packets in a row that began with one */
    size_t datagrams_out;       /* bytes that wait at all streams */
    size_t datagrams_in;        /* likewise, for the owners */
    size_t datagram_max;        /* a whole frame, as the peer allows */
    struct timer timer;
    struct task flush;
    struct net_addr local; /* of the path that packets in hand are for */
    int64_t due;           /* when the handshake has taken too long */
    int64_t held;  /* server: since when the ClientHello waits for the owner's answer; 0: it does not */
    int64_t heard; /* when the last packet came */
    int64_t unacknowledged; /* quic_path_facts; as of the last flush */
    uint64_t in_flight;     /* bytes, after the last flush */
    struct path_size size;  /* whether the path still carries long packets */
    size_t packet_most;     /* bytes that a packet may have, by that */
    struct buf unsent;      /* packets that the socket did not take */
    struct udp_packets unsent_head;
    struct buf goodbye;           /* CONN_CLOSING: the packet to repeat */
    unsigned asked;               /* ... and how often we were asked for it */
    uint8_t alert;                /* that the handshake failed with, here */
    struct opening_facts opening; /* client */
    bool was_reset;               /* the peer has forgotten the connection */
    bool asks_again;              /* the owner knows the answer to the ClientHello */
    bool opened;                  /* to be told to the owner */
    bool streams_left;            /* likewise */
    bool bad_datagram;            /* likewise */
    bool overdue;                 /* likewise */
    unsigned taken_back;          /* likewise: streams */
    bool counted;                 /* among the endpoint's unfinished handshakes */
    bool inside;                  /* the library is on the stack */
};

#define CONN_MAGIC 0x9071c001u

/* A server's connection for a client's first packet. `original` is the id that the client first wrote to when
 * a Retry came between, else NULL. NULL when nobody wants it. */
struct quic_conn *conn_accept(struct quic_endpoint *e, const ngtcp2_pkt_hd *head, const ngtcp2_cid *original,
                              const struct udp_packets *p);

/* A packet for it. What follows from it happens in conn_after_batch(). */
void conn_receive(struct quic_conn *c, const struct udp_packets *p, const uint8_t *data, size_t len);

/* The batch is over: wake owners, tell events, send. */
void conn_after_batch(struct quic_conn *c);

/* Something is to be sent, or a timer to be set: soon, once for all that asks in this round. */
void conn_touch(struct quic_conn *c);

/* It is over for this reason; the rest follows in conn_after_batch() or the next flush. */
void conn_fail(struct quic_conn *c, int library_error);
void conn_finish(struct quic_conn *c, const ngtcp2_ccerr *error, enum quic_end end, const char *text);

/* The network says that nobody is there. */
void conn_unanswered(struct quic_conn *c);

/* Say goodbye and be gone. */
void conn_end_now(struct quic_conn *c);

/* Set the timer by what the library waits for. */
void conn_arm(struct quic_conn *c);

/* Write what can be written (flush.c). */
void conn_flush(struct quic_conn *c);

/* ---- what the library calls (library.c) ---- */

extern const ngtcp2_callbacks library_server;
extern const ngtcp2_callbacks library_client;

/* Let the library's TLS half drive this connection. */
void library_attach(struct quic_conn *c);

/* The ClientHello is whole: have the owner answer it, and go on by that. An error of the library's, or 0. */
int library_answer_hello(struct quic_conn *c);

void library_settings(const struct quic_settings *s, ngtcp2_settings *ret,
                      ngtcp2_transport_params *ret_params);

/* A connection id of our own. */
void library_make_cid(const struct quic_endpoint *e, ngtcp2_cid *ret, size_t len);
/* What proves that this endpoint has forgotten the connection of an id: another for each secret and place. */
void library_reset_token(const struct quic_endpoint *e, const ngtcp2_cid *cid,
                         uint8_t ret[NGTCP2_STATELESS_RESET_TOKENLEN]);

/* ---- datagrams (datagram.c) ---- */

struct quic_stream;

/* Those of a stream. */
struct datagrams {
    struct ring in;
    struct ring out;  /* with their heads */
    struct list turn; /* of the connection, while there is something in `out` */
    bool taken;       /* the owner takes them */
    struct quic_datagram_facts facts;
};

void datagram_received(struct quic_conn *c, const uint8_t *data, size_t len);
/* What the library calls a datagram: the stream that it was of, and whether it was a long one. */
#define DATAGRAM_IS_LONG (UINT64_C(1) << 63)
uint64_t datagram_name(int64_t stream, size_t len);
void datagram_acked(struct quic_conn *c, uint64_t name);
void datagram_lost(const struct quic_conn *c, uint64_t name);
/* Whose turn it is to send one in a packet of this size; NULL: there is none. */
struct quic_stream *datagram_next(struct quic_conn *c, size_t packet);
/* The oldest of the stream's has been sent: the next stream's turn. */
void datagram_gone(struct quic_conn *c, struct quic_stream *s);
/* Drop those that wait, in both directions. */
void datagrams_forget(struct quic_stream *s);

/* ---- streams (stream.c) ---- */

struct quic_stream {
    struct link link;
    uint32_t magic;
    struct quic_conn *conn; /* NULL once the connection is over */
    struct tls_quic *tls;   /* the connection's: who the peer is is known to the end */
    int64_t id;
    struct list node;
    struct list ready;
    struct list woken;
    struct queue in;
    struct queue out;
    bool in_ended; /* the peer's FIN is in */
    bool fin;      /* ours is to be sent */
    bool fin_sent;
    bool blocked;       /* the owner waits for room to write */
    bool starved;       /* the owner waits for something to read */
    bool abandoned;     /* the owner has closed the link */
    bool uncounted;     /* not held, as far as quic_conn_held() tells */
    bool taken_back;    /* the peer has reset it before anything was written */
    bool cut_later;     /* reset, once all that was written has arrived */
    bool gone;          /* the library has forgotten the stream */
    bool refused;       /* the peer takes no more of ours */
    bool arrived;       /* something of ours has */
    uint64_t credit;    /* taken by the owner, not yet given back to the peer */
    uint64_t grown;     /* by which the window has grown */
    uint64_t round;     /* bytes taken since `round_at`: half a window makes a round */
    int64_t round_at;   /* monotonic */
    uint64_t code;      /* with which it is reset */
    uint64_t peer_code; /* with which the peer has reset it, or wants no more; 0: neither */
    struct datagrams datagrams;
};

/* The stream that a link is; NULL when it is another kind of link. */
struct quic_stream *stream_find(const struct link *l);
/* The owner should look, once the library is off the stack. */
void stream_wake_later(struct quic_stream *s);

struct quic_stream *stream_new(struct quic_conn *c, int64_t id);
void stream_received(struct quic_stream *s, const uint8_t *data, size_t len, bool fin);
void stream_acked(struct quic_stream *s, size_t len);
void stream_sent(struct quic_stream *s, size_t len);
/* The peer broke its direction off (RESET_STREAM). */
void stream_reset(struct quic_stream *s, uint64_t code);
/* The peer wants nothing more of ours (STOP_SENDING). */
void stream_refused(struct quic_stream *s, uint64_t code);
/* The library is done with it. */
void stream_gone(struct quic_stream *s);
/* Its connection is over. */
void stream_orphan(struct quic_stream *s);
/* The stream has something to send. */
void stream_ready(struct quic_stream *s);

static inline ngtcp2_addr library_addr(const struct net_addr *a, struct sockaddr_storage *space)
{
    socklen_t len = net_addr_to(a, space);
    return (ngtcp2_addr){.addr = (ngtcp2_sockaddr *)space, .addrlen = len};
}

#endif
