/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include <sys/stat.h>

#include "cert/store.h"

static struct ca *root;

static int make_root(void **state)
{
    (void)state;
    root = pki_root("Store Root");
    return 0;
}

static int drop_root(void **state)
{
    ca_free(root);
    return pki_remove(state);
}

/* Load what pki_save() wrote under `name`; the names are those of its SAN. */
static struct cert *load(const char *name, struct err *err)
{
    char cert[64], key[64];
    snprintf(cert, sizeof(cert), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    return cert_load(&(struct cert_files){.certificate = pki_path(cert), .key = pki_path(key), .label = name},
                     err);
}

/* Make, save and load a server certificate with these names. */
static struct cert *make(const char *label, enum key_kind kind, const char *const *sans, size_t sans_len)
{
    struct err err = {{0}};
    struct ca *leaf = pki_issue(root, CA_PROFILE_SERVER,
                                (struct ca_request){.sans = sans, .sans_len = sans_len, .key = kind});
    pki_save(leaf, label);
    ca_free(leaf);
    struct cert *cert = load(label, &err);
    if (cert == NULL)
        fail_msg("%s", err.text);
    return cert;
}

static struct cert *make1(const char *label, enum key_kind kind, const char *name)
{
    return make(label, kind, &name, 1);
}

static void expect_error(const struct err *err, const char *part)
{
    if (strstr(err->text, part) == NULL)
        fail_msg("expected '%s' in: %s", part, err->text);
}

/* Loading
 * -------------------------------------------------------------------------------------------------------- */

static void test_load(void **state)
{
    (void)state;
    static const char *const sans[] = {"WWW.Example.com", "*.example.org", "192.0.2.1"};
    struct cert *cert = make("load", KEY_P256, sans, 3);
    assert_int_equal(cert->kind, CERT_KEY_P256);
    assert_int_equal(cert->chain_len, 1);
    assert_int_equal(cert->names_len, 2);
    assert_string_equal(cert->names[0], "www.example.com");
    assert_string_equal(cert->names[1], "*.example.org");
    assert_string_equal(cert->label, "load");
    struct err text;
    int64_t now = time(NULL);
    assert_false(cert_warning(cert, now, &text));
    assert_true(cert_warning(cert, now + 2 * PKI_YEAR, &text));
    expect_error(&text, "certificate load expired on 20");
    assert_true(cert_warning(cert, now - PKI_YEAR, &text));
    expect_error(&text, "certificate load is not valid before 20");
    cert_unref(cert_ref(cert));
    cert_unref(cert);
    cert_unref(NULL);
}

static void test_kinds(void **state)
{
    (void)state;
    static const enum key_kind made[] = {KEY_P256,    KEY_P384,    KEY_ED25519, KEY_RSA2048,
                                         KEY_MLDSA44, KEY_MLDSA65, KEY_MLDSA87};
    static const enum cert_key_kind expected[] = {CERT_KEY_P256,   CERT_KEY_P384,    CERT_KEY_ED25519,
                                                  CERT_KEY_RSA,    CERT_KEY_MLDSA44, CERT_KEY_MLDSA65,
                                                  CERT_KEY_MLDSA87};
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        struct cert *cert = make1("kind", made[i], "a.example");
        assert_int_equal(cert->kind, expected[i]);
        cert_unref(cert);
    }
}

/* Of every kind of key: the same each time, another for another label, another for another key. */
static void test_secrets(void **state)
{
    (void)state;
    static const enum key_kind kinds[] = {KEY_P256,    KEY_P384,    KEY_ED25519, KEY_RSA2048,
                                          KEY_MLDSA44, KEY_MLDSA65, KEY_MLDSA87};
    uint8_t before[32] = {0}, one[32], again[32], other[32];
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct cert *cert = make1("secret", kinds[i], "a.example");
        cert_secret(cert, "one", one);
        cert_secret(cert, "one", again);
        cert_secret(cert, "other", other);
        assert_memory_equal(one, again, sizeof(one));
        assert_memory_not_equal(one, other, sizeof(one));
        assert_memory_not_equal(one, before, sizeof(one));
        memcpy(before, one, sizeof(one));
        cert_unref(cert);
    }
}

