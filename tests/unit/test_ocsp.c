/* SPDX-License-Identifier: Apache-2.0 */
/* OCSP answers: openssl asks and judges; what is malformed is told so. */
#include "authority.h"

#include <openssl/ocsp.h>

static int64_t now;

/* Answer the request in q.der; the response goes to r.der. */
static void answer(struct authority *a, int64_t at)
{
    struct err err = {""};
    struct buf request = {0}, response = {0};
    assert_int_equal(file_read(pki_path("q.der"), 65536, &request, NULL, &err), 0);
    if (authority_ocsp(a, (struct str){(const char *)request.data, request.len}, at, 3600, &response, NULL,
                       &err) < 0)
        fail_msg("%s", err.text);
    pki_write("r.der", response.data, response.len);
    buf_free(&request);
    buf_free(&response);
}

/* What openssl makes of our answer to what it asks; the nonce is held against the request, the rest against
 * files. */
static const char *ask(struct authority *a, const char *folder, const char *certs, const char *options)
{
    char command[600];
    snprintf(command, sizeof(command), "ocsp -issuer %s/intermediate.pem %s %s -reqout q.der", folder,
             options, certs);
    assert_non_null(pki_openssl(command));
    answer(a, now);
    snprintf(command, sizeof(command),
             "ocsp -issuer %s/intermediate.pem -CAfile %s/root.pem -reqin q.der -respin r.der", folder,
             folder);
    expect_in(pki_openssl(command), "Response verify OK");
    snprintf(command, sizeof(command),
             "ocsp -issuer %s/intermediate.pem -CAfile %s/root.pem -no_nonce %s -respin r.der", folder,
             folder, certs);
    return pki_openssl(command);
}

static void test_status(void **unused)
{
    (void)unused;
    static const enum key_kind kinds[] = {KEY_P256, KEY_P384, KEY_ED25519, KEY_RSA2048};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct err err = {""};
        char folder[16];
        snprintf(folder, sizeof(folder), "kind%zu", i);
        authority_make(folder, (struct authority_plan){.key = kinds[i]}, now);
        struct authority *a = authority_opened(folder, "");
        authority_server(a, "good.example.com", now, 0, "good");
        struct ca_serial bad = authority_server(a, "bad.example.com", now, 0, "bad"),
                         plain = authority_server(a, "plain.example.com", now, 0, "plain");
        assert_int_equal(authority_revoke(a, &bad, CA_REASON_KEY_COMPROMISE, "test", now - 86400, &err),
                         AUTHORITY_REVOKED);
        assert_int_equal(authority_revoke(a, &plain, CA_REASON_UNSPECIFIED, "test", now, &err),
                         AUTHORITY_REVOKED);
        const char *text = ask(a, folder, "-cert good.pem -cert bad.pem -cert plain.pem -serial 0x4711", "");
        expect_in(text, "Response verify OK");
        expect_in(text, "good.pem: good");
        expect_in(text, "bad.pem: revoked");
        expect_in(text, "Reason: keyCompromise");
        expect_in(text, "plain.pem: revoked");
        expect_in(text, "0x4711: unknown");
        expect_in(pki_openssl("ocsp -respin r.der -noverify -text"), "OCSP Nonce");
        expect_in(ask(a, folder, "-sha256 -cert good.pem", "-no_nonce"), "good.pem: good");
        assert_null(strstr(pki_openssl("ocsp -respin r.der -noverify -text"), "OCSP Nonce"));
        authority_close(a);
    }
}

/* Another CA's certificates are unknown, whatever their serial number. */
static void test_other_issuer(void **unused)
{
    (void)unused;
    char command[200];
    authority_make("ours", (struct authority_plan){.name = "Ours"}, now);
    authority_make("theirs", (struct authority_plan){.name = "Theirs"}, now);
    struct authority *a = authority_opened("ours", "");
    char serial[CA_SERIAL_TEXT];
    const struct ca_serial ours = authority_server(a, "a.example.com", now, 0, NULL);
    snprintf(command, sizeof(command), "-serial 0x%s", ca_serial_text(&ours, serial));
    expect_in(ask(a, "ours", command, ""), ": good");
    char query[300];
    snprintf(query, sizeof(query), "ocsp -issuer theirs/intermediate.pem %s -reqout q.der", command);
    assert_non_null(pki_openssl(query));
    answer(a, now);
    expect_in(pki_openssl("ocsp -respin r.der -noverify -text"), "Cert Status: unknown");
    authority_close(a);
}

static void test_times(void **unused)
{
    (void)unused;
    authority_make("times", (struct authority_plan){.name = "Times"}, now);
    struct authority *a = authority_opened("times", "");
    assert_non_null(pki_openssl("ocsp -issuer times/intermediate.pem -serial 1 -reqout q.der"));
    answer(a, 1800000000);
    const char *text = pki_openssl("ocsp -respin r.der -noverify -text");
    expect_in(text, "This Update: Jan 15 08:00:00 2027 GMT");
    expect_in(text, "Next Update: Jan 15 09:00:00 2027 GMT");
    expect_in(text, "Produced At: Jan 15 08:00:00 2027 GMT");
    authority_close(a);
}

