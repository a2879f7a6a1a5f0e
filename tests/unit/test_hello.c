/* SPDX-License-Identifier: Apache-2.0 */
/* hello/scan.h and hello/hello.h: real hellos cut in every way, hostile ones each with its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "hello/hello.h"
#include "hello/scan.h"
#include "hello_maker.h"

static const struct {
    const char *file, *name, *protocol;
    uint16_t version;
    uint8_t session_id_len;
    bool ticket, pre_shared_key, early_data, pq;
    enum hello_ech ech;
} samples[] = {
    {"aws-lc-5.1-classical", "door.example.com", "cardea/1", 0x0304, 32, 0, 0, 0, 0, HELLO_ECH_NONE},
    {"aws-lc-5.1-grease", "door.example.com", "cardea/1", 0x0304, 32, 0, 0, 0, 1, HELLO_ECH_OUTER},
    {"aws-lc-5.1-pq", "door.example.com", "cardea/1", 0x0304, 32, 0, 0, 0, 1, HELLO_ECH_NONE},
    {"curl-7.88", "door.example.com", "h2", 0x0304, 32, 0, 0, 0, 0, HELLO_ECH_NONE},
    {"curl-7.88-http1.1", "door.example.com", "http/1.1", 0x0304, 32, 0, 0, 0, 0, HELLO_ECH_NONE},
    {"java", "java.example.com", NULL, 0x0304, 32, 0, 0, 0, 0, HELLO_ECH_NONE},
    {"node", "node.example.com", "h2", 0x0304, 32, 0, 0, 0, 0, HELLO_ECH_NONE},
    {"openssl-3.0", "www.example.com", "h2", 0x0304, 32, 0, 0, 0, 0, HELLO_ECH_NONE},
    {"openssl-3.0-early-data", "again.example.com", NULL, 0x0304, 32, 0, 1, 1, 0, HELLO_ECH_NONE},
    {"openssl-3.0-no-sni", "", NULL, 0x0304, 32, 0, 0, 0, 0, HELLO_ECH_NONE},
    {"openssl-3.0-resumed", "again.example.com", NULL, 0x0304, 32, 0, 1, 0, 0, HELLO_ECH_NONE},
    {"openssl-3.0-tls10", "old.example.com", NULL, 0x0301, 0, 0, 0, 0, 0, HELLO_ECH_NONE},
    {"openssl-3.0-tls12", "old.example.com", NULL, 0x0303, 0, 0, 0, 0, 0, HELLO_ECH_NONE},
    {"openssl-3.0-tls12-ticket", "again.example.com", NULL, 0x0303, 32, 1, 0, 0, 0, HELLO_ECH_NONE},
};

/* Scan and parse all at once, from exact heap copies so that a sanitizer sees a read past the end. */
static enum hello_result read_hello(const uint8_t *wire, size_t len, size_t max, struct hello *ret,
                                    enum hello_reason *ret_reason, struct buf *ret_message)
{
    struct hello_scan scan = hello_scan_start(max);
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, wire, len);
    enum hello_result r = hello_scan(&scan, copy, len);
    *ret_reason = scan.reason;
    assert_true((r == HELLO_BAD) == (scan.reason != HELLO_REASON_NONE));
    if (r == HELLO_DONE) {
        uint8_t *scratch = malloc(scan.message_len);
        assert_non_null(scratch);
        put(ret_message, hello_scan_message(&scan, copy, scratch), scan.message_len);
        free(scratch);
        *ret_reason = hello_parse(ret_message->data, ret_message->len, ret);
        r = *ret_reason == HELLO_REASON_NONE ? HELLO_DONE : HELLO_BAD;
    }
    free(copy);
    return r;
}

