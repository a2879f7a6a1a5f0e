/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker keeps of what a source of certificates has answered, and how it asks: once for all who want
 * it, and not for whatever strangers invent. */
#include "pki.h"

#include "base/clock.h"
#include "cert/cache.h"
#include "cert/cert.h"
#include "cert/source.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "session/cert_desk.h"

#define NAMES 8

static struct cert *certificate; /* one for all names */

static int make_certificate(void **state)
{
    (void)state;
    struct err err = {{0}};
    struct ca *root = pki_root("Root"), *server = pki_server(root, "a.example.com");
    pki_save(server, "a");
    certificate =
        cert_load(&(struct cert_files){.certificate = pki_path("a.pem"), .key = pki_path("a.key")}, &err);
    assert_non_null(certificate);
    ca_free(server);
    ca_free(root);
    return 0;
}

static int drop_certificate(void **state)
{
    assert_int_equal(certificate->refs, 1); /* nobody has kept one */
    cert_unref(certificate);
    return pki_remove(state);
}

static struct cert_answer good(int64_t for_ns)
{
    return (struct cert_answer){.certs = {cert_ref(certificate)}, .count = 1, .good_for = for_ns};
}

static struct cert_cache_key key_of(const char *name)
{
    return (struct cert_cache_key){{name, strlen(name)}, CERT_ANY_ROUTE};
}

/* ---- the cache ---- */

static void put(struct cert_cache *cache, const char *name, struct cert_answer answer, int64_t now)
{
    const struct cert_cache_key key = key_of(name);
    cert_cache_put(cache, &key, &answer, now);
}

static enum cert_cached look(struct cert_cache *cache, const char *name, int64_t now)
{
    const struct cert_cache_key key = key_of(name);
    const struct cert_answer *answer;
    return cert_cache_find(cache, &key, now, &answer);
}

static void test_cache_forgets_what_is_not_used(void **state)
{
    (void)state;
    char name[32];
    struct cert_cache *cache = cert_cache_new(NAMES, SIZE_MAX);
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "n%d.example.com", i);
        put(cache, name, good(0), 0);
    }
    assert_int_equal(look(cache, "n0.example.com", 1), CERT_CACHE_HIT); /* n1 is the one that nobody uses */
    put(cache, "more.example.com", good(0), 1);
    assert_int_equal(look(cache, "n1.example.com", 1), CERT_CACHE_MISS);
    assert_int_equal(look(cache, "n0.example.com", 1), CERT_CACHE_HIT);
    assert_int_equal(look(cache, "more.example.com", 1), CERT_CACHE_HIT);
    assert_int_equal(cert_cache_size(cache).names, NAMES);
    put(cache, "more.example.com", good(0), 1); /* in place of itself */
    assert_int_equal(cert_cache_size(cache).names, NAMES);
    cert_cache_free(cache);
}

static void test_cache_is_bounded_in_bytes(void **state)
{
    (void)state;
    struct cert_cache *cache = cert_cache_new(1000, 3 * cert_bytes(certificate));
    put(cache, "a.example.com", good(0), 0);
    put(cache, "b.example.com", good(0), 0);
    put(cache, "c.example.com", good(0), 0);
    assert_in_range(cert_cache_size(cache).names, 1, 3);
    assert_in_range(cert_cache_size(cache).bytes, 1, 3 * cert_bytes(certificate));
    cert_cache_free(cache);
    cache = cert_cache_new(1000, 1); /* too small for any: the newest stays */
    put(cache, "a.example.com", good(0), 0);
    put(cache, "b.example.com", good(0), 0);
    assert_int_equal(look(cache, "a.example.com", 0), CERT_CACHE_MISS);
    assert_int_equal(look(cache, "b.example.com", 0), CERT_CACHE_HIT);
    cert_cache_free(cache);
}

