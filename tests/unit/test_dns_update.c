/* SPDX-License-Identifier: Apache-2.0 */
/* DNS UPDATE with TSIG against messages that were put together by another program (Python's hmac and struct,
 * by RFC 2136 and RFC 8945), and against answers that nobody should believe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "dns/rdata.h"
#include "dns/update.h"

#define NOW INT64_C(1800000000)

static const char adds[] =
    "123428000001000000010001076578616d706c6503636f6d00000600010f5f61636d652d6368616c6c656e6765076578"
    "616d706c6503636f6d00001000010000003c0007066120746578740461636d65076578616d706c6503636f6d0000fa00"
    "ff00000000003d0b686d61632d7368613235360000006b49d200012c00206753cd97305d63f5aa559fb6ae582252d6d5"
    "83b041490d63f0f323d4b9d1e624123400000000";
static const char removes[] =
    "123428000001000000010001076578616d706c6503636f6d00000600010f5f61636d652d6368616c6c656e6765076578"
    "616d706c6503636f6d00001000fe000000000007066120746578740461636d65076578616d706c6503636f6d0000fa00"
    "ff00000000003d0b686d61632d7368613235360000006b49d200012c002080859fd8d530590ea17d6e860e048befedbd"
    "9179129f24404e14e501d3d1f82b123400000000";
/* Answers to the first: done, refused, not in the zone; and signatures that were not taken. */
static const char done[] =
    "1234a8000001000000000001076578616d706c6503636f6d00000600010461636d65076578616d706c6503636f6d0000"
    "fa00ff00000000003d0b686d61632d7368613235360000006b49d200012c002001f7cdf24c45fe90531ef50c98323062"
    "734c855a238428c492105b3f432bc175123400000000";
static const char refused[] =
    "1234a8050001000000000001076578616d706c6503636f6d00000600010461636d65076578616d706c6503636f6d0000"
    "fa00ff00000000003d0b686d61632d7368613235360000006b49d200012c0020d3e767f096060ee3220a33a02c4f6a96"
    "b5d7d95cf80074a8ecf6325f4a657a74123400000000";
static const char not_in_zone[] =
    "1234a80a0001000000000001076578616d706c6503636f6d00000600010461636d65076578616d706c6503636f6d0000"
    "fa00ff00000000003d0b686d61632d7368613235360000006b49d200012c002007202be01d462cde0690c5247d077fa1"
    "8fd4ddccddc733619c0884701394f656123400000000";
static const char bad_signature[] =
    "1234a8090001000000000001076578616d706c6503636f6d00000600010461636d65076578616d706c6503636f6d0000"
    "fa00ff00000000001d0b686d61632d7368613235360000006b49d200012c0000123400100000";
static const char bad_time[] =
    "1234a8090001000000000001076578616d706c6503636f6d00000600010461636d65076578616d706c6503636f6d0000"
    "fa00ff00000000001d0b686d61632d7368613235360000006b49d200012c0000123400120000";

static const struct dns_key key = {"acme.example.com", {"0123456789abcdef0123456789abcdef", 32}};

static size_t bytes_of(const char *hex, uint8_t *ret)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &ret[i]), 1);
    return n;
}

static void make(bool remove, struct dns_request *ret)
{
    const struct dns_update u = {.zone = "Example.com",
                                 .name = "_acme-challenge.example.com",
                                 .type = DNS_TYPE_TXT,
                                 .change = remove ? DNS_REMOVE : DNS_ADD,
                                 .data = {"\6a text", 7},
                                 .ttl = 60,
                                 .id = 0x1234,
                                 .now = NOW};
    struct err err = {{0}};
    if (dns_update_make(&u, &key, ret, &err) < 0)
        fail_msg("%s", err.text);
}

static void test_requests_are_those_of_another_program(void **state)
{
    struct dns_request r;
    uint8_t bytes[DNS_UPDATE_MAX];
    (void)state;
    make(false, &r);
    assert_int_equal(r.len, bytes_of(adds, bytes));
    assert_memory_equal(r.bytes, bytes, r.len);
    make(true, &r);
    assert_int_equal(r.len, bytes_of(removes, bytes));
    assert_memory_equal(r.bytes, bytes, r.len);
}

/* All that there was goes, and the new record comes, in this order (RFC 2136, 2.5.2 and 2.5.1); the data is
 * that of RFC 9460, put together by hand. */
static void test_a_record_takes_the_place_of_others(void **state)
{
    static const uint8_t https[] = {0,   1,   0, 0, 1, 0, 6,    2,    'h', '2', 2,
                                    'h', '3', 0, 5, 0, 4, 0xfe, 0x0d, 0,   0};
    static const uint8_t gone[] = {1, 'a', 0, 0, 65, 0, 255, 0, 0, 0, 0, 0, 0};
    static const uint8_t come[] = {1, 'a', 0, 0, 65, 0, 1, 0, 0, 1, 44, 0, sizeof(https)};
    const size_t at = 12 + 1 + 1 + 1 + 4;
    struct buf data = {0};
    struct dns_request r;
    struct err err;
    (void)state;
    assert_int_equal(dns_rdata_https(&data, "h2,h3", cursor_of(https + 17, 4), &err), 0);
    assert_int_equal(data.len, sizeof(https));
    assert_memory_equal(data.data, https, sizeof(https));
    struct dns_update u = {.zone = "z",
                           .name = "A",
                           .type = DNS_TYPE_HTTPS,
                           .change = DNS_REPLACE,
                           .ttl = 300,
                           .data = {(const char *)data.data, data.len},
                           .now = NOW};
    assert_int_equal(dns_update_make(&u, &key, &r, &err), 0);
    assert_int_equal(r.bytes[9], 2);
    assert_memory_equal(r.bytes + at, gone, sizeof(gone));
    assert_memory_equal(r.bytes + at + sizeof(gone), come, sizeof(come));
    assert_memory_equal(r.bytes + at + sizeof(gone) + sizeof(come), https, sizeof(https));
    u.change = DNS_CLEAR;
    assert_int_equal(dns_update_make(&u, &key, &r, &err), 0);
    assert_int_equal(r.bytes[9], 1);
    assert_memory_equal(r.bytes + at, gone, sizeof(gone));
    buf_free(&data);
}

