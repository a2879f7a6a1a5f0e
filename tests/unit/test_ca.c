/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include <sys/stat.h>

static const char *const server_sans[] = {"www.example.com", "*.example.com", "192.0.2.7", "2001:db8::7"};
static const char *const client_sans[] = {"spiffe://example.org/ns/prod", "ada@example.com"};
static const char *const groups[] = {"ops", "staff"};

static void expect_in(const char *text, const char *part)
{
    assert_non_null(text);
    if (strstr(text, part) == NULL)
        fail_msg("no '%s' in:\n%s", part, text);
}

/* What OpenSSL reads from our certificates. */
static void test_text(void **state)
{
    (void)state;
    struct ca *root = pki_root("Example Root");
    struct ca *server = pki_issue(root, CA_PROFILE_SERVER,
                                  (struct ca_request){.name = "www", .sans = server_sans, .sans_len = 4});
    struct ca *client = pki_issue(
        root, CA_PROFILE_CLIENT,
        (struct ca_request){
            .name = "Ada Lovelace", .sans = client_sans, .sans_len = 2, .groups = groups, .groups_len = 2});
    pki_save(root, "root");
    pki_save(server, "server");
    pki_save(client, "client");
    const char *text = pki_openssl("x509 -in root.pem -noout -text");
    expect_in(text, "X509v3 Basic Constraints: critical\n                CA:TRUE\n");
    expect_in(text, "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n");
    expect_in(text, "X509v3 Subject Key Identifier:");
    text = pki_openssl("x509 -in server.pem -noout -text");
    expect_in(text, "X509v3 Key Usage: critical\n                Digital Signature\n");
    expect_in(text, "TLS Web Server Authentication");
    expect_in(text, "CA:FALSE");
    expect_in(text, "X509v3 Authority Key Identifier:");
    expect_in(
        text,
        "DNS:www.example.com, DNS:*.example.com, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7");
    text = pki_openssl("x509 -in client.pem -noout -text");
    expect_in(text, "TLS Web Client Authentication");
    expect_in(text, "Subject: OU = ops, OU = staff, CN = Ada Lovelace");
    expect_in(text, "URI:spiffe://example.org/ns/prod, email:ada@example.com");
    expect_in(pki_openssl("verify -x509_strict -purpose sslserver -CAfile root.pem server.pem"),
              "server.pem: OK");
    expect_in(pki_openssl("verify -x509_strict -purpose sslclient -CAfile root.pem client.pem"),
              "client.pem: OK");
    ca_free(client);
    ca_free(server);
    ca_free(root);
}

/* A chain through an intermediate, with each kind of key that OpenSSL 3.0 knows. */
static void test_kinds(void **state)
{
    (void)state;
    static const enum key_kind kinds[] = {KEY_P256, KEY_P384, KEY_ED25519, KEY_RSA2048};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct err err;
        const char *san = "a.example";
        struct ca_request request = {.name = "K", .key = kinds[i], .lifetime = PKI_YEAR};
        struct ca *root = ca_create_root(&request, &err);
        assert_non_null(root);
        request.name = "K intermediate";
        struct ca *middle = pki_issue(root, CA_PROFILE_INTERMEDIATE, request);
        request.sans = &san;
        request.sans_len = 1;
        struct ca *leaf = pki_issue(middle, CA_PROFILE_SERVER, request);
        pki_save(root, "kroot");
        pki_save(middle, "kmiddle");
        pki_save(leaf, "kleaf");
        expect_in(pki_openssl("verify -x509_strict -CAfile kroot.pem -untrusted kmiddle.pem kleaf.pem"),
                  "OK");
        expect_in(pki_openssl("pkey -in kleaf.key -noout -check"), "valid");
        assert_null(ca_issue(middle, CA_PROFILE_INTERMEDIATE, &request, &err));
        expect_in(err.text, "path length");
        assert_null(ca_issue(leaf, CA_PROFILE_CLIENT, &request, &err));
        expect_in(err.text, "not that of a CA");
        ca_free(leaf);
        ca_free(middle);
        ca_free(root);
    }
}

