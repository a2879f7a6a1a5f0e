/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys DNS records hold, and that none goes while one may. */
#include "pki.h"

#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"
#include "ech/journal.h"
#include "ech/ring.h"

#define NOW INT64_C(1000000000)
#define TTL 300

static struct ech_records *records_new(void)
{
    struct ech_records *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    return r;
}

static void records_free(struct ech_records *r)
{
    ech_records_free(r);
    free(r);
}

static void test_a_key_is_replaced(void **state)
{
    struct ech_records *r = records_new();
    (void)state;
    assert_int_equal(ech_records_due(r, "a", 10), 10);
    assert_true(ech_records_try(r, "a", 10, TTL, "", NOW));
    assert_int_equal(ech_records_keeps(r, 10), INT64_MAX);
    ech_records_given(r, "a", TTL, NOW);
    assert_int_equal(ech_records_due(r, "a", 10), 0);
    assert_int_equal(ech_records_due(r, "a", 20), 20);
    assert_true(ech_records_try(r, "a", 20, TTL, "", NOW + 5));
    assert_int_equal(ech_records_count(r, 10) + ech_records_count(r, 20), 2); /* it may be either */
    assert_int_equal(ech_records_keeps(r, 10), INT64_MAX);
    ech_records_given(r, "a", TTL, NOW + 6);
    assert_int_equal(ech_records_keeps(r, 10), NOW + 6 + TTL);
    assert_int_equal(ech_records_keeps(r, 20), INT64_MAX);
    assert_int_equal(ech_records_keeps(r, 30), 0);
    ech_records_forget(r, NOW + 6 + TTL - 1);
    assert_int_equal(ech_records_since(r, 10), NOW);
    ech_records_forget(r, NOW + 6 + TTL);
    assert_int_equal(ech_records_since(r, 10), 0);
    records_free(r);
}

/* Where it is not known what became of a push, that key is pushed again until it is, and only then the
 * newest: so a name holds no more than two keys, however long it goes on. */
static void test_an_outcome_that_is_not_known(void **state)
{
    struct ech_records *r = records_new();
    (void)state;
    assert_true(ech_records_try(r, "a", 10, TTL, "", NOW));
    ech_records_given(r, "a", TTL, NOW);
    assert_true(ech_records_try(r, "a", 20, TTL, "", NOW));
    assert_int_equal(ech_records_due(r, "a", 30), 20);
    assert_true(ech_records_try(r, "a", 20, TTL, "", NOW + 100));
    assert_int_equal(r->keys_len, 2);
    ech_records_given(r, "a", TTL, NOW + 100);
    assert_int_equal(ech_records_due(r, "a", 30), 30);
    records_free(r);
}

/* A TTL that was longer counts for what was pushed with it, and no longer. */
static void test_the_ttl_is_that_of_the_record(void **state)
{
    struct ech_records *r = records_new();
    (void)state;
    assert_true(ech_records_try(r, "a", 10, 3600, "", NOW));
    ech_records_given(r, "a", 3600, NOW);
    assert_true(ech_records_try(r, "a", 20, 60, "", NOW));
    ech_records_given(r, "a", 60, NOW);
    assert_int_equal(ech_records_keeps(r, 10), NOW + 3600);
    assert_true(ech_records_try(r, "a", 30, 60, "", NOW));
    ech_records_given(r, "a", 60, NOW);
    assert_int_equal(ech_records_keeps(r, 20), NOW + 60);
    records_free(r);
}

static void test_a_name_that_goes(void **state)
{
    struct ech_records *r = records_new();
    (void)state;
    assert_true(ech_records_try(r, "a", 10, TTL, "", NOW) && ech_records_try(r, "b", 10, TTL, "", NOW));
    ech_records_given(r, "a", TTL, NOW);
    ech_records_given(r, "b", TTL, NOW);
    ech_records_withdrawn(r, "a", NOW);
    assert_null(ech_records_find(r, "a"));
    assert_int_equal(ech_records_keeps(r, 10), INT64_MAX);
    ech_records_withdrawn(r, "b", NOW);
    ech_records_withdrawn(r, "nobody", NOW);
    assert_int_equal(ech_records_keeps(r, 10), NOW + TTL);
    assert_true(ech_records_try(r, "c", 20, TTL, "", NOW));
    ech_records_lost(r, "c");
    assert_int_equal(ech_records_keeps(r, 20), 0);
    records_free(r);
}

