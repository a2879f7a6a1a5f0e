/* SPDX-License-Identifier: Apache-2.0 */
/* acme/acme_server.h: what the server keeps, and for how long. */
#include "acme_asserts.h"

static void test_sweep(void **state)
{
    struct played w = {0};
    struct player p, unused;
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    player_enrol(&unused, &w, "{}");
    player_order(&p, "a.example.com", "");
    char *order = strdup(played_field(&w, "Location", (char[512]){0}));
    player_obtain(&p, "b.example.com", "");
    assert_int_equal(acme_server_sweep(w.server, w.now, NULL), 0);
    assert_int_equal(played_post(&p, order, ""), 200);
    w.now += 3599; /* an hour is given, as `expires` says */
    played_post(&p, order, "");
    assert_string_equal(played_text(&w, "status"), "pending");
    assert_string_equal(played_text(&w, "expires"), "2030-03-17T18:46:40Z");
    w.now += 1;
    played_post(&p, order, "");
    assert_string_equal(played_text(&w, "status"), "invalid");
    w.now += 2 * PLAYED_DAY;
    assert_int_equal(acme_server_sweep(w.server, w.now, NULL), 0);
    played_post(&p, order, "");
    assert_problem(&w, 404, "malformed");
    free(order);
    w.now += 91 * PLAYED_DAY;
    assert_int_equal(acme_server_sweep(w.server, w.now, NULL), 0);
    played_post(&unused, unused.kid, "");
    assert_problem(&w, 400, "accountDoesNotExist");
    assert_int_equal(played_post(&p, p.kid, ""), 200);
    player_free(&p);
    player_free(&unused);
    played_end(&w);
}

/* Which accounts go: those without orders for long, deactivated ones too; not those that have certificates,
 * nor one whose key a rule names and that was deactivated, which could else come back. */
static void test_idle_accounts(void **state)
{
    struct player ordered, holder, gone, named, never, device;
    struct played w = {.params = {.limits = {.idle = 30 * PLAYED_DAY}}};
    (void)state;
    played_begin(&w);
    player_enrol(&ordered, &w, "{}");
    player_enrol(&holder, &w, "{}");
    player_enrol(&gone, &w, "{}");
    player_enrol(&named, &w, "{}");
    device = (struct player){.world = &w, .key = played_key()};
    char *payload = bound(device.key, "device-7", "0123456789abcdef", NEW_ACCOUNT);
    played_post_as(&device, NEW_ACCOUNT, payload, true);
    played_field(&w, "Location", device.kid);
    free(payload);
    char key[JWK_THUMBPRINT_MAX + 4] = "key:";
    assert_true(jwk_thumbprint(named.key, key + 4));
    const struct acme_rule by_key[] = {{.accounts = (const char *const[]){key, NULL}}, {0}};
    w.params.rules = by_key;
    w.params.rules_len = ARRAY_LEN(by_key);
    player_obtain(&holder, "b.example.com", "");
    played_post(&gone, gone.kid, "{\"status\":\"deactivated\"}");
    played_post(&named, named.kid, "{\"status\":\"deactivated\"}");
    w.now += 20 * PLAYED_DAY;
    assert_int_equal(player_order(&ordered, "a.example.com", ""), 201);
    player_enrol(&never, &w, "{}");
    const struct {
        int64_t day;
        struct player *p;
        const char *problem; /* NULL: it is there */
    } rows[] = {
        {20, &gone, "accountDoesNotExist"}, /* of a week, for it has ordered nothing */
        {20, &named, "unauthorized"},
        {20, &device, NULL},
        {28, &never, "accountDoesNotExist"},
        {49, &ordered, NULL},
        {51, &ordered, "accountDoesNotExist"},
        {51, &device, "accountDoesNotExist"},
        {110, &holder, NULL},
        {122, &holder, "accountDoesNotExist"},
        {122, &named, "unauthorized"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        w.now = PLAYED_START + rows[i].day * PLAYED_DAY;
        for (unsigned k = 0; k < 2; k++)
            assert_int_equal(acme_server_sweep(w.server, w.now, NULL), 0);
        played_post(rows[i].p, rows[i].p->kid, "");
        if (rows[i].problem == NULL ? w.status != 200 : strstr(w.text, rows[i].problem) == NULL)
            fail_msg("row %zu: %u %s", i, w.status, w.text);
    }
    struct player *const all[] = {&ordered, &holder, &gone, &named, &never, &device};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        player_free(all[i]);
    played_end(&w);
}

/* Certificates stay for long, so there may be so many, and a tenth of them for one address. */
static void test_room_for_certificates(void **state)
{
    struct played w = {.params = {.limits = {.certificates = 20, .orders_per_account = 2}}};
    struct player players[11], later;
    char name[32], source[32];
    (void)state;
    played_begin(&w);
    for (unsigned i = 0; i < ARRAY_LEN(players); i++) {
        snprintf(source, sizeof(source), "192.0.2.%u", i);
        w.source = source;
        player_enrol(&players[i], &w, "{}");
        for (unsigned k = 0; k < 2 && i < 10; k++) {
            snprintf(name, sizeof(name), "n%u-%u.example.com", i, k);
            player_obtain(&players[i], name, "");
        }
    }
    w.now += 2 * 3600;
    player_order(&players[0], "a.example.com", "");
    assert_problem(&w, 429, "rateLimited");
    assert_non_null(strstr(w.text, "from one address"));
    player_order(&players[10], "a.example.com", "");
    assert_problem(&w, 429, "rateLimited");
    acme_server_free(w.server);
    played_open(&w);
    w.nonce[0] = '\0';
    player_order(&players[10], "a.example.com", "");
    assert_problem(&w, 429, "rateLimited");
    w.now += 121 * PLAYED_DAY;
    for (unsigned k = 0; k < 2; k++)
        assert_int_equal(acme_server_sweep(w.server, w.now, NULL), 0);
    player_enrol(&later, &w, "{}");
    assert_int_equal(player_order(&later, "a.example.com", ""), 201);
    player_free(&later);
    for (size_t i = 0; i < ARRAY_LEN(players); i++)
        player_free(&players[i]);
    played_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_idle_accounts),
        cmocka_unit_test(test_room_for_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