/* ML-DSA, which OpenSSL 3.0 does not know: AWS-LC checks its own. */
static void test_mldsa(void **state)
{
    (void)state;
    for (enum key_kind kind = KEY_MLDSA44; kind <= KEY_MLDSA87; kind++) {
        struct err err;
        struct ca *root =
            ca_create_root(&(struct ca_request){.name = "PQ", .key = kind, .lifetime = PKI_YEAR}, &err);
        assert_non_null(root);
        struct ca *leaf = pki_issue(root, CA_PROFILE_CLIENT, (struct ca_request){.name = "pq", .key = kind});
        assert_int_equal(X509_verify(ca_x509(leaf), ca_private_key(root)), 1);
        pki_save(leaf, "pq");
        struct ca *again = ca_load(pki_path("pq.pem"), pki_path("pq.key"), &err);
        if (again == NULL)
            fail_msg("%s", err.text);
        ca_free(again);
        ca_free(leaf);
        ca_free(root);
    }
}

static void test_files(void **state)
{
    (void)state;
    struct err err;
    struct stat st;
    struct ca *root = pki_root("Files");
    pki_save(root, "files");
    assert_int_equal(stat(pki_path("files.key"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(pki_path("files.pem"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    /* Neither is ever overwritten. */
    assert_int_equal(ca_save(root, pki_path("other.pem"), pki_path("files.key"), &err), -1);
    expect_in(err.text, "files.key: exists already");
    assert_int_equal(access(pki_path("other.pem"), F_OK), -1);
    assert_int_equal(ca_save(root, pki_path("files.pem"), pki_path("other.key"), &err), -1);
    expect_in(err.text, "files.pem: exists already");
    assert_int_equal(access(pki_path("other.key"), F_OK), -1);
    /* What was written can be used again. */
    struct ca *again = ca_load(pki_path("files.pem"), pki_path("files.key"), &err);
    assert_non_null(again);
    struct ca *leaf = pki_client(again, "x");
    assert_int_equal(X509_verify(ca_x509(leaf), ca_private_key(root)), 1);
    ca_free(leaf);
    ca_free(again);
    assert_int_equal(chmod(pki_path("files.key"), 0644), 0);
    assert_null(ca_load(pki_path("files.pem"), pki_path("files.key"), &err));
    expect_in(err.text, "chmod 600");
    assert_null(ca_load(pki_path("nowhere.pem"), pki_path("files.key"), &err));
    expect_in(err.text, "nowhere.pem: No such file");
    assert_int_equal(ca_save(root, pki_path("no/dir.pem"), pki_path("no/dir.key"), &err), -1);
    expect_in(err.text, "no/dir.key");
    ca_free(root);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const bad_sans[] = {"",   "a b", "*",           "a*.example", "x..y",
                                           "a@", "@b",  "http://\x01", "1.2.3.4.5 "};
    struct ca *root = pki_root("Refusals");
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(bad_sans); i++) {
        struct ca_request request = {.name = "n", .sans = &bad_sans[i], .sans_len = 1, .lifetime = 60};
        struct ca *made = ca_issue(root, CA_PROFILE_SERVER, &request, &err);
        if (made != NULL)
            fail_msg("'%s' was taken", bad_sans[i]);
    }
    char longer[80];
    memset(longer, 'n', sizeof(longer));
    longer[65] = '\0';
    static const char *const san = "a.example";
    const struct ca_request bad[] = {
        {.name = longer, .lifetime = 60},
        {.name = "", .lifetime = 60},
        {.name = "\xff\xfe", .lifetime = 60},
        {.name = "n", .lifetime = 0},
        {.name = "n", .lifetime = -1},
        {.name = "n", .lifetime = INT64_MAX},
        {.name = "n", .not_before = INT64_C(1) << 40, .lifetime = 60},
        {.lifetime = 60},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (ca_issue(root, CA_PROFILE_CLIENT, &bad[i], &err) != NULL)
            fail_msg("request %zu was taken", i);
    }
    assert_null(ca_issue(root, CA_PROFILE_SERVER, &(struct ca_request){.name = "n", .lifetime = 60}, &err));
    expect_in(err.text, "DNS name");
    assert_null(ca_create_root(&(struct ca_request){.lifetime = 60}, &err));
    /* Without a subject the SAN is critical. */
    struct ca *bare = pki_issue(root, CA_PROFILE_SERVER, (struct ca_request){.sans = &san, .sans_len = 1});
    int critical = 0;
    GENERAL_NAMES_free(X509_get_ext_d2i(ca_x509(bare), NID_subject_alt_name, &critical, NULL));
    assert_int_equal(critical, 1);
    ca_free(bare);
    ca_free(root);
}

static void test_dates_and_serials(void **state)
{
    (void)state;
    struct err err;
    struct ca *root = ca_create_root(&(struct ca_request){.name = "Short", .lifetime = 3600}, &err);
    struct ca *a = pki_client(root, "a"), *b = pki_client(root, "b");
    int64_t root_end, end, from;
    assert_true(ASN1_TIME_to_posix(X509_get0_notAfter(ca_x509(root)), &root_end));
    assert_true(ASN1_TIME_to_posix(X509_get0_notAfter(ca_x509(a)), &end));
    assert_true(ASN1_TIME_to_posix(X509_get0_notBefore(ca_x509(a)), &from));
    assert_int_equal(end, root_end);
    assert_true(from <= time(NULL) - 299 && from >= time(NULL) - 310);
    struct ca_serial sa = ca_serial(a), sb = ca_serial(b);
    assert_int_equal(sa.len, 16);
    assert_int_equal(sb.len, 16);
    assert_memory_not_equal(sa.bytes, sb.bytes, 16);
    assert_true(sa.bytes[0] < 0x80);
    ca_free(a);
    ca_free(b);
    ca_free(root);
    root = ca_create_root(&(struct ca_request){.name = "Past", .not_before = 1000000000, .lifetime = 3600},
                          &err);
    assert_null(
        ca_issue(root, CA_PROFILE_CLIENT, &(struct ca_request){.name = "late", .lifetime = 60}, &err));
    expect_in(err.text, "issuer has expired");
    ca_free(root);
}

static void test_crl(void **state)
{
    (void)state;
    struct err err;
    struct ca *root = pki_root("Crl");
    struct ca *good = pki_client(root, "good"), *bad = pki_client(root, "bad");
    struct buf crl = {0};
    pki_crl(root, bad, 7, time(NULL), 3600, &crl);
    pki_write("crl.pem", crl.data, crl.len);
    buf_free(&crl);
    pki_save(root, "crlroot");
    pki_save(good, "good");
    pki_save(bad, "bad");
    expect_in(pki_openssl("crl -in crl.pem -noout -text -CAfile crlroot.pem"), "verify OK");
    expect_in(pki_openssl("crl -in crl.pem -noout -crlnumber"), "crlNumber=0x07");
    expect_in(pki_openssl("verify -crl_check -CAfile crlroot.pem -CRLfile crl.pem good.pem"), "OK");
    expect_in(pki_openssl("verify -crl_check -CAfile crlroot.pem -CRLfile crl.pem bad.pem || true"),
              "revoked");
    assert_int_equal(ca_make_crl(root, NULL, 0, 1, 0, 0, &crl, &err), -1);
    ca_free(bad);
    ca_free(good);
    ca_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),     cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_mldsa),    cmocka_unit_test(test_files),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_dates_and_serials),
        cmocka_unit_test(test_crl),
    };
    return cmocka_run_group_tests_name("ca", tests, NULL, pki_remove);
}
