/* SPDX-License-Identifier: Apache-2.0 */
/* acme/acme_server.h: the protocol as a client plays it, what must be refused, limits, rules, and time. */
#include "acme/nonce.h"
#include "acme_asserts.h"

static void test_directory(void **state)
{
    struct played w = {.params = {.terms = "https://ca.example.com/terms",
                                  .website = "https://ca.example.com",
                                  .caa = "ca.example.com",
                                  .eab_required = true}};
    static const char *const names[] = {"newNonce",   "newAccount", "newOrder",
                                        "revokeCert", "keyChange",  "renewalInfo"};
    (void)state;
    played_begin(&w);
    played_get(&w, PLAYED_URL "/directory");
    assert_status(&w, 200);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_memory_equal(played_text(&w, names[i]), PLAYED_URL, strlen(PLAYED_URL));
    const json_t *meta = json_object_get(w.body, "meta");
    assert_string_equal(json_string_value(json_object_get(meta, "termsOfService")),
                        "https://ca.example.com/terms");
    assert_true(json_is_true(json_object_get(meta, "externalAccountRequired")));
    assert_int_equal(json_object_size(json_object_get(meta, "profiles")), 3);
    assert_string_equal(json_string_value(json_array_get(json_object_get(meta, "caaIdentities"), 0)),
                        "ca.example.com");
    assert_null(strstr(w.fields, "Replay-Nonce"));
    played_get(&w, PLAYED_URL "/new-nonce");
    assert_status(&w, 204);
    assert_non_null(strstr(w.fields, "Replay-Nonce: "));
    assert_non_null(strstr(w.fields, "Link: <" PLAYED_URL "/directory>;rel=\"index\""));
    played_send(&w, "HEAD", PLAYED_URL "/new-nonce", "", (struct str){"", 0}, NULL);
    assert_status(&w, 200);
    played_send(&w, "DELETE", PLAYED_URL "/directory", "", (struct str){"", 0}, NULL);
    assert_problem(&w, 405, "malformed");
    played_get(&w, PLAYED_URL "/new-order");
    assert_problem(&w, 405, "malformed");
    assert_non_null(strstr(w.fields, "Allow: POST"));
    static const char *const nowhere[] = {"/",      "/nothing", "/directory/",  "/directory/x",
                                          "/order", "/order/",  "/new-order/x", "//directory"};
    for (size_t i = 0; i < ARRAY_LEN(nowhere); i++) {
        char url[128];
        snprintf(url, sizeof(url), PLAYED_URL "%s", nowhere[i]);
        played_get(&w, url);
        assert_problem(&w, 404, "malformed");
    }
    played_end(&w);
}

