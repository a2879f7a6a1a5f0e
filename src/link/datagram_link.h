/* SPDX-License-Identifier: Apache-2.0 */
/* A link whose bytes are frames (frames.h), on top of a stream that carries the datagrams in a form of its
 * own, and beside the stream where there is a way. What comes either way is read as frames, each whole. */
#ifndef CARDEA_LINK_DATAGRAM_LINK_H
#define CARDEA_LINK_DATAGRAM_LINK_H

#include "base/buf.h"
#include "link/link.h"

struct datagram_link;

/* How datagrams travel. `down` is the stream. */
struct datagram_form {
    /* Take bytes of the stream: datagram_link_keep() for every datagram that is whole now. NULL, or static
     * text when the stream has to be given up. */
    const char *(*feed)(struct datagram_link *d, const void *data, size_t len);
    /* Append a datagram for the stream. False, and nothing appended, when more than `most` bytes would wait.
     */
    bool (*put)(struct buf *out, const void *data, size_t len, size_t most);
    void (*free)(struct datagram_link *d); /* what the form holds, and `d` */
    /* The rest may be NULL. NULL, or why the stream cannot end here. */
    const char *(*check_end)(struct datagram_link *d);
    void (*spoiled)(struct link *down); /* what came in the stream is wrong; it will be aborted */
    /* Datagrams beside the stream; all or none. With them writing never waits: what neither they nor the
     * stream take in time is lost, as on a network. Without, the stream stops the writer. */
    bool (*waits)(const struct link *down, size_t *ret_len);       /* has one come, and how long is it? */
    void (*receive)(struct link *down, void *out);                 /* that one */
    bool (*send)(struct link *down, const void *data, size_t len); /* false: it must go in the stream */
};

/* Embed it in what the form has besides. */
struct datagram_link {
    struct link link;
    uint32_t magic;
    const struct datagram_form *form;
    struct link *down;
    struct buf waiting; /* frames to be read: whole, or the rest of one */
    struct buf partial; /* the beginning of a frame that is being written */
    struct buf unsent;  /* for the stream */
    uint64_t dropped;
    bool stays_in_stream; /* for now nothing goes or comes beside it; for the form to set, after init */
    bool spoiled;         /* what came in the stream is wrong */
    bool flushing;        /* on the stack */
    bool shut;
};

/* Put it on `down`, which it owns from then on. `early` (copied) has been read from `down` already; `unsent`
 * (copied) was to be written to it and goes first. What the form has besides must be ready. */
void datagram_link_init(struct datagram_link *d, const struct datagram_form *form, struct link *down,
                        struct str early, struct str unsent);

/* For a form: a datagram has come. `arg` is the datagram_link. */
void datagram_link_keep(void *arg, const uint8_t *data, size_t len);

/* How many were lost since the stream was full; 0 for a link of another kind. */
uint64_t datagram_link_dropped(const struct link *l);

#endif
