/* SPDX-License-Identifier: Apache-2.0 */
/* Whose challenge is looked at next, and how many looks go to one place: nobody keeps others waiting, and
 * nobody floods somebody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "acme/targets.h"
#include "acme_played.h"
#include "net/addr.h"

/* Ask for the first challenge of `count` new names "NAME-0.example.com" and so on; how the last ask was
 * answered. */
static unsigned ask(struct player *p, const char *name, unsigned count)
{
    struct played *w = p->world;
    struct buf names = {0};
    unsigned status = 0;
    for (unsigned i = 0; i < count; i++)
        assert_true(buf_printf(&names, "%s%s-%u.example.com", i == 0 ? "" : " ", name, i));
    assert_int_equal(player_order(p, buf_text(&names), ""), 201);
    buf_free(&names);
    json_t *list = json_incref(json_object_get(w->body, "authorizations"));
    for (size_t i = 0; i < json_array_size(list); i++) {
        played_post(p, json_string_value(json_array_get(list, i)), "");
        json_t *first = json_array_get(json_object_get(w->body, "challenges"), 0);
        char *url = strdup(json_string_value(json_object_get(first, "url")));
        status = played_post(p, url, "{}");
        free(url);
    }
    json_decref(list);
    return status;
}

/* The first letters of the next `count` names that are handed out. */
static const char *order_of(struct played *w, unsigned count)
{
    static char letters[64];
    struct acme_check check;
    unsigned n = 0;
    assert_true(count < sizeof(letters));
    while (n < count && acme_server_next(w->server, w->now, &check, NULL) == 1) {
        letters[n++] = check.name[0];
        assert_int_equal(acme_server_validated(w->server, check.id, n % 2 == 0, ACME_DNS, "", w->now, NULL),
                         0);
    }
    letters[n] = '\0';
    return letters;
}

static void test_turns(void **state)
{
    struct played w = {0};
    struct player many, few, far;
    (void)state;
    played_begin(&w);
    player_enrol(&many, &w, "{}");
    player_enrol(&few, &w, "{}");
    w.source = "198.51.100.1";
    player_enrol(&far, &w, "{}");
    ask(&many, "m", 20);
    ask(&few, "f", 3);
    ask(&far, "z", 3);
    /* Sources take turns, then the accounts of one. */
    assert_string_equal(order_of(&w, 8), "mzfzmzfm");
    /* Who comes later waits for one round, not for all. */
    ask(&few, "g", 2);
    assert_string_equal(order_of(&w, 4), "fmgm");
    /* A restart forgets nothing but whose turn it was. */
    acme_server_free(w.server);
    played_open(&w);
    w.nonce[0] = '\0';
    assert_string_equal(order_of(&w, 4), "gmmm");
    player_free(&many);
    player_free(&few);
    player_free(&far);
    played_end(&w);
}

/* Who has one look under way all the time gains nothing by it. */
static void test_slow_looks_gain_nothing(void **state)
{
    struct played w = {0};
    struct player players[6];
    struct acme_check check;
    (void)state;
    played_begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(players); i++)
        player_enrol(&players[i], &w, "{}");
    ask(&players[0], "slow", 1);
    assert_int_equal(acme_server_next(w.server, w.now, &check, NULL), 1);
    ask(&players[1], "honest", 4);
    assert_string_equal(order_of(&w, 2), "hh");
    for (size_t i = 2; i < ARRAY_LEN(players); i++)
        ask(&players[i], "new", 1);
    assert_string_equal(order_of(&w, 6), "hnnnnh");
    assert_int_equal(acme_server_next(w.server, w.now, &check, NULL), 0);
    assert_int_equal(acme_server_next(w.server, w.now + 121, &check, NULL), 1);
    for (size_t i = 0; i < ARRAY_LEN(players); i++)
        player_free(&players[i]);
    played_end(&w);
}

static void test_waiting_per_source(void **state)
{
    struct played w = {.params = {.limits = {.waiting_per_account = 3, .waiting_per_source = 5}}};
    struct player a, b, far;
    (void)state;
    played_begin(&w);
    player_enrol(&a, &w, "{}");
    player_enrol(&b, &w, "{}");
    w.source = "198.51.100.1";
    player_enrol(&far, &w, "{}");
    assert_int_equal(ask(&a, "a", 3), 200);
    assert_int_equal(ask(&a, "a", 1), 429);
    assert_int_equal(ask(&b, "b", 2), 200);
    assert_int_equal(ask(&b, "b", 1), 429);
    assert_non_null(strstr(w.text, "rateLimited"));
    assert_int_equal(ask(&far, "f", 3), 200);
    /* What was looked at, given up, or is over waits no longer. */
    assert_string_equal(order_of(&w, 2), "af");
    assert_int_equal(ask(&a, "c", 1), 200);
    played_post(&a, a.kid, "{\"status\":\"deactivated\"}");
    assert_int_equal(ask(&b, "d", 1), 200);
    assert_string_equal(order_of(&w, 4), "bfbf");
    w.now += 3601;
    assert_string_equal(order_of(&w, 4), "");
    assert_int_equal(acme_server_sweep(w.server, w.now, NULL), 0);
    assert_int_equal(ask(&b, "e", 3), 200);
    player_free(&a);
    player_free(&b);
    player_free(&far);
    played_end(&w);
}

