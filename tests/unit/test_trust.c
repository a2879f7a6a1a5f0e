/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "ca/ca_internal.h"
#include "cert/revoked.h"
#include "cert/trust.h"

static struct ca *root, *middle, *other;

static int make_roots(void **state)
{
    (void)state;
    root = pki_root("Staff Root");
    other = pki_root("Other Root");
    middle = pki_issue(root, CA_PROFILE_INTERMEDIATE, (struct ca_request){.name = "Staff Middle"});
    pki_save(root, "root");
    pki_save(other, "other");
    pki_save(middle, "middle");
    return 0;
}

static int drop_roots(void **state)
{
    ca_free(root);
    ca_free(other);
    ca_free(middle);
    return pki_remove(state);
}

static struct trust *load(const char *ca, const char *crl)
{
    struct err err = {{0}};
    const char *ca_path = strcmp(ca, "system") == 0 ? ca : pki_path(ca),
               *crl_path = crl ? pki_path(crl) : NULL;
    struct trust *trust = trust_load(
        &(struct trust_files){
            .name = "staff", .ca = &ca_path, .ca_len = 1, .crl = &crl_path, .crl_len = crl != NULL},
        &err);
    if (trust == NULL)
        fail_msg("%s", err.text);
    return trust;
}

static void write_crl(const char *name, const struct ca *issuer, const struct ca *revoked, int64_t from,
                      int64_t lifetime)
{
    struct buf pem = {0};
    pki_crl(issuer, revoked, 1, from, lifetime, &pem);
    pki_write(name, pem.data, pem.len);
    buf_free(&pem);
}

/* Verify and compare; `expected` NULL: must be proven. Takes the stack over. */
static void expect_at(const struct trust *trust, STACK_OF(CRYPTO_BUFFER) * stack, enum trust_purpose purpose,
                      const char *host, int64_t now, enum alert alert, const char *expected)
{
    struct err err = {{0}};
    struct trust_refusal got = {0};
    int rc = trust_verify(trust, stack, purpose, host, now, &got, &err);
    pki_stack_free(stack);
    if (expected == NULL && rc != 0)
        fail_msg("refused: %s", err.text);
    if (expected != NULL && rc != -1)
        fail_msg("proven, expected: %s", expected);
    if (expected != NULL && strstr(err.text, expected) == NULL)
        fail_msg("expected '%s' in: %s", expected, err.text);
    assert_int_equal(got.alert, alert);
    assert_int_equal(got.fault == FAULT_OTHER_NAME, strstr(err.text, " is not for ") != NULL);
    assert_int_equal(got.fault == FAULT_UNKNOWN_ISSUER, strstr(err.text, " not in trust bundle ") != NULL);
}

static void expect(const struct trust *trust, STACK_OF(CRYPTO_BUFFER) * stack, enum trust_purpose purpose,
                   const char *host, enum alert alert, const char *expected)
{
    expect_at(trust, stack, purpose, host, time(NULL), alert, expected);
}

static void test_chains(void **state)
{
    (void)state;
    struct trust *trust = load("root.pem", NULL), *only_middle = load("middle.pem", NULL);
    struct ca *leaf = pki_client(root, "ada"), *deep = pki_client(middle, "bob"),
              *alien = pki_client(other, "eve");
    X509 *m = ca_x509(middle), *r = ca_x509(root), *o = ca_x509(other);
    expect(trust, pki_stack(ca_x509(leaf), NULL), TRUST_CLIENT, NULL, 0, NULL);
    expect(trust, pki_stack(ca_x509(leaf), r, NULL), TRUST_CLIENT, NULL, 0, NULL);
    expect(trust, pki_stack(ca_x509(deep), m, NULL), TRUST_CLIENT, NULL, 0, NULL);
    expect(trust, pki_stack(ca_x509(deep), o, r, m, NULL), TRUST_CLIENT, NULL, 0, NULL);
    expect(trust, pki_stack(ca_x509(deep), NULL), TRUST_CLIENT, NULL, ALERT_UNKNOWN_CA,
           "issuer 'Staff Middle' of certificate 'bob' is not in trust bundle staff");
    expect(trust, pki_stack(ca_x509(alien), NULL), TRUST_CLIENT, NULL, ALERT_UNKNOWN_CA,
           "issuer 'Other Root'");
    expect(trust, pki_stack(ca_x509(alien), o, NULL), TRUST_CLIENT, NULL, ALERT_UNKNOWN_CA,
           "certificate 'Other Root' is self-signed and not in trust bundle staff");
    /* The proven leaf is the first one: a good certificate behind it proves nothing. */
    expect(trust, pki_stack(ca_x509(alien), ca_x509(leaf), r, NULL), TRUST_CLIENT, NULL, ALERT_UNKNOWN_CA,
           "eve");
    /* An intermediate in the bundle is an anchor. */
    expect(only_middle, pki_stack(ca_x509(deep), NULL), TRUST_CLIENT, NULL, 0, NULL);
    expect(only_middle, pki_stack(ca_x509(deep), m, r, NULL), TRUST_CLIENT, NULL, 0, NULL);
    expect(only_middle, pki_stack(ca_x509(leaf), r, NULL), TRUST_CLIENT, NULL, ALERT_UNKNOWN_CA,
           "Staff Root");
    expect(trust, pki_stack(NULL), TRUST_CLIENT, NULL, ALERT_BAD_CERTIFICATE, "no certificate");
    STACK_OF(CRYPTO_BUFFER) *many = pki_stack(m, NULL);
    while (sk_CRYPTO_BUFFER_num(many) <= TRUST_CHAIN_MAX) {
        CRYPTO_BUFFER_up_ref(sk_CRYPTO_BUFFER_value(many, 0));
        sk_CRYPTO_BUFFER_push(many, sk_CRYPTO_BUFFER_value(many, 0));
    }
    expect(trust, many, TRUST_CLIENT, NULL, ALERT_BAD_CERTIFICATE, "65 certificates");
    STACK_OF(CRYPTO_BUFFER) *junk = pki_stack(NULL);
    sk_CRYPTO_BUFFER_push(junk, CRYPTO_BUFFER_new((const uint8_t *)"junk", 4, NULL));
    expect(trust, junk, TRUST_CLIENT, NULL, ALERT_BAD_CERTIFICATE,
           "certificate 1 that was sent cannot be read");
    ca_free(alien);
    ca_free(deep);
    ca_free(leaf);
    trust_unref(only_middle);
    trust_unref(trust);
}

static void test_dates_and_purpose(void **state)
{
    (void)state;
    struct trust *trust = load("root.pem", NULL);
    int64_t now = time(NULL);
    struct ca *old =
        pki_issue(root, CA_PROFILE_CLIENT,
                  (struct ca_request){.name = "old", .not_before = 1700000000, .lifetime = 86400});
    struct ca *leaf = pki_client(root, "ada"), *server = pki_server(root, "a.example");
    expect(trust, pki_stack(ca_x509(old), NULL), TRUST_CLIENT, NULL, ALERT_CERTIFICATE_EXPIRED,
           "certificate 'old' has expired on 2023-11-15T22:13:20Z");
    expect_at(trust, pki_stack(ca_x509(leaf), NULL), TRUST_CLIENT, NULL, now + 2 * PKI_YEAR,
              ALERT_CERTIFICATE_EXPIRED, "certificate 'ada' has expired on ");
    expect_at(trust, pki_stack(ca_x509(leaf), NULL), TRUST_CLIENT, NULL, now + 20 * PKI_YEAR,
              ALERT_CERTIFICATE_EXPIRED, "has expired on ");
    struct ca *later =
        pki_issue(root, CA_PROFILE_CLIENT,
                  (struct ca_request){.name = "later", .not_before = now + 3600, .lifetime = 86400});
    expect(trust, pki_stack(ca_x509(later), NULL), TRUST_CLIENT, NULL, ALERT_CERTIFICATE_EXPIRED,
           "certificate 'later' is not valid before ");
    expect(trust, pki_stack(ca_x509(server), NULL), TRUST_CLIENT, NULL, ALERT_UNSUPPORTED_CERTIFICATE,
           "may not be used to prove a client");
    expect(trust, pki_stack(ca_x509(leaf), NULL), TRUST_SERVER, NULL, ALERT_UNSUPPORTED_CERTIFICATE,
           "may not be used to prove a server");
    ca_free(later);
    ca_free(server);
    ca_free(leaf);
    ca_free(old);
    trust_unref(trust);
}