static void test_obtain_and_revoke(void **state)
{
    struct played w = {0};
    struct player p;
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{\"contact\":[\"mailto:admin@example.com\"]}");
    assert_status(&w, 201);
    assert_string_equal(played_text(&w, "status"), "valid");
    assert_int_equal(player_order(&p, "www.Example.com example.com 192.0.2.7", ""), 201);
    assert_string_equal(played_text(&w, "status"), "pending");
    char *order = strdup(played_field(&w, "Location", (char[512]){0}));
    char *finalize = strdup(played_text(&w, "finalize"));
    player_finalize(&p, finalize, "www.example.com example.com 192.0.2.7");
    assert_problem(&w, 403, "orderNotReady");
    played_post(&p, order, "");
    player_prove(&p, true);
    played_post(&p, order, "");
    assert_string_equal(played_text(&w, "status"), "ready");
    assert_int_equal(player_finalize(&p, finalize, "www.example.com example.com 192.0.2.7"), 200);
    assert_string_equal(played_text(&w, "status"), "valid");
    char *certificate = strdup(played_text(&w, "certificate"));
    assert_int_equal(w.issued, 1);
    player_finalize(&p, finalize, "www.example.com example.com 192.0.2.7");
    assert_problem(&w, 403, "orderNotReady");
    played_post(&p, certificate, "");
    assert_status(&w, 200);
    assert_memory_equal(w.text, "-----BEGIN CERTIFICATE-----", 27);
    BIO *bio = BIO_new_mem_buf(w.text, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_non_null(cert);
    assert_int_equal(X509_check_host(cert, "www.example.com", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(cert, "192.0.2.7", 0), 1);
    assert_int_equal(X509_check_host(cert, "mail.example.com", 0, 0, NULL), 0);
    X509_free(cert);
    BIO_free(bio);
    free(order);
    free(finalize);
    free(certificate);
    player_free(&p);
    played_end(&w);
}

/* The certificate of the last answer as a payload of revokeCert. */
static char *revocation(const struct played *w, const char *more)
{
    BIO *bio = BIO_new_mem_buf(w->text, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    struct buf text = {0}, payload = {0};
    assert_true(len > 0 && base64url_put(&text, der, (size_t)len));
    assert_true(buf_printf(&payload, "{\"certificate\":\"%s\"%s}", buf_text(&text), more));
    OPENSSL_free(der);
    X509_free(cert);
    BIO_free(bio);
    buf_free(&text);
    return buf_text(&payload);
}

static void test_revoke(void **state)
{
    struct played w = {0};
    struct player p, other;
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    player_enrol(&other, &w, "{}");
    player_obtain(&p, "www.example.com", "");
    char *payload = revocation(&w, ",\"reason\":1"), *bad_reason = revocation(&w, ",\"reason\":6");
    played_post(&other, PLAYED_URL "/revoke-cert", payload);
    assert_problem(&w, 403, "unauthorized");
    played_post_as(&other, PLAYED_URL "/revoke-cert", payload, true);
    assert_problem(&w, 403, "unauthorized");
    played_post(&p, PLAYED_URL "/revoke-cert", bad_reason);
    assert_problem(&w, 400, "badRevocationReason");
    assert_int_equal(w.revoked, 0);
    played_post(&p, PLAYED_URL "/revoke-cert", payload);
    assert_status(&w, 200);
    assert_int_equal(w.revoked, 1);
    assert_int_equal(w.reason, 1);
    played_post(&p, PLAYED_URL "/revoke-cert", payload);
    assert_problem(&w, 400, "alreadyRevoked");
    free(payload);
    free(bad_reason);
    /* By an account that has proven all names. */
    player_obtain(&p, "www.example.com", "");
    payload = revocation(&w, "");
    player_order(&other, "www.example.com", "");
    player_prove(&other, true);
    played_post(&other, PLAYED_URL "/revoke-cert", payload);
    assert_status(&w, 200);
    assert_int_equal(w.revoked, 2);
    free(payload);
    player_free(&p);
    player_free(&other);
    played_end(&w);
}

/* A certificate of a stranger's own making, with a serial number of ours and his key, revokes nothing. */
static void test_forged_certificate_revokes_nothing(void **state)
{
    struct played w = {0};
    struct player p, thief;
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    player_enrol(&thief, &w, "{}");
    player_obtain(&p, "www.example.com", "");
    BIO *bio = BIO_new_mem_buf(w.text, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_int_equal(X509_set_pubkey(cert, thief.key), 1);
    assert_true(X509_sign(cert, thief.key, EVP_sha256()) > 0);
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    struct buf text = {0}, payload = {0};
    assert_true(len > 0 && base64url_put(&text, der, (size_t)len));
    assert_true(buf_printf(&payload, "{\"certificate\":\"%s\"}", buf_text(&text)));
    played_post_as(&thief, PLAYED_URL "/revoke-cert", buf_text(&payload), true);
    assert_problem(&w, 404, "malformed");
    assert_int_equal(w.revoked, 0);
    OPENSSL_free(der);
    X509_free(cert);
    BIO_free(bio);
    buf_free(&text);
    buf_free(&payload);
    player_free(&p);
    player_free(&thief);
    played_end(&w);
}

static void test_accounts(void **state)
{
    struct played w = {.params = {.terms = "https://ca.example.com/terms"}};
    struct player p = {.world = &w, .key = played_key()};
    static const struct {
        const char *payload;
        unsigned status;
        const char *word;
    } rows[] = {
        {"{\"onlyReturnExisting\":true}", 400, "accountDoesNotExist"},
        {"{}", 400, "malformed"}, /* the terms */
        {"", 400, "malformed"},
        {"[]", 400, "malformed"},
        {"{\"termsOfServiceAgreed\":true,\"contact\":\"mailto:a@example.com\"}", 400, "malformed"},
        {"{\"termsOfServiceAgreed\":true,\"contact\":[7]}", 400, "malformed"},
        {"{\"termsOfServiceAgreed\":true,\"contact\":[\"tel:123\"]}", 400, "unsupportedContact"},
        {"{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:nobody\"]}", 400, "invalidContact"},
        {"{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:a@example.com,b@example.com\"]}", 400,
         "invalidContact"},
        {"{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:a@example.com?cc=b\"]}", 400,
         "invalidContact"},
    };
    (void)state;
    played_begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        played_post_as(&p, NEW_ACCOUNT, rows[i].payload, true);
        assert_problem(&w, rows[i].status, rows[i].word);
    }
    played_post_as(&p, NEW_ACCOUNT, "{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:a@example.com\"]}",
                   true);
    assert_status(&w, 201);
    played_field(&w, "Location", p.kid);
    played_post_as(&p, NEW_ACCOUNT, "{\"onlyReturnExisting\":true}", true);
    assert_status(&w, 200);
    assert_string_equal(played_field(&w, "Location", (char[512]){0}), p.kid);
    played_post(&p, p.kid, "{\"contact\":[\"mailto:b@example.com\"]}");
    assert_status(&w, 200);
    assert_non_null(strstr(w.text, "b@example.com"));
    played_post(&p, p.kid, "{\"status\":\"revoked\"}");
    assert_problem(&w, 400, "malformed");
    /* Another's account is nobody's business. */
    struct player other;
    player_enrol(&other, &w, "{\"termsOfServiceAgreed\":true}");
    assert_status(&w, 201);
    played_post(&other, p.kid, "");
    assert_problem(&w, 403, "unauthorized");
    played_post(&p, p.kid, "{\"status\":\"deactivated\"}");
    assert_status(&w, 200);
    assert_string_equal(played_text(&w, "status"), "deactivated");
    played_post(&p, p.kid, "");
    assert_problem(&w, 403, "unauthorized");
    played_post_as(&p, NEW_ACCOUNT, "{\"termsOfServiceAgreed\":true}", true);
    assert_problem(&w, 403, "unauthorized");
    player_free(&p);
    player_free(&other);
    played_end(&w);
}

static void test_key_change(void **state)
{
    struct played w = {0};
    struct player p, other;
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    player_enrol(&other, &w, "{}");
    EVP_PKEY *new_key = played_key();
    EVP_PKEY *const keys[] = {other.key, new_key};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct buf old = {0}, said = {0}, inner = {0};
        struct jws_header header = {.url = PLAYED_URL "/key-change"};
        assert_true(jwk_put(p.key, &old));
        assert_true(buf_printf(&said, "{\"account\":\"%s\",\"oldKey\":%s}", p.kid, buf_text(&old)));
        assert_int_equal(jws_sign(keys[i], &header, (struct str){(char *)said.data, said.len}, &inner, NULL),
                         0);
        played_post(&other, PLAYED_URL "/key-change", buf_text(&inner));
        assert_problem(&w, 400, "malformed"); /* not the account that it names */
        played_post(&p, PLAYED_URL "/key-change", buf_text(&inner));
        if (keys[i] == other.key) {
            assert_problem(&w, 409, "malformed");
            assert_string_equal(played_field(&w, "Location", (char[512]){0}), other.kid);
        } else {
            assert_status(&w, 200);
        }
        buf_free(&old);
        buf_free(&said);
        buf_free(&inner);
    }
    played_post(&p, p.kid, "");
    assert_problem(&w, 400, "malformed"); /* the old key signs no more */
    EVP_PKEY_free(p.key);
    p.key = new_key;
    assert_int_equal(played_post(&p, p.kid, ""), 200);
    player_free(&p);
    player_free(&other);
    played_end(&w);
}

static void test_binding(void **state)
{
    struct played w = {.params = {.eab_required = true}};
    EVP_PKEY *key = played_key(), *other = played_key();
    const struct {
        EVP_PKEY *of;
        const char *kid, *secret, *url;
        unsigned status;
    } rows[] = {
        {other, "device-7", "0123456789abcdef", NEW_ACCOUNT, 403},
        {key, "device-8", "0123456789abcdef", NEW_ACCOUNT, 403},
        {key, "device-7", "0123456789abcdeF", NEW_ACCOUNT, 403},
        {key, "device-7", "", NEW_ACCOUNT, 403},
        {key, "device-7", "0123456789abcdef", PLAYED_URL "/new-order", 403},
        {key, "device-7", "0123456789abcdef", NEW_ACCOUNT, 201},
    };
    struct player p = {.world = &w, .key = key};
    (void)state;
    played_begin(&w);
    played_post_as(&p, NEW_ACCOUNT, "{}", true);
    assert_problem(&w, 403, "externalAccountRequired");
    played_post_as(&p, NEW_ACCOUNT, "{\"externalAccountBinding\":{}}", true);
    assert_problem(&w, 400, "malformed");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *payload = bound(rows[i].of, rows[i].kid, rows[i].secret, rows[i].url);
        played_post_as(&p, NEW_ACCOUNT, payload, true);
        if (w.status != rows[i].status)
            fail_msg("row %zu: %u %s", i, w.status, w.text);
        free(payload);
    }
    assert_non_null(json_object_get(w.body, "externalAccountBinding"));
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    played_end(&w);
}

/* Who may enrol what. */
static const struct acme_rule rules[] = {
    {.accounts = (const char *const[]){"eab:device-*", NULL},
     .profiles = (const char *const[]){"client", NULL},
     .names = (const char *const[]){"*.devices.example.com", NULL},
     .groups = (const char *const[]){"devices", NULL},
     .trusted = true},
    {.profiles = (const char *const[]){"server", "short", NULL},
     .names = (const char *const[]){"*.example.com", "192.0.2.*", NULL}},
};

static void test_rules(void **state)
{
    struct played w = {.params = {.rules = rules, .rules_len = ARRAY_LEN(rules)}};
    struct player device = {.world = &w, .key = played_key()}, anybody;
    (void)state;
    played_begin(&w);
    player_enrol(&anybody, &w, "{}");
    char *payload = bound(device.key, "device-7", "0123456789abcdef", NEW_ACCOUNT);
    played_post_as(&device, NEW_ACCOUNT, payload, true);
    free(payload);
    assert_status(&w, 201);
    played_field(&w, "Location", device.kid);

    player_order(&anybody, "d7.devices.example.com", ",\"profile\":\"client\"");
    assert_problem(&w, 403, "rejectedIdentifier");
    player_order(&anybody, "www.example.com www.example.org", "");
    assert_problem(&w, 403, "rejectedIdentifier");
    assert_int_equal(json_array_size(json_object_get(w.body, "subproblems")), 1);
    assert_non_null(strstr(w.text, "www.example.org"));
    player_order(&device, "www.example.com", ",\"profile\":\"client\"");
    assert_problem(&w, 403, "rejectedIdentifier");
    player_order(&device, "d7.devices.example.com", ",\"profile\":\"nothing\"");
    assert_problem(&w, 400, "invalidProfile");
    assert_int_equal(player_order(&anybody, "192.0.2.9", ""), 201);

    /* What the operator trusts a device with needs no challenge, and is worth nothing for servers. */
    assert_int_equal(player_order(&device, "d7.devices.example.com", ",\"profile\":\"client\""), 201);
    assert_string_equal(played_text(&w, "status"), "ready");
    char *finalize = strdup(played_text(&w, "finalize"));
    assert_int_equal(player_finalize(&device, finalize, "d7.devices.example.com"), 200);
    free(finalize);
    assert_int_equal(w.kind, CA_PROFILE_CLIENT);
    assert_string_equal(w.groups, "devices");
    assert_int_equal(player_order(&device, "d7.devices.example.com", ",\"profile\":\"server\""), 201);
    assert_string_equal(played_text(&w, "status"), "pending");

    /* The rules of now count, not those of when it was ordered. */
    assert_int_equal(player_order(&device, "d8.devices.example.com", ",\"profile\":\"client\""), 201);
    finalize = strdup(played_text(&w, "finalize"));
    w.params.rules = &rules[1];
    w.params.rules_len = 1;
    player_finalize(&device, finalize, "d8.devices.example.com");
    assert_problem(&w, 403, "unauthorized");
    free(finalize);
    player_free(&device);
    player_free(&anybody);
    played_end(&w);
}

static void test_hostile_orders(void **state)
{
    static const struct {
        const char *payload;
        unsigned status;
        const char *word;
    } rows[] = {
        {"", 400, "malformed"},
        {"{}", 400, "malformed"},
        {"{\"identifiers\":[]}", 400, "malformed"},
        {"{\"identifiers\":{\"type\":\"dns\",\"value\":\"a.example.com\"}}", 400, "malformed"},
        {"{\"identifiers\":[\"a.example.com\"]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":7}]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"\"}]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a..example.com\"}]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.com.\"}]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"192.0.2.1\"}]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.*.example.com\"}]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"*.*.example.com\"}]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"*.com\"}]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"b\\u00fccher.example.com\"}]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a b.example.com\"}]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"ip\",\"value\":\"a.example.com\"}]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"ip\",\"value\":\"192.0.2\"}]}", 400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"email\",\"value\":\"a@example.com\"}]}", 400,
         "unsupportedIdentifier"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.com\"}],\"notAfter\":\"tomorrow\"}", 400,
         "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.com\"}],\"notAfter\":\"2099-01-01T00:00:"
         "00Z\"}",
         400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.com\"}],\"notBefore\":\"2001-01-01T00:00:"
         "00Z\"}",
         400, "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.com\"}],\"notBefore\":\"2030-03-19T17:46:"
         "40Z\"}",
         400, "malformed"}, /* in two days */
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.com\"}],\"replaces\":\"AAAA.AAAA\"}", 400,
         "malformed"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.com\"}],\"profile\":[]}", 400,
         "invalidProfile"},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.com\"}],\"profile\":\"client\"}", 403,
         "rejectedIdentifier"}, /* no rule gives clients anything */
    };
    struct played w = {0};
    struct player p;
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        played_post(&p, NEW_ORDER, rows[i].payload);
        if (w.status != rows[i].status || strstr(played_text(&w, "type"), rows[i].word) == NULL)
            fail_msg("%s: %u %s", rows[i].payload, w.status, w.text);
    }
    struct buf many = {0};
    assert_true(buf_printf(&many, "n0.example.com"));
    for (unsigned i = 1; i <= ACME_NAMES_MAX; i++)
        assert_true(buf_printf(&many, " n%u.example.com", i));
    player_order(&p, buf_text(&many), "");
    assert_problem(&w, 400, "malformed");
    buf_free(&many);
    /* A name twice is one; times with an offset are times. */
    assert_int_equal(
        player_order(&p, "a.example.com A.example.com", ",\"notAfter\":\"2030-03-20T00:00:00.5+01:30\""),
        201);
    assert_int_equal(json_array_size(json_object_get(w.body, "identifiers")), 1);
    assert_string_equal(played_text(&w, "notAfter"), "2030-03-19T22:30:00Z");
    player_free(&p);
    played_end(&w);
}