static void test_given_names(void **state)
{
    (void)state;
    static const char *const names[] = {"Other.example", "*.other.example"};
    static const char *const bad[] = {"", "a b", "*", "*.", "a.*.b", "a..b", ".a", "a.", "w*.example", "a/b"};
    cert_unref(make1("given", KEY_P256, "a.example"));
    struct err err;
    struct cert_files files = {
        .certificate = pki_path("given.pem"), .key = pki_path("given.key"), .names = names, .names_len = 2};
    struct cert *cert = cert_load(&files, &err);
    assert_non_null(cert);
    assert_int_equal(cert->names_len, 2);
    assert_string_equal(cert->names[0], "other.example");
    assert_string_equal(cert->label, files.certificate);
    cert_unref(cert);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        files.names = &bad[i];
        files.names_len = 1;
        if (cert_load(&files, &err) != NULL)
            fail_msg("'%s' was taken", bad[i]);
        expect_error(&err, "is not a DNS name");
    }
}

static void test_refused_files(void **state)
{
    (void)state;
    struct err err;
    cert_unref(make1("one", KEY_P256, "a.example"));
    cert_unref(make1("two", KEY_P256, "a.example"));
    assert_int_equal(chmod(pki_path("one.key"), 0604), 0);
    assert_null(load("one", &err));
    expect_error(&err, "one.key: other users may use this private key (mode 0604); do: chmod 600 /");
    assert_int_equal(chmod(pki_path("one.key"), 0640), 0);
    struct cert *cert = load("one", &err);
    assert_non_null(cert);
    cert_unref(cert);
    struct cert_files files = {.certificate = pki_path("one.pem"), .key = pki_path("two.key")};
    assert_null(cert_load(&files, &err));
    expect_error(&err, "two.key: not the key of the first certificate in /");
    files.key = pki_path("one.pem");
    assert_int_equal(chmod(files.key, 0600), 0);
    assert_null(cert_load(&files, &err));
    expect_error(&err, "no private key in PEM");
    files = (struct cert_files){.certificate = pki_path("two.key"), .key = pki_path("two.key")};
    assert_null(cert_load(&files, &err));
    expect_error(&err, "two.key: no certificate in PEM");
    files.certificate = pki_dir();
    assert_null(cert_load(&files, &err));
    expect_error(&err, "not a regular file");
    pki_write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", 56);
    files.certificate = pki_path("broken.pem");
    assert_null(cert_load(&files, &err));
    expect_error(&err, "broken.pem: a damaged PEM block");
    assert_non_null(pki_openssl("pkey -in two.key -aes128 -passout pass:x -out locked.key"));
    files = (struct cert_files){.certificate = pki_path("two.pem"), .key = pki_path("locked.key")};
    assert_null(cert_load(&files, &err));
    expect_error(&err, "is encrypted, and no passphrase was given; decrypt it with: openssl pkey -in ");
    assert_non_null(
        pki_openssl("req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.pem -subj /CN=weak"));
    assert_int_equal(chmod(pki_path("weak.key"), 0600), 0);
    assert_null(load("weak", &err));
    expect_error(&err, "RSA key of 1024 bits");
    assert_non_null(pki_openssl("ecparam -name secp256k1 -genkey -noout -out odd.key"));
    assert_non_null(pki_openssl("req -x509 -new -key odd.key -out odd.pem -subj /CN=odd"));
    assert_int_equal(chmod(pki_path("odd.key"), 0600), 0);
    assert_null(load("odd", &err));
    expect_error(&err, "odd");
}

/* What other tools write: EC PARAMETERS before a traditional key, text around the blocks, CRLF; key,
 * certificate and Diffie-Hellman parameters in one file, in any order. */
static void test_other_forms(void **state)
{
    (void)state;
    struct err err;
    assert_non_null(pki_openssl("ecparam -name prime256v1 -genkey -out form.key"));
    assert_non_null(pki_openssl("req -x509 -new -key form.key -out form.pem -text -subj /CN=form "
                                "-addext subjectAltName=DNS:form.example"));
    assert_int_equal(chmod(pki_path("form.key"), 0600), 0);
    struct cert *cert = load("form", &err);
    if (cert == NULL)
        fail_msg("%s", err.text);
    assert_string_equal(cert->names[0], "form.example");
    cert_unref(cert);
    assert_non_null(pki_openssl("version && sed -i 's/$/\\r/' form.key form.pem"));
    cert = load("form", &err);
    if (cert == NULL)
        fail_msg("%s", err.text);
    cert_unref(cert);
    assert_non_null(
        pki_openssl("dhparam -out dh.pem 512 && cat form.key form.pem dh.pem > key-first.pem && "
                    "cat form.pem form.key > key-last.pem && chmod 600 key-first.pem key-last.pem"));
    static const char *const together[] = {"key-first.pem", "key-last.pem"};
    for (size_t i = 0; i < ARRAY_LEN(together); i++) {
        cert = cert_load(
            &(struct cert_files){.certificate = pki_path(together[i]), .key = pki_path(together[i])}, &err);
        if (cert == NULL)
            fail_msg("%s", err.text);
        assert_string_equal(cert->names[0], "form.example");
        cert_unref(cert);
    }
}