static void test_words_of_a_zone_file(void **state)
{
    struct buf text = {0};
    (void)state;
    dns_rdata_https_text(&text, "h2,h3", "AAA=");
    assert_string_equal(buf_text(&text), "1 . alpn=\"h2,h3\" ech=AAA=");
    buf_consume(&text, text.len);
    dns_rdata_https_text(&text, "", "AAA=");
    assert_string_equal(buf_text(&text), "1 . ech=AAA=");
    buf_free(&text);
}

static void test_data_that_is_none(void **state)
{
    static const char *const alpns[] = {",", "h2,", ",h2", "h2,,h3"};
    struct buf data = {0};
    struct err err;
    char text[300];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(alpns); i++)
        assert_int_equal(dns_rdata_https(&data, alpns[i], cursor_of("", 0), &err), -1);
    memset(text, 'a', sizeof(text));
    text[256] = '\0';
    assert_int_equal(dns_rdata_txt(&data, text, &err), -1);
    assert_int_equal(dns_rdata_https(&data, text, cursor_of("", 0), &err), -1);
    text[255] = '\0';
    assert_int_equal(dns_rdata_txt(&data, text, &err), 0);
    buf_free(&data);
}

static enum dns_result read_hex(const char *hex, int64_t now, struct err *err)
{
    struct dns_request r;
    uint8_t bytes[DNS_UPDATE_MAX];
    size_t n = bytes_of(hex, bytes);
    make(false, &r);
    return dns_update_read(&r, &key, (struct str){(char *)bytes, n}, now, err);
}

static void test_answers(void **state)
{
    struct err err;
    (void)state;
    assert_int_equal(read_hex(done, NOW, &err), DNS_DONE);
    assert_int_equal(read_hex(done, NOW + 301, &err), DNS_NOT_OURS);
    assert_int_equal(read_hex(done, NOW - 301, &err), DNS_NOT_OURS);
    assert_int_equal(read_hex(refused, NOW, &err), DNS_REFUSED);
    assert_non_null(strstr(err.text, "REFUSED: the key may not change that record"));
    assert_int_equal(read_hex(not_in_zone, NOW, &err), DNS_REFUSED);
    assert_non_null(strstr(err.text, "NOTZONE"));
    assert_int_equal(read_hex(bad_signature, NOW, &err), DNS_REFUSED);
    assert_non_null(strstr(err.text, "BADSIG: the secret is another one"));
    assert_int_equal(read_hex(bad_time, NOW, &err), DNS_REFUSED);
    assert_non_null(strstr(err.text, "BADTIME: the clocks differ"));
    assert_int_equal(read_hex(adds, NOW, &err), DNS_NOT_OURS); /* a question */
    assert_int_equal(read_hex("", NOW, &err), DNS_NOT_OURS);
}

static void test_nothing_that_was_changed_is_believed(void **state)
{
    struct dns_request r;
    struct err err;
    uint8_t bytes[DNS_UPDATE_MAX + 1];
    size_t n = bytes_of(done, bytes);
    (void)state;
    make(false, &r);
    for (size_t len = 0; len < n; len++)
        assert_int_not_equal(dns_update_read(&r, &key, (struct str){(char *)bytes, len}, NOW, &err),
                             DNS_DONE);
    bytes[n] = 0;
    assert_int_not_equal(dns_update_read(&r, &key, (struct str){(char *)bytes, n + 1}, NOW, &err), DNS_DONE);
    for (size_t i = 0; i < 8 * n; i++) {
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        enum dns_result result = dns_update_read(&r, &key, (struct str){(char *)bytes, n}, NOW, &err);
        if (result == DNS_DONE && i % 8 != 5) /* that one is the case of a letter */
            fail_msg("bit %zu", i);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    /* The answer to another request, and by another secret. */
    make(true, &r);
    assert_int_equal(dns_update_read(&r, &key, (struct str){(char *)bytes, n}, NOW, &err), DNS_NOT_OURS);
    const struct dns_key other = {key.name, {"0123456789abcdef0123456789abcdeg", 32}};
    make(false, &r);
    assert_int_equal(dns_update_read(&r, &other, (struct str){(char *)bytes, n}, NOW, &err), DNS_NOT_OURS);
}

static void test_names_that_are_none(void **state)
{
    static const char *const names[] = {
        "",
        ".",
        "a..example.com",
        "example.com.",
        ".example.com",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.com"};
    struct dns_request r;
    struct err err;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct dns_update u = {
            .zone = "example.com", .name = names[i], .type = DNS_TYPE_TXT, .now = NOW};
        assert_int_equal(dns_update_make(&u, &key, &r, &err), -1);
    }
    char much[DNS_UPDATE_MAX] = {0};
    const struct dns_update u = {
        .zone = "example.com", .name = "example.com", .data = {much, sizeof(much)}, .now = NOW};
    assert_int_equal(dns_update_make(&u, &key, &r, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_are_those_of_another_program),
        cmocka_unit_test(test_a_record_takes_the_place_of_others),
        cmocka_unit_test(test_words_of_a_zone_file),
        cmocka_unit_test(test_data_that_is_none),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_nothing_that_was_changed_is_believed),
        cmocka_unit_test(test_names_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
