/* SPDX-License-Identifier: Apache-2.0 */
/* cert/ocsp.h: what a response proves, and what none proves. Responses are made by the library or by our own
 * responder. */
#include "authority.h"

#include <openssl/ocsp.h>

#include "cert/ocsp.h"

#define NOW INT64_C(1800000000)
#define HOUR INT64_C(3600)
#define NO_REASON OCSP_REVOKED_STATUS_UNSPECIFIED

static struct {
    struct ca *root, *issuer, *other, *leaf, *sibling;
    struct ca *delegate, *stranger;
} w;

static struct str der_of(const struct ca *ca)
{
    static uint8_t *space[16];
    static unsigned next;
    uint8_t **at = &space[next++ % ARRAY_LEN(space)];
    OPENSSL_free(*at);
    *at = NULL;
    int len = i2d_X509((X509 *)ca_x509(ca), at);
    assert_true(len > 0);
    return (struct str){(const char *)*at, (size_t)len};
}

/* One that may sign answers, where `usage` says so. */
static X509 *responder(const struct ca *issuer, const struct ca *key, const char *usage, int64_t from)
{
    X509 *x = pki_blank(issuer, ca_private_key(key));
    pki_subject(x, NID_commonName, MBSTRING_ASC, "responder", 9);
    assert_non_null(ASN1_TIME_set_posix(X509_getm_notBefore(x), from));
    assert_non_null(ASN1_TIME_set_posix(X509_getm_notAfter(x), from + DAY));
    if (usage != NULL)
        pki_extension(x, NID_ext_key_usage, usage);
    pki_sign(x, issuer);
    return x;
}

struct answer {
    const struct ca *about, *issuer; /* default: the leaf, its issuer */
    int status;
    int64_t this_update, next_update; /* from NOW; 0: none */
    X509 *signer;                     /* default: the issuer */
    const struct ca *key;
    bool twice; /* the status before it is `good` */
};

static ASN1_TIME *at(int64_t when)
{
    return when == 0 ? NULL : ASN1_TIME_set_posix(NULL, NOW + when);
}

static void add(OCSP_BASICRESP *basic, const struct answer *a, int status)
{
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), ca_x509(a->about != NULL ? a->about : w.leaf),
                                      ca_x509(a->issuer != NULL ? a->issuer : w.issuer));
    ASN1_TIME *from = at(a->this_update), *to = at(a->next_update),
              *revoked = at(status == V_OCSP_CERTSTATUS_REVOKED ? -HOUR : 0);
    assert_non_null(OCSP_basic_add1_status(basic, id, status, NO_REASON, revoked, from, to));
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    ASN1_TIME_free(revoked);
}

static struct buf make(const struct answer *a)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    struct buf ret = {0};
    uint8_t *der = NULL;
    if (a->twice)
        add(basic, a, V_OCSP_CERTSTATUS_GOOD);
    add(basic, a, a->status);
    assert_int_equal(OCSP_basic_sign(basic, a->signer != NULL ? a->signer : (X509 *)ca_x509(w.issuer),
                                     ca_private_key(a->key != NULL ? a->key : w.issuer), EVP_sha256(), NULL,
                                     a->signer != NULL ? 0 : OCSP_NOCERTS),
                     1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    int len = i2d_OCSP_RESPONSE(response, &der);
    assert_true(len > 0 && buf_append(&ret, der, (size_t)len));
    OPENSSL_free(der);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return ret;
}

static int read_it(const struct buf *der, struct cert_status *ret, struct err *err)
{
    return ocsp_answer((struct str){(const char *)der->data, der->len}, der_of(w.leaf), der_of(w.issuer), NOW,
                       ret, err);
}