/* The end of the leaf, and not of what stands above it. */
static void test_expires(void **state)
{
    struct ca *leaf = pki_client(root, "ada");
    struct trust *trust = load("root.pem", NULL);
    STACK_OF(CRYPTO_BUFFER) *stack = pki_stack(ca_x509(leaf), ca_x509(root), NULL);
    int64_t end = trust_expires(stack);
    (void)state;
    pki_stack_free(stack);
    assert_in_range(end, time(NULL) + PKI_YEAR - 3600, time(NULL) + PKI_YEAR);
    expect_at(trust, pki_stack(ca_x509(leaf), NULL), TRUST_CLIENT, NULL, end - 1, 0, NULL);
    expect_at(trust, pki_stack(ca_x509(leaf), NULL), TRUST_CLIENT, NULL, end, ALERT_CERTIFICATE_EXPIRED,
              "has expired on ");
    trust_unref(trust);
    ca_free(leaf);
}

static void test_host_names(void **state)
{
    (void)state;
    static const char *const sans[] = {"a.example", "*.wild.example", "192.0.2.7", "2001:db8::7"};
    static const struct {
        const char *host;
        bool good;
    } hosts[] = {
        {"a.example", true},
        {"A.Example", true},
        {"a.example.", true},
        {"b.example", false},
        {"x.wild.example", true},
        {"x.y.wild.example", false},
        {"wild.example", false},
        {"xwild.example", false},
        {"192.0.2.7", true},
        {"192.0.2.8", false},
        {"2001:db8:0::7", true},
        {"2001:db8::8", false},
        {"common.example", false},
        {"*.wild.example", false},
        {"", false},
        {".", false},
        {".wild.example", false},
    };
    struct trust *trust = load("root.pem", NULL);
    struct ca *server = pki_issue(root, CA_PROFILE_SERVER,
                                  (struct ca_request){.name = "common.example", .sans = sans, .sans_len = 4});
    struct ca *no_dns =
        pki_issue(root, CA_PROFILE_SERVER,
                  (struct ca_request){.name = "common.example", .sans = sans + 2, .sans_len = 1});
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        STACK_OF(CRYPTO_BUFFER) *stack = pki_stack(ca_x509(server), NULL);
        int rc = trust_verify(trust, stack, TRUST_SERVER, hosts[i].host, time(NULL), NULL, NULL);
        pki_stack_free(stack);
        if ((rc == 0) != hosts[i].good)
            fail_msg("'%s': %d", hosts[i].host, rc);
    }
    expect(trust, pki_stack(ca_x509(server), NULL), TRUST_SERVER, "b.example", ALERT_BAD_CERTIFICATE,
           "certificate 'common.example' is not for b.example");
    /* The CN is never looked at, not even when there is no DNS name. */
    expect(trust, pki_stack(ca_x509(no_dns), NULL), TRUST_SERVER, "common.example", ALERT_BAD_CERTIFICATE,
           "is not for common.example");
    ca_free(no_dns);
    ca_free(server);
    trust_unref(trust);
}

/* Certificates that no good CA makes
 * ----------------------------------------------------------------------------- */

static void names_host(X509 *cert, const char *dns)
{
    pki_san(cert, GEN_DNS, dns, strlen(dns));
}

static void make_nul_name(X509 *cert)
{
    pki_san(cert, GEN_DNS, "a.example\0.evil.example", 23);
}

static void make_nul_cn(X509 *cert)
{
    pki_subject(cert, NID_commonName, V_ASN1_UTF8STRING, "a.example\0.evil", 15);
}

static void make_bare_star(X509 *cert)
{
    names_host(cert, "*");
}

static void make_star_tld(X509 *cert)
{
    names_host(cert, "*.example");
}

static void make_inner_star(X509 *cert)
{
    names_host(cert, "a.*");
}

static void make_partial_star(X509 *cert)
{
    names_host(cert, "a*.example");
}

static void make_two_stars(X509 *cert)
{
    names_host(cert, "*.*.example");
}

static void make_critical(X509 *cert)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    assert_true(ASN1_STRING_set(value, "\x05\0", 2));
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
    names_host(cert, "a.example");
}

static void make_good(X509 *cert)
{
    names_host(cert, "a.example");
}

static void make_no_signature_usage(X509 *cert)
{
    names_host(cert, "a.example");
    pki_extension(cert, NID_key_usage, "critical,cRLSign");
}

static void make_code_signing(X509 *cert)
{
    names_host(cert, "a.example");
    pki_extension(cert, NID_ext_key_usage, "codeSigning");
}

static const struct {
    const char *what;
    void (*make)(X509 *cert);
    enum alert alert;
    const char *expected; /* NULL: proven */
} odd_leaves[] = {
    {"plain", make_good, 0, NULL},
    {"SAN with NUL", make_nul_name, ALERT_BAD_CERTIFICATE, ""},
    {"CN with NUL", make_nul_cn, ALERT_BAD_CERTIFICATE, "is not for"},
    {"bare star", make_bare_star, ALERT_BAD_CERTIFICATE, "is not for"},
    {"star for a top-level domain", make_star_tld, ALERT_BAD_CERTIFICATE, "is not for"},
    {"star not left-most", make_inner_star, ALERT_BAD_CERTIFICATE, "is not for"},
    {"star within a label", make_partial_star, ALERT_BAD_CERTIFICATE, "is not for"},
    {"two stars", make_two_stars, ALERT_BAD_CERTIFICATE, "is not for"},
    {"unknown critical extension", make_critical, ALERT_BAD_CERTIFICATE, "critical extension"},
    {"keyUsage without signature", make_no_signature_usage, ALERT_UNSUPPORTED_CERTIFICATE, "keyUsage"},
    {"only code signing", make_code_signing, ALERT_UNSUPPORTED_CERTIFICATE, "extendedKeyUsage"},
};

static void test_odd_leaves(void **state)
{
    (void)state;
    struct trust *trust = load("root.pem", NULL);
    for (size_t i = 0; i < ARRAY_LEN(odd_leaves); i++) {
        print_message("  %s\n", odd_leaves[i].what);
        X509 *cert = pki_blank(root, ca_private_key(other));
        odd_leaves[i].make(cert);
        pki_sign(cert, root);
        expect(trust, pki_stack(cert, NULL), TRUST_SERVER, "a.example", odd_leaves[i].alert,
               odd_leaves[i].expected);
        X509_free(cert);
    }
    trust_unref(trust);
}

/* A leaf "eve", with what `make_leaf` (may be NULL) adds to it, signed by a certificate that the root gave to
 * somebody, made by `make`. */
static void expect_leaf_below(const struct trust *trust, void (*make)(X509 *cert), const char *dns,
                              void (*make_leaf)(X509 *cert), enum alert alert, const char *expected)
{
    struct ca *thief = pki_client(other, "Thief"); /* for its key */
    X509 *between = pki_blank(root, ca_private_key(thief)), *leaf = pki_blank(root, ca_private_key(other));
    pki_subject(between, NID_commonName, MBSTRING_ASC, "Between", 7);
    make(between);
    pki_sign(between, root);
    assert_true(X509_set_issuer_name(leaf, X509_get_subject_name(between)));
    names_host(leaf, dns);
    pki_subject(leaf, NID_commonName, MBSTRING_ASC, "eve", 3);
    if (make_leaf != NULL)
        make_leaf(leaf);
    assert_true(X509_sign(leaf, ca_private_key(thief), EVP_sha256()) > 0);
    expect(trust, pki_stack(leaf, between, NULL), TRUST_CLIENT, NULL, alert, expected);
    X509_free(leaf);
    X509_free(between);
    ca_free(thief);
}

