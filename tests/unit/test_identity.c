/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include "cert/identity.h"

/* The facts of a certificate as "kind=value" joined by ';', or "! " and the error. */
static const char *facts_of(X509 *cert)
{
    static char text[8192];
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    assert_true(len > 0);
    struct err err = {{0}};
    struct identity *id = identity_from_der(der, (size_t)len, &err);
    OPENSSL_free(der);
    if (id == NULL) {
        snprintf(text, sizeof(text), "! %s", err.text);
        return text;
    }
    size_t n = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < id->count; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%s", i ? ";" : "",
                              identity_kind_name(id->facts[i].kind), id->facts[i].value);
    identity_free(id);
    return text;
}

static void test_facts(void **state)
{
    (void)state;
    static const char *const sans[] = {"Host.Example.COM", "spiffe://td/ns/prod/sa/web", "ada@example.com",
                                       "192.0.2.1"};
    static const char *const groups[] = {"ops", "staff"};
    struct ca *root = pki_root("The Root");
    struct ca *leaf = pki_issue(
        root, CA_PROFILE_CLIENT,
        (struct ca_request){
            .name = "Ada Łovelace", .sans = sans, .sans_len = 4, .groups = groups, .groups_len = 2});
    assert_string_equal(
        facts_of(ca_x509(leaf)),
        "name=Ada Łovelace;dns=host.example.com;uri=spiffe://td/ns/prod/sa/web;group=ns;group=ns/prod;"
        "group=ns/prod/sa;group=ns/prod/sa/web;email=ada@example.com;issuer=The Root;"
        "group=ops;group=staff");
    ca_free(leaf);
    ca_free(root);
}

struct hostile {
    const char *what;
    int nid;  /* of the subject, or -1: a SAN */
    int type; /* of the string, or of the SAN */
    const char *bytes;
    size_t len;
    const char *expected; /* begins with */
};

#define BYTES(s) (s), sizeof(s) - 1

static const struct hostile hostile[] = {
    {"CN with NUL", NID_commonName, V_ASN1_UTF8STRING, BYTES("admin\0.evil"),
     "! the certificate has a NUL byte"},
    {"CN in UTF-16 with NUL", NID_commonName, V_ASN1_BMPSTRING, BYTES("\0a\0\0\0b"),
     "! the certificate has a NUL byte"},
    {"CN in UTF-16", NID_commonName, V_ASN1_BMPSTRING, BYTES("\0a\1A"), "name=aŁ;"},
    {"CN with newline", NID_commonName, V_ASN1_UTF8STRING, BYTES("a\nb"),
     "! the certificate has a control character"},
    {"CN with C1 control", NID_commonName, V_ASN1_UTF8STRING,
     BYTES("a\xc2\x9b"
           "2J"),
     "! the certificate has a control character"},
    {"CN in Latin-1 with C1 control", NID_commonName, V_ASN1_T61STRING, BYTES("a\x85"),
     "! the certificate has a control character"},
    {"CN with no-break space", NID_commonName, V_ASN1_UTF8STRING, BYTES("a\xc2\xa0z"), "name=a\xc2\xa0z;"},
    {"empty CN", NID_commonName, V_ASN1_UTF8STRING, "", 0, "issuer=Hostile"},
    {"CN in Latin-1", NID_commonName, V_ASN1_T61STRING, BYTES("caf\xe9"), "name=café;"},
    {"OU with NUL", NID_organizationalUnitName, V_ASN1_UTF8STRING, BYTES("ops\0"),
     "! the certificate has a NUL byte"},
    {"DNS with NUL", -1, GEN_DNS, BYTES("good.example\0.evil.example"), "! the certificate has a NUL byte"},
    {"DNS outside ASCII", -1, GEN_DNS, BYTES("g\xc3\xb6.example"),
     "! the certificate has a subject alternative name"},
    {"email with a space", -1, GEN_EMAIL, BYTES("a b@example.com"),
     "! the certificate has a subject alternative name"},
    {"URI with NUL", -1, GEN_URI, BYTES("spiffe://td/a\0/b"), "! the certificate has a NUL byte"},
    {"SPIFFE with dots", -1, GEN_URI, BYTES("spiffe://td/a/../admin"),
     "! the certificate has a malformed SPIFFE"},
    {"SPIFFE with empty segment", -1, GEN_URI, BYTES("spiffe://td//admin"),
     "! the certificate has a malformed SPIFFE"},
    {"SPIFFE with slash at the end", -1, GEN_URI, BYTES("spiffe://td/a/"),
     "! the certificate has a malformed SPIFFE"},
    {"SPIFFE with query", -1, GEN_URI, BYTES("spiffe://td/a?b"), "! the certificate has a malformed SPIFFE"},
    {"SPIFFE with escape", -1, GEN_URI, BYTES("spiffe://td/a%2fb"),
     "! the certificate has a malformed SPIFFE"},
    {"SPIFFE with user", -1, GEN_URI, BYTES("spiffe://u@td/a"), "! the certificate has a malformed SPIFFE"},
    {"SPIFFE without domain", -1, GEN_URI, BYTES("spiffe:///a"), "! the certificate has a malformed SPIFFE"},
    {"SPIFFE domain only", -1, GEN_URI, BYTES("spiffe://td"), "uri=spiffe://td;issuer=Hostile"},
    {"another URI", -1, GEN_URI, BYTES("urn:a/b"), "uri=urn:a/b;issuer=Hostile"},
};

