/* SPDX-License-Identifier: Apache-2.0 */
/* Questions for HTTPS records, and answers of all kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"
#include "dns/query.h"
#include "dns/wire.h"

#define HOST "a.test"
#define QUESTION "\1a\4test\0\0\x41\0\1"
#define HEAD(flags, answers) "\0\0" flags "\0\1\0" answers "\0\0\0\0"
#define GOOD(answers) HEAD("\x81\x80", answers) QUESTION
#define OWNER "\xc0\x0c" /* the question's name */
#define HTTPS "\0\x41\0\1\0\0\1\x2c"
#define CNAME "\0\5\0\1\0\0\0\x0a"
#define ECH "\0\5\0\4abcd"

struct row {
    const char *what;
    const char *answer;
    size_t len;
    enum dns_found found;
    const char *said; /* the ECHConfigList, or the alias */
    uint32_t ttl;
};

#define ANSWER(text) text, sizeof(text) - 1

static const struct row rows[] = {
    {"as it must be", ANSWER(GOOD("\1") OWNER HTTPS "\0\x0b\0\1\0" ECH), DNS_HTTPS, "abcd", 300},
    {"its owner in full", ANSWER(GOOD("\1") "\1A\4tEsT\0" HTTPS "\0\x0b\0\1\0" ECH), DNS_HTTPS, "abcd", 300},
    {"of two the one wanted more",
     ANSWER(GOOD("\2") OWNER HTTPS "\0\x0b\0\7\0\0\5\0\4efgh" OWNER HTTPS "\0\x0b\0\1\0" ECH), DNS_HTTPS,
     "abcd", 300},
    {"beside one without", ANSWER(GOOD("\2") OWNER HTTPS "\0\3\0\1\0" OWNER HTTPS "\0\x0b\0\2\0" ECH),
     DNS_HTTPS, "abcd", 300},
    {"behind a CNAME",
     ANSWER(GOOD("\2") OWNER CNAME "\0\2\xc0\x0e"
                                   "\xc0\x0e" HTTPS "\0\x0b\0\1\0" ECH),
     DNS_HTTPS, "abcd", 10},
    {"CNAME after what it leads to",
     ANSWER(GOOD("\2") "\xc0\x0e" HTTPS "\0\x0b\0\1\0" ECH OWNER CNAME "\0\2\xc0\x0e"), DNS_HTTPS, "abcd",
     10},
    {"with other types and classes between",
     ANSWER(GOOD("\3") OWNER "\0\1\0\1\0\0\0\1\0\4\1\2\3\4" OWNER "\0\x41\0\3\0\0\0\1\0\1x" OWNER HTTPS
                             "\0\x0b\0\1\0" ECH),
     DNS_HTTPS, "abcd", 300},
    {"with an owner that is no host name",
     ANSWER(GOOD("\2") "\3a b\0" HTTPS "\0\1x" OWNER HTTPS "\0\x0b\0\1\0" ECH), DNS_HTTPS, "abcd", 300},
    {"with all keys",
     ANSWER(GOOD("\1") OWNER HTTPS "\0\x22\0\1\0\0\0\0\2\0\5\0\1\0\3\2h2\0\3\0\2\1\xbb" ECH "\0\x09\0\0"),
     DNS_HTTPS, "abcd", 300},
    {"an alias", ANSWER(GOOD("\1") OWNER HTTPS "\0\x0a\0\0\1b\4test\0"), DNS_ALIAS, "b.test", 300},
    {"an alias to nothing", ANSWER(GOOD("\1") OWNER HTTPS "\0\3\0\0\0"), DNS_NOTHING, NULL, 300},
    {"nothing", ANSWER(GOOD("\0")), DNS_NOTHING, NULL, 0},
    {"no such name", ANSWER(HEAD("\x81\x83", "\0") QUESTION), DNS_NOTHING, NULL, 0},
    {"for another name", ANSWER(GOOD("\1") "\1b\4test\0" HTTPS "\0\x0b\0\1\0" ECH), DNS_NOTHING, NULL, 0},
    {"for another host", ANSWER(GOOD("\1") OWNER HTTPS "\0\x12\0\1\1b\4test\0" ECH), DNS_NOTHING, NULL, 300},
    {"for another port", ANSWER(GOOD("\1") OWNER HTTPS "\0\x11\0\1\0\0\3\0\2\0\x50" ECH), DNS_NOTHING, NULL,
     300},
    {"with something mandatory that nobody knows",
     ANSWER(GOOD("\1") OWNER HTTPS "\0\x11\0\1\0\0\0\0\2\0\x09" ECH), DNS_NOTHING, NULL, 300},
    {"a ttl with its highest bit", ANSWER(GOOD("\1") OWNER "\0\x41\0\1\xff\0\0\0\0\x0b\0\1\0" ECH), DNS_HTTPS,
     "abcd", 0},
    {"a question", ANSWER(HEAD("\1\0", "\0") QUESTION), DNS_NO_ANSWER, NULL, 0},
    {"cut", ANSWER(HEAD("\x83\x80", "\0") QUESTION), DNS_NO_ANSWER, NULL, 0},
    {"refused", ANSWER(HEAD("\x81\x85", "\0") QUESTION), DNS_NO_ANSWER, NULL, 0},
    {"a failure without a name", ANSWER(HEAD("\x81\x8f", "\0") QUESTION), DNS_NO_ANSWER, NULL, 0},
    {"to another question", ANSWER(HEAD("\x81\x80", "\0") "\1b\4test\0\0\x41\0\1"), DNS_NO_ANSWER, NULL, 0},
    {"to a question for addresses", ANSWER(HEAD("\x81\x80", "\0") "\1a\4test\0\0\1\0\1"), DNS_NO_ANSWER, NULL,
     0},
    {"too many records", ANSWER(HEAD("\x81\x80", "\x41") QUESTION), DNS_NO_ANSWER, NULL, 0},
    {"fewer records than it says", ANSWER(GOOD("\2") OWNER HTTPS "\0\x0b\0\1\0" ECH), DNS_NO_ANSWER, NULL, 0},
    {"a pointer to itself", ANSWER(GOOD("\1") OWNER CNAME "\0\2\xc0\x24"), DNS_NO_ANSWER, NULL, 0},
    {"a pointer forwards", ANSWER(GOOD("\1") OWNER CNAME "\0\4\xc0\x26\1b"), DNS_NO_ANSWER, NULL, 0},
    {"a pointer beyond the end", ANSWER(GOOD("\1") OWNER CNAME "\0\2\xff\xff"), DNS_NO_ANSWER, NULL, 0},
    {"a CNAME to itself", ANSWER(GOOD("\1") OWNER CNAME "\0\2" OWNER), DNS_NO_ANSWER, NULL, 0},
    {"a label of another kind",
     ANSWER(GOOD("\1") "\x41"
                       "a\0" HTTPS "\0\0"),
     DNS_NO_ANSWER, NULL, 0},
    {"keys that fall", ANSWER(GOOD("\1") OWNER HTTPS "\0\x13\0\1\0" ECH "\0\1\0\4\3h2c"), DNS_NO_ANSWER, NULL,
     0},
    {"a key twice", ANSWER(GOOD("\1") OWNER HTTPS "\0\x13\0\1\0" ECH ECH), DNS_NO_ANSWER, NULL, 0},
    {"a value cut off", ANSWER(GOOD("\1") OWNER HTTPS "\0\x0a\0\1\0\0\5\0\4abc"), DNS_NO_ANSWER, NULL, 0},
    {"a port of three bytes", ANSWER(GOOD("\1") OWNER HTTPS "\0\x0a\0\1\0\0\3\0\3\0\1\2"), DNS_NO_ANSWER,
     NULL, 0},
    {"half a mandatory key", ANSWER(GOOD("\1") OWNER HTTPS "\0\x08\0\1\0\0\0\0\1\0"), DNS_NO_ANSWER, NULL, 0},
    {"no priority", ANSWER(GOOD("\1") OWNER HTTPS "\0\1\0"), DNS_NO_ANSWER, NULL, 0},
    {"less than a header", ANSWER("\0\0\x81\x80\0\1\0"), DNS_NO_ANSWER, NULL, 0},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct dns_https got;
        struct err err = {""};
        struct str answer = {rows[i].answer, rows[i].len};
        enum dns_found found = dns_answer_https(HOST, HOST, 443, answer, &got, &err);
        if (found != rows[i].found)
            fail_msg("%s: %d, expected %d: %s", rows[i].what, found, rows[i].found, err.text);
        assert_int_equal(found == DNS_NO_ANSWER, err.text[0] != '\0');
        if (got.ttl != rows[i].ttl)
            fail_msg("%s: for %u s, expected %u", rows[i].what, got.ttl, rows[i].ttl);
        if (found == DNS_HTTPS)
            assert_true(str_is(got.ech, rows[i].said));
        if (found == DNS_ALIAS)
            assert_string_equal(got.alias, rows[i].said);
        for (size_t n = 0; n < rows[i].len; n++) /* cut anywhere it is not taken for more than it was */
            if (dns_answer_https(HOST, HOST, 443, (struct str){rows[i].answer, n}, &got, &err) == DNS_HTTPS)
                fail_msg("%s: taken after %zu bytes", rows[i].what, n);
    }
}