static void test_hostile_envelopes(void **state)
{
    struct played w = {0};
    struct player p;
    struct buf out = {0};
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    /* A request that was sent once must not be taken again, nor at another place. */
    struct jws_header header = {.kid = p.kid, .nonce = w.nonce, .url = NEW_ORDER};
    static const char payload[] = "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.com\"}]}";
    assert_int_equal(jws_sign(p.key, &header, (struct str){payload, strlen(payload)}, &out, NULL), 0);
    struct str jws = {(const char *)out.data, out.len};
    played_send(&w, "POST", PLAYED_URL "/revoke-cert", "application/jose+json", jws, NULL);
    assert_problem(&w, 403, "unauthorized");
    played_send(&w, "POST", NEW_ORDER "?x=1", "application/jose+json", jws, NULL);
    assert_problem(&w, 403, "unauthorized");
    played_send(&w, "POST", NEW_ORDER, "application/json", jws, NULL);
    assert_problem(&w, 415, "malformed");
    played_send(&w, "POST", NEW_ORDER, "application/jose+json", jws, NULL);
    assert_status(&w, 201);
    played_send(&w, "POST", NEW_ORDER, "application/jose+json", jws, NULL);
    assert_problem(&w, 400, "badNonce");
    buf_free(&out);
    /* The server's own url counts, not what Host says; so one for another server is nothing here. */
    header =
        (struct jws_header){.kid = p.kid, .nonce = w.nonce, .url = "https://evil.example.net/acme/new-order"};
    assert_int_equal(jws_sign(p.key, &header, (struct str){payload, strlen(payload)}, &out, NULL), 0);
    played_send(&w, "POST", NEW_ORDER, "application/jose+json", (struct str){(const char *)out.data, out.len},
                NULL);
    assert_problem(&w, 403, "unauthorized");
    buf_free(&out);
    /* A shared secret is nobody's account. */
    header = (struct jws_header){.kid = p.kid, .nonce = w.nonce, .url = NEW_ORDER};
    assert_int_equal(
        jws_sign_mac((const uint8_t *)"x", 1, &header, (struct str){payload, strlen(payload)}, &out, NULL),
        0);
    played_send(&w, "POST", NEW_ORDER, "application/jose+json", (struct str){(const char *)out.data, out.len},
                NULL);
    assert_problem(&w, 400, "badSignatureAlgorithm");
    assert_non_null(json_object_get(w.body, "algorithms"));
    buf_free(&out);
    /* Another's key id with one's own key. */
    struct player thief = {.world = &w, .key = played_key()};
    strcpy(thief.kid, p.kid);
    played_post(&thief, NEW_ORDER, payload);
    assert_problem(&w, 400, "malformed");
    strcpy(thief.kid, PLAYED_URL "/account/nobody");
    played_post(&thief, NEW_ORDER, payload);
    assert_problem(&w, 400, "accountDoesNotExist");
    played_post_as(&thief, NEW_ORDER, payload, true);
    assert_problem(&w, 400, "malformed");
    played_post(&p, NEW_ACCOUNT, "{}");
    assert_problem(&w, 400, "malformed");
    player_free(&thief);
    player_free(&p);
    played_end(&w);
}

