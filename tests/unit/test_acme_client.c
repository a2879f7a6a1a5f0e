/* SPDX-License-Identifier: Apache-2.0 */
/* The ACME client's errands at a CA that does its part, and at CAs that do not. */
#include "acme_double.h"

#include <openssl/sha.h>

#include "acme/client_certificate.h"
#include "base/base64.h"
#include "ca/csr.h"
#include "cert/cert.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct acme_client *client_of(const struct acme_client_settings *s)
{
    struct err err = {{0}};
    struct acme_client *c = acme_client_new(s, ACME_NOW, &err);
    if (c == NULL)
        fail_msg("%s", err.text);
    return c;
}

static void obtain(struct acme_double *d, const struct acme_client_settings *s)
{
    struct acme_client *c = client_of(s);
    if (!acme_double_run(d, c))
        fail_msg("%s", acme_client_failure(c)->why.text);
    struct str chain = acme_client_chain(c);
    struct buf pem = {.max = 0};
    assert_true(ca_chain_pem(d->leaf, &pem));
    assert_int_equal(chain.len, pem.len);
    assert_memory_equal(chain.p, pem.data, pem.len);
    assert_string_equal(acme_client_account(c), ACME_BASE "acct/1");
    assert_string_equal(acme_client_order(c), ACME_BASE "order/1");
    buf_free(&pem);
    acme_client_free(c);
}

