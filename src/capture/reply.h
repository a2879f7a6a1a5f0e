/* SPDX-License-Identifier: Apache-2.0 */
/* What a server answered to a ClientHello, as far as it is said in the clear. Pure. */
#ifndef CARDEA_CAPTURE_REPLY_H
#define CARDEA_CAPTURE_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum reply_kind {
    REPLY_NONE,  /* it is not in the capture, or not all of it */
    REPLY_HELLO, /* a ServerHello */
    REPLY_ALERT, /* it refused: `alert` */
    REPLY_CLOSE, /* over QUIC for a reason that is not of TLS: `code` */
};

#define REPLY_SESSION_ID_MAX 32
#define REPLY_ALPN_MAX 256

struct reply {
    enum reply_kind kind;
    bool retry; /* a HelloRetryRequest came first, for `retry_group` (0: for a cookie) */
    uint16_t retry_group;
    uint16_t version; /* REPLY_HELLO */
    uint16_t cipher;
    uint16_t group; /* 0: none, or it is not known */
    bool resumes;   /* TLS 1.3: by a pre-shared key; before see reply_resumes() */
    uint8_t alert;
    uint64_t code;
    uint8_t session_id_len;
    uint8_t session_id[REPLY_SESSION_ID_MAX];
    char alpn[REPLY_ALPN_MAX]; /* TLS 1.2; NUL-terminated, empty: not said */
};

/* Reads it out of what a server sends. */
struct reply_reader {
    struct reply reply;
    bool done;         /* nothing further can be learned */
    struct buf held;   /* of the message that is being read */
    uint64_t skip;     /* bytes of a message that nobody wants to know */
    uint8_t record[5]; /* header of the record that is being read */
    uint8_t record_have;
    uint16_t record_left;
};

/* Read handshake messages, as QUIC has them. */
void reply_messages(struct reply_reader *r, const uint8_t *data, size_t len);

/* Read records (RFC 8446, 5.1), from the beginning of one on. */
void reply_records(struct reply_reader *r, const uint8_t *data, size_t len);

/* Free what it holds, not itself. */
void reply_free(struct reply_reader *r);

/* Does the answer resume the session that the client asked to resume? */
bool reply_resumes(const struct reply *a, const uint8_t *session_id, size_t len);

#endif
