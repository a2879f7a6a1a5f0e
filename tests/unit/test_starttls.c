/* SPDX-License-Identifier: Apache-2.0 */
/* The language of scripts: what is read, what is refused and where, and what statements do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/file.h"
#include "starttls/starttls.h"

#define B(text) text, sizeof(text) - 1
#define HEAD "section greet\nstate s\n"

static struct starttls *parse(const char *text, size_t len, struct err *err)
{
    char *exact = malloc(len > 0 ? len : 1); /* so that a sanitizer sees what is read past the end */
    assert_non_null(exact);
    memcpy(exact, text, len);
    struct starttls *p = starttls_parse("test", exact, len, err);
    free(exact);
    return p;
}

static void broken_scripts_are_told_where(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        size_t len;
        const char *error;
    } cases[] = {
        {B(""), "test:1:1: found no section, expected 'section ask' or 'section answer' at least"},
        {B("# only this"),
         "test:1:12: found no section, expected 'section ask' or 'section answer' at least"},
        {B("port x\n"), "test:1:6: found 'x', expected a port"},
        {B("port 65536\n"), "test:1:6: found '65536', expected a port"},
        {B("port 1 2\n"), "test:1:8: found '2', expected the end of the line"},
        {B("prot 1\n"), "test:1:1: found 'prot', expected a statement: port, alpn, close, user, unit, "
                        "welcome, section, begin, "
                        "state, on, near or far"},
        {B("\"a\"\n"),
         "test:1:1: found 'a', expected a statement: port, alpn, close, user, unit, welcome, section, begin, "
         "state, on, near or far"},
        {B("close\n"), "test:1:6: found the end of the line, expected 'premature'"},
        {B("close late\n"), "test:1:7: found 'late', expected 'premature'"},
        {B("close premature x\n"), "test:1:17: found 'x', expected the end of the line"},
        {B("unit\n"), "test:1:5: found the end of the line, expected a unit: line, tag, bytes N, frame, ber, "
                      "telnet, stream or content"},
        {B("unit word\n"), "test:1:6: found 'word', expected a unit: line, tag, bytes N, frame, ber, telnet, "
                           "stream or content"},
        {B("unit bytes 0\n"), "test:1:12: found '0', expected a number of bytes, from 1 to 1024"},
        {B("unit bytes 1025\n"), "test:1:12: found '1025', expected a number of bytes, from 1 to 1024"},
        {B("unit frame u9 0 0\n"),
         "test:1:12: found 'u9', expected the length field: u8, u16be, u16le, u24be, u24le, u32be or u32le"},
        {B("unit frame u8 2000 0\n"),
         "test:1:15: found '2000', expected where the length field stands, in bytes"},
        {B("unit frame u8 0\n"),
         "test:1:16: found the end of the line, expected how many bytes the length does not count"},
        {B("section a\nstate b\nunit line\n"),
         "test:3:1: 'unit' for all states stands before the first section"},
        {B("section\n"), "test:1:8: found the end of the line, expected the section's name"},
        {B("section a\n"), "test:2:1: section a has no state"},
        {B("section a\nsection b\n"), "test:2:1: section a has no state"},
        {B("section a\nstate b\nsection a\n"), "test:3:9: there is a section 'a' already"},
        {B("state b\n"), "test:1:1: found a state, expected a section before it"},
        {B("section a\nstate b\nstate b\n"), "test:3:7: there is a state 'b' in this section already"},
        {B("section a\non \"x\": done\n"), "test:2:1: found a rule, expected a state before it"},
        {B("begin send \"x\"\n"), "test:1:1: 'begin' stands once, between a section and its first state"},
        {B("section a\nbegin send \"x\"\nbegin send \"y\"\n"),
         "test:3:1: 'begin' stands once, between a section and its first state"},
        {B("section a\nbegin send \"x\"; switch\n"),
         "test:2:23: 'begin' can send, set and add; the rest is for rules"},
        {B("section a\nbegin send \"x\"; bye\n"),
         "test:2:20: 'begin' can send, set and add; the rest is for rules"},
        {B("section unavailable\nbegin send \"x\"; done\n"),
         "test:2:21: 'begin' can send, set and add, and bye; the rest is for rules"},
        {B("section unavailable\nbegin send \"x\"\n"), "test:3:1: section unavailable has no state"},
        {B("section unavailable\nbegin if greeted send \"x\"; bye\n"),
         "test:3:1: section unavailable has no state"},
        {B("section a\nbegin if send \"x\"\n"),
         "test:2:15: found 'x', expected an action: send, set, add, go, "
         "stay, switch, done, plain, bye, missing, refused or wrong"},
        {B(HEAD "on\n"), "test:3:3: found the end of the line, expected a pattern: texts in quotes, "
                         "x\"bytes\", {name}, any, cstring, pairs, tag or tlv"},
        {B(HEAD "on \"a\"\n"), "test:3:7: found the end of the line, expected ':' and what is done then"},
        {B(HEAD "on \"a\":\n"), "test:3:8: found the end of the line, expected an action: send, set, add, "
                                "go, stay, switch, done, plain, bye, missing, refused or wrong"},
        {B(HEAD "on \"a\": jump\n"), "test:3:9: found 'jump', expected an action: send, set, add, go, stay, "
                                     "switch, done, plain, bye, missing, refused or wrong"},
        {B(HEAD "on \"a\": go\n"), "test:3:11: found the end of the line, expected the name of a state"},
        {B(HEAD "on \"a\": go there\n"), "test:3:12: found 'there', expected a state of this section"},
        {B(HEAD "on \"a\": plain there\n"), "test:3:15: found 'there', expected a section of this script"},
        {B(HEAD "on \"a\": switch; stay\n"),
         "test:3:15: found ';', expected nothing: the action before ends the rule"},
        {B(HEAD "on \"a\": send \"b\" stay\n"),
         "test:3:18: found 'stay', expected ';' and another action, or the end of the line"},
        {B(HEAD "on \"a\": send\n"),
         "test:3:13: found the end of the line, expected what to say: texts in quotes, x\"bytes\", {name}, "
         "len8(), size32(), packet24(), base64(), xtext() or xml()"},
        {B(HEAD "on \"a\": send len8 \"b\"\n"), "test:3:19: found 'b', expected '(' behind the function"},
        {B(HEAD "on \"a\": send len8(\"b\"\n"),
         "test:3:22: found the end of the line, expected texts, bytes or variables, and ')'"},
        {B(HEAD "on \"a\": send len8(len8(\"b\"))\n"),
         "test:3:19: found 'len8', expected texts, bytes or variables, and ')'"},
        {B(HEAD "on \"a\": send {}\n"),
         "test:3:14: found '', expected the name of a variable between the braces"},
        {B(HEAD "on \"a\": send {a b}\n"),
         "test:3:14: found '{a b}', expected a name of letters, digits, '-', '_' and '.'"},
        {B(HEAD "on \"a\": set \"x\"\n"), "test:3:13: found 'x', expected the name of a variable"},
        {B(HEAD "on \"a: done\n"),
         "test:3:4: found a quote or brace that is not closed, or a stray character, expected "
         "a pattern: texts in quotes, x\"bytes\", {name}, any, cstring, pairs, tag or tlv"},
        {B(HEAD "on \"a\\\": done\n"),
         "test:3:4: found a quote or brace that is not closed, or a stray character, expected "
         "a pattern: texts in quotes, x\"bytes\", {name}, any, cstring, pairs, tag or tlv"},
        {B(HEAD "on {a: done\n"),
         "test:3:4: found a quote or brace that is not closed, or a stray character, expected "
         "a pattern: texts in quotes, x\"bytes\", {name}, any, cstring, pairs, tag or tlv"},
        {B(HEAD "on \"a{b\": done\n"),
         "test:3:4: found a '{' that is not closed; a brace of the text itself is written \\{"},
        {B(HEAD "on \"a\\q\": done\n"),
         "test:3:4: found an unknown escape, expected \\r \\n \\t \\0 \\\" \\\\ \\{ or \\}"},
        {B(HEAD "on \"{a}{b}\": done\n"),
         "test:3:12: behind {name} or {name...} a text in quotes is expected, or the pattern's end"},
        {B(HEAD "on {a...} x\"00\": done\n"),
         "test:3:16: behind {name} or {name...} a text in quotes is expected, or the pattern's end"},
        {B(HEAD "on x\"0\": done\n"),
         "test:3:4: found '0', expected bytes as two hexadecimal digits each, ?? or & and two digits"},
        {B(HEAD "on x\"0g\": done\n"),
         "test:3:4: found '0g', expected bytes as two hexadecimal digits each, ?? or & and two digits"},
        {B(HEAD "on x\"&\": done\n"),
         "test:3:4: found '', expected bytes as two hexadecimal digits each, ?? or & and two digits"},
        {B(HEAD "on \"a\": send x\"??\"\n"),
         "test:3:14: found '?\?', expected bytes as two hexadecimal digits each"},
        {B(HEAD "on any 5000: done\n"), "test:3:8: found '5000', expected a number of bytes"},
        {B(HEAD "on any x: done\n"), "test:3:8: found 'x', expected a number of bytes"},
        {B(HEAD "on tag 100: done\n"), "test:3:8: found '100', expected a tag as two hexadecimal digits"},
        {B(HEAD "on {...} has x: done\n"),
         "test:3:14: found 'x', expected the word that must be there, in quotes"},
        {B(HEAD "on {...} has \"\": done\n"),
         "test:3:14: found '', expected the word that must be there, in quotes"},
        {B(HEAD "on if \"x\" {...}: done\n"), "test:3:7: found 'x', expected the name of a variable"},
        {B("section a\nstate b unit stream\non {...}: done\n"),
         "test:3:15: in a stream a rule has one text to look for, without anything to capture"},
        {B("section a\nstate b unit stream\non \"\": done\n"),
         "test:3:12: in a stream a rule has one text to look for, without anything to capture"},
        {B(HEAD "on \"a\" @: done\n"),
         "test:3:8: found a quote or brace that is not closed, or a stray character, expected "
         "':' and what is done then"},
        {B(HEAD "\0"),
         "test:3:1: found a quote or brace that is not closed, or a stray character, expected "
         "a statement: port, alpn, close, user, unit, welcome, section, begin, state, on, near or far"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {""};
        struct starttls *p = parse(cases[i].script, cases[i].len, &err);
        if (p != NULL || strcmp(err.text, cases[i].error) != 0)
            fail_msg("'%s': '%s', expected '%s'", cases[i].script, err.text, cases[i].error);
    }
}

