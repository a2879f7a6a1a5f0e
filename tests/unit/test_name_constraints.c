/* SPDX-License-Identifier: Apache-2.0 */
/* cert/name_constraints.h: rows of constraints, names and a verdict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bytestring.h>
#include <openssl/mem.h>

#include "base/check.h"
#include "cert/name_constraints.h"

/* ---- DER out of words ---- */

/* The byte that two hexadecimal digits stand for. */
static uint8_t hex_byte(const char *digits)
{
    char text[3] = {digits[0], digits[1], '\0'}, *end;
    unsigned long value = strtoul(text, &end, 16);
    assert_ptr_equal(end, text + 2);
    return (uint8_t)value;
}

/* "cn=Text" or "o=Text", with '/' between RDNs; "bmp:" before the text gives a BMPString. */
static void put_rdns(CBB *out, const char *text)
{
    char copy[128];
    char *rest = copy;
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *part; (part = strsep(&rest, "/")) != NULL;) {
        CBB set, pair, oid, value;
        char *equals = strchr(part, '=');
        if (equals == NULL)
            continue;
        const char *type = equals + 1;
        bool bmp = strncmp(type, "bmp:", 4) == 0;
        static const uint8_t email[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01};
        const uint8_t short_oid[] = {0x55, 0x04, *part == 'c' ? 3 : 10};
        assert_true(CBB_add_asn1(out, &set, CBS_ASN1_SET) && CBB_add_asn1(&set, &pair, CBS_ASN1_SEQUENCE) &&
                    CBB_add_asn1(&pair, &oid, CBS_ASN1_OBJECT));
        if (*part == 'e')
            CBB_add_bytes(&oid, email, sizeof(email));
        else
            CBB_add_bytes(&oid, short_oid, sizeof(short_oid));
        assert_true(CBB_add_asn1(&pair, &value, bmp ? CBS_ASN1_BMPSTRING : CBS_ASN1_UTF8STRING));
        for (const char *p = bmp ? type + 4 : type; *p != '\0'; p++)
            assert_true((!bmp || CBB_add_u8(&value, 0)) && CBB_add_u8(&value, (uint8_t)*p));
        assert_true(CBB_flush(out));
    }
}

/* "dns:NAME", "email:", "uri:", "ip:HEX", "dir:RDNS", "other:BYTES". */
static void put_name(CBB *out, const char *text)
{
    static const struct {
        const char *word;
        CBS_ASN1_TAG tag;
    } kinds[] = {{"dns:", CBS_ASN1_CONTEXT_SPECIFIC | 2},
                 {"email:", CBS_ASN1_CONTEXT_SPECIFIC | 1},
                 {"uri:", CBS_ASN1_CONTEXT_SPECIFIC | 6},
                 {"ip:", CBS_ASN1_CONTEXT_SPECIFIC | 7},
                 {"dir:", CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 4},
                 {"other:", CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0}};
    size_t i = 0;
    while (i < ARRAY_LEN(kinds) && strncmp(text, kinds[i].word, strlen(kinds[i].word)) != 0)
        i++;
    assert_true(i < ARRAY_LEN(kinds));
    const char *value = text + strlen(kinds[i].word);
    CBB name, sequence;
    assert_true(CBB_add_asn1(out, &name, kinds[i].tag));
    if (strcmp(kinds[i].word, "dir:") == 0) {
        assert_true(CBB_add_asn1(&name, &sequence, CBS_ASN1_SEQUENCE));
        put_rdns(&sequence, value);
    } else if (strcmp(kinds[i].word, "ip:") == 0) {
        for (; value[0] != '\0'; value += 2)
            assert_true(CBB_add_u8(&name, hex_byte(value)));
    } else {
        assert_true(CBB_add_bytes(&name, (const uint8_t *)value, strlen(value)));
    }
    assert_true(CBB_flush(out));
}

/* Each name of a list, with a space between, through `put`. */
static void put_list(CBB *out, const char *list, void (*put)(CBB *out, const char *text))
{
    char copy[256];
    char *rest = copy;
    snprintf(copy, sizeof(copy), "%s", list);
    for (char *one; (one = strsep(&rest, " ")) != NULL;)
        if (*one != '\0')
            put(out, one);
}

static void put_subtree(CBB *out, const char *text)
{
    CBB tree;
    assert_true(CBB_add_asn1(out, &tree, CBS_ASN1_SEQUENCE));
    put_name(&tree, text);
    assert_true(CBB_flush(out));
}