static void test_chain_order(void **state)
{
    (void)state;
    struct err err;
    const char *name = "a.example";
    struct ca *middle = pki_issue(root, CA_PROFILE_INTERMEDIATE, (struct ca_request){.name = "Middle"});
    struct ca *leaf = pki_issue(middle, CA_PROFILE_SERVER, (struct ca_request){.sans = &name, .sans_len = 1});
    pki_save(leaf, "chain");
    pki_save(middle, "middle");
    pki_save(root, "root");
    struct cert *cert = load("chain", &err);
    assert_non_null(cert);
    assert_int_equal(cert->chain_len, 2);
    cert_unref(cert);
    assert_non_null(pki_openssl("x509 -in chain.pem -out leaf.pem && cd . && "
                                "cat leaf.pem root.pem > gap.pem && cat middle.pem leaf.pem > turned.pem"));
    struct cert_files files = {.certificate = pki_path("gap.pem"), .key = pki_path("chain.key")};
    assert_null(cert_load(&files, &err));
    expect_error(&err, "was not issued by the one after it ('Store Root')");
    files.certificate = pki_path("turned.pem");
    assert_null(cert_load(&files, &err));
    expect_error(&err, "certificate 1 ('Middle') was not issued");
    ca_free(leaf);
    ca_free(middle);
}

/* Choosing
 * ------------------------------------------------------------------------------------------------------- */

