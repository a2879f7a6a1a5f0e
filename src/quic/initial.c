/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/initial.h"

#include <openssl/aead.h>
#include <openssl/aes.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>

#include "base/check.h"

#define LONG_HEADER 0x80 /* the bit behind it may be anything (RFC 9287) */
#define CID_MAX 20
#define SECRET_LEN 32
#define SAMPLE_LEN 16
#define TAG_LEN 16
#define NUMBER_MAX 4  /* bytes of a packet number */
#define HEAD_MAX 2048 /* of a header with its token, which is a few dozen bytes */

/* Packets -------------------------------------------------------------------------------------------- */

/* RFC 9000, 17.2; version 2 counts them from elsewhere (RFC 9369, 3.2). */
static enum quic_packet_type type_of(uint8_t first, uint32_t version)
{
    unsigned bits = first >> 4 & 3;
    return (enum quic_packet_type)(version == QUIC_VERSION_2 ? (bits + 3) % 4 : bits);
}

/* The part of the header that all types share. */
static bool read_head(struct cursor *at, struct quic_packet *p)
{
    uint8_t first;
    uint64_t version;
    if (!cursor_u8(at, &first) || (first & LONG_HEADER) == 0 || !cursor_uint(at, 4, &version))
        return false;
    p->version = (uint32_t)version;
    if (p->version != QUIC_VERSION_1 && p->version != QUIC_VERSION_2)
        return false;
    p->type = type_of(first, p->version);
    return cursor_vector(at, 1, &p->dcid) && cursor_left(&p->dcid) <= CID_MAX &&
           cursor_vector(at, 1, &p->scid) && cursor_left(&p->scid) <= CID_MAX;
}

bool quic_packet_next(struct cursor *datagram, struct quic_packet *ret)
{
    struct cursor at = *datagram;
    uint64_t len;
    if (!read_head(&at, ret))
        return false;
    if (ret->type == QUIC_INITIAL &&
        (!cursor_varint(&at, &len) || len > SIZE_MAX || !cursor_skip(&at, (size_t)len)))
        return false;
    if (ret->type == QUIC_RETRY)
        len = cursor_left(&at);
    else if (!cursor_varint(&at, &len) || len > cursor_left(&at))
        return false;
    ret->head = cursor_of(datagram->p, (size_t)(at.p - datagram->p));
    ret->body = cursor_of(at.p, (size_t)len);
    *datagram = cursor_of(at.p + len, cursor_left(&at) - (size_t)len);
    return true;
}

/* Keys ----------------------------------------------------------------------------------------------- */

/* HKDF-Expand-Label with an empty context (RFC 8446, 7.1). */
static void expand(const uint8_t secret[SECRET_LEN], const char *label, uint8_t *out, size_t len)
{
    uint8_t info[64];
    struct writer w = writer_of(info, sizeof(info));
    static const char prefix[] = "tls13 ";
    writer_uint(&w, 2, len);
    writer_uint(&w, 1, strlen(prefix) + strlen(label));
    writer_bytes(&w, prefix, strlen(prefix));
    writer_bytes(&w, label, strlen(label));
    writer_uint(&w, 1, 0);
    CHECK(!w.full &&
          HKDF_expand(out, len, EVP_sha256(), secret, SECRET_LEN, info, (size_t)(w.p - info)) == 1);
}

void initial_keys_derive(uint32_t version, struct cursor dcid, bool from_client, struct initial_keys *ret)
{
    static const uint8_t salt1[] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                    0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
    static const uint8_t salt2[] = {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                                    0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9};
    bool second = version == QUIC_VERSION_2;
    uint8_t initial[SECRET_LEN], secret[SECRET_LEN];
    size_t len;
    CHECK(HKDF_extract(initial, &len, EVP_sha256(), dcid.p, cursor_left(&dcid), second ? salt2 : salt1,
                       sizeof(salt1)) == 1);
    expand(initial, from_client ? "client in" : "server in", secret, sizeof(secret));
    expand(secret, second ? "quicv2 key" : "quic key", ret->key, sizeof(ret->key));
    expand(secret, second ? "quicv2 iv" : "quic iv", ret->iv, sizeof(ret->iv));
    expand(secret, second ? "quicv2 hp" : "quic hp", ret->head, sizeof(ret->head));
    ret->newest = 0;
}

/* Opening -------------------------------------------------------------------------------------------- */

/* The packet number of which the low `bits` were sent (RFC 9000, A.3). */
static uint64_t whole_number(uint64_t cut, unsigned bits, uint64_t expected)
{
    uint64_t window = UINT64_C(1) << bits, half = window / 2;
    uint64_t number = (expected & ~(window - 1)) | cut;
    if (number + half <= expected)
        return number + window;
    return number > expected + half && number >= window ? number - window : number;
}

/* Take the protection off the header: a copy of it with the number is written to `head`, *ret_number is
 * whole. Returns how many bytes the number takes. */
