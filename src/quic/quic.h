/* SPDX-License-Identifier: Apache-2.0 */
/* QUIC (RFC 9000, 9001, 9002, 9221, 9369) on ngtcp2, which only this folder knows. An endpoint is a UDP
 * socket and the connections on it; a connection carries streams, each of them a link, and datagrams that
 * belong to streams.
 *
 * Who owns a connection is told what happens to it through `struct quic_events`, never from within a call of
 * his own, and never with the library on the stack: he may do with the connection whatever he likes then.
 * `hello` alone is asked in the midst of a packet, for the answer is wanted there, or at least that it is to
 * come. */
#ifndef CARDEA_QUIC_QUIC_H
#define CARDEA_QUIC_QUIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "link/link.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "net/udp.h"
#include "tls/authenticator.h"

struct quic_conn;
struct quic_endpoint;
struct tls_quic;

enum quic_congestion { QUIC_CUBIC, QUIC_BBR };

/* How connections behave; durations in nanoseconds, sizes in bytes. */
struct quic_settings {
    enum quic_congestion congestion;
    int64_t idle_timeout;      /* of silence, after which a connection is dropped without a word */
    int64_t keep_alive;        /* a PING after that much silence, or sooner where the peer's idle timeout
                                  asks for it; 0: none */
    int64_t handshake_timeout; /* from the first packet to the end of the handshake, less what a server
                                  takes for QUIC_HELLO_LATER */
    uint64_t streams;          /* that the peer may have open at once */
    uint64_t stream_window;    /* first credit for what a stream brings; it grows to 32 times that */
    uint64_t window;           /* first credit for what is on its way on all streams; it grows to eight times
                                  that, and so much is what the windows of streams grow by together: what
                                  waits for owners is at most streams * stream_window + 8 * window */
    size_t send_buffer;        /* what a stream holds of bytes that are not acknowledged yet */
    size_t connection_buffer;  /* the same for all streams of a connection; when it is full, a small part of
                                  `send_buffer` is left to each */
    bool datagrams;            /* offer the peer to take datagrams (RFC 9221); without it none are sent */
    size_t hello_size;         /* server: the longest ClientHello */
    size_t retry_above;        /* server: so many unfinished handshakes, and new clients must show that
                                  their address is theirs (RFC 9000, 8.1.2) */
};

/* So many endpoints at most share an address: a byte of a connection id says whose it is. */
#define QUIC_ENDPOINTS_MAX 256

/* Secrets that all endpoints of a process share, so that any of them may answer for another. */
struct quic_secrets {
    uint8_t reset[32]; /* stateless reset tokens come from this (RFC 9000, 10.3) */
    uint8_t token[32]; /* Retry and address validation tokens are sealed under this */
};

/* Fresh ones, from the random source. A door that is to be known again after a restart replaces `reset` by
 * one that stays the same. */
void quic_secrets_make(struct quic_secrets *ret);

/* What becomes of a ClientHello. */
enum quic_hello_result {
    QUIC_HELLO_TAKEN,
    QUIC_HELLO_REFUSED,
    QUIC_HELLO_LATER, /* the client is kept waiting, for as long as the owner likes */
};

struct quic_hello_answer {
    enum quic_hello_result result;
    struct tls_quic *tls; /* for one that is taken; it is the connection's */
    uint8_t alert;        /* for one that is refused */
};

/* Why a connection ended. */
enum quic_end {
    QUIC_END_LOCAL,     /* we closed it */
    QUIC_END_PEER,      /* the peer closed it */
    QUIC_END_IDLE,      /* nothing was heard for too long */
    QUIC_END_TIMEOUT,   /* the handshake took too long */
    QUIC_END_TLS,       /* the handshake failed, here or there */
    QUIC_END_RESET,     /* the peer no longer knows it (stateless reset) */
    QUIC_END_PROTOCOL,  /* the peer broke the rules */
    QUIC_END_TRANSPORT, /* the network does not carry UDP there */
};

