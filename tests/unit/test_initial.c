/* SPDX-License-Identifier: Apache-2.0 */
/* quic/initial.h and capture/quic_talk.h: the examples of RFC 9001 and 9369, packets that are sealed here,
 * and datagrams that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/aead.h>
#include <openssl/aes.h>
#include <cmocka.h>

#include "capture/quic_talk.h"
#include "hello/hello.h"
#include "hello_maker.h"

#define DCID "8394c8f03e515708"
#define LIMIT 65536u

static uint8_t plain[INITIAL_PLAIN_MAX];

static void assert_hex(const uint8_t *bytes, const char *hex)
{
    struct buf b = {0};
    put_hex(&b, hex);
    assert_memory_equal(bytes, b.data, b.len);
    buf_free(&b);
}

static struct initial_keys keys_of(uint32_t version, const char *dcid, bool from_client)
{
    struct initial_keys keys;
    struct buf b = {0};
    put_hex(&b, dcid);
    initial_keys_derive(version, cursor_of(b.data, b.len), from_client, &keys);
    buf_free(&b);
    return keys;
}

/* RFC 9001, A.1; RFC 9369, A.1. */
static void test_keys(void **state)
{
    (void)state;
    static const struct {
        uint32_t version;
        bool from_client;
        const char *key, *iv, *head;
    } rows[] = {
        {QUIC_VERSION_1, true, "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c",
         "9f50449e04a0e810283a1e9933adedd2"},
        {QUIC_VERSION_1, false, "cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e",
         "c206b8d9b9f0f37644430b490eeaa314"},
        {QUIC_VERSION_2, true, "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f",
         "45b95e15235d6f45a6b19cbcb0294ba9"},
        {QUIC_VERSION_2, false, "82db637861d55e1d011f19ea71d5d2a7", "dd13c276499c0249d3310652",
         "edf6d05c83121201b436e16877593c3a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct initial_keys keys = keys_of(rows[i].version, DCID, rows[i].from_client);
        assert_hex(keys.key, rows[i].key);
        assert_hex(keys.iv, rows[i].iv);
        assert_hex(keys.head, rows[i].head);
    }
}

/* RFC 9001, A.3: a server's packet with an ACK and a ServerHello. */
static void test_example(void **state)
{
    (void)state;
    struct buf b = {0};
    struct quic_packet p;
    struct initial_content c;
    struct cursor frames;
    put_hex(
        &b,
        "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5"
        "a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4"
        "cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee");
    struct cursor datagram = cursor_of(b.data, b.len);
    struct initial_keys keys = keys_of(QUIC_VERSION_1, DCID, false);
    assert_true(quic_packet_next(&datagram, &p));
    assert_int_equal(p.type, QUIC_INITIAL);
    assert_int_equal(cursor_left(&p.dcid), 0);
    assert_hex(p.scid.p, "f067a5502a4262b5");
    assert_true(initial_open(&keys, &p, plain, &frames));
    assert_int_equal(keys.newest, 2);
    assert_int_equal(initial_next_frame(&frames, &c), INITIAL_CRYPTO);
    assert_int_equal(c.offset, 0);
    assert_int_equal(cursor_left(&c.data), 90);
    assert_int_equal(c.data.p[0], 2);
    assert_int_equal(initial_next_frame(&frames, &c), INITIAL_END);
    /* Not with the client's keys, nor where a bit is another. */
    struct initial_keys other = keys_of(QUIC_VERSION_1, DCID, true);
    assert_false(initial_open(&other, &p, plain, &frames));
    b.data[60] ^= 1;
    assert_false(initial_open(&keys, &p, plain, &frames));
    buf_free(&b);
}

/* Sealing -------------------------------------------------------------------------------------------- */

/* Append an Initial packet with these frames, in hexadecimal and then as bytes. */
static void seal(struct buf *out, uint32_t version, const char *dcid, const char *key_dcid, bool from_client,
                 uint32_t number, const struct buf *frames)
{
    struct initial_keys keys = keys_of(version, key_dcid, from_client);
    struct buf id = {0};
    put_hex(&id, dcid);
    size_t start = out->len, sealed_len = frames->len + 16;
    unsigned fixed = from_client ? 0x40 : 0;                             /* servers may clear it (RFC 9287) */
    put_uint(out, 1, (version == QUIC_VERSION_2 ? 0x91 : 0x81) | fixed); /* a number of two bytes */
    put_uint(out, 4, version);
    put_uint(out, 1, id.len);
    put(out, id.data, id.len);
    put_hex(out, "04 01020304 00");
    put_uint(out, 2, 0x4000 | (2 + sealed_len));
    size_t at = out->len;
    put_uint(out, 2, number & 0xffff);
    uint8_t nonce[12], mask[16];
    memcpy(nonce, keys.iv, 12);
    for (int i = 0; i < 4; i++)
        nonce[11 - i] ^= (uint8_t)(number >> (8 * i));
    struct buf sealed = {0};
    assert_true(buf_reserve(&sealed, sealed_len));
    EVP_AEAD_CTX ctx;
    size_t len;
    assert_true(EVP_AEAD_CTX_init(&ctx, EVP_aead_aes_128_gcm(), keys.key, 16, 16, NULL));
    assert_true(EVP_AEAD_CTX_seal(&ctx, sealed.data, &len, sealed_len, nonce, 12, frames->data, frames->len,
                                  out->data + start, out->len - start));
    EVP_AEAD_CTX_cleanup(&ctx);
    put(out, sealed.data, len);
    AES_KEY aes;
    AES_set_encrypt_key(keys.head, 128, &aes);
    AES_encrypt(out->data + at + 4, mask, &aes);
    out->data[start] ^= mask[0] & 0x0f;
    out->data[at] ^= mask[1];
    out->data[at + 1] ^= mask[2];
    buf_free(&sealed);
    buf_free(&id);
}

static void put_crypto(struct buf *frames, size_t offset, const uint8_t *data, size_t len)
{
    put_uint(frames, 1, 6);
    put_uint(frames, 2, 0x4000 | offset);
    put_uint(frames, 2, 0x4000 | len);
    put(frames, data, len);
}

/* A datagram with one packet that has some bytes of a message. */
static struct buf piece(uint32_t version, const char *dcid, const char *key_dcid, bool from_client,
                        uint32_t number, size_t offset, const uint8_t *data, size_t len)
{
    struct buf frames = {0}, out = {0};
    put_hex(&frames, "01 00 00"); /* PING, PADDING */
    put_crypto(&frames, offset, data, len);
    put_hex(&frames, "00000000");
    seal(&out, version, dcid, key_dcid, from_client, number, &frames);
    buf_free(&frames);
    return out;
}

static struct buf hello_message(void)
{
    struct buf wire = load_sample("aws-lc-5.1-pq"), message = {0};
    put(&message, wire.data + 5, wire.len - 5);
    buf_free(&wire);
    return message;
}

/* The datagram is the connection's; takes it. */
static enum quic_talk_result take(struct quic_talk *t, struct buf datagram, bool from_client)
{
    enum quic_talk_result r =
        quic_talk_take(t, cursor_of(datagram.data, datagram.len), from_client, plain, LIMIT);
    buf_free(&datagram);
    return r;
}

static bool begin(struct quic_talk *t, struct buf datagram, size_t *total)
{
    bool ok = quic_talk_start(t, cursor_of(datagram.data, datagram.len), plain, total);
    if (ok)
        assert_int_equal(take(t, datagram, true), QUIC_TALK_TAKEN);
    else
        buf_free(&datagram);
    return ok;
}

static void assert_hello(const struct quic_talk *t, const struct buf *message)
{
    assert_true(t->complete);
    assert_int_equal(t->message.len, message->len);
    assert_memory_equal(t->message.data, message->data, message->len);
}

/* In both versions, in two datagrams, the second part first; the number of the first packet is a high one,
 * and the client uses the server's id later. */
static void test_disorder(void **state)
{
    (void)state;
    static const uint32_t versions[] = {QUIC_VERSION_1, QUIC_VERSION_2};
    struct buf m = hello_message();
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct quic_talk t;
        size_t total = 0;
        uint32_t v = versions[i];
        assert_true(begin(&t, piece(v, DCID, DCID, true, 0xfffe, 500, m.data + 500, m.len - 500), &total));
        assert_int_equal(take(&t, piece(v, DCID, DCID, true, 0xffff, 100, m.data + 100, 300), true),
                         QUIC_TALK_TAKEN);
        assert_false(t.complete);
        assert_int_equal(take(&t, piece(v, "01020304", DCID, true, 0x10000, 0, m.data, 200), true),
                         QUIC_TALK_TAKEN);
        assert_int_equal(quic_talk_wanted(&t), m.len);
        assert_int_equal(take(&t, piece(v, "01020304", DCID, true, 0x10001, 300, m.data + 300, 300), true),
                         QUIC_TALK_TAKEN);
        assert_hello(&t, &m);
        quic_talk_free(&t);
        assert_int_equal(total, 0);
    }
    buf_free(&m);
}

