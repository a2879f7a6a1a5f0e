/* SPDX-License-Identifier: Apache-2.0 */
/* acme/acme_server.h: requests for certificates (CSR) and orders that no certificate can come of. Each has
 * its problem (RFC 8555, 6.7): "something is wrong at this server" is said of the server only. */
#include "acme_asserts.h"

#define A65 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.net" /* bytes: 65 */
#define NAMES "a.example.com b.example.com"

/* A subjectAltName, of one type and raw bytes; it comes behind the names of the order. */
struct san {
    int type;
    const char *bytes;
    size_t len;
};

struct odd {
    const char *what;
    unsigned status;
    const char *word; /* of the problem */
    const char *cn;
    size_t cn_len;
    int cn_type; /* of ASN.1; 0: UTF8String */
    bool twice;  /* the common name */
    bool ca;
    bool no_names;
    struct san san;
    EVP_PKEY *(*key)(void);
    void (*spoil)(struct buf *der); /* what was signed */
};

static EVP_PKEY *make_key(int kind, int curve, int bits)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(kind, NULL);
    EVP_PKEY *key = NULL;
    assert_non_null(ctx);
    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    if (curve != 0)
        assert_int_equal(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, curve), 1);
    if (bits != 0)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits), 1);
    assert_int_equal(EVP_PKEY_keygen(ctx, &key), 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *short_rsa(void)
{
    return make_key(EVP_PKEY_RSA, 0, 1024);
}

static EVP_PKEY *p224(void)
{
    return make_key(EVP_PKEY_EC, NID_secp224r1, 0);
}

static EVP_PKEY *ed25519(void)
{
    return make_key(EVP_PKEY_ED25519, 0, 0);
}

static void flip_last(struct buf *der)
{
    der->data[der->len - 1] ^= 1;
}

static void add_byte(struct buf *der)
{
    assert_true(buf_append(der, "", 1));
}

static void cut_half(struct buf *der)
{
    der->len /= 2;
}

static void empty(struct buf *der)
{
    der->len = 0;
}

static void lengthen(struct buf *der)
{
    static const char zeros[64 * 1024] = {0};
    assert_true(buf_append(der, zeros, sizeof(zeros)));
}

static void nest(struct buf *der)
{
    memset(der->data, 0x30, der->len);
}

static void push_name(GENERAL_NAMES *names, int type, const void *bytes, size_t len)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *value = ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    assert_true(g != NULL && value != NULL && ASN1_STRING_set(value, bytes, (ossl_ssize_t)len) == 1);
    GENERAL_NAME_set0_value(g, type, value);
    assert_true(sk_GENERAL_NAME_push(names, g) > 0);
}

static void put_extensions(X509_REQ *req, const struct odd *o)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    if (!o->no_names) {
        push_name(names, GEN_DNS, "a.example.com", 13);
        push_name(names, GEN_DNS, "b.example.com", 13);
    }
    for (unsigned i = 0; o->san.bytes != NULL && i < (o->san.len == SIZE_MAX ? 300 : 1); i++)
        push_name(names, o->san.type, o->san.bytes,
                  o->san.len == SIZE_MAX ? strlen(o->san.bytes) : o->san.len);
    assert_int_equal(X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, 0, 0), 1);
    if (o->ca) {
        BASIC_CONSTRAINTS *basic = BASIC_CONSTRAINTS_new();
        basic->ca = 0xff;
        assert_int_equal(X509V3_add1_i2d(&extensions, NID_basic_constraints, basic, 1, 0), 1);
        BASIC_CONSTRAINTS_free(basic);
    }
    assert_int_equal(X509_REQ_add_extensions(req, extensions), 1);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    GENERAL_NAMES_free(names);
}

