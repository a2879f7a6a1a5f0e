/* SPDX-License-Identifier: Apache-2.0 */
/* ca/roots.c: which rows of a log make a root of a CA, and what is sent with what is issued. */
#include "pki.h"

#include "ca/authority_internal.h"

#define STR(text) ((struct str){text, sizeof(text) - 1})

static const int64_t now = 1900000000;

static struct ca *root_of(const char *name, int64_t years)
{
    struct err err = {""};
    struct ca *ca =
        ca_create_root(&(struct ca_request){.name = name, .now = now, .lifetime = years * PKI_YEAR}, &err);
    if (ca == NULL)
        fail_msg("%s", err.text);
    return ca;
}

static struct ca *below(const struct ca *root)
{
    struct err err = {""};
    struct ca *made =
        ca_issue(root, CA_PROFILE_INTERMEDIATE,
                 &(struct ca_request){.name = "Issuer", .now = now, .lifetime = 5 * PKI_YEAR}, &err);
    if (made == NULL)
        fail_msg("%s", err.text);
    return made;
}

static int take(struct roots *r, const char *detail, X509 *cert, struct err *err)
{
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    assert_true(len > 0);
    int rc = roots_take(r, 7, (struct str){detail, strlen(detail)},
                        (struct str){(const char *)der, (size_t)len}, err);
    OPENSSL_free(der);
    return rc;
}

/* `root`, vouched for by `by`, and the other way round. */
static void follow(struct roots *r, int number, const struct ca *root, const struct ca *by)
{
    char detail[64];
    struct err err = {""};
    X509 *there = ca_cross(by, ca_x509(root), now, &err), *back = ca_cross(root, ca_x509(by), now, &err);
    assert_true(there != NULL && back != NULL);
    snprintf(detail, sizeof(detail), "root-%d.pem root-%d.key", number, number);
    assert_int_equal(take(r, "cross-there.pem", there, &err), 1);
    assert_int_equal(take(r, detail, ca_x509(root), &err), 1);
    assert_int_equal(take(r, "cross-back.pem", back, &err), 1);
    X509_free(there);
    X509_free(back);
}

static void test_rows(void **state)
{
    static const struct {
        const char *detail;
        bool vouched_for;
        int rc;
    } rows[] = {
        {"", true, 0},
        {"intermediate-2.pem intermediate-2.key", true, 0},
        {"root", true, 0},
        {"root.pem", true, -1}, /* there is a first one already */
        {"root-", true, -1},
        {"root-2.pem", true, -1},
        {"root-.pem root-.key", true, -1},
        {"root-2.pem root-3.key", true, -1},
        {"root-2.pem root-2.key ", true, -1},
        {"root-2.pem root-2.key", false, -1},
        {"root-../2.pem root-../2.key", true, -1},
        {"root-123456789.pem root-123456789.key", true, -1},
        {"cross-2-1.pem", false, -1}, /* no root has signed it */
        {"root-2.pem root-2.key", true, 1},
    };
    (void)state;
    struct ca *first = root_of("First", 20), *second = root_of("Second", 20),
              *stranger = root_of("Second", 20);
    struct err err = {""};
    X509 *cross = ca_cross(first, ca_x509(second), now, &err);
    assert_non_null(cross);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct roots r = {.n = 0};
        assert_int_equal(take(&r, "root-2.pem root-2.key", ca_x509(second), &err), -1);
        assert_int_equal(take(&r, "root.pem", ca_x509(first), &err), 1);
        assert_int_equal(take(&r, "cross-2-1.pem", cross, &err), 1);
        /* The name alone is not vouched for. */
        assert_int_equal(take(&r, rows[i].detail, ca_x509(rows[i].vouched_for ? second : stranger), &err),
                         rows[i].rc);
        assert_int_equal(r.n, rows[i].rc == 1 ? 2 : 1);
        roots_free(&r);
    }
    struct roots r = {.n = 0};
    assert_int_equal(roots_take(&r, 1, STR("root.pem"), STR("no certificate"), &err), -1);
    assert_int_equal(r.n, 0);
    X509_free(cross);
    ca_free(first);
    ca_free(second);
    ca_free(stranger);
}