/* What can be read but makes no sense. */
static void scripts_that_make_no_sense_are_told_where(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        size_t len;
        const char *error;
    } cases[] = {
        {B("unit line\nsection greet\nbegin send \"HI\\r\\n\"\nstate s\non \"a\": done\n"),
         "test:3:7: found the end of a line in what is to be said, expected none: units are lines here, and "
         "each gets its end by itself"},
        {B("section greet\nstate s\non \"I am {user}\": done\n"),
         "test:3:4: found 'user' where a variable gets a value, expected a name of the script's own: that "
         "one is "
         "told to it, and nobody else is to say what it holds"},
        {B("section relay-server\nstate s\nnear \"x\": drop user; forward\n"),
         "test:3:16: found 'user' where a variable gets a value, expected a name of the script's own: that "
         "one is "
         "told to it, and nobody else is to say what it holds"},
        {B("section greet\nstate s\non \"x\": set addr \"1\"; done\n"),
         "test:3:13: found 'addr' where a variable gets a value, expected a name of the script's own: that "
         "one is "
         "told to it, and nobody else is to say what it holds"},
        {B("section answr\nstate s\non \"a\": switch\n"),
         "test:1:9: found section 'answr', which no 'plain' names; expected ask, answer, greet, settle, "
         "identify, unavailable, "
         "relay-server, relay-client, relay-both or relay-identify; did you mean 'answer'?"},
        {B("section ask\nstate s\non \"a\": done\n"),
         "test:1:9: found a section ask in which TLS never begins, expected 'switch' in one of its rules"},
        {B(HEAD "on \"a\": done\nstate t\non \"b\": done\n"),
         "test:4:7: found state 't', to which nothing leads; expected a 'go t' in this section"},
        {B(HEAD "on {...}: stay\non \"b\": done\n"),
         "test:4:1: found a rule behind one that takes everything ({...} without a condition), so it would "
         "never match; expected it before that one"},
        {B(HEAD "on \"a\" | {x...}: stay\non if me \"b\": done\n"),
         "test:4:1: found a rule behind one that takes everything ({...} without a condition), so it would "
         "never match; expected it before that one"},
        {B(HEAD "on \"x {tok}\": send \"y {tik}\"\n"), "test:3:23: found 'tik', which nothing in the script "
                                                       "sets, adds to or takes from the peer, and which "
                                                       "has no value by itself; did you mean 'tok'?"},
        {B("welcome {greting}\n" HEAD "on \"{greeting...}\": done\n"),
         "test:1:9: found 'greting', which nothing in the script sets, adds to or takes from the peer, and "
         "which "
         "has no value by itself; did you mean 'greeting'?"},
        {B(HEAD "on if requird \"x\": done\n"), "test:3:7: found 'requird', which nothing in the script "
                                                "sets, adds to or takes from the peer, and which "
                                                "has no value by itself; did you mean 'required'?"},
        {B(HEAD "on \"a\": send xml({zzzz})\n"), "test:3:18: found 'zzzz', which nothing in the script sets, "
                                                 "adds to or takes from the peer, and which "
                                                 "has no value by itself"},
    };
    static const char *const good[] = {
        /* a variable is known wherever something gives it a value; sections that `plain` names are */
        "welcome {b}\nsection mine\nstate s\non any 1 {b}: stay\nsection answer\nstate s\non \"a\": plain "
        "mine\n",
        HEAD "on if me {...}: stay\non {...} has \"x\": stay\non {...} \"y\": stay\non {...}: go t\n"
             "state t\non {...}: done\n",
        "section relay-client\nstate s\nnear {...}: forward\nfar \"x\": stay\n",
        "section unavailable\nbegin send \"x\"; bye\nsection answer\nstate s\non \"a\": switch\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {""};
        struct starttls *p = parse(cases[i].script, cases[i].len, &err);
        if (p != NULL || strcmp(err.text, cases[i].error) != 0)
            fail_msg("'%s': '%s', expected '%s'", cases[i].script, err.text, cases[i].error);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct err err = {""};
        struct starttls *p = parse(good[i], strlen(good[i]), &err);
        if (p == NULL)
            fail_msg("'%s': '%s'", good[i], err.text);
        starttls_free(p);
    }
}