static void test_there_is_an_end_to_it(void **state)
{
    struct ech_records *r = records_new();
    char name[16];
    (void)state;
    for (int i = 1; i <= ECH_RECORDS_KEYS_MAX; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        assert_true(ech_records_try(r, name, i, TTL, "", NOW));
    }
    assert_false(ech_records_try(r, "more", 1000, TTL, "", NOW));
    for (int i = ECH_RECORDS_KEYS_MAX + 1; i <= ECH_RECORDS_NAMES_MAX; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        assert_true(ech_records_try(r, name, 1, TTL, "", NOW));
    }
    assert_false(ech_records_try(r, "more", 1, TTL, "", NOW));
    records_free(r);
}

static int read_text(const char *text, struct ech_records *ret)
{
    struct err err;
    return ech_records_read((struct str){text, strlen(text)}, ret, &err);
}

static void test_text(void **state)
{
    static const char *const wrong[] = {
        "",
        "{}",
        "[]",
        "{\"keys\":[]}",
        "{\"keys\":{},\"names\":[]}",
        "{\"keys\":[1],\"names\":[]}",
        "{\"keys\":[{\"begin\":0,\"since\":1,\"until\":0}],\"names\":[]}",
        "{\"keys\":[{\"begin\":-1,\"since\":1,\"until\":0}],\"names\":[]}",
        "{\"keys\":[{\"begin\":1,\"since\":1}],\"names\":[]}",
        "{\"keys\":[{\"begin\":1.5,\"since\":1,\"until\":0}],\"names\":[]}",
        "{\"keys\":[{\"begin\":9223372036854775807,\"since\":1,\"until\":0}],\"names\":[]}",
        "{\"keys\":[{\"begin\":1,\"since\":1,\"until\":0},{\"begin\":1,\"since\":1,\"until\":0}],\"names\":[]"
        "}",
        /* a name that holds a key which is not there, none at all, or that is there twice */
        "{\"keys\":[],\"names\":[{\"name\":\"a\",\"holds\":1,\"tries\":0,\"ttl\":1,\"said\":\"\"}]}",
        "{\"keys\":[],\"names\":[{\"name\":\"a\",\"holds\":0,\"tries\":0,\"ttl\":1,\"said\":\"\"}]}",
        "{\"keys\":[{\"begin\":1,\"since\":1,\"until\":0}],\"names\":["
        "{\"name\":\"a\",\"holds\":1,\"tries\":0,\"ttl\":1,\"said\":\"\"},"
        "{\"name\":\"a\",\"holds\":1,\"tries\":0,\"ttl\":1,\"said\":\"\"}]}",
        "{\"keys\":[{\"begin\":1,\"since\":1,\"until\":0}],\"names\":["
        "{\"name\":\"a\",\"holds\":1,\"tries\":0,\"ttl\":99999999999,\"said\":\"\"}]}",
        "{\"keys\":[{\"begin\":1,\"since\":1,\"until\":0}],\"names\":[{\"name\":\"a\",\"holds\":1,\"tries\":"
        "0,\"ttl\":1}]}",
    };
    struct ech_records *r = records_new(), *again = records_new();
    struct buf text = {0}, same = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (read_text(wrong[i], r) == 0)
            fail_msg("row %zu", i);
        assert_int_equal(r->keys_len + r->names_len, 0);
    }
    assert_true(ech_records_try(r, "a.example", 10, TTL, "300 h2", NOW));
    ech_records_given(r, "a.example", TTL, NOW);
    assert_true(ech_records_try(r, "a.example", 20, TTL, "300 h2", NOW));
    ech_records_write(r, &text);
    assert_int_equal(read_text(buf_text(&text), again), 0);
    ech_records_write(again, &same);
    assert_string_equal(buf_text(&text), buf_text(&same));
    assert_int_equal(ech_records_due(again, "a.example", 30), 20);
    buf_free(&text);
    buf_free(&same);
    records_free(r);
    records_free(again);
}

/* ---- a ring whose keys are published ---- */

#define ROTATE 3600

static const struct ech_ring_settings settings = {
    .public_name = "public.example", .rotate = ROTATE, .keep = ROTATE};

static void turn(struct ech_ring *ring, int64_t now)
{
    struct ech_keys *old;
    struct err err = {{0}};
    if (ech_ring_turn(ring, now, &old, &err) != 0)
        fail_msg("%s", err.text);
    ech_keys_free(old);
}

static void write_records(const char *folder, const struct ech_records *r)
{
    struct err err;
    assert_int_equal(ech_journal_write(folder, settings.public_name, r, &err), 0);
}

