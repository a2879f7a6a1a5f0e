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

#include "acme/dns_update.h"
#include "base/check.h"

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
                                 .value = "a text",
                                 .remove = remove,
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
        const struct dns_update u = {.zone = "example.com", .name = names[i], .value = "x", .now = NOW};
        assert_int_equal(dns_update_make(&u, &key, &r, &err), -1);
    }
    char text[300];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    const struct dns_update u = {.zone = "example.com", .name = "example.com", .value = text, .now = NOW};
    assert_int_equal(dns_update_make(&u, &key, &r, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_are_those_of_another_program),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_nothing_that_was_changed_is_believed),
        cmocka_unit_test(test_names_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