/* Several packets in one datagram, others of other types between them. */
static void test_coalesced(void **state)
{
    (void)state;
    struct quic_talk t;
    size_t total = 0;
    struct buf m = hello_message(), datagram = piece(QUIC_VERSION_1, DCID, DCID, true, 0, 0, m.data, 400);
    struct buf second = piece(QUIC_VERSION_1, DCID, DCID, true, 1, 400, m.data + 400, m.len - 400);
    put_hex(&datagram, "d0 00000001 08 " DCID " 00 05 0102030405"); /* 0-RTT */
    put(&datagram, second.data, second.len);
    put_hex(&datagram, "e0 00000001 08 " DCID " 00 05 0102030405"); /* Handshake */
    buf_free(&second);
    assert_true(begin(&t, datagram, &total));
    assert_hello(&t, &m);
    quic_talk_free(&t);
    buf_free(&m);
}

#define SERVER_HELLO_HEX "02 000056 0303 R 00 1301 00 002e 0033 0024 001d 0020 R 002b 0002 0304 "

static void test_answers(void **state)
{
    (void)state;
    struct quic_talk t;
    size_t total = 0;
    struct buf m = hello_message(), hello = {0}, close = {0}, out = {0};
    put_hex(&hello, SERVER_HELLO_HEX);
    assert_true(begin(&t, piece(QUIC_VERSION_1, DCID, DCID, true, 0, 0, m.data, m.len), &total));
    assert_int_equal(
        take(&t, piece(QUIC_VERSION_1, "aa", DCID, false, 0, 50, hello.data + 50, hello.len - 50), false),
        QUIC_TALK_TAKEN);
    assert_int_equal(take(&t, piece(QUIC_VERSION_1, "aa", DCID, false, 1, 0, hello.data, 60), false),
                     QUIC_TALK_TAKEN);
    assert_int_equal(t.answer.reply.kind, REPLY_HELLO);
    assert_int_equal(t.answer.reply.group, 0x001d);
    quic_talk_free(&t);
    /* The server goes on in version 2 (RFC 9368), and refuses by an alert. */
    assert_true(begin(&t, piece(QUIC_VERSION_1, DCID, DCID, true, 0, 0, m.data, m.len), &total));
    put_hex(&close, "02 00 00 00 00 1c 4178 06 00 000000000000");
    seal(&out, QUIC_VERSION_2, "aa", DCID, false, 0, &close);
    assert_int_equal(take(&t, out, false), QUIC_TALK_TAKEN);
    assert_int_equal(t.answer.reply.kind, REPLY_ALERT);
    assert_int_equal(t.answer.reply.alert, 0x78);
    quic_talk_free(&t);
    buf_free(&close);
    buf_free(&hello);
    buf_free(&m);
}