static void test_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct buf wire = load_sample(samples[i].file), message = {0};
        struct hello h;
        enum hello_reason reason;
        print_message("  %s\n", samples[i].file);
        assert_int_equal(read_hello(wire.data, wire.len, wire.len, &h, &reason, &message), HELLO_DONE);
        assert_string_equal(h.name, samples[i].name);
        assert_int_equal(h.name_len, strlen(samples[i].name));
        assert_int_equal(h.name_kind, h.name_len > 0 ? HELLO_NAME_DNS : HELLO_NAME_NONE);
        assert_int_equal(h.version, samples[i].version);
        assert_int_equal(cursor_left(&h.session_id), samples[i].session_id_len);
        assert_int_equal(h.ticket, samples[i].ticket);
        assert_int_equal(h.pre_shared_key, samples[i].pre_shared_key);
        assert_int_equal(h.early_data, samples[i].early_data);
        assert_int_equal(h.pq_group, samples[i].pq);
        assert_int_equal(h.pq_share, samples[i].pq);
        assert_int_equal(h.ech, samples[i].ech);
        assert_true(cursor_left(&h.signatures) > 0 || h.version < 0x0303);
        assert_int_equal(cursor_left(&h.key_shares) > 0, h.version == 0x0304);

        struct cursor list = h.alpn;
        struct str first;
        assert_int_equal(hello_next_protocol(&list, &first), samples[i].protocol != NULL);
        if (samples[i].protocol != NULL)
            assert_true(str_is(first, samples[i].protocol));
        buf_free(&wire);
        buf_free(&message);
    }
}

/* Every prefix says MORE, whether it is the first that the scan sees or the latest of many. */
static void check_prefixes(const struct buf *wire)
{
    struct hello_scan growing = hello_scan_start(wire->len);
    for (size_t len = 0; len < wire->len; len++) {
        struct hello_scan fresh = hello_scan_start(wire->len);
        assert_int_equal(hello_scan(&fresh, wire->data, len), HELLO_MORE);
        assert_int_equal(hello_scan(&growing, wire->data, len), HELLO_MORE);
        assert_true(fresh.need > len && fresh.need <= wire->len);
        assert_true(growing.need > len && growing.need <= wire->len);
    }
    assert_int_equal(hello_scan(&growing, wire->data, wire->len), HELLO_DONE);
    assert_int_equal(growing.wire_len, wire->len);
}

static void assert_same_list(struct cursor a, struct cursor b)
{
    assert_int_equal(cursor_left(&a), cursor_left(&b));
    if (cursor_left(&a) > 0)
        assert_memory_equal(a.p, b.p, cursor_left(&a));
}

static void assert_same(const struct hello *a, const struct hello *b)
{
    assert_same_list(a->session_id, b->session_id);
    assert_same_list(a->cipher_suites, b->cipher_suites);
    assert_same_list(a->extensions, b->extensions);
    assert_same_list(a->alpn, b->alpn);
    assert_same_list(a->versions, b->versions);
    assert_same_list(a->groups, b->groups);
    assert_same_list(a->key_shares, b->key_shares);
    assert_same_list(a->signatures, b->signatures);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->pq_share, b->pq_share);
}

static void test_any_split(void **state)
{
    (void)state;
    srand(8446);
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct buf sample = load_sample(samples[i].file), first = {0};
        struct hello expected;
        enum hello_reason reason;
        check_prefixes(&sample);
        assert_int_equal(read_hello(sample.data, sample.len, HELLO_SIZE_DEFAULT, &expected, &reason, &first),
                         HELLO_DONE);
        for (size_t size = 0; size < 60; size++) {
            /* 0 to 39: random; then 1, 2, ... 20. */
            struct buf wire = make_records(first.data, first.len, size < 40 ? 0 : size - 39), message = {0};
            struct hello h;
            check_prefixes(&wire);
            assert_int_equal(read_hello(wire.data, wire.len, HELLO_SIZE_DEFAULT, &h, &reason, &message),
                             HELLO_DONE);
            assert_same(&h, &expected);
            buf_free(&wire);
            buf_free(&message);
        }
        buf_free(&sample);
        buf_free(&first);
    }
}

