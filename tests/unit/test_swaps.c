/* SPDX-License-Identifier: Apache-2.0 */
/* keeper/swaps.h and session/standby.h: which of two certificates is served, and what is kept of that. */
#include "pki.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cert/cert.h"
#include "keeper/swaps.h"

#define DAY INT64_C(86400)

static struct ca *root;
static int told;

static int make_root(void **state)
{
    (void)state;
    root = pki_root("Swapping Root");
    return 0;
}

static int drop_root(void **state)
{
    ca_free(root);
    return pki_remove(state);
}

/* LABEL.pem and LABEL.key. */
static void make_of(const char *label, struct ca_request request)
{
    struct ca *leaf = pki_issue(root, CA_PROFILE_SERVER, request);
    pki_save(leaf, label);
    ca_free(leaf);
}

/* The same; ends `days` from now. */
static void make(const char *label, const char *name, int days)
{
    make_of(label, (struct ca_request){.sans = &name, .sans_len = 1, .lifetime = days * DAY});
}

static void make_stapled(const char *label, const char *name, int days)
{
    make_of(label,
            (struct ca_request){.sans = &name, .sans_len = 1, .lifetime = days * DAY, .must_staple = true});
}

static struct cert_files files_of(const char *label)
{
    char name[64];
    struct cert_files files = {.label = label};
    snprintf(name, sizeof(name), "%s.pem", label);
    files.certificate = pki_path(name);
    snprintf(name, sizeof(name), "%s.key", label);
    files.key = pki_path(name);
    return files;
}

static struct standby_pair pair_of(const char *first, const char *backup)
{
    struct err err = {{0}};
    struct cert_files files = files_of(first);
    struct standby_pair pair = {.side = {cert_load(&files, &err)}};
    files = files_of(backup);
    if (pair.side[STANDBY_FIRST] == NULL || standby_load(&pair, &files, &err) != 0)
        fail_msg("%s", err.text);
    return pair;
}

static void on_notice(void *arg, const char *text)
{
    (void)arg;
    (void)text;
    told++;
}

static struct swaps *open_at(const char *name)
{
    struct err trouble;
    struct swaps *s = swaps_open(pki_path(name), &trouble);
    assert_string_equal(trouble.text, "");
    return s;
}

static enum standby_side judged(struct swaps *s, const struct standby_pair *pair, int64_t now)
{
    swaps_judge(s, pair, 1, now, on_notice, NULL);
    return standby_serves(pair, swaps_now(s));
}

/* ---- in time ---- */

static void test_the_better_one_is_served(void **state)
{
    (void)state;
    int64_t now = time(NULL);
    make("short", "a.example", 1);
    make("long", "a.example", 3);
    struct standby_pair pair = pair_of("short", "long");
    struct swaps *s = open_at("better");
    told = 0;
    assert_int_equal(judged(s, &pair, now), STANDBY_FIRST);
    assert_int_equal(swaps_state_of(s, &pair).why, LIFE_NOT_SWAPPED);
    pair.side[STANDBY_BACKUP]->revoked = true;
    pair.side[STANDBY_FIRST]->revoked = true;
    assert_int_equal(judged(s, &pair, now), STANDBY_FIRST); /* neither is better */
    pair.side[STANDBY_BACKUP]->revoked = false;
    assert_int_equal(judged(s, &pair, now), STANDBY_BACKUP);
    assert_int_equal(swaps_state_of(s, &pair).why, LIFE_SWAP_REVOKED);
    assert_int_equal(swaps_state_of(s, &pair).at, now);
    assert_int_equal(told, 1);
    pair.side[STANDBY_FIRST]->revoked = false; /* it stays, be it held no more */
    pair.side[STANDBY_FIRST]->good = true;
    assert_int_equal(judged(s, &pair, now), STANDBY_BACKUP);
    pair.side[STANDBY_BACKUP]->revoked = true;
    assert_int_equal(judged(s, &pair, now), STANDBY_FIRST);
    pair.side[STANDBY_BACKUP]->revoked = false;
    assert_int_equal(judged(s, &pair, now + 2 * DAY), STANDBY_BACKUP);
    assert_int_equal(swaps_state_of(s, &pair).why, LIFE_SWAP_EXPIRED);
    assert_int_equal(judged(s, &pair, now + 4 * DAY), STANDBY_BACKUP);
    assert_false(swaps_judge(s, &pair, 1, now + 4 * DAY, on_notice, NULL));
    assert_int_equal(told, 3);
    swaps_close(s);
    standby_pair_unref(&pair);
}

