/* SPDX-License-Identifier: Apache-2.0 */
/* http/request.h: requests of HTTP/2 and HTTP/3; http/answer.h: what they are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "http/answer.h"
#include "http/request.h"

/* Fields as text, `name=value` each in a line. */
static enum front_result ask(const char *fields, struct front_request *ret, struct err *err)
{
    struct request *r = malloc(sizeof(*r));
    assert_non_null(r);
    request_begin(r);
    for (const char *p = fields; *p != '\0';) {
        const char *end = strchr(p, '\n');
        const char *is = memchr(p, '=', (size_t)(end - p));
        request_field(r, (struct str){p, (size_t)(is - p)}, (struct str){is + 1, (size_t)(end - is) - 1});
        p = end + 1;
    }
    enum front_result result = request_end(r, ret, err);
    free(r);
    return result;
}

#define CONNECT ":method=CONNECT\n"
#define A ":authority=db.inside:5432\n"
#define UDP CONNECT ":protocol=connect-udp\n:scheme=https\n"
#define D ":authority=door.test\n"
#define PATH ":path=/.well-known/masque/udp/dns.inside/53/\n"

static void test_good(void **state)
{
    static const struct {
        const char *fields, *host;
        uint16_t port;
        bool udp;
    } rows[] = {
        {CONNECT A, "db.inside", 5432, false},
        {A CONNECT, "db.inside", 5432, false},
        {CONNECT A "user-agent=x\nhost=DB.inside:5432\n", "db.inside", 5432, false},
        {CONNECT ":authority=[FD00::1]:22\n", "fd00::1", 22, false},
        {CONNECT A "content-length=0\nte=trailers\nx=\n", "db.inside", 5432, false},
        {UDP D PATH, "dns.inside", 53, true},
        {UDP D PATH "capsule-protocol=?1\n", "dns.inside", 53, true},
        {UDP D PATH "capsule-protocol=nonsense\nhost=door.test\n", "dns.inside", 53, true},
        {PATH D UDP, "dns.inside", 53, true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct front_request got;
        struct err err = {""};
        if (ask(rows[i].fields, &got, &err) != FRONT_TARGET)
            fail_msg("%s: %s", rows[i].fields, err.text);
        assert_string_equal(got.target.host, rows[i].host);
        assert_int_equal(got.target.port, rows[i].port);
        assert_int_equal(got.target.udp, rows[i].udp);
    }
}

static void test_bad(void **state)
{
    static const struct {
        const char *fields, *why;
        enum front_outcome outcome;
    } rows[] = {
        {"", "only CONNECT", FRONT_BAD_METHOD},
        {":method=GET\n:scheme=https\n:authority=a\n:path=/\n", "only CONNECT", FRONT_BAD_METHOD},
        {":method=connect\n" A, "only CONNECT", FRONT_BAD_METHOD},
        {":method=CONNECT-UDP\n" A, "only CONNECT", FRONT_BAD_METHOD},
        {CONNECT, "HOST:PORT", FRONT_BAD_HELLO},
        {CONNECT ":authority=\n", "HOST:PORT", FRONT_BAD_HELLO},
        {CONNECT ":authority=a\n", "HOST:PORT", FRONT_BAD_HELLO},
        {CONNECT ":authority=a:0\n", "HOST:PORT", FRONT_BAD_HELLO},
        {CONNECT ":authority=u@a:1\n", "HOST:PORT", FRONT_BAD_HELLO},
        {CONNECT ":authority=::1:22\n", "HOST:PORT", FRONT_BAD_HELLO},
        {CONNECT A ":path=/\n", "with :scheme or :path", FRONT_BAD_HELLO},
        {CONNECT A ":scheme=https\n", "with :scheme or :path", FRONT_BAD_HELLO},
        {CONNECT "host=a:1\n", "HOST:PORT", FRONT_BAD_HELLO},
        {CONNECT A "host=other:1\n", "host is not", FRONT_BAD_HELLO},
        {CONNECT A "host=db.inside:5432\nhost=db.inside:5432\n", "twice", FRONT_BAD_HELLO},
        {CONNECT CONNECT A, "twice", FRONT_BAD_HELLO},
        {CONNECT A A, "twice", FRONT_BAD_HELLO},
        {CONNECT A "x=y\n:path=/\n", "behind a field", FRONT_BAD_HELLO},
        {CONNECT A ":status=200\n", "do not have", FRONT_BAD_HELLO},
        {CONNECT A ":Method=GET\n", "do not have", FRONT_BAD_HELLO},
        {CONNECT A "X=y\n", "no field has", FRONT_BAD_HELLO},
        {CONNECT A "=y\n", "no field has", FRONT_BAD_HELLO},
        {CONNECT A "x y=z\n", "no field has", FRONT_BAD_HELLO},
        {CONNECT A "x=a\rb\n", "control", FRONT_BAD_HELLO},
        {CONNECT A "x=a\x7f\n", "control", FRONT_BAD_HELLO},
        {CONNECT A "connection=upgrade\n", "of the connection", FRONT_BAD_HELLO},
        {CONNECT A "transfer-encoding=chunked\n", "of the connection", FRONT_BAD_HELLO},
        {CONNECT A "te=gzip\n", "of the connection", FRONT_BAD_HELLO},
        {CONNECT A "content-length=5\n", "Content-Length", FRONT_BAD_HELLO},
        {CONNECT A "content-length=0\ncontent-length=0\n", "twice", FRONT_BAD_HELLO},
        {CONNECT ":protocol=websocket\n:scheme=https\n:path=/\n" D, "connect-udp", FRONT_BAD_PROTOCOL},
        {CONNECT ":protocol=CONNECT-UDP\n:scheme=https\n" D PATH, "connect-udp", FRONT_BAD_PROTOCOL},
        {CONNECT ":protocol=\n:scheme=https\n" D PATH, "connect-udp", FRONT_BAD_PROTOCOL},
        {":method=GET\n:protocol=connect-udp\n:scheme=https\n" D PATH, "only CONNECT", FRONT_BAD_METHOD},
        {UDP PATH, "without :authority", FRONT_BAD_HELLO},
        {UDP D, "no such path", FRONT_BAD_HELLO},
        {UDP D ":path=/\n", "no such path", FRONT_BAD_HELLO},
        {UDP D ":path=/.well-known/masque/udp/a/0/\n", "port", FRONT_BAD_HELLO},
        {CONNECT ":protocol=connect-udp\n:scheme=http\n" D PATH, "not https", FRONT_BAD_HELLO},
        {CONNECT ":protocol=connect-udp\n" D PATH, "not https", FRONT_BAD_HELLO},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct front_request got;
        struct err err = {""};
        if (ask(rows[i].fields, &got, &err) != FRONT_BAD)
            fail_msg("%s was taken", rows[i].fields);
        if (strstr(err.text, rows[i].why) == NULL)
            fail_msg("%s: %s", rows[i].fields, err.text);
        assert_int_equal(got.bad, rows[i].outcome);
        assert_int_equal(got.target.host[0], '\0');
    }
}

static void end_badly(struct request *r, const char *why)
{
    struct front_request got;
    struct err err = {""};
    assert_int_equal(request_end(r, &got, &err), FRONT_BAD);
    if (strstr(err.text, why) == NULL)
        fail_msg("%s", err.text);
    free(r);
}

static struct request *begin(void)
{
    struct request *r = malloc(sizeof(*r));
    assert_non_null(r);
    request_begin(r);
    request_field(r, (struct str){":method", 7}, (struct str){"CONNECT", 7});
    request_field(r, (struct str){":authority", 10}, (struct str){"a:1", 3});
    return r;
}

static void test_bounds(void **state)
{
    static char big[70000];
    struct str name = {"x", 1};
    (void)state;
    memset(big, 'a', sizeof(big));
    struct request *r = begin();
    for (int i = 0; i < 1000; i++)
        request_field(r, name, (struct str){"", 0});
    end_badly(r, "too many");
    r = begin();
    request_field(r, name, (struct str){big, sizeof(big)});
    assert_true(request_is_too_long(r));
    end_badly(r, "too long");
    r = begin();
    for (int i = 0; i < 80; i++)
        request_field(r, name, (struct str){big, 200});
    end_badly(r, "too long");
    r = begin();
    request_field(r, (struct str){":path", 5}, (struct str){big, MASQUE_PATH_MAX + 1});
    end_badly(r, "longer than any target");
}

static struct str field(const struct answer *a, const char *name)
{
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->fields[i].name, name) == 0)
            return a->fields[i].value;
    return (struct str){"", 0};
}

