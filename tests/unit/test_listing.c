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
static char first[] = "a.example.com", second[] = "b.example.com", issuer[] = "R11",
            ca[] = "https://ca.example/directory", why[] = "https://ca.example/why", folder[] = "/etc/names";
static char *names[] = {first, second};

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
    struct listing listing = {.next_try = LIFE_NEVER};
    int slot;
    for (int i = 0; i < 2; i++)
        assert_int_equal(life_add_ca(life, false, NULL), i);
    struct lineage *l = life_add(life, 1, &backed, &state, now);
    assert_non_null(l);
    listing_of(l, now, &listing, &slot);
    assert_int_equal(slot, 1);
    listing.next_try = life_next_try(l);
    listing.from = "acme";
    listing.names = names;
    listing.names_len = 2;
    listing.served.issuer = issuer;
    listing.served.ca = ca;
    listing.explanation = why;
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
    const struct listing_answer answer = {.rows = {&listing, 1, 1}, .total = 7};
    assert_true(certificates_json(&b, &answer, NULL));
    json_t *all = json_loadb((const char *)b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(all);
    assert_int_equal(json_integer_value(json_object_get(all, "certificates_total")), 7);
    json_t *one = json_array_get(json_object_get(all, "certificates"), 0);
    json_t *served = json_object_get(one, "served"), *backup = json_object_get(one, "backup");
    assert_string_equal(text_at(served, "state"), "good");
    assert_string_equal(text_at(served, "issuer"), "R11");
    assert_in_range(json_integer_value(json_object_get(served, "seconds_left")), 60 * DAY - 60, 60 * DAY);
    assert_true(json_is_true(json_object_get(json_object_get(served, "staple"), "fresh")));
    assert_true(json_is_false(json_object_get(served, "revoked")));
    assert_string_equal(text_at(backup, "state"), "revoked");
    assert_true(json_is_true(json_object_get(backup, "revoked")));
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
    struct listing_source sources[] = {
        {.from = "directory",
         .label = folder,
         .is = {.good = 3, .expired = 1, .soonest = now, .counted = now}},
        {.from = "on demand"}, /* not counted yet */
    };
    const struct listing_answer answer = {.rows = {v, 3, 3}, .sources = sources, .sources_len = 2};
    assert_true(certificates_prometheus(&b, &snap, &answer));
    const char *text = buf_text(&b);
    assert_non_null(
        strstr(text, "cardea_certificate_not_after_seconds{certificate=\"a.example.com\"} 1805184000\n"));
    assert_non_null(strstr(
        text, "cardea_certificate_backup_not_after_seconds{certificate=\"a.example.com\"} 1804320000\n"));
    assert_non_null(strstr(
        text, "cardea_certificate_staple_next_update_seconds{certificate=\"a.example.com\"} 1800086400\n"));
    assert_non_null(strstr(text, "cardea_certificate_order_failures{certificate=\"a.example.com\"} 3\n"));
    const char *sample = strstr(text, "not_after_seconds{");
    assert_null(strstr(sample + 1, "certificate_not_after_seconds{certificate=\"a."));
    assert_null(strstr(text, "b.example.com")); /* nothing is served yet */
    assert_non_null(strstr(text, "cardea_source_certificates{source=\"/etc/names\",state=\"expired\"} 1\n"));
    assert_non_null(strstr(text, "cardea_source_not_after_seconds{source=\"/etc/names\"} 1800000000\n"));
    assert_null(strstr(text, "on demand\""));
    buf_free(&b);
    life_free(life);
}

static void rows_are_counted(void **state)
{
    (void)state;
    const int64_t now = 1800000000;
    struct listing_slot slot = {.held = true, .not_before = now - 60 * DAY, .not_after = now + 30 * DAY};
    struct listing good = {.served = slot}, ending = good, expired = good, revoked = good, unusable = {0};
    struct listing_summary s = {0};
    ending.served.not_after = now + DAY;
    expired.served.rank = LIFE_EXPIRED;
    revoked.served.rank = LIFE_REVOKED;
    unusable.unusable = why;
    listing_count(&s, "good.test", &good, now);
    listing_count(&s, "ending.test", &ending, now);
    listing_count(&s, "expired.test", &expired, now);
    listing_count(&s, "revoked.test", &revoked, now);
    for (int i = 0; i < 20; i++) /* more than are told of by name */
        listing_count(&s, "unusable.test", &unusable, now);
    assert_true(s.total == 24 && s.good == 2 && s.ending == 1 && s.expired == 1 && s.revoked == 1 &&
                s.unusable == 20);
    assert_string_equal(s.soonest_name, "ending.test");
    assert_int_equal(s.soonest, now + DAY);
    assert_int_equal(s.bad_len, LISTING_BAD_MAX);
    assert_string_equal(s.bad[1], "revoked.test");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_json), cmocka_unit_test(in_metrics),
                                       cmocka_unit_test(rows_are_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