/* More than indices can name is said, and nothing is read or written beyond. */
static void scripts_have_bounds(void **state)
{
    (void)state;
    struct buf text = {0};
    struct err err;
    assert_true(buf_printf(&text, "section a\nstate b\non "));
    while (text.len < 250000)
        assert_true(buf_append(&text, "{}|", 3));
    assert_true(buf_printf(&text, "{}: done\n"));
    assert_null(parse((const char *)text.data, text.len, &err));
    assert_non_null(strstr(err.text, "the script is too long"));
    while (text.len < 300000)
        assert_true(buf_append(&text, "#", 1));
    assert_null(parse((const char *)text.data, text.len, &err));
    assert_string_equal(err.text, "test: found 300000 bytes, expected at most 262144");
    text.len = 0;
    assert_true(buf_printf(&text, HEAD "on \"a\": send "));
    for (int i = 0; i < 65; i++)
        assert_true(buf_printf(&text, "{v%d}", i));
    assert_null(parse((const char *)text.data, text.len, &err));
    assert_non_null(strstr(err.text, "found more than 64 names of variables"));
    buf_free(&text);
}

/* TLS was to begin, and the server greets in the clear: its words tell what it speaks. */
static void what_a_server_says_in_the_clear(void **state)
{
    (void)state;
    static const struct {
        const char *found;
        size_t len;
        const char *text; /* behind "expected TLS, found " */
    } rows[] = {
        {B("220 mx.example.com ESMTP\r\n250 x"),
         "'220 mx.example.com ESMTP' in the clear; perhaps --starttls smtp"},
        {B("220 (vsFTPd 3.0.3)\r\n"), "'220 (vsFTPd 3.0.3)' in the clear; perhaps --starttls ftp"},
        {B("220 mx LMTP\n"), "'220 mx LMTP' in the clear; perhaps --starttls lmtp"},
        {B("220-h"), "'220-h' in the clear; perhaps --starttls smtp (or ftp, lmtp)"},
        {B("* OK [CAPABILITY x]\r\n"), "'* OK [CAPABILITY x]' in the clear; perhaps --starttls imap"},
        {B("+OK hi\r\n"), "'+OK hi' in the clear; perhaps --starttls pop3"},
        {B("200 hi\r\n"), "'200 hi' in the clear; perhaps --starttls nntp"},
        {B("201 hi\r\n"), "'201 hi' in the clear; perhaps --starttls nntp"},
        {B("\"IMPLEMENTATION\" \"x\"\r\n"),
         "'\"IMPLEMENTATION\" \"x\"' in the clear; perhaps --starttls managesieve"},
        {B(":irc.example.com NOTICE * :hi\r\n"),
         "':irc.example.com NOTICE * :hi' in the clear; perhaps --starttls irc"},
        {B("\xff\xfd\x18"), "'\\xff\\xfd\\x18' in the clear; perhaps --starttls telnet"},
        {B("\x4a\0\0\0\x0a"
           "8.0"),
         "'J\\x00\\x00\\x00\\x0a8.0' in the clear; perhaps --starttls mysql"},
        {B("SSH-2.0-x\r\n"), "'SSH-2.0-x' in the clear"},
        {B("\x1b[2J\r\n"), "'\\x1b[2J' in the clear"},
        {B("\n"), "'' in the clear"},
        {B("+"), "'+' in the clear"},
    };
    char text[STARTTLS_CLEAR_MAX], expected[STARTTLS_CLEAR_MAX];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str found = {rows[i].found, rows[i].len};
        snprintf(expected, sizeof(expected), "expected TLS, found %s", rows[i].text);
        assert_string_equal(starttls_found_clear(found, "--starttls ", text), expected);
        assert_null(strstr(starttls_found_clear(found, NULL, text), "perhaps"));
    }
    char much[1000];
    memset(much, 'x', sizeof(much));
    starttls_found_clear((struct str){much, sizeof(much)}, "--starttls ", text);
    assert_non_null(strstr(text, "xxx...' in the clear"));
    assert_true(strlen(text) < 120);
}