/* OpenSSL 3.0 does not know ML-DSA; AWS-LC's own client does. */
static void test_mldsa(void **unused)
{
    (void)unused;
    struct err err = {""};
    authority_make("pq", (struct authority_plan){.key = KEY_MLDSA44}, now);
    struct authority *a = authority_opened("pq", "");
    authority_make("helper", (struct authority_plan){.name = "Helper"}, now);
    assert_non_null(pki_openssl("ocsp -issuer helper/intermediate.pem -serial 1 -reqout q.der"));
    answer(a, now);
    struct buf file = {0};
    assert_int_equal(file_read(pki_path("r.der"), 65536, &file, NULL, &err), 0);
    const uint8_t *p = file.data;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &p, (long)file.len);
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    STACK_OF(X509) *signers = sk_X509_new_null();
    X509_STORE *store = X509_STORE_new();
    sk_X509_push(signers, authority_intermediate(a));
    X509_STORE_add_cert(store, authority_root(a));
    assert_int_equal(OCSP_basic_verify(basic, signers, store, OCSP_TRUSTOTHER), 1);
    X509_STORE_free(store);
    sk_X509_free(signers);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    buf_free(&file);
    authority_close(a);
}

/* ---- hostile requests ---- */

static bool is_malformed(struct authority *a, const void *bytes, size_t len)
{
    static const uint8_t malformed[] = {0x30, 3, 0x0a, 1, 1};
    struct err err = {""};
    struct buf response = {0};
    if (authority_ocsp(a, (struct str){bytes, len}, now, 3600, &response, NULL, &err) < 0)
        fail_msg("%s", err.text);
    bool is = response.len == sizeof(malformed) && memcmp(response.data, malformed, sizeof(malformed)) == 0;
    buf_free(&response);
    return is;
}

#define ID                                                                                                 \
    0x30, 0x3c, 0x30, 0x3a, 0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, \
        10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 4, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,  \
        15, 16, 17, 18, 19, 20, 2, 1, 7
#define NONCE_OID 6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2

static void test_hostile(void **unused)
{
    (void)unused;
    static const uint8_t good[] = {0x30, 0x42, 0x30, 0x40, 0x30, 0x3e, ID};
    static const uint8_t version_2[] = {0x30, 0x47, 0x30, 0x45, 0xa0, 3, 2, 1, 1, 0x30, 0x3e, ID};
    static const uint8_t none[] = {0x30, 4, 0x30, 2, 0x30, 0};
    static const uint8_t behind[] = {0x30, 0x42, 0x30, 0x40, 0x30, 0x3e, ID, 0};
    static const uint8_t nonce[] = {0x30, 0x5a, 0x30,      0x58, 0x30, 0x3e, ID, 0xa2, 0x16, 0x30, 0x14,
                                    0x30, 0x12, NONCE_OID, 4,    5,    4,    3,  1,    2,    3};
    static const uint8_t empty_nonce[] = {0x30, 0x57, 0x30, 0x55, 0x30,      0x3e, ID, 0xa2, 0x13,
                                          0x30, 0x11, 0x30, 0x0f, NONCE_OID, 4,    2,  4,    0};
    static const uint8_t raw_nonce[] = {0x30, 0x58, 0x30, 0x56,      0x30, 0x3e, ID, 0xa2, 0x14, 0x30,
                                        0x12, 0x30, 0x10, NONCE_OID, 4,    3,    1,  2,    3};
    static const uint8_t critical[] = {0x30, 0x53, 0x30, 0x51, 0x30, 0x3e, ID, 0xa2, 0x0f, 0x30, 0x0d, 0x30,
                                       0x0b, 6,    2,    0x2a, 3,    1,    1,  0xff, 4,    2,    5,    0};
    static const uint8_t ignored[] = {0x30, 0x50, 0x30, 0x4e, 0x30, 0x3e, ID, 0xa2, 0x0c, 0x30, 0x0a,
                                      0x30, 8,    6,    2,    0x2a, 3,    4,  2,    5,    0};
    static const struct {
        const char *what;
        const uint8_t *bytes;
        size_t len;
        bool malformed;
    } rows[] = {
        {"good", good, sizeof(good), false},
        {"version 2", version_2, sizeof(version_2), true},
        {"no certificate", none, sizeof(none), true},
        {"a byte behind", behind, sizeof(behind), true},
        {"nonce", nonce, sizeof(nonce), false},
        {"empty nonce", empty_nonce, sizeof(empty_nonce), true},
        {"nonce that is no string", raw_nonce, sizeof(raw_nonce), true},
        {"critical extension", critical, sizeof(critical), true},
        {"extension", ignored, sizeof(ignored), false},
        {"nothing", good, 0, true},
    };
    authority_make("hostile", (struct authority_plan){.name = "Hostile"}, now);
    struct authority *a = authority_opened("hostile", "");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (is_malformed(a, rows[i].bytes, rows[i].len) != rows[i].malformed)
            fail_msg("%s", rows[i].what);
    for (size_t len = 0; len < sizeof(nonce); len++)
        assert_true(is_malformed(a, nonce, len));
    /* More certificates than one may ask for at once. */
    struct buf many = {0};
    static const uint8_t one[] = {ID};
    size_t count = AUTHORITY_OCSP_MAX, list = count * sizeof(one);
    for (int more = 0; more < 2; more++, count++, list += sizeof(one)) {
        many.len = 0;
        const uint8_t head[] = {0x30, 0x82, (uint8_t)((list + 8) >> 8), (uint8_t)(list + 8),
                                0x30, 0x82, (uint8_t)((list + 4) >> 8), (uint8_t)(list + 4),
                                0x30, 0x82, (uint8_t)(list >> 8),       (uint8_t)list};
        assert_true(buf_append(&many, head, sizeof(head)));
        for (size_t i = 0; i < count; i++)
            assert_true(buf_append(&many, one, sizeof(one)));
        assert_int_equal(is_malformed(a, many.data, many.len), more);
    }
    buf_free(&many);
    authority_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status), cmocka_unit_test(test_other_issuer), cmocka_unit_test(test_times),
        cmocka_unit_test(test_mldsa),  cmocka_unit_test(test_hostile),
    };
    now = time(NULL);
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
