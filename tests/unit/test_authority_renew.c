/* SPDX-License-Identifier: Apache-2.0 */
/* A CA whose intermediate is followed by others, at times that the test chooses. */
#include "authority.h"

#include <openssl/x509.h>

#include "base/file.h"

static const int64_t now = 1800000000;

static int renew_as(const char *folder, struct authority_renewal with, int64_t at, struct err *err)
{
    struct authority *a = authority_opened(folder, "");
    int rc = authority_renew(a, &with, "test", at, err);
    authority_close(a);
    return rc;
}

static void renew(const char *folder, struct authority_renewal with, int64_t at)
{
    struct err err = {""};
    with.any_kind = true;
    with.root.passphrase = ROOT_PASSPHRASE;
    if (renew_as(folder, with, at, &err) < 0)
        fail_msg("%s", err.text);
}

static size_t count_revoked(struct authority *a, size_t issuer)
{
    struct err err = {""};
    struct buf der = {0};
    if (authority_crl(a, issuer, now, DAY, &der, &err) < 0)
        fail_msg("%s", err.text);
    const uint8_t *p = der.data;
    X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.len);
    struct authority_issuer by;
    assert_non_null(crl);
    assert_true(authority_issuer(a, issuer, &by));
    EVP_PKEY *key = X509_get_pubkey(by.cert);
    assert_int_equal(X509_CRL_verify(crl, key), 1);
    size_t n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));
    EVP_PKEY_free(key);
    X509_CRL_free(crl);
    buf_free(&der);
    return n;
}

static void expect_suffixes(const char *folder, const char *const *expected)
{
    struct authority *a = authority_opened(folder, "");
    struct authority_issuer issuer;
    size_t i = 0;
    for (; authority_issuer(a, i, &issuer); i++)
        assert_string_equal(issuer.suffix, expected[i]);
    assert_null(expected[i]);
    authority_close(a);
}

static void test_issuers(void **unused)
{
    (void)unused;
    struct err err = {""};
    authority_make("issuers", (struct authority_plan){0}, now);
    struct authority *a = authority_opened("issuers", "");
    struct ca_serial first = authority_server(a, "a.example.com", now, 0, NULL);
    renew("issuers", (struct authority_renewal){0}, now);
    /* Whoever has it open goes on with the old one. */
    struct ca_serial late = authority_server(a, "late.example.com", now, 0, NULL);
    authority_close(a);
    expect_suffixes("issuers", (const char *const[]){"-2", "", NULL});
    a = authority_opened("issuers", "");
    struct ca_serial second = authority_server(a, "b.example.com", now, 0, NULL);
    const struct ca_serial *const all[] = {&first, &late, &second};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        assert_int_equal(authority_revoke(a, all[i], CA_REASON_SUPERSEDED, "test", now, &err),
                         AUTHORITY_REVOKED);
    assert_int_equal(count_revoked(a, 0), 1);
    assert_int_equal(count_revoked(a, 1), 2);
    struct authority_head head;
    if (authority_audit(a, NULL, &head, &err) < 0)
        fail_msg("%s", err.text);
    authority_close(a);
}

/* Of one that had expired when a later one was made nothing is left; of the others all. */
static void test_ends(void **unused)
{
    (void)unused;
    authority_make("ends", (struct authority_plan){0}, now);
    renew("ends", (struct authority_renewal){.lifetime = 2 * DAY}, now);
    struct authority *a = authority_opened("ends", "");
    X509 *cert = authority_intermediate(a);
    int64_t end = authority_end(cert);
    assert_int_equal(end, now + 2 * DAY);
    assert_false(authority_is_ending(cert, end - DAY));
    assert_true(authority_is_ending(cert, end - DAY / 2));
    assert_true(authority_is_ending(authority_root(a), authority_end(authority_root(a)) - 89 * DAY));
    assert_false(authority_is_ending(authority_root(a), authority_end(authority_root(a)) - 91 * DAY));
    authority_server(a, "a.example.com", now, 0, "cut");
    expect_in(pki_openssl("x509 -in cut.pem -noout -enddate"), "Jan 17");
    assert_false(authority_issuer_is_over(a, 0, end + 1));
    assert_false(authority_issuer_is_over(a, 1, end + 1));
    authority_close(a);
    renew("ends", (struct authority_renewal){0}, now + DAY);
    expect_suffixes("ends", (const char *const[]){"-3", "-2", "", NULL});
    renew("ends", (struct authority_renewal){.same_key = true}, now + 10 * DAY);
    expect_suffixes("ends", (const char *const[]){"-3", "", NULL});
}

