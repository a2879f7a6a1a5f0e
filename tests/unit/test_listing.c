/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of lineages: from their state to JSON and metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <cmocka.h>

#include "admin/certificates.h"
#include "base/buf.h"
#include "session/snapshot.h"

#define DAY INT64_C(86400)

static const struct life_rule backed = {.cas = {0, 1}, .cas_len = 2, .backup = LIFE_ANY_BACKUP};
static const char *const names[] = {"a.example.com", "b.example.com"};

/* One whose first certificate was revoked, and whose CA does not give another. */
static struct listing make(struct life *life, int64_t now)
{
    struct life_state state = {
        .swapped = LIFE_SWAP_REVOKED,
        .swapped_at = now - DAY,
        .active = 1,
        .slot = {{.held = true,
                  .ca = 0,
                  .revoked = now - DAY,
                  .failure = LIFE_REFUSED,
                  .failures = 3,
                  .failed = now - 60,
                  .not_before = now - 40 * DAY,
                  .not_after = now + 50 * DAY},
                 {.held = true,
                  .ca = 1,
                  .issued = now - 30 * DAY,
                  .not_before = now - 30 * DAY,
                  .not_after = now + 60 * DAY,
                  .ari_start = now + 20 * DAY,
                  .ari_end = now + 21 * DAY,
                  .renew_at = now + 20 * DAY,
                  .staple_this = now - DAY,
                  .staple_next = now + DAY}},
        .hold = {{.until = now + 3600, .failures = 3}},
    };
    struct listing listing;
    for (int i = 0; i < 2; i++)
        assert_int_equal(life_add_ca(life, false, NULL), i);
    struct lineage *l = life_add(life, 1, &backed, &state, now);
    assert_non_null(l);
    listing_of(l, now, &listing);
    listing.from = "acme";
    listing.names = names;
    listing.names_len = 2;
    listing.served.issuer = "R11";
    listing.served.ca = "https://ca.example/directory";
    listing.explanation = "https://ca.example/why";
    return listing;
}

static const char *text_at(const json_t *json, const char *key)
{
    return json_string_value(json_object_get(json, key));
}

static void in_json(void **state)
{
    (void)state;
    struct life_settings settings = {0};
    struct life *life = life_new(&settings);
    struct listing listing = make(life, time(NULL));
    struct buf b = {0};
    assert_true(certificates_json(&b, &listing, 1, 7, NULL));
    json_t *all = json_loadb((const char *)b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(all);
    assert_int_equal(json_integer_value(json_object_get(all, "certificates_total")), 7);
    json_t *one = json_array_get(json_object_get(all, "certificates"), 0);
    json_t *served = json_object_get(one, "served"), *backup = json_object_get(one, "backup");
    assert_string_equal(text_at(served, "state"), "good");
    assert_string_equal(text_at(served, "issuer"), "R11");
    assert_in_range(json_integer_value(json_object_get(served, "seconds_left")), 60 * DAY - 60, 60 * DAY);
    assert_true(json_is_true(json_object_get(json_object_get(served, "staple"), "fresh")));
    assert_string_equal(text_at(backup, "state"), "revoked");
    assert_true(json_is_null(json_object_get(backup, "staple")));
    assert_string_equal(text_at(one, "swapped"), "revoked");
    assert_string_equal(text_at(one, "failure"), "refused");
    assert_int_equal(json_integer_value(json_object_get(one, "failures")), 3);
    assert_non_null(text_at(one, "next_try"));
    assert_string_equal(text_at(json_object_get(one, "renewal_window"), "explanation"),
                        "https://ca.example/why");
    json_decref(all);
    buf_free(&b);
    life_free(life);
}

static void in_metrics(void **state)
{
    (void)state;
    struct life_settings settings = {0};
    struct life *life = life_new(&settings);
    const int64_t now = 1800000000;
    struct listing v[3] = {make(life, now)};
    struct config config = {0};
    struct snapshot snap = {.config = &config};
    struct buf b = {0};
    v[1] = v[0]; /* another kind of key for the same names: a sample may be given only once */
    v[2] = (struct listing){.from = "acme", .names = names + 1, .names_len = 1};
    assert_true(certificates_prometheus(&b, &snap, v, 3));
    const char *text = buf_text(&b);
    assert_non_null(
        strstr(text, "cardea_certificate_not_after_seconds{certificate=\"a.example.com\"} 1805184000\n"));
    assert_non_null(strstr(
        text, "cardea_certificate_backup_not_after_seconds{certificate=\"a.example.com\"} 1804320000\n"));
    assert_non_null(strstr(
        text, "cardea_certificate_staple_next_update_seconds{certificate=\"a.example.com\"} 1800086400\n"));
    assert_non_null(strstr(text, "cardea_certificate_order_failures{certificate=\"a.example.com\"} 3\n"));
    const char *first = strstr(text, "not_after_seconds{");
    assert_null(strstr(first + 1, "certificate_not_after_seconds{certificate=\"a."));
    assert_null(strstr(text, "b.example.com")); /* nothing is served yet */
    buf_free(&b);
    life_free(life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_json), cmocka_unit_test(in_metrics)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