static void names_of_protocols_where_tls_begins_at_once(void **state)
{
    (void)state;
    static const char *const at_once[] = {"imaps", "pop3s", "smtps", "submissions", "ldaps",
                                          "ftps",  "nntps", "ircs",  "xmpps",       "mysqls"};
    static const char *const others[] = {
        "imap", "s", "", "ss", "nix", "gophers", "a-name-that-is-much-too-long-to-be-ones"};
    for (size_t i = 0; i < ARRAY_LEN(at_once); i++)
        assert_true(starttls_is_at_once(at_once[i]));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(starttls_is_at_once(others[i]));
}

struct play {
    const char *script;
    const char *in;
    size_t len;
    const char *say;
    size_t say_len;
    enum starttls_status status;
    enum starttls_failure failure;
    size_t used;
};

static void play_one(const struct play *c, size_t piece)
{
    struct err err = {""};
    struct starttls *p = parse(c->script, strlen(c->script), &err);
    if (p == NULL)
        fail_msg("'%s': %s", c->script, err.text);
    struct starttls_run *r = starttls_run_new(p);
    struct buf say = {0};
    size_t used = 0, n;
    enum starttls_status status = STARTTLS_MORE;
    starttls_run_begin(r, 0, &say);
    for (size_t come = MIN(piece, c->len); status == STARTTLS_MORE; come = MIN(come + piece, c->len)) {
        status = starttls_run_step(r, (const uint8_t *)c->in + used, come - used, &n, &say);
        used += n;
        if (come == c->len)
            break;
    }
    if (status != c->status || starttls_run_failure(r) != c->failure || used != c->used ||
        say.len != c->say_len || memcmp(c->say, say.len > 0 ? (const char *)say.data : "", say.len) != 0)
        fail_msg("'%s' on '%s' in pieces of %zu: status %d, failure %d, used %zu, said '%.*s', text '%s'",
                 c->script, c->in, piece, status, starttls_run_failure(r), used, (int)say.len, say.data,
                 starttls_run_text(r));
    starttls_run_free(r);
    starttls_free(p);
    buf_free(&say);
}

