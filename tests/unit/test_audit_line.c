/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the audit log read back: what the door writes, what others make of it, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audit/line.h"
#include "audit/record.h"
#include "base/check.h"

#define TIME "\"time\":\"2026-11-23T00:40:00.123Z\""

static const char *read_text(const char *text, struct audit_line *ret)
{
    /* In memory of its own, so that a sanitizer sees what is read behind it. */
    size_t len = strlen(text);
    static char *copy;
    free(copy);
    copy = malloc(len + (len == 0));
    assert_non_null(copy);
    memcpy(copy, text, len);
    return audit_line_read(copy, len, ret);
}

static void assert_field(const struct audit_line *line, enum audit_field field, const char *text)
{
    assert_int_equal(line->v[field].len, strlen(text));
    assert_memory_equal(line->v[field].p, text, strlen(text));
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct buf out = {0};
    struct audit_line line;
    char text[64];
    const struct audit_record r = {.time = 1,
                                   .id = 33,
                                   .listener = "main",
                                   .peer = "192.0.2.1:5678",
                                   .sni = {"a.test", 6},
                                   .route = "web \"one\"\x01",
                                   .action = "terminate",
                                   .version = "1.2",
                                   .group = "X25519",
                                   .cipher = "TLS_AES_128_GCM_SHA256",
                                   .verifies = "P-256,RSA",
                                   .tls = true,
                                   .ja4 = {"t12d", 4},
                                   .offers_groups = "X25519",
                                   .offers_ciphers = "1301",
                                   .identity = "J\xc3\xb6rg",
                                   .handshake_ns = 1,
                                   .reason = CLOSE_DONE,
                                   .detail = "x"};
    assert_true(audit_format(&out, &r));
    assert_null(audit_line_read((const char *)out.data, out.len - 1, &line));
    assert_field(&line, AUDIT_TIME, "1970-01-01T00:00:00.000Z");
    assert_field(&line, AUDIT_PEER, "192.0.2.1:5678");
    assert_field(&line, AUDIT_SNI, "a.test");
    assert_field(&line, AUDIT_VERSION, "1.2");
    assert_field(&line, AUDIT_VERIFIES, "P-256,RSA");
    assert_field(&line, AUDIT_OFFERS_GROUPS, "X25519");
    assert_field(&line, AUDIT_REASON, "done");
    assert_null(line.v[AUDIT_CARRIER].p);
    audit_line_text(line.v[AUDIT_ROUTE], text, sizeof(text));
    assert_string_equal(text, "web \"one\"\x01");
    audit_line_text(line.v[AUDIT_IDENTITY], text, sizeof(text));
    assert_string_equal(text, "J\xc3\xb6rg");
    buf_free(&out);
}

static void what_others_add_is_passed_over(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{" TIME "}",
        " { " TIME " , \"x\" : [ ] } \r",
        "{" TIME ",\"new\":{\"a\":[1,2.5e-3,{\"b\":null}],\"c\":\"}\"},\"yes\":true,\"no\":false}",
        "{\"a\":-0,\"b\":1E5,\"c\":\"\\u00e9\\n\\\\\\\"\"," TIME "}",
        "{" TIME ",\"\":1}",
        "{" TIME ",\"ja4\":null,\"peer\":7}",
        "{" TIME ",\"d\":[[[[[[[[]]]]]]]]}",
    };
    struct audit_line line;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *why = read_text(rows[i], &line);
        if (why != NULL)
            fail_msg("%s: %s", rows[i], why);
        assert_field(&line, AUDIT_TIME, "2026-11-23T00:40:00.123Z");
        assert_null(line.v[AUDIT_JA4].p);
    }
}

static void what_is_none_is_told(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "x",
        "[]",
        "{",
        "{}",
        "{\"time\":\"yesterday\"}",
        "{\"time\":\"2026-11-23T00:40:00Z\"}",
        "{\"time\":\"2026-11-23 00:40:00.123Z\"}",
        "{\"time\":\"2026-11-23T00:40:00.12\\u0033Z\"}",
        "{\"time\":1795394400}",
        "{" TIME,
        "{" TIME ",",
        "{" TIME ",}",
        "{" TIME "}}",
        "{" TIME "} x",
        "{" TIME ",\"a\"}",
        "{" TIME ",\"a\":}",
        "{" TIME ",\"a\":\"",
        "{" TIME ",\"a\":\"b\\",
        "{" TIME ",\"a\":\"\\x\"}",
        "{" TIME ",\"a\":\"\\u12\"}",
        "{" TIME ",\"a\":\"\\u12g4\"}",
        "{" TIME ",\"a\":\"\t\"}",
        "{" TIME ",\"a\":01}",
        "{" TIME ",\"a\":1.}",
        "{" TIME ",\"a\":1e}",
        "{" TIME ",\"a\":-}",
        "{" TIME ",\"a\":+1}",
        "{" TIME ",\"a\":nul}",
        "{" TIME ",\"a\":truer}",
        "{" TIME ",\"a\":[1,]}",
        "{" TIME ",\"a\":[1 2]}",
        "{" TIME ",\"a\":{1:2}}",
        "{" TIME ",\"a\":{\"b\"}}",
        "{" TIME ",\"a\":[[[[[[[[[]]]]]]]]]}",
        "{" TIME " \"a\":1}",
        "{time:1}",
    };
    struct audit_line line;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (read_text(rows[i], &line) == NULL)
            fail_msg("taken: %s", rows[i]);
}

/* No text that is cut off is a line, wherever it is cut, and every byte that ends a text is seen in any place
 * of a word. */
static void cut_anywhere(void **state)
{
    (void)state;
    struct audit_line line;
    char text[256];
    static const char whole[] =
        "{" TIME ",\"a\":{\"b\":[1.5e2,\"\\u0041\\\"\"]},\"identity\":\"alice of somewhere\"}";
    for (size_t len = 0; len < sizeof(whole) - 1; len++) {
        snprintf(text, sizeof(text), "%.*s", (int)len, whole);
        assert_non_null(read_text(text, &line));
    }
    for (size_t n = 0; n < 40; n++) {
        char name[48];
        memset(name, 'n', sizeof(name));
        name[n] = '\0';
        snprintf(text, sizeof(text), "{" TIME ",\"identity\":\"%s\"}", name);
        assert_null(read_text(text, &line));
        assert_field(&line, AUDIT_IDENTITY, name);
        snprintf(text, sizeof(text), "{" TIME ",\"identity\":\"%s\x1f\"}", name);
        assert_non_null(read_text(text, &line));
    }
}

static void texts_that_are_none_stay(void **state)
{
    (void)state;
    char text[16];
    audit_line_text((struct str){"a\\ud800b", 8}, text, sizeof(text));
    assert_string_equal(text, "a\\ud800b");
    audit_line_text((struct str){"a\xff", 2}, text, sizeof(text));
    assert_string_equal(text, "a?");
    audit_line_text((struct str){"0123456789abcd\xc3\xbc", 16}, text, sizeof(text));
    assert_string_equal(text, "0123456789abcd?");
    audit_line_text((struct str){"0123456789ab\\u00fc\\u00fc", 24}, text, sizeof(text));
    assert_string_equal(text, "0123456789ab\xc3\xbc?");
    audit_line_text((struct str){"0123456789abcdefgh", 18}, text, sizeof(text));
    assert_string_equal(text, "0123456789abcde");
    audit_line_text((struct str){"", 0}, text, sizeof(text));
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),  cmocka_unit_test(what_others_add_is_passed_over),
        cmocka_unit_test(what_is_none_is_told),     cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(texts_that_are_none_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
