/* SPDX-License-Identifier: Apache-2.0 */
/* What a CA tells everybody: openssl judges CRL and OCSP answers; time is the test's own. */
#include "authority.h"

#include <time.h>

#include "base/base64.h"
#include "ca/ocsp_path.h"
#include "ca/publication.h"

#define CRL_LIFETIME (7 * DAY)
#define OCSP_LIFETIME (DAY / 2)

static int64_t now;

/* A CA in `folder` that another process has open too. */
struct both {
    struct authority *served, *other;
    struct publication *publication;
};

static struct both open_both(const char *folder, const char *name)
{
    const struct publication_lifetimes lifetimes = {CRL_LIFETIME, OCSP_LIFETIME};
    authority_make(folder, (struct authority_plan){.name = name}, now);
    struct both b = {.served = authority_opened(folder, ""), .other = authority_opened(folder, "")};
    b.publication = publication_new(b.served, &lifetimes);
    return b;
}

static void close_both(struct both *b)
{
    publication_free(b->publication);
    authority_close(b->served);
    authority_close(b->other);
}

static void ask(struct both *b, const char *method, const char *path, struct str body, int64_t at,
                struct web_answer *ret)
{
    struct err err = {""};
    const struct web_request r = {.method = TEXT(method),
                                  .path = TEXT(path),
                                  .type = TEXT(body.len > 0 ? "application/ocsp-request" : ""),
                                  .body = body};
    web_answer_free(ret);
    if (publication_answer(b->publication, &r, at, ret, &err) < 0)
        fail_msg("%s", err.text);
}

/* The answer's content, as a file. */
static void fetch(struct both *b, const char *path, int64_t at, const char *file, struct web_answer *ret)
{
    ask(b, "GET", path, (struct str){0}, at, ret);
    assert_int_equal(ret->status, 200);
    pki_write(file, ret->body.data, ret->body.len);
}

static bool same(const struct web_answer *a, const struct web_answer *b)
{
    return a->body.len == b->body.len && memcmp(a->body.data, b->body.data, a->body.len) == 0;
}

static void expect_field(const struct web_answer *a, const char *field)
{
    struct buf text = {0};
    assert_true(buf_append(&text, a->fields.data, a->fields.len));
    expect_in(buf_text(&text), field);
    buf_free(&text);
}

static void test_files(void **unused)
{
    static const struct {
        const char *path, *type, *command;
    } rows[] = {
        {"/ca/root.pem", "application/x-pem-file", "verify -CAfile f f"},
        {"/ca/root.der", "application/pkix-cert", "x509 -inform DER -in f -noout -checkend 0"},
        {"/ca/intermediate.pem", "application/x-pem-file", "verify -CAfile files/root.pem f"},
        {"/ca/intermediate.der", "application/pkix-cert", "x509 -inform DER -in f -noout -checkend 0"},
        {"/ca/crl.der", "application/pkix-crl",
         "crl -inform DER -in f -CAfile files/intermediate.pem -noout"},
    };
    (void)unused;
    struct both b = open_both("files", "Files");
    struct web_answer a = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fetch(&b, rows[i].path, now, "f", &a);
        assert_string_equal(a.type, rows[i].type);
        expect_field(&a, "Cache-Control: public, max-age=");
        assert_non_null(pki_openssl(rows[i].command));
    }
    fetch(&b, "/ca/", now, "f", &a);
    assert_true(buf_append(&a.body, "", 1));
    expect_in((const char *)a.body.data, "Files root CA");
    web_answer_free(&a);
    close_both(&b);
}