/* Behind a Retry the client says the same again under other keys; without one it is another client's. */
static void test_retry(void **state)
{
    (void)state;
    struct buf m = hello_message();
    for (int retried = 0; retried < 2; retried++) {
        struct quic_talk t;
        size_t total = 0;
        struct buf retry = {0};
        assert_true(begin(&t, piece(QUIC_VERSION_1, DCID, DCID, true, 0, 0, m.data, m.len), &total));
        put_hex(&retry, "f0 00000001 04 01020304 04 0a0b0c0d 746f6b656e 00000000000000000000000000000000");
        if (retried)
            take(&t, retry, false);
        else
            buf_free(&retry);
        assert_int_equal(
            take(&t, piece(QUIC_VERSION_1, "0a0b0c0d", "0a0b0c0d", true, 1, 0, m.data, m.len), true),
            retried ? QUIC_TALK_TAKEN : QUIC_TALK_ANEW);
        assert_hello(&t, &m);
        assert_int_equal(t.retried, retried);
        /* Another one, whatever was sent in the server's name. */
        struct buf again = {0};
        put_hex(&again, "f0 00000001 04 01020304 04 0b0b0c0d 746f6b656e 00000000000000000000000000000000");
        take(&t, again, false);
        assert_int_equal(
            take(&t, piece(QUIC_VERSION_1, "0b0b0c0d", "0b0b0c0d", true, 0, 0, m.data, m.len), true),
            retried ? QUIC_TALK_ANEW : QUIC_TALK_TAKEN);
        quic_talk_free(&t);
    }
    buf_free(&m);
}

