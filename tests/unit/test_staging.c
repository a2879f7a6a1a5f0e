/* SPDX-License-Identifier: Apache-2.0 */
/* session/staging.h and keeper/candidates.h: what stands in for what, and what is kept of it. */
#include "pki.h"

#include <sys/stat.h>

#include "cert/store.h"
#include "config/config.h"
#include "keeper/candidates.h"
#include "session/staging.h"

static struct ca *root;

static int make_root(void **state)
{
    (void)state;
    root = pki_root("Staging Root");
    return 0;
}

static int drop_root(void **state)
{
    ca_free(root);
    return pki_remove(state);
}

/* Into LABEL.pem and LABEL.key; names apart by a blank. */
static struct cert *make(const char *label, enum key_kind kind, const char *names)
{
    const char *sans[8];
    size_t n = 0;
    char copy[256], file[64], key[64], *rest = copy;
    struct err err = {{0}};
    snprintf(copy, sizeof(copy), "%s", names);
    for (char *name; (name = strsep(&rest, " ")) != NULL;)
        sans[n++] = name;
    struct ca *leaf =
        pki_issue(root, CA_PROFILE_SERVER, (struct ca_request){.sans = sans, .sans_len = n, .key = kind});
    pki_save(leaf, label);
    ca_free(leaf);
    snprintf(file, sizeof(file), "%s.pem", label);
    snprintf(key, sizeof(key), "%s.key", label);
    struct cert *cert = cert_load(
        &(struct cert_files){.certificate = pki_path(file), .key = pki_path(key), .label = label}, &err);
    if (cert == NULL)
        fail_msg("%s", err.text);
    return cert;
}

/* ---- TLS settings ---- */