struct der {
    uint8_t *p;
    size_t len;
};

static CBS cbs_of(const struct der *der)
{
    CBS cbs;
    CBS_init(&cbs, der->p, der->len);
    return cbs;
}

static struct der finish(CBB *cbb)
{
    struct der der;
    assert_true(CBB_finish(cbb, &der.p, &der.len));
    return der;
}

static struct der make_constraints(const char *permitted, const char *excluded)
{
    CBB cbb, all, list;
    assert_true(CBB_init(&cbb, 64) && CBB_add_asn1(&cbb, &all, CBS_ASN1_SEQUENCE));
    const char *lists[] = {permitted, excluded};
    for (unsigned i = 0; i < 2; i++) {
        if (lists[i] == NULL)
            continue;
        assert_true(CBB_add_asn1(&all, &list, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | i));
        put_list(&list, lists[i], put_subtree);
        assert_true(CBB_flush(&all));
    }
    return finish(&cbb);
}

static struct der make_list(const char *text, void (*put)(CBB *out, const char *text))
{
    CBB cbb;
    assert_true(CBB_init(&cbb, 64));
    if (text != NULL)
        put_list(&cbb, text, put);
    return finish(&cbb);
}

/* ---- verdicts ---- */

#define OK CONSTRAINT_MET
#define NOT CONSTRAINT_NOT_PERMITTED
#define OUT CONSTRAINT_EXCLUDED
#define ODD CONSTRAINT_ODD_NAME

