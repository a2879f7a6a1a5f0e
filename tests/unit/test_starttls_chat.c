/* SPDX-License-Identifier: Apache-2.0 */
/* chat(8) scripts: what they say and wait for, and what of them is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "starttls/starttls.h"

#define B(text) text, sizeof(text) - 1

static void scripts_become_dialogues(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        const char *in;
        size_t len;
        const char *say;
        size_t say_len;
        enum starttls_status status;
    } cases[] = {
        {"220 'EHLO me\\r\\n\\c' STARTTLS STARTTLS\\r\\n\\c '220 '\n",
         B("220 a\r\n250 STARTTLS\r\n220 go\r\n"), B("EHLO me\r\nSTARTTLS\r\n"), STARTTLS_SWITCH},
        {"# comment\n  '' STARTTLS OK", B("xOK\r\n"), B("STARTTLS\r"), STARTTLS_SWITCH},
        {"'' one '' two OK three", B("OK\n"), B("one\rtwo\rthree\r"), STARTTLS_SWITCH},
        {"a b '' c d ''", B("ad\n"), B("b\rc\r\r"), STARTTLS_SWITCH},
        {"S \\c", B("S"), B(""), STARTTLS_SWITCH},
        {"S\\n go", B("S\n"), B("go\r"), STARTTLS_SWITCH},
        {"a", B("xxa and more"), B(""), STARTTLS_MORE},
        {"a", B("A\n"), B(""), STARTTLS_MORE},
        /* escapes */
        {"a\\s\\t\\\\\\055\\-^M\\n b\\n\\r\\s\\t\\d\\p\\q\\\\\\101\\0\\N^[\\c", B("a \t\\--\r\n"),
         B("b\n\r \t\\A\0\0\x1b"), STARTTLS_SWITCH},
        {"a 'b\"{}\\\\c' c", B("ac\n"), B("b\"{}\\c\r"), STARTTLS_SWITCH},
        {"\"it's\" x", B("it's\n"), B("x\r"), STARTTLS_SWITCH},
        {"a#b c", B("a#b\n"), B("c\r"), STARTTLS_SWITCH},
        /* words that are followed by something */
        {"TIMEOUT 5 SAY 'Hello' ABORT BUSY OK x", B("OK\n"), B("x\r"), STARTTLS_SWITCH},
        {"ABORT BUSY OK x", B("BUSY"), B(""), STARTTLS_FAILED},
        {"OK x ABORT BUSY YES", B("BUSY OK BUSY"), B("x\r"), STARTTLS_FAILED},
        {"OK x ABORT BUSY YES", B("BUSY OK YES\n"), B("x\r"), STARTTLS_SWITCH},
        /* what is sent when nothing comes in time is not sent */
        {"ogin:--ogin: me", B("Login:\n"), B("me\r"), STARTTLS_SWITCH},
        {"a-b-c-d-e f", B("ceab\n"), B("f\r"), STARTTLS_SWITCH},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t piece = 1; piece <= cases[i].len; piece++) {
            struct err err = {""};
            struct starttls *p =
                starttls_parse_chat("test", cases[i].script, strlen(cases[i].script), false, &err);
            if (p == NULL)
                fail_msg("'%s': %s", cases[i].script, err.text);
            struct starttls_run *r = starttls_run_new(p);
            struct buf say = {0};
            enum starttls_status status = STARTTLS_MORE;
            size_t used = 0, n;
            starttls_run_begin(r, starttls_section_named(p, "ask"), &say);
            for (size_t come = piece; status == STARTTLS_MORE && come < cases[i].len + piece; come += piece) {
                size_t end = MIN(come, cases[i].len);
                status = starttls_run_step(r, (const uint8_t *)cases[i].in + used, end - used, &n, &say);
                used += n;
            }
            if (status != cases[i].status || say.len != cases[i].say_len ||
                (say.len > 0 && memcmp(say.data, cases[i].say, say.len) != 0))
                fail_msg("'%s' on '%s': status %d, said '%.*s', '%s'", cases[i].script, cases[i].in, status,
                         (int)say.len, say.data, starttls_run_text(r));
            if (status == STARTTLS_FAILED) {
                assert_int_equal(starttls_run_failure(r), STARTTLS_REFUSED);
                assert_non_null(strstr(starttls_run_text(r), "ABORT"));
            }
            starttls_run_free(r);
            starttls_free(p);
            buf_free(&say);
        }
    }
}

