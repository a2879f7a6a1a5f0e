/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/write.h"

#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/hostname.h"

#define MESSAGE_MAX 20000 /* bytes without padding beyond RECORD_MAX: everything is far shorter */
#define RECORD_MAX 16384  /* bytes of a record's content (RFC 8446, 5.1) */

/* IANA, TLS ExtensionType Values */
enum {
    SERVER_NAME = 0,
    STATUS_REQUEST = 5,
    SUPPORTED_GROUPS = 10,
    EC_POINT_FORMATS = 11,
    SIGNATURE_ALGORITHMS = 13,
    SIGNED_CERTIFICATE_TIMESTAMP = 18,
    PADDING = 21,
    EXTENDED_MASTER_SECRET = 23,
    SESSION_TICKET = 35,
    SUPPORTED_VERSIONS = 43,
    KEY_SHARE = 51,
    ENCRYPTED_CLIENT_HELLO = 0xfe0d,
    RENEGOTIATION_INFO = 0xff01,
};

#define GREASE 0x3a3a       /* one value of RFC 8701, 2 ... */
#define GREASE_AGAIN 0x6a6a /* ... and another, for the second extension */
#define X25519 0x001d

/* What the random bytes are for. */
#define RANDOM 32
#define SESSION_ID 32
#define SHARE 32
#define ECH_KEY 32
#define ECH_PAYLOAD 128

/* A vector whose length is written when it is closed. */
static uint8_t *open_vector(struct writer *w, size_t prefix)
{
    uint8_t *at = w->p;
    writer_uint(w, prefix, 0);
    return at;
}

static void close_vector(struct writer *w, size_t prefix, uint8_t *at)
{
    if (w->full)
        return;
    size_t len = (size_t)(w->p - at) - prefix;
    struct writer head = writer_of(at, prefix);
    CHECK(len >> (8 * prefix) == 0);
    writer_uint(&head, prefix, len);
}

static void put_codes(struct writer *w, size_t prefix, struct hello_codes codes, bool grease)
{
    uint8_t *list = open_vector(w, prefix);
    if (grease)
        writer_uint(w, 2, GREASE);
    for (size_t i = 0; i < codes.len; i++)
        writer_uint(w, 2, codes.p[i]);
    close_vector(w, prefix, list);
}

static uint8_t *open_extension(struct writer *w, uint16_t type)
{
    writer_uint(w, 2, type);
    return open_vector(w, 2);
}

static void put_extension(struct writer *w, uint16_t type, const void *body, size_t len)
{
    uint8_t *extension = open_extension(w, type);
    writer_bytes(w, body, len);
    close_vector(w, 2, extension);
}

static void put_list(struct writer *w, uint16_t type, size_t prefix, struct hello_codes codes, bool grease)
{
    if (codes.len == 0)
        return;
    uint8_t *extension = open_extension(w, type);
    put_codes(w, prefix, codes, grease);
    close_vector(w, 2, extension);
}

static void put_name(struct writer *w, const char *name)
{
    uint8_t ignored[16];
    if (name == NULL || hostname_address(name, ignored) > 0) /* RFC 6066, 3: addresses are not sent */
        return;
    uint8_t *extension = open_extension(w, SERVER_NAME), *list = open_vector(w, 2);
    writer_uint(w, 1, 0);
    uint8_t *host = open_vector(w, 2);
    writer_bytes(w, name, strlen(name));
    close_vector(w, 2, host);
    close_vector(w, 2, list);
    close_vector(w, 2, extension);
}

static void put_share(struct writer *w, const struct hello_offer *o, const uint8_t *key)
{
    uint8_t *extension = open_extension(w, KEY_SHARE), *list = open_vector(w, 2);
    if (o->grease) {
        writer_uint(w, 2, GREASE);
        writer_uint(w, 2, 1);
        writer_uint(w, 1, 0);
    }
    if (o->share) {
        writer_uint(w, 2, X25519);
        writer_uint(w, 2, SHARE);
        writer_bytes(w, key, SHARE);
    }
    close_vector(w, 2, list);
    close_vector(w, 2, extension);
}

/* As of a ClientHelloOuter: HKDF-SHA256 and AES-128-GCM, a configuration that nobody has, key and payload
 * that are none. */