static const struct {
    const char *permitted, *excluded; /* NULL: there is no such list */
    const char *san;                  /* NULL: no such extension */
    const char *subject;
    enum constraint_verdict expected;
} rows[] = {
    /* DNS */
    {"dns:example.com", NULL, "dns:example.com", NULL, OK},
    {"dns:example.com", NULL, "dns:www.example.com", NULL, OK},
    {"dns:example.com", NULL, "dns:a.b.example.com", NULL, OK},
    {"dns:example.com", NULL, "dns:EXAMPLE.Com", NULL, OK},
    {"dns:example.com", NULL, "dns:example.com.", NULL, OK},
    {"dns:example.com", NULL, "dns:xexample.com", NULL, NOT},
    {"dns:example.com", NULL, "dns:com", NULL, NOT},
    {"dns:example.com", NULL, "dns:example.com.evil", NULL, NOT},
    {"dns:example.com", NULL, "dns:good.example.com dns:bad.example", NULL, NOT},
    {"dns:example.com dns:example.net", NULL, "dns:a.example.net", NULL, OK},
    {"dns:.example.com", NULL, "dns:www.example.com", NULL, OK},
    {"dns:.example.com", NULL, "dns:example.com", NULL, NOT},
    {"dns:", NULL, "dns:anything.example", NULL, OK},
    {NULL, "dns:", "dns:anything.example", NULL, OUT},
    {NULL, "dns:example.com", "dns:www.example.com", NULL, OUT},
    {NULL, "dns:.example.com", "dns:example.com", NULL, OK},
    {NULL, "dns:example.com", "dns:example.net", NULL, OK},
    {"dns:example.com", "dns:bad.example.com", "dns:x.bad.example.com", NULL, OUT},
    {"dns:example.com", "dns:bad.example.com", "dns:good.example.com", NULL, OK},
    /* a wildcard is all that it stands for */
    {"dns:example.com", NULL, "dns:*.example.com", NULL, OK},
    {"dns:.example.com", NULL, "dns:*.example.com", NULL, OK},
    {"dns:www.example.com", NULL, "dns:*.example.com", NULL, NOT},
    {NULL, "dns:www.example.com", "dns:*.example.com", NULL, OUT},
    {NULL, "dns:a.www.example.com", "dns:*.example.com", NULL, OK},
    {NULL, "dns:.www.example.com", "dns:*.example.com", NULL, OK},
    {NULL, "dns:example.com", "dns:*.example.com", NULL, OUT},
    {NULL, "dns:.example.com", "dns:*.example.com", NULL, OUT},
    {NULL, "dns:example.com", "dns:*.com", NULL, OUT},
    {NULL, "dns:example.com", "dns:*.net", NULL, OK},
    /* what is no name */
    {"dns:example.com", NULL, "dns:a..example.com", NULL, ODD},
    {"dns:example.com", NULL, "dns:a*.example.com", NULL, ODD},
    {NULL, "dns:example.net", "dns:a*.example.com", NULL, ODD},
    {NULL, "dns:example.net", "dns:*", NULL, ODD},
    {NULL, "dns:example.net", "dns:ex\xc3\xa4mple.com", NULL, ODD},
    {"ip:7f00000affffffff", NULL, "dns:a..b", NULL, OK},
    /* addresses */
    {"ip:c0000200ffffff00", NULL, "ip:c0000207", NULL, OK},
    {"ip:c0000200ffffff00", NULL, "ip:c0000307", NULL, NOT},
    {"ip:c0000201ffffff00", NULL, "ip:c0000207", NULL, OK},
    {NULL, "ip:c0000200ffffff00", "ip:c0000207", NULL, OUT},
    {NULL, "ip:0000000000000000", "ip:c0000207", NULL, OUT},
    {"ip:c0000200ffffff00", NULL, "ip:20010db8000000000000000000000001", NULL, NOT},
    {NULL, "ip:c0000200ffffff00", "ip:20010db8000000000000000000000001", NULL, OK},
    {"ip:20010db8000000000000000000000000ffffffff000000000000000000000000", NULL,
     "ip:20010db8000000000000000000000001", NULL, OK},
    {"ip:c0000200ffffff00", NULL, "ip:c00002", NULL, ODD},
    {"ip:c0000200ffffff00", NULL, "dns:www.example.com", NULL, OK},
    {"dns:example.com", NULL, "ip:c0000207", NULL, OK},
    /* mail */
    {"email:example.com", NULL, "email:ada@example.com", NULL, OK},
    {"email:example.com", NULL, "email:ada@www.example.com", NULL, NOT},
    {"email:.example.com", NULL, "email:ada@www.example.com", NULL, OK},
    {"email:.example.com", NULL, "email:ada@example.com", NULL, NOT},
    {"email:ada@example.com", NULL, "email:ada@EXAMPLE.com", NULL, OK},
    {"email:ada@example.com", NULL, "email:Ada@example.com", NULL, NOT},
    {NULL, "email:ada@example.com", "email:ada@example.com", NULL, OUT},
    {NULL, "email:example.com", "email:example.com", NULL, ODD},
    {NULL, "email:example.com", "email:a@b@example.com", NULL, OUT},
    {"email:example.com", NULL, NULL, "cn=Ada/e=ada@example.com", OK},
    {"email:example.com", NULL, NULL, "cn=Ada/e=ada@example.net", NOT},
    {"email:example.com", NULL, "dns:x.example", "cn=Ada/e=ada@example.net", NOT},
    /* URIs */
    {"uri:example.com", NULL, "uri:https://example.com/path", NULL, OK},
    {"uri:example.com", NULL, "uri:https://u:p@example.com:8443?x", NULL, OK},
    {"uri:example.com", NULL, "uri:https://www.example.com", NULL, NOT},
    {"uri:.example.com", NULL, "uri:https://www.example.com", NULL, OK},
    {"uri:example.com", NULL, "uri:https://example.com#@evil.example", NULL, OK},
    {"uri:example.com", NULL, "uri:https://example.com@evil.example/", NULL, NOT},
    {"uri:example.com", NULL, "uri:urn:uuid:1", NULL, ODD},
    {NULL, "uri:example.com", "uri:urn:uuid:1", NULL, ODD},
    {NULL, "uri:example.com", "uri:https://192.0.2.7/", NULL, ODD},
    {NULL, "uri:example.com", "uri:spiffe://mesh.example/web", NULL, OK},
    /* distinguished names, by RDN */
    {"dir:o=Acme", NULL, NULL, "o=Acme/cn=web", OK},
    {"dir:o=Acme", NULL, NULL, "o=Acme", OK},
    {"dir:o=Acme", NULL, NULL, "o=ACME/cn=web", OK},
    {"dir:o=Acme", NULL, NULL, "o=bmp:Acme/cn=web", OK},
    {"dir:o=Acme", NULL, NULL, "o=Acme2/cn=web", NOT},
    {"dir:o=Acme", NULL, NULL, "cn=web/o=Acme", NOT},
    {"dir:o=Acme/cn=web", NULL, NULL, "o=Acme", NOT},
    {NULL, "dir:o=Acme", NULL, "o=acme/cn=web", OUT},
    {NULL, "dir:o=Acme", "dir:o=Acme/cn=x", "o=Other", OUT},
    {NULL, "dir:", NULL, "o=Acme", OUT},
    {"dir:o=Acme", NULL, "dns:a.example", NULL, OK},
    /* the common name, without a SAN only */
    {"dns:example.com", NULL, NULL, "cn=www.example.com", OK},
    {"dns:example.com", NULL, NULL, "cn=www.example.net", NOT},
    {NULL, "dns:example.com", NULL, "cn=*.example.com", OUT},
    {"dns:example.com", NULL, NULL, "cn=ada", OK},
    {"dns:example.com", NULL, "ip:c0000207", "cn=www.example.net", OK},
    {"ip:c0000200ffffff00", NULL, NULL, "cn=198.51.100.7", NOT},
    {NULL, "ip:c0000200ffffff00", NULL, "cn=192.0.2.7", OUT},
    /* kinds that nobody compares */
    {"other:x", NULL, "other:x", NULL, ODD},
    {NULL, "other:x", "other:y", NULL, ODD},
    {NULL, "other:x", "dns:a.example", NULL, OK},
    {"dns:a.example", NULL, "other:y dns:a.example", NULL, OK},
};