/* What is told of a record beside `ech`, and of one that has none. */
static void test_protocols(void **state)
{
    (void)state;
    static const struct {
        const char *what, *answer;
        size_t len;
        bool recorded;
        const char *protocols; /* by ',' */
    } told[] = {
        {"with ech", ANSWER(GOOD("\1") OWNER HTTPS "\0\x17\0\1\0\0\1\0\x08\2h2\4abcd" ECH), true, "h2,abcd"},
        {"without", ANSWER(GOOD("\1") OWNER HTTPS "\0\x0a\0\1\0\0\1\0\3\2h2"), true, "h2"},
        {"of two the one wanted more",
         ANSWER(GOOD("\2") OWNER HTTPS "\0\x0a\0\2\0\0\1\0\3\2h3" OWNER HTTPS "\0\x0a\0\1\0\0\1\0\3\2h2"),
         true, "h2"},
        {"no protocol", ANSWER(GOOD("\1") OWNER HTTPS "\0\3\0\1\0"), true, ""},
        {"an empty one", ANSWER(GOOD("\1") OWNER HTTPS "\0\x0b\0\1\0\0\1\0\4\2h2\0"), true, "h2"},
        {"one cut off", ANSWER(GOOD("\1") OWNER HTTPS "\0\x0b\0\1\0\0\1\0\4\2h2\7"), true, "h2"},
        {"for another port", ANSWER(GOOD("\1") OWNER HTTPS "\0\x09\0\1\0\0\3\0\2\0\x50"), false, ""},
        {"nothing", ANSWER(GOOD("\0")), false, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        struct dns_https got;
        struct buf text = {0};
        struct str one;
        struct err err = {""};
        enum dns_found found =
            dns_answer_https(HOST, HOST, 443, (struct str){told[i].answer, told[i].len}, &got, &err);
        if (found == DNS_NO_ANSWER || got.recorded != told[i].recorded)
            fail_msg("%s: %d, %d %s", told[i].what, found, got.recorded, err.text);
        while (dns_next_protocol(&got.alpn, &one))
            buf_printf(&text, "%s%.*s", text.len > 0 ? "," : "", (int)one.len, one.p);
        assert_string_equal(text.len > 0 ? buf_text(&text) : "", told[i].protocols);
        buf_free(&text);
    }
}

static void test_questions(void **state)
{
    (void)state;
    char name[DNS_NAME_SIZE], text[DNS_NAME_SIZE];
    struct err err;
    struct buf query = {0};
    assert_int_equal(dns_https_name("Shop.Example", 443, name, &err), 0);
    assert_string_equal(name, "shop.example");
    assert_int_equal(dns_https_name("shop.example", 8443, name, &err), 0);
    assert_string_equal(name, "_8443._https.shop.example");
    assert_int_equal(dns_query_https(name, &query, &err), 0);
    assert_int_equal(query.len % 128, 0);
    struct cursor c = cursor_of(query.data + DNS_HEADER_LEN, query.len - DNS_HEADER_LEN);
    assert_true(dns_read_name(&c, (struct str){(const char *)query.data, query.len}, text));
    assert_string_equal(text, name);
    buf_free(&query);
    static const char *const bad[] = {
        "",
        "a..b",
        "192.0.2.1",
        "::1",
        "a.test.",
        "a b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(dns_https_name(bad[i], 443, name, &err), -1);
    /* The longest that there may be, which leaves no room for a port before it. */
    char longest[HOSTNAME_MAX + 1];
    for (size_t i = 0; i < HOSTNAME_MAX; i++)
        longest[i] = i % 64 == 63 ? '.' : 'a';
    longest[HOSTNAME_MAX] = '\0';
    assert_int_equal(dns_https_name(longest, 443, name, &err), 0);
    assert_int_equal(dns_query_https(name, &query, &err), 0);
    buf_free(&query);
    assert_int_equal(dns_https_name(longest, 8443, name, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_questions),
    };
    return cmocka_run_group_tests_name("dns_query", tests, NULL, NULL);
}