static void test_cache_knows_the_time(void **state)
{
    (void)state;
    struct cert_cache *cache = cert_cache_new(NAMES, SIZE_MAX);
    put(cache, "a.example.com", good(10), 100);
    put(cache, "for-ever.example.com", good(0), 100);
    put(cache, "no.example.com", (struct cert_answer){.why = "no", .good_for = 10}, 100);
    assert_int_equal(look(cache, "a.example.com", 109), CERT_CACHE_HIT);
    assert_int_equal(look(cache, "no.example.com", 109), CERT_CACHE_REFUSED);
    assert_int_equal(look(cache, "a.example.com", 110), CERT_CACHE_MISS);
    assert_int_equal(look(cache, "a.example.com", INT64_MIN), CERT_CACHE_HIT); /* however old */
    assert_int_equal(look(cache, "no.example.com", 110), CERT_CACHE_MISS);
    assert_int_equal(look(cache, "for-ever.example.com", INT64_MAX - 1), CERT_CACHE_HIT);
    cert_cache_free(cache);
}

static void test_cache_tells_keys_apart(void **state)
{
    (void)state;
    struct cert_cache *cache = cert_cache_new(NAMES, SIZE_MAX);
    struct cert_cache_key key = key_of("a.example.com");
    const struct cert_answer *answer;
    put(cache, "a.example.com", good(0), 0);
    key.route = 3;
    assert_int_equal(cert_cache_find(cache, &key, 0, &answer), CERT_CACHE_MISS);
    assert_int_equal(look(cache, "a.example.co", 0), CERT_CACHE_MISS);
    cert_cache_free(cache);
}

static void test_cache_forgets_what_has_changed(void **state)
{
    (void)state;
    static const char *const names[] = {"example.com", "a.example.com", "b.example.com", "x.a.example.com",
                                        "other.example.net"};
    static const struct {
        const char *changed;
        bool left[ARRAY_LEN(names)];
    } rows[] = {
        {"a.example.com", {true, false, true, true, true}},
        {"*.example.com", {true, false, false, true, true}},
        {"*.a.example.com", {true, true, true, false, true}},
        {"unknown.example.com", {true, true, true, true, true}},
        {"*", {true, true, true, true, true}},
        {NULL, {false, false, false, false, false}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cert_cache *cache = cert_cache_new(NAMES, SIZE_MAX);
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            put(cache, names[k], good(0), 0);
        put(cache, "no.example.com", (struct cert_answer){.why = "no", .good_for = 10}, 0);
        cert_cache_forget(cache, rows[i].changed);
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            assert_int_equal(look(cache, names[k], 0) == CERT_CACHE_HIT, rows[i].left[k]);
        assert_int_equal(look(cache, "no.example.com", 0), CERT_CACHE_MISS); /* it may be there now */
        cert_cache_free(cache);
    }
}

/* ---- the desk ---- */

#define ASKED_MAX 512

/* A source that keeps its questions until the test answers. */
struct world {
    struct cert_source source;
    struct loop *loop;
    struct cert_desk *desk;
    struct cert_question *asked[ASKED_MAX];
    size_t count;
    size_t total; /* so far */
    bool gone;
};

static void world_ask(struct cert_source *source, struct cert_question *q)
{
    struct world *w = CONTAINER_OF(source, struct world, source);
    assert_in_range(w->count, 0, ASKED_MAX - 1);
    w->asked[w->count++] = q;
    w->total++;
}

static void world_free(struct cert_source *source)
{
    CONTAINER_OF(source, struct world, source)->gone = true;
}

static void world_begin(struct world *w)
{
    static const struct cert_source_ops ops = {world_ask, world_free};
    struct err err;
    *w = (struct world){.loop = loop_new(&err)};
    cert_source_init(&w->source, &ops);
    w->desk = cert_desk_new(w->loop, &w->source, NAMES, SIZE_MAX);
}

/* Answer all: with the certificate, or no. */
static void world_answer(struct world *w, bool yes)
{
    size_t n = w->count;
    w->count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct cert_answer no = {.why = "no such name", .good_for = NSEC_PER_SEC}, ok = good(0);
        cert_question_answer(w->asked[i], yes ? &ok : &no);
        if (!yes)
            cert_unref(certificate); /* of `ok` */
    }
    loop_deliver(w->loop);
}

