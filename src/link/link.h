/* SPDX-License-Identifier: Apache-2.0 */
/* A byte stream with an end on each side. Whoever holds a link does not know what carries it: TCP, a TLS
 * connection on top of another link, standard input and output, a stream of QUIC or
 * HTTP/2, memory in a test. */
#ifndef CARDEA_LINK_LINK_H
#define CARDEA_LINK_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/str.h"

enum link_status {
    LINK_OK,    /* progress was made */
    LINK_AGAIN, /* nothing possible now; `wake` is called when it is worth trying again */
    LINK_EOF,   /* read only: the peer has ended its direction, all its bytes have been read */
    LINK_ERROR, /* the link is broken; link_error() says how; only close is left */
};

struct buf;
struct cert;
struct identity;
struct link;
struct stack_st_CRYPTO_BUFFER;

/* What a link knows of its peer; for the audit line, policy and routing. Valid once the link is open. */
struct link_peer {
    uint16_t version;        /* of TLS: 0x0304 */
    uint16_t group;          /* IANA codepoint, 0 when none was used */
    const char *group_name;  /* static */
    const char *cipher;      /* IANA name, static */
    const char *cipher_text; /* as OpenSSL calls it, static */
    const char
        *signature; /* scheme that we have signed the handshake with (RFC 8446, 4.2.3), static, or NULL */
    const struct cert
        *own; /* that we have shown, or NULL; lives as long as the configuration in which we did */
    bool resumed;
    bool hello_retry; /* the handshake took a HelloRetryRequest (RFC 8446, 4.1.4) */
    /* What the handshake has taken, from the peer and to it, as far as it got: bytes of TLS records; over
     * QUIC those of the handshake messages. Tickets that come behind it are not among them. */
    uint32_t handshake_in, handshake_out;
    bool truncated; /* the peer's stream broke off: it ended without saying so */
    bool misspoke;  /* the link failed because somebody broke the rules of the protocol that it follows: its
                     * peer; of a  relay, who writes to it */
    bool no_certificate; /* the link failed because the peer showed no certificate */
    uint8_t alert;       /* the link failed because the peer sent this alert (RFC 8446, 6); else 0 */
    struct str alpn;     /* lives as long as the link */
    const struct identity *identity; /* proven; NULL when the peer showed nothing. Lives as long as the link,
                                      * or until the peer proves other certificates on it */
    /* The certificates that it was proven by, leaf first, for trust_verify(). NULL when there are none, and
     * for streams of HTTP/2, whose connection has them. Lives as long as `identity`. */
    const struct stack_st_CRYPTO_BUFFER *chain;
    /* All that it has shown, leaf first, proven or not: to tell people of it, for nothing else. */
    const struct stack_st_CRYPTO_BUFFER *shown;
    struct str staple;     /* OCSP response that a server sent with them (RFC 6066, 8) ... */
    struct str timestamps; /* ... and SignedCertificateTimestampList (RFC 6962, 3.3); neither is judged. As
                            * long as the link */
    struct str found; /* what a server said in the place of TLS (FAULT_NOT_TLS); lives as long as the link */
    enum fault fault; /* what is wrong with the peer, where the link failed for that */
    const char *failure; /* why the peer was not believed, in full; "" otherwise */
};

/* What became of the datagrams of a link whose bytes are frames (link/frames.h). */
struct link_datagrams {
    uint64_t sent;
    uint64_t received; /* those among them that were dropped here */
    uint64_t dropped;  /* nobody took them at once, or they were not to be sent on */
    size_t largest;    /* bytes of one, in either direction */
};

/* Where a link lives: what it takes from its thread. */
struct loop;
struct link_home {
    struct loop *loop;
    void *tls; /* struct tls_scratch: space that TLS links use by turns */
};

struct link_ops {
    const char *name;
    enum link_status (*open)(struct link *);
    enum link_status (*read)(struct link *, void *buf, size_t cap, size_t *ret_n);
    enum link_status (*write)(struct link *, const void *buf, size_t len, size_t *ret_n);
    enum link_status (*shutdown)(struct link *, bool closing);
    void (*close)(struct link *, bool abort);
    /* The rest may be NULL: a transport whose bytes are not those of a descriptor, that proves nothing, says
     * nothing, stands on nothing. */
    enum link_status (*splice_read)(struct link *, int kernel_pipe, size_t cap, size_t *ret_n);
    enum link_status (*splice_write)(struct link *, int kernel_pipe, size_t len, size_t *ret_n);
    size_t (*splice_room)(const struct link *);
    int (*socket)(const struct link *);
    void (*peer)(const struct link *, struct link_peer *ret);
    void (*datagrams)(const struct link *, struct link_datagrams *ret);
    void (*refuse)(struct link *, uint8_t alert);
    struct link *(*below)(struct link *);
    struct link *(*branch)(struct link *);
    void (*leave)(struct link *);
    bool (*enter)(struct link *, const struct link_home *home);
};