static enum constraint_verdict hold(size_t i, bool critical, size_t *left, char ret_name[CONSTRAINT_NAME_MAX])
{
    struct der constraints = make_constraints(rows[i].permitted, rows[i].excluded),
               san = make_list(rows[i].san, put_name), subject = make_list(rows[i].subject, put_rdns);
    struct constrained_names names = {.subject = cbs_of(&subject), .san = cbs_of(&san)};
    assert_true(name_constraints_check(cbs_of(&constraints)));
    enum constraint_verdict verdict =
        name_constraints_meet(cbs_of(&constraints), critical, &names, left, ret_name);
    OPENSSL_free(constraints.p);
    OPENSSL_free(san.p);
    OPENSSL_free(subject.p);
    return verdict;
}

static void test_rows(void **state)
{
    (void)state;
    char name[CONSTRAINT_NAME_MAX];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t left = 1000;
        enum constraint_verdict got = hold(i, true, &left, name);
        if (got != rows[i].expected)
            fail_msg("row %zu: +%s -%s: %s, %s: found '%s' (%s), expected '%s'", i,
                     rows[i].permitted ? rows[i].permitted : "", rows[i].excluded ? rows[i].excluded : "",
                     rows[i].san ? rows[i].san : "no SAN", rows[i].subject ? rows[i].subject : "no subject",
                     name_constraints_text(got), name, name_constraints_text(rows[i].expected));
        assert_true((name[0] != '\0') == (got != CONSTRAINT_MET));
        /* Nothing is decided without the comparisons that it takes. */
        size_t needed = 1000 - left, none = needed > 0 ? needed - 1 : 0;
        if (needed > 0)
            assert_int_equal(hold(i, true, &none, name), CONSTRAINT_TOO_MANY);
    }
}

/* An unknown kind counts only where the extension is critical. */
static void test_not_critical(void **state)
{
    (void)state;
    char name[CONSTRAINT_NAME_MAX];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t left = 1000;
        const char *list = rows[i].permitted != NULL ? rows[i].permitted : rows[i].excluded;
        enum constraint_verdict expected =
            strncmp(list, "other:", 6) == 0 ? CONSTRAINT_MET : rows[i].expected;
        assert_int_equal(hold(i, false, &left, name), expected);
    }
}

/* ---- constraints that are none ---- */

