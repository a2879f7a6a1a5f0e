/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of cardea/1, whatever they say: a length (16 bits, big-endian, 1 to 4096) and that many bytes
 * of JSON (RFC 8259), an object with the version in it. doc/internals/tunnel-protocol.md describes them. */
#ifndef CARDEA_TUNNEL_MESSAGE_H
#define CARDEA_TUNNEL_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hostport.h"
#include "mux/offer.h"

#define WIRE_ALPN "cardea/1"
#define WIRE_JSON_MAX 4096
#define WIRE_MESSAGE_MAX (2 + WIRE_JSON_MAX)

enum wire_result {
    WIRE_MORE, /* the message is not complete; never said once there are WIRE_MESSAGE_MAX bytes */
    WIRE_OK,   /* a message was read */
    WIRE_BAD,  /* what came is no such message; err says why */
};

/* Append the beginning of a message, `{"v":1`, and room for its length; *ret_at is where. False where it does
 * not fit; message_end() has to follow all the same. */
bool message_begin(struct buf *out, size_t *ret_at);

/* Append the closing brace and fill in the length; or take the message back where that or something before it
 * (`ok` false) did not fit. Says whether the message is there. */
bool message_end(struct buf *out, size_t at, bool ok);

/* Append `,"key":"value"`. False where it does not fit. */
bool message_put_string(struct buf *out, const char *key, const char *value);

/* The message at the start of `data`: its JSON object, of a version that we speak, for the caller to give to
 * json_decref(). *ret_used is its length, with WIRE_OK, and with WIRE_BAD where the length itself is good.
 * Keys that nobody asks for are let be, so that later versions may add some. */
enum wire_result message_read(const uint8_t *data, size_t len, json_t **ret, size_t *ret_used,
                              struct err *err);

/* A string that may be absent (then *ret is NULL); -1 where it is something else. The text is borrowed from
 * `o`. */
int message_string(const json_t *o, const char *key, const char **ret, struct err *err);

/* A truth value that may be absent (then *ret_there is false and *ret is left); -1 where it is something
 * else. */
int message_bool(const json_t *o, const char *key, bool *ret_there, bool *ret, struct err *err);

/* A name in `ret`, canonical: a host name (base/hostname.h) in lower case, without the final dot, and no
 * address. `key` is said where it is none. */
int message_name(const char *key, const char *text, char ret[HOST_MAX], struct err *err);

/* A one-use id in `ret` (mux/offer.h): base64url, 1 to OFFER_ID_TEXT - 1 characters. */
int message_id(const char *key, const char *text, char ret[OFFER_ID_TEXT], struct err *err);

#endif