static struct buf root_pem(const char *folder)
{
    char name[64];
    struct err err = {""};
    struct buf text = {0};
    snprintf(name, sizeof(name), "%s/root.pem", folder);
    if (file_read(pki_path(name), 1 << 20, &text, NULL, &err) < 0)
        fail_msg("%s", err.text);
    return text;
}

static void expect_root_pem(const char *folder, const struct buf *expected)
{
    struct buf is = root_pem(folder);
    assert_int_equal(is.len, expected->len);
    assert_memory_equal(is.data, expected->data, is.len);
    buf_free(&is);
}

/* It has all roots also where somebody has opened the CA before the last was made, or a crash came between.
 */
static void test_root_pem_follows_the_log(void **unused)
{
    (void)unused;
    struct err err = {""};
    authority_make("follows", (struct authority_plan){0}, now);
    struct buf one = root_pem("follows");
    struct authority *early = authority_opened("follows", ""), *a = authority_opened("follows", "");
    assert_int_equal(authority_follow_roots(a, now, &err), 0);
    expect_root_pem("follows", &one);
    const struct authority_root_renewal another = {
        .any_kind = true, .root.passphrase = ROOT_PASSPHRASE, .passphrase = ROOT_PASSPHRASE};
    if (authority_renew_root(a, &another, "test", now, &err) < 0)
        fail_msg("%s", err.text);
    struct buf two = root_pem("follows");
    assert_true(two.len > one.len);
    const struct authority_renewal with = {.any_kind = true, .root.passphrase = ROOT_PASSPHRASE};
    assert_int_equal(authority_renew(early, &with, "test", now, &err), 0);
    expect_root_pem("follows", &two);
    pki_write("follows/root.pem", one.data, one.len);
    assert_int_equal(authority_follow_roots(early, now, &err), 0);
    expect_root_pem("follows", &two);
    authority_close(early);
    authority_close(a);
    buf_free(&one);
    buf_free(&two);
}

static void test_refusals(void **unused)
{
    (void)unused;
    struct err err = {""};
    authority_make("refusals", (struct authority_plan){0}, now);
    struct authority_renewal with = {.any_kind = true};
    const struct {
        struct str passphrase;
        const char *root_key, *uri, *text;
    } rows[] = {
        {TEXT(""), NULL, NULL, "root.key: the key is encrypted, and no passphrase was given"},
        {TEXT("a guess"), NULL, NULL, "root.key: not the passphrase of this key"},
        {TEXT(""), pki_path("refusals/intermediate.key"), NULL, "not the key of the certificate in"},
        {ROOT_PASSPHRASE, NULL, "intermediate.key", "'intermediate.key' is no key in a token"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        with.root.passphrase = rows[i].passphrase;
        with.root_key = rows[i].root_key;
        with.uri = rows[i].uri;
        assert_int_equal(renew_as("refusals", with, now, &err), -1);
        expect_in(err.text, rows[i].text);
    }
    expect_suffixes("refusals", (const char *const[]){"", NULL});
    struct authority *a = authority_open(pki_path("refusals"), &err);
    assert_non_null(a);
    assert_int_equal(authority_renew(a, &with, "test", now, &err), -1);
    expect_in(err.text, "not been unlocked");
    authority_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_issuers), cmocka_unit_test(test_ends),
                                       cmocka_unit_test(test_root_pem_follows_the_log),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