static void what_has_no_meaning_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *script, *error;
    } cases[] = {
        {"", "test:1:1: found nothing to expect, so TLS would never begin; expected a text"},
        {"# a\n", "test:2:1: found nothing to expect, so TLS would never begin; expected a text"},
        {"'' STARTTLS", "test:1:12: found nothing to expect, so TLS would never begin; expected a text"},
        {"a b\n'c", "test:2:1: found a quote that is not closed, expected ' at the text's end"},
        {"a \"c\\\"", "test:1:3: found a quote that is not closed, expected \" at the text's end"},
        {"a b\\", "test:1:4: found a backslash at the end of a text; one of the text itself is written \\\\"},
        {"a\\d b", "test:1:2: found '\\d', expected one of \\b \\n \\r \\s \\t \\N \\\\ \\0 to \\377"},
        {"a b\\K", "test:1:4: found '\\K', expected one of \\b \\n \\r \\s \\t \\N \\\\ \\0 to \\377, \\d "
                   "\\p \\q, or \\c at the end"},
        {"a b\\cd", "test:1:4: found '\\c', expected one of \\b \\n \\r \\s \\t \\N \\\\ \\0 to \\377, \\d "
                    "\\p \\q, or \\c at the end"},
        {"a EOT", "test:1:3: found EOT, expected a text to send: that is for terminals"},
        {"a BREAK", "test:1:3: found BREAK, expected a text to send: that is for terminals"},
        {"a @/etc/passwd", "test:1:3: found '@/etc/passwd', expected a text to send: files are not read"},
        {"HANGUP OFF a b",
         "test:1:1: found HANGUP, which has no meaning here: leave it out, with what follows it"},
        {"a b\nECHO ON",
         "test:2:1: found ECHO, which has no meaning here: leave it out, with what follows it"},
        {"REPORT x", "test:1:1: found REPORT, which has no meaning here: leave it out, with what follows it"},
        {"CLR_ABORT x",
         "test:1:1: found CLR_ABORT, which has no meaning here: leave it out, with what follows it"},
        {"a b ABORT", "test:1:10: found the end of the file, expected what ABORT is about"},
        {"ABORT '' a b", "test:1:7: found nothing to abort at, expected a text"},
        {"TIMEOUT soon a b", "test:1:9: found 'soon', expected a time in seconds behind TIMEOUT"},
        {"250-STARTTLS x", "test:1:1: found '250-STARTTLS', expected another '-' and a text behind what is "
                           "sent when nothing comes in "
                           "time; a '-' of the text itself is written \\-"},
        {"-a-b x", "test:1:1: found nothing before '-', expected a text"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {""};
        struct starttls *p =
            starttls_parse_chat("test", cases[i].script, strlen(cases[i].script), false, &err);
        if (p != NULL || strcmp(err.text, cases[i].error) != 0)
            fail_msg("'%s': '%s', expected '%s'", cases[i].script, err.text, cases[i].error);
    }
}

static void chat_has_bounds(void **state)
{
    (void)state;
    struct buf text = {0};
    struct err err;
    for (int i = 0; i < 129; i++)
        assert_true(buf_printf(&text, "a b\n"));
    assert_null(starttls_parse_chat("test", (const char *)text.data, text.len, false, &err));
    assert_string_equal(err.text, "test:129:1: found more than 128 texts to expect");
    text.len = 0;
    for (int i = 0; i < 33; i++)
        assert_true(buf_printf(&text, "ABORT b\n"));
    assert_null(starttls_parse_chat("test", (const char *)text.data, text.len, false, &err));
    assert_string_equal(err.text, "test:33:7: found more than 32 texts to abort at");
    while (text.len <= 65536)
        assert_true(buf_append(&text, " ", 1));
    assert_null(starttls_parse_chat("test", (const char *)text.data, text.len, false, &err));
    assert_string_equal(err.text, "test: found 65537 bytes, expected at most 65536");
    buf_free(&text);
}

static void an_answer_is_a_section_of_that_name(void **state)
{
    (void)state;
    static const char first[] = "'' '220 hi\\r\\n\\c' STARTTLS '220 go\\r\\n\\c'",
                      second[] = "STARTTLS '220 go\\r\\n\\c'";
    struct err err;
    struct starttls *p = starttls_parse_chat("test", B(first), true, &err);
    assert_int_equal(starttls_section_named(p, "ask"), -1);
    assert_true(starttls_speaks_first(p, starttls_section_named(p, "answer")));
    starttls_free(p);
    p = starttls_parse_chat("test", B(second), true, &err);
    assert_false(starttls_speaks_first(p, starttls_section_named(p, "answer")));
    starttls_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_become_dialogues),
        cmocka_unit_test(what_has_no_meaning_is_told),
        cmocka_unit_test(chat_has_bounds),
        cmocka_unit_test(an_answer_is_a_section_of_that_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
