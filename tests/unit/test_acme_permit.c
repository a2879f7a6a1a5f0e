/* SPDX-License-Identifier: Apache-2.0 */
/* What an account with a narrow rule may have, and what it tries to have beyond that. */
#include "acme_asserts.h"

static const struct acme_rule rules[] = {
    {.accounts = (const char *const[]){"eab:device-*", NULL},
     .profiles = (const char *const[]){"client", NULL},
     .names = (const char *const[]){"d*.devices.example.com", "192.0.2.*", "2001:db8:*", NULL},
     .trusted = true},
    {.profiles = (const char *const[]){"short", NULL},
     .names = (const char *const[]){"*.web.example.com", "198.51.100.*", NULL}},
};

static void test_narrow_rule(void **state)
{
    static const struct {
        const char *names, *profile;
        unsigned status;
    } rows[] = {
        {"d7.devices.example.com", "client", 201},
        {"D7.Devices.Example.COM", "client", 201},
        {"192.0.2.7", "client", 201},
        {"2001:db8::7", "client", 201},
        {"d7.devices.example.com", "server", 403},
        {"d7.devices.example.com", "short", 403},
        {"x7.devices.example.com", "client", 403},
        {"*.devices.example.com", "client", 403},
        {"d7.devices.example.com.example.net", "client", 403},
        {"192.0.2.example.net", "client", 403}, /* what is meant for addresses is not for names */
        {"198.51.100.example.net", "short", 403},
        {"198.51.100.7", "short", 201},
        {"a.web.example.com", "short", 201},
        {"*.web.example.com", "short", 201},
        {"*.example.com", "short", 403},
        {"web.example.com", "short", 403},
        {"a.web.example.com d7.devices.example.com", "short", 403}, /* one rule fits the whole order */
        {"a.web.example.com d7.devices.example.com", "client", 403},
    };
    struct played w = {.params = {.rules = rules, .rules_len = ARRAY_LEN(rules)}};
    struct player device = {.world = &w, .key = played_key()}, other;
    (void)state;
    played_begin(&w);
    player_enrol(&other, &w, "{}");
    char *payload = bound(device.key, "device-7", "0123456789abcdef", NEW_ACCOUNT);
    played_post_as(&device, NEW_ACCOUNT, payload, true);
    free(payload);
    played_field(&w, "Location", device.kid);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char more[64];
        snprintf(more, sizeof(more), ",\"profile\":\"%s\"", rows[i].profile);
        if (player_order(&device, rows[i].names, more) != rows[i].status)
            fail_msg("%s, %s: %u %s", rows[i].names, rows[i].profile, w.status, w.text);
        /* Trust is of the account, not of the name. */
        if (strcmp(rows[i].profile, "client") == 0 && player_order(&other, rows[i].names, more) != 403)
            fail_msg("%s, another account: %u %s", rows[i].names, w.status, w.text);
    }
    /* A proof under one profile is no trust under another, and the other way round. */
    player_order(&device, "a.web.example.com", ",\"profile\":\"short\"");
    assert_string_equal(played_text(&w, "status"), "pending");
    player_free(&device);
    player_free(&other);
    played_end(&w);
}

static bool no_key(void *arg, struct str id, struct buf *ret_secret)
{
    (void)arg;
    (void)id;
    (void)ret_secret;
    return false;
}

/* Whose key the operator has taken back has nothing more by it, nor what was ordered before. */
static void test_key_is_taken_back(void **state)
{
    struct played w = {.params = {.rules = rules, .rules_len = ARRAY_LEN(rules)}};
    struct player device = {.world = &w, .key = played_key()};
    (void)state;
    played_begin(&w);
    char *payload = bound(device.key, "device-7", "0123456789abcdef", NEW_ACCOUNT);
    played_post_as(&device, NEW_ACCOUNT, payload, true);
    free(payload);
    played_field(&w, "Location", device.kid);
    assert_int_equal(player_order(&device, "d7.devices.example.com", ",\"profile\":\"client\""), 201);
    char *finalize = strdup(played_text(&w, "finalize"));
    w.params.eab = no_key;
    player_order(&device, "d7.devices.example.com", ",\"profile\":\"client\"");
    assert_problem(&w, 403, "rejectedIdentifier");
    player_finalize(&device, finalize, "d7.devices.example.com");
    assert_problem(&w, 403, "unauthorized");
    assert_int_equal(w.issued, 0);
    w.params.eab = played_eab;
    assert_int_equal(player_finalize(&device, finalize, "d7.devices.example.com"), 200);
    free(finalize);
    player_free(&device);
    played_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_narrow_rule),
        cmocka_unit_test(test_key_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