static void expect_below(const struct trust *trust, void (*make)(X509 *cert), const char *dns,
                         enum alert alert, const char *expected)
{
    expect_leaf_below(trust, make, dns, NULL, alert, expected);
}

static void make_leaf_like(X509 *cert)
{
    pki_extension(cert, NID_basic_constraints, "critical,CA:FALSE");
}

static void make_version1(X509 *cert)
{
    assert_true(X509_set_version(cert, X509_VERSION_1));
}

static void make_nothing(X509 *cert)
{
    (void)cert;
}

static void make_ca(X509 *cert)
{
    pki_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
}

static void make_ca_no_sign(X509 *cert)
{
    make_ca(cert);
    pki_extension(cert, NID_key_usage, "critical,digitalSignature");
}

static void make_ca_server_only(X509 *cert)
{
    make_ca(cert);
    pki_extension(cert, NID_ext_key_usage, "serverAuth");
}

static void make_constrained(X509 *cert)
{
    make_ca(cert);
    pki_extension(cert, NID_name_constraints, "critical,permitted;DNS:good.example");
}

static void make_excluding(X509 *cert)
{
    make_ca(cert);
    pki_extension(cert, NID_name_constraints, "critical,excluded;DNS:bad.example");
}

static void test_not_a_ca(void **state)
{
    (void)state;
    struct trust *trust = load("root.pem", NULL);
    const enum alert unknown_ca = ALERT_UNKNOWN_CA, bad = ALERT_BAD_CERTIFICATE;
    expect_below(trust, make_ca, "x.example", 0, NULL);
    expect_below(trust, make_leaf_like, "x.example", unknown_ca, "'Between' signed another but is not a CA");
    expect_below(trust, make_version1, "x.example", unknown_ca, "is not a CA");
    expect_below(trust, make_nothing, "x.example", unknown_ca, "is not a CA");
    expect_below(trust, make_ca_no_sign, "x.example", unknown_ca, "");
    expect_below(trust, make_ca_server_only, "x.example", ALERT_UNSUPPORTED_CERTIFICATE, "'Between'");
    expect_below(trust, make_constrained, "www.good.example", 0, NULL);
    expect_below(trust, make_constrained, "www.bad.example", bad, "permitted subtree violation");
    expect_below(trust, make_excluding, "www.bad.example", bad, "excluded subtree violation");
    expect_below(trust, make_excluding, "www.good.example", 0, NULL);
    trust_unref(trust);
}

static void add_policy(X509 *cert)
{
    static const uint8_t policy[] = {0x30, 0x0d, 0x30, 0x0b, 0x06, 0x09, 0x2b, 0x06,
                                     0x01, 0x04, 0x01, 0x86, 0x8d, 0x1f, 0x07}; /* 1.3.6.1.4.1.99999.7 */
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    assert_true(ASN1_STRING_set(value, policy, sizeof(policy)));
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, NID_certificate_policies, 0, value);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
}

static void make_ca_of_policies(X509 *cert)
{
    make_ca(cert);
    add_policy(cert);
    pki_extension(cert, NID_policy_constraints, "critical,requireExplicitPolicy:0");
}

/* Policies count where a CA asks for them, and nowhere else. */
static void test_policies(void **state)
{
    (void)state;
    struct trust *trust = load("root.pem", NULL);
    expect_leaf_below(trust, make_ca, "x.example", add_policy, 0, NULL);
    expect_leaf_below(trust, make_ca_of_policies, "x.example", add_policy, 0, NULL);
    expect_leaf_below(trust, make_ca_of_policies, "x.example", NULL, ALERT_BAD_CERTIFICATE, "policy");
    trust_unref(trust);
}

static void test_impostors(void **state)
{
    (void)state;
    struct trust *trust = load("root.pem", NULL);
    struct ca *fake = pki_root("Staff Root"); /* the same name, another key */
    struct ca *eve = pki_client(fake, "ada");
    expect(trust, pki_stack(ca_x509(eve), NULL), TRUST_CLIENT, NULL, ALERT_UNKNOWN_CA, "");
    expect(trust, pki_stack(ca_x509(eve), ca_x509(fake), NULL), TRUST_CLIENT, NULL, ALERT_UNKNOWN_CA,
           "is self-signed and not in trust bundle");
    expect(trust, pki_stack(ca_x509(fake), NULL), TRUST_CLIENT, NULL, ALERT_UNKNOWN_CA, "self-signed");
    /* Without key identifiers only the signature tells them apart. */
    X509 *cert = pki_blank(root, ca_private_key(fake));
    pki_subject(cert, NID_commonName, MBSTRING_ASC, "ada", 3);
    pki_sign(cert, fake);
    expect(trust, pki_stack(cert, NULL), TRUST_CLIENT, NULL, ALERT_BAD_CERTIFICATE,
           "certificate 'ada' was not signed by the key of its issuer");
    X509_free(cert);
    /* A good certificate with one bit of its signature turned. */
    struct ca *good = pki_client(root, "ada");
    uint8_t *der = NULL;
    size_t len = (size_t)i2d_X509(ca_x509(good), &der);
    der[len - 1] ^= 1;
    STACK_OF(CRYPTO_BUFFER) *turned = pki_stack(NULL);
    sk_CRYPTO_BUFFER_push(turned, CRYPTO_BUFFER_new(der, len, NULL));
    expect(trust, turned, TRUST_CLIENT, NULL, ALERT_BAD_CERTIFICATE, "was not signed by");
    OPENSSL_free(der);
    ca_free(good);
    ca_free(eve);
    ca_free(fake);
    trust_unref(trust);
}

static void test_weak(void **state)
{
    (void)state;
    struct trust *trust = load("root.pem", NULL);
    X509 *cert = pki_blank(root, ca_private_key(other));
    pki_subject(cert, NID_commonName, MBSTRING_ASC, "sha1", 4);
    assert_true(X509_sign(cert, ca_private_key(root), EVP_sha1()) > 0);
    expect(trust, pki_stack(cert, NULL), TRUST_CLIENT, NULL, ALERT_BAD_CERTIFICATE, "signed with SHA-1");
    X509_free(cert);
    assert_non_null(
        pki_openssl("req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.pem -subj /CN=weak"));
    struct trust *weak = load("weak.pem", NULL);
    BIO *bio = BIO_new_file(pki_path("weak.pem"), "r");
    X509 *weak_cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_non_null(weak_cert);
    expect(weak, pki_stack(weak_cert, NULL), TRUST_CLIENT, NULL, ALERT_BAD_CERTIFICATE, "only 1024 bits");
    X509_free(weak_cert);
    BIO_free(bio);
    trust_unref(weak);
    trust_unref(trust);
}

/* One certificate, not a CA, in the bundle: trusted for itself, and for nothing else. */
static void test_pinned(void **state)
{
    (void)state;
    struct ca *leaf = pki_client(other, "pinned"), *sibling = pki_client(other, "sibling");
    pki_save(leaf, "pinned");
    struct trust *trust = load("pinned.pem", NULL);
    expect(trust, pki_stack(ca_x509(leaf), NULL), TRUST_CLIENT, NULL, 0, NULL);
    expect(trust, pki_stack(ca_x509(leaf), ca_x509(other), NULL), TRUST_CLIENT, NULL, 0, NULL);
    expect(trust, pki_stack(ca_x509(sibling), ca_x509(other), NULL), TRUST_CLIENT, NULL, ALERT_UNKNOWN_CA,
           "");
    ca_free(sibling);
    ca_free(leaf);
    trust_unref(trust);
}