/* ---- the operator ---- */

static void expect_order(struct swaps *s, struct standby_pair *pairs, struct swaps_order order,
                         size_t swapped, size_t left)
{
    struct swaps_result result;
    swaps_do(s, pairs, 2, &order, time(NULL), &result);
    assert_int_equal(result.swapped, swapped);
    assert_int_equal(result.left, left);
}

static void test_orders(void **state)
{
    (void)state;
    make("a1", "*.a.example", 2);
    make("a2", "*.a.example", 2);
    make("b1", "b.example", 2);
    make("b2", "b.example", 2);
    struct standby_pair pairs[] = {pair_of("a1", "a2"), pair_of("b1", "b2")};
    struct swaps *s = open_at("orders");
    expect_order(s, pairs, (struct swaps_order){.name = "www.a.example"}, 1, 0);
    expect_order(s, pairs, (struct swaps_order){.name = "*.a.example"}, 1, 0);
    expect_order(s, pairs, (struct swaps_order){.name = "*.b.example"}, 0, 0);
    expect_order(s, pairs, (struct swaps_order){.name = "c.example"}, 0, 0);
    expect_order(s, pairs, (struct swaps_order){.ca = "Swapping Root"}, 2, 0);
    expect_order(s, pairs, (struct swaps_order){.ca = "Swapping"}, 0, 0);
    pairs[0].side[STANDBY_FIRST]->revoked = true;
    expect_order(s, pairs, (struct swaps_order){0}, 1, 1);
    struct standby_pair twice[] = {standby_pair_ref(&pairs[1]), standby_pair_ref(&pairs[1])};
    expect_order(s, twice, (struct swaps_order){.name = "b.example"}, 1, 0);
    for (int i = 0; i < 2; i++) {
        standby_pair_unref(&twice[i]);
        standby_pair_unref(&pairs[i]);
    }
    swaps_close(s);
}

/* ---- what is kept ---- */

static void test_a_restart_knows_of_it(void **state)
{
    (void)state;
    int64_t now = time(NULL);
    make("k1", "k.example", 1);
    make("k2", "k.example", 3);
    make("k3", "k.example", 3);
    struct standby_pair pair = pair_of("k1", "k2"), renewed = pair_of("k1", "k3"),
                        other = pair_of("k3", "k2");
    struct swaps *s = open_at("kept");
    struct swaps_result result;
    swaps_do(s, &pair, 1, &(struct swaps_order){0}, now, &result);
    assert_int_equal(judged(s, &pair, now), STANDBY_BACKUP);
    swaps_close(s);
    s = open_at("kept");
    assert_int_equal(standby_serves(&pair, swaps_now(s)), STANDBY_BACKUP);
    assert_int_equal(judged(s, &renewed, now), STANDBY_BACKUP); /* the same first one */
    assert_int_equal(judged(s, &other, now), STANDBY_FIRST);
    assert_int_equal(swaps_state_of(s, &pair).why, LIFE_SWAP_OPERATOR);
    /* Once it has expired, and is in no file any more, nothing is kept of it. */
    swaps_do(s, &other, 1, &(struct swaps_order){0}, now + 2 * DAY, &result);
    assert_int_equal(judged(s, &other, now + 2 * DAY), STANDBY_BACKUP);
    assert_int_equal(swaps_state_of(s, &pair).why, LIFE_NOT_SWAPPED);
    swaps_close(s);
    standby_pair_unref(&pair);
    standby_pair_unref(&renewed);
    standby_pair_unref(&other);
}

