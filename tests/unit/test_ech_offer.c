/* SPDX-License-Identifier: Apache-2.0 */
/* What a client offers of Encrypted ClientHello: the files that it reads, and what comes of a refusal. */
#include "pki.h"

#include <openssl/ssl.h>

#include "base/base64.h"
#include "ech/keys.h"
#include "ech/offer.h"

#define SUITES "\0\4\0\1\0\1"

/* An ECHConfigList of one config; all but its parts is as it must be. */
struct row {
    const char *what;
    uint16_t version, kem;
    const char *suites; /* with its length */
    size_t suites_len;
    const char *name;
    const char *extensions; /* with its length */
    size_t extensions_len;
    bool good;
};

static void put16(struct buf *b, size_t n)
{
    uint8_t bytes[2] = {(uint8_t)(n >> 8), (uint8_t)n};
    assert_true(buf_append(b, bytes, 2));
}

static void make_list(const struct row *r, struct buf *ret)
{
    struct buf contents = {0};
    uint8_t public_key[32] = {9};
    uint8_t len = (uint8_t)strlen(r->name);
    assert_true(buf_append(&contents, "\7", 1));
    put16(&contents, r->kem);
    put16(&contents, sizeof(public_key));
    assert_true(buf_append(&contents, public_key, sizeof(public_key)) &&
                buf_append(&contents, r->suites, r->suites_len) && buf_append(&contents, "\0", 1) &&
                buf_append(&contents, &len, 1) && buf_append(&contents, r->name, len) &&
                buf_append(&contents, r->extensions, r->extensions_len));
    put16(ret, contents.len + 4);
    put16(ret, r->version);
    put16(ret, contents.len);
    assert_true(buf_append(ret, contents.data, contents.len));
    buf_free(&contents);
}

#define EXTENSIONS(text) .extensions = text, .extensions_len = sizeof(text) - 1
#define SUITE_LIST(text) .suites = text, .suites_len = sizeof(text) - 1

static const struct row rows[] = {
    {"as it must be", 0xfe0d, 0x20, SUITE_LIST(SUITES), "a.test", EXTENSIONS("\0\0"), true},
    {"another suite first", 0xfe0d, 0x20, SUITE_LIST("\0\10\0\2\0\1\0\1\0\3"), "a.test", EXTENSIONS("\0\0"),
     true},
    {"an extension that may be left", 0xfe0d, 0x20, SUITE_LIST(SUITES), "a.test", EXTENSIONS("\0\4\0\1\0\0"),
     true},
    {"another version", 0xfe0e, 0x20, SUITE_LIST(SUITES), "a.test", EXTENSIONS("\0\0"), false},
    {"another KEM", 0xfe0d, 0x10, SUITE_LIST(SUITES), "a.test", EXTENSIONS("\0\0"), false},
    {"another KDF", 0xfe0d, 0x20, SUITE_LIST("\0\4\0\2\0\1"), "a.test", EXTENSIONS("\0\0"), false},
    {"an AEAD that only exports", 0xfe0d, 0x20, SUITE_LIST("\0\4\0\1\xff\xff"), "a.test", EXTENSIONS("\0\0"),
     false},
    {"a mandatory extension", 0xfe0d, 0x20, SUITE_LIST(SUITES), "a.test", EXTENSIONS("\0\4\x80\1\0\0"),
     false},
    {"an address", 0xfe0d, 0x20, SUITE_LIST(SUITES), "127.0.0.1", EXTENSIONS("\0\0"), false},
    {"an address in hex", 0xfe0d, 0x20, SUITE_LIST(SUITES), "0x7f000001", EXTENSIONS("\0\0"), false},
    {"a dot at the end", 0xfe0d, 0x20, SUITE_LIST(SUITES), "a.test.", EXTENSIONS("\0\0"), false},
    {"a part without a name", 0xfe0d, 0x20, SUITE_LIST(SUITES), "a..test", EXTENSIONS("\0\0"), false},
    {"no name", 0xfe0d, 0x20, SUITE_LIST(SUITES), "", EXTENSIONS("\0\0"), false},
    {"no suite", 0xfe0d, 0x20, SUITE_LIST("\0\0"), "a.test", EXTENSIONS("\0\0"), false},
    {"half a suite", 0xfe0d, 0x20, SUITE_LIST("\0\2\0\1"), "a.test", EXTENSIONS("\0\0"), false},
    {"an extension cut off", 0xfe0d, 0x20, SUITE_LIST(SUITES), "a.test", EXTENSIONS("\0\3\0\1\0"), false},
    {"more than its length", 0xfe0d, 0x20, SUITE_LIST(SUITES), "a.test", EXTENSIONS("\0\0\0"), false},
};

static void test_hostile_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf list = {0}, got = {0};
        struct err err = {""};
        make_list(&rows[i], &list);
        bool good = ech_list_read(&list, &got, &err) == 0;
        if (good != rows[i].good)
            fail_msg("%s: %s", rows[i].what, err.text);
        assert_true(good ? got.len == list.len && memcmp(got.data, list.data, got.len) == 0
                         : got.data == NULL);
        buf_free(&got);
        for (size_t n = 0; n < list.len; n++) { /* cut anywhere it is none */
            struct buf cut = {.data = list.data, .len = n};
            assert_int_equal(ech_list_read(&cut, &got, &err), -1);
        }
        buf_free(&list);
    }
}