static void test_good(void **unused)
{
    (void)unused;
    static const enum cert_verdict expected[] = {CERT_NOT_REVOKED, CERT_REVOKED, CERT_UNKNOWN};
    for (int i = 0; i < 6; i++) { /* signed by the issuer, and by a delegate */
        struct answer a = {.status = i / 2, .this_update = -HOUR, .next_update = HOUR};
        if (i % 2 == 1) {
            a.signer = responder(w.issuer, w.delegate, "OCSPSigning", NOW - HOUR);
            a.key = w.delegate;
        }
        struct buf der = make(&a);
        struct cert_status status;
        struct err err = {""};
        if (read_it(&der, &status, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(status.verdict, expected[i / 2]);
        assert_int_equal(status.this_update, NOW - HOUR);
        assert_int_equal(status.next_update, NOW + HOUR);
        X509_free(a.signer);
        buf_free(&der);
    }
}

static void test_times(void **unused)
{
    (void)unused;
    static const struct {
        int64_t from, to, next;
        bool good;
    } rows[] = {
        {-HOUR, HOUR, NOW + HOUR, true},
        {OCSP_SKEW, HOUR, NOW + HOUR, true}, /* a responder's clock may be ahead */
        {OCSP_SKEW + 1, HOUR, 0, false},
        {-HOUR, -1, 0, false},
        {-HOUR, 0, NOW - HOUR + CERT_STATUS_USUAL, true}, /* it does not say until when */
        {-CERT_STATUS_USUAL, 0, 0, false},
        {-365 * DAY, 0, 0, false},
        {HOUR / 60, HOUR / 60, 0, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf der = make(&(struct answer){.this_update = rows[i].from, .next_update = rows[i].to});
        struct cert_status status;
        struct err err;
        assert_int_equal(read_it(&der, &status, &err), rows[i].good ? 0 : -1);
        if (rows[i].good)
            assert_int_equal(status.next_update, rows[i].next);
        buf_free(&der);
    }
}

/* Of two answers about it the worse counts, in whatever order they come. */
static void test_two_answers(void **unused)
{
    (void)unused;
    struct buf der = make(&(struct answer){
        .status = V_OCSP_CERTSTATUS_REVOKED, .this_update = -HOUR, .next_update = HOUR, .twice = true});
    struct cert_status status;
    struct err err;
    assert_int_equal(read_it(&der, &status, &err), 0);
    assert_int_equal(status.verdict, CERT_REVOKED);
    buf_free(&der);
}

static void expect_refused(struct answer a, const char *words)
{
    struct cert_status status;
    struct err err = {""};
    a.this_update = -HOUR;
    a.next_update = HOUR;
    struct buf der = make(&a);
    assert_int_equal(read_it(&der, &status, &err), -1);
    expect_in(err.text, words);
    X509_free(a.signer);
    buf_free(&der);
}

static void test_who_signs(void **unused)
{
    (void)unused;
    const char *unsigned_text = "not signed by the certificate's issuer";
    expect_refused((struct answer){.about = w.sibling}, "about another certificate");
    expect_refused((struct answer){.issuer = w.other}, unsigned_text);
    expect_refused((struct answer){.key = w.other, .signer = X509_dup((X509 *)ca_x509(w.other))},
                   unsigned_text);
    /* Whom another CA has certified; who is not certified for this; whose time is over, or has not come. */
    expect_refused((struct answer){.key = w.stranger,
                                   .signer = responder(w.other, w.stranger, "OCSPSigning", NOW - HOUR)},
                   unsigned_text);
    expect_refused(
        (struct answer){.key = w.stranger, .signer = responder(w.issuer, w.stranger, NULL, NOW - HOUR)},
        unsigned_text);
    expect_refused((struct answer){.key = w.stranger,
                                   .signer = responder(w.issuer, w.stranger, "serverAuth", NOW - HOUR)},
                   unsigned_text);
    expect_refused((struct answer){.key = w.stranger,
                                   .signer = responder(w.issuer, w.stranger, "OCSPSigning", NOW - 2 * DAY)},
                   unsigned_text);
    expect_refused((struct answer){.key = w.stranger,
                                   .signer = responder(w.issuer, w.stranger, "OCSPSigning", NOW + HOUR)},
                   unsigned_text);
    /* The certificate itself, and the root above its issuer. */
    expect_refused((struct answer){.key = w.leaf, .signer = X509_dup((X509 *)ca_x509(w.leaf))},
                   unsigned_text);
    expect_refused((struct answer){.key = w.root, .signer = X509_dup((X509 *)ca_x509(w.root))},
                   unsigned_text);
}

/* Each bit turned: it is never taken for another answer than the true one. */
static void test_turned_bits(void **unused)
{
    (void)unused;
    struct buf der = make(
        &(struct answer){.status = V_OCSP_CERTSTATUS_REVOKED, .this_update = -HOUR, .next_update = HOUR});
    struct cert_status status;
    struct err err;
    for (size_t i = 0; i < der.len * 8; i++) {
        der.data[i / 8] ^= (uint8_t)(1 << i % 8);
        if (read_it(&der, &status, &err) == 0)
            assert_true(status.verdict == CERT_REVOKED && status.next_update == NOW + HOUR);
        der.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t len = 0; len < der.len; len++) {
        struct buf cut = {.data = der.data, .len = len};
        assert_int_equal(read_it(&cut, &status, &err), -1);
    }
    assert_true(buf_append(&der, "", 1));
    assert_int_equal(read_it(&der, &status, &err), -1);
    buf_free(&der);
}

static void test_other_bytes(void **unused)
{
    (void)unused;
    static const struct {
        const char *bytes;
        size_t len;
        const char *words;
    } rows[] = {
        {"", 0, "no OCSP response"},
        {"<html>not found</html>", 22, "no OCSP response"},
        {"\x30\x03\x0a\x01\x03", 5, "refuses to say"},
        {"\x30\x03\x0a\x01\x06", 5, "refuses to say"},
        {"\x30\x03\x0a\x01\x00", 5, "of a kind that is not known"},
    };
    struct cert_status status;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(ocsp_answer((struct str){rows[i].bytes, rows[i].len}, der_of(w.leaf),
                                     der_of(w.issuer), NOW, &status, &err),
                         -1);
        expect_in(err.text, rows[i].words);
        assert_int_equal(status.verdict, CERT_UNKNOWN);
    }
    struct buf huge = {0};
    while (huge.len <= OCSP_ANSWER_MAX)
        assert_true(buf_append(&huge, rows, sizeof(rows)));
    assert_int_equal(read_it(&huge, &status, &err), -1);
    expect_in(err.text, "at most");
    buf_free(&huge);
}

/* What is asked is what our own responder, and OpenSSL, understand. */
static void test_question(void **unused)
{
    (void)unused;
    struct err err = {""};
    struct buf question = {0}, url = {0}, answer = {0};
    struct cert_status status;
    int64_t now = time(NULL);
    authority_make("asked", (struct authority_plan){.name = "Asked"}, now);
    struct authority *a = authority_opened("asked", "");
    authority_server(a, "a.example.com", now, 0, "a");
    struct ca *leaf = ca_load(pki_path("a.pem"), pki_path("a.key"), &err),
              *issuer = ca_load(pki_path("asked/intermediate.pem"), pki_path("asked/intermediate.key"), &err);
    assert_true(leaf != NULL && issuer != NULL);
    assert_int_equal(ocsp_question(der_of(leaf), der_of(issuer), &question, &err), 0);
    pki_write("q.der", question.data, question.len);
    expect_in(pki_openssl("ocsp -reqin q.der -text"), "Serial Number");
    const struct str asked = {(const char *)question.data, question.len};
    assert_int_equal(authority_ocsp(a, asked, now, 3600, &answer, NULL, &err), 0);
    const struct str said = {(const char *)answer.data, answer.len};
    if (ocsp_answer(said, der_of(leaf), der_of(issuer), now, &status, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(status.verdict, CERT_NOT_REVOKED);
    assert_true(ocsp_url("http://ocsp.example.com/a", asked, &url));
    expect_in(buf_text(&url), "http://ocsp.example.com/a/M");
    assert_null(strpbrk(buf_text(&url) + strlen("http://ocsp.example.com/a/"), "+/="));
    char longest[OCSP_GET_MAX + 1];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_false(ocsp_url(longest, asked, &url));
    assert_int_equal(ocsp_question(der_of(leaf), der_of(w.issuer), &question, &err), -1);
    assert_int_equal(ocsp_question((struct str){"x", 1}, der_of(w.issuer), &question, &err), -1);
    buf_free(&question);
    buf_free(&answer);
    buf_free(&url);
    ca_free(leaf);
    ca_free(issuer);
    authority_close(a);
}

/* The other way to be told, for certificates that name no responder. */
static void test_crl(void **unused)
{
    (void)unused;
    struct {
        const struct ca *by, *revoked;
        int64_t from, lifetime;
        enum cert_verdict verdict;
        const char *words; /* NULL: it tells */
    } rows[] = {
        {w.issuer, NULL, NOW - HOUR, DAY, CERT_NOT_REVOKED, NULL},
        {w.issuer, w.sibling, NOW - HOUR, DAY, CERT_NOT_REVOKED, NULL},
        {w.issuer, w.leaf, NOW - HOUR, DAY, CERT_REVOKED, NULL},
        {w.issuer, w.leaf, NOW - 2 * DAY, DAY, CERT_UNKNOWN, "stale"},
        {w.issuer, w.leaf, NOW + DAY, DAY, CERT_UNKNOWN, "from the future"},
        {w.other, NULL, NOW - HOUR, DAY, CERT_UNKNOWN, "of another issuer"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {""};
        struct buf der = {0};
        struct cert_status status;
        struct ca_revoked entry = {.at = NOW - HOUR};
        if (rows[i].revoked != NULL)
            entry.serial = ca_serial(rows[i].revoked);
        assert_int_equal(ca_make_crl(rows[i].by, &entry, rows[i].revoked != NULL, 1, rows[i].from,
                                     rows[i].lifetime, &der, &err),
                         0);
        struct crl *crl = cert_crl_read((struct str){(const char *)der.data, der.len}, &err);
        assert_non_null(crl);
        int rc = cert_crl_status(crl, der_of(w.leaf), der_of(w.issuer), NOW, &status, &err);
        assert_int_equal(rc, rows[i].words == NULL ? 0 : -1);
        assert_int_equal(status.verdict, rows[i].verdict);
        if (rows[i].words != NULL)
            expect_in(err.text, rows[i].words);
        else
            assert_int_equal(status.next_update, rows[i].from + DAY);
        assert_int_equal(cert_crl_status(crl, der_of(w.leaf), der_of(w.root), NOW, &status, &err), -1);
        cert_crl_free(crl);
        buf_free(&der);
    }
    struct err err;
    assert_null(cert_crl_read((struct str){"<html>", 6}, &err));
}

static int set_up(void **unused)
{
    (void)unused;
    w.root = pki_root("Root");
    w.issuer = pki_issue(w.root, CA_PROFILE_INTERMEDIATE, (struct ca_request){.name = "Issuer"});
    w.other = pki_issue(w.root, CA_PROFILE_INTERMEDIATE, (struct ca_request){.name = "Other"});
    w.leaf = pki_server(w.issuer, "a.example.com");
    w.sibling = pki_server(w.issuer, "b.example.com");
    w.delegate = pki_client(w.issuer, "delegate");
    w.stranger = pki_client(w.issuer, "stranger");
    return 0;
}

static int tear_down(void **state)
{
    struct ca *const all[] = {w.root, w.issuer, w.other, w.leaf, w.sibling, w.delegate, w.stranger};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        ca_free(all[i]);
    return pki_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),        cmocka_unit_test(test_times),
        cmocka_unit_test(test_two_answers), cmocka_unit_test(test_who_signs),
        cmocka_unit_test(test_turned_bits), cmocka_unit_test(test_other_bytes),
        cmocka_unit_test(test_question),    cmocka_unit_test(test_crl),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