static size_t bare_head(const struct initial_keys *keys, const struct quic_packet *p, uint8_t *head,
                        uint64_t *ret_number)
{
    AES_KEY aes;
    uint8_t mask[SAMPLE_LEN];
    size_t head_len = cursor_left(&p->head);
    uint64_t cut = 0;
    CHECK(AES_set_encrypt_key(keys->head, 8 * sizeof(keys->head), &aes) == 0);
    AES_encrypt(p->body.p + NUMBER_MAX, mask, &aes);
    memcpy(head, p->head.p, head_len);
    head[0] ^= mask[0] & 0x0f;
    size_t n = (head[0] & 3u) + 1;
    for (size_t i = 0; i < n; i++) {
        head[head_len + i] = p->body.p[i] ^ mask[1 + i];
        cut = cut << 8 | head[head_len + i];
    }
    *ret_number = whole_number(cut, (unsigned)(8 * n), keys->newest);
    return n;
}

static bool open_sealed(const struct initial_keys *keys, uint64_t number, const struct cursor *head,
                        const struct cursor *sealed, uint8_t *plain, struct cursor *ret)
{
    EVP_AEAD_CTX ctx;
    uint8_t nonce[sizeof(keys->iv)];
    size_t len = 0;
    memcpy(nonce, keys->iv, sizeof(nonce));
    for (size_t i = 0; i < 8; i++)
        nonce[sizeof(nonce) - 1 - i] ^= (uint8_t)(number >> (8 * i));
    CHECK(EVP_AEAD_CTX_init(&ctx, EVP_aead_aes_128_gcm(), keys->key, sizeof(keys->key), TAG_LEN, NULL) == 1);
    bool ok = EVP_AEAD_CTX_open(&ctx, plain, &len, INITIAL_PLAIN_MAX, nonce, sizeof(nonce), sealed->p,
                                cursor_left(sealed), head->p, cursor_left(head)) == 1;
    EVP_AEAD_CTX_cleanup(&ctx);
    *ret = cursor_of(plain, len);
    return ok;
}

bool initial_open(struct initial_keys *keys, const struct quic_packet *packet, uint8_t *plain,
                  struct cursor *ret_frames)
{
    static const size_t least = NUMBER_MAX + SAMPLE_LEN;
    uint8_t head[HEAD_MAX];
    struct cursor sealed = packet->body;
    uint64_t number;
    if (packet->type != QUIC_INITIAL || cursor_left(&sealed) < least ||
        cursor_left(&sealed) > INITIAL_PLAIN_MAX || cursor_left(&packet->head) + NUMBER_MAX > sizeof(head))
        return false;
    size_t n = bare_head(keys, packet, head, &number);
    struct cursor bare = cursor_of(head, cursor_left(&packet->head) + n);
    sealed.p += n;
    if (!open_sealed(keys, number, &bare, &sealed, plain, ret_frames))
        return false;
    keys->newest = MAX(keys->newest, number + 1);
    return true;
}

/* Frames --------------------------------------------------------------------------------------------- */

enum frame_type {
    FRAME_PADDING = 0,
    FRAME_PING = 1,
    FRAME_ACK = 2,
    FRAME_ACK_ECN = 3,
    FRAME_CRYPTO = 6,
    FRAME_CLOSE = 0x1c,
};

static bool skip_varints(struct cursor *c, uint64_t count)
{
    uint64_t ignored;
    for (; count > 0; count--)
        if (!cursor_varint(c, &ignored))
            return false;
    return true;
}

/* RFC 9000, 19.3: the largest and the delay, how many ranges follow the first, two numbers for each; three
 * counts. */
static bool skip_ack(struct cursor *c, bool ecn)
{
    uint64_t ranges;
    return skip_varints(c, 2) && cursor_varint(c, &ranges) && skip_varints(c, 1 + 2 * ranges) &&
           (!ecn || skip_varints(c, 3));
}

static bool read_crypto(struct cursor *c, struct initial_content *ret)
{
    uint64_t len;
    const uint8_t *data;
    if (!cursor_varint(c, &ret->offset) || !cursor_varint(c, &len) || !cursor_bytes(c, (size_t)len, &data))
        return false;
    ret->data = cursor_of(data, (size_t)len);
    return true;
}

enum initial_frame initial_next_frame(struct cursor *frames, struct initial_content *ret)
{
    uint64_t type;
    while (cursor_varint(frames, &type)) {
        if (type == FRAME_CRYPTO)
            return read_crypto(frames, ret) ? INITIAL_CRYPTO : INITIAL_END;
        if (type == FRAME_CLOSE)
            return cursor_varint(frames, &ret->code) ? INITIAL_CLOSE : INITIAL_END;
        bool ack = type == FRAME_ACK || type == FRAME_ACK_ECN;
        if (ack ? !skip_ack(frames, type == FRAME_ACK_ECN) : type != FRAME_PADDING && type != FRAME_PING)
            return INITIAL_END;
    }
    return INITIAL_END;
}