/* However long the push of the next one fails: a door that begins meanwhile opens the key, too. */
static void test_a_published_key_stays(void **state)
{
    const char *folder = pki_path("ech-published");
    const int64_t first = NOW - NOW % ROTATE, later = first + 1000 * ROTATE;
    struct ech_records *r = records_new();
    struct ech_ring_settings mine = settings;
    struct err err;
    (void)state;
    mine.folder = folder;
    struct ech_ring *ring = ech_ring_new(&mine, first, &err);
    assert_non_null(ring);
    assert_int_equal(ech_ring_newest(ring), first);
    assert_true(ech_records_try(r, "a", first, TTL, "", first));
    ech_records_given(r, "a", TTL, first);
    write_records(folder, r);
    for (int64_t now = first; now <= later; now += ROTATE / 2)
        turn(ring, now);
    assert_non_null(ech_ring_key(ring, first));
    assert_null(ech_ring_key(ring, first + ROTATE));
    struct ech_ring *other = ech_ring_new(&mine, later, &err);
    assert_non_null(ech_ring_key(other, first));
    /* It is replaced at last: it stays for as long as caches may have it. */
    assert_true(ech_records_try(r, "a", ech_ring_newest(ring), TTL, "", later));
    ech_records_given(r, "a", TTL, later);
    write_records(folder, r);
    turn(ring, later + TTL - 1);
    assert_non_null(ech_ring_key(ring, first));
    turn(ring, later + TTL);
    assert_null(ech_ring_key(ring, first));
    ech_ring_free(ring);
    ech_ring_free(other);
    records_free(r);
}

/* Nothing is removed, and it is told, where it is not known what is published. */
static void test_a_journal_that_cannot_be_read(void **state)
{
    const char *folder = pki_path("ech-unsure");
    struct ech_ring_settings mine = settings;
    struct ech_keys *old;
    struct err err;
    char path[512];
    (void)state;
    mine.folder = folder;
    struct ech_ring *ring = ech_ring_new(&mine, ROTATE, &err);
    assert_non_null(ring);
    snprintf(path, sizeof(path), "%s/%s.published", folder, settings.public_name);
    assert_int_equal(file_write_atomic(path, 0600, "{", 1, &err), 0);
    assert_int_equal(ech_ring_turn(ring, 100 * ROTATE, &old, &err), -1);
    ech_keys_free(old);
    assert_non_null(strstr(err.text, "no key is removed"));
    assert_non_null(ech_ring_key(ring, ROTATE));
    assert_int_equal(unlink(path), 0);
    turn(ring, 100 * ROTATE);
    assert_null(ech_ring_key(ring, ROTATE));
    ech_ring_free(ring);
}

/* A folder in which nothing can be made any more: the last key is offered still, but no record is given it.
 */
static void test_a_folder_that_is_gone(void **state)
{
    const char *folder = pki_path("ech-gone");
    char elsewhere[512];
    struct ech_ring_settings mine = settings;
    struct ech_keys *old;
    struct err err;
    (void)state;
    mine.folder = folder;
    struct ech_ring *ring = ech_ring_new(&mine, ROTATE, &err);
    assert_non_null(ring);
    snprintf(elsewhere, sizeof(elsewhere), "%s-away", folder);
    assert_int_equal(rename(folder, elsewhere), 0);
    assert_int_equal(ech_ring_turn(ring, 100 * ROTATE, &old, &err), -1);
    assert_null(old);
    assert_int_equal(ech_keys_count(ech_ring_keys(ring)), 1);
    assert_int_equal(ech_ring_newest(ring), 0);
    ech_ring_free(ring);
}

static void test_one_has_the_lock(void **state)
{
    const char *folder = pki_path("ech-locked");
    struct err err;
    (void)state;
    assert_int_equal(mkdir(folder, 0700), 0);
    int first = ech_journal_lock(folder, settings.public_name, &err);
    assert_true(first >= 0);
    assert_int_equal(ech_journal_lock(folder, settings.public_name, &err), -1);
    assert_string_equal(err.text, "");
    close(first);
    first = ech_journal_lock(folder, settings.public_name, &err);
    assert_true(first >= 0);
    close(first);
    assert_int_equal(ech_journal_lock("/nowhere", settings.public_name, &err), -1);
    assert_non_null(strstr(err.text, "/nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_replaced),
        cmocka_unit_test(test_an_outcome_that_is_not_known),
        cmocka_unit_test(test_the_ttl_is_that_of_the_record),
        cmocka_unit_test(test_a_name_that_goes),
        cmocka_unit_test(test_there_is_an_end_to_it),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_a_published_key_stays),
        cmocka_unit_test(test_a_journal_that_cannot_be_read),
        cmocka_unit_test(test_a_folder_that_is_gone),
        cmocka_unit_test(test_one_has_the_lock),
    };
    return cmocka_run_group_tests_name("ech_records", tests, NULL, pki_remove);
}