/* Early data and whatever else follows the hello is not ours to judge. */
static void test_bytes_behind(void **state)
{
    (void)state;
    struct buf wire = load_sample("openssl-3.0-early-data");
    size_t len = wire.len;
    put_hex(&wire, "14 0303 0001 01 17 0303 ffff 00");
    struct hello_scan scan = hello_scan_start(HELLO_SIZE_DEFAULT);
    assert_int_equal(hello_scan(&scan, wire.data, wire.len), HELLO_DONE);
    assert_int_equal(scan.wire_len, len);
    buf_free(&wire);
}

static void test_bad_records(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum hello_result result;
        enum hello_reason reason;
    } rows[] = {
        {"", HELLO_MORE, 0},
        {"16", HELLO_MORE, 0},
        {"17", HELLO_NOT_TLS, 0},
        {"15 0301 0002 0228", HELLO_NOT_TLS, 0},
        {"80 2e 01 0301", HELLO_NOT_TLS, 0}, /* SSL 2.0 form */
        {"47 45 54 20", HELLO_NOT_TLS, 0},
        {"16 0201 0004", HELLO_NOT_TLS, 0},
        {"16 0301 0000", HELLO_BAD, HELLO_REASON_RECORD_EMPTY},
        {"16 0301 4001", HELLO_BAD, HELLO_REASON_RECORD_TOO_LONG},
        {"16 0301 4000", HELLO_MORE, 0},
        {"16 03ff 0004 01000100", HELLO_MORE, 0}, /* the minor version is to be ignored */
        {"16 0301 0004 02000100", HELLO_BAD, HELLO_REASON_NOT_A_HELLO},
        {"16 0301 0004 00000000", HELLO_BAD, HELLO_REASON_NOT_A_HELLO},
        {"16 0301 0005 0100000000", HELLO_BAD, HELLO_REASON_MORE_BEHIND},
        {"16 0301 0006 01000001 00", HELLO_BAD, HELLO_REASON_MORE_BEHIND},
        {"16 0301 0004 01000001 16 0301 0002", HELLO_BAD, HELLO_REASON_MORE_BEHIND},
        {"16 0301 0004 01000001 16 0301 0001", HELLO_MORE, 0},
        {"16 0301 0004 01000001 16 0301 0000", HELLO_BAD, HELLO_REASON_RECORD_EMPTY},
        {"16 0301 0004 01000001 14 0301 0001 01", HELLO_BAD, HELLO_REASON_RECORD_TYPE},
        {"16 0301 0004 01000001 15 0301 0002", HELLO_BAD, HELLO_REASON_RECORD_TYPE},
        {"16 0301 0004 01000001 16 0401 0001", HELLO_BAD, HELLO_REASON_RECORD_VERSION},
        {"16 0301 0002 0100 17 0303 0001", HELLO_BAD, HELLO_REASON_RECORD_TYPE},
        {"16 0301 0004 01ffffff", HELLO_BAD, HELLO_REASON_TOO_LONG},
        {"16 0301 0004 01010000", HELLO_BAD, HELLO_REASON_TOO_LONG},
        {"16 0301 0001 01 16 0301 0001 01 16 0301 0002 0000", HELLO_BAD, HELLO_REASON_TOO_LONG},
        {"16 0301 0004 01000000", HELLO_BAD, HELLO_REASON_TRUNCATED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf wire = {0}, message = {0};
        struct hello h;
        enum hello_reason reason;
        put_hex(&wire, rows[i].hex);
        enum hello_result r = read_hello(wire.data, wire.len, HELLO_SIZE_DEFAULT, &h, &reason, &message);
        if (r != rows[i].result || reason != rows[i].reason)
            fail_msg("%s: result %d, %s", rows[i].hex, r, hello_reason_text(reason));
        buf_free(&wire);
        buf_free(&message);
    }
}