struct quic_events {
    /* Server: the whole ClientHello is here (a handshake message with its header). After QUIC_HELLO_LATER
     * this is called once more when quic_conn_ask_again() was. */
    struct quic_hello_answer (*hello)(void *owner, const uint8_t *message, size_t len);
    /* The handshake is complete and the peer's identity proven. */
    void (*opened)(void *owner);
    /* The peer has opened a stream, in one direction only where quic_stream_is_uni() says so; the link is the
     * owner's. */
    void (*stream)(void *owner, struct link *link);
    /* Client: streams can be opened again after quic_conn_open_stream() had answered NULL. May be NULL. */
    void (*streams_left)(void *owner);
    /* What is out was sent again after a probe timeout, for nothing of it is acknowledged. Told at each probe
     * timeout (RFC 9002, 6.2), so ever more rarely. May be NULL. */
    void (*overdue)(void *owner);
    /* Datagrams came whose Quarter Stream ID cannot be read or is none of a stream: they were dropped. HTTP/3
     * ends the connection over that (RFC 9297, 2.1). May be NULL. */
    void (*bad_datagram)(void *owner);
    /* The peer has reset so many streams of its own before anything was written to them. May be NULL. */
    void (*taken_back)(void *owner, unsigned streams);
    /* It is over: its streams have failed, and the connection must not be used any more. `text`: why, for
     * people; it lives during the call. */
    void (*closed)(void *owner, enum quic_end end, const char *text);
};

/* ---- endpoints ---- */

/* Space that the endpoints of a thread use by turns. */
struct quic_scratch;

struct quic_scratch *quic_scratch_new(void);
void quic_scratch_free(struct quic_scratch *s);

struct quic_server {
    /* A stranger's first packet: the owner of the connection to be, or NULL: no connection. Without `proven`
     * anybody may have made up the peer's address until `opened`; a NULL has him prove it then, by a Retry
     * (RFC 9000, 8.1.2), and come again. */
    void *(*incoming)(void *arg, struct quic_conn *conn, const struct net_addr *peer, bool proven);
    /* A packet for another of the endpoints that share the address, `owner` is its index: the kernel has not
     * steered it there, or has put it together with packets of ours. It lives during the call. NULL: whatever
     * comes is ours. */
    void (*astray)(void *arg, unsigned owner, const struct udp_packets *packet);
    const struct quic_events *events; /* for those owners */
    void *arg;
    const char *place; /* the address as configured: no other has its stateless resets; borrowed for the
                          endpoint's life; NULL: none */
    unsigned index;    /* which of `count` endpoints that share an address this is: its connection ids say so,
                          see udp_steer() */
    unsigned count;    /* QUIC_ENDPOINTS_MAX at most */
};

/* A server's endpoint on a bound socket (taken over, also on failure); `server` is copied. It receives
 * nothing before quic_endpoint_serve(), so another thread than the loop's may make it, or drop it again. NULL
 * with `err`. */
struct quic_endpoint *quic_endpoint_new(struct loop *loop, int fd, const struct quic_server *server,
                                        const struct quic_secrets *secrets, struct quic_scratch *scratch,
                                        struct err *err);

/* Free one that has not served yet; NULL is allowed. */
void quic_endpoint_drop(struct quic_endpoint *e);

/* Serve from now on, again after quic_endpoint_refuse(); or go on with other settings (copied) for
 * connections that begin from now on. */
void quic_endpoint_serve(struct quic_endpoint *e, const struct quic_settings *settings);

/* A packet of this endpoint's that has come to another one (quic_server.astray): as if it had come here. */
void quic_endpoint_take(struct quic_endpoint *e, const struct udp_packets *packet);

/* A client's endpoint on a socket that udp_connect() made (taken over, also on failure): for quic_connect().
 * NULL with `err`. */
struct quic_endpoint *quic_endpoint_client(struct loop *loop, int fd, const struct quic_settings *settings,
                                           const struct quic_secrets *secrets, struct quic_scratch *scratch,
                                           struct err *err);

/* Take no new connections. */
void quic_endpoint_refuse(struct quic_endpoint *e);

/* Is something on its way that was written to streams before they were closed? It would be lost if the
 * connections were closed now. */