/* What is no packet, or no first packet of a client. */
static void test_hostile_datagrams(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "40 0102030405060708 00000000000000000000000000000000000000",
        "80 00000001 08 " DCID " 00 00 05 0102030405",
        "c0 00000001",
        "c0 00000000 08 " DCID " 00 00000001",
        "c0 ff00001d 08 " DCID " 00 00 05 0102030405",
        /* An id of 21 bytes, a token beyond the end, a length beyond the end, too short to be sealed. */
        "c0 00000001 15 000102030405060708090a0b0c0d0e0f1011121314 00 00 05 0102030405",
        "c0 00000001 08 " DCID " 00 7fff 05 0102030405",
        "c0 00000001 08 " DCID " 00 ffffffffffffffff 05 0102030405",
        "c0 00000001 08 " DCID " 00 00 ffffffffffffffff 0102030405",
        "c0 00000001 08 " DCID " 00 00 05 0102030405",
        "c0 00000001 08 " DCID " 00 00 14 0000000000000000000000000000000000000000",
        "c0 00000001 00 00 00 20 0000000000000000000000000000000000000000000000000000000000000000",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct quic_talk t;
        size_t total = 0;
        struct buf b = {0};
        assert_true(buf_reserve(&b, 1)); /* an empty one has an address too */
        put_hex(&b, rows[i]);
        if (quic_talk_start(&t, cursor_of(b.data, b.len), plain, &total))
            fail_msg("row %zu was taken", i);
        buf_free(&b);
    }
}

/* Frames that are well sealed, but lie. */
static void test_hostile_frames(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum initial_frame kind;
    } rows[] = {
        {"", INITIAL_END},
        {"00000000", INITIAL_END},
        {"06", INITIAL_END},
        {"06 00 05 01020304", INITIAL_END},
        {"06 00 ffffffffffffffff 01", INITIAL_END},
        {"06 ffffffffffffffff 01 01", INITIAL_CRYPTO},
        {"02 00 00 ffffffffffffffff 00", INITIAL_END},
        {"02 00 00 01 00 00", INITIAL_END},
        {"03 00 00 00 00 01 02", INITIAL_END},
        {"03 00 00 00 00 01 02 03 06 00 01 01", INITIAL_CRYPTO},
        {"1c", INITIAL_END},
        {"1c 4128", INITIAL_CLOSE},
        /* A frame that may not stand here: STREAM. */
        {"08 00 01 01", INITIAL_END},
    };
    struct buf m = hello_message();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = {0}, out = {0};
        struct initial_content c;
        struct quic_talk t;
        size_t total = 0;
        assert_true(buf_reserve(&b, 1));
        put_hex(&b, rows[i].hex);
        struct cursor frames = cursor_of(b.data, b.len);
        if (initial_next_frame(&frames, &c) != rows[i].kind)
            fail_msg("row %zu", i);
        put_hex(&b, "0000000000"); /* long enough to be sealed */
        seal(&out, QUIC_VERSION_1, DCID, DCID, true, 0, &b);
        assert_true(begin(&t, out, &total));
        assert_false(t.complete);
        quic_talk_free(&t);
        assert_int_equal(total, 0);
        buf_free(&b);
    }
    buf_free(&m);
}

/* No ClientHello, one that is longer than anybody reads, and bytes far ahead of what was said. */
static void test_hostile_messages(void **state)
{
    (void)state;
    static const uint8_t other[64] = {2, 0, 0, 60}, huge[64] = {1, 0xff, 0xff, 0xff};
    struct quic_talk t;
    size_t total = 0;
    assert_true(begin(&t, piece(QUIC_VERSION_1, DCID, DCID, true, 0, 0, other, sizeof(other)), &total));
    assert_true(t.odd && !t.complete);
    quic_talk_free(&t);
    assert_true(begin(&t, piece(QUIC_VERSION_1, DCID, DCID, true, 0, 0, huge, sizeof(huge)), &total));
    assert_true(t.odd && !t.complete);
    quic_talk_free(&t);
    assert_true(begin(&t, piece(QUIC_VERSION_1, DCID, DCID, true, 0, 1, other, sizeof(other)), &total));
    for (uint32_t i = 1; i < 3000; i++)
        take(&t, piece(QUIC_VERSION_1, DCID, DCID, true, i, 2 * i + 80, other, 1), true);
    assert_true(total <= LIMIT);
    quic_talk_free(&t);
    assert_int_equal(total, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_disorder),
        cmocka_unit_test(test_coalesced),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_hostile_datagrams),
        cmocka_unit_test(test_hostile_frames),
        cmocka_unit_test(test_hostile_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