static void test_answers(void **state)
{
    struct answer a;
    (void)state;
    answer_make(&a, &(struct front_answer){.outcome = FRONT_OK}, false);
    assert_string_equal(a.status_text, "200");
    assert_int_equal(a.n, 0);
    assert_int_equal(a.body.len, 0);
    answer_free(&a);
    answer_make(&a, &(struct front_answer){.outcome = FRONT_OK}, true);
    assert_true(str_is(field(&a, "capsule-protocol"), "?1"));
    answer_free(&a);
    answer_make(&a, &(struct front_answer){.outcome = FRONT_DENIED, .rule = "ops", .text = "no \"way\"\n"},
                true);
    assert_string_equal(a.status_text, "403");
    assert_int_equal(field(&a, "capsule-protocol").len, 0);
    assert_true(str_is(field(&a, "proxy-status"),
                       "cardea; error=http_request_denied; details=\"no \\\"way\\\"? (rule ops)\""));
    assert_true(str_is(a.body, "no \"way\"? (rule ops)\n"));
    assert_true(str_is(field(&a, "content-length"), "21"));
    answer_free(&a);
    answer_make(&a, &(struct front_answer){.outcome = FRONT_BAD_METHOD}, false);
    assert_true(str_is(field(&a, "allow"), "CONNECT"));
    answer_free(&a);
    answer_make(&a, &(struct front_answer){.outcome = FRONT_BAD_PROTOCOL}, false);
    assert_string_equal(a.status_text, "501");
    answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests_name("http_request", tests, NULL, NULL);
}