#define SIGALGS(...)                            \
    .sigalgs = (const uint16_t[]){__VA_ARGS__}, \
    .sigalgs_len = sizeof((const uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t)
#define CIPHERS(...)                            \
    .ciphers = (const uint16_t[]){__VA_ARGS__}, \
    .ciphers_len = sizeof((const uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t)
#define FOR_CERTS(...)                               \
    .sigalgs_cert = (const uint16_t[]){__VA_ARGS__}, \
    .sigalgs_cert_len = sizeof((const uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t)
#define ALL SIGALGS(0x0804, 0x0905, 0x0904, 0x0906, 0x0807, 0x0403, 0x0503, 0x0401, 0x0201)

enum { DEFAULT_EC, WWW_RSA, WWW_EC, WWW_ED, WWW_PQ, WILD, DEFAULT_RSA, CERTS };

static const struct choice {
    const char *sni;
    struct cert_query query;
    int expected;
} choices[] = {
    /* by name */
    {"", {.version = 0x0304, ALL}, DEFAULT_EC},
    {"unknown.example", {.version = 0x0304, ALL}, DEFAULT_EC},
    {"www.example.com", {.version = 0x0304, ALL}, WWW_EC},
    {"WWW.Example.COM", {.version = 0x0304, ALL}, WWW_EC},
    {"mail.example.com", {.version = 0x0304, ALL}, WILD},
    {"a.b.example.com", {.version = 0x0304, ALL}, DEFAULT_EC},
    {"example.com", {.version = 0x0304, ALL}, DEFAULT_EC},
    {".example.com", {.version = 0x0304, ALL}, DEFAULT_EC},
    {"*.example.com", {.version = 0x0304, ALL}, DEFAULT_EC},
    {"*", {.version = 0x0304, ALL}, DEFAULT_EC},
    {"com", {.version = 0x0304, ALL}, DEFAULT_EC},
    /* by what the client can verify */
    {"www.example.com", {.version = 0x0304, SIGALGS(0x0804, 0x0807)}, WWW_ED},
    {"www.example.com", {.version = 0x0304, SIGALGS(0x0804)}, WWW_RSA},
    {"www.example.com", {.version = 0x0304, SIGALGS(0x0805, 0x0806)}, WWW_RSA},
    {"www.example.com", {.version = 0x0304, SIGALGS(0x0804, 0x0905)}, WWW_RSA},
    /* who lists ML-DSA before the others gets it */
    {"www.example.com", {.version = 0x0304, SIGALGS(0x0905, 0x0804)}, WWW_PQ},
    {"www.example.com", {.version = 0x0304, SIGALGS(0x0a0a, 0x0905, 0x0403)}, WWW_PQ},
    {"www.example.com", {.version = 0x0304, SIGALGS(0x0904, 0x0905, 0x0403)}, WWW_PQ},
    {"www.example.com",
     {.version = 0x0304, SIGALGS(0x0904, 0x0403)},
     WWW_EC}, /* there is none of ML-DSA-44 */
    {"www.example.com", {.version = 0x0304, SIGALGS(0x0403, 0x0905)}, WWW_EC},
    {"www.example.com", {.version = 0x0303, SIGALGS(0x0905, 0x0403)}, WWW_EC},
    {"mail.example.com", {.version = 0x0304, SIGALGS(0x0905, 0x0403)}, WILD},
    {"www.example.com", {.version = 0x0304, SIGALGS(0x0905)}, WWW_PQ},
    {"www.example.com", {.version = 0x0304, SIGALGS(0x0904)}, WWW_EC}, /* nothing fits: the most preferred */
    {"www.example.com", {.version = 0x0304, SIGALGS(0x0401)}, WWW_EC}, /* PKCS #1 is not for TLS 1.3 */
    {"www.example.com", {.version = 0x0304}, WWW_EC},
    {"www.example.com", {.version = 0x0303, SIGALGS(0x0401)}, WWW_RSA},
    {"www.example.com", {.version = 0x0303, SIGALGS(0x0603)}, WWW_EC}, /* TLS 1.2 does not bind the curve */
    {"www.example.com", {.version = 0x0304, SIGALGS(0x0603)}, WWW_EC},
    {"www.example.com", {.version = 0x0303, ALL, CIPHERS(0xc02f)}, WWW_RSA},
    {"www.example.com", {.version = 0x0303, ALL, CIPHERS(0xc02f, 0xc02b)}, WWW_EC},
    {"www.example.com", {.version = 0x0304, ALL, CIPHERS(0xc02f)}, WWW_EC},
    {"www.example.com", {.version = 0x0303, SIGALGS(0x0905)}, WWW_EC}, /* ML-DSA is not for TLS 1.2 */
    /* the wildcard's one kind does not fit: no other name's certificate instead */
    {"mail.example.com", {.version = 0x0304, SIGALGS(0x0804)}, WILD},
    /* the first certificate's twin */
    {"", {.version = 0x0304, SIGALGS(0x0804)}, DEFAULT_RSA},
};

static void test_select(void **state)
{
    (void)state;
    struct err err;
    struct cert *certs[CERTS] = {
        [DEFAULT_EC] = make1("default-ec", KEY_P256, "default.example"),
        [WWW_RSA] = make1("www-rsa", KEY_RSA2048, "www.example.com"),
        [WWW_EC] = make1("www-ec", KEY_P256, "www.example.com"),
        [WWW_ED] = make1("www-ed", KEY_ED25519, "www.example.com"),
        [WWW_PQ] = make1("www-pq", KEY_MLDSA65, "www.example.com"),
        [WILD] = make1("wild", KEY_P256, "*.example.com"),
        [DEFAULT_RSA] = make1("default-rsa", KEY_RSA2048, "default.example"),
    };
    struct cert_store *store = cert_store_build(certs, CERTS, &err);
    assert_non_null(store);
    for (size_t i = 0; i < CERTS; i++)
        cert_unref(certs[i]); /* the store has its own */
    assert_int_equal(cert_store_count(store), CERTS);
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        struct cert_query query = choices[i].query;
        query.sni = (struct str){choices[i].sni, strlen(choices[i].sni)};
        const struct cert *got = cert_select(store, &query);
        const struct cert *expected = cert_store_at(store, (size_t)choices[i].expected);
        if (got != expected)
            fail_msg("choice %zu (%s): got %s, expected %s", i, choices[i].sni, got->label, expected->label);
    }
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    struct cert_query query = {.sni = {longest, sizeof(longest)}, .version = 0x0304, ALL};
    assert_string_equal(cert_select(store, &query)->label, "default-ec");
    query.sni = (struct str){"www.example.com\0.evil", 21};
    assert_string_equal(cert_select(store, &query)->label, "default-ec");
    cert_store_free(store);
    cert_store_free(NULL);
}

static const struct {
    struct cert_query query;
    int expected;
} chain_rows[] = {
    {{.version = 0x0304, SIGALGS(0x0403, 0x0804, 0x0905)}, 0},
    {{.version = 0x0304, SIGALGS(0x0403, 0x0804)}, 1},
    {{.version = 0x0303, SIGALGS(0x0403, 0x0804)}, 1},
    {{.version = 0x0304, SIGALGS(0x0403, 0x0804), FOR_CERTS(0x0905, 0x0403)}, 0},
    {{.version = 0x0304, SIGALGS(0x0403, 0x0804, 0x0905), FOR_CERTS(0x0403)}, 1},
    {{.version = 0x0304, SIGALGS(0x0403)}, 0}, /* the only one whose key it knows */
    {{.version = 0x0304, SIGALGS(0x0403, 0x0804), FOR_CERTS(0x0401)}, 0}, /* neither chain will do */
};

/* A leaf of the best kind is worth less to who cannot verify what it is signed by. */
static void test_chains(void **state)
{
    (void)state;
    struct err err;
    const char *name = "a.example";
    struct ca *middle = pki_issue(root, CA_PROFILE_INTERMEDIATE,
                                  (struct ca_request){.name = "New Middle", .key = KEY_MLDSA65});
    struct ca *leaf = pki_issue(middle, CA_PROFILE_SERVER, (struct ca_request){.sans = &name, .sans_len = 1});
    pki_save(leaf, "mixed");
    struct cert *certs[] = {load("mixed", &err), make1("plain", KEY_RSA2048, name)};
    assert_non_null(certs[0]);
    assert_int_equal(certs[0]->schemes_len, 2);
    assert_int_equal(certs[0]->schemes[0], 0x0905);
    assert_int_equal(certs[0]->schemes[1], 0x0403);
    assert_int_equal(certs[1]->schemes_len, 1);
    struct cert_store *store = cert_store_build(certs, 2, &err);
    assert_non_null(store);
    for (size_t i = 0; i < ARRAY_LEN(chain_rows); i++) {
        struct cert_query query = chain_rows[i].query;
        query.sni = (struct str){name, strlen(name)};
        if (cert_select(store, &query) != certs[chain_rows[i].expected] ||
            cert_select_exact(store, &query) != certs[chain_rows[i].expected] ||
            cert_pick(certs, 2, &query) != certs[chain_rows[i].expected])
            fail_msg("row %zu", i);
    }
    cert_store_free(store);
    cert_unref(certs[0]);
    cert_unref(certs[1]);
    ca_free(leaf);
    ca_free(middle);
}

static void test_no_names(void **state)
{
    (void)state;
    struct err err;
    struct cert *ip = make1("ip", KEY_P256, "192.0.2.1");
    assert_int_equal(ip->names_len, 0);
    assert_true(cert_warning(ip, time(NULL), &err));
    expect_error(&err, "no DNS names");
    struct cert_store *store = cert_store_build(&ip, 1, &err);
    assert_non_null(store);
    struct cert_query query = {.sni = {"x.example", 9}, .version = 0x0304, ALL};
    assert_ptr_equal(cert_select(store, &query), ip);
    assert_null(cert_store_build(&ip, 0, &err));
    expect_error(&err, "no certificates");
    cert_unref(ip);
    cert_store_free(store);
}

/* Many names: every one is found, and at the speed of a hash table. */
static void test_many_names(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct err err;
    cert_unref(make1("many", KEY_P256, "a.example"));
    char **names = calloc(MANY, sizeof(char *));
    assert_non_null(names);
    for (size_t i = 0; i < MANY; i++) {
        char name[64];
        snprintf(name, sizeof(name), "h%zu.example", i);
        names[i] = strdup(name);
    }
    struct cert_files files = {.certificate = pki_path("many.pem"),
                               .key = pki_path("many.key"),
                               .names = (const char *const *)names,
                               .names_len = MANY};
    struct cert *many = cert_load(&files, &err);
    assert_non_null(many);
    struct cert *certs[] = {make1("other", KEY_P256, "other.example"), many};
    struct cert_store *store = cert_store_build(certs, 2, &err);
    assert_non_null(store);
    for (size_t i = 0; i < MANY; i++) {
        struct cert_query query = {.sni = {names[i], strlen(names[i])}, .version = 0x0304, ALL};
        assert_ptr_equal(cert_select(store, &query), many);
        query.sni.len--; /* "h1.exampl" */
        assert_ptr_equal(cert_select(store, &query), certs[0]);
    }
    cert_unref(certs[0]);
    cert_unref(many);
    cert_store_free(store);
    for (size_t i = 0; i < MANY; i++)
        free(names[i]);
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),          cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_secrets),       cmocka_unit_test(test_given_names),
        cmocka_unit_test(test_refused_files), cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_chain_order),   cmocka_unit_test(test_select),
        cmocka_unit_test(test_chains),        cmocka_unit_test(test_no_names),
        cmocka_unit_test(test_many_names),
    };
    return cmocka_run_group_tests_name("cert_store", tests, make_root, drop_root);
}
