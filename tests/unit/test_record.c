/* SPDX-License-Identifier: Apache-2.0 */
/* The audit line: one JSON object on one line, whatever bytes a stranger puts into its texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <cmocka.h>

#include "audit/record.h"
#include "base/check.h"
#include "base/clock.h"

static const struct audit_record LEAST = {.handshake_ns = -1, .total_ns = 0, .reason = CLOSE_DONE};

/* The line without its newline; there is no other one in it. Freed with free(). */
static char *line(const struct audit_record *r)
{
    struct buf out = {0};
    assert_true(audit_format(&out, r));
    assert_ptr_equal(memchr(out.data, '\n', out.len), out.data + out.len - 1);
    assert_null(memchr(out.data, '\0', out.len));
    out.data[out.len - 1] = '\0';
    return (char *)out.data;
}

static void assert_line(const struct audit_record *r, const char *expected)
{
    char *text = line(r);
    assert_string_equal(text, expected);
    free(text);
}

static json_t *parsed(const struct audit_record *r)
{
    json_error_t error;
    char *text = line(r);
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (object == NULL)
        fail_msg("%s\n%s", error.text, text);
    free(text);
    return object;
}

static struct str str_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

static void what_is_not_known_is_left_out(void **state)
{
    (void)state;
    assert_line(&LEAST, "{\"time\":\"1970-01-01T00:00:00.000Z\",\"id\":\"aaaaaaaaaaaaa\",\"in\":0,\"out\":0,"
                        "\"total_ms\":0.000,\"reason\":\"done\"}");
    struct audit_record r = LEAST; /* empty is not known either */
    r.listener = r.peer = r.route = r.identity = r.rule = r.detail = "";
    r.sni = r.alpn = r.ja4 = r.target = str_of("");
    assert_line(&r, "{\"time\":\"1970-01-01T00:00:00.000Z\",\"id\":\"aaaaaaaaaaaaa\",\"in\":0,\"out\":0,"
                    "\"total_ms\":0.000,\"reason\":\"done\"}");
}

static void everything(void **state)
{
    (void)state;
    struct audit_record r = {
        .time = 1795394400 * NSEC_PER_SEC + 123456789,
        .id = 33,
        .listener = "main",
        .peer = "192.0.2.1:5678",
        .sni = str_of("www.test"),
        .alpn = str_of("h2"),
        .route = "www",
        .action = "terminate",
        .version = "1.3",
        .group = "X25519",
        .signature = "ed25519",
        .cipher = "TLS_AES_128_GCM_SHA256",
        .hello_retry = true,
        .handshake_bytes_in = 1700,
        .handshake_bytes_out = UINT32_MAX,
        .tls = true,
        .resumed = true,
        .ja4 = str_of("t13d"),
        .offers_groups = "X25519,P-256",
        .offers_ciphers = "1301",
        .identity = "alice",
        .target = str_of("db.inside:5432"),
        .backend = "127.0.0.1:80",
        .rule = "ops",
        .bytes_in = UINT64_MAX,
        .bytes_out = 1,
        .handshake_ns = 1234567,
        .total_ns = 61 * NSEC_PER_SEC,
        .reason = CLOSE_DENIED,
        .detail = "why",
    };
    assert_line(&r, "{\"time\":\"2026-11-23T00:40:00.123Z\",\"id\":\"aaaaaaaaaaabb\",\"listener\":\"main\","
                    "\"peer\":\"192.0.2.1:5678\",\"sni\":\"www.test\",\"alpn\":\"h2\",\"route\":\"www\","
                    "\"action\":\"terminate\",\"version\":\"1.3\",\"group\":\"X25519\","
                    "\"signature\":\"ed25519\",\"cipher\":\"TLS_AES_128_GCM_SHA256\",\"resumed\":true,"
                    "\"hello_retry\":true,\"ja4\":\"t13d\","
                    "\"offers_groups\":\"X25519,P-256\",\"offers_ciphers\":\"1301\","
                    "\"identity\":\"alice\",\"target\":\"db.inside:5432\",\"backend\":\"127.0.0.1:80\","
                    "\"rule\":\"ops\",\"in\":18446744073709551615,\"out\":1,\"handshake_bytes_in\":1700,"
                    "\"handshake_bytes_out\":4294967295,\"handshake_ms\":1.234,"
                    "\"total_ms\":61000.000,\"reason\":\"denied\",\"detail\":\"why\"}");
}