static void test_csr(void **state)
{
    struct played w = {0};
    struct player p;
    static const char *const names[] = {"", "a.example.com", "a.example.com b.example.com c.example.com",
                                        "a.example.com *.b.example.com", "a.example.com 192.0.2.1"};
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    player_order(&p, "a.example.com b.example.com", "");
    char *finalize = strdup(played_text(&w, "finalize"));
    player_prove(&p, true);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        player_finalize(&p, finalize, names[i]);
        assert_problem(&w, 400, "badCSR");
    }
    static const char *const payloads[] = {"", "{}", "{\"csr\":7}", "{\"csr\":\"A\"}"};
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        played_post(&p, finalize, payloads[i]);
        assert_problem(&w, 400, "malformed");
    }
    played_post(&p, finalize, "{\"csr\":\"MIIB\"}");
    assert_problem(&w, 400, "badCSR");
    /* The account's own key has another use. */
    char *csr = played_csr(p.key, "a.example.com b.example.com");
    struct buf payload = {0};
    assert_true(buf_printf(&payload, "{\"csr\":\"%s\"}", csr));
    played_post(&p, finalize, buf_text(&payload));
    assert_problem(&w, 400, "badCSR");
    free(csr);
    buf_free(&payload);
    assert_int_equal(w.issued, 0);
    /* What is wrong at the CA is not the client's business, and he may try again. */
    w.refuses = true;
    player_finalize(&p, finalize, "a.example.com b.example.com");
    assert_problem(&w, 500, "serverInternal");
    assert_null(strstr(w.text, "secret"));
    w.refuses = false;
    assert_int_equal(player_finalize(&p, finalize, "b.example.com a.example.com"), 200);
    free(finalize);
    player_free(&p);
    played_end(&w);
}