/* A restart loads the certificates anew: nothing was heard of them yet, and no staple is there. */
static void test_a_restart_keeps_what_was_left(void **state)
{
    static const struct {
        enum life_swap why;
        bool heard_good; /* of the first one, after the restart */
        int days;        /* from now to the judgement then */
        enum standby_side served, active;
    } rows[] = {
        {LIFE_SWAP_REVOKED, false, 0, STANDBY_BACKUP, STANDBY_BACKUP},
        {LIFE_SWAP_REVOKED, false, 3, STANDBY_FIRST, STANDBY_BACKUP}, /* the backup has expired */
        {LIFE_SWAP_REVOKED, true, 0, STANDBY_FIRST, STANDBY_BACKUP},  /* as it has no staple */
        {LIFE_SWAP_REVOKED, true, 3, STANDBY_FIRST, STANDBY_FIRST},
        {LIFE_SWAP_OPERATOR, false, 0, STANDBY_BACKUP, STANDBY_BACKUP},
        {LIFE_SWAP_OPERATOR, false, 3, STANDBY_FIRST, STANDBY_FIRST},
    };
    (void)state;
    int64_t now = time(NULL);
    make("r1", "r.example", 4);
    make_stapled("r2", "r.example", 2);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct standby_pair before = pair_of("r1", "r2"), pair = pair_of("r1", "r2");
        struct swaps *s = open_at("left");
        struct swaps_result result;
        before.side[STANDBY_FIRST]->revoked = rows[i].why == LIFE_SWAP_REVOKED;
        if (rows[i].why == LIFE_SWAP_OPERATOR)
            swaps_do(s, &before, 1, &(struct swaps_order){0}, now, &result);
        assert_int_equal(judged(s, &before, now), STANDBY_BACKUP);
        assert_int_equal(swaps_state_of(s, &before).why, rows[i].why);
        swaps_close(s);
        s = open_at("left");
        pair.side[STANDBY_FIRST]->good = rows[i].heard_good;
        assert_int_equal(judged(s, &pair, now + rows[i].days * DAY), rows[i].served);
        swaps_close(s);
        s = open_at("left");
        assert_int_equal(standby_serves(&pair, swaps_now(s)), rows[i].active);
        swaps_close(s);
        unlink(pki_path("left/swaps.json"));
        standby_pair_unref(&before);
        standby_pair_unref(&pair);
    }
}

static void test_what_cannot_be_kept_is_told_once(void **state)
{
    (void)state;
    make("n1", "n.example", 1);
    make("n2", "n.example", 1);
    struct standby_pair pair = pair_of("n1", "n2");
    struct swaps *s = open_at("no/such/folder");
    struct swaps_result result;
    swaps_do(s, &pair, 1, &(struct swaps_order){0}, time(NULL), &result);
    told = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(judged(s, &pair, time(NULL)), STANDBY_BACKUP);
    assert_int_equal(told, 1);
    swaps_close(s);
    standby_pair_unref(&pair);
}

static void test_damaged_lists(void **state)
{
#define ROW(id, why)                                                                        \
    "{\"version\":1,\"swaps\":[{\"first\":\"" id "\",\"backup_served\":true,\"why\":\"" why \
    "\",\"at\":1,\"until\":2}]}"
#define ID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    static const char *const lists[] = {
        "",
        "{",
        "[]",
        "{\"version\":2,\"swaps\":[]}",
        "{\"version\":1,\"swaps\":{}}",
        "{\"version\":1,\"swaps\":[7]}",
        "{\"version\":1,\"swaps\":[{\"first\":\"" ID "\"}]}",
        ROW("", "revoked"),
        ROW(ID "00", "revoked"),
        ROW("0", "revoked"),
        ROW("zz112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "revoked"),
        ROW(ID, "whim"),
    };
    (void)state;
    mkdir(pki_path("damaged"), 0700);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct err trouble = {{0}};
        pki_write("damaged/swaps.json", lists[i], strlen(lists[i]));
        struct swaps *s = swaps_open(pki_path("damaged"), &trouble);
        assert_non_null(strstr(trouble.text, "swaps.json: not a list of swaps"));
        assert_non_null(strstr(trouble.text, "the file is kept as "));
        assert_int_equal(swaps_now(s)->n, 0);
        swaps_close(s);
        assert_int_equal(access(pki_path("damaged/swaps.json"), F_OK), -1);
        assert_int_equal(access(pki_path("damaged/swaps.json.bad"), F_OK), 0);
    }
    pki_write("damaged/swaps.json", ROW(ID, "revoked"), strlen(ROW(ID, "revoked")));
    struct swaps *s = open_at("damaged");
    assert_int_equal(swaps_now(s)->n, 1);
    swaps_close(s);
    struct err trouble = {{0}};
    s = swaps_open(pki_path("damaged/swaps.json"), &trouble); /* no folder */
    assert_non_null(strstr(trouble.text, "swaps.json/swaps.json: "));
    swaps_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_better_one_is_served),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_a_restart_knows_of_it),
        cmocka_unit_test(test_a_restart_keeps_what_was_left),
        cmocka_unit_test(test_what_cannot_be_kept_is_told_once),
        cmocka_unit_test(test_damaged_lists),
    };
    return cmocka_run_group_tests(tests, make_root, drop_root);
}