bool quic_endpoint_busy(const struct quic_endpoint *e);

/* Close what is left of its connections (their owners are told) and free it at the end of the round. NULL is
 * allowed. */
void quic_endpoint_free(struct quic_endpoint *e);

/* ---- connections ---- */

/* Connect to `to`. `tls` is taken over. Events come later, never from within this call. Never NULL. */
struct quic_conn *quic_connect(struct quic_endpoint *e, const struct net_addr *to, struct tls_quic *tls,
                               const struct quic_events *events, void *owner);

/* What is known of the peer, as link_peer() tells it. */
void quic_conn_peer(const struct quic_conn *c, struct link_peer *ret);

/* tls_quic_export() and tls_quic_renew() of an open connection. */
int quic_conn_export(const struct quic_conn *c, enum authenticator_sender sender,
                     struct authenticator_keys *ret, struct err *err);
void quic_conn_renew(struct quic_conn *c, struct authenticator_proof *by);

/* The first of them for the connection of this stream; -1 with `err` for a link that is none, or is over. */
int quic_stream_export(const struct link *l, enum authenticator_sender sender, struct authenticator_keys *ret,
                       struct err *err);

/* A new stream, or NULL while the peer allows no more. */
struct link *quic_conn_open_stream(struct quic_conn *c);

/* A new stream that only we write to (RFC 9000, 2.1), or NULL while the peer allows no more. */
struct link *quic_conn_open_uni(struct quic_conn *c);

/* Server, of a connection whose `hello` was answered with QUIC_HELLO_LATER: the answer is known now. It is
 * asked for soon, never from within this call. */
void quic_conn_ask_again(struct quic_conn *c);

/* Server, from within `hello` only: let the client have so many unidirectional streams open at once. Without
 * that it may have none. */
void quic_conn_allow_uni(struct quic_conn *c, uint64_t streams);

/* Go on from another socket (bound and connected by the caller, taken over): our address has changed
 * (RFC 9000, 9). False when the connection cannot migrate now. */
bool quic_conn_migrate(struct quic_conn *c, int fd);

struct quic_path_facts {
    struct net_addr local;
    struct net_addr peer;
    int64_t rtt; /* smoothed, in nanoseconds */
    uint64_t congestion_window;
    uint64_t bytes_in, bytes_out; /* payload of UDP, whatever it was */
    uint64_t bytes_lost;
    size_t streams;
    int64_t heard;          /* monotonic time of the last packet that came; 0: none yet */
    int64_t unacknowledged; /* monotonic: since when nothing that is out is acknowledged; 0: none is out */
};

void quic_conn_facts(const struct quic_conn *c, struct quic_path_facts *ret);

/* How a client's handshake went, and what the server says of itself then; sizes in bytes,
 * of UDP's payload. */
struct quic_handshake_facts {
    uint32_t version;   /* that was agreed on */
    bool retried;       /* the server had us prove our address first (Retry) */
    uint64_t first_out; /* what we sent before we heard anything ... */
    uint64_t first_in;  /* ... and what came before we answered */
    uint64_t out, in;   /* until it was complete */
    /* transport parameters (RFC 9000, 18.2; RFC 9221, 3) */
    int64_t idle_timeout;       /* nanoseconds; 0: none */
    uint64_t payload_max;       /* of a packet that it takes */
    uint64_t datagram_max;      /* of a frame with a datagram; 0: it takes none */
    uint64_t data, stream_data; /* first credit of all streams, and of one that we open */
    uint64_t streams, unis;     /* that we may open at first */
    uint64_t connection_ids;    /* that it keeps of ours */
    bool stays;                 /* it does not take a client that comes from another address */
};

/* Of a connection of quic_connect(), from `opened` to `closed`. */
void quic_conn_handshake(const struct quic_conn *c, struct quic_handshake_facts *ret);

/* `unacknowledged` of the connection of this stream; 0 too for a link that is none, or is over. */
int64_t quic_stream_unacknowledged(const struct link *l);

/* Streams of both directions that somebody here still holds. */
size_t quic_conn_held(const struct quic_conn *c);