static enum hello_reason parse(const char *fields, const char *extensions, struct hello *ret)
{
    struct buf message = make_message(fields, extensions);
    uint8_t *copy = malloc(message.len);
    assert_non_null(copy);
    memcpy(copy, message.data, message.len);
    enum hello_reason reason = hello_parse(copy, message.len, ret);
    free(copy);
    buf_free(&message);
    return reason;
}

static void test_bad_fields(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *extensions;
        enum hello_reason reason;
    } rows[] = {
        {PLAIN_FIELDS, NULL, HELLO_REASON_NONE},
        {PLAIN_FIELDS, "", HELLO_REASON_NONE},
        {"0301 R 00 0002 002f 02 0100", NULL, HELLO_REASON_NONE},
        {"03", NULL, HELLO_REASON_TRUNCATED},
        {"0303 00", NULL, HELLO_REASON_TRUNCATED},
        {"0303 R", NULL, HELLO_REASON_TRUNCATED},
        {"0303 R 01", NULL, HELLO_REASON_TRUNCATED},
        {"0303 R 00 0004 1301", NULL, HELLO_REASON_TRUNCATED},
        {"0303 R 00 0002 1301 01", NULL, HELLO_REASON_TRUNCATED},
        {PLAIN_FIELDS "00", NULL, HELLO_REASON_TRUNCATED},
        {PLAIN_FIELDS "0001", NULL, HELLO_REASON_TRUNCATED},
        {PLAIN_FIELDS "0000 00", NULL, HELLO_REASON_TRAILING},
        {"0200 R 00 0002 1301 01 00", NULL, HELLO_REASON_VERSION},
        {"fefd R 00 0002 1301 01 00", NULL, HELLO_REASON_VERSION},
        {"0303 R 21 R 00 0002 1301 01 00", NULL, HELLO_REASON_SESSION_ID},
        {"0303 R 00 0000 01 00", NULL, HELLO_REASON_CIPHER_SUITES},
        {"0303 R 00 0003 130113 01 00", NULL, HELLO_REASON_CIPHER_SUITES},
        {"0303 R 00 0002 1301 00", NULL, HELLO_REASON_COMPRESSION},
        {"0303 R 00 0002 1301 01 01", NULL, HELLO_REASON_COMPRESSION},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct hello h;
        enum hello_reason reason = parse(rows[i].fields, rows[i].extensions, &h);
        if (reason != rows[i].reason)
            fail_msg("%s | %s: %s", rows[i].fields, rows[i].extensions, hello_reason_text(reason));
    }
}