/* The same list in PEM, in base64 and as it is; and texts that are nearly so. */
static void test_forms(void **state)
{
    (void)state;
    struct buf list = {0}, base64 = {0}, got = {0};
    struct err err;
    make_list(&rows[0], &list);
    assert_true(base64_put(&base64, list.data, list.len));
    static const struct {
        const char *before, *behind;
        bool good;
    } forms[] = {
        {"", "", true},
        {"  ", "\r\n", true},
        {"-----BEGIN ECHCONFIG-----\n", "\n-----END ECHCONFIG-----\n", true},
        {"-----BEGIN ECHCONFIGS-----\n", "\n-----END ECHCONFIGS-----\n", false},
        {"-----BEGIN ECHCONFIG-----\n", "\n", false},
        {"a.test. 300 IN HTTPS 1 . alpn=\"h2\" ech=", "\n", true},
        {"; ech=AAAA; none\n@ HTTPS 1 . ech=\"", "\" port=8443 ; the door's\n", true},
        {"a.test. HTTPS 1 . ech=AAAA\nb.test. HTTPS 1 . ech=", "", false},
        {"a.test. HTTPS 1 . ech=\"", "", false},
        {"a.test. HTTPS 1 . ech=;", "", false},
        {"a.test. HTTPS 1 . xech=", "", false},
        {"a.test. HTTPS 1 . ech", "", false},
        {"", "=", false},
        {"", "AAAA", false},
        {"*", "", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct buf text = {0};
        assert_true(buf_printf(&text, "%s%s%s", forms[i].before, buf_text(&base64), forms[i].behind));
        bool good = ech_list_read(&text, &got, &err) == 0;
        if (good != forms[i].good)
            fail_msg("%s...%s: %s", forms[i].before, forms[i].behind, good ? "taken" : err.text);
        assert_int_equal(got.len, good ? list.len : 0);
        buf_free(&got);
        buf_free(&text);
    }
    buf_free(&list);
    buf_free(&base64);
}

static void test_settings(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        struct ech_setting is;
    } texts[] = {
        {NULL, true, {ECH_WISH_GREASE, false, NULL}},
        {"grease", true, {ECH_WISH_GREASE, false, NULL}},
        {"off", true, {ECH_WISH_OFF, false, NULL}},
        {"./off", true, {ECH_WISH_FILE, false, "./off"}},
        {"a.ech", true, {ECH_WISH_FILE, false, "a.ech"}},
        {"auto", true, {ECH_WISH_AUTO, false, NULL}},
        {"require", true, {ECH_WISH_AUTO, true, NULL}},
        {"require:a.ech", true, {ECH_WISH_FILE, true, "a.ech"}},
        {"", false, {0}},
        {"require:", false, {0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct ech_setting got;
        assert_int_equal(ech_setting_read(texts[i].text, &got), texts[i].good);
        if (!texts[i].good)
            continue;
        assert_int_equal(got.wish, texts[i].is.wish);
        assert_int_equal(got.required, texts[i].is.required);
        assert_true(got.path == NULL ? texts[i].is.path == NULL : strcmp(got.path, texts[i].is.path) == 0);
    }
}

/* A refusal leads to one connection more, by what the server told or without; a second one to none. */
static void test_refusals(void **state)
{
    (void)state;
    struct ech_offer offer = {0};
    struct ech_attempt a = {0};
    struct buf stale = {0};
    make_list(&rows[0], &offer.configs);
    make_list(&rows[3], &stale);
    assert_true(ech_attempt_begin(&a, &offer));
    assert_true(ech_attempt_encrypts(&a) && !ech_attempt_again(&a));
    ech_attempt_refused(&a, offer.configs.data, offer.configs.len);
    assert_true(ech_attempt_again(&a) && !ech_attempt_again(&a));
    assert_true(ech_attempt_encrypts(&a) && a.stage == ECH_ANEW && ech_attempt_remark(&a) != NULL);
    ech_attempt_refused(&a, offer.configs.data, offer.configs.len);
    assert_true(!ech_attempt_again(&a) && a.stage == ECH_FAILED && a.why != NULL);
    /* None that is for us is as none at all; so is what cannot be read. */
    for (size_t n = 0; n <= stale.len; n += stale.len / 2) {
        assert_true(ech_attempt_begin(&a, &offer));
        ech_attempt_refused(&a, stale.data, n);
        assert_true(ech_attempt_again(&a) && !ech_attempt_encrypts(&a) && a.stage == ECH_WITHOUT);
    }
    offer.required = true;
    assert_true(ech_attempt_begin(&a, &offer));
    ech_attempt_refused(&a, NULL, 0);
    assert_true(!ech_attempt_again(&a) && a.stage == ECH_FAILED && a.why != NULL);
    ech_attempt_end(&a);
    assert_false(ech_attempt_encrypts(&a) || ech_attempt_encrypts(NULL));
    ech_offer_free(&offer);
    buf_free(&stale);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_lists),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("ech_offer", tests, NULL, NULL);
}