static void durations_have_three_decimals(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        {0, "\"total_ms\":0.000,"},
        {999, "\"total_ms\":0.000,"},
        {1000, "\"total_ms\":0.001,"},
        {999999, "\"total_ms\":0.999,"},
        {NSEC_PER_MSEC, "\"total_ms\":1.000,"},
        {10 * NSEC_PER_MSEC + 10000, "\"total_ms\":10.010,"},
        {365 * 86400 * NSEC_PER_SEC, "\"total_ms\":31536000000.000,"},
        {-1, "\"total_ms\":0.000,"},
        {INT64_MIN, "\"total_ms\":0.000,"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct audit_record r = LEAST;
        r.total_ns = rows[i].ns;
        char *text = line(&r);
        assert_non_null(strstr(text, rows[i].text));
        assert_null(strstr(text, "handshake_ms"));
        free(text);
    }
    struct audit_record r = LEAST;
    r.handshake_ns = 0;
    char *text = line(&r);
    assert_non_null(strstr(text, "\"handshake_ms\":0.000,"));
    free(text);
}

static void ids_keep_all_bits(void **state)
{
    (void)state;
    char text[AUDIT_ID_MAX];
    assert_string_equal(audit_id_text(0, text), "aaaaaaaaaaaaa");
    assert_string_equal(audit_id_text(31, text), "aaaaaaaaaaaa7");
    assert_string_equal(audit_id_text(UINT64_MAX, text), "p777777777777");
}

static void escapes(void **state)
{
    (void)state;
    struct audit_record r = LEAST;
    r.alpn = (struct str){"a\"b\\c\nd\0e\x7f", 10};
    char *text = line(&r);
    assert_null(strpbrk(text, "\n\r\t"));
    assert_non_null(strstr(text, "a\\\"b\\\\c\\u000ad\\u0000e"));
    free(text);
    json_t *object = parsed(&r);
    json_t *alpn = json_object_get(object, "alpn");
    assert_int_equal(json_string_length(alpn), r.alpn.len);
    assert_memory_equal(json_string_value(alpn), r.alpn.p, r.alpn.len);
    json_decref(object);
}

/* What a terminal or an editor would obey is not in the file as such, and nothing of it is lost. */
static void invisible_characters_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *shown;
    } rows[] = {
        {"\xc2\x80", "\\u0080"},
        {"\xc2\x9b"
         "2J",
         "\\u009b2J"},
        {"\xc2\x9f", "\\u009f"},
        {"\xc2\xa0", "\xc2\xa0"},
        {"\xe2\x80\xa7", "\xe2\x80\xa7"},
        {"\xe2\x80\xa8", "\\u2028"},
        {"\xe2\x80\xae"
         "gnp.exe",
         "\\u202egnp.exe"},
        {"\xe2\x80\xaf", "\xe2\x80\xaf"},
        {"\xe2\x81\xa5", "\xe2\x81\xa5"},
        {"\xe2\x81\xa6", "\\u2066"},
        {"\xe2\x81\xa9", "\\u2069"},
        {"\xe2\x81\xaa", "\xe2\x81\xaa"},
        {"\xf0\x90\x80\xa8", "\xf0\x90\x80\xa8"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct audit_record r = LEAST;
        char expected[64];
        r.alpn = str_of(rows[i].bytes);
        snprintf(expected, sizeof(expected), "\"alpn\":\"%s\"", rows[i].shown);
        char *text = line(&r);
        if (strstr(text, expected) == NULL)
            fail_msg("expected %s in %s", expected, text);
        free(text);
        json_t *object = parsed(&r);
        assert_string_equal(json_string_value(json_object_get(object, "alpn")), rows[i].bytes);
        json_decref(object);
    }
}

/* A field cannot get out of its quotes: what is in the line is what was put in, key by key. */
static void no_field_forges_another(void **state)
{
    (void)state;
    static const char hostile[] = "x\",\"identity\":\"root\",\"reason\":\"done\"}\n{\"y\":\"";
    struct audit_record r = LEAST;
    r.sni = r.alpn = r.target = str_of(hostile);
    r.detail = hostile;
    json_t *object = parsed(&r);
    assert_null(json_object_get(object, "identity"));
    assert_int_equal(json_object_size(object), 6 + 4);
    assert_string_equal(json_string_value(json_object_get(object, "sni")), hostile);
    assert_string_equal(json_string_value(json_object_get(object, "detail")), hostile);
    json_decref(object);
}