static void put_ech(struct writer *w, const uint8_t *random)
{
    static const uint8_t head[] = {0, 0, 1, 0, 1};
    uint8_t *extension = open_extension(w, ENCRYPTED_CLIENT_HELLO);
    writer_bytes(w, head, sizeof(head));
    writer_bytes(w, random + ECH_KEY, 1); /* config_id */
    writer_uint(w, 2, ECH_KEY);
    writer_bytes(w, random, ECH_KEY);
    writer_uint(w, 2, ECH_PAYLOAD);
    writer_bytes(w, random, ECH_PAYLOAD);
    close_vector(w, 2, extension);
}

/* Those of TLS 1.2 and before; to a server that speaks 1.3 they say nothing. */
static void put_older(struct writer *w)
{
    static const uint8_t formats[] = {1, 0}, ocsp[] = {1, 0, 0, 0, 0}, first[] = {0};
    put_extension(w, STATUS_REQUEST, ocsp, sizeof(ocsp));
    put_extension(w, EC_POINT_FORMATS, formats, sizeof(formats));
    put_extension(w, SIGNED_CERTIFICATE_TIMESTAMP, NULL, 0);
    put_extension(w, EXTENDED_MASTER_SECRET, NULL, 0);
    put_extension(w, SESSION_TICKET, NULL, 0);
    put_extension(w, RENEGOTIATION_INFO, first, sizeof(first));
}

static void put_padding(struct writer *w, const uint8_t *begin, size_t at_least)
{
    size_t len = (size_t)(w->p - begin) + 4;
    if (w->full || len >= at_least)
        return;
    uint8_t *extension = open_extension(w, PADDING);
    for (; len < at_least; len++)
        writer_uint(w, 1, 0);
    close_vector(w, 2, extension);
}

static void put_extensions(struct writer *w, const struct hello_offer *o, const uint8_t *begin)
{
    const uint8_t *key = o->random + RANDOM + SESSION_ID;
    uint8_t *list = open_vector(w, 2);
    if (o->grease)
        put_extension(w, GREASE, NULL, 0);
    put_name(w, o->name);
    put_older(w);
    put_list(w, SUPPORTED_GROUPS, 2, o->groups, o->grease);
    put_list(w, SIGNATURE_ALGORITHMS, 2, o->schemes, o->grease);
    put_list(w, SUPPORTED_VERSIONS, 1, o->versions, o->grease);
    if (o->versions.len > 0)
        put_share(w, o, key);
    if (o->ech)
        put_ech(w, key + SHARE);
    if (o->grease)
        put_extension(w, GREASE_AGAIN, "", 1);
    put_padding(w, begin, o->at_least);
    close_vector(w, 2, list);
}

bool hello_write(const struct hello_offer *offer, struct buf *out)
{
    _Static_assert(RANDOM + SESSION_ID + SHARE + ECH_PAYLOAD <= HELLO_RANDOM_MAX, "random bytes");
    if (!buf_reserve(out, MESSAGE_MAX))
        return false;
    uint8_t *begin = out->data + out->len;
    struct writer w = writer_of(begin, MESSAGE_MAX);
    writer_uint(&w, 1, 1); /* client_hello */
    uint8_t *message = open_vector(&w, 3);
    writer_uint(&w, 2, offer->legacy_version);
    writer_bytes(&w, offer->random, RANDOM);
    writer_uint(&w, 1, SESSION_ID); /* as in middlebox compatibility mode (RFC 8446, D.4) */
    writer_bytes(&w, offer->random + RANDOM, SESSION_ID);
    put_codes(&w, 2, offer->suites, offer->grease);
    writer_uint(&w, 1, offer->compression ? 2 : 1);
    if (offer->compression)
        writer_uint(&w, 1, 1);
    writer_uint(&w, 1, 0);
    if (offer->legacy_version > 0x0300)
        put_extensions(&w, offer, begin);
    close_vector(&w, 3, message);
    if (w.full)
        return false;
    out->len += (size_t)(w.p - begin);
    return true;
}

bool hello_put_records(const uint8_t *message, size_t len, uint16_t legacy_version, size_t first,
                       struct buf *out)
{
    uint16_t version = legacy_version < 0x0301 ? legacy_version : 0x0301;
    size_t most = first == 0 ? RECORD_MAX : MIN(first, (size_t)RECORD_MAX);
    for (size_t done = 0; done < len; most = RECORD_MAX) {
        size_t n = MIN(len - done, most);
        uint8_t head[5];
        struct writer w = writer_of(head, sizeof(head));
        writer_uint(&w, 1, 22); /* handshake */
        writer_uint(&w, 2, version);
        writer_uint(&w, 2, n);
        if (!buf_append(out, head, sizeof(head)) || !buf_append(out, message + done, n))
            return false;
        done += n;
    }
    return true;
}