static void world_end(struct world *w)
{
    cert_desk_unref(w->desk);
    cert_source_unref(&w->source);
    assert_true(w->gone);
    loop_free(w->loop);
}

struct client {
    struct cert_waiter waiter;
    int woken;
};

static void on_wake(struct cert_waiter *w)
{
    CONTAINER_OF(w, struct client, waiter)->woken++;
}

static void client_init(struct client *c)
{
    *c = (struct client){.waiter.wake = on_wake};
    list_init(&c->waiter.node);
}

static const struct net_addr somebody = {.family = AF_INET, .ip = {192, 0, 2, 1}};

static enum cert_desk_result find(struct world *w, const char *name, const struct net_addr *peer,
                                  struct client *c)
{
    const struct cert_cache_key key = key_of(name);
    const struct cert_answer *answer;
    enum cert_desk_result result = cert_desk_find(w->desk, &key, peer, &c->waiter, &answer);
    if (result == CERT_DESK_FOUND)
        assert_ptr_equal(answer->certs[0], certificate);
    else if (result != CERT_DESK_WAIT)
        assert_non_null(answer->why);
    return result;
}

static void test_asked_once(void **state)
{
    (void)state;
    struct world w;
    struct client clients[20];
    world_begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        client_init(&clients[i]);
        /* However it is written. */
        const char *name = i % 2 ? "A.example.COM" : "a.example.com.";
        assert_int_equal(find(&w, name, &somebody, &clients[i]), CERT_DESK_WAIT);
        assert_int_equal(find(&w, name, &somebody, &clients[i]),
                         CERT_DESK_WAIT); /* woken for another reason */
    }
    assert_int_equal(w.total, 1);
    assert_string_equal(w.asked[0]->name, "a.example.com");
    list_remove(&clients[7].waiter.node); /* has left meanwhile */
    world_answer(&w, true);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        assert_int_equal(clients[i].woken, i != 7);
    assert_int_equal(find(&w, "a.example.com", &somebody, &clients[0]), CERT_DESK_FOUND);
    assert_int_equal(w.total, 1);
    world_end(&w);
}

static void test_refused(void **state)
{
    (void)state;
    struct world w;
    struct client c;
    world_begin(&w);
    client_init(&c);
    assert_int_equal(find(&w, "no.example.com", &somebody, &c), CERT_DESK_WAIT);
    world_answer(&w, false);
    assert_int_equal(c.woken, 1);
    assert_int_equal(find(&w, "no.example.com", &somebody, &c), CERT_DESK_NONE);
    assert_int_equal(w.total, 1);
    world_end(&w);
}

/* What no host can be called is not asked for. */
static void test_names_with_tricks(void **state)
{
    (void)state;
    static char long_label[80], longest[300];
    memset(long_label, 'a', 64);
    memset(longest, 'a', sizeof(longest) - 1);
    for (size_t i = 50; i < sizeof(longest); i += 50)
        longest[i] = '.';
    const struct str rows[] = {
        {"", 0},
        {".", 1},
        {"..", 2},
        {"../a", 4},
        {"a/../b.example.com", 18},
        {"/etc/passwd", 11},
        {"a.example.com\0.pem", 18},
        {"\0", 1},
        {"a..example.com", 14},
        {".example.com", 12},
        {"a.example.com..", 15},
        {"*.example.com", 13},
        {"a b.example.com", 15},
        {"a%2f.example.com", 16},
        {"a\\b.example.com", 15},
        {"\xc3\xa9.example.com", 14},
        {"192.0.2.1", 9},
        {"2001:db8::1", 11},
        {long_label, 64},
        {longest, 254},
    };
    struct world w;
    world_begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client c;
        const struct cert_cache_key key = {rows[i], CERT_ANY_ROUTE};
        const struct cert_answer *answer;
        client_init(&c);
        assert_int_equal(cert_desk_find(w.desk, &key, &somebody, &c.waiter, &answer), CERT_DESK_NONE);
        assert_non_null(answer->why);
    }
    assert_int_equal(w.total, 0);
    const struct cert_cache_key longest_good = {{longest, 253}, CERT_ANY_ROUTE};
    const struct cert_answer *answer;
    struct client c;
    client_init(&c);
    assert_int_equal(cert_desk_find(w.desk, &longest_good, &somebody, &c.waiter, &answer), CERT_DESK_WAIT);
    assert_int_equal(strlen(w.asked[0]->name), 253);
    world_answer(&w, false);
    world_end(&w);
}