struct link {
    const struct link_ops *ops;
    void (*wake)(
        struct link *); /* called when a call that answered AGAIN is worth trying again; may be NULL */
    void *owner;        /* for `wake` */
    const char *error;  /* static text, set with LINK_ERROR */
    bool more;          /* a hint for writes: see link_more() */
    bool keep_written;  /* a hint for closing: see link_cut() */
    uint64_t bytes_read;
    uint64_t bytes_written;
};

/* Go on with becoming usable: the connect of a TCP link, the handshake of a TLS link. LINK_OK once it is (and
 * on every later call). A link that is born open answers LINK_OK at once. */
static inline enum link_status link_open(struct link *l)
{
    return l->ops->open(l);
}

/* Read at most `cap` (> 0) bytes. LINK_OK: 1 to cap bytes in *ret_n. A short read does not mean that no more
 * is there. */
static inline enum link_status link_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    CHECK(cap > 0);
    enum link_status s = l->ops->read(l, buf, cap, ret_n);
    if (s == LINK_OK)
        l->bytes_read += *ret_n;
    return s;
}

/* Hand over bytes. LINK_OK: 1 to len bytes in *ret_n were taken; what was taken is delivered without further
 * calls unless the link breaks. */
static inline enum link_status link_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    CHECK(len > 0);
    enum link_status s = l->ops->write(l, buf, len, ret_n);
    if (s == LINK_OK)
        l->bytes_written += *ret_n;
    return s;
}

/* Write what a buffer holds, as far as the link takes it; that is dropped from the front. LINK_OK: all of it
 * has gone, and the buffer holds no memory. */
enum link_status link_write_buf(struct link *l, struct buf *b);

/* Read at most `room` bytes (> 0), in one call, to the end of a buffer whose bound leaves room for them. */
enum link_status link_read_buf(struct link *l, struct buf *b, size_t room);

/* As link_read(), but into the write end of a pipe(7) that is empty: the bytes never leave the kernel
 * (splice(2)). LINK_AGAIN: nothing that can be moved so; whether there is anything at all link_read() must
 * say, and without that no wake may come. Only where link_splices(). */
static inline enum link_status link_splice_read(struct link *l, int kernel_pipe, size_t cap, size_t *ret_n)
{
    CHECK(cap > 0);
    enum link_status s = l->ops->splice_read(l, kernel_pipe, cap, ret_n);
    if (s == LINK_OK)
        l->bytes_read += *ret_n;
    return s;
}

/* As link_write(), but of the first `len` bytes in a pipe(7), from its read end; it holds as many. What was
 * not taken stays in it. Only where link_splices(). */
static inline enum link_status link_splice_write(struct link *l, int kernel_pipe, size_t len, size_t *ret_n)
{
    CHECK(len > 0);
    enum link_status s = l->ops->splice_write(l, kernel_pipe, len, ret_n);
    if (s == LINK_OK)
        l->bytes_written += *ret_n;
    return s;
}

/* True when the link's bytes can be moved inside the kernel. */
static inline bool link_splices(const struct link *l)
{
    return l->ops->splice_read != NULL;
}

/* About how many bytes could be written now; 0 when it is not known. Only where link_splices(). */
static inline size_t link_splice_room(const struct link *l)
{
    return l->ops->splice_room(l);
}

/* End our direction; the peer reads what was written and then EOF. Reading goes on. LINK_AGAIN: what was
 * written must leave first; call again when woken. */
static inline enum link_status link_shutdown(struct link *l)
{
    return l->ops->shutdown(l, false);
}

/* The same for a link that will be closed (not aborted) as soon as this answers LINK_OK: what closing ends by
 * itself is left to it. */
static inline enum link_status link_finish(struct link *l)
{
    return l->ops->shutdown(l, true);
}

/* Close and free (NULL is allowed). With `abort` the peer sees an error (a reset) where the transport has
 * one, so that it cannot take a cut-off stream for a whole one. The link must not be used afterwards; no
 * `wake` comes any more. */