/* Whoever can write to the database, and has the key of an intermediate or none at all. */
static void test_forged(void **state)
{
    (void)state;
    struct err err = {""};
    struct ca *first = root_of("First", 20), *second = root_of("Second", 20), *issuer = below(first);
    EVP_PKEY_up_ref(issuer->key);
    struct ca *own = ca_make(NULL, issuer->key, CA_PROFILE_INTERMEDIATE,
                             &(struct ca_request){.name = "Issuer", .now = now, .lifetime = PKI_YEAR}, &err);
    X509 *cross = ca_cross(first, ca_x509(second), now, &err);
    uint8_t *der = NULL;
    int len = i2d_X509(ca_x509(second), &der);
    assert_true(own != NULL && cross != NULL && len > 0);
    der[len - 1] ^= 1;
    const uint8_t *p = der;
    X509 *unsigned_root = d2i_X509(NULL, &p, len);
    OPENSSL_free(der);
    assert_non_null(unsigned_root);
    struct roots r = {.n = 0};
    assert_int_equal(take(&r, "root.pem", unsigned_root, &err), -1);
    assert_int_equal(take(&r, "root.pem", ca_x509(first), &err), 1);
    assert_int_equal(take(&r, "cross-2-1.pem", ca_x509(issuer), &err), -1); /* it vouches for no root */
    assert_int_equal(take(&r, "root-2.pem root-2.key", ca_x509(own), &err), -1);
    assert_int_equal(take(&r, "cross-2-1.pem", cross, &err), 1);
    assert_int_equal(take(&r, "root-2.pem root-2.key", unsigned_root, &err), -1);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.cross_n, 1);
    roots_free(&r);
    X509_free(cross);
    X509_free(unsigned_root);
    struct ca *const made[] = {first, second, issuer, own};
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        ca_free(made[i]);
}

static void expect_above(const struct roots *r, struct ca *intermediate, int64_t at, const char *expected)
{
    char text[256] = "", name[64];
    roots_put_above(r, intermediate, at);
    for (size_t i = 1; i < intermediate->chain_len; i++) {
        X509_NAME_get_text_by_NID(X509_get_subject_name(intermediate->chain[i]), NID_commonName, name,
                                  sizeof(name));
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s by ", name);
        X509_NAME_get_text_by_NID(X509_get_issuer_name(intermediate->chain[i]), NID_commonName, name,
                                  sizeof(name));
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s;", name);
    }
    assert_string_equal(text, expected);
}

/* Each root is reached from each, and what has ended is left out. */
static void test_what_is_sent(void **state)
{
    (void)state;
    struct ca *one = root_of("1", 6), *two = root_of("2", 20), *three = root_of("3", 20);
    struct err err = {""};
    struct roots r = {.n = 0};
    struct buf pem = {0};
    assert_int_equal(take(&r, "root.pem", ca_x509(one), &err), 1);
    struct ca *by_one = below(one), *by_two = below(two), *by_three = below(three);
    expect_above(&r, by_one, now, "");
    follow(&r, 2, two, one);
    follow(&r, 3, three, two);
    expect_above(&r, by_one, now, "1 by 2;2 by 3;");
    expect_above(&r, by_two, now, "2 by 1;2 by 3;");
    expect_above(&r, by_three, now, "3 by 2;2 by 1;");
    expect_above(&r, by_three, now, "3 by 2;2 by 1;"); /* in place of what was there */
    expect_above(&r, by_three, now + 7 * PKI_YEAR, "3 by 2;");
    assert_true(roots_put_pem(&r, now, &pem));
    size_t all = pem.len;
    buf_consume(&pem, pem.len);
    assert_true(roots_put_pem(&r, now + 7 * PKI_YEAR, &pem) && pem.len < all);
    assert_string_equal(roots_latest(&r)->key, "root-3.key");
    buf_free(&pem);
    roots_free(&r);
    struct ca *const made[] = {one, two, three, by_one, by_two, by_three};
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        ca_free(made[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_what_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