/* One odd name in an otherwise plain certificate. */
static void test_hostile(void **state)
{
    (void)state;
    struct ca *root = pki_root("Hostile");
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        const struct hostile *h = &hostile[i];
        X509 *cert = pki_blank(root, ca_private_key(root));
        if (h->nid < 0) {
            pki_san(cert, h->type, h->bytes, h->len);
        } else if (!X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), h->nid, h->type,
                                               (const uint8_t *)h->bytes, (ossl_ssize_t)h->len, -1, 0)) {
            fail_msg("%s: could not be made", h->what);
        }
        pki_sign(cert, root);
        const char *facts = facts_of(cert);
        if (strncmp(facts, h->expected, strlen(h->expected)) != 0)
            fail_msg("%s: %s", h->what, facts);
        X509_free(cert);
    }
    ca_free(root);
}

/* The library does not encode what is not UTF-8, so it is put in place afterwards. */
static void test_not_utf8(void **state)
{
    (void)state;
    struct ca *root = pki_root("R"), *leaf = pki_client(root, "QQQQ");
    uint8_t *der = NULL;
    size_t len = (size_t)i2d_X509(ca_x509(leaf), &der);
    uint8_t *name = memmem(der, len, "QQQQ", 4);
    assert_non_null(name);
    name[3] = 0xff;
    assert_null(identity_from_der(der, len, NULL));
    OPENSSL_free(der);
    ca_free(leaf);
    ca_free(root);
}

static void test_last_common_name(void **state)
{
    (void)state;
    struct ca *root = pki_root("R");
    X509 *cert = pki_blank(root, ca_private_key(root));
    pki_subject(cert, NID_commonName, MBSTRING_ASC, BYTES("Users"));
    pki_subject(cert, NID_commonName, MBSTRING_ASC, BYTES("Ada"));
    pki_sign(cert, root);
    assert_string_equal(facts_of(cert), "name=Ada;issuer=R");
    X509_free(cert);
    ca_free(root);
}

static void test_bounds(void **state)
{
    (void)state;
    struct ca *root = pki_root("R");
    X509 *cert = pki_blank(root, ca_private_key(root));
    for (int i = 0; i < IDENTITY_FACTS_MAX; i++)
        pki_subject(cert, NID_organizationalUnitName, MBSTRING_ASC, BYTES("group"));
    pki_sign(cert, root);
    assert_string_equal(facts_of(cert), "! the certificate has more than 64 names");
    X509_free(cert);
    /* A SPIFFE path of n segments takes n * n / 2 bytes of groups. */
    cert = pki_blank(root, ca_private_key(root));
    char uri[9000] = "spiffe://td";
    for (int i = 0; i < 40; i++)
        memset(stpcpy(uri + strlen(uri), "/"), 'a', 200);
    pki_san(cert, GEN_URI, uri, strlen(uri));
    pki_sign(cert, root);
    assert_string_equal(facts_of(cert), "! the names in the certificate take more than 16384 bytes");
    X509_free(cert);
    /* Two URIs, one of them a SPIFFE ID. */
    static const char *const sans[] = {"spiffe://td/a", "https://example.com/"};
    struct ca *leaf =
        pki_issue(root, CA_PROFILE_CLIENT, (struct ca_request){.name = "n", .sans = sans, .sans_len = 2});
    assert_string_equal(facts_of(ca_x509(leaf)), "! the certificate has a SPIFFE ID and another URI");
    ca_free(leaf);
    ca_free(root);
}