/* Revocation
 * ----------------------------------------------------------------------------------------------------- */

static void test_revoked(void **state)
{
    (void)state;
    int64_t now = time(NULL);
    const enum alert unknown = ALERT_CERTIFICATE_UNKNOWN;
    struct ca *good = pki_client(root, "good"), *bad = pki_client(root, "bad"),
              *deep = pki_client(middle, "deep");
    write_crl("root.crl", root, bad, now - 60, 3600);
    write_crl("middle.crl", middle, NULL, now - 60, 3600);
    struct trust *trust = load("root.pem", "root.crl");
    expect(trust, pki_stack(ca_x509(good), NULL), TRUST_CLIENT, NULL, 0, NULL);
    char when[64];
    strftime(when, sizeof(when), "certificate 'bad' was revoked on %Y-%m-%dT", gmtime(&(time_t){now - 60}));
    expect(trust, pki_stack(ca_x509(bad), NULL), TRUST_CLIENT, NULL, ALERT_CERTIFICATE_REVOKED, when);
    /* Expired, or not valid yet: closed. */
    expect_at(trust, pki_stack(ca_x509(good), NULL), TRUST_CLIENT, NULL, now + 7200, unknown,
              "has only a CRL that has expired");
    expect_at(trust, pki_stack(ca_x509(good), NULL), TRUST_CLIENT, NULL, now - 120, unknown,
              "has only a CRL that is not valid yet");
    /* The leaf's issuer has no CRL in the bundle: closed, although the root has one. */
    expect(trust, pki_stack(ca_x509(deep), ca_x509(middle), NULL), TRUST_CLIENT, NULL, unknown,
           "issuer 'Staff Middle' of certificate 'deep' has no CRL");
    trust_unref(trust);
    /* It has one; the root has none, which is no matter. */
    trust = load("root.pem", "middle.crl");
    expect(trust, pki_stack(ca_x509(deep), ca_x509(middle), NULL), TRUST_CLIENT, NULL, 0, NULL);
    trust_unref(trust);
    /* An intermediate in the bundle is the anchor: its own CRL is enough. */
    trust = load("middle.pem", "middle.crl");
    expect(trust, pki_stack(ca_x509(deep), NULL), TRUST_CLIENT, NULL, 0, NULL);
    trust_unref(trust);
    /* Both, and the intermediate is revoked. */
    write_crl("both.crl", root, middle, now - 60, 3600);
    assert_non_null(pki_openssl("version; cat middle.crl >> both.crl"));
    trust = load("root.pem", "both.crl");
    expect(trust, pki_stack(ca_x509(deep), ca_x509(middle), NULL), TRUST_CLIENT, NULL,
           ALERT_CERTIFICATE_REVOKED, "certificate 'Staff Middle' was revoked");
    trust_unref(trust);
    ca_free(deep);
    ca_free(bad);
    ca_free(good);
}

/* A CRL with the right name that another key has signed must not count, whichever way. */
static void test_forged_crl(void **state)
{
    (void)state;
    struct ca *fake = pki_root("Staff Root"), *good = pki_client(root, "good");
    write_crl("fake.crl", fake, NULL, time(NULL) - 60, 3600);
    struct trust *trust = load("root.pem", "fake.crl");
    expect(trust, pki_stack(ca_x509(good), NULL), TRUST_CLIENT, NULL, ALERT_CERTIFICATE_UNKNOWN, "CRL");
    trust_unref(trust);
    ca_free(good);
    ca_free(fake);
}

/* CRLs of every kind
 * --------------------------------------------------------------------------------------------- */

/* A CRL of `issuer`, made by hand: valid for an hour, `make` (may be NULL) adds what is odd about it.
 * Appended to the file. */
static void write_odd_crl(const char *name, const struct ca *issuer, void (*make)(X509_CRL *crl),
                          int64_t from)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *begin = ASN1_TIME_set_posix(NULL, from), *end = ASN1_TIME_set_posix(NULL, from + 3600);
    assert_true(X509_CRL_set_version(crl, X509_CRL_VERSION_2));
    assert_true(X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca_x509(issuer))));
    assert_true(X509_CRL_set1_lastUpdate(crl, begin) && X509_CRL_set1_nextUpdate(crl, end));
    if (make != NULL)
        make(crl);
    assert_true(X509_CRL_sign(crl, ca_private_key(issuer), EVP_sha256()) > 0);
    BIO *bio = BIO_new_file(pki_path(name), "a");
    assert_true(PEM_write_bio_X509_CRL(bio, crl));
    BIO_free(bio);
    X509_CRL_free(crl);
    ASN1_TIME_free(begin);
    ASN1_TIME_free(end);
}

static void add_entry(X509_CRL *crl, const char *hex, int nid, bool critical, long reason_code)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    BIGNUM *number = NULL;
    assert_true(BN_hex2bn(&number, hex) > 0);
    ASN1_INTEGER *serial = BN_to_ASN1_INTEGER(number, NULL);
    ASN1_TIME *when = ASN1_TIME_set_posix(NULL, 1700000000);
    assert_true(X509_REVOKED_set_serialNumber(entry, serial) && X509_REVOKED_set_revocationDate(entry, when));
    if (nid != NID_undef) {
        ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
        assert_true(ASN1_ENUMERATED_set(reason, reason_code));
        uint8_t *der = NULL;
        int len = i2d_ASN1_ENUMERATED(reason, &der);
        ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        assert_true(ASN1_STRING_set(value, der, len));
        X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, nid, critical, value);
        assert_true(X509_REVOKED_add_ext(entry, extension, -1));
        X509_EXTENSION_free(extension);
        ASN1_OCTET_STRING_free(value);
        OPENSSL_free(der);
        ASN1_ENUMERATED_free(reason);
    }
    assert_true(X509_CRL_add0_revoked(crl, entry));
    ASN1_TIME_free(when);
    ASN1_INTEGER_free(serial);
    BN_free(number);
}

static void add_raw(X509_CRL *crl, int nid, bool critical, const void *der, size_t len)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    assert_true(ASN1_STRING_set(value, der, (ossl_ssize_t)len));
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, nid, critical, value);
    assert_true(X509_CRL_add_ext(crl, extension, -1));
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
}

static void revoke_4711(X509_CRL *crl)
{
    add_entry(crl, "1267", NID_crl_reason, false, CRL_REASON_KEY_COMPROMISE); /* the serial of pki_blank() */
}

static void revoke_critical_reason(X509_CRL *crl)
{
    add_entry(crl, "1267", NID_crl_reason, true, CRL_REASON_KEY_COMPROMISE);
}

/* What is near to 4711 without being it, and the shapes that serials have. */
static void revoke_neighbours(X509_CRL *crl)
{
    static const char *const serials[] = {"1266",   "1268", "-1267",
                                          "126700", "00",   "-01",
                                          "67",     "12",   "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF1267"};
    for (size_t i = 0; i < ARRAY_LEN(serials); i++)
        add_entry(crl, serials[i], NID_undef, false, CRL_REASON_KEY_COMPROMISE);
}

static void revoke_neighbours_and_4711(X509_CRL *crl)
{
    revoke_neighbours(crl);
    revoke_4711(crl);
    revoke_neighbours(crl);
}

static void be_delta(X509_CRL *crl)
{
    add_raw(crl, NID_delta_crl, true, "\x02\x01\x01", 3);
}

static void be_lenient_delta(X509_CRL *crl)
{
    add_raw(crl, NID_delta_crl, false, "\x02\x01\x01", 3);
}

static void be_critical(X509_CRL *crl)
{
    add_raw(crl, NID_crl_number, true, "\x02\x01\x01", 3);
}

static void have_critical_entry(X509_CRL *crl)
{
    add_entry(crl, "99", NID_invalidity_date, true, CRL_REASON_KEY_COMPROMISE);
}