static void test_refused(void **unused)
{
    static const struct {
        const char *method, *path;
        unsigned status;
    } rows[] = {
        {"GET", "/ca/root.key", 404},  {"GET", "/ca/ca.db", 404},       {"GET", "/ca/../ca.db", 404},
        {"GET", "/ca/ocspx", 404},     {"POST", "/ca/crl.der", 405},    {"DELETE", "/ca/", 405},
        {"PUT", "/ca/ocsp", 405},      {"GET", "/ca/ocsp", 400},        {"GET", "/ca/ocsp/", 400},
        {"GET", "/ca/ocsp/%zz", 400},  {"GET", "/ca/ocsp/MEI=MA", 400}, {"POST", "/ca/ocsp", 415},
        {"POST", "/ca/ocsp/TUE", 405},
    };
    (void)unused;
    struct both b = open_both("refused", "Refused");
    struct web_answer a = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ask(&b, rows[i].method, rows[i].path, (struct str){0}, now, &a);
        if (a.status != rows[i].status)
            fail_msg("%s %s: %u", rows[i].method, rows[i].path, a.status);
    }
    /* What can be read but is no request is told so by OCSP itself (RFC 6960, 2.3). */
    static const uint8_t malformed[] = {0x30, 3, 0x0a, 1, 1};
    fetch(&b, "/ca/ocsp/TUE", now, "f", &a);
    assert_int_equal(a.body.len, sizeof(malformed));
    assert_memory_equal(a.body.data, malformed, sizeof(malformed));
    expect_field(&a, "no-store");
    web_answer_free(&a);
    close_both(&b);
}

/* The same CRL until half of its life is over, or another process has revoked something. */
static void test_crl(void **unused)
{
    (void)unused;
    struct err err = {""};
    struct both b = open_both("crl", "Crl");
    struct web_answer first = {0}, next = {0};
    const struct ca_serial serial = authority_server(b.other, "www.example.com", now, 0, "www");
    fetch(&b, "/ca/crl.der", now, "crl.der", &first);
    expect_field(&first, "max-age=300");
    fetch(&b, "/ca/crl.der", now + CRL_LIFETIME / 2, "crl.der", &next);
    assert_true(same(&first, &next));
    fetch(&b, "/ca/crl.der", now + CRL_LIFETIME / 2 + 1, "crl.der", &next);
    assert_false(same(&first, &next));

    assert_int_equal(authority_revoke(b.other, &serial, CA_REASON_SUPERSEDED, "test", now, &err),
                     AUTHORITY_REVOKED);
    fetch(&b, "/ca/crl.der", now, "crl.der", &next);
    assert_non_null(pki_openssl("crl -inform DER -in crl.der -out crl.pem"));
    expect_in(pki_openssl("crl -in crl.pem -noout -text"), "Superseded");
    fetch(&b, "/ca/crl.der", now + 1, "crl.der", &first);
    assert_true(same(&first, &next));
    web_answer_free(&first);
    web_answer_free(&next);
    close_both(&b);
}

/* The request in q.der by POST, and by GET as a client writes it. */
static void ask_ocsp(struct both *b, bool get, int64_t at, struct web_answer *ret)
{
    struct err err = {""};
    struct buf der = {0}, path = {0}, base64 = {0};
    assert_int_equal(file_read(pki_path("q.der"), 65536, &der, NULL, &err), 0);
    assert_true(base64_put(&base64, der.data, der.len) && buf_printf(&path, "/ca/ocsp/"));
    for (size_t i = 0; i < base64.len; i++)
        assert_true(strchr("+/=", base64.data[i]) == NULL ? buf_append(&path, &base64.data[i], 1)
                                                          : buf_printf(&path, "%%%02X", base64.data[i]));
    if (get)
        ask(b, "GET", buf_text(&path), (struct str){0}, at, ret);
    else
        ask(b, "POST", "/ca/ocsp", (struct str){(const char *)der.data, der.len}, at, ret);
    assert_int_equal(ret->status, 200);
    assert_string_equal(ret->type, "application/ocsp-response");
    pki_write("r.der", ret->body.data, ret->body.len);
    buf_free(&der);
    buf_free(&path);
    buf_free(&base64);
}

