/* SPDX-License-Identifier: Apache-2.0 */
/* quic/versions.h: the question, and answers of all kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"
#include "quic/versions.h"

static struct quic_versions_question question;

/* An answer: its first byte, version, ids, and versions as bytes. */
static size_t make(uint8_t *out, uint8_t first, uint32_t version, const uint8_t *to, const uint8_t *from,
                   const char *rest, size_t rest_len)
{
    struct writer w = writer_of(out, 2048);
    writer_uint(&w, 1, first);
    writer_uint(&w, 4, version);
    writer_uint(&w, 1, QUIC_ASK_ID_LEN);
    writer_bytes(&w, to, QUIC_ASK_ID_LEN);
    writer_uint(&w, 1, QUIC_ASK_ID_LEN);
    writer_bytes(&w, from, QUIC_ASK_ID_LEN);
    writer_bytes(&w, rest, rest_len);
    assert_false(w.full);
    return (size_t)(w.p - out);
}

static void test_question(void **state)
{
    (void)state;
    quic_versions_ask(&question);
    struct cursor c = cursor_of(question.packet, sizeof(question.packet)), to, from;
    uint64_t first, version;
    assert_true(cursor_uint(&c, 1, &first) && cursor_uint(&c, 4, &version) && cursor_vector(&c, 1, &to) &&
                cursor_vector(&c, 1, &from));
    assert_int_equal(first & 0xc0, 0xc0);
    assert_int_equal(version & 0x0f0f0f0f, 0x0a0a0a0a);
    assert_memory_equal(to.p, question.to, sizeof(question.to));
    assert_memory_equal(from.p, question.from, sizeof(question.from));
}

#define V1 "\0\0\0\1"
#define V2 "\x6b\x33\x43\xcf"
#define MADE_UP "\xfa\x2a\x1a\xca"

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *what, *rest;
        size_t rest_len, len; /* of versions that are told */
        uint32_t version;
        uint8_t first;
        bool good;
    } rows[] = {
        {"one", V1, 4, 1, 0, 0x80, true},
        {"several, and one that is made up", V2 MADE_UP V1, 12, 2, 0, 0xff, true},
        {"only one that is made up", MADE_UP, 4, 0, 0, 0x80, true},
        {"none", "", 0, 0, 0, 0x80, false},
        {"half of one", V1 "\0\0", 6, 0, 0, 0x80, false},
        {"a short header", V1, 4, 0, 0, 0x40, false},
        {"another packet", V1, 4, 0, 1, 0xc0, false},
    };
    uint8_t answer[2048];
    struct quic_versions got;
    quic_versions_ask(&question);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = make(answer, rows[i].first, rows[i].version, question.from, question.to, rows[i].rest,
                          rows[i].rest_len);
        if (quic_versions_read(&question, answer, len, &got) != rows[i].good || got.len != rows[i].len)
            fail_msg("%s: %zu versions", rows[i].what, got.len);
        for (size_t n = 0; n < len; n++) /* cut anywhere it tells of no more than it had */
            assert_true(!quic_versions_read(&question, answer, n, &got) || got.len <= rows[i].rest_len / 4);
    }
    size_t len = make(answer, 0x80, 0, question.to, question.from, V1, 4);
    assert_false(quic_versions_read(&question, answer, len, &got)); /* an echo */
}

static void test_many(void **state)
{
    (void)state;
    uint8_t answer[2048];
    char rest[400] = {0};
    struct quic_versions got;
    size_t len = make(answer, 0x80, 0, question.from, question.to, rest, sizeof(rest));
    assert_true(quic_versions_read(&question, answer, len, &got));
    assert_int_equal(got.len, QUIC_VERSIONS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_question), cmocka_unit_test(test_answers),
                                       cmocka_unit_test(test_many)};
    return cmocka_run_group_tests_name("quic_versions", tests, NULL, NULL);
}