/* This one is not counted there from now on: nobody is to wait for its end. Nothing is done to links of other
 * kinds. */
void quic_stream_uncount(struct link *l);

/* As quic_endpoint_busy(), of this connection. */
bool quic_conn_busy(const struct quic_conn *c);

/* ---- datagrams of a stream ----
 *
 * A datagram belongs to a stream of both directions. It travels in a DATAGRAM frame (RFC 9221) behind the
 * Quarter Stream ID (RFC 9297, 2.1) and the Context ID 0 (RFC 9298, 4), or 1 where the server has opened the
 * stream; both are put there and taken off here. What comes with another context, or for a stream that is not
 * known, is dropped. Datagrams are lost, come twice, and overtake the stream's bytes and each other, as on
 * any network. Queues are bounded, per stream and for all of a connection; a full one drops its oldest.
 *
 * The calls below take any link and treat one that is no stream like a stream without datagrams. */

/* Has the peer acknowledged anything that was written to the stream, or answered it? Then it may have read
 * all of it. Of what is no stream nothing is known: true. */
bool quic_stream_arrived(const struct link *l);

/* The longest payload that can be sent on a stream now; it changes with the path. 0: both ends do not agree
 * on datagrams, the stream has one direction only, or the connection is over. */
size_t quic_stream_datagram_max(const struct link *l);

/* Send one (`len` may be 0; the bytes are copied). It goes out as congestion control and pacing allow, before
 * the bytes of streams. False when it is longer than quic_stream_datagram_max(). */
bool quic_stream_send_datagram(struct link *l, const void *payload, size_t len);

/* The owner takes datagrams from now on: the link's `wake` is called for them too. Those that came before,
 * a few kilobytes of them, have been kept. Only for a stream. */
void quic_stream_take_datagrams(struct link *l);

/* Is one there? *ret_len: its length. */
bool quic_stream_datagram_waits(const struct link *l, size_t *ret_len);

/* Take the one that waits: `out` has room for its length. */
void quic_stream_read_datagram(struct link *l, void *out);

struct quic_datagram_facts {
    uint64_t sent;  /* handed over for sending, those among them that were dropped here */
    uint64_t acked; /* packets that carried one and came through */
    uint64_t lost;  /* ... and did not, as far as is known */
    uint64_t received;
    uint64_t dropped_out; /* before they left: the queue was full, or the path has become too narrow */
    uint64_t dropped_in;  /* the owner did not take them in time, or they were of an unknown context */
    size_t largest;       /* bytes of payload, in either direction */
};

/* What became of a stream's datagrams so far; false (and *ret zeroed) for a link that is no stream. */
bool quic_stream_datagram_facts(const struct link *l, struct quic_datagram_facts *ret);

/* ---- what a protocol on top must know of its streams: only for links that are streams ---- */

/* RFC 9000, 2.1. */
int64_t quic_stream_id(const struct link *l);

/* One direction only: a stream of the peer's is not to be written to, one of ours never brings anything. */
static inline bool quic_stream_is_uni(const struct link *l)
{
    return (quic_stream_id(l) & 2) != 0;
}

/* How many bytes link_write() takes at once now: LINK_OK and at least 1 KiB, or as
 * link_write() would answer. */
enum link_status quic_stream_room(struct link *l, size_t *ret);

/* Write, all of it: within the room that quic_stream_room() has just told. */
void quic_stream_put(struct link *l, const void *data, size_t len);

/* What the peer is told (RESET_STREAM, STOP_SENDING) when the link is closed before both directions have
 * ended; 1 unless this says otherwise. Nothing is done to links of other kinds. */
void quic_stream_set_code(struct link *l, uint64_t code);

/* What the peer has said likewise, first; 0: nothing, or it is a link of another kind. */
uint64_t quic_stream_peer_code(const struct link *l);

/* Close it with an application error code (0: none, and what can be sent at once still is); streams fail. The
 * owner hears nothing of it any more. */
void quic_conn_close(struct quic_conn *c, uint64_t code);

#endif