#define LINES "unit line\n" HEAD
#define BYTES "unit bytes 4\n" HEAD

static void statements_do_what_they_say(void **state)
{
    (void)state;
    static const struct play cases[] = {
        /* texts, captures, templates */
        {LINES "on \"Hello {a} and {b...}\": send \"{b},\" {a}\n", B("hELLO x and y z\n"), B("y z,x\r\n"),
         STARTTLS_MORE, 0, 16},
        {LINES "on \"({a})\": send {a}\n", B("(x)\r\n"), B("x\r\n"), STARTTLS_MORE, 0, 5},
        {LINES "on \"<{a...}>\": send {a}\n", B("<x>y>\r\n"), B("x>y\r\n"), STARTTLS_MORE, 0, 7},
        {LINES "on \"{a} x\": done\non {...}: send \"no\"\n", B(" x\r\n\x01 x\r\n"), B("no\r\nno\r\n"),
         STARTTLS_MORE, 0, 9},
        {LINES "on \"\": send \"empty\"\n", B("\r\n\n"), B("empty\r\nempty\r\n"), STARTTLS_MORE, 0, 3},
        {LINES "on \"\\{\\}\\\\\\\"\\t\": send \"\\t\"\n", B("{}\\\"\t\n"), B("\t\r\n"), STARTTLS_MORE, 0, 6},
        {LINES "on \"a\" | \"b{c}\": send {unit}\n", B("a\nbx\nb\n"), B("a\r\nbx\r\n"), STARTTLS_FAILED,
         STARTTLS_WRONG, 7},
        {LINES "on {...} has \"TLS\": send {unit}\non {...}: stay\n", B("x [tls] y\nXTLS\nTLS=1\n"),
         B("x [tls] y\r\nTLS=1\r\n"), STARTTLS_MORE, 0, 21},
        {LINES "on {...}: \\\n  send \"a\"; \\\r\n  done # over\n", B("x\nrest"), B("a\r\n"), STARTTLS_DONE,
         0, 2},
        /* variables and conditions */
        {LINES "on if a \"x\": send {a}\non unless a \"x\": set a \"1\" \"2\"\non \"y\": add a \"3\"; send "
               "\"ok\"\n",
         B("x\nx\ny\n"), B("12\r\nok\r\n"), STARTTLS_MORE, 0, 6},
        {LINES
         "on \"x\": send base64(\"a\") \" \" base64(\"ab\") \" \" base64(\"abc\") \" \" base64({addr})\n",
         B("x\n"), B("YQ== YWI= YWJj \r\n"), STARTTLS_MORE, 0, 2},
        {LINES "on \"x\": send xtext(\"a+b=c d\\r\")\n", B("x\n"), B("a+2Bb+3Dc+20d+0D\r\n"), STARTTLS_MORE,
         0, 2},
        {LINES "on \"{a...}\": send xml({a})\n", B("<'\">&\n"), B("&lt;&apos;&quot;&gt;&\r\n"), STARTTLS_MORE,
         0, 6},
        {LINES "on \"x\": set v \"a\" x\"0a\" \"b\"; send \"{v}\"\n", B("x\n"), B(""), STARTTLS_FAILED,
         STARTTLS_WRONG, 2},
        /* ends */
        {LINES "on \"x\": switch\n", B("x\n"), B(""), STARTTLS_SWITCH, 0, 2},
        {LINES "on \"x\": plain\n", B("x\ny\n"), B(""), STARTTLS_PLAIN, 0, 0},
        {LINES "on \"y\": stay\non \"x\": plain greet\n", B("y\nx\ny\n"), B(""), STARTTLS_PLAIN, 0, 2},
        {LINES "on \"x\": send \"a\"; bye\n", B("x\n"), B("a\r\n"), STARTTLS_BYE, 0, 2},
        {LINES "on \"x\": send \"a\"; missing \"b\"\n", B("x\n"), B("a\r\n"), STARTTLS_FAILED,
         STARTTLS_MISSING, 2},
        {LINES "on \"x\": refused \"b\"\n", B("x\n"), B(""), STARTTLS_FAILED, STARTTLS_REFUSED, 2},
        {LINES "on \"x\": wrong \"b\"\n", B("x\n"), B(""), STARTTLS_FAILED, STARTTLS_WRONG, 2},
        {LINES "on \"x\": go t\nstate t unit bytes 2\non \"ab\": go u\nstate u\non \"y\": done\n",
         B("x\naby\n"), B(""), STARTTLS_DONE, 0, 6},
        {"unit line\nsection greet\nbegin set v \"1\"; add v \"2\"; send \"hi\"\nstate s\non if v \"x\": "
         "done\n",
         B("x\n"), B("hi\r\n"), STARTTLS_DONE, 0, 2},
        {"section greet\nbegin if v send \"hi\"\nstate s\non \"x\": set v \"1\"; done\n", B("x\n"), B(""),
         STARTTLS_DONE, 0, 2},
        {"section greet\nbegin unless v send \"hi\"\nstate s\non \"x\": set v \"1\"; done\n", B("x\n"),
         B("hi\r\n"), STARTTLS_DONE, 0, 2},
        {"section unavailable\nbegin send \"hi\"; bye\n", B("x\n"), B("hi\r\n"), STARTTLS_BYE, 0, 0},
        /* bytes */
        {BYTES "on x\"01 ?? &0c 04\": send x\"00 FF\" \"a\"; done\n", B("\1\2\x1d\4"),
         B("\0\xff"
           "a"),
         STARTTLS_DONE, 0, 4},
        {BYTES "on x\"01 ?? &0c 04\": done\n", B("\1\2\x14\4"), B(""), STARTTLS_FAILED, STARTTLS_WRONG, 4},
        {BYTES "on any 2 {a} x\"03 04\": send size32({a}); done\n", B("ab\3\4"), B("\0\0\0\6ab"),
         STARTTLS_DONE, 0, 4},
        {BYTES "on cstring cstring: send len8(\"abc\"); done\n", B("a\0b\0"), B("\3abc"), STARTTLS_DONE, 0,
         4},
        {BYTES "on any 2 {a} any 2: send packet24(x\"07\" {a}); done\n", B("abcd"), B("\2\0\0\7ab"),
         STARTTLS_DONE, 0, 4},
        {BYTES "on any 4: send packet24(\"\"); done\n", B("abcd"), B(""), STARTTLS_FAILED, STARTTLS_TOO_MUCH,
         4},
        {BYTES "on cstring: done\n", B("abcd"), B(""), STARTTLS_FAILED, STARTTLS_WRONG, 4},
        {"unit bytes 11\n" HEAD "on pairs {a} \"k\\0\" pairs {b} x\"00\": send len8({a}) len8({b}); done\n",
         B("kk\0x\0k\0y\0\0\0"), B("\5kk\0x\0\3y\0\0"), STARTTLS_DONE, 0, 11},
        {BYTES "on pairs: done\n", B("a\0b\0"), B(""), STARTTLS_DONE, 0, 4},
        {BYTES "on pairs {...}: send \"none\"; done\n", B("\0a\0b"), B("none"), STARTTLS_DONE, 0, 4},
        {BYTES "on pairs {...}: done\n", B("ab\0c"), B(""), STARTTLS_FAILED, STARTTLS_WRONG, 4},
        {BYTES "on any 5: done\n", B("abcd"), B(""), STARTTLS_FAILED, STARTTLS_WRONG, 4},
        /* frames, elements */
        {"unit frame u16le 1 1\n" HEAD "on any 3 \"x\": done\n", B("\0\3\0x"), B(""), STARTTLS_DONE, 0, 4},
        {"unit frame u8 0 0\n" HEAD "on {...}: done\n", B("\0"), B(""), STARTTLS_FAILED, STARTTLS_WRONG, 0},
        {"unit frame u8 0 1\n" HEAD "on {...}: done\n", B("\0"), B(""), STARTTLS_DONE, 0, 1},
        {"unit frame u24be 0 3\n" HEAD "on {...}: done\n", B("\1\0\0"), B(""), STARTTLS_FAILED,
         STARTTLS_TOO_MUCH, 0},
        {"unit ber\n" HEAD "on tag 30 tlv 02 {i} tag 04 \"x\": send {i}; done\n", B("\x30\x81\6\2\1\5\4\1x"),
         B("\2\1\5"), STARTTLS_DONE, 0, 9},
        {"unit ber\n" HEAD "on tag 30 tlv 02 {i}: done\n", B("\x30\3\2\2\5"), B(""), STARTTLS_FAILED,
         STARTTLS_WRONG, 5},
        {"unit ber\n" HEAD "on tlv 02 {i}: send len8({i})\n", B("\2\0"), B("\2\2\0"), STARTTLS_MORE, 0, 2},
        /* tags and text */
        {"unit tag\n" HEAD "on \"<a{...}>\": send {unit}\non \"text\": stay\n",
         B(" <a b='>' c=\"'>\">\n text text<a>"), B("<a b='>' c=\"'>\"><a>"), STARTTLS_MORE, 0, 31},
        /* telnet */
        {"unit telnet\n" HEAD
         "on x\"ff\" any 1: send \"2\"\non x\"ff\" any 2: send \"3\"\non x\"ff fa\" {...}: send \"s\"\n"
         "on {...}: send {unit}\n",
         B("a\xff\xf1\xff\xfb\1\xff\xff\xff\xfa\1\xff\xff\xff\xf0z"), B("a232sz"), STARTTLS_MORE, 0, 16},
        /* streams: the text that is complete first, wherever it begins */
        {"unit stream\n" HEAD "on \"abcd\": send \"4\"\non \"bc\": send \"2\"\n", B("abcdabcd"), B("22"),
         STARTTLS_MORE, 0, 7},
        {"unit stream\n" HEAD "on \"bc\": send \"2\"\non \"abc\": send \"3\"\n", B("xxxABCabcx"), B("2"),
         STARTTLS_MORE, 0, 9},
        {"unit stream\n" HEAD "on \"abc\": switch\n", B("aababc"), B(""), STARTTLS_SWITCH, 0, 6},
        {"unit stream\n" HEAD "on \"abc\": done\n", B("aababab"), B(""), STARTTLS_MORE, 0, 5},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t piece = 1; piece <= cases[i].len; piece++)
            play_one(&cases[i], piece);
}