/* Every byte, every pair of bytes, and long runs of what is not UTF-8. */
static void any_bytes_make_a_line(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 0x10000; code += code < 0x8000 ? 7 : 1) {
        char bytes[4] = {(char)(code >> 8), (char)code, 'z', (char)(code >> 8)};
        struct audit_record r = LEAST;
        r.alpn = (struct str){bytes, 1 + code % 4};
        json_decref(parsed(&r));
    }
    char run[255];
    for (int byte = 0; byte < 256; byte++) {
        struct audit_record r = LEAST;
        memset(run, byte, sizeof(run));
        r.alpn = (struct str){run, sizeof(run)};
        json_decref(parsed(&r));
    }
}

/* A line fits into what a pipe takes whole, whatever a certificate or a client puts into it. */
static void no_line_is_too_long(void **state)
{
    (void)state;
    static const char *const fills[] = {
        "x", "\"", "\x1f", "\xff", "\xc3\xa9", "\xe2\x80\xae", "\xf0\x9f\x90\xb1"};
    static char text[16 * 1024];
    for (size_t i = 0; i < ARRAY_LEN(fills); i++) {
        size_t n = strlen(fills[i]), len = 0;
        for (; len + n < sizeof(text); len += n)
            memcpy(text + len, fills[i], n);
        text[len] = '\0';
        const struct audit_datagrams datagrams = {.in = INT64_MAX,
                                                  .out = INT64_MAX,
                                                  .dropped = INT64_MAX,
                                                  .lost = INT64_MAX,
                                                  .largest = UINT16_MAX};
        struct audit_record r = {.time = INT64_MAX,
                                 .id = UINT64_MAX,
                                 .transport = "quic",
                                 .starttls = str_of(text),
                                 .ech = "accepted",
                                 .outer_sni = str_of(text),
                                 .verifies = "P-256,P-384,Ed25519,RSA,P-521,ML-DSA-44,ML-DSA-65,ML-DSA-87",
                                 .offers_groups =
                                     "X25519MLKEM768,SecP256r1MLKEM768,SecP384r1MLKEM1024,X25519,"
                                     "P-256,P-384,P-521",
                                 .offers_ciphers = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8",
                                 .backend_tls = "resumed",
                                 .agent = text,
                                 .offer = "end-to-end",
                                 .login = "0123456789012345678901234567890123456789",
                                 .serial = "0123456789012345678901234567890123456789",
                                 .datagrams = &datagrams,
                                 .carrier = UINT64_MAX,
                                 .listener = text,
                                 .peer = text,
                                 .sni = str_of(text),
                                 .alpn = str_of(text),
                                 .route = text,
                                 .action = "terminate",
                                 .version = "1.3",
                                 .group = "SecP384R1MLKEM1024",
                                 .cipher = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                                 .tls = true,
                                 .ja4 = str_of("t13d1516h2_8daaf6152771_02713d6af862"),
                                 .identity = text,
                                 .target = str_of(text),
                                 .backend = text,
                                 .rule = text,
                                 .bytes_in = INT64_MAX,
                                 .bytes_out = INT64_MAX,
                                 .carries = true,
                                 .streams = INT64_MAX,
                                 .answers = true,
                                 .requests = INT64_MAX,
                                 .status = 599,
                                 .handshake_ns = INT64_MAX,
                                 .total_ns = INT64_MAX,
                                 .reason = CLOSE_DENIED,
                                 .detail = text};
        char *whole = line(&r);
        assert_in_range(strlen(whole), 500, AUDIT_LINE_MAX - 1);
        free(whole);
        json_decref(parsed(&r));
    }
    /* What is short stays as it is, and what is cut shows it. */
    struct audit_record r = LEAST;
    memset(text, 'x', sizeof(text) - 1);
    r.sni = str_of("door.example");
    r.identity = text;
    json_t *object = parsed(&r);
    assert_string_equal(json_string_value(json_object_get(object, "sni")), "door.example");
    const char *identity = json_string_value(json_object_get(object, "identity"));
    assert_int_equal(strspn(identity, "x"), 192);
    assert_string_equal(identity + 192, "\xe2\x80\xa6");
    json_decref(object);
    /* As long as may be: not cut. */
    text[3000] = '\0';
    object = parsed(&r);
    assert_string_equal(json_string_value(json_object_get(object, "identity")), text);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(everything),
        cmocka_unit_test(durations_have_three_decimals),
        cmocka_unit_test(ids_keep_all_bits),
        cmocka_unit_test(escapes),
        cmocka_unit_test(invisible_characters_are_escaped),
        cmocka_unit_test(no_field_forges_another),
        cmocka_unit_test(any_bytes_make_a_line),
        cmocka_unit_test(no_line_is_too_long),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