static void test_ocsp(void **unused)
{
    static const char judge[] =
        "ocsp -issuer ocsp/intermediate.pem -CAfile ocsp/root.pem -no_nonce -cert www.pem -respin r.der";
    (void)unused;
    struct err err = {""};
    struct both b = open_both("ocsp", "Ocsp");
    struct web_answer first = {0}, next = {0};
    const struct ca_serial serial = authority_server(b.other, "www.example.com", now, 0, "www");
    assert_non_null(pki_openssl("ocsp -issuer ocsp/intermediate.pem -cert www.pem -no_nonce -reqout q.der"));
    ask_ocsp(&b, true, now, &first);
    expect_in(pki_openssl(judge), "www.pem: good");
    expect_field(&first, "Cache-Control: public, max-age=300, no-transform, must-revalidate");
    expect_field(&first, "Expires: ");
    ask_ocsp(&b, false, now + OCSP_LIFETIME / 2, &next);
    assert_true(same(&first, &next)); /* kept */
    ask_ocsp(&b, false, now + OCSP_LIFETIME / 2 + 1, &next);
    assert_false(same(&first, &next));
    assert_int_equal(authority_revoke(b.other, &serial, CA_REASON_KEY_COMPROMISE, "test", now, &err),
                     AUTHORITY_REVOKED);
    ask_ocsp(&b, true, now, &next);
    expect_in(pki_openssl(judge), "www.pem: revoked");
    web_answer_free(&first);
    web_answer_free(&next);
    close_both(&b);
}

/* What is not known may be known in a moment, and a nonce is for one who asks. */
static void test_ocsp_not_kept(void **unused)
{
    (void)unused;
    struct both b = open_both("once", "Once");
    struct web_answer a = {0};
    assert_non_null(pki_openssl("ocsp -issuer once/intermediate.pem -serial 7 -no_nonce -reqout q.der"));
    ask_ocsp(&b, true, now, &a);
    expect_field(&a, "Cache-Control: no-store");
    authority_server(b.other, "www.example.com", now, 0, "www");
    assert_non_null(pki_openssl("ocsp -issuer once/intermediate.pem -cert www.pem -reqout q.der"));
    ask_ocsp(&b, false, now, &a);
    expect_field(&a, "Cache-Control: no-store");
    expect_in(pki_openssl("ocsp -respin r.der -noverify -text"), "OCSP Nonce");
    web_answer_free(&a);
    close_both(&b);
}

static void test_paths(void **unused)
{
    static const struct {
        const char *text, *bytes; /* NULL: refused */
    } rows[] = {
        {"TUU=", "ME"},     {"TUU%3D", "ME"},   {"TUU%3d", "ME"},  {"TUU", "ME"},
        {"%54UU=", "ME"},   {"Pj4+", ">>>"},    {"Pj4%2B", ">>>"}, {"Pz8/", "???"},
        {"Pz8%2f", "???"},  {"TQ==", "M"},      {"", ""},          {"Pj4-", NULL},
        {"Pz8_", NULL},     {"TUU==", NULL},    {"TUU===", NULL},  {"TUV", NULL},
        {"T", NULL},        {"TUU=TUU=", NULL}, {"=", NULL},       {"TUU%", NULL},
        {"TUU%3", NULL},    {"TUU%3G", NULL},   {"TU U", NULL},    {"TUU%00", NULL},
        {"TUU%253D", NULL}, {"%2DUU=", NULL},   {"TUU=%0A", NULL}, {"\xff\xff\xff\xff", NULL},
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf got = {0};
        bool ok = ocsp_path_read(TEXT(rows[i].text), &got);
        if (ok != (rows[i].bytes != NULL) ||
            (ok && !str_is((struct str){(const char *)got.data, got.len}, rows[i].bytes)))
            fail_msg("%s", rows[i].text);
        buf_free(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files), cmocka_unit_test(test_refused),       cmocka_unit_test(test_crl),
        cmocka_unit_test(test_ocsp),  cmocka_unit_test(test_ocsp_not_kept), cmocka_unit_test(test_paths),
    };
    now = (int64_t)time(NULL);
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