static void test_settings(void **state)
{
    static const struct {
        const char *text;
        const char *error; /* NULL: it is good */
        uint16_t min;
        size_t groups, ciphers;
    } rows[] = {
        {"min_version=1.3", NULL, 0x0304, 0, 0},
        {"min=1.3,pq=off", NULL, 0x0304, 0, 0},
        {"min=1.3,min_version=1.2", "each once at most", 0, 0, 0},
        {"min_=1.3", "found 'min_=1.3'", 0, 0, 0},
        {"mi=1.3", "found 'mi=1.3'", 0, 0, 0},
        {"min_version=1.3,pq=off,groups=X25519", NULL, 0x0304, 1, 0},
        {"pq", "pq: found ''", 0, 0, 0},
        {"pq=", "pq: found ''", 0, 0, 0},
        {"pq=requir", "pq: found 'requir', expected prefer, require or off", 0, 0, 0},
        {"pq=Require", "pq: found 'Require'", 0, 0, 0},
        {"pq=off,pq=off", "each once at most", 0, 0, 0},
        {"min_version=1.2,groups=X25519", NULL, 0x0303, 1, 0},
        {"groups=X25519:P-256:P-384,ciphers=TLS_AES_128_GCM_SHA256", NULL, 0, 3, 1},
        {"", "found ''", 0, 0, 0},
        {",", "found ''", 0, 0, 0},
        {"min_version=1.3,", "found ''", 0, 0, 0},
        {"min_version", "min_version: found ''", 0, 0, 0},
        {"min_version=", "min_version: found ''", 0, 0, 0},
        {"min_version=1.1", "found '1.1', expected 1.2 or 1.3", 0, 0, 0},
        {"min_version=1.33", "found '1.33'", 0, 0, 0},
        {"min_version=1.3,min_version=1.3", "each once at most", 0, 0, 0},
        {"groups=", "groups: found ''", 0, 0, 0},
        {"groups=X25519:", "groups: found ''", 0, 0, 0},
        {"groups=:X25519", "groups: found ''", 0, 0, 0},
        {"groups=x25519", "groups: found 'x25519'", 0, 0, 0},
        {"groups=X25519:X25519", "is here twice", 0, 0, 0},
        {"groups=X25519,groups=P-256", "each once at most", 0, 0, 0},
        {"ciphers=TLS_RSA_WITH_AES_128_CBC_SHA", "ciphers: found", 0, 0, 0},
        {"max_version=1.3", "found 'max_version=1.3'", 0, 0, 0},
        {"min_version=1.3 groups=X25519", "min_version: found", 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct staged_tls got;
        struct err err = {""};
        assert_int_equal(staging_read_tls(rows[i].text, &got, &err), rows[i].error == NULL ? 0 : -1);
        if (rows[i].error != NULL) {
            if (strstr(err.text, rows[i].error) == NULL)
                fail_msg("%s: expected '%s' in: %s", rows[i].text, rows[i].error, err.text);
            continue;
        }
        assert_int_equal(got.min_version, rows[i].min);
        assert_int_equal(got.groups_len, rows[i].groups);
        assert_int_equal(got.ciphers_len, rows[i].ciphers);
    }
}

static void test_pq_is_read(void **state)
{
    struct staged_tls got;
    struct err err;
    (void)state;
    for (enum tls_pq pq = TLS_PQ_PREFER; pq < TLS_PQS; pq++) {
        char text[32];
        snprintf(text, sizeof(text), "pq=%s", tls_pq_word(pq));
        assert_int_equal(staging_read_tls(text, &got, &err), 0);
        assert_int_equal(got.pq, pq);
    }
    assert_int_equal(staging_read_tls("min_version=1.3", &got, &err), 0);
    assert_int_equal(got.pq, TLS_PQ_UNSAID);
}

/* Promoted settings are everybody's; a candidate's come on top, for who sees candidates. */
static void test_settings_are_put_over(void **state)
{
    struct config_tls own = {.min_version = CONFIG_TLS_1_2, .max_version = CONFIG_TLS_1_2}, got;
    struct staging *s = staging_new(2);
    struct staged floor = {
        .label = (char[]){"tls"}, .tls_text = (char[]){"min_version=1.3"}, .promoted = false};
    struct staged groups = {
        .label = (char[]){"tls"}, .tls_text = (char[]){"groups=X25519"}, .promoted = true};
    struct err err;
    (void)state;
    assert_int_equal(staging_read_tls(floor.tls_text, &floor.tls, &err), 0);
    assert_int_equal(staging_read_tls(groups.tls_text, &groups.tls, &err), 0);
    staging_add(s, &floor);
    staging_add(s, &groups);
    staging_tls(&own, s, false, &got);
    assert_int_equal(got.min_version, CONFIG_TLS_1_2);
    assert_int_equal(got.groups.n, 1);
    staging_tls(&own, s, true, &got);
    assert_int_equal(got.min_version, CONFIG_TLS_1_3);
    assert_int_equal(got.max_version, CONFIG_TLS_1_3); /* not below the floor */
    assert_int_equal(got.groups.n, 1);
    staging_tls(&own, NULL, true, &got);
    assert_int_equal(got.groups.n, 0);
    staging_unref(s);
}

/* What demands post-quantum key exchange needs a version that has it. */
static void test_pq_is_put_over(void **state)
{
    struct config_tls own = {.min_version = CONFIG_TLS_1_2,
                             .max_version = CONFIG_TLS_1_2,
                             .pq = TLS_PQ_PREFER},
                      got;
    struct staging *s = staging_new(2);
    struct staged require = {.label = (char[]){"tls"}, .tls = {.pq = TLS_PQ_REQUIRE}};
    struct staged off = {.label = (char[]){"tls"}, .tls = {.pq = TLS_PQ_OFF}, .promoted = true};
    (void)state;
    staging_add(s, &require);
    staging_add(s, &off);
    staging_tls(&own, s, false, &got);
    assert_int_equal(got.pq, TLS_PQ_OFF);
    assert_int_equal(got.max_version, CONFIG_TLS_1_2);
    staging_tls(&own, s, true, &got);
    assert_int_equal(got.pq, TLS_PQ_REQUIRE);
    assert_int_equal(got.max_version, CONFIG_TLS_1_3);
    staging_unref(s);
}

/* ---- what stands in for what ---- */

static void test_stands_for(void **state)
{
    struct cert *own[] = {make("ec", KEY_P256, "a.example b.example"), make("rsa", KEY_RSA2048, "a.example"),
                          NULL, make("other", KEY_P256, "c.example"), make("wild", KEY_P256, "*.w.example")};
    static const struct {
        const char *names;
        enum key_kind kind;
        const char *marks; /* of `own` */
    } rows[] = {
        {"a.example", KEY_P256, "10000"}, /* of its kind alone */
        {"a.example", KEY_RSA2048, "01000"},   {"a.example", KEY_ED25519, "11000"},
        {"b.example", KEY_RSA2048, "10000"},   {"a.example c.example", KEY_P256, "10010"},
        {"x.example", KEY_P256, "00000"},      {"*.example", KEY_P256, "11010"}, /* covers all their names */
        {"x.w.example", KEY_P256, "00000"}, /* a narrower name leaves the wildcard where it is */
        {"*.w.example", KEY_RSA2048, "00001"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool marks[ARRAY_LEN(own)];
        struct cert *cert = make("candidate", rows[i].kind, rows[i].names);
        size_t n = staging_stands_for(cert, own, ARRAY_LEN(own), marks), expected = 0;
        for (size_t k = 0; k < ARRAY_LEN(own); k++) {
            assert_int_equal(marks[k], rows[i].marks[k] == '1');
            expected += marks[k];
        }
        assert_int_equal(n, expected);
        cert_unref(cert);
    }
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        cert_unref(own[i]);
}

static void test_stand_ins(void **state)
{
    struct cert *own[] = {make("old", KEY_P256, "a.example b.example"), NULL};
    struct cert *promoted = make("new", KEY_P256, "a.example"),
                *candidate = make("newer", KEY_P256, "a.example n.example"),
                *apart = make("apart", KEY_P256, "obtained.example");
    struct staging *s = staging_new(3);
    struct stand_ins ins;
    (void)state;
    staging_add(s, &(struct staged){.label = (char[]){"newer"}, .cert = candidate});
    staging_add(s, &(struct staged){.label = (char[]){"new"}, .cert = promoted, .promoted = true});
    staging_add(s, &(struct staged){.label = (char[]){"apart"}, .cert = apart, .promoted = true});
    stand_ins_make(own, 2, s, false, &ins);
    assert_ptr_equal(ins.v[0], promoted);
    assert_null(ins.v[1]);
    assert_int_equal(ins.more_len, 1);
    assert_string_equal(ins.more_labels[0], "apart");
    assert_false(stand_ins_have(&ins, "b.example"));
    assert_true(stand_ins_have(&ins, "obtained.example"));
    stand_ins_done(&ins);
    stand_ins_make(own, 2, s, true, &ins);
    assert_ptr_equal(ins.v[0], candidate);
    assert_true(stand_ins_have(&ins, "n.example"));
    stand_ins_done(&ins);
    staging_unref(s);
    cert_unref(own[0]);
    cert_unref(promoted);
    cert_unref(candidate);
    cert_unref(apart);
}

/* ---- what is kept ---- */

static struct candidates *open_at(const char *dir)
{
    struct buf troubles = {0};
    struct err err = {{0}};
    struct candidates *c = candidates_open(dir, &troubles, &err);
    if (c == NULL || troubles.len > 0)
        fail_msg("%s%s", err.text, troubles.len > 0 ? buf_text(&troubles) : "");
    return c;
}

static void order(struct candidates *c, enum candidates_verb verb, const char *label)
{
    char file[64], key[64];
    struct err err = {{0}};
    snprintf(file, sizeof(file), "%s.pem", label);
    snprintf(key, sizeof(key), "%s.key", label);
    struct candidates_order o = {.verb = verb, .label = label};
    if (verb == CANDIDATES_STAGE) {
        o.file = pki_path(file);
        o.key = pki_path(key);
    }
    if (candidates_order(c, &o, time(NULL), &err) != 0 || candidates_keep(c, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(candidates_label(c), label);
}

/* As "label" of candidates and "+label" of what was promoted, in their order. */
static void expect_now(struct candidates *c, int64_t now, const char *expected)
{
    struct staging *s = candidates_now(c, now);
    char got[256] = "";
    for (size_t i = 0; i < s->n; i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s%s", i > 0 ? " " : "",
                 s->v[i].promoted ? "+" : "", s->v[i].label);
    assert_string_equal(got, expected);
    staging_unref(s);
}

static void test_promotions_are_undone_in_turn(void **state)
{
    char dir[160];
    snprintf(dir, sizeof(dir), "%s", pki_path("turns"));
    struct candidates *c = open_at(dir);
    int64_t now = time(NULL);
    (void)state;
    cert_unref(make("one", KEY_P256, "a.example"));
    cert_unref(make("two", KEY_P256, "a.example"));
    cert_unref(make("far", KEY_P256, "far.example"));
    expect_now(c, now, "");
    order(c, CANDIDATES_STAGE, "one");
    order(c, CANDIDATES_PROMOTE, "one");
    order(c, CANDIDATES_STAGE, "far");
    order(c, CANDIDATES_PROMOTE, "far");
    order(c, CANDIDATES_STAGE, "two");
    expect_now(c, now, "+one +far two");
    order(c, CANDIDATES_PROMOTE, "two");
    expect_now(c, now, "+far +two");
    candidates_close(c);
    c = open_at(dir);
    expect_now(c, now, "+far +two");
    expect_now(c, now + 2 * PKI_YEAR, ""); /* what has expired hides nothing */
    assert_true(candidates_next_end(c, now) > now && candidates_next_end(c, now) <= now + PKI_YEAR);
    assert_true(candidates_next_end(c, now + 2 * PKI_YEAR) == INT64_MAX);
    order(c, CANDIDATES_ROLLBACK, "two");
    expect_now(c, now, "+one +far two");
    order(c, CANDIDATES_ROLLBACK, "one");
    expect_now(c, now, "one +far two");
    order(c, CANDIDATES_DISABLE, "two");
    order(c, CANDIDATES_DISABLE, "one");
    expect_now(c, now, "+far");
    candidates_close(c);
}

static void test_undone_orders_change_nothing(void **state)
{
    char dir[160];
    snprintf(dir, sizeof(dir), "%s", pki_path("undone"));
    struct candidates *c = open_at(dir);
    struct err err = {{0}};
    (void)state;
    cert_unref(make("kept", KEY_P256, "a.example"));
    order(c, CANDIDATES_STAGE, "kept");
    const struct candidates_order promote = {.verb = CANDIDATES_PROMOTE};
    assert_int_equal(candidates_order(c, &promote, time(NULL), &err), 0);
    expect_now(c, time(NULL), "+kept");
    candidates_undo(c);
    expect_now(c, time(NULL), "kept");
    const struct candidates_order nothing = {.verb = CANDIDATES_ROLLBACK, .label = "kept"};
    assert_int_equal(candidates_order(c, &nothing, time(NULL), &err), -1);
    assert_non_null(strstr(err.text, "there is no promoted one"));
    candidates_close(c);
    c = open_at(dir);
    expect_now(c, time(NULL), "kept");
    candidates_close(c);
}

/* Eight that were replaced are kept, and no file of those before. */
static void test_old_ones_go(void **state)
{
    struct candidates *c = open_at(pki_path("old"));
    int64_t now = time(NULL);
    (void)state;
    cert_unref(make("turn", KEY_P256, "a.example"));
    for (int i = 0; i < 12; i++) {
        order(c, CANDIDATES_STAGE, "turn");
        order(c, CANDIDATES_PROMOTE, "turn");
    }
    for (int i = 0; i < CANDIDATES_KEPT; i++) {
        order(c, CANDIDATES_ROLLBACK, "turn");
        expect_now(c, now, "+turn turn");
    }
    order(c, CANDIDATES_ROLLBACK, "turn");
    expect_now(c, now, "turn");
    candidates_close(c);
}

static void test_damaged_lists(void **state)
{
    static const char *const lists[] = {
        "",
        "{}",
        "[]",
        "{\"version\":2,\"next\":1,\"entries\":[]}",
        "{\"version\":1,\"next\":1,\"entries\":{}}",
        "{\"version\":1,\"next\":1,\"entries\":[7]}",
        "{\"version\":1,\"next\":1,\"entries\":[{\"id\":0,\"label\":\"a\",\"by\":0,\"since\":0,\"stage\":"
        "\"candidate\"}]}",
        "{\"version\":1,\"next\":1,\"entries\":[{\"id\":1,\"label\":\"a\",\"by\":0,\"since\":0,\"stage\":"
        "\"lost\"}]}",
        "{\"version\":1,\"next\":1,\"entries\":[{\"id\":1,\"label\":1,\"by\":0,\"since\":0,\"stage\":"
        "\"retired\"}]}",
    };
    (void)state;
    mkdir(pki_path("damaged"), 0700);
    mkdir(pki_path("damaged/candidates"), 0700);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct buf troubles = {0};
        struct err err = {{0}};
        assert_int_equal(file_write_atomic(pki_path("damaged/candidates/list.json"), 0600, lists[i],
                                           strlen(lists[i]), &err),
                         0);
        assert_null(candidates_open(pki_path("damaged"), &troubles, &err));
        assert_non_null(strstr(err.text, "list.json"));
        buf_free(&troubles);
    }
}

/* A row whose file has gone stays out, and is told of. */
static void test_a_lost_file(void **state)
{
    struct candidates *c = open_at(pki_path("lost"));
    struct buf troubles = {0};
    struct err err = {{0}};
    (void)state;
    cert_unref(make("gone", KEY_P256, "a.example"));
    order(c, CANDIDATES_STAGE, "gone");
    candidates_close(c);
    assert_int_equal(unlink(pki_path("lost/candidates/1.pem")), 0);
    c = candidates_open(pki_path("lost"), &troubles, &err);
    assert_non_null(c);
    assert_non_null(strstr(buf_text(&troubles), "candidate gone is not served: "));
    expect_now(c, time(NULL), "");
    order(c, CANDIDATES_DISABLE, "gone");
    candidates_close(c);
    buf_free(&troubles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_settings_are_put_over),
        cmocka_unit_test(test_pq_is_read),
        cmocka_unit_test(test_pq_is_put_over),
        cmocka_unit_test(test_stands_for),
        cmocka_unit_test(test_stand_ins),
        cmocka_unit_test(test_promotions_are_undone_in_turn),
        cmocka_unit_test(test_undone_orders_change_nothing),
        cmocka_unit_test(test_old_ones_go),
        cmocka_unit_test(test_damaged_lists),
        cmocka_unit_test(test_a_lost_file),
    };
    return cmocka_run_group_tests(tests, make_root, drop_root);
}
