/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include <openssl/sha.h>

#include "cert/expect.h"
#include "cert/identity.h"

static void test_uris(void **state)
{
    static const struct {
        const char *expected, *uri;
        bool matches;
    } rows[] = {
        {"spiffe://td/app", "spiffe://td/app", true},
        {"spiffe://td/app", "spiffe://td/app/", false},
        {"spiffe://td/app", "spiffe://td/apps", false},
        {"spiffe://td/app", "spiffe://TD/app", false},
        {"spiffe://td/app/*", "spiffe://td/app/web", true},
        {"spiffe://td/app/*", "spiffe://td/app/web/1", true},
        {"spiffe://td/app/*", "spiffe://td/app", false},
        {"spiffe://td/app/*", "spiffe://td/app/", false},
        {"spiffe://td/app/*", "spiffe://td/apps/web", false},
        {"spiffe://td/*", "spiffe://td/app", true},
        {"spiffe://td/*", "spiffe://td.example/app", false},
        {"urn:uuid:1", "urn:uuid:1", true},
        {"urn:uuid:1", "urn:uuid:12", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (expect_uri_matches(rows[i].expected, rows[i].uri) != rows[i].matches)
            fail_msg("%s, %s", rows[i].expected, rows[i].uri);
}

/* Of one who is `name`, with these facts. */
static void test_identities(void **state)
{
    static const struct identity_fact facts[] = {{IDENTITY_NAME, "web"},
                                                 {IDENTITY_DNS, "spiffe://td/dns"},
                                                 {IDENTITY_URI, "https://a.example/x"},
                                                 {IDENTITY_URI, "urn:b"},
                                                 {IDENTITY_ISSUER, "CA 2"}};
    static const struct {
        struct expect e;
        const char *error; /* "": taken */
    } rows[] = {
        {{0}, ""},
        {{.uri = "urn:b"}, ""},
        {{.uri = "https://a.example/*", .issuer = "CA 2"}, ""},
        {{.uri = "spiffe://td/dns"},
         "certificate 'web' has the URI https://a.example/x among its subject alternative "
         "names, expected spiffe://td/dns"},
        {{.issuer = "CA"}, "certificate 'web' was issued by 'CA 2', expected 'CA'"},
        {{.issuer = "web"}, "certificate 'web' was issued by 'CA 2', expected 'web'"},
        {{.uri = "urn:b", .issuer = "ca 2"}, "certificate 'web' was issued by 'CA 2', expected 'ca 2'"},
    };
    (void)state;
    struct identity *id = identity_make(facts, ARRAY_LEN(facts)), *bare = identity_make(facts, 1);
    struct trust_refusal refusal;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {{0}};
        int rc = expect_identity(&rows[i].e, id, &refusal, &err);
        assert_string_equal(err.text, rows[i].error);
        assert_int_equal(rc, *rows[i].error == '\0' ? 0 : -1);
    }
    struct err err = {{0}};
    assert_int_equal(expect_identity(&(struct expect){.uri = "urn:b"}, bare, &refusal, &err), -1);
    assert_string_equal(err.text,
                        "certificate 'web' has no URI among its subject alternative names, expected urn:b");
    assert_int_equal(refusal.alert, ALERT_BAD_CERTIFICATE);
    assert_int_equal(expect_identity(&(struct expect){.issuer = "CA 2"}, bare, &refusal, &err), -1);
    identity_free(bare);
    identity_free(id);
}

static void pin_of(const struct ca *ca, uint8_t ret[EXPECT_PIN_LEN])
{
    uint8_t *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(ca_x509(ca)), &der);
    assert_true(len > 0);
    SHA256(der, (size_t)len, ret);
    OPENSSL_free(der);
}

static STACK_OF(CRYPTO_BUFFER) * chain_of(const struct ca *first, const struct ca *second)
{
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    for (const struct ca *ca = first; ca != NULL; ca = ca == first ? second : NULL) {
        uint8_t *der = NULL;
        int len = i2d_X509(ca_x509(ca), &der);
        sk_CRYPTO_BUFFER_push(chain, CRYPTO_BUFFER_new(der, (size_t)len, NULL));
        OPENSSL_free(der);
    }
    return chain;
}

/* Any pin will do, of the leaf's key and of no other certificate's. */
static void test_pins(void **state)
{
    (void)state;
    struct ca *root = pki_root("Root"), *leaf = pki_server(root, "a.example"),
              *other = pki_server(root, "b.example");
    uint8_t pins[3][EXPECT_PIN_LEN];
    pin_of(root, pins[0]);
    pin_of(other, pins[1]);
    pin_of(leaf, pins[2]);
    STACK_OF(CRYPTO_BUFFER) *chain = chain_of(leaf, root), *nothing = sk_CRYPTO_BUFFER_new_null(),
                            *junk = sk_CRYPTO_BUFFER_new_null();
    sk_CRYPTO_BUFFER_push(junk, CRYPTO_BUFFER_new((const uint8_t *)"junk", 4, NULL));
    struct trust_refusal refusal;
    struct err err = {{0}};
    struct expect all = {.pins = (const uint8_t(*)[EXPECT_PIN_LEN])pins, .pins_len = 3}, others = all;
    others.pins_len = 2;
    assert_int_equal(expect_pin(&all, chain, &refusal, &err), 0);
    assert_int_equal(expect_pin(&(struct expect){0}, NULL, &refusal, &err), 0);
    assert_int_equal(expect_pin(&others, chain, &refusal, &err), -1);
    assert_non_null(strstr(err.text, "has the pin sha256//"));
    assert_int_equal(expect_pin(&all, NULL, &refusal, &err), -1);
    assert_string_equal(err.text, "no certificate was sent");
    assert_int_equal(expect_pin(&all, nothing, &refusal, &err), -1);
    assert_int_equal(expect_pin(&all, junk, &refusal, &err), -1);
    assert_string_equal(err.text, "the certificate that was sent cannot be read");
    sk_CRYPTO_BUFFER_pop_free(junk, CRYPTO_BUFFER_free);
    sk_CRYPTO_BUFFER_pop_free(nothing, CRYPTO_BUFFER_free);
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    ca_free(other);
    ca_free(leaf);
    ca_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_uris), cmocka_unit_test(test_identities),
                                       cmocka_unit_test(test_pins)};
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