static inline void link_close(struct link *l, bool abort)
{
    if (l != NULL)
        l->ops->close(l, abort);
}

/* As link_close() with `abort`, but nothing that was written is taken back for it: where a reset would do
 * that, the end is a plain one. For the side that was told something before the other side broke. */
static inline void link_cut(struct link *l)
{
    if (l == NULL)
        return;
    l->keep_written = true;
    l->ops->close(l, true);
}

/* The socket that carries the link, to ask for its addresses; -1 when there is none. */
static inline int link_socket(const struct link *l)
{
    return l->ops->socket == NULL ? -1 : l->ops->socket(l);
}

/* Say that what is written from now on will be followed at once by more bytes or by the end, so that small
 * pieces may travel together; or that it will not. */
static inline void link_more(struct link *l, bool more)
{
    l->more = more;
}

/* What is known of the peer; false (and *ret zeroed, `failure` empty) for a transport that proves nothing. */
static inline bool link_peer(const struct link *l, struct link_peer *ret)
{
    *ret = (struct link_peer){.failure = ""};
    if (l->ops->peer == NULL)
        return false;
    l->ops->peer(l, ret);
    return true;
}

/* What became of its datagrams; false (and *ret zeroed) for a link that does not count any. */
static inline bool link_datagrams(const struct link *l, struct link_datagrams *ret)
{
    *ret = (struct link_datagrams){0};
    if (l->ops->datagrams == NULL)
        return false;
    l->ops->datagrams(l, ret);
    return true;
}

/* Tell the peer that it is turned away, with an alert of RFC 8446, 6, where the transport has alerts. Nothing
 * can be written afterwards; link_shutdown() goes on as ever. */
static inline void link_refuse(struct link *l, uint8_t alert)
{
    if (l->ops->refuse != NULL)
        l->ops->refuse(l, alert);
}

/* The link that this one stands on; NULL when it stands on none. */
static inline struct link *link_below(struct link *l)
{
    return l->ops->below == NULL ? NULL : l->ops->below(l);
}

/* The lowest link that this one stands on; itself when it stands on none. */
static inline struct link *link_bottom(struct link *l)
{
    while (l->ops->below != NULL)
        l = l->ops->below(l);
    return l;
}

/* Another stream of the connection that carries this one, opened by us; NULL when there is none to be had.
 * The caller owns it. */
static inline struct link *link_branch(struct link *l)
{
    return l->ops->branch == NULL ? NULL : l->ops->branch(l);
}

static inline bool link_branches(const struct link *l)
{
    return l->ops->branch != NULL;
}

/* Can it be taken to another thread? It and all that it stands on must agree. */
static inline bool link_moves(struct link *l)
{
    while (l->ops->leave != NULL && l->ops->below != NULL)
        l = l->ops->below(l);
    return l->ops->leave != NULL;
}

/* Take an open link out of its thread: from a task at the end of the loop's round, when no event can name it
 * any more, and between calls of it. Only where link_moves(). */
static inline void link_leave(struct link *l)
{
    l->wake = NULL;
    l->ops->leave(l);
}

/* Go on with it in the calling thread, which `home` describes. False when it cannot be watched there: only
 * close is left. What has come meanwhile is there to be read. */
static inline bool link_enter(struct link *l, const struct link_home *home)
{
    return l->ops->enter(l, home);
}

/* Is it known to be broken, itself or what it stands on? */
static inline bool link_is_broken(struct link *l)
{
    while (l->error == NULL && l->ops->below != NULL)
        l = l->ops->below(l);
    return l->error != NULL;
}

/* Has the peer said by an alert (RFC 8446, 6) that it breaks off, on the link or on what that stands on? */
static inline bool link_was_told(struct link *l)
{
    struct link_peer peer = {0};
    while (l != NULL && (!link_peer(l, &peer) || peer.alert == 0))
        l = link_below(l);
    return l != NULL;
}

/* Why the link broke, as static text. */
static inline const char *link_error(const struct link *l)
{
    return l->error != NULL ? l->error : "unknown error";
}

/* For links: tell the owner. He may do anything with the link, also close it: touch it no more afterwards. */
static inline void link_wake(struct link *l)
{
    if (l->wake != NULL)
        l->wake(l);
}

/* For links: break, for a reason in static text. The first reason stays. */
static inline enum link_status link_fail(struct link *l, const char *why)
{
    if (l->error == NULL)
        l->error = why;
    return LINK_ERROR;
}

#endif