static void a_stream_holds_no_more_than_its_texts_are_long(void **state)
{
    (void)state;
    static const char script[] = "unit stream\n" HEAD "on \"end.\": done\n";
    struct err err;
    struct starttls *p = parse(B(script), &err);
    struct starttls_run *r = starttls_run_new(p);
    struct buf say = {0};
    size_t used, all = 0;
    enum starttls_status status = STARTTLS_MORE;
    starttls_run_begin(r, 0, &say);
    for (; status == STARTTLS_MORE; all += used) {
        status = starttls_run_step(r, (const uint8_t *)B("en en en en"), &used, &say);
        assert_true(status != STARTTLS_MORE || used == 8);
    }
    assert_int_equal(starttls_run_failure(r), STARTTLS_TOO_MUCH);
    assert_true(all <= STARTTLS_BYTES_MAX);
    /* it stays so */
    assert_int_equal(starttls_run_step(r, (const uint8_t *)B("end."), &used, &say), STARTTLS_FAILED);
    starttls_run_free(r);
    starttls_free(p);
}

/* An error's text can be printed wherever it ends up. */
static void what_the_peer_said_is_shown_safely(void **state)
{
    (void)state;
    static const char script[] = "unit line\n" HEAD "on \"x{a...}\": refused \"it says {a}\"\n";
    struct err err;
    struct starttls *p = parse(B(script), &err);
    struct starttls_run *r = starttls_run_new(p);
    struct buf say = {0};
    size_t used;
    starttls_run_begin(r, 0, &say);
    starttls_run_step(r, (const uint8_t *)B("x\x1b[1m\xc3\xa9\n"), &used, &say);
    assert_string_equal(starttls_run_text(r), "test: it says ?[1m??; the server said 'x\\x1b[1m\\xc3\\xa9'");
    starttls_run_free(r);
    starttls_free(p);
}