static struct net_addr nth(size_t i, bool ipv6)
{
    struct net_addr a = {.family = ipv6 ? AF_INET6 : AF_INET, .ip = {10}};
    a.ip[1] = (uint8_t)(i >> 16);
    a.ip[2] = (uint8_t)(i >> 8);
    a.ip[3] = (uint8_t)i;
    return a;
}

/* 10,000 names that nobody has: the questions are bounded, for one address and for all, and so
 * is what stays. */
static void test_flood(void **state)
{
    (void)state;
    char name[64];
    struct world w;
    size_t questions, busy = 0;
    static struct client c[10000], others[ARRAY_LEN(c)];
    world_begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        struct net_addr site = nth(0, true);
        site.ip[15] = (uint8_t)i; /* all of one IPv6 site */
        client_init(&c[i]);
        snprintf(name, sizeof(name), "n%zu.example.com", i);
        busy += find(&w, name, &site, &c[i]) == CERT_DESK_BUSY;
    }
    assert_int_equal(w.total, CERT_DESK_QUESTIONS_PER_SOURCE);
    assert_int_equal(busy, ARRAY_LEN(c) - CERT_DESK_QUESTIONS_PER_SOURCE);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        const struct net_addr peer = nth(i, false);
        client_init(&others[i]);
        snprintf(name, sizeof(name), "m%zu.example.com", i);
        find(&w, name, &peer, &others[i]);
    }
    assert_int_equal(w.total, CERT_DESK_QUESTIONS);
    world_answer(&w, false);
    assert_int_equal(cert_desk_size(w.desk, &questions).names, 0);
    assert_int_equal(questions, 0);
    world_end(&w);
}

/* Whose address may be made up leaves room for the others, and may wait for what they have asked for. */
static void test_unproven_leave_room(void **state)
{
    (void)state;
    char name[64];
    struct world w;
    static struct client c[1000];
    struct client proven, late;
    world_begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        const struct net_addr peer = nth(i, false);
        client_init(&c[i]);
        c[i].waiter.unproven = true;
        snprintf(name, sizeof(name), "n%zu.example.com", i);
        assert_int_equal(find(&w, name, &peer, &c[i]),
                         i < CERT_DESK_QUESTIONS / 4 ? CERT_DESK_WAIT : CERT_DESK_BUSY);
    }
    client_init(&proven);
    assert_int_equal(find(&w, "a.example.com", &somebody, &proven), CERT_DESK_WAIT);
    client_init(&late);
    late.waiter.unproven = true;
    assert_int_equal(find(&w, "a.example.com", &somebody, &late), CERT_DESK_WAIT);
    assert_int_equal(w.total, CERT_DESK_QUESTIONS / 4 + 1);
    world_answer(&w, true);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        assert_int_equal(c[i].woken, i < CERT_DESK_QUESTIONS / 4);
    assert_int_equal(proven.woken + late.woken, 2);
    world_end(&w);
}