static void have_entry_of_another_issuer(X509_CRL *crl)
{
    add_entry(crl, "99", NID_certificate_issuer, true, CRL_REASON_KEY_COMPROMISE);
}

static void have_bad_authority(X509_CRL *crl)
{
    add_raw(crl, NID_authority_key_identifier, false, "\x05", 1);
}

static void have_two_scopes(X509_CRL *crl)
{
    add_raw(crl, NID_issuing_distribution_point, true, "\x30\x00", 2);
    add_raw(crl, NID_issuing_distribution_point, true, "\x30\x00", 2);
}

/* IssuingDistributionPoint: [1] users, [2] CAs, [3] reasons, [4] indirect, [5] attribute certificates. */
static void for_users(X509_CRL *crl)
{
    add_raw(crl, NID_issuing_distribution_point, true, "\x30\x03\x81\x01\xff", 5);
}

static void for_cas(X509_CRL *crl)
{
    add_raw(crl, NID_issuing_distribution_point, true, "\x30\x03\x82\x01\xff", 5);
}

static void for_users_and_cas(X509_CRL *crl)
{
    add_raw(crl, NID_issuing_distribution_point, true, "\x30\x06\x81\x01\xff\x82\x01\xff", 8);
}

static void for_reasons(X509_CRL *crl)
{
    add_raw(crl, NID_issuing_distribution_point, true, "\x30\x04\x83\x02\x06\x40", 6);
}

static void be_indirect(X509_CRL *crl)
{
    add_raw(crl, NID_issuing_distribution_point, true, "\x30\x03\x84\x01\xff", 5);
}

static void for_attributes(X509_CRL *crl)
{
    add_raw(crl, NID_issuing_distribution_point, true, "\x30\x03\x85\x01\xff", 5);
}

/* distributionPoint with a fullName of one URI, "http:a" or "http:b". */
static void for_point_a(X509_CRL *crl)
{
    add_raw(crl, NID_issuing_distribution_point, true, "\x30\x0c\xa0\x0a\xa0\x08\x86\x06http:a", 14);
}

static void for_point_b(X509_CRL *crl)
{
    add_raw(crl, NID_issuing_distribution_point, true, "\x30\x0c\xa0\x0a\xa0\x08\x86\x06http:b", 14);
}

#define NOT_TOLD ALERT_CERTIFICATE_UNKNOWN

static const struct {
    const char *what;
    void (*make)(X509_CRL *crl);
    enum alert alert;
    const char *expected; /* NULL: proven */
} odd_crls[] = {
    {"empty", NULL, 0, NULL},
    {"revoked", revoke_4711, ALERT_CERTIFICATE_REVOKED, "'odd' was revoked on 2023-11-14T22:13:20Z"},
    {"critical reason", revoke_critical_reason, ALERT_CERTIFICATE_REVOKED, "was revoked"},
    {"serials nearby", revoke_neighbours, 0, NULL},
    {"among serials nearby", revoke_neighbours_and_4711, ALERT_CERTIFICATE_REVOKED, "was revoked"},
    {"delta", be_delta, NOT_TOLD, "has only a delta CRL"},
    {"delta, not critical", be_lenient_delta, NOT_TOLD, "has only a delta CRL"},
    {"unknown critical", be_critical, NOT_TOLD, "critical extension that is not known"},
    {"unknown critical of an entry", have_critical_entry, NOT_TOLD, "critical extension that is not known"},
    {"entry of another issuer", have_entry_of_another_issuer, NOT_TOLD, "indirect CRL"},
    {"users", for_users, 0, NULL},
    {"CAs", for_cas, NOT_TOLD, "CRL for other certificates"},
    {"users and CAs", for_users_and_cas, NOT_TOLD, "cannot be read"},
    {"some reasons", for_reasons, NOT_TOLD, "some of the reasons"},
    {"indirect", be_indirect, NOT_TOLD, "indirect CRL"},
    {"attribute certificates", for_attributes, NOT_TOLD, "CRL for other certificates"},
    {"its distribution point", for_point_a, 0, NULL},
    {"another distribution point", for_point_b, NOT_TOLD, "CRL for other certificates"},
};

/* A certificate with the serial 4711 and the distribution point http:a. */
static X509 *make_odd_leaf(const struct ca *issuer)
{
    X509 *cert = pki_blank(issuer, ca_private_key(other));
    pki_subject(cert, NID_commonName, MBSTRING_ASC, "odd", 3);
    pki_extension(cert, NID_crl_distribution_points, "URI:http:a");
    pki_sign(cert, issuer);
    return cert;
}

static void test_odd_crls(void **state)
{
    (void)state;
    X509 *cert = make_odd_leaf(root);
    for (size_t i = 0; i < ARRAY_LEN(odd_crls); i++) {
        print_message("  %s\n", odd_crls[i].what);
        unlink(pki_path("odd.crl"));
        write_odd_crl("odd.crl", root, odd_crls[i].make, time(NULL) - 60);
        struct trust *trust = load("root.pem", "odd.crl");
        for (int turn = 0; turn < 2; turn++)
            expect(trust, pki_stack(cert, NULL), TRUST_CLIENT, NULL, odd_crls[i].alert, odd_crls[i].expected);
        trust_unref(trust);
        /* Beside one that is good it does not count. */
        if (odd_crls[i].alert == NOT_TOLD) {
            write_odd_crl("odd.crl", root, NULL, time(NULL) - 3000);
            trust = load("root.pem", "odd.crl");
            expect(trust, pki_stack(cert, NULL), TRUST_CLIENT, NULL, 0, NULL);
            trust_unref(trust);
        }
    }
    X509_free(cert);
}

/* One that the library itself does not read is an error of the file. */
static void test_damaged_crl(void **state)
{
    (void)state;
    void (*const makes[])(X509_CRL * crl) = {have_bad_authority, have_two_scopes};
    for (size_t i = 0; i < ARRAY_LEN(makes); i++) {
        struct err err = {{0}};
        unlink(pki_path("damaged.crl"));
        write_odd_crl("damaged.crl", root, NULL, time(NULL) - 60);
        write_odd_crl("damaged.crl", root, makes[i], time(NULL) - 60);
        const char *ca = pki_path("root.pem"), *crl = pki_path("damaged.crl");
        assert_null(trust_load(
            &(struct trust_files){.name = "staff", .ca = &ca, .ca_len = 1, .crl = &crl, .crl_len = 1}, &err));
        assert_non_null(strstr(err.text, "damaged.crl: CRL 2: it is damaged, or no CRL"));
    }
}

/* Of several CRLs the newest decides, wherever it stands in the file. */
static void test_newest_crl(void **state)
{
    (void)state;
    int64_t now = time(NULL);
    X509 *cert = make_odd_leaf(root);
    for (int first = 0; first < 2; first++) {
        unlink(pki_path("several.crl"));
        write_odd_crl("several.crl", root, first ? revoke_4711 : NULL, now - (first ? 60 : 120));
        write_odd_crl("several.crl", root, first ? NULL : revoke_4711, now - (first ? 120 : 60));
        write_odd_crl("several.crl", root, NULL, now + 600); /* newer still, but not yet */
        struct trust *trust = load("root.pem", "several.crl");
        expect(trust, pki_stack(cert, NULL), TRUST_CLIENT, NULL, ALERT_CERTIFICATE_REVOKED, "was revoked");
        trust_unref(trust);
    }
    X509_free(cert);
}

static void be_number_1(X509_CRL *crl)
{
    add_raw(crl, NID_crl_number, false, "\x02\x01\x01", 3);
}

static void be_number_2(X509_CRL *crl)
{
    add_raw(crl, NID_crl_number, false, "\x02\x01\x02", 3);
}

static void revoke_as_1(X509_CRL *crl)
{
    be_number_1(crl);
    revoke_4711(crl);
}

static void revoke_as_2(X509_CRL *crl)
{
    be_number_2(crl);
    revoke_4711(crl);
}