static void test_failed_validation(void **state)
{
    struct played w = {.params = {.limits = {.failures = 2}}};
    struct player p;
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(player_order(&p, "a.example.com", ""), 201);
        char *order = strdup(played_field(&w, "Location", (char[512]){0}));
        player_prove(&p, false);
        played_post(&p, order, "");
        assert_string_equal(played_text(&w, "status"), "invalid");
        assert_non_null(strstr(w.text, "nobody is there"));
        free(order);
    }
    player_order(&p, "a.example.com", "");
    assert_problem(&w, 429, "rateLimited");
    assert_non_null(strstr(w.fields, "Retry-After: "));
    assert_int_equal(player_order(&p, "b.example.com", ""), 201);
    w.now += 3601;
    assert_int_equal(player_order(&p, "a.example.com", ""), 201);
    player_free(&p);
    played_end(&w);
}

static void test_limits(void **state)
{
    struct played w = {
        .params = {
            .limits = {.accounts = 5, .accounts_per_source = 2, .orders = 4, .orders_per_account = 3}}};
    struct player players[6];
    (void)state;
    played_begin(&w);
    static const char *const sources[] = {"2001:db8::1", "2001:db8::2", "2001:db8::3",
                                          "192.0.2.1",   "192.0.2.2",   "192.0.2.3"};
    static const unsigned wanted[] = {201, 201, 429, 201, 201, 201};
    for (size_t i = 0; i < ARRAY_LEN(players); i++) {
        w.source = sources[i];
        player_enrol(&players[i], &w, "{}");
        assert_status(&w, wanted[i]);
    }
    struct player last = {.world = &w, .key = played_key()};
    w.source = "192.0.2.4";
    played_post_as(&last, NEW_ACCOUNT, "{}", true);
    assert_problem(&w, 429, "rateLimited"); /* five are there */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(player_order(&players[0], "a.example.com", ""), 201);
    player_order(&players[0], "a.example.com", "");
    assert_problem(&w, 429, "rateLimited");
    assert_int_equal(player_order(&players[1], "a.example.com", ""), 201);
    player_order(&players[1], "a.example.com", "");
    assert_problem(&w, 429, "rateLimited"); /* four are open */
    w.now += 2 * PLAYED_DAY;
    assert_int_equal(player_order(&players[1], "a.example.com", ""), 201);
    for (size_t i = 0; i < ARRAY_LEN(players); i++)
        player_free(&players[i]);
    player_free(&last);
    played_end(&w);
}