static void check_waiting(const char *script, const char *said, const char *expected)
{
    struct err err = {""};
    struct starttls *p = parse(script, strlen(script), &err);
    assert_string_equal(err.text, "");
    for (size_t piece = 1; piece <= MAX(strlen(said), (size_t)1); piece++) {
        struct starttls_run *r = starttls_run_new(p);
        struct buf say = {0};
        char text[STARTTLS_WAITING_MAX];
        size_t used = 0, n, len = strlen(said);
        starttls_run_begin(r, 0, &say);
        for (size_t come = MIN(piece, len); used < len; come = MIN(come + piece, len)) {
            starttls_run_step(r, (const uint8_t *)said + used, come - used, &n, &say);
            used += n;
            if (come == len)
                break;
        }
        struct str pending = {said + used, len - used};
        assert_string_equal(starttls_run_waiting(r, &pending, text), expected);
        starttls_run_waiting(r, NULL, text);
        assert_null(strstr(text, "said"));
        starttls_run_free(r);
        buf_free(&say);
    }
    starttls_free(p);
}

static void what_is_waited_for_is_told(void **state)
{
    (void)state;
    static const char lines[] =
        "unit line\n" HEAD "on \"hi\": go t\nstate t\non \"b\": done\non {...}: stay\n";
    static const char stream[] = "unit stream\n" HEAD "on \"ready\\r\": done\n";
    check_waiting(lines, "",
                  "test: the dialogue did not go on in time (the state is 's'); the server said nothing");
    check_waiting(
        lines, "hi\nx\1\n",
        "test: the dialogue did not go on in time (the state is 't'); the server said last 'x\\x01'");
    check_waiting(lines, "hi\nx\nhalf",
                  "test: the dialogue did not go on in time (the state is 't'); the server said last 'half'");
    check_waiting(stream, "", "test: 'ready\\x0d' did not come in time; the server said nothing");
    check_waiting(stream, "rea", "test: 'ready\\x0d' did not come in time; the server said last 'rea'");
    check_waiting(stream, "220 not yet\n",
                  "test: 'ready\\x0d' did not come in time; the server said last '220 not yet\\x0a'");
    check_waiting(stream, "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                  "test: 'ready\\x0d' did not come in time; the server said last "
                  "'123456789012345678901234567890123456789012345678901234567890'");
}

static void what_is_remembered_has_a_bound(void **state)
{
    (void)state;
    static const char script[] = "unit line\n" HEAD "on \"{a...}\": add b {unit}\n";
    struct err err;
    struct starttls *p = parse(B(script), &err);
    struct starttls_run *r = starttls_run_new(p);
    struct buf say = {0}, in = {0};
    size_t used;
    starttls_run_begin(r, 0, &say);
    for (int i = 0; i < 15000; i++)
        assert_true(buf_append(&in, "a", 1));
    assert_true(buf_append(&in, "\n", 1));
    assert_int_equal(starttls_run_step(r, in.data, in.len, &used, &say), STARTTLS_MORE);
    assert_int_equal(starttls_run_step(r, in.data, in.len, &used, &say), STARTTLS_FAILED);
    assert_int_equal(starttls_run_failure(r), STARTTLS_TOO_MUCH);
    struct str long_value = {(const char *)in.data, in.len}; /* as long as what is remembered already */
    assert_true(starttls_run_set(r, "unknown", long_value));
    starttls_run_free(r);
    starttls_free(p);
    buf_free(&in);
}