static void test_damaged(void **state)
{
    (void)state;
    struct ca *root = pki_root("R"), *leaf = pki_client(root, "x");
    uint8_t *der = NULL;
    size_t len = (size_t)i2d_X509(ca_x509(leaf), &der);
    struct err err;
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, der, cut);
        assert_null(identity_from_der(copy, cut, &err));
        free(copy);
    }
    uint8_t *longer = calloc(1, len + 1);
    memcpy(longer, der, len);
    assert_null(identity_from_der(longer, len + 1, &err));
    free(longer);
    for (size_t i = 0; i < len; i++) {
        der[i] ^= 0xff;
        identity_free(identity_from_der(der, len, NULL));
        der[i] ^= 0xff;
    }
    OPENSSL_free(der);
    ca_free(leaf);
    /* A SAN extension that is not one, and one that is there twice. */
    X509 *cert = pki_blank(root, ca_private_key(root));
    ASN1_OCTET_STRING *junk = ASN1_OCTET_STRING_new();
    assert_true(ASN1_STRING_set(junk, "junk", 4));
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, junk);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    pki_sign(cert, root);
    assert_string_equal(facts_of(cert), "! the certificate's subject alternative names cannot be read");
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(junk);
    X509_free(cert);
    cert = pki_blank(root, ca_private_key(root));
    pki_extension(cert, NID_subject_alt_name, "DNS:a.example");
    pki_extension(cert, NID_subject_alt_name, "DNS:b.example");
    pki_sign(cert, root);
    assert_string_equal(facts_of(cert), "! the certificate's subject alternative names cannot be read");
    X509_free(cert);
    ca_free(root);
}

static void test_make_and_label(void **state)
{
    (void)state;
    const struct identity_fact facts[] = {{IDENTITY_DNS, "d.example"},
                                          {IDENTITY_EMAIL, "e@example"},
                                          {IDENTITY_URI, "u:1"},
                                          {IDENTITY_NAME, "n"}};
    static const char *const labels[] = {"unnamed", "d.example", "e@example", "u:1", "n"};
    for (size_t n = 0; n <= 4; n++) {
        struct identity *id = identity_make(facts, n);
        assert_non_null(id);
        assert_int_equal(id->count, n);
        assert_string_equal(identity_label(id), labels[n]);
        identity_free(id);
    }
    struct identity_fact many[IDENTITY_FACTS_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = facts[0];
    struct identity *id = identity_make(many, IDENTITY_FACTS_MAX);
    assert_non_null(id);
    identity_free(id);
    assert_null(identity_make(many, IDENTITY_FACTS_MAX + 1));
    identity_free(NULL);
}

/* Two logins of one person are the same person; another name, or another URI, is somebody else. */
static void test_digest(void **state)
{
    static const struct identity_fact rows[][2] = {
        {{IDENTITY_NAME, "alice"}, {IDENTITY_URI, "cardea://login/1"}},
        {{IDENTITY_NAME, "alice"}, {IDENTITY_URI, "cardea://login/2"}},
        {{IDENTITY_NAME, "alice"}, {IDENTITY_URI, "cardea://other/1"}},
        {{IDENTITY_NAME, "alicf"}, {IDENTITY_URI, "cardea://login/1"}},
    };
    uint8_t digest[ARRAY_LEN(rows)][IDENTITY_DIGEST];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct identity *id = identity_make(rows[i], 2);
        identity_digest(id, digest[i]);
        identity_free(id);
    }
    assert_memory_equal(digest[0], digest[1], IDENTITY_DIGEST);
    assert_memory_not_equal(digest[0], digest[2], IDENTITY_DIGEST);
    assert_memory_not_equal(digest[0], digest[3], IDENTITY_DIGEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_last_common_name),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_make_and_label),
        cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_digest),
    };
    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