static void test_bad_extensions(void **state)
{
    (void)state;
    static const struct {
        const char *extensions;
        enum hello_reason reason;
    } rows[] = {
        {"00", HELLO_REASON_EXTENSION_TRUNCATED},
        {"0017", HELLO_REASON_EXTENSION_TRUNCATED},
        {"0017 0001", HELLO_REASON_EXTENSION_TRUNCATED},
        {"0017 0000 0a", HELLO_REASON_EXTENSION_TRUNCATED},
        {"0017 0000 0017 0000", HELLO_REASON_EXTENSION_TWICE},
        {"ff01 0001 00 0017 0000 ff01 0001 00", HELLO_REASON_EXTENSION_TWICE},
        {"0a0a 0000 1a1a 0001 00", HELLO_REASON_NONE},
        {"0a0a 0000 0a0a 0000", HELLO_REASON_EXTENSION_TWICE},
        {"0000 0000", HELLO_REASON_SERVER_NAME},
        {"0000 0002 0000", HELLO_REASON_SERVER_NAME},
        {"0000 0005 0003 00 0000", HELLO_REASON_SERVER_NAME},
        {"0000 0006 0004 01 0001 61", HELLO_REASON_SERVER_NAME},
        {"0000 0006 0004 00 0002 61", HELLO_REASON_SERVER_NAME},
        {"0000 0006 0003 00 0001 61", HELLO_REASON_SERVER_NAME},
        {"0000 0007 0004 00 0001 61 00", HELLO_REASON_SERVER_NAME},
        {"0000 000a 0008 00 0001 61 00 0001 62", HELLO_REASON_SERVER_NAME},
        {"0010 0000", HELLO_REASON_ALPN},
        {"0010 0002 0000", HELLO_REASON_ALPN},
        {"0010 0003 0001 00", HELLO_REASON_ALPN},
        {"0010 0004 0002 0268", HELLO_REASON_ALPN},
        {"0010 0006 0003 02 6832 00", HELLO_REASON_ALPN},
        {"0010 0006 0004 02 6832 00", HELLO_REASON_ALPN},
        {"002b 0000", HELLO_REASON_SUPPORTED_VERSIONS},
        {"002b 0001 00", HELLO_REASON_SUPPORTED_VERSIONS},
        {"002b 0002 01 03", HELLO_REASON_SUPPORTED_VERSIONS},
        {"002b 0004 02 0304 00", HELLO_REASON_SUPPORTED_VERSIONS},
        {"000a 0002 0000", HELLO_REASON_SUPPORTED_GROUPS},
        {"000a 0003 0001 00", HELLO_REASON_SUPPORTED_GROUPS},
        {"000a 0004 0004 001d", HELLO_REASON_SUPPORTED_GROUPS},
        {"000d 0002 0000", HELLO_REASON_SIGNATURE_ALGORITHMS},
        {"0032 0005 0003 040304", HELLO_REASON_SIGNATURE_ALGORITHMS},
        {"0033 0002 0000", HELLO_REASON_NONE},
        {"0033 0006 0004 001d 0000", HELLO_REASON_KEY_SHARE},
        {"0033 0006 0004 001d 0001", HELLO_REASON_KEY_SHARE},
        {"0033 0007 0004 001d 0001 00", HELLO_REASON_KEY_SHARE},
        {"0033 0007 0005 001d 0001 00", HELLO_REASON_NONE},
        {"002a 0000", HELLO_REASON_NONE},
        {"002a 0001 00", HELLO_REASON_EARLY_DATA},
        {"0029 0000", HELLO_REASON_PRE_SHARED_KEY},
        {"0029 002c 0007 0001 61 00000000 0021 20 R", HELLO_REASON_NONE},
        {"0029 002b 0006 0000 00000000 0021 20 R", HELLO_REASON_PRE_SHARED_KEY},
        {"0029 002c 0007 0001 61 00000000 0021 20 R 0017 0000", HELLO_REASON_PRE_SHARED_KEY_NOT_LAST},
        {"fe0d 0000", HELLO_REASON_ECH},
        {"fe0d 0001 01", HELLO_REASON_NONE},
        {"fe0d 0002 01 00", HELLO_REASON_ECH},
        {"fe0d 0001 02", HELLO_REASON_ECH},
        {"fe0d 000b 00 0001 0001 2a 0000 0001 00", HELLO_REASON_NONE},
        {"fe0d 000a 00 0001 0001 2a 0000 0000", HELLO_REASON_ECH},
        {"fe0d 000c 00 0001 0001 2a 0000 0001 00 00", HELLO_REASON_ECH},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct hello h;
        enum hello_reason reason = parse(PLAIN_FIELDS, rows[i].extensions, &h);
        if (reason != rows[i].reason)
            fail_msg("%s: %s", rows[i].extensions, hello_reason_text(reason));
    }
}

