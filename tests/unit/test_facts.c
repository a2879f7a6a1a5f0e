/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include "cert/facts.h"

/* The names of a certificate joined by ';'. */
static const char *names_of(const struct cert_facts *f)
{
    static char text[8192];
    const char *name = (const char *)f->names.data;
    text[0] = '\0';
    for (size_t i = 0, n = 0; i < f->names_len; i++, name += strlen(name) + 1)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i > 0 ? ";" : "", name);
    return text;
}

static struct cert_facts read_facts(X509 *cert)
{
    struct cert_facts f;
    struct err err = {{0}};
    STACK_OF(CRYPTO_BUFFER) *chain = pki_stack(cert, NULL);
    if (cert_facts_read(chain, &f, &err) != 0)
        fail_msg("%s", err.text);
    pki_stack_free(chain);
    return f;
}

static void test_plain(void **state)
{
    (void)state;
    static const char *const sans[] = {"host.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"};
    struct ca *root = pki_root("The Root");
    struct ca *leaf =
        pki_issue(root, CA_PROFILE_SERVER, (struct ca_request){.name = "Host", .sans = sans, .sans_len = 4});
    struct cert_facts f = read_facts(ca_x509(leaf));
    assert_string_equal(f.subject, "Host");
    assert_string_equal(f.issuer, "The Root");
    assert_string_equal(names_of(&f), "host.example.com;*.example.com;192.0.2.1;2001:db8::1");
    assert_string_equal(f.key, "P-256");
    assert_string_equal(f.signature, "ecdsa-with-SHA256");
    assert_int_equal(f.chain_len, 1);
    assert_int_equal(f.names_more, 0);
    assert_true(f.not_before <= time(NULL) && f.not_after > time(NULL));
    cert_facts_free(&f);
    ca_free(leaf);
    ca_free(root);
}

#define BYTES(s) (s), sizeof(s) - 1

/* What is no text comes out as text all the same: it is for people to see. */
static void test_hostile(void **state)
{
    (void)state;
    static char longest[4 * CERT_FACTS_NAME_MAX], cut[CERT_FACTS_NAME_MAX];
    memset(longest, 'a', sizeof(longest));
    memset(cut, 'a', sizeof(cut) - 1);
    const struct {
        int type;
        const char *bytes;
        size_t len;
        const char *expected;
    } rows[] = {
        {GEN_DNS, BYTES("good.example\0.evil.example"), "good.example?.evil.example"},
        {GEN_DNS, BYTES("a\nb\x1b[2J"), "a?b?[2J"},
        {GEN_DNS, BYTES("g\xc3\xb6.example"), "g??.example"},
        {GEN_DNS, BYTES(""), ""},
        {GEN_EMAIL, BYTES("a b@example.com"), "a?b@example.com"},
        {GEN_URI, BYTES("urn:\x80"), "urn:?"},
        {GEN_URI, longest, sizeof(longest), cut},
    };
    struct ca *root = pki_root("Hostile");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        X509 *cert = pki_blank(root, ca_private_key(root));
        pki_san(cert, rows[i].type, rows[i].bytes, rows[i].len);
        pki_subject(cert, NID_commonName, V_ASN1_UTF8STRING, "a\nb", 3);
        pki_sign(cert, root);
        struct cert_facts f = read_facts(cert);
        assert_string_equal(names_of(&f), rows[i].expected);
        assert_string_equal(f.subject, "a?b");
        cert_facts_free(&f);
        X509_free(cert);
    }
    ca_free(root);
}

static void test_many_names(void **state)
{
    (void)state;
    static char list[16384];
    struct ca *root = pki_root("Many");
    X509 *cert = pki_blank(root, ca_private_key(root));
    for (int i = 0, n = 0; i < CERT_FACTS_NAMES_MAX + 7; i++)
        n += snprintf(list + n, sizeof(list) - (size_t)n, "%sDNS:n%d.example.com", i > 0 ? "," : "", i);
    pki_extension(cert, NID_subject_alt_name, list);
    pki_sign(cert, root);
    struct cert_facts f = read_facts(cert);
    assert_int_equal(f.names_len, CERT_FACTS_NAMES_MAX);
    assert_int_equal(f.names_more, 7);
    cert_facts_free(&f);
    X509_free(cert);
    ca_free(root);
}

static void test_none(void **state)
{
    (void)state;
    struct cert_facts f;
    struct err err = {{0}};
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    assert_int_equal(cert_facts_read(NULL, &f, &err), -1);
    assert_int_equal(cert_facts_read(chain, &f, &err), -1);
    assert_non_null(strstr(err.text, "no certificate"));
    sk_CRYPTO_BUFFER_push(chain, CRYPTO_BUFFER_new((const uint8_t *)"0\x03\x02\x01\x00", 5, NULL));
    assert_int_equal(cert_facts_read(chain, &f, &err), -1);
    assert_non_null(strstr(err.text, "cannot be read"));
    cert_facts_free(&f);
    pki_stack_free(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