static char *csr_of(const struct odd *o)
{
    X509_REQ *req = X509_REQ_new();
    EVP_PKEY *key = o->key != NULL ? o->key() : played_key();
    X509_NAME *subject = X509_REQ_get_subject_name(req);
    struct buf der = {0}, text = {0};
    uint8_t *bytes = NULL;
    for (unsigned i = 0; o->cn != NULL && i <= o->twice; i++)
        assert_int_equal(X509_NAME_add_entry_by_NID(subject, NID_commonName,
                                                    o->cn_type != 0 ? o->cn_type : V_ASN1_UTF8STRING,
                                                    (const uint8_t *)o->cn, (ossl_ssize_t)o->cn_len, -1, 0),
                         1);
    put_extensions(req, o);
    assert_true(X509_REQ_set_pubkey(req, key) == 1 &&
                X509_REQ_sign(req, key, o->key == ed25519 ? NULL : EVP_sha256()) > 0);
    int len = i2d_X509_REQ(req, &bytes);
    assert_true(len > 0 && buf_append(&der, bytes, (size_t)len));
    if (o->spoil != NULL)
        o->spoil(&der);
    assert_true(base64url_put(&text, der.data, der.len));
    OPENSSL_free(bytes);
    X509_REQ_free(req);
    EVP_PKEY_free(key);
    buf_free(&der);
    return buf_text(&text);
}

#define CN(text) .cn = (text), .cn_len = sizeof(text) - 1
#define SAN(kind, text) .san = {kind, text, sizeof(text) - 1}
#define BAD 400, "badCSR"

static const struct odd odd[] = {
    {.what = "nothing odd", .status = 200, .word = ""},
    {"a common name of the order, in capitals", 200, "", CN("A.Example.COM")},
    {"an empty common name", 200, "", .cn = "", .cn_len = 0},
    {"a common name of two bytes a letter", 200, "", CN("\0a\0.\0e\0x\0a\0m\0p\0l\0e\0.\0c\0o\0m"),
     .cn_type = V_ASN1_BMPSTRING},
    {"Ed25519", 200, "", .key = ed25519},
    {"a common name of 65 bytes", BAD, CN(A65)},
    {"a common name of another's", BAD, CN("c.example.com")},
    {"a common name that is a person's", BAD, CN("Ada Lovelace")},
    {"a common name with a NUL", BAD, CN("a.example.com\0.example.net")},
    {"a common name with a line break", BAD, CN("a.example.com\n")},
    {"a common name in Latin 1", BAD, CN("\xff\xfe"), .cn_type = V_ASN1_T61STRING},
    {"two common names", BAD, CN("a.example.com"), .twice = true},
    {"no names at all", BAD, .no_names = true},
    {"one name of two", BAD, .no_names = true, CN("a.example.com")},
    {"a name more", BAD, SAN(GEN_DNS, "c.example.com")},
    {"a wildcard more", BAD, SAN(GEN_DNS, "*.example.com")},
    {"a name with a dot behind it", BAD, SAN(GEN_DNS, "a.example.com.")},
    {"an empty name", BAD, SAN(GEN_DNS, "")},
    {"a name with a NUL", BAD, SAN(GEN_DNS, "a.example.com\0")},
    {"an address more", BAD, SAN(GEN_IPADD, "\xc0\0\2\1")},
    {"an address of three bytes", BAD, SAN(GEN_IPADD, "\xc0\0\2")},
    {"an e-mail address more", BAD, SAN(GEN_EMAIL, "ada@example.com")},
    {"a URI more", BAD, SAN(GEN_URI, "cardea://login/1")},
    {"300 names more", BAD, .san = {GEN_DNS, "a.example.com", SIZE_MAX}},
    {"a CA", BAD, .ca = true},
    {"RSA of 1024 bits", BAD, .key = short_rsa},
    {"P-224", BAD, .key = p224},
    {"a signature that is not its key's", BAD, .spoil = flip_last},
    {"a byte behind it", BAD, .spoil = add_byte},
    {"half of it", BAD, .spoil = cut_half},
    {"nothing", BAD, .spoil = empty},
    {"over 64 KiB", BAD, .spoil = lengthen},
    {"sequences in sequences", BAD, .spoil = nest},
};