static void revoke_in_delta(X509_CRL *crl)
{
    be_delta(crl);
    revoke_4711(crl);
}

static void take_back_in_delta(X509_CRL *crl)
{
    be_delta(crl);
    add_entry(crl, "1267", NID_crl_reason, false, CRL_REASON_REMOVE_FROM_CRL);
}

static void revoke_and_be_critical(X509_CRL *crl)
{
    be_critical(crl);
    revoke_4711(crl);
}

static void revoke_for_reasons(X509_CRL *crl)
{
    for_reasons(crl);
    revoke_4711(crl);
}

static void revoke_for_attributes(X509_CRL *crl)
{
    for_attributes(crl);
    revoke_4711(crl);
}

static void revoke_before_another_issuer(X509_CRL *crl)
{
    revoke_4711(crl);
    have_entry_of_another_issuer(crl);
}

static void revoke_of_another_issuer(X509_CRL *crl)
{
    have_entry_of_another_issuer(crl);
    revoke_4711(crl);
}

/* Two CRLs of one issuer, in either order in the file: when they were issued, in seconds from now (each lasts
 * an hour), and what is odd about them. The first one is good. */
static const struct {
    const char *what;
    int64_t good_from;
    void (*good)(X509_CRL *crl);
    int64_t other_from;
    void (*other)(X509_CRL *crl);
    bool revoked;
} crl_pairs[] = {
    {"older lists", -60, NULL, -120, revoke_4711, false},
    {"newer lists", -120, NULL, -60, revoke_4711, true},
    {"same time, next number lists", -60, be_number_1, -60, revoke_as_2, true},
    {"same time, number before lists", -60, be_number_2, -60, revoke_as_1, false},
    {"same time, no number lists", -60, be_number_2, -60, revoke_4711, true},
    {"same time, lists beside no number", -60, NULL, -60, revoke_as_1, true},
    {"not valid yet, lists", -60, NULL, 600, revoke_4711, true},
    {"delta lists", -120, NULL, -60, revoke_in_delta, true},
    {"older delta lists", -60, NULL, -120, revoke_in_delta, false},
    {"delta takes back", -60, revoke_4711, -30, take_back_in_delta, true},
    {"delta takes back what was not there", -60, NULL, -30, take_back_in_delta, false},
    {"unknown critical lists", -120, NULL, -60, revoke_and_be_critical, true},
    {"some reasons list", -120, NULL, -60, revoke_for_reasons, true},
    {"attribute certificates list", -120, NULL, -60, revoke_for_attributes, false},
    {"indirect lists its own", -120, NULL, -60, revoke_before_another_issuer, true},
    {"indirect lists another's", -120, NULL, -60, revoke_of_another_issuer, false},
};

/* A CRL that cannot clear anybody can still accuse. */
static void test_any_crl_revokes(void **state)
{
    (void)state;
    int64_t now = time(NULL);
    X509 *cert = make_odd_leaf(root);
    for (size_t i = 0; i < 2 * ARRAY_LEN(crl_pairs); i++) {
        size_t k = i / 2;
        print_message("  %s\n", crl_pairs[k].what);
        unlink(pki_path("pair.crl"));
        if (i % 2 != 0)
            write_odd_crl("pair.crl", root, crl_pairs[k].other, now + crl_pairs[k].other_from);
        write_odd_crl("pair.crl", root, crl_pairs[k].good, now + crl_pairs[k].good_from);
        if (i % 2 == 0)
            write_odd_crl("pair.crl", root, crl_pairs[k].other, now + crl_pairs[k].other_from);
        struct trust *trust = load("root.pem", "pair.crl");
        expect(trust, pki_stack(cert, NULL), TRUST_CLIENT, NULL,
               crl_pairs[k].revoked ? ALERT_CERTIFICATE_REVOKED : 0,
               crl_pairs[k].revoked ? "was revoked" : NULL);
        trust_unref(trust);
    }
    X509_free(cert);
}

/* The newest one has expired and lists; one issued before it lasts longer and does not. */
static void test_expired_crl_revokes(void **state)
{
    (void)state;
    int64_t now = time(NULL);
    X509 *cert = make_odd_leaf(root);
    struct ca *fake = pki_root("Staff Root");
    write_crl("expired.crl", root, NULL, now - 7200, 10000);
    write_odd_crl("expired.crl", fake, revoke_4711, now - 4000); /* not the issuer's: accuses nobody */
    struct trust *trust = load("root.pem", "expired.crl");
    expect(trust, pki_stack(cert, NULL), TRUST_CLIENT, NULL, 0, NULL);
    trust_unref(trust);
    write_odd_crl("expired.crl", root, revoke_4711, now - 4000);
    trust = load("root.pem", "expired.crl");
    expect(trust, pki_stack(cert, NULL), TRUST_CLIENT, NULL, ALERT_CERTIFICATE_REVOKED, "was revoked");
    trust_unref(trust);
    ca_free(fake);
    X509_free(cert);
}

/* The issuer of a CRL need not be in the bundle: what peers send proves it, then and only then. */
static void test_crl_of_sent_issuer(void **state)
{
    (void)state;
    struct ca *fake = pki_issue(root, CA_PROFILE_INTERMEDIATE, (struct ca_request){.name = "Staff Middle"}),
              *one = pki_client(middle, "one"), *two = pki_client(fake, "two");
    write_odd_crl("sent.crl", middle, NULL, time(NULL) - 60);
    struct trust *trust = load("root.pem", "sent.crl");
    for (int turn = 0; turn < 3; turn++) {
        /* Its name and its CA are right, but it is not the one who signed. */
        expect(trust, pki_stack(ca_x509(two), ca_x509(fake), NULL), TRUST_CLIENT, NULL, NOT_TOLD,
               "has only a CRL that it did not sign");
        expect(trust, pki_stack(ca_x509(one), ca_x509(middle), NULL), TRUST_CLIENT, NULL, 0, NULL);
    }
    trust_unref(trust);
    ca_free(two);
    ca_free(one);
    ca_free(fake);
}

static void make_ca_no_crl_sign(X509 *cert)
{
    make_ca(cert);
    pki_extension(cert, NID_key_usage, "critical,keyCertSign");
}

static void test_crl_without_key_usage(void **state)
{
    (void)state;
    X509 *between = pki_blank(root, ca_private_key(middle)), *leaf = pki_blank(root, ca_private_key(other));
    pki_subject(between, NID_commonName, MBSTRING_ASC, "Staff Middle", 12);
    make_ca_no_crl_sign(between);
    pki_sign(between, root);
    assert_true(X509_set_issuer_name(leaf, X509_get_subject_name(between)));
    assert_true(X509_sign(leaf, ca_private_key(middle), EVP_sha256()) > 0);
    write_odd_crl("usage.crl", middle, NULL, time(NULL) - 60);
    struct trust *trust = load("root.pem", "usage.crl");
    expect(trust, pki_stack(leaf, between, NULL), TRUST_CLIENT, NULL, NOT_TOLD, "may not sign (keyUsage)");
    trust_unref(trust);
    X509_free(leaf);
    X509_free(between);
}