/* What is put off comes again, the later the more there is of it. */
static void test_postponed(void **state)
{
    struct played w = {0};
    struct player p;
    struct acme_check check, again;
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    ask(&p, "a", 1);
    assert_int_equal(acme_server_next(w.server, w.now, &check, NULL), 1);
    assert_string_equal(check.source, "192.0.2.1");
    assert_int_equal(acme_server_postpone(w.server, check.id, w.now, NULL), 0);
    assert_int_equal(acme_server_postpone(w.server, "nothing", w.now, NULL), 0);
    assert_int_equal(acme_server_next(w.server, w.now, &again, NULL), 0);
    assert_int_equal(acme_server_next(w.server, w.now + ACME_POSTPONED, &again, NULL), 1);
    assert_string_equal(check.id, again.id);
    ask(&p, "b", 39);
    assert_int_equal(acme_server_postpone(w.server, check.id, w.now, NULL), 0);
    while (acme_server_next(w.server, w.now + ACME_POSTPONED + 4, &again, NULL) == 1)
        assert_string_not_equal(check.id, again.id);
    assert_int_equal(acme_server_next(w.server, w.now + ACME_POSTPONED + 5, &again, NULL), 1);
    assert_string_equal(check.id, again.id);
    player_free(&p);
    played_end(&w);
}

static bool take(struct acme_targets *t, const char *text, const char *source, const void *look, int64_t now)
{
    struct net_addr a;
    return net_addr_parse(text, 80, &a) ? acme_targets_take(t, &a, source, look, now)
                                        : acme_targets_take_name(t, text, source, look, now);
}

static void test_targets(void **state)
{
    static const struct {
        const char *place, *same, *other;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", "192.0.2.2"},
        {"2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"},
        {"a.example.com", "b.a.example.com", "a.example.org"},
        {"example.com", "www.example.com", "com"},
        {"localhost", "localhost", "x"},
    };
    static const char looks[8];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct acme_targets *t = acme_targets_new(4);
        const char *same = rows[i].same;
        assert_true(take(t, rows[i].place, "s1", &looks[0], 0));
        assert_true(take(t, same, "s1", &looks[1], 0));
        assert_true(take(t, same, "s1", &looks[1], 0));  /* is there already */
        assert_false(take(t, same, "s1", &looks[2], 0)); /* half for one source */
        assert_true(take(t, rows[i].other, "s1", &looks[2], 0));
        assert_true(take(t, same, "s2", &looks[3], 0));
        assert_true(take(t, rows[i].place, "s3", &looks[4], 0));
        assert_false(take(t, same, "s4", &looks[5], 0));
        /* For a second at least, and as long as it goes on. */
        acme_targets_give(t, &looks[0]);
        assert_false(take(t, same, "s4", &looks[5], 999999999));
        assert_true(take(t, same, "s4", &looks[5], 1000000000));
        assert_false(take(t, same, "s5", &looks[6], 1000000000));
        acme_targets_free(t);
    }
    /* One is enough for one source where there is no more. */
    struct acme_targets *t = acme_targets_new(1);
    assert_true(take(t, "192.0.2.1", "s1", &looks[0], 0));
    assert_false(take(t, "192.0.2.1", "s2", &looks[1], 0));
    acme_targets_free(t);
    /* However many places there are, what is counted is bounded. */
    t = acme_targets_new(8);
    unsigned count = 0;
    for (unsigned i = 0; i < 5000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%u.example", i);
        count += take(t, name, "s", &looks[0], 0);
    }
    assert_int_equal(count, 1024);
    acme_targets_give(t, &looks[0]);
    assert_true(take(t, "again.example", "s", &looks[0], 1000000000));
    acme_targets_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_slow_looks_gain_nothing),
        cmocka_unit_test(test_waiting_per_source),
        cmocka_unit_test(test_postponed),
        cmocka_unit_test(test_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