static void test_server_names(void **state)
{
    (void)state;
#define LABEL63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABELS LABEL63 "." LABEL63 "." LABEL63 "."
    static const struct {
        const char *sent, *name;
        enum hello_name kind;
    } rows[] = {
        {"Example.COM", "example.com", HELLO_NAME_DNS},
        {"example.com.", "example.com", HELLO_NAME_DNS},
        {"localhost", "localhost", HELLO_NAME_DNS},
        {"_acme.-x-.a--b.example", "_acme.-x-.a--b.example", HELLO_NAME_DNS},
        {"xn--bcher-kva.example", "xn--bcher-kva.example", HELLO_NAME_DNS},
        {"1.2.3.a4", "1.2.3.a4", HELLO_NAME_DNS},
        {LABEL63 ".com", LABEL63 ".com", HELLO_NAME_DNS},
        {LABELS LABEL63, NULL, 0},
        {LABELS "b.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         LABELS "b.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", HELLO_NAME_DNS},
        {"192.0.2.1", "", HELLO_NAME_ADDRESS},
        {"2001:db8::1", "", HELLO_NAME_ADDRESS},
        {"::ffff:192.0.2.1", "", HELLO_NAME_ADDRESS},
        {"[2001:db8::1]", NULL, 0},
        {"127.1", NULL, 0},
        {"2130706433", NULL, 0},
        {"1.2.3.256", NULL, 0},
        {".", NULL, 0},
        {".example.com", NULL, 0},
        {"a..b", NULL, 0},
        {"a.b..", NULL, 0},
        {"a b", NULL, 0},
        {"a/b", NULL, 0},
        {"*.example.com", NULL, 0},
        {"example.com:443", NULL, 0},
        {"b\xc3\xbc"
         "cher.example",
         NULL, 0},
        {"a" LABEL63 ".com", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char hex[1200];
        size_t len = strlen(rows[i].sent);
        int at = snprintf(hex, sizeof(hex), "0000%04zx%04zx00%04zx", len + 5, len + 3, len);
        for (size_t j = 0; j < len; j++)
            at += snprintf(hex + at, sizeof(hex) - (size_t)at, "%02x", (unsigned char)rows[i].sent[j]);
        struct hello h;
        enum hello_reason reason = parse(PLAIN_FIELDS, hex, &h);
        if (reason != (rows[i].name != NULL ? HELLO_REASON_NONE : HELLO_REASON_SERVER_NAME_NOT_DNS))
            fail_msg("%s: %s", rows[i].sent, hello_reason_text(reason));
        if (rows[i].name == NULL)
            continue;
        assert_string_equal(h.name, rows[i].name);
        assert_int_equal(h.name_len, strlen(rows[i].name));
        assert_int_equal(h.name_kind, rows[i].kind);
    }
    struct hello h;
    assert_int_equal(parse(PLAIN_FIELDS, "0000 0008 0006 00 0003 610062", &h),
                     HELLO_REASON_SERVER_NAME_NOT_DNS);
}

static void test_versions(void **state)
{
    (void)state;
    struct hello h;
    assert_int_equal(parse(PLAIN_FIELDS, "002b 0007 06 7a7a 0304 0303", &h), HELLO_REASON_NONE);
    assert_int_equal(h.version, 0x0304);
    assert_int_equal(parse(PLAIN_FIELDS, "002b 0007 06 7f1c 0302 0303", &h), HELLO_REASON_NONE);
    assert_int_equal(h.version, 0x0303);
    /* TLS 1.3 is offered in the extension or not at all. */
    assert_int_equal(parse("0304 R 00 0002 1301 01 00", "", &h), HELLO_REASON_NONE);
    assert_int_equal(h.version, 0x0303);
    assert_int_equal(parse("0302 R 00 0002 1301 01 00", NULL, &h), HELLO_REASON_NONE);
    assert_int_equal(h.version, 0x0302);
}

static void test_grease(void **state)
{
    (void)state;
    size_t count = 0;
    for (uint32_t v = 0; v <= UINT16_MAX; v++)
        count += hello_is_grease((uint16_t)v);
    assert_int_equal(count, 16);
    assert_true(hello_is_grease(0x0a0a) && hello_is_grease(0xfafa) && !hello_is_grease(0x0a1a));
}

static void test_too_many_extensions(void **state)
{
    (void)state;
    char hex[(HELLO_EXTENSIONS_MAX + 1) * 8 + 1];
    for (unsigned i = 0; i <= HELLO_EXTENSIONS_MAX; i++)
        snprintf(hex + 8 * i, 9, "%04x0000", 0x2000 + i);
    struct hello h;
    assert_int_equal(parse(PLAIN_FIELDS, hex, &h), HELLO_REASON_EXTENSION_COUNT);
    assert_int_equal(parse(PLAIN_FIELDS, hex + 8, &h), HELLO_REASON_NONE);
}

/* A hello that has exactly `len` bytes, most of them in one extension that means nothing. */
static struct buf make_message_of(size_t len)
{
    struct buf message = make_message(PLAIN_FIELDS, "0015 0000");
    size_t more = len - message.len;
    static const uint8_t zeros[HELLO_SIZE_DEFAULT];
    size_t at = message.len - 6, extensions = 4 + more;
    message.data[1] = (uint8_t)((len - 4) >> 16);
    message.data[2] = (uint8_t)((len - 4) >> 8);
    message.data[3] = (uint8_t)(len - 4);
    message.data[at] = (uint8_t)(extensions >> 8);
    message.data[at + 1] = (uint8_t)extensions;
    message.data[at + 4] = (uint8_t)(more >> 8);
    message.data[at + 5] = (uint8_t)more;
    put(&message, zeros, more);
    return message;
}

static void test_size_limit(void **state)
{
    (void)state;
    struct buf message = make_message_of(3000), wire = make_records(message.data, message.len, 1000),
               copy = {0};
    struct hello h;
    enum hello_reason reason;
    assert_int_equal(wire.len, 3015);
    assert_int_equal(read_hello(wire.data, wire.len, 3015, &h, &reason, &copy), HELLO_DONE);
    assert_int_equal(read_hello(wire.data, wire.len, 3014, &h, &reason, &copy), HELLO_BAD);
    assert_int_equal(reason, HELLO_REASON_TOO_LONG);
    /* Refused as soon as it says how long it is. */
    assert_int_equal(read_hello(wire.data, 9, 2999, &h, &reason, &copy), HELLO_BAD);
    assert_int_equal(reason, HELLO_REASON_TOO_LONG);
    assert_int_equal(read_hello(wire.data, 9, 3000, &h, &reason, &copy), HELLO_MORE);
    buf_free(&message);
    buf_free(&wire);
    buf_free(&copy);
}

/* The worst that fits into 64 KiB, in records of one byte, one byte at a time: no call may start over. */
static void test_slow_sender(void **state)
{
    (void)state;
    struct buf message = make_message_of(HELLO_SIZE_DEFAULT / 6),
               wire = make_records(message.data, message.len, 1);
    struct hello_scan scan = hello_scan_start(HELLO_SIZE_DEFAULT);
    int64_t before = clock_monotonic();
    for (size_t len = 0; len < wire.len; len++)
        assert_int_equal(hello_scan(&scan, wire.data, len), HELLO_MORE);
    assert_int_equal(hello_scan(&scan, wire.data, wire.len), HELLO_DONE);
    assert_true(clock_monotonic() - before < NSEC_PER_SEC / 2);
    assert_int_equal(scan.records, message.len);
    buf_free(&message);
    buf_free(&wire);
}

static void test_reasons(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HELLO_REASON_COUNT; i++) {
        assert_true(hello_reason_text((enum hello_reason)i)[0] != '\0');
        assert_int_equal(hello_reason_alert((enum hello_reason)i) == 0, i == HELLO_REASON_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),      cmocka_unit_test(test_any_split),
        cmocka_unit_test(test_bytes_behind), cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_bad_fields),   cmocka_unit_test(test_bad_extensions),
        cmocka_unit_test(test_server_names), cmocka_unit_test(test_versions),
        cmocka_unit_test(test_grease),       cmocka_unit_test(test_too_many_extensions),
        cmocka_unit_test(test_size_limit),   cmocka_unit_test(test_slow_sender),
        cmocka_unit_test(test_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