/* Further up a CRL may be missing, but one that is there must be good. */
static void test_crl_further_up(void **state)
{
    (void)state;
    struct ca *deep = pki_client(middle, "deep");
    write_odd_crl("up.crl", middle, NULL, time(NULL) - 60);
    write_odd_crl("up.crl", root, for_users, time(NULL) - 60);
    struct trust *trust = load("root.pem", "up.crl");
    expect(trust, pki_stack(ca_x509(deep), ca_x509(middle), NULL), TRUST_CLIENT, NULL, NOT_TOLD,
           "issuer 'Staff Root' of certificate 'Staff Middle' has only a CRL for other certificates");
    trust_unref(trust);
    /* Nor may it be one of another key of the root's name (which a rolled key leaves). */
    struct ca *rolled = pki_root("Staff Root");
    pki_save(rolled, "rolled");
    write_crl("rolled.crl", rolled, middle, time(NULL) - 60, 3600);
    assert_non_null(pki_openssl("version; cat root.pem rolled.pem > roots.pem"));
    write_odd_crl("rolled.crl", middle, NULL, time(NULL) - 60);
    trust = load("roots.pem", "rolled.crl");
    expect(trust, pki_stack(ca_x509(deep), ca_x509(middle), NULL), TRUST_CLIENT, NULL, NOT_TOLD,
           "certificate 'Staff Middle' has only a CRL of another key of its name");
    trust_unref(trust);
    /* Each key has its own: the other one's does not count, whatever it lists. */
    write_odd_crl("rolled.crl", root, NULL, time(NULL) - 60);
    trust = load("roots.pem", "rolled.crl");
    expect(trust, pki_stack(ca_x509(deep), ca_x509(middle), NULL), TRUST_CLIENT, NULL, 0, NULL);
    trust_unref(trust);
    ca_free(rolled);
    write_odd_crl("up.crl", root, for_cas, time(NULL) - 60);
    trust = load("root.pem", "up.crl");
    expect(trust, pki_stack(ca_x509(deep), ca_x509(middle), NULL), TRUST_CLIENT, NULL, 0, NULL);
    trust_unref(trust);
    ca_free(deep);
}

/* The lines of trust_lockout(), and the files that they are about; "-": none. */
static void expect_lockouts(const char *ca, const char *crl, int64_t now, const char *expected)
{
    struct trust *trust = load(ca, crl);
    struct buf said = {0};
    struct err err;
    size_t at = 0, file;
    while (trust_lockout(trust, &at, now, &file, &err)) {
        assert_true(file == 0 || file == SIZE_MAX);
        const char *text = file == 0 ? strrchr(err.text, '/') + 1 : err.text;
        assert_true(buf_printf(&said, "%s%s\n", file == 0 ? "" : "- ", text));
    }
    assert_string_equal(buf_text(&said), expected);
    buf_free(&said);
    trust_unref(trust);
}

/* A CA with two certificates for one key, by two roots: one is revoked, and the other is a way around it. */
static void test_revoked_cross_certificate(void **state)
{
    (void)state;
    struct ca *house = pki_root("House"), *leaf = pki_client(house, "ada");
    const struct ca *issuers[] = {root, other};
    X509 *cross[2];
    for (size_t i = 0; i < 2; i++) {
        cross[i] = pki_blank(issuers[i], ca_private_key(house));
        assert_true(X509_set_subject_name(cross[i], X509_get_subject_name(ca_x509(house))));
        make_ca(cross[i]);
        pki_extension(cross[i], NID_key_usage, "critical,keyCertSign,cRLSign");
        pki_sign(cross[i], issuers[i]);
    }
    struct buf pem = {0}, der = {0};
    struct err err = {{0}};
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cross[0]);
    struct ca_revoked entry = {.at = time(NULL) - 60};
    entry.serial.len = (size_t)ASN1_STRING_length(serial);
    memcpy(entry.serial.bytes, ASN1_STRING_get0_data(serial), entry.serial.len);
    assert_int_equal(ca_make_crl(root, &entry, 1, 1, time(NULL) - 60, 3600, &der, &err), 0);
    assert_true(ca_put_pem(&pem, PEM_STRING_X509_CRL, der.data, der.len));
    buf_free(&der);
    pki_crl(house, NULL, 1, time(NULL) - 60, 3600, &pem); /* of the leaf's issuer, who must have one */
    pki_write("cross.crl", pem.data, pem.len);
    assert_non_null(pki_openssl("version; cat root.pem other.pem > both.pem"));
    struct trust *both = load("both.pem", "cross.crl"), *one = load("root.pem", "cross.crl");
    X509 *l = ca_x509(leaf);
    expect(both, pki_stack(l, cross[0], cross[1], NULL), TRUST_CLIENT, NULL, 0, NULL);
    expect(both, pki_stack(l, cross[1], cross[0], NULL), TRUST_CLIENT, NULL, 0, NULL);
    expect(both, pki_stack(l, cross[0], NULL), TRUST_CLIENT, NULL, ALERT_CERTIFICATE_REVOKED,
           "certificate 'House' was revoked");
    expect(one, pki_stack(l, cross[0], cross[1], NULL), TRUST_CLIENT, NULL, ALERT_CERTIFICATE_REVOKED,
           "certificate 'House' was revoked");
    trust_unref(one);
    trust_unref(both);
    buf_free(&pem);
    X509_free(cross[0]);
    X509_free(cross[1]);
    ca_free(leaf);
    ca_free(house);
}

static void test_lockouts(void **state)
{
    (void)state;
    const int64_t then = 1700000000; /* 2023-11-14T22:13:20Z */
    static const char old[] =
        "lock.crl expired on 2023-11-14T23:13:20Z: everybody of 'Staff Root' is refused\n";
    static const char none[] =
        "- trust bundle staff has CRLs, but none of 'Other Root': everybody of it is refused\n";
    char both[400];
    write_crl("lock.crl", root, NULL, then, 3600);
    expect_lockouts("root.pem", "lock.crl", then + 10, "");
    expect_lockouts("root.pem", "lock.crl", then + 3600, old);
    expect_lockouts(
        "root.pem", "lock.crl", then - 1,
        "lock.crl is not valid before 2023-11-14T22:13:20Z: everybody of 'Staff Root' is refused\n");
    expect_lockouts("root.pem", NULL, then, "");
    assert_non_null(
        pki_openssl("version; cat root.pem other.pem > two.pem; cat root.pem middle.pem > up.pem"));
    expect_lockouts("two.pem", "lock.crl", then + 10, none);
    snprintf(both, sizeof(both), "%s%s", old, none);
    expect_lockouts("two.pem", "lock.crl", then + 3600, both);
    /* A root that may have issued CAs only needs none. */
    write_crl("middle-lock.crl", middle, NULL, then, 3600);
    expect_lockouts("root.pem", "middle-lock.crl", then + 10, "");
    expect_lockouts("up.pem", "middle-lock.crl", then + 10, "");
    /* A newer one in the same file makes it good. */
    write_crl("newer.crl", root, NULL, then + 3000, 7200);
    assert_non_null(pki_openssl("version; cat newer.crl >> lock.crl"));
    expect_lockouts("root.pem", "lock.crl", then + 3700, "");
}

static void test_reload(void **state)
{
    (void)state;
    struct err err;
    int64_t now = time(NULL);
    struct ca *leaf = pki_client(root, "leaf");
    write_crl("live.crl", root, NULL, now - 60, 3600);
    pki_save(root, "anchor");
    struct trust *trust = load("anchor.pem", "live.crl");
    assert_false(trust_stale(trust));
    expect(trust, pki_stack(ca_x509(leaf), NULL), TRUST_CLIENT, NULL, 0, NULL);
    pki_write("anchor.pem", "half", 4); /* is not looked at */
    write_crl("live.crl", root, leaf, now - 30, 3600);
    assert_true(trust_stale(trust));
    struct trust *next = trust_reload(trust, &err);
    assert_non_null(next);
    /* Rewritten in place with its size and its time of writing as they were. */
    struct stat before;
    assert_int_equal(stat(pki_path("live.crl"), &before), 0);
    usleep(20000); /* the kernel's clock for files has ticked */
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, pki_path("live.crl"), times, 0), 0);
    assert_true(trust_stale(next));
    trust_unref(next);
    next = trust_reload(trust, &err);
    assert_non_null(next);
    assert_false(trust_stale(next));
    expect(next, pki_stack(ca_x509(leaf), NULL), TRUST_CLIENT, NULL, ALERT_CERTIFICATE_REVOKED, "revoked");
    expect(trust, pki_stack(ca_x509(leaf), NULL), TRUST_CLIENT, NULL, 0, NULL);
    /* DER is read as well. */
    assert_non_null(pki_openssl("crl -in live.crl -outform DER -out live.der && mv live.der live.crl"));
    struct trust *der = trust_reload(next, &err);
    assert_non_null(der);
    expect(der, pki_stack(ca_x509(leaf), NULL), TRUST_CLIENT, NULL, ALERT_CERTIFICATE_REVOKED, "revoked");
    trust_unref(der);
    pki_write("live.crl", "nonsense", 8);
    uint64_t as_nonsense = trust_stale(next);
    assert_true(as_nonsense != 0 && as_nonsense == trust_stale(next));
    assert_null(trust_reload(next, &err));
    assert_non_null(strstr(err.text, "trust bundle staff: /"));
    assert_non_null(strstr(err.text, "live.crl: no CRL"));
    pki_write("live.crl", "nonsense too", 12);
    assert_true(trust_stale(next) != 0 && trust_stale(next) != as_nonsense);
    unlink(pki_path("live.crl"));
    assert_true(trust_stale(next));
    trust_unref(trust_ref(next));
    trust_unref(next);
    trust_unref(trust);
    ca_free(leaf);
}