/* The text of an example in the manual: between .Bd and .Ed, the first behind `from`. */
static struct buf read_example(const char *from)
{
    struct buf text = {0}, man = {0};
    struct err err;
    assert_int_equal(file_read("doc/man/cardea-starttls.5", 1u << 20, &man, NULL, &err), 0);
    const char *at = strstr(buf_text(&man), from);
    assert_non_null(at);
    at = strchr(strstr(at, "\n.Bd -literal") + 1, '\n') + 1;
    for (const char *end = strstr(at, ".Ed\n"); at < end; at++) {
        bool backslash = at[0] == '\\' && at[1] == 'e'; /* as mdoc wants it written */
        assert_true(buf_append(&text, at, 1));
        at += backslash;
    }
    buf_free(&man);
    return text;
}

static void check_example(const struct starttls *p, const char *section, const char *in,
                          enum starttls_status status, const char *said)
{
    struct starttls_run *r = starttls_run_new(p);
    struct buf say = {0};
    size_t used;
    assert_true(starttls_run_set(r, "me", (struct str){B("door.example")}));
    assert_true(starttls_run_set(r, "required", (struct str){B("yes")}));
    assert_true(starttls_run_set(r, "why", (struct str){B("not now")}));
    starttls_run_begin(r, starttls_section_named(p, section), &say);
    assert_int_equal(starttls_run_step(r, (const uint8_t *)in, strlen(in), &used, &say), status);
    assert_string_equal(buf_text(&say), said);
    starttls_run_free(r);
    buf_free(&say);
}

static void the_manuals_examples_work(void **state)
{
    (void)state;
    struct err err = {""};
    struct buf text = read_example(".Sh EXAMPLES");
    struct starttls *p = starttls_parse("manual", (const char *)text.data, text.len, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(starttls_port(p), 7000);
    check_example(p, "ask", "READY x\r\nOPTIONS a tls b\r\nGO\r\n", STARTTLS_SWITCH,
                  "OPTIONS\r\nUPGRADE tls\r\n");
    check_example(p, "ask", "READY x\r\nOPTIONS a\r\n", STARTTLS_FAILED, "OPTIONS\r\n");
    check_example(p, "answer", "OPTIONS\r\nGET x\r\nUPGRADE tls\r\n", STARTTLS_SWITCH,
                  "READY door.example\r\nOPTIONS tls\r\nNO begin TLS first: UPGRADE tls\r\nGO\r\n");
    check_example(p, "greet", "READY x\r\n", STARTTLS_DONE, "");
    check_example(p, "unavailable", "", STARTTLS_BYE, "NO not now\r\n");
    starttls_free(p);
    buf_free(&text);
    text = read_example("The same as a chat script");
    p = starttls_parse_chat("manual", (const char *)text.data, text.len, false, &err);
    assert_string_equal(err.text, "");
    check_example(p, "ask", "READY x\r\nOPTIONS a tls b\r\nGO\r\n", STARTTLS_SWITCH,
                  "OPTIONS\r\nUPGRADE tls\r\n");
    check_example(p, "ask", "READY x\r\nNO\r\n", STARTTLS_FAILED, "OPTIONS\r\n");
    starttls_free(p);
    buf_free(&text);
}

/* Its name, its port and its sections in the manual's list. */
static void the_manual_has_every_protocol(void **state)
{
    (void)state;
    static const char *const sections[] = {"ask",        "settle",         "answer",       "greet",
                                           "resume",     "identify",       "relay-server", "relay-client",
                                           "relay-both", "relay-identify", "unavailable"};
    struct buf man = {0};
    struct err err;
    assert_int_equal(file_read("doc/man/cardea-starttls.5", 1u << 20, &man, NULL, &err), 0);
    for (const char *const *name = starttls_builtin_names(); *name != NULL; name++) {
        const struct starttls *p = starttls_builtin(*name);
        struct buf item = {0};
        const char *before = "; ";
        assert_true(buf_printf(&item, ".It Ic %s No (%u", *name, starttls_port(p)));
        for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
            if (starttls_section_named(p, sections[i]) < 0)
                continue;
            assert_true(buf_printf(&item, "%s%s", before, sections[i]));
            before = ", ";
        }
        assert_true(buf_printf(&item, ")\n"));
        if (strstr(buf_text(&man), buf_text(&item)) == NULL)
            fail_msg("cardea-starttls(5) has no '%s'", buf_text(&item));
        buf_free(&item);
    }
    buf_free(&man);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_scripts_are_told_where),
        cmocka_unit_test(scripts_that_make_no_sense_are_told_where),
        cmocka_unit_test(what_a_server_says_in_the_clear),
        cmocka_unit_test(names_of_protocols_where_tls_begins_at_once),
        cmocka_unit_test(scripts_have_bounds),
        cmocka_unit_test(statements_do_what_they_say),
        cmocka_unit_test(a_stream_holds_no_more_than_its_texts_are_long),
        cmocka_unit_test(what_the_peer_said_is_shown_safely),
        cmocka_unit_test(what_is_waited_for_is_told),
        cmocka_unit_test(what_is_remembered_has_a_bound),
        cmocka_unit_test(the_manuals_examples_work),
        cmocka_unit_test(the_manual_has_every_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