/* It fails, for that fault, with these words. */
static void refuse(struct acme_double *d, const struct acme_client_settings *s, enum acme_client_fault fault,
                   const char *words)
{
    struct acme_client *c = client_of(s);
    assert_false(acme_double_run(d, c));
    const struct acme_client_failure *f = acme_client_failure(c);
    if (strstr(f->why.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", f->why.text, words);
    assert_int_equal(f->fault, fault);
    for (const char *p = f->why.text; *p != '\0'; p++)
        assert_true((unsigned char)*p >= ' ');
    acme_client_free(c);
}

/* ---- how it should be ---- */

/* Read as our own CA reads it. */
static void test_what_is_to_be_certified(void **state)
{
    struct acme_double d;
    struct err err = {{0}};
    (void)state;
    acme_double_init(&d, NAMES("www.example.com", "192.0.2.1"));
    struct acme_client_settings s = acme_settings(&d);
    for (int must_staple = 0; must_staple < 2; must_staple++) {
        struct buf der = {.max = 0};
        struct csr csr;
        assert_int_equal(acme_client_csr(s.key, s.names, s.names_len, must_staple, &der, &err), 0);
        if (csr_read((struct str){(const char *)der.data, der.len}, &csr, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(csr.sans_len, 2);
        assert_string_equal(csr.sans[0], "www.example.com");
        assert_string_equal(csr.sans[1], "192.0.2.1");
        assert_int_equal(csr.must_staple, must_staple);
        csr_free(&csr);
        buf_free(&der);
    }
    acme_double_free(&d);
}

static void test_a_certificate_is_obtained(void **state)
{
    struct acme_double d;
    (void)state;
    acme_double_init(&d, NAMES("www.example.com"));
    d.polls = 3;
    struct acme_client_settings s = acme_settings(&d);
    obtain(&d, &s);
    assert_int_equal(d.presented, 1);
    assert_int_equal(d.accounts, 1);
    assert_true(d.now > ACME_NOW && d.now < ACME_NOW + 60);
    acme_double_free(&d);
}

static void test_names_of_all_kinds_are_proven(void **state)
{
    struct acme_double d;
    (void)state;
    acme_double_init(&d, NAMES("www.example.com", "*.example.com", "192.0.2.7", "2001:db8::7"));
    struct acme_client_settings s = acme_settings(&d);
    obtain(&d, &s);
    assert_int_equal(d.presented, 4);
    assert_int_equal(d.withdrawn, 4);
    acme_double_free(&d);
}

static void test_what_is_proven_already_is_not_again(void **state)
{
    struct acme_double d;
    (void)state;
    acme_double_init(&d, NAMES("a.example.com", "b.example.com"));
    d.is_valid_already = true;
    struct acme_client_settings s = acme_settings(&d);
    obtain(&d, &s);
    assert_int_equal(d.presented, 0);
    acme_double_free(&d);
}

static void test_an_account_that_is_known_is_used(void **state)
{
    struct acme_double d;
    (void)state;
    acme_double_init(&d, NAMES("www.example.com"));
    struct acme_client_settings s = acme_settings(&d);
    s.account = ACME_BASE "acct/1";
    obtain(&d, &s);
    assert_int_equal(d.accounts, 0);
    /* The CA has lost it. */
    d = (struct acme_double){
        .now = ACME_NOW,
        .root = d.root,
        .intermediate = d.intermediate,
        .leaf = d.leaf,
        .account_key = d.account_key,
        .names = {"www.example.com"},
        .odd = {"/order", 0, 1, 400, ACME_PROBLEM("accountDoesNotExist", "who?"), NULL, NULL}};
    obtain(&d, &s);
    assert_int_equal(d.accounts, 1);
    acme_double_free(&d);
}

static void test_external_account_binding(void **state)
{
    struct acme_double d;
    static const uint8_t secret[32] = "0123456789abcdef0123456789abcde";
    (void)state;
    acme_double_init(&d, NAMES("www.example.com"));
    d.wants_eab = true;
    struct acme_client_settings s = acme_settings(&d);
    refuse(&d, &s, ACME_USELESS, "external account binding");
    s.eab_kid = "kid-1";
    s.eab_key = (struct str){(const char *)secret, sizeof(secret)};
    s.email = "admin@example.com";
    d.odd = (struct acme_oddity){.path = "/order", .status = 403, .body = "{}"};
    struct acme_client *c = client_of(&s);
    assert_false(acme_double_run(&d, c));
    acme_client_free(c);
    d.odd.path = "/account"; /* to see what was sent */
    d.odd_seen = 0;
    c = client_of(&s);
    assert_false(acme_double_run(&d, c));
    acme_client_free(c);
    json_t *payload = json_loads(d.last_payload, 0, NULL);
    struct jws j;
    struct err err;
    assert_non_null(strstr(d.last_payload, "\"contact\":[\"mailto:admin@example.com\"]"));
    assert_int_equal(jws_read(json_incref(json_object_get(payload, "externalAccountBinding")), &j, &err),
                     JWS_OK);
    assert_string_equal(j.kid, "kid-1");
    assert_true(jws_verify_mac(&j, secret, sizeof(secret)));
    jws_free(&j);
    json_decref(payload);
    acme_double_free(&d);
}

static void test_an_order_goes_on_after_a_restart(void **state)
{
    struct acme_double d;
    (void)state;
    acme_double_init(&d, NAMES("www.example.com"));
    struct acme_client_settings s = acme_settings(&d);
    s.order = ACME_BASE "order/1";
    d.finalized = 1; /* and the CA has gone on with it */
    obtain(&d, &s);
    assert_int_equal(d.orders, 0);
    assert_int_equal(d.finalized, 1);
    /* It is not there any more, or of no use. */
    static const struct acme_oddity gone[] = {
        {"/order/1", 0, 1, 404, ACME_PROBLEM("malformed", "no such order"), NULL, NULL},
        {"/order/1", 0, 1, 200,
         "{\"status\":\"invalid\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"www.example.com\"}]}", NULL,
         NULL},
        {"/order/1", 0, 1, 200,
         "{\"status\":\"ready\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"old.example.com\"}]}", NULL,
         NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
        d.odd = gone[i];
        d.odd_seen = d.orders = d.responded = d.finalized = d.polls = 0;
        obtain(&d, &s);
        assert_int_equal(d.orders, 1);
    }
    acme_double_free(&d);
}

static void test_profile_and_replaces_are_sent(void **state)
{
    struct acme_double d;
    (void)state;
    acme_double_init(&d, NAMES("www.example.com"));
    d.meta = ",\"profiles\":{\"classic\":\"as ever\",\"short\\u001b\":\"x\"}";
    struct acme_client_settings s = acme_settings(&d);
    s.profile = "tlsserver";
    refuse(&d, &s, ACME_REFUSED, "no profile 'tlsserver'; it offers: classic, short?");
    s.profile = "classic";
    s.replaces = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
    d.odd = (struct acme_oddity){"/order", 0, 1, 409, ACME_PROBLEM("alreadyReplaced", "it was"), NULL, NULL};
    obtain(&d, &s); /* without it then */
    d.odd = (struct acme_oddity){"/order", 0, 9, 409, ACME_PROBLEM("alreadyReplaced", "it was"), NULL, NULL};
    d.odd_seen = 0;
    s.replaces = NULL;
    refuse(&d, &s, ACME_REFUSED, "alreadyReplaced: it was");
    assert_non_null(strstr(d.last_payload, "\"profile\":\"classic\""));
    acme_double_free(&d);
}

static void test_refused_nonces_are_replaced(void **state)
{
    struct acme_double d;
    (void)state;
    acme_double_init(&d, NAMES("www.example.com"));
    d.refuses_nonces = true;
    struct acme_client_settings s = acme_settings(&d);
    obtain(&d, &s);
    d.odd = (struct acme_oddity){"/order", 0, 1000, 400, ACME_PROBLEM("badNonce", "never"), NULL, NULL};
    refuse(&d, &s, ACME_REFUSED, "badNonce"); /* but not for ever */
    acme_double_free(&d);
}

/* ---- other errands ---- */

static struct str der_of(const struct ca *ca, uint8_t **der)
{
    *der = NULL;
    int len = i2d_X509(ca_x509(ca), der);
    assert_true(len > 0);
    return (struct str){(char *)*der, (size_t)len};
}

static void test_renewal_info(void **state)
{
    struct acme_double d;
    uint8_t *der;
    (void)state;
    acme_double_init(&d, NAMES("www.example.com"));
    struct acme_client_settings s = {
        .goal = ACME_RENEWAL_INFO, .directory = ACME_BASE "dir", .certificate = der_of(d.leaf, &der)};
    struct acme_client *c = client_of(&s);
    assert_true(acme_double_run(&d, c));
    assert_int_equal(acme_client_window(c)->start, INT64_C(1802592000));
    assert_int_equal(acme_client_window(c)->end, INT64_C(1802678400));
    assert_string_equal(acme_client_window(c)->url, "https://ca.example.com/why");
    assert_int_equal(d.requests, 2);
    acme_client_free(c);
    /* A window that ends before it begins. */
    struct buf url = {.max = 0};
    buf_printf(&url, "ari/");
    struct err err;
    assert_int_equal(acme_client_cert_id(s.certificate, &url, &err), 0);
    d.odd = (struct acme_oddity){
        .path = buf_text(&url),
        .status = 200,
        .times = 10,
        .body =
            "{\"suggestedWindow\":{\"start\":\"2027-02-14T08:00:00Z\",\"end\":\"2027-02-13T08:00:00Z\"}}"};
    refuse(&d, &s, ACME_USELESS, "suggestedWindow");
    buf_free(&url);
    OPENSSL_free(der);
    acme_double_free(&d);
}

/* The example of RFC 9773, 4.1 has this AKI and serial. */
static void test_cert_id_is_that_of_the_rfc(void **state)
{
    struct err err;
    struct buf out = {.max = 0}, file = {.max = 0};
    static const char pem[] = "-----BEGIN CERTIFICATE-----\n"
                              "MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\n"
                              "cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\n"
                              "BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\n"
                              "7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\n"
                              "qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\n"
                              "yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\n"
                              "+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\n"
                              "-----END CERTIFICATE-----\n";
    (void)state;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    uint8_t *der = NULL;
    int len = x != NULL ? i2d_X509(x, &der) : -1;
    if (len > 0) {
        assert_int_equal(acme_client_cert_id((struct str){(char *)der, (size_t)len}, &out, &err), 0);
        assert_string_equal(buf_text(&out), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
    } else {
        fail_msg("the example cannot be read");
    }
    assert_int_equal(acme_client_cert_id((struct str){"no", 2}, &out, &err), -1);
    OPENSSL_free(der);
    X509_free(x);
    BIO_free(bio);
    buf_free(&out);
    buf_free(&file);
}

static void test_a_certificate_is_revoked(void **state)
{
    struct acme_double d;
    uint8_t *der;
    (void)state;
    acme_double_init(&d, NAMES("www.example.com"));
    struct acme_client_settings s = acme_settings(&d);
    s.goal = ACME_REVOKE;
    s.certificate = der_of(d.leaf, &der);
    s.reason = 4;
    struct acme_client *c = client_of(&s);
    assert_true(acme_double_run(&d, c));
    assert_non_null(strstr(d.last_payload, "\"reason\":4"));
    acme_client_free(c);
    d.odd = (struct acme_oddity){
        .path = "/revoke", .status = 400, .body = ACME_PROBLEM("alreadyRevoked", "it is")};
    c = client_of(&s);
    assert_true(acme_double_run(&d, c)); /* which is what was wanted */
    acme_client_free(c);
    d.odd.body = ACME_PROBLEM("unauthorized", "not yours");
    d.odd_seen = 0;
    refuse(&d, &s, ACME_REFUSED, "unauthorized: not yours");
    /* By the certificate's own key no account is needed, nor made. */
    d.odd = (struct acme_oddity){0};
    s.account_key = NULL;
    s.account = NULL;
    c = client_of(&s);
    assert_true(acme_double_run(&d, c));
    assert_null(acme_client_account(c));
    acme_client_free(c);
    OPENSSL_free(der);
    acme_double_free(&d);
}

static void test_the_accounts_key_is_changed(void **state)
{
    struct acme_double d;
    struct jws inner;
    struct err err;
    (void)state;
    acme_double_init(&d, NAMES("www.example.com"));
    struct acme_client_settings s = acme_settings(&d);
    s.goal = ACME_CHANGE_KEY;
    s.new_key = key_make(KEY_P384);
    struct acme_client *c = client_of(&s);
    assert_true(acme_double_run(&d, c));
    assert_int_equal(jws_load((struct str){d.last_payload, strlen(d.last_payload)}, &inner, &err), JWS_OK);
    assert_true(jws_verify(&inner, s.new_key));
    assert_null(inner.nonce);
    assert_string_equal(inner.url, ACME_BASE "key");
    assert_non_null(strstr((const char *)buf_text(&inner.payload), "\"account\":\"" ACME_BASE "acct/1\""));
    jws_free(&inner);
    acme_client_free(c);
    EVP_PKEY_free(s.new_key);
    acme_double_free(&d);
}

/* ---- how it should not be ---- */

static void test_settings_are_looked_at(void **state)
{
    struct acme_double d;
    struct err err;
    static const struct {
        const char *name, *words;
    } rows[] = {
        {"*.example.com", "by dns-01 only"},
        {"exa mple.com", "is no name"},
        {"*.*.example.com", "is no name"},
        {"www.example.com.", "is no name"},
        {"", "is no name"},
    };
    (void)state;
    acme_double_init(&d, NAMES("www.example.com"));
    struct acme_client_settings s = acme_settings(&d);
    s.proofs_len = 2;
    s.names_len = 1;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        s.names = &rows[i].name;
        assert_null(acme_client_new(&s, ACME_NOW, &err));
        if (strstr(err.text, rows[i].words) == NULL)
            fail_msg("%s", err.text);
    }
    s.names = NAMES("a.example.com", "a.example.com");
    s.names_len = 2;
    assert_null(acme_client_new(&s, ACME_NOW, &err));
    s.names_len = 0;
    assert_null(acme_client_new(&s, ACME_NOW, &err));
    s.names = NAMES("192.0.2.1");
    s.names_len = s.proofs_len = 1;
    s.proofs[0] = ACME_BY_DNS;
    assert_null(acme_client_new(&s, ACME_NOW, &err));
    assert_non_null(strstr(err.text, "does not prove an address"));
    acme_double_free(&d);
}

#define NAME_OF(n) "{\"type\":\"dns\",\"value\":\"" n "\"}"
#define ORDER(status, more) \
    "{\"status\":\"" status "\",\"identifiers\":[" NAME_OF("www.example.com") "]" more "}"
#define AUTHZ(status, more) "{\"status\":\"" status "\",\"identifier\":" NAME_OF("www.example.com") more "}"

/* Each answer at one place, and what is said of it. */
static void test_odd_answers(void **state)
{
    static const struct {
        struct acme_oddity odd;
        enum acme_client_fault fault;
        const char *words;
    } rows[] = {
        {{"/dir", 0, 1, 200, "[]", NULL, NULL}, ACME_USELESS, "no JSON object"},
        {{"/dir", 0, 1, 200, "{\"a\":1,\"a\":2}", NULL, NULL}, ACME_USELESS, "no JSON object"},
        {{"/dir", 0, 1, 200, "{}", NULL, NULL}, ACME_USELESS, "newNonce"},
        {{"/dir", 0, 1, 200, "{\"newNonce\":\"http://ca.example.com/n\"}", NULL, NULL},
         ACME_USELESS,
         "newNonce"},
        {{"/dir", 0, 1, 200, "{\"newNonce\":\"https://ca.example.com/\\r\\nHost: x\"}", NULL, NULL},
         ACME_USELESS,
         "newNonce"},
        {{"/dir", 0, 1, 404, "<html>", NULL, NULL},
         ACME_REFUSED,
         "asked for its directory, the CA answered with 404: it gives no reason"},
        {{"/dir", 0, 99, 0, NULL, NULL, NULL}, ACME_UNREACHABLE, "it is out"},
        {{"/dir", 0, 99, 503, "", NULL, NULL}, ACME_UNREACHABLE, "answered with 503"},
        {{"/account", 0, 1, 201, "{}", NULL, NULL}, ACME_USELESS, "Location"},
        {{"/account", 0, 1, 201, "{}", NULL, "ftp://ca.example.com/1"}, ACME_USELESS, "Location"},
        {{"/account", 0, 1, 403, ACME_PROBLEM("unauthorized", "deactivated"), NULL, NULL},
         ACME_REFUSED,
         "the account"},
        {{"/order", 0, 1, 429, ACME_PROBLEM("rateLimited", "too many \\u001b[31m"), "3600", NULL},
         ACME_RATE_LIMITED,
         "rateLimited: too many ?[31m"},
        {{"/order", 0, 1, 201, ORDER("pending", ""), NULL, ACME_BASE "order/1"},
         ACME_USELESS,
         "no authorizations"},
        {{"/order", 0, 1, 201, ORDER("pending", ",\"authorizations\":[1]"), NULL, ACME_BASE "order/1"},
         ACME_USELESS,
         "no authorizations"},
        {{"/order", 0, 1, 201, ORDER("pending", ",\"authorizations\":[\"http://a/\"]"), NULL,
          ACME_BASE "order/1"},
         ACME_USELESS,
         "no authorizations"},
        {{"/order", 0, 1, 201, ORDER("ready", ""), NULL, ACME_BASE "order/1"}, ACME_USELESS, "no finalize"},
        {{"/order", 0, 1, 201, ORDER("valid", ""), NULL, ACME_BASE "order/1"},
         ACME_USELESS,
         "no certificate"},
        {{"/order", 0, 1, 201, ORDER("strange\\u0007", ""), NULL, ACME_BASE "order/1"},
         ACME_USELESS,
         "is 'strange?'"},
        {{"/order", 0, 1, 201, "{\"status\":\"pending\",\"identifiers\":[" NAME_OF("other.example.com") "]}",
          NULL, ACME_BASE "order/1"},
         ACME_USELESS,
         "other names"},
        {{"/order", 0, 1, 201, "{\"status\":\"pending\"}", NULL, ACME_BASE "order/1"},
         ACME_USELESS,
         "other names"},
        {{"/authz0", 0, 1, 200, AUTHZ("pending", ""), NULL, NULL},
         ACME_REFUSED,
         "cannot be proven in a way that is configured; the CA offers: none"},
        {{"/authz0", 0, 1, 200,
          AUTHZ("pending", ",\"challenges\":[{\"type\":\"http-01\",\"token\":\"../../etc\",\"url\":\"https://"
                           "a.b/\"},{\"type\":7},3]"),
          NULL, NULL},
         ACME_REFUSED,
         "the CA offers: http-01, ?, ?"},
        {{"/authz0", 0, 1, 200, AUTHZ("revoked", ""), NULL, NULL}, ACME_REFUSED, "is 'revoked'"},
        {{"/authz0", 0, 1, 200, "{\"status\":\"pending\",\"identifier\":" NAME_OF("a.example.com") "}", NULL,
          NULL},
         ACME_USELESS,
         "name that was not ordered"},
        {{"/authz0", 1, 1, 200,
          AUTHZ("invalid",
                ",\"challenges\":[{\"error\":" ACME_PROBLEM("connection", "no route to 192.0.2.1") "}]"),
          NULL, NULL},
         ACME_REFUSED,
         "did not believe that www.example.com is ours: connection: no route to 192.0.2.1"},
        {{"/authz0", 1, 9999, 200, AUTHZ("pending", ""), NULL, NULL}, ACME_UNREACHABLE, "within the time"},
        {{"/authz0", 1, 9999, 200, AUTHZ("pending", ""), "86400", NULL}, ACME_UNREACHABLE, "within the time"},
        {{"/chall0", 0, 1, 400, ACME_PROBLEM("malformed", "no"), NULL, NULL},
         ACME_REFUSED,
         "a challenge of www.example.com, the CA answered with 400: malformed: no"},
        {{"/finalize", 0, 1, 403,
          "{\"type\":\"urn:ietf:params:acme:error:compound\",\"detail\":\"d\",\"subproblems\":[{\"type\":"
          "\"urn:ietf:params:acme:error:caa\",\"detail\":\"CAA\",\"identifier\":" NAME_OF(
              "www.example.com") "}]}",
          NULL, NULL},
         ACME_REFUSED,
         "compound: d; www.example.com: caa: CAA"},
        {{"/order/1", 1, 1, 200, ORDER("invalid", ",\"error\":" ACME_PROBLEM("badCSR", "weak")), NULL, NULL},
         ACME_REFUSED,
         "refused the order: badCSR: weak"},
        {{"/cert", 0, 1, 200, "not PEM", NULL, NULL}, ACME_USELESS, "no certificate in it"},
        {{"/cert", 0, 1, 200, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", NULL, NULL},
         ACME_USELESS,
         "cannot be read"},
        {{"/cert", 0, 1, 200, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", NULL, NULL},
         ACME_USELESS,
         "no certificate"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct acme_double d;
        acme_double_init(&d, NAMES("www.example.com"));
        d.odd = rows[i].odd;
        struct acme_client_settings s = acme_settings(&d);
        refuse(&d, &s, rows[i].fault, rows[i].words);
        acme_double_free(&d);
    }
}

static void test_a_short_outage_is_waited_for(void **state)
{
    static const char *const paths[] = {"/dir",    "/nonce",   "/account",  "/order", "/authz0",
                                        "/chall0", "/order/1", "/finalize", "/cert"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        for (unsigned status = 0; status <= 503; status += 503) {
            struct acme_double d;
            acme_double_init(&d, NAMES("www.example.com"));
            d.odd = (struct acme_oddity){.path = paths[i], .times = 3, .status = status};
            struct acme_client_settings s = acme_settings(&d);
            obtain(&d, &s);
            /* An error may bring the nonce that was asked for. */
            assert_true(d.now >= ACME_NOW + 21 || i == 1);
            acme_double_free(&d);
        }
}

static void test_retry_after_is_honoured(void **state)
{
    struct acme_double d;
    (void)state;
    acme_double_init(&d, NAMES("www.example.com"));
    struct acme_client_settings s = acme_settings(&d);
    d.odd = (struct acme_oddity){"/authz0", 1, 1, 200, AUTHZ("pending", ""), "120", NULL};
    obtain(&d, &s);
    assert_true(d.now >= ACME_NOW + 120);
    d.odd = (struct acme_oddity){
        "/order", 0, 1, 429, ACME_PROBLEM("rateLimited", "x"), "Fri, 15 Jan 2027 09:00:00 GMT", NULL};
    d.odd_seen = 0;
    struct acme_client *c = acme_client_new(&s, d.now = ACME_NOW, NULL);
    assert_false(acme_double_run(&d, c));
    assert_int_equal(acme_client_failure(c)->retry_after, INT64_C(1800003600) - ACME_NOW);
    acme_client_free(c);
    acme_double_free(&d);
}

static void test_proofs_that_cannot_be_put_up(void **state)
{
    struct acme_double d;
    struct acme_client_next next;
    enum acme_client_need need;
    unsigned withdrawn = 0;
    (void)state;
    acme_double_init(&d, NAMES("a.example.com", "b.example.com"));
    struct acme_client_settings s = acme_settings(&d);
    struct acme_client *c = client_of(&s);
    while ((need = acme_client_next(c, d.now, &next)) != ACME_HAS_FAILED) {
        if (need == ACME_NEEDS_ANSWER)
            acme_double_answer(&d, c, &next.request);
        else if (need == ACME_NEEDS_PROOF)
            acme_client_presented(
                c, d.now, strcmp(next.proof->name, "b.example.com") == 0 ? &(struct err){"no room"} : NULL);
        else if (need == ACME_NEEDS_WITHDRAWAL)
            acme_client_withdrawn((withdrawn++, c));
        else
            d.now = next.at;
    }
    assert_int_equal(withdrawn, 2);
    assert_string_equal(acme_client_failure(c)->why.text,
                        "the proof of b.example.com by tls-alpn-01 could not be put up: no room");
    acme_client_free(c);
    acme_double_free(&d);
}

/* Certificates that are not what was ordered. */
static void check_leaf(struct ca_request request, const char *words)
{
    struct acme_double d;
    acme_double_init(&d, NAMES("www.example.com", "192.0.2.7"));
    struct acme_client_settings s = acme_settings(&d);
    struct ca *other = pki_issue(d.intermediate, CA_PROFILE_SERVER, request);
    assert_true(ca_chain_pem(other, &d.chain));
    s.key = ca_private_key(other);
    refuse(&d, &s, ACME_USELESS, words);
    ca_free(other);
    acme_double_free(&d);
}

static void test_certificates_are_held_against_the_order(void **state)
{
    struct acme_double d;
    (void)state;
    static const char *const good[] = {"www.example.com", "192.0.2.7"};
    static const char *const fewer[] = {"www.example.com"};
    static const char *const more[] = {"www.example.com", "192.0.2.7", "b.example.com"};
    static const char *const others[] = {"www.example.com", "192.0.2.8"};
    check_leaf((struct ca_request){.sans = fewer, .sans_len = 1, .not_before = ACME_NOW - 60},
               "not for 192.0.2.7");
    check_leaf((struct ca_request){.sans = more, .sans_len = 3, .not_before = ACME_NOW - 60},
               "3 names, but 2");
    check_leaf((struct ca_request){.sans = others, .sans_len = 2, .not_before = ACME_NOW - 60},
               "not for 192.0.2.7");
    check_leaf(
        (struct ca_request){.sans = good, .sans_len = 2, .not_before = ACME_NOW - 7200, .lifetime = 3600},
        "expired");
    check_leaf(
        (struct ca_request){.sans = good, .sans_len = 2, .not_before = ACME_NOW + 7200, .lifetime = 3600},
        "not valid before");
    acme_double_init(&d, NAMES("www.example.com", "192.0.2.7"));
    struct acme_client_settings s = acme_settings(&d);
    s.key = ca_private_key(d.intermediate); /* some other key */
    refuse(&d, &s, ACME_USELESS, "another key");
    /* A chain out of order, and one that leads elsewhere. */
    s.key = ca_private_key(d.leaf);
    struct ca *stranger = pki_root("stranger");
    assert_true(ca_chain_pem(d.leaf, &d.chain) && ca_chain_pem(stranger, &d.chain));
    d.orders = d.responded = d.finalized = 0;
    refuse(&d, &s, ACME_USELESS, "not issued by the one after it");
    ca_free(stranger);
    acme_double_free(&d);
}

/* ---- proofs ---- */

static void test_what_proofs_look_like(void **state)
{
    /* RFC 8555, 8.4 has no vector; this one is by openssl dgst. */
    struct acme_client_proof p = {ACME_BY_DNS, "example.com", "token", "token.thumb"};
    char value[ACME_CLIENT_DNS_VALUE_MAX], name[ACME_CLIENT_DNS_NAME_MAX], sni[ACME_CLIENT_SNI_MAX];
    enum acme_client_proof_kind kind;
    (void)state;
    acme_client_dns_value(&p, value);
    assert_int_equal(strlen(value), 43);
    acme_client_dns_name(&p, name);
    assert_string_equal(name, "_acme-challenge.example.com");
    acme_client_alpn_name(&p, sni);
    assert_string_equal(sni, "example.com");
    p.name = "192.0.2.16";
    acme_client_alpn_name(&p, sni);
    assert_string_equal(sni, "16.2.0.192.in-addr.arpa");
    p.name = "2001:db8::1";
    acme_client_alpn_name(&p, sni);
    assert_string_equal(sni, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    assert_true(acme_client_proof_parse("http-01", &kind) && kind == ACME_BY_HTTP);
    assert_false(acme_client_proof_parse("http-02", &kind));
}

static void test_the_certificate_of_tls_alpn(void **state)
{
    struct acme_client_proof p = {ACME_BY_TLS_ALPN, "example.com", "token", "token.thumb"};
    struct err err;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    (void)state;
    struct cert *cert = acme_client_alpn_certificate(&p, ACME_NOW, &err);
    assert_non_null(cert);
    X509 *x = X509_parse_from_buffer(cert->chain[0]);
    assert_non_null(x);
    assert_int_equal(X509_verify(x, cert->key), 1);
    assert_int_equal(X509_check_host(x, "example.com", 11, 0, NULL), 1);
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    X509_EXTENSION *e = X509_get_ext(x, X509_get_ext_by_OBJ(x, oid, -1));
    assert_non_null(e);
    assert_int_equal(X509_EXTENSION_get_critical(e), 1);
    const uint8_t *der = ASN1_STRING_get0_data(X509_EXTENSION_get_data(e));
    SHA256((const uint8_t *)p.authorization, strlen(p.authorization), hash);
    assert_int_equal(ASN1_STRING_length(X509_EXTENSION_get_data(e)), 34);
    assert_memory_equal(der, "\x04\x20", 2);
    assert_memory_equal(der + 2, hash, 32);
    ASN1_OBJECT_free(oid);
    X509_free(x);
    cert_unref(cert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_to_be_certified),
        cmocka_unit_test(test_a_certificate_is_obtained),
        cmocka_unit_test(test_names_of_all_kinds_are_proven),
        cmocka_unit_test(test_what_is_proven_already_is_not_again),
        cmocka_unit_test(test_an_account_that_is_known_is_used),
        cmocka_unit_test(test_external_account_binding),
        cmocka_unit_test(test_an_order_goes_on_after_a_restart),
        cmocka_unit_test(test_profile_and_replaces_are_sent),
        cmocka_unit_test(test_refused_nonces_are_replaced),
        cmocka_unit_test(test_renewal_info),
        cmocka_unit_test(test_cert_id_is_that_of_the_rfc),
        cmocka_unit_test(test_a_certificate_is_revoked),
        cmocka_unit_test(test_the_accounts_key_is_changed),
        cmocka_unit_test(test_settings_are_looked_at),
        cmocka_unit_test(test_odd_answers),
        cmocka_unit_test(test_a_short_outage_is_waited_for),
        cmocka_unit_test(test_retry_after_is_honoured),
        cmocka_unit_test(test_proofs_that_cannot_be_put_up),
        cmocka_unit_test(test_certificates_are_held_against_the_order),
        cmocka_unit_test(test_what_proofs_look_like),
        cmocka_unit_test(test_the_certificate_of_tls_alpn),
    };
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