/* One address has its share of the room, however many accounts it makes and whether its orders have failed.
 */
static void test_share_of_orders(void **state)
{
    struct played w = {.params = {.limits = {.orders = 100, .orders_per_account = 3, .pending = PLAYED_DAY}}};
    struct player players[4], other;
    unsigned made = 0;
    (void)state;
    played_begin(&w);
    w.source = "192.0.2.1";
    for (size_t i = 0; i < ARRAY_LEN(players); i++)
        player_enrol(&players[i], &w, "{}");
    w.source = "192.0.2.2";
    player_enrol(&other, &w, "{}");
    for (unsigned hour = 0; hour < 3; hour++, w.now += 3601)
        for (size_t i = 0; i < ARRAY_LEN(players); i++)
            while (player_order(&players[i], "a.example.com", "") == 201) {
                made++;
                char *url =
                    strdup(json_string_value(json_array_get(json_object_get(w.body, "authorizations"), 0)));
                played_post(&players[i], url, "{\"status\":\"deactivated\"}");
                assert_string_equal(played_text(&w, "status"), "deactivated");
                free(url);
            }
    assert_int_equal(made, 10);
    assert_int_equal(player_order(&other, "a.example.com", ""), 201);
    w.now += 2 * PLAYED_DAY;
    assert_int_equal(player_order(&players[0], "a.example.com", ""), 201);
    for (size_t i = 0; i < ARRAY_LEN(players); i++)
        player_free(&players[i]);
    player_free(&other);
    played_end(&w);
}

static void test_authorizations(void **state)
{
    struct played w = {0};
    struct player p, other;
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    player_enrol(&other, &w, "{}");
    player_order(&p, "*.example.com", "");
    char *url = strdup(json_string_value(json_array_get(json_object_get(w.body, "authorizations"), 0)));
    played_post(&other, url, "");
    assert_problem(&w, 404, "malformed");
    played_post(&p, url, "");
    assert_true(json_is_true(json_object_get(w.body, "wildcard")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(w.body, "identifier"), "value")),
                        "example.com");
    const json_t *challenges = json_object_get(w.body, "challenges");
    assert_int_equal(json_array_size(challenges), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(challenges, 0), "type")), "dns-01");
    played_post(&p, url, "{\"status\":\"deactivated\"}");
    assert_string_equal(played_text(&w, "status"), "deactivated");
    free(url);
    /* An address has no dns-01; a proof serves further orders of the account, and of no other. */
    player_order(&p, "2001:DB8::7", "");
    assert_non_null(strstr(w.text, "\"value\":\"2001:db8::7\""));
    player_prove(&p, true);
    player_order(&p, "2001:db8:0::7", "");
    assert_string_equal(played_text(&w, "status"), "ready");
    player_order(&other, "2001:db8::7", "");
    assert_string_equal(played_text(&w, "status"), "pending");
    w.now += PLAYED_DAY;
    player_order(&p, "2001:db8::7", "");
    assert_string_equal(played_text(&w, "status"), "pending");
    player_free(&p);
    player_free(&other);
    played_end(&w);
}

