/* SPDX-License-Identifier: Apache-2.0 */
/* The hello of the tunnel protocol cardea/1: one message each way (message.h), then bytes, or what
 * agent_wire.h reads. doc/internals/tunnel-protocol.md describes it. */
#ifndef CARDEA_TUNNEL_WIRE_H
#define CARDEA_TUNNEL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "session/front.h"
#include "tunnel/message.h"

#define WIRE_RULE_MAX 256  /* with the NUL; a longer one is cut */
#define WIRE_TEXT_MAX 1024 /* likewise */

/* The door's side: reads a client's hello, writes the answer. */
extern const struct front front_cardea;

/* What a client says of itself in a hello for a target. */
struct wire_client {
    bool datagrams; /* it takes datagrams of the stream */
    bool renews;    /* it wants to know what the connection is called, to prove newer certificates on it */
};

/* The client's side: append a hello for `target`. False when it does not fit; nothing is appended then. */
bool wire_encode_hello(const struct front_target *target, struct wire_client client, struct buf *out);

/* An agent's side: append a hello that offers a service, or one that brings a connection under an id. False
 * when it does not fit; nothing is appended then. */
bool wire_encode_offer(const struct offer *offer, bool renews, bool proves, struct buf *out);
bool wire_encode_spare(const char *id, struct buf *out);

/* The outcome that is called so on the wire; FRONT_UNREACHABLE for a word that we do not know. */
enum front_outcome wire_outcome(const char *code);

struct wire_answer {
    enum front_outcome
        outcome;    /* FRONT_OK: bytes follow. A code that we do not know reads as FRONT_UNREACHABLE */
    bool datagrams; /* FRONT_OK: the door sends and takes datagrams of the stream */
    char code[32];  /* as sent; "ok" where the door said yes */
    char rule[WIRE_RULE_MAX]; /* the policy row that denied, or "" */
    char text[WIRE_TEXT_MAX]; /* for people, never empty; control characters are replaced: it may go to a
                                 terminal */
    uint64_t connection;      /* with FRONT_OK: what the door calls the connection; 0: it has not said */
    bool tls;                 /* with FRONT_OK: the far end of the stream speaks TLS */
    char
        warning[WIRE_TEXT_MAX]; /* with FRONT_OK: what will hardly be meant, for people; or "". Cleaned too */
};

/* The client's side: read the door's answer at the start of `data`. *ret_used bytes are the answer, the rest
 * is payload. Like front.ask it keeps no state. */
enum wire_result wire_parse_answer(const uint8_t *data, size_t len, struct wire_answer *ret, size_t *ret_used,
                                   struct err *err);

#endif
