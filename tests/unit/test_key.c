/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include "base/str.h"
#include "cert/key.h"

static void test_names(void **state)
{
    static const struct {
        const char *text;
        const char *name; /* NULL: there is no such kind */
    } rows[] = {{"P-256", "P-256"},
                {"p256", "P-256"},
                {"prime256v1", "P-256"},
                {"EC256", "P-256"},
                {"ecdsa-p384", "P-384"},
                {"secp521r1", "P-521"},
                {"ED25519", "Ed25519"},
                {"RSA 2048", "RSA-2048"},
                {"rsa4096", "RSA-4096"},
                {"mldsa65", "ML-DSA-65"},
                {"ml_dsa_87", "ML-DSA-87"},
                {"", NULL},
                {"RSA", NULL},
                {"rsa1024", NULL},
                {"P-256 P-384", NULL},
                {"ec256 ecdsa256", NULL},
                {"-", NULL},
                {"p25", NULL},
                {"prime256v1prime256v1prime256v1prime256v1", NULL}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum key_kind kind;
        bool known = key_kind_parse(rows[i].text, &kind);
        assert_int_equal(known, rows[i].name != NULL);
        if (known)
            assert_string_equal(key_kind_name(kind), rows[i].name);
    }
}

static void test_hints(void **state)
{
    char hint[STR_HINT_MAX], names[KEY_KIND_NAMES_MAX];
    (void)state;
    assert_string_equal(key_kind_hint("mldsa-4", hint), "; did you mean 'ML-DSA-44'?");
    assert_string_equal(key_kind_hint("nonsense", hint), "");
    assert_non_null(strstr(key_kind_names(names), "P-256, P-384, "));
    assert_non_null(strstr(names, " or ML-DSA-87"));
}

/* What is made is what it is called. */
static void test_made(void **state)
{
    char text[KEY_TEXT_MAX];
    (void)state;
    for (enum key_kind kind = 0; kind < KEY_KINDS; kind++) {
        EVP_PKEY *key = key_make(kind);
        assert_non_null(key);
        assert_string_equal(key_describe(key, text), key_kind_name(kind));
        key_free(key);
    }
    assert_string_equal(key_describe(NULL, text), "of another kind");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
