/* SPDX-License-Identifier: Apache-2.0 */
/* What the client makes of its arguments and of the door's answers. The connection itself is tested end to
 * end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tunnel/client_internal.h"
#include "tunnel/forward.h"

static void forwards_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool to_route;
        const char *host;
        uint16_t port;
        const char *target;
        uint16_t target_port;
    } rows[] = {
        {"5432:db.inside:5432", false, "127.0.0.1", 5432, "db.inside", 5432},
        {"127.0.0.2:1:DB.inside.:2", false, "127.0.0.2", 1, "db.inside", 2},
        {"[::1]:1:[fd00::1]:22", false, "::1", 1, "fd00::1", 22},
        {"1:[fd00::1]:22", false, "127.0.0.1", 1, "fd00::1", 22},
        {"*:65535:h:1", false, "", 65535, "h", 1},
        {"1143", true, "127.0.0.1", 1143, "", 0},
        {"[::]:1143", true, "::", 1143, "", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct forward f;
        struct err err;
        assert_int_equal(forward_parse(rows[i].text, rows[i].to_route, &f, &err), 0);
        assert_string_equal(f.host, rows[i].host);
        assert_int_equal(f.port, rows[i].port);
        assert_string_equal(f.target.host, rows[i].target);
        assert_int_equal(f.target.port, rows[i].target_port);
    }
}

static void wrong_forwards_are_refused(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "",     "22",   "1:2",   "a:b:c:d:e", "0:h:1",      "65536:h:1", "x:h:1",  ":1:h:1",   "[]:1:h:1",
        "1:h:", "1::2", "1:h:0", "[1",        "[::1:1:h:1", "1:[::1:22", "1:h:1:", "1:[::1]:x"};
    static const char *const routes[] = {"", "0", "a", "1:2:3", ":1", "[::1]", "1:"};
    struct forward f;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        assert_int_equal(forward_parse(targets[i], false, &f, &err), -1);
        assert_memory_equal(err.text, "-L ", 3);
    }
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        assert_int_equal(forward_parse(routes[i], true, &f, &err), -1);
}

/* The rule and the target are in the text once, whether the door's own words have them or not. */
static void answers_become_texts(void **state)
{
    (void)state;
    static const struct front_target target = {.host = "db.inside", .port = 5432},
                                     name = {.host = "app.test", .offered = true};
    static const struct {
        enum front_outcome outcome;
        const char *rule, *said, *text;
    } rows[] = {
        {FRONT_DENIED, "", "no rule lets alice reach db.inside:5432 (rule ops allows *:22)",
         "denied: no rule lets alice reach db.inside:5432 (rule ops allows *:22)"},
        {FRONT_DENIED, "ops", "the policy does not allow it",
         "denied: the policy does not allow it: db.inside:5432 (rule ops)"},
        {FRONT_NO_SUCH_HOST, "", "no such host",
         "no such host: db.inside:5432 (it is looked up at the door, not here)"},
        {FRONT_NO_SUCH_HOST, "", "no such host, and no agent offers the name",
         "no such host, and no agent offers the name: db.inside:5432 (it is looked up at the door, not "
         "here)"},
        {FRONT_REFUSED, "", "the target refused the connection",
         "the target refused the connection: db.inside:5432"},
        {FRONT_REFUSED, "", "the service behind db.inside:5432 is down",
         "the service behind db.inside:5432 is down"},
        {FRONT_BAD_HELLO, "", "too long", "the door refused the request: too long"},
        {FRONT_LIMIT, "", "a limit of the door is reached",
         "a limit of the door is reached: db.inside:5432; try again later"},
        {FRONT_UNRESOLVED, "", "the door's name servers do not tell the target's address",
         "the door's name servers do not tell the target's address: db.inside:5432; it may exist: try again "
         "later, or ask who runs the door, whose audit line says more"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct wire_answer answer = {.outcome = rows[i].outcome};
        struct err err;
        strcpy(answer.rule, rows[i].rule);
        strcpy(answer.text, rows[i].said);
        assert_int_equal(client_text_answer(&target, &answer, &err), -1);
        assert_string_equal(err.text, rows[i].text);
    }
    struct wire_answer nobody = {.outcome = FRONT_NO_SUCH_HOST, .text = "no agent offers this name"};
    struct err err;
    assert_int_equal(client_text_answer(&name, &nobody, &err), -1);
    assert_non_null(strstr(err.text, "no agent offers app.test at the door"));
    assert_non_null(strstr(err.text, "app.test:PORT"));
}

/* Who broke it off, as far as the door has said; a code of a later door is none that we know. */
static void cuts_become_texts(void **state)
{
    (void)state;
    static const struct front_target host = {.host = "fd00::1", .port = 22},
                                     name = {.host = "app.test", .offered = true}, route = {.host = ""};
    static char door_name[] = "web.test";
    static const struct client_door door = {.place = "door.test:443", .name = door_name};
    static const struct {
        const struct front_target *target;
        struct client_cut cut;
        const char *text;
    } rows[] = {
        {&host,
         {.code = 2, .told = true},
         "to [fd00::1]:22 through the door door.test:443 was cut off: the far end of it"},
        {&name,
         {.code = 3, .told = true},
         "to app.test through the door door.test:443 was cut off: no byte went"},
        {&name, {.code = 4, .told = true, .inner = true}, "was cut off: it had reached the greatest age"},
        {&host,
         {.code = 5, .told = true, .silent = true},
         "was cut off: the door stopped; what came may not be all"},
        {&host, {.code = 1, .told = true}, "was cut off: by what is at its end, or by the door"},
        {&host, {.code = UINT64_MAX, .told = true}, "was cut off: by what is at its end, or by the door"},
        {&host, {.told = true}, "was cut off: by what is at its end, or by the door"},
        {&host, {.told = false}, "was cut off: the way to the door broke"},
        {&name, {.inner = true}, "was cut off: the service ended it without saying that this was all"},
        {&route, {.told = true}, "the connection to web.test through the door"},
        {&route, {.told = true, .silent = true}, "broke the connection for web.test off before a byte came"},
        {&route, {.silent = true}, "was cut off: the way to the door broke"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err;
        assert_int_equal(client_text_cut(&door, rows[i].target, &rows[i].cut, &err), -1);
        if (strstr(err.text, rows[i].text) == NULL)
            fail_msg("row %zu: %s", i, err.text);
    }
}

/* Bytes may go before the answer only to what has been answered for lately as no service behind TLS. */
static void plain_targets_are_learnt(void **state)
{
    (void)state;
    static const struct front_target db = {.host = "db.inside", .port = 5432},
                                     other_port = {.host = "db.inside", .port = 5433},
                                     offered = {.host = "db.inside", .offered = true},
                                     v4 = {.host = "192.0.2.1", .port = 1},
                                     v6 = {.host = "fd00::1", .port = 1};
    struct plain_targets p;
    plain_targets_init(&p);
    assert_true(plain_targets_know(&p, &v4, 0));
    assert_true(plain_targets_know(&p, &v6, 0));
    assert_false(plain_targets_know(&p, &db, 0));
    plain_targets_note(&p, &db, true, 5);
    assert_true(plain_targets_know(&p, &db, 5));
    assert_true(plain_targets_know(&p, &db, 4 + PLAIN_NS));
    assert_false(plain_targets_know(&p, &db, 5 + PLAIN_NS));
    assert_false(plain_targets_know(&p, &other_port, 5));
    assert_false(plain_targets_know(&p, &offered, 5));
    plain_targets_note(&p, &db, false, 6);
    assert_false(plain_targets_know(&p, &db, 6));
    plain_targets_note(&p, &offered, true, 6);
    assert_true(plain_targets_know(&p, &offered, 6));
    for (unsigned i = 0; i < 10000; i++) { /* a newer one takes an older one's place, and no more */
        struct front_target many = {.host = "many.test", .port = (uint16_t)(i + 1)};
        plain_targets_note(&p, &many, i % 2 == 0, 7);
        assert_int_equal(plain_targets_know(&p, &many, 7), i % 2 == 0);
    }
}

/* What failed is told while there is no connection, and not any more once there was one again. */
static void a_failure_is_over_when_a_connection_is_made(void **state)
{
    (void)state;
    static struct client_door door;
    struct client_facts facts;
    list_init(&door.clients);
    client_door_facts(&door, &facts);
    assert_null(facts.loss);
    client_note_loss(&door, "nobody there");
    client_door_facts(&door, &facts);
    assert_string_equal(facts.loss, "nobody there");
    assert_true(facts.lost_at > 0);
    client_note_loss(&door, facts.loss);
    client_note_tcp(&door); /* it has ended since: no client, none that waits */
    client_door_facts(&door, &facts);
    assert_null(facts.loss);
    client_note_loss(&door, "gone");
    client_note_reached(&door);
    client_door_facts(&door, &facts);
    assert_null(facts.loss);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forwards_are_read),
        cmocka_unit_test(wrong_forwards_are_refused),
        cmocka_unit_test(answers_become_texts),
        cmocka_unit_test(cuts_become_texts),
        cmocka_unit_test(plain_targets_are_learnt),
        cmocka_unit_test(a_failure_is_over_when_a_connection_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
