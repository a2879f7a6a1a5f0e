/* SPDX-License-Identifier: Apache-2.0 */
/* Certification requests as openssl writes them, and those that nobody should. */
#include "authority.h"

#include "ca/csr.h"

#define KEY "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout csr.key "

static struct buf request_of(const char *arguments)
{
    struct err err = {""};
    struct buf file = {0};
    char command[900];
    snprintf(command, sizeof(command), "req -new %s -out csr.bin", arguments);
    if (pki_openssl(command) == NULL || file_read(pki_path("csr.bin"), 1 << 20, &file, NULL, &err) < 0)
        fail_msg("%s %s", arguments, err.text);
    return file;
}

static void test_good(void **unused)
{
    (void)unused;
    static const struct {
        const char *arguments;
        const char *name;
        const char *sans;
        bool must_staple;
    } good[] = {
        {KEY "-subj / -addext subjectAltName=DNS:WWW.Example.com,DNS:*.example.com", NULL,
         "www.example.com *.example.com ", false},
        {KEY "-subj /CN=Ada/OU=ops -addext "
             "subjectAltName=IP:192.0.2.1,IP:2001:db8::1,URI:spiffe://example.org/x,email:ada@example.com",
         "Ada", "192.0.2.1 2001:db8::1 spiffe://example.org/x ada@example.com ", false},
        {KEY "-subj /CN=x -addext tlsfeature=status_request", "x", "", true},
        {KEY "-subj /CN=x -addext tlsfeature=status_request_v2", "x", "", false},
        {KEY "-subj /CN=x -addext basicConstraints=CA:FALSE -addext keyUsage=digitalSignature", "x", "",
         false},
        {KEY "-subj /CN=x -outform DER", "x", "", false},
        {"-newkey rsa:2048 -nodes -keyout csr.key -subj /CN=x", "x", "", false},
        {"-newkey ed25519 -nodes -keyout csr.key -subj /CN=x", "x", "", false},
        {"-newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes -keyout csr.key -subj /CN=x", "x", "", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct err err = {""};
        struct csr csr;
        struct buf file = request_of(good[i].arguments), sans = {0};
        if (csr_read_any(&file, &csr, &err) < 0)
            fail_msg("%s: %s", good[i].arguments, err.text);
        assert_non_null(csr.key);
        if (good[i].name == NULL)
            assert_null(csr.name);
        else
            assert_string_equal(csr.name, good[i].name);
        for (size_t j = 0; j < csr.sans_len; j++)
            assert_true(buf_printf(&sans, "%s ", csr.sans[j]));
        assert_string_equal(buf_text(&sans), good[i].sans);
        assert_int_equal(csr.must_staple, good[i].must_staple);
        csr_free(&csr);
        buf_free(&sans);
        buf_free(&file);
    }
}

static void test_hostile(void **unused)
{
    (void)unused;
    static const struct {
        const char *arguments;
        const char *error;
    } bad[] = {
        {KEY "-subj /CN=x -addext basicConstraints=critical,CA:TRUE", "asks to be a CA"},
        {KEY "-subj /CN=x -addext basicConstraints=DER:0500", "asks to be a CA"},
        {"-newkey rsa:1024 -nodes -keyout csr.key -subj /CN=x",
         "an RSA key of 1024 bits, expected 2048 to 8192"},
        {"-newkey ec -pkeyopt ec_paramgen_curve:secp256k1 -nodes -keyout csr.key -subj /CN=x",
         "an elliptic curve other"},
        {"-newkey ed448 -nodes -keyout csr.key -subj /CN=x", "public key"},
        {KEY "-subj /CN=x/CN=y", "more than one common name"},
        {KEY "-subj '/CN=x\ny'", "control characters"},
        {KEY "-subj / -addext 'subjectAltName=DNS:a b'", "name 1 of its subjectAltName"},
        {KEY "-subj / -addext subjectAltName=DNS:a.example,DNS:-_..", "name 2 of its subjectAltName"},
        {KEY "-subj / -addext subjectAltName=DNS:*", "name 1 "},
        {KEY "-subj / -addext subjectAltName=DNS:a.*.example.com", "name 1 "},
        {KEY "-subj / -addext subjectAltName=DNS:192.0.2.1",
         "name 1 "}, /* an address that says it is a name */
        {KEY "-subj / -addext subjectAltName=DNS:http://a.example/", "name 1 "}, /* a URI that says so */
        {KEY "-subj / -addext subjectAltName=URI:www.example.com",
         "name 1 "}, /* a name that says it is a URI */
        {KEY "-subj / -addext subjectAltName=email:www.example.com", "name 1 "},
        {KEY "-subj / -addext subjectAltName=RID:1.2.3", "name 1 "},
        {KEY "-subj / -addext 'subjectAltName=otherName:1.2.3;UTF8:x'", "name 1 "},
        {KEY "-subj / -addext subjectAltName=DER:300b8209612e62002e636f6d2e", "name 1 "}, /* NUL within */
        {KEY "-subj / -addext subjectAltName=DER:30028200", "name 1 "},                   /* empty */
        {KEY "-subj / -addext subjectAltName=DER:30058703c00002", "name 1 "}, /* three bytes of address */
        {KEY "-subj / -addext subjectAltName=DER:308203", "cannot be read"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = {""};
        struct csr csr;
        struct buf file = request_of(bad[i].arguments);
        assert_int_equal(csr_read_any(&file, &csr, &err), -1);
        if (strstr(err.text, bad[i].error) == NULL)
            fail_msg("%s: %s", bad[i].arguments, err.text);
        assert_null(csr.key);
        buf_free(&file);
    }
}

/* Each byte of a good one changed: never taken, unless it is still the same request. */
static void test_changed(void **unused)
{
    (void)unused;
    struct err err = {""};
    struct csr csr;
    struct buf file = request_of(KEY "-subj /CN=x -addext subjectAltName=DNS:a.example.com -outform DER");
    for (size_t i = 0; i < file.len; i++) {
        file.data[i] ^= 0x01;
        assert_int_equal(csr_read((struct str){(const char *)file.data, file.len}, &csr, &err), -1);
        file.data[i] ^= 0x01;
        assert_int_equal(csr_read((struct str){(const char *)file.data, i}, &csr, &err), -1);
    }
    file.data[file.len - 1] ^= 1;
    assert_int_equal(csr_read((struct str){(const char *)file.data, file.len}, &csr, &err), -1);
    expect_in(err.text, "its signature is not by the key that it holds");
    file.data[file.len - 1] ^= 1;
    assert_true(buf_append(&file, "x", 1));
    assert_int_equal(csr_read((struct str){(const char *)file.data, file.len}, &csr, &err), -1);
    expect_in(err.text, "no certification request");
    buf_free(&file);
}

static void test_files(void **unused)
{
    (void)unused;
    struct err err = {""};
    struct csr csr;
    struct buf one = request_of(KEY "-subj /CN=x"), two = {0};
    assert_true(buf_append(&two, one.data, one.len) && buf_append(&two, one.data, one.len));
    assert_int_equal(csr_read_any(&two, &csr, &err), -1);
    expect_in(err.text, "more than one");
    two.len = 0;
    assert_true(buf_printf(&two, "hello"));
    assert_int_equal(csr_read_any(&two, &csr, &err), -1);
    expect_in(err.text, "expected -----BEGIN CERTIFICATE REQUEST-----");
    two.len = 0;
    assert_int_equal(csr_read_any(&two, &csr, &err), -1);
    buf_free(&one);
    buf_free(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