/* What the CA has revoked, or wants replaced, is to be renewed at once. */
static void assert_told_to_renew(struct played *w, const char *url)
{
    static const struct {
        int64_t revoked, replace; /* from now on */
        bool at_once;
    } rows[] = {{-5, 0, true}, {0, -1, false}, {0, 0, true}, {0, 5, true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tm tm = {0};
        w->revoked_by_ca = rows[i].revoked == 0 ? 0 : w->now + rows[i].revoked;
        w->replace = rows[i].revoked != 0 ? 0 : w->now + rows[i].replace;
        played_get(w, url);
        assert_status(w, 200);
        const char *start =
            json_string_value(json_object_get(json_object_get(w->body, "suggestedWindow"), "start"));
        assert_non_null(strptime(start, "%Y-%m-%dT%H:%M:%SZ", &tm));
        if ((timegm(&tm) <= w->now + 5) != rows[i].at_once)
            fail_msg("row %zu: %s", i, start);
    }
    w->revoked_by_ca = w->replace = 0;
}

/* Half a year of renewals by what the server suggests, across restarts; what nobody needs goes. */
static void test_renewals(void **state)
{
    struct played w = {0};
    struct player p;
    char window[256] = "", replaces[300] = "";
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    int64_t end = w.now + 183 * PLAYED_DAY;
    unsigned count = 0;
    while (w.now < end) {
        char more[400];
        snprintf(more, sizeof(more), ",\"profile\":\"short\"%s%s%s",
                 replaces[0] != '\0' ? ",\"replaces\":\"" : "", replaces, replaces[0] != '\0' ? "\"" : "");
        player_obtain(&p, "www.example.com", more);
        struct buf pem = {0}, id = {0};
        assert_true(buf_append(&pem, w.text, strlen(w.text)));
        BIO *bio = BIO_new_mem_buf(w.text, -1);
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        AUTHORITY_KEYID *aki = X509_get_ext_d2i(cert, NID_authority_key_identifier, NULL, NULL);
        const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
        assert_true(
            base64url_put(&id, ASN1_STRING_get0_data(aki->keyid), (size_t)ASN1_STRING_length(aki->keyid)) &&
            buf_append(&id, ".", 1) &&
            base64url_put(&id, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial)));
        str_copy(replaces, sizeof(replaces), buf_text(&id), id.len);
        int64_t not_after, start;
        assert_true(ASN1_TIME_to_posix(X509_get0_notAfter(cert), &not_after));
        assert_true(not_after > w.now && not_after <= w.now + 6 * PLAYED_DAY);
        AUTHORITY_KEYID_free(aki);
        X509_free(cert);
        BIO_free(bio);
        buf_free(&pem);
        buf_free(&id);
        snprintf(window, sizeof(window), PLAYED_URL "/renewal-info/%s", replaces);
        played_get(&w, window);
        assert_status(&w, 200);
        struct tm tm = {0};
        assert_non_null(
            strptime(json_string_value(json_object_get(json_object_get(w.body, "suggestedWindow"), "start")),
                     "%Y-%m-%dT%H:%M:%SZ", &tm));
        start = (int64_t)timegm(&tm);
        assert_true(start > w.now && start < not_after);
        assert_told_to_renew(&w, window);
        w.now = start;
        acme_server_free(w.server);
        played_open(&w);
        w.nonce[0] = '\0';
        assert_int_equal(acme_server_sweep(w.server, w.now, NULL), 0);
        count++;
    }
    assert_in_range(count, 40, 50);
    /* It has been replaced once; again is once too often. */
    char again[400];
    snprintf(again, sizeof(again), ",\"profile\":\"short\",\"replaces\":\"%s\"", replaces);
    player_obtain(&p, "www.example.com", again);
    player_order(&p, "www.example.com", again);
    assert_problem(&w, 409, "alreadyReplaced");
    player_order(&p, "other.example.com", again);
    assert_problem(&w, 400, "malformed");
    played_post(&p, PLAYED_URL "/renewal-info/x", "");
    assert_problem(&w, 405, "malformed");
    played_get(&w, PLAYED_URL "/renewal-info/AAAA.AAAA");
    assert_problem(&w, 404, "malformed");
    player_free(&p);
    played_end(&w);
}

