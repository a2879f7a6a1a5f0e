/* SPDX-License-Identifier: Apache-2.0 */
/* hello/answer.h: how servers begin, cut in every way, and what no server may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hello/answer.h"
#include "hello_maker.h"

#define RANDOM "4242424242424242424242424242424242424242424242424242424242424242"
#define RETRY "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
#define HELLO_13 "16 0303 0038 02 000034 0303" RANDOM "00 1301 00 000c 002b00020304 0033 0002 001d"
#define RETRY_13 "16 0303 0038 02 000034 0303" RETRY "00 1302 00 000c 002b00020304 0033 0002 11ec"
#define HELLO_12 "16 0303 0035 02 000031 0303" RANDOM "00 c02b 00 0009 ff01000100 0017 0000"
#define DONE "16 0303 0004 0e 000000"

static const struct row {
    const char *name, *wire;
    struct hello_answer want;
} rows[] = {
    {"TLS 1.3", HELLO_13, {.kind = ANSWER_HELLO, .version = 0x0304, .suite = 0x1301, .group = 0x001d}},
    {"another share", RETRY_13, {.kind = ANSWER_RETRY, .version = 0x0304, .suite = 0x1302, .group = 0x11ec}},
    {"behind it what is sealed",
     HELLO_13 "14 0303 0001 01 17 0303 0003 010203",
     {.kind = ANSWER_HELLO, .version = 0x0304, .suite = 0x1301, .group = 0x001d}},
    {"without extensions",
     "16 0301 002a 02 000026 0301" RANDOM "00 002f 00" DONE,
     {.kind = ANSWER_HELLO, .version = 0x0301, .suite = 0x002f}},
    {"compressed",
     "16 0301 002a 02 000026 0301" RANDOM "00 002f 01" DONE,
     {.kind = ANSWER_HELLO, .version = 0x0301, .suite = 0x002f, .compression = 1}},
    {"an alert", "15 0303 0002 02 28", {.kind = ANSWER_ALERT, .alert = 40}},
    {"an end", "15 0303 0002 01 00", {.kind = ANSWER_ALERT, .alert = 0}},
    {"a warning before it",
     "15 0303 0002 01 70" HELLO_13,
     {.kind = ANSWER_HELLO, .version = 0x0304, .suite = 0x1301, .group = 0x001d}},
    {"a warning, then an alert",
     "15 0303 0002 01 70 15 0303 0002 02 46",
     {.kind = ANSWER_ALERT, .alert = 70}},
    {"a curve",
     HELLO_12 "16 0303 0009 0c 000005 03 001d 01 04" DONE,
     {.kind = ANSWER_HELLO,
      .version = 0x0303,
      .suite = 0xc02b,
      .group = 0x001d,
      .renegotiation = true,
      .extended_master = true}},
    {"a prime",
     "16 0303 002a 02 000026 0303" RANDOM "00 009e 00 16 0303 000a 0c 000006 0003 007fff 05" DONE,
     {.kind = ANSWER_HELLO, .version = 0x0303, .suite = 0x009e, .prime_bits = 15}},
    {"a prime of zeros",
     "16 0303 002a 02 000026 0303" RANDOM "00 009e 00 16 0303 0009 0c 000005 0003 000000" DONE,
     {.kind = ANSWER_HELLO, .version = 0x0303, .suite = 0x009e}},
    {"a prime that is cut off",
     "16 0303 002a 02 000026 0303" RANDOM "00 009e 00 16 0303 0006 0c 000002 ffff" DONE,
     {.kind = ANSWER_HELLO, .version = 0x0303, .suite = 0x009e}},
    {"an alert in the middle",
     HELLO_12 "15 0303 0002 02 28",
     {.kind = ANSWER_HELLO,
      .version = 0x0303,
      .suite = 0xc02b,
      .renegotiation = true,
      .extended_master = true}},
    {"in small records",
     "16 0303 0001 02 16 0303 0002 0000 16 0303 0035 34 0303" RANDOM
     "00 1301 00 000c 002b00020304 0033 0002 001d",
     {.kind = ANSWER_HELLO, .version = 0x0304, .suite = 0x1301, .group = 0x001d}},
    {"nothing", "", {.kind = ANSWER_MORE}},
    {"plain text", "485454502f312e3120343030", {.kind = ANSWER_BAD}},
    {"SSL 2.0", "8003 000001", {.kind = ANSWER_BAD}},
    {"an empty record", "16 0303 0000", {.kind = ANSWER_BAD}},
    {"a record that is too long", "16 0303 ffff", {.kind = ANSWER_BAD}},
    {"a major version that there is not", "16 0403 0004", {.kind = ANSWER_BAD}},
    {"an alert of one byte", "15 0303 0001 02", {.kind = ANSWER_BAD}},
    {"another message", "16 0303 0004 0e 000000", {.kind = ANSWER_BAD}},
    {"sealed from the start", "17 0303 0001 00", {.kind = ANSWER_BAD}},
    {"a hello that is cut off", "16 0303 0008 02 000004 0303 0000", {.kind = ANSWER_BAD}},
    {"bytes behind the extensions",
     "16 0303 002d 02 000029 0303" RANDOM "00 1301 00 0000 00",
     {.kind = ANSWER_BAD}},
    {"an extension that is too long",
     "16 0303 0030 02 00002c 0303" RANDOM "00 1301 00 0004 002b 0002",
     {.kind = ANSWER_BAD}},
};

static void assert_same(const struct row *row, const struct hello_answer *got)
{
    const struct hello_answer *want = &row->want;
    if (got->kind != want->kind || got->alert != want->alert || got->compression != want->compression ||
        got->version != want->version || got->suite != want->suite || got->group != want->group ||
        got->prime_bits != want->prime_bits || got->renegotiation != want->renegotiation ||
        got->extended_master != want->extended_master)
        fail_msg("%s: kind %d alert %d version %04x suite %04x group %04x prime %d", row->name, got->kind,
                 got->alert, got->version, got->suite, got->group, got->prime_bits);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf wire = {0};
        struct hello_answer got;
        put_hex(&wire, rows[i].wire);
        hello_answer_read(wire.data, wire.len, &got);
        assert_same(&rows[i], &got);
        for (size_t n = 0; n < wire.len; n++) { /* while more is needed it is never said to be over */
            hello_answer_read(wire.data, n, &got);
            if (got.kind != ANSWER_MORE)
                assert_int_equal(got.kind, rows[i].want.kind);
        }
        buf_free(&wire);
    }
}

/* One that never ends is bad at last. */
static void test_endless(void **state)
{
    (void)state;
    static const uint8_t warning[] = {21, 3, 3, 0, 2, 1, 112};
    struct buf wire = {0};
    struct hello_answer got;
    while (wire.len < ANSWER_MAX)
        put(&wire, warning, sizeof(warning));
    hello_answer_read(wire.data, ANSWER_MAX - 1, &got);
    assert_int_equal(got.kind, ANSWER_MORE);
    hello_answer_read(wire.data, ANSWER_MAX, &got);
    assert_int_equal(got.kind, ANSWER_BAD);
    buf_free(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_endless)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