static void test_odd_requests(void **state)
{
    struct played w = {0};
    struct player p;
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    player_order(&p, NAMES, "");
    player_prove(&p, true);
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        struct buf payload = {0};
        struct err err = {"nothing"};
        assert_int_equal(player_order(&p, NAMES, ""), 201);
        char *finalize = strdup(played_text(&w, "finalize")), *csr = csr_of(&odd[i]);
        assert_true(buf_printf(&payload, "{\"csr\":\"%s\"}", csr));
        played_post(&p, finalize, buf_text(&payload));
        if (w.status != odd[i].status || strstr(w.text, odd[i].word) == NULL)
            fail_msg("%s: %u %s %s", odd[i].what, w.status, w.text, err.text);
        free(finalize);
        free(csr);
        buf_free(&payload);
    }
    player_free(&p);
    played_end(&w);
}

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* What the CA would not certify is refused when it is ordered. */
static void test_names_that_are_not_certified(void **state)
{
    static const struct {
        const char *profile, *names;
        unsigned status;
        const char *word;
    } rows[] = {
        {"client", "d7.example.com", 201, ""},
        {"client", "d7.example.com " A65 ".example.com", 201, ""}, /* the first is the common name */
        {"client", A65 ".example.com", 403, "rejectedIdentifier"},
        {"server", A65 ".example.com", 201, ""},
        {"client", "*.example.com", 403, "rejectedIdentifier"},
        {"client", "d7.example.com *.example.com", 403, "rejectedIdentifier"},
        {"server", "*." L63 "." L63 "." L63 "." L63, 400, "malformed"},
        {"server", "a.example.org", 403, "rejectedIdentifier"}, /* the CA's name constraints */
        {"server", "192.0.2.1", 403, "rejectedIdentifier"},
    };
    static const struct acme_rule all[] = {{0}};
    static const char *const permitted[] = {"dns:example.com"};
    struct ca_request below = {.name = "Below",
                               .now = PLAYED_START,
                               .lifetime = 365 * PLAYED_DAY,
                               .permitted = permitted,
                               .permitted_len = 1};
    struct played w = {.params = {.rules = all, .rules_len = 1}};
    struct player p;
    struct err err = {""};
    (void)state;
    played_begin(&w);
    struct ca *root = w.ca;
    w.ca = ca_issue(root, CA_PROFILE_INTERMEDIATE, &below, &err);
    assert_non_null(w.ca);
    ca_free(root);
    player_enrol(&p, &w, "{}");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char more[64];
        snprintf(more, sizeof(more), ",\"profile\":\"%s\"", rows[i].profile);
        player_order(&p, rows[i].names, more);
        if (w.status != rows[i].status || strstr(w.text, rows[i].word) == NULL)
            fail_msg("row %zu: %u %s", i, w.status, w.text);
    }
    player_free(&p);
    played_end(&w);
}

/* Between order and finalize time goes by, and the CA and its profiles change. */
static void test_finalized_too_late(void **state)
{
    struct played w = {.params = {.limits = {.pending = 10 * PLAYED_DAY}}};
    struct player p;
    char *urls[3];
    static const char *const asks[] = {
        ",\"notAfter\":\"2030-03-17T19:46:40Z\"",                        /* in two hours */
        ",\"profile\":\"short\",\"notBefore\":\"2030-03-17T18:46:40Z\"", /* it ends in six days */
        "",
    };
    static const unsigned wanted[] = {400, 400, 200};
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        assert_int_equal(player_order(&p, "a.example.com", asks[i]), 201);
        urls[i] = strdup(played_text(&w, "finalize"));
        if (i == 0)
            player_prove(&p, true);
    }
    /* A proof of a day does not last for a week. */
    w.now += 7 * PLAYED_DAY;
    player_finalize(&p, urls[2], "a.example.com");
    assert_problem(&w, 403, "unauthorized");
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        free(urls[i]);
    static const struct acme_rule trusting[] = {{.trusted = true}};
    w.params.rules = trusting;
    w.params.rules_len = ARRAY_LEN(trusting);
    w.now = PLAYED_START;
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        assert_int_equal(player_order(&p, "b.example.com", asks[i]), 201);
        urls[i] = strdup(played_text(&w, "finalize"));
    }
    w.now += 7 * PLAYED_DAY;
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        player_finalize(&p, urls[i], "b.example.com");
        if (w.status != wanted[i])
            fail_msg("row %zu: %u %s", i, w.status, w.text);
        free(urls[i]);
    }
    player_free(&p);
    played_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_requests),
        cmocka_unit_test(test_names_that_are_not_certified),
        cmocka_unit_test(test_finalized_too_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
