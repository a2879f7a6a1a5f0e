/* SPDX-License-Identifier: Apache-2.0 */
/* ech/stream.h: a conversation behind a hello that was opened, a step each: who speaks, and how much. Whole
 * or cut into any pieces, the same goes on, and the end is the same; what is held stays within its bound. Two
 * steps say what no chance would: a HelloRetryRequest, and the hello that is right after it. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/hpke.h>

#include "base/check.h"
#include "ech/keys.h"
#include "ech/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define HELLO_MAX 600
#define TAG 16

#define FIXED \
    "\3\3"    \
    "01234567890123456789012345678901"
#define REST "\0\2\x13\1\1\0"

static const uint8_t retry[] =
    "\x16\3\3\0\x26\2\0\0\x46\3\3\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11"
    "\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c";

/* What a client encrypts: the mark of an inner hello, and TLS 1.3. */
static const uint8_t inner[] = FIXED "\0" REST "\0\x0c\xfe\x0d\0\1\1\0\x2b\0\3\2\3\4";

static struct ech_keys *keys;
static struct buf first, second; /* the client's hellos */

static void put_uint(struct buf *b, size_t n, size_t value)
{
    for (size_t i = n; i-- > 0;)
        CHECK(buf_append(b, &(uint8_t){(uint8_t)(value >> 8 * i)}, 1));
}

/* A ClientHelloOuter around the inner hello. */
static void seal(EVP_HPKE_CTX *client, const uint8_t *enc, size_t enc_len, struct buf *ret)
{
    uint8_t payload[sizeof(inner) - 1 + TAG] = {0};
    size_t n = sizeof(payload), body = 10 + enc_len + n;
    put_uint(ret, 4, (size_t)1 << 24 | (2 + 32 + 1 + 6 + 2 + 4 + body + 7));
    CHECK(buf_append(ret, FIXED "\0" REST, 2 + 32 + 1 + 6));
    put_uint(ret, 2, 4 + body + 7);
    CHECK(buf_append(ret, "\0\x2b\0\3\2\3\4\xfe\x0d", 9));
    put_uint(ret, 2, body);
    CHECK(buf_append(ret, "\0\0\1\0\1\7", 6)); /* outer, HKDF-SHA256, AES-128-GCM, the key's id */
    put_uint(ret, 2, enc_len);
    CHECK(buf_append(ret, enc, enc_len));
    put_uint(ret, 2, n);
    CHECK(buf_append(ret, payload, n));
    CHECK(EVP_HPKE_CTX_seal(client, payload, &n, sizeof(payload), inner, sizeof(inner) - 1, ret->data + 4,
                            ret->len - 4));
    memcpy(ret->data + ret->len - n, payload, n);
}

static void make_hellos(void)
{
    struct err err;
    struct buf info = {0};
    struct ech_key *key = ech_key_make(7, "public.example", 0, &err);
    CHECK(key != NULL);
    const struct ech_config *config = ech_key_config(key);
    uint8_t enc[EVP_HPKE_MAX_ENC_LENGTH];
    size_t enc_len;
    EVP_HPKE_CTX *client = EVP_HPKE_CTX_new();
    CHECK(client != NULL && buf_append(&info, "tls ech", 8) &&
          buf_append(&info, config->whole.p, cursor_left(&config->whole)));
    CHECK(EVP_HPKE_CTX_setup_sender(client, enc, &enc_len, sizeof(enc), EVP_hpke_x25519_hkdf_sha256(),
                                    EVP_hpke_hkdf_sha256(), EVP_hpke_aes_128_gcm(), config->public_key.p,
                                    cursor_left(&config->public_key), info.data, info.len));
    seal(client, enc, enc_len, &first);
    seal(client, enc, 0, &second);
    EVP_HPKE_CTX_free(client);
    buf_free(&info);
    keys = ech_keys_new(&key, 1, 1);
    ech_key_unref(key);
}

static void begin(struct ech_stream *s)
{
    struct hello outer;
    struct ech_opened opened;
    CHECK(hello_parse(first.data, first.len, &outer) == HELLO_REASON_NONE);
    CHECK(ech_open(keys, &outer, &opened) == ECH_OPENED);
    ech_stream_begin(s, opened.opening, HELLO_MAX);
    buf_free(&opened.inner);
}

static void check(const struct ech_stream *s, struct buf *up)
{
    bool open = s->state == ECH_STREAM_ANSWER || s->state == ECH_STREAM_SECOND;
    CHECK(open == (s->opening != NULL) && (open || s->held.data == NULL));
    CHECK(s->held.len < HELLO_MAX && (s->held.len == 0 || s->state == ECH_STREAM_SECOND));
    CHECK((s->state == ECH_STREAM_BAD) == (s->why != NULL));
    CHECK(up->len < SIZE_MAX / 2);
}

static void say(struct ech_stream *s, bool down, struct cursor what, size_t piece, struct buf *up)
{
    while (cursor_left(&what) > 0) {
        size_t n = MIN(piece, cursor_left(&what));
        if (down)
            ech_stream_down(s, what.p, n);
        else
            ech_stream_up(s, what.p, n, up);
        what.p += n;
        check(s, up);
    }
}

/* The right second hello, in records of this many bytes. */
static void say_second(struct ech_stream *s, size_t record, size_t piece, struct buf *up)
{
    struct buf wire = {0};
    bool due = s->state == ECH_STREAM_SECOND && s->up_left == 0 && s->up_head_len == 0 && s->held.len == 0;
    for (size_t at = 0; at < second.len; at += record) {
        size_t n = MIN(record, second.len - at);
        CHECK(buf_append(&wire, "\x16\3\1", 3));
        put_uint(&wire, 2, n);
        CHECK(buf_append(&wire, second.data + at, n));
    }
    say(s, false, cursor_of(wire.data, wire.len), piece, up);
    CHECK(!due || s->state == (wire.len <= HELLO_MAX ? ECH_STREAM_OVER : ECH_STREAM_BAD));
    buf_free(&wire);
}

static void converse(const uint8_t *data, size_t len, size_t piece, struct ech_stream *s, struct buf *up)
{
    struct cursor c = cursor_of(data, len);
    uint8_t what, n;
    begin(s);
    while (cursor_u8(&c, &what) && cursor_u8(&c, &n)) {
        struct cursor bytes = {c.p, c.p + MIN((size_t)n, cursor_left(&c))};
        switch (what & 3) {
        case 0:
        case 1:
            c.p = bytes.end;
            say(s, what & 1, bytes, piece, up);
            break;
        case 2:
            say(s, true, cursor_of(retry, sizeof(retry) - 1), piece, up);
            break;
        case 3:
            say_second(s, 1 + (size_t)n, piece, up);
            break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ech_stream whole, cut;
    struct buf up = {0}, up_cut = {0};
    if (keys == NULL)
        make_hellos();
    if (len == 0)
        return 0;
    converse(data + 1, len - 1, SIZE_MAX, &whole, &up);
    converse(data + 1, len - 1, 1 + data[0] % 7, &cut, &up_cut);
    CHECK(whole.state == cut.state && whole.why == cut.why && whole.alert == cut.alert);
    CHECK(up.len == up_cut.len && (up.len == 0 || memcmp(up.data, up_cut.data, up.len) == 0));
    CHECK(whole.held.len == cut.held.len && whole.up_left == cut.up_left);
    ech_stream_free(&whole);
    ech_stream_free(&cut);
    buf_free(&up);
    buf_free(&up_cut);
    ERR_clear_error();
    return 0;
}