/* Those who pretend to have somebody's address spend what is theirs, not his. */
static void test_unproven_spend_nobodys(void **state)
{
    (void)state;
    char name[64];
    struct world w;
    static struct client c[CERT_DESK_QUESTIONS_PER_SOURCE + 1];
    struct client proven;
    world_begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        client_init(&c[i]);
        c[i].waiter.unproven = true;
        snprintf(name, sizeof(name), "n%zu.example.com", i);
        assert_int_equal(find(&w, name, &somebody, &c[i]), CERT_DESK_WAIT);
        assert_int_equal(w.asked[i]->peer.family, AF_UNSPEC);
    }
    client_init(&proven);
    assert_int_equal(find(&w, "mine.example.com", &somebody, &proven), CERT_DESK_WAIT);
    assert_int_equal(w.asked[ARRAY_LEN(c)]->peer.family, AF_INET);
    world_answer(&w, false);
    world_end(&w);
}

/* A change while it is asked for: what comes may be from before, so it is asked for again. */
static void test_changed_meanwhile(void **state)
{
    (void)state;
    struct world w;
    struct client c;
    world_begin(&w);
    client_init(&c);
    assert_int_equal(find(&w, "a.example.com", &somebody, &c), CERT_DESK_WAIT);
    cert_desk_forget(w.desk, "b.example.com");
    cert_desk_forget(w.desk, "*.example.com");
    world_answer(&w, true);
    assert_int_equal(c.woken, 0);
    assert_int_equal(w.total, 2);
    world_answer(&w, true);
    assert_int_equal(c.woken, 1);
    assert_int_equal(find(&w, "a.example.com", &somebody, &c), CERT_DESK_FOUND);
    cert_desk_forget(w.desk, NULL);
    assert_int_equal(find(&w, "a.example.com", &somebody, &c), CERT_DESK_WAIT);
    cert_desk_forget(w.desk, "b.example.com"); /* no concern of it */
    world_answer(&w, true);
    assert_int_equal(c.woken, 2);
    world_end(&w);
}

/* Nobody waits any more when the answer comes, which may be from before the change: it is of no use. */
static void test_changed_and_nobody_waits(void **state)
{
    (void)state;
    struct world w;
    struct client c;
    size_t questions;
    world_begin(&w);
    client_init(&c);
    assert_int_equal(find(&w, "a.example.com", &somebody, &c), CERT_DESK_WAIT);
    cert_desk_forget(w.desk, NULL);
    list_remove(&c.waiter.node);
    world_answer(&w, true);
    assert_int_equal(w.total, 1);
    assert_int_equal(cert_desk_size(w.desk, &questions).names, 0);
    assert_int_equal(questions, 0);
    assert_int_equal(find(&w, "a.example.com", &somebody, &c), CERT_DESK_WAIT);
    assert_int_equal(w.total, 2);
    world_answer(&w, true);
    world_end(&w);
}

/* The configuration goes while an answer is on its way. */
static void test_answer_comes_late(void **state)
{
    (void)state;
    struct world w;
    struct client c;
    world_begin(&w);
    client_init(&c);
    assert_int_equal(find(&w, "a.example.com", &somebody, &c), CERT_DESK_WAIT);
    list_remove(&c.waiter.node);
    cert_desk_unref(cert_desk_ref(w.desk));
    cert_desk_unref(w.desk);
    cert_source_unref(&w.source);
    assert_false(w.gone);
    world_answer(&w, true);
    assert_true(w.gone);
    assert_int_equal(c.woken, 0);
    loop_free(w.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache_forgets_what_is_not_used),
        cmocka_unit_test(test_cache_is_bounded_in_bytes),
        cmocka_unit_test(test_cache_knows_the_time),
        cmocka_unit_test(test_cache_tells_keys_apart),
        cmocka_unit_test(test_cache_forgets_what_has_changed),
        cmocka_unit_test(test_asked_once),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_names_with_tricks),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_unproven_leave_room),
        cmocka_unit_test(test_unproven_spend_nobodys),
        cmocka_unit_test(test_changed_meanwhile),
        cmocka_unit_test(test_changed_and_nobody_waits),
        cmocka_unit_test(test_answer_comes_late),
    };
    return cmocka_run_group_tests(tests, make_certificate, drop_certificate);
}