/* A list of orders goes on behind a link; what is in progress is handed out again after a while. */
static void test_orders_and_leases(void **state)
{
    struct played w = {.params = {.limits = {.orders_per_account = 200}}};
    struct player p;
    char link[512], url[512];
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    for (unsigned i = 0; i < 101; i++)
        assert_int_equal(player_order(&p, "a.example.com", ""), 201);
    played_post(&p, json_string_value(json_array_get(json_object_get(w.body, "authorizations"), 0)), "");
    char *challenge = strdup(
        json_string_value(json_object_get(json_array_get(json_object_get(w.body, "challenges"), 0), "url")));
    played_post(&p, challenge, "");
    assert_string_equal(played_text(&w, "status"), "pending");
    struct acme_check check, again;
    assert_int_equal(acme_server_next(w.server, w.now, &check, NULL), 0);
    played_post(&p, challenge, "{}");
    assert_string_equal(played_text(&w, "status"), "processing");
    assert_int_equal(acme_server_next(w.server, w.now, &check, NULL), 1);
    assert_string_equal(check.name, "a.example.com");
    assert_int_equal(acme_server_next(w.server, w.now, &again, NULL), 0);
    assert_int_equal(acme_server_next(w.server, w.now + 121, &again, NULL), 1);
    assert_string_equal(check.id, again.id);
    assert_int_equal(acme_server_validated(w.server, "nothing", true, ACME_DNS, "", w.now, NULL), 0);
    assert_int_equal(acme_server_validated(w.server, check.id, true, ACME_DNS, "", w.now, NULL), 0);
    assert_int_equal(acme_server_validated(w.server, check.id, false, ACME_DNS, "late", w.now, NULL), 0);
    played_post(&p, challenge, "{}");
    assert_string_equal(played_text(&w, "status"), "valid");
    free(challenge);

    const char *id = strrchr(p.kid, '/') + 1;
    snprintf(url, sizeof(url), PLAYED_URL "/orders/%s", id);
    played_post(&p, url, "");
    assert_int_equal(json_array_size(json_object_get(w.body, "orders")), 100);
    played_field(&w, "Link", link);
    char *end = strchr(link, '>');
    assert_non_null(end);
    *end = '\0';
    played_post(&p, link + 1, "");
    assert_int_equal(json_array_size(json_object_get(w.body, "orders")), 1);
    snprintf(url, sizeof(url), PLAYED_URL "/orders/%s?before=x", id);
    played_post(&p, url, "");
    assert_problem(&w, 400, "malformed");
    player_free(&p);
    played_end(&w);
}

/* One account's challenges do not keep all others waiting. */
static void test_queue(void **state)
{
    struct played w = {0};
    struct player p;
    char order[512];
    (void)state;
    played_begin(&w);
    player_enrol(&p, &w, "{}");
    for (unsigned i = 0; i <= 200; i++) {
        if (i % 100 == 0) {
            struct buf names = {0};
            for (unsigned k = 0; k < 100; k++)
                assert_true(buf_printf(&names, "%sn%u-%u.example.com", k == 0 ? "" : " ", i, k));
            assert_int_equal(player_order(&p, buf_text(&names), ""), 201);
            buf_free(&names);
        }
        if (i % 100 == 0)
            played_field(&w, "Location", order);
        played_post(&p, order, "");
        const json_t *list = json_object_get(w.body, "authorizations");
        played_post(&p, json_string_value(json_array_get(list, i % 100)), "");
        list = json_object_get(w.body, "challenges");
        char *url = strdup(json_string_value(json_object_get(json_array_get(list, 0), "url")));
        played_post(&p, url, "{}");
        free(url);
        if (i < 200)
            assert_status(&w, 200);
        else
            assert_problem(&w, 429, "rateLimited");
    }
    player_free(&p);
    played_end(&w);
}

static void test_nonces(void **state)
{
    struct acme_nonces *n = acme_nonces_new(), *other = acme_nonces_new();
    char first[ACME_NONCE_MAX], text[ACME_NONCE_MAX];
    (void)state;
    acme_nonce_make(n, first);
    assert_false(acme_nonce_use(other, first));
    assert_true(acme_nonce_use(n, first));
    assert_false(acme_nonce_use(n, first));
    acme_nonce_make(n, first);
    acme_nonce_make(n, text);
    text[0] = text[0] == 'A' ? 'B' : 'A';
    assert_false(acme_nonce_use(n, text));
    assert_false(acme_nonce_use(n, ""));
    assert_false(acme_nonce_use(n, "AAAA"));
    for (unsigned i = 0; i < ACME_NONCES - 2; i++)
        acme_nonce_make(n, text);
    assert_true(acme_nonce_use(n, first));
    assert_true(acme_nonce_use(n, text));
    acme_nonce_make(n, first);
    for (unsigned i = 0; i < ACME_NONCES; i++)
        acme_nonce_make(n, text);
    assert_false(acme_nonce_use(n, first));
    acme_nonces_free(n);
    acme_nonces_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_obtain_and_revoke),
        cmocka_unit_test(test_revoke),
        cmocka_unit_test(test_forged_certificate_revokes_nothing),
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_key_change),
        cmocka_unit_test(test_binding),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_hostile_orders),
        cmocka_unit_test(test_hostile_envelopes),
        cmocka_unit_test(test_csr),
        cmocka_unit_test(test_failed_validation),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_share_of_orders),
        cmocka_unit_test(test_authorizations),
        cmocka_unit_test(test_renewals),
        cmocka_unit_test(test_orders_and_leases),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_nonces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