/* The book of one CA: it counts beside CRLs and without any, below that CA only, and another takes its place
 * without a file being read. */
static void test_book(void **state)
{
    (void)state;
    struct ca *good = pki_client(middle, "good"), *bad = pki_client(middle, "bad"),
              *above = pki_client(root, "above");
    const struct ca_serial s = ca_serial_of(ca_x509(bad)), t = ca_serial_of(ca_x509(above));
    struct revoked_row rows[3] = {
        {.len = 1, .at = 5}, {.len = (uint8_t)s.len, .at = 1700000000}, {.len = (uint8_t)t.len, .at = 7}};
    memcpy(rows[1].serial, s.bytes, s.len);
    memcpy(rows[2].serial, t.bytes, t.len);
    /* The CA has had another intermediate before. */
    struct x509_st *const issuers[] = {ca_x509(good), ca_x509(middle)};
    struct revoked *book = revoked_new(issuers, 2, rows, 3), *empty = revoked_new(issuers, 2, NULL, 0);
    struct trust *plain = load("root.pem", NULL), *trust = trust_with_revoked(plain, book);
    trust_unref(plain); /* what it lends stays */
    assert_ptr_equal(trust_revoked(trust), book);
    assert_false(trust_stale(trust));
    expect(trust, pki_stack(ca_x509(good), ca_x509(middle), NULL), TRUST_CLIENT, NULL, 0, NULL);
    expect(trust, pki_stack(ca_x509(bad), ca_x509(middle), NULL), TRUST_CLIENT, NULL,
           ALERT_CERTIFICATE_REVOKED, "certificate 'bad' was revoked on 2023-11-14T22:13:20Z");
    expect(trust, pki_stack(ca_x509(above), NULL), TRUST_CLIENT, NULL, 0, NULL); /* another issuer's number */
    struct trust *freed = trust_with_revoked(trust, empty);
    trust_unref(trust);
    expect(freed, pki_stack(ca_x509(bad), ca_x509(middle), NULL), TRUST_CLIENT, NULL, 0, NULL);
    trust_unref(freed);
    /* A CRL that clears does not help. */
    write_crl("book.crl", middle, NULL, time(NULL) - 60, 3600);
    plain = load("middle.pem", "book.crl");
    trust = trust_with_revoked(plain, book);
    trust_unref(plain);
    expect(trust, pki_stack(ca_x509(good), NULL), TRUST_CLIENT, NULL, 0, NULL);
    expect(trust, pki_stack(ca_x509(bad), NULL), TRUST_CLIENT, NULL, ALERT_CERTIFICATE_REVOKED, "revoked");
    trust_unref(trust);
    revoked_unref(book);
    revoked_unref(empty);
    ca_free(good);
    ca_free(bad);
    ca_free(above);
}

static void test_bundle_files(void **state)
{
    (void)state;
    struct err err;
    const char *path = pki_path("none.pem");
    struct trust_files files = {.name = "staff", .ca = &path, .ca_len = 1};
    assert_null(trust_load(&files, &err));
    assert_non_null(strstr(err.text, "none.pem: No such file"));
    files.ca_len = 0;
    assert_null(trust_load(&files, &err));
    pki_write("empty.pem", "", 0);
    path = pki_path("empty.pem");
    files.ca_len = 1;
    assert_null(trust_load(&files, &err));
    assert_non_null(strstr(err.text, "no certificate in PEM"));
    assert_non_null(pki_openssl("version; cat root.pem other.pem > two.pem"));
    struct trust *trust = load("two.pem", NULL);
    assert_string_equal(trust_name(trust), "staff");
    STACK_OF(CRYPTO_BUFFER) *names = trust_ca_names(trust);
    assert_int_equal(sk_CRYPTO_BUFFER_num(names), 2);
    pki_stack_free(names);
    trust_unref(trust);
    trust_unref(NULL);
}

static void test_system(void **state)
{
    (void)state;
    if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) != 0)
        skip();
    struct trust *trust = load("system", NULL);
    struct ca *leaf = pki_server(root, "a.example");
    STACK_OF(CRYPTO_BUFFER) *names = trust_ca_names(trust);
    assert_true(sk_CRYPTO_BUFFER_num(names) > 20);
    pki_stack_free(names);
    expect(trust, pki_stack(ca_x509(leaf), NULL), TRUST_SERVER, "a.example", ALERT_UNKNOWN_CA, "Staff Root");
    ca_free(leaf);
    trust_unref(trust);
}

/* Many threads, one bundle
 * ---------------------------------------------------------------------------------------- */

struct racer {
    struct trust *trust;
    X509 *good, *bad;
    int wrong;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    for (int i = 0; i < 200; i++) {
        STACK_OF(CRYPTO_BUFFER) *good = pki_stack(r->good, NULL), *bad = pki_stack(r->bad, NULL);
        r->wrong += trust_verify(r->trust, good, TRUST_CLIENT, NULL, time(NULL), NULL, NULL) != 0;
        r->wrong += trust_verify(r->trust, bad, TRUST_CLIENT, NULL, time(NULL), NULL, NULL) == 0;
        pki_stack_free(good);
        pki_stack_free(bad);
    }
    trust_unref(r->trust);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct ca *good = pki_client(root, "good"), *bad = pki_client(root, "bad");
    write_crl("race.crl", root, bad, time(NULL) - 60, 3600);
    struct trust *trust = load("root.pem", "race.crl");
    pthread_t threads[4];
    struct racer racers[4];
    for (size_t i = 0; i < 4; i++) {
        racers[i] = (struct racer){trust_ref(trust), ca_x509(good), ca_x509(bad), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    trust_unref(trust);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(racers[i].wrong, 0);
    }
    ca_free(bad);
    ca_free(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_dates_and_purpose),
        cmocka_unit_test(test_expires),
        cmocka_unit_test(test_host_names),
        cmocka_unit_test(test_odd_leaves),
        cmocka_unit_test(test_not_a_ca),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_impostors),
        cmocka_unit_test(test_weak),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_revoked),
        cmocka_unit_test(test_forged_crl),
        cmocka_unit_test(test_odd_crls),
        cmocka_unit_test(test_damaged_crl),
        cmocka_unit_test(test_newest_crl),
        cmocka_unit_test(test_any_crl_revokes),
        cmocka_unit_test(test_expired_crl_revokes),
        cmocka_unit_test(test_crl_of_sent_issuer),
        cmocka_unit_test(test_crl_without_key_usage),
        cmocka_unit_test(test_crl_further_up),
        cmocka_unit_test(test_revoked_cross_certificate),
        cmocka_unit_test(test_lockouts),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_book),
        cmocka_unit_test(test_bundle_files),
        cmocka_unit_test(test_system),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("trust", tests, make_roots, drop_roots);
}