static void test_subtrees(void **state)
{
    (void)state;
    static const struct {
        const char *subtree;
        bool valid;
    } subtrees[] = {
        {"dns:example.com", true},
        {"dns:.example.com", true},
        {"dns:", true},
        {"dns:.", false},
        {"dns:*.example.com", false},
        {"dns:a..b", false},
        {"dns:exa_mple", true},
        {"email:ada@example.com", true},
        {"email:@example.com", false},
        {"email:ada@", false},
        {"uri:https://example.com", false},
        {"ip:c0000200ffffff00", true},
        {"ip:c0000200ff00ff00", false},
        {"ip:c0000200", false},
        {"ip:c0000200ffffff", false},
        {"ip:20010db8000000000000000000000000ffffffff000000000000000000000000", true},
        {"dir:o=Acme", true},
        {"other:x", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(subtrees); i++) {
        struct der der = make_constraints(subtrees[i].subtree, NULL);
        if (name_constraints_check(cbs_of(&der)) != subtrees[i].valid)
            fail_msg("%s", subtrees[i].subtree);
        OPENSSL_free(der.p);
    }
}

static void test_odd_der(void **state)
{
    (void)state;
    static const struct {
        const char *what, *hex;
        bool valid;
    } values[] = {
        {"nothing", "", false},
        {"an empty sequence", "3000", false},
        {"an empty list", "3002a000", true},
        {"one name", "3007a0053003820161", true},
        {"bytes behind it", "3007a005300382016100", false},
        {"bytes within", "3009a00530038201610500", false},
        {"a minimum of 0", "300aa0083006820161800100", true},
        {"a minimum of 1", "300aa0083006820161800101", false},
        {"a maximum", "300aa0083006820161810100", false},
        {"a name that is no GeneralName", "3007a0053003040161", false},
        {"excluded before permitted", "300ea1053003820161a0053003820161", false},
        {"indefinite length", "3080a00530038201610000", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        uint8_t bytes[64];
        size_t len = 0;
        for (const char *p = values[i].hex; *p != '\0'; p += 2)
            bytes[len++] = hex_byte(p);
        struct der der = {bytes, len};
        if (name_constraints_check(cbs_of(&der)) != values[i].valid)
            fail_msg("%s", values[i].what);
    }
}

/* A peer makes names and constraints as long as it likes: what is counted is the work. */
static void test_long_names(void **state)
{
    (void)state;
    enum { NAMES = 500, LONG = 8192 };
    static uint8_t many[2 * NAMES], text[LONG];
    static const uint8_t none[] = {0x30, 0x02, 0xa0, 0x00}, all[] = {0x30, 0x04, 0xa4, 0x02, 0x30, 0x00};
    char name[CONSTRAINT_NAME_MAX];
    /* Names, and nothing to compare them with. */
    for (size_t i = 0; i < NAMES; i++)
        many[2 * i] = 0x82;
    struct constrained_names names = {.san = cbs_of(&(struct der){many, sizeof(many)})};
    size_t left = NAMES, few = NAMES - 1;
    CBS empty = cbs_of(&(struct der){(uint8_t *)(uintptr_t)none, sizeof(none)});
    assert_int_equal(name_constraints_meet(empty, true, &names, &left, name), CONSTRAINT_MET);
    assert_int_equal(name_constraints_meet(empty, true, &names, &few, name), CONSTRAINT_TOO_MANY);
    /* One name of 8 KiB, and as many subtrees, each of which allows it. */
    CBB cbb, list, set, pair;
    struct der extension, rdns;
    assert_true(CBB_init(&cbb, 4096) && CBB_add_asn1(&cbb, &set, CBS_ASN1_SEQUENCE) &&
                CBB_add_asn1(&set, &list, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0));
    for (size_t i = 0; i < NAMES; i++)
        assert_true(CBB_add_bytes(&list, all, sizeof(all)));
    assert_true(CBB_finish(&cbb, &extension.p, &extension.len));
    memset(text, 'x', sizeof(text));
    assert_true(CBB_init(&cbb, 4096) && CBB_add_asn1(&cbb, &set, CBS_ASN1_SET) &&
                CBB_add_asn1(&set, &pair, CBS_ASN1_SEQUENCE) &&
                CBB_add_bytes(&pair, (const uint8_t *)"\x06\x03\x55\x04\x03", 5) &&
                CBB_add_asn1(&pair, &list, CBS_ASN1_UTF8STRING) && CBB_add_bytes(&list, text, LONG) &&
                CBB_finish(&cbb, &rdns.p, &rdns.len));
    names = (struct constrained_names){.subject = cbs_of(&rdns)};
    assert_true(name_constraints_check(cbs_of(&extension)));
    left = 50000;
    assert_int_equal(name_constraints_meet(cbs_of(&extension), true, &names, &left, name),
                     CONSTRAINT_TOO_MANY);
    assert_int_equal(left, 0);
    OPENSSL_free(extension.p);
    OPENSSL_free(rdns.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),    cmocka_unit_test(test_not_critical), cmocka_unit_test(test_subtrees),
        cmocka_unit_test(test_odd_der), cmocka_unit_test(test_long_names),
    };
    return cmocka_run_group_tests_name("name_constraints", tests, NULL, NULL);
}
