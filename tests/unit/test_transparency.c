/* SPDX-License-Identifier: Apache-2.0 */
/* cert/transparency.h */
#include "pki.h"

#include "cert/transparency.h"

#define BYTES(s) ((struct str){(s), sizeof(s) - 1})

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        struct str list;
        size_t count;
    } rows[] = {
        {{"\0\3\0\1x", 5}, 1},   {{"\0\6\0\1x\0\1y", 8}, 2}, {{"\0\0", 2}, 0},       {{"", 0}, 0},
        {{"\0", 1}, 0},          {{"\0\3\0\2x", 5}, 0},      {{"\0\3\0\1xy", 6}, 0}, {{"\0\2\0\0", 4}, 0},
        {{"\0\4\0\1x\0", 6}, 0}, {{"\xff\xff\0\1x", 5}, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(transparency_count(rows[i].list), rows[i].count);
}

/* A certificate with such an extension; that its signature is none matters to nobody here. */
static size_t count_with(const void *data, size_t len)
{
    struct ca *root = pki_root("Root");
    X509 *cert = X509_dup(ca_x509(root));
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.11129.2.4.2", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    assert_true(ASN1_OCTET_STRING_set(value, data, (int)len));
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
    assert_true(X509_add_ext(cert, extension, -1));
    uint8_t *der = NULL;
    int size = i2d_re_X509_tbs(cert, &der) > 0 ? 0 : -1;
    assert_int_equal(size, 0);
    OPENSSL_free(der);
    der = NULL;
    size = i2d_X509(cert, &der);
    size_t count = transparency_in_cert((struct str){(const char *)der, (size_t)size});
    OPENSSL_free(der);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
    X509_free(cert);
    ca_free(root);
    return count;
}

static void test_certificates(void **state)
{
    (void)state;
    assert_int_equal(count_with("\4\10\0\6\0\1x\0\1y", 10), 2);
    assert_int_equal(count_with("\4\7\0\6\0\1x\0\1y", 10), 0); /* the inner length */
    assert_int_equal(count_with("\3\10\0\6\0\1x\0\1y", 10), 0);
    assert_int_equal(count_with("", 0), 0);
}

static void test_not_that(void **state)
{
    (void)state;
    assert_int_equal(transparency_in_cert(BYTES("\x30\x03\x02\x01\x01")), 0);
    assert_int_equal(transparency_in_cert((struct str){0}), 0);
    assert_int_equal(transparency_in_ocsp(BYTES("\x30\x03\x0a\x01\x06")), 0);
    assert_int_equal(transparency_in_ocsp((struct str){0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lists), cmocka_unit_test(test_certificates),
                                       cmocka_unit_test(test_not_that)};
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
