/* SPDX-License-Identifier: Apache-2.0 */
/* acme/validate.h and acme/settings.h: where redirects may lead, which addresses are looked at, whose key is
 * in the file of external account binding. The looks themselves: tests/e2e/test_acme_clients.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "acme/settings.h"
#include "acme/validate_internal.h"
#include "base/check.h"
#include "base/file.h"
#include "config/config.h"
#include "pki.h"

static void test_redirects(void **state)
{
    static const struct {
        const char *location, *host, *path; /* NULL: leads elsewhere */
        bool tls;
    } rows[] = {
        {"/other", "www.example.com", "/other", false},
        {"/other?x=1#y", "www.example.com", "/other?x=1", false},
        {"http://a.example.com/x", "a.example.com", "/x", false},
        {"HTTPS://A.Example.com/x", "a.example.com", "/x", true},
        {"https://a.example.com", "a.example.com", "/", true},
        {"http://a.example.com:80/x", "a.example.com", "/x", false},
        {"http://a.example.com:8080/x", "a.example.com", "/x", false}, /* where http-01 looks here */
        {"https://a.example.com:443/x", "a.example.com", "/x", true},
        {"http://192.0.2.7/x", "192.0.2.7", "/x", false},
        {"http://[2001:db8::7]:80/x", "2001:db8::7", "/x", false},
        {"", NULL, NULL, false},
        {"other", NULL, NULL, false},
        {"//evil.example.net/x", NULL, NULL, false},
        {"http://", NULL, NULL, false},
        {"http:///x", NULL, NULL, false},
        {"http://a.example.com:22/x", NULL, NULL, false},
        {"http://a.example.com:443/x", NULL, NULL, false},
        {"https://a.example.com:80/x", NULL, NULL, false},
        {"http://a.example.com:/x", NULL, NULL, false},
        {"http://a.example.com:080x/x", NULL, NULL, false},
        {"http://a.example.com:99999999999999999999/x", NULL, NULL, false},
        {"http://user@a.example.com/x", NULL, NULL, false},
        {"http://user:80@a.example.com/x", NULL, NULL, false},
        {"http://a.example.com\\@evil.example.net/x", NULL, NULL, false},
        {"http://127.1/x", NULL, NULL, false},
        {"http://2130706433/x", NULL, NULL, false},
        {"http://0x7f000001/x", NULL, NULL, false},
        {"http://[192.0.2.7]/x", NULL, NULL, false},
        {"http://[2001:db8::7/x", NULL, NULL, false},
        {"http://[2001:db8::7]x/x", NULL, NULL, false},
        {"http://[fe80::1%25eth0]/x", NULL, NULL, false},
        {"http://2001:db8::7/x", NULL, NULL, false},
        {"http://a.example.com/x y", NULL, NULL, false},
        {"http://a.example.com/\r\nHost: b", NULL, NULL, false},
        {"http://a.example.com?x", NULL, NULL, false},
        {"ftp://a.example.com/x", NULL, NULL, false},
        {"file:///etc/passwd", NULL, NULL, false},
        {"gopher://a.example.com/x", NULL, NULL, false},
    };
    const struct acme_validator_params params = {.http_port = 8080, .tls_port = 443};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct look_place place = {.host = "www.example.com", .path = "/.well-known/acme-challenge/x"};
        struct str location = {rows[i].location, strlen(rows[i].location)};
        bool ok = look_redirect(&params, location, &place);
        if (ok != (rows[i].host != NULL))
            fail_msg("'%s' was %s", rows[i].location, ok ? "followed" : "refused");
        assert_string_equal(place.host, ok ? rows[i].host : "www.example.com");
        assert_string_equal(place.path, ok ? rows[i].path : "/.well-known/acme-challenge/x");
        assert_int_equal(place.tls, ok && rows[i].tls);
    }
    char *endless = calloc(1, 4096);
    memset(endless, 'a', 4095);
    endless[0] = '/';
    struct look_place place = {.host = "www.example.com"};
    assert_false(look_redirect(&params, (struct str){endless, 4095}, &place));
    free(endless);
}

static struct acme_settings *settings_of(const char *acme)
{
    struct buf text = {0}, errors = {0};
    assert_true(buf_printf(&text,
                           "listeners: [{address: \":443\"}]\n"
                           "certificates: [{certificate: a.pem, key: a.key}]\n"
                           "routes: [{name: ca, serve: [acme]}]\n"
                           "ca: {directory: /nowhere, acme: {url: https://ca.example.com, %s}}\n",
                           acme));
    struct config *c = config_parse("door.yaml", (const char *)text.data, text.len, &errors);
    if (c == NULL)
        fail_msg("%s", buf_text(&errors));
    struct acme_settings *s = acme_settings_of(c->ca);
    config_free(c); /* the settings are copies */
    buf_free(&text);
    buf_free(&errors);
    return s;
}

static void test_settings(void **state)
{
    (void)state;
    struct acme_settings *s = settings_of(
        "deny: [127.0.0.0/8, \"2001:db8::/32\"], challenges: [dns-01], limits: {failures: 7, pending: 2h, "
        "idle: 30d, "
        "looks_per_target: 3, waiting_per_source: 9, certificates: 11}, "
        "eab_file: keys, profiles: [{name: device, kind: agent, lifetime: 2d}], "
        "rules: [{accounts: [\"eab:d*\"], names: [\"*.example.com\"], groups: [a, b], trusted: true}]");
    static const struct {
        const char *address;
        bool allowed;
    } rows[] = {
        {"127.0.0.1", false},
        {"127.255.0.1", false},
        {"128.0.0.1", true},
        {"2001:db8::1", false},
        {"::ffff:127.0.0.1", false},
        {"2001:db9::1", true},
        {"64:ff9b::7f00:1", false},
        {"64:ff9b::8000:1", true},
        {"2002:7f00:1::", false},
        {"0.0.0.0", false},
        {"::", false},
        {"::1", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_addr a;
        assert_true(net_addr_parse(rows[i].address, 80, &a));
        assert_int_equal(acme_settings_allow(s, &a), rows[i].allowed);
    }
    assert_string_equal(s->params.url, "https://ca.example.com/acme");
    assert_string_equal(s->params.path, "/nowhere/acme.db");
    assert_true(s->params.challenges[ACME_DNS_01] && !s->params.challenges[ACME_HTTP_01]);
    const struct acme_limits *l = &s->params.limits;
    assert_true(l->failures == 7 && l->pending == 7200 && l->idle == 30 * 86400 && l->certificates == 11);
    assert_true(l->waiting_per_account == 200 && l->waiting_per_source == 9);
    assert_true(s->looks == 32 && s->looks_per_target == 3);
    assert_int_equal(s->params.profiles_len, 1);
    assert_int_equal(s->params.profiles[0].kind, CA_PROFILE_AGENT);
    assert_int_equal(s->params.profiles[0].lifetime, 2 * 86400);
    assert_string_equal(s->params.rules[0].groups[1], "b");
    assert_null(s->params.rules[0].groups[2]);
    assert_null(s->params.rules[0].profiles);
    acme_settings_free(s);
    s = settings_of("http_port: 8080");
    assert_int_equal(s->params.profiles_len, 4);
    assert_int_equal(s->params.rules_len, 0);
    assert_null(s->dns);
    acme_settings_free(s);
}

static void test_keys(void **state)
{
    static const char file[] = "# id key\n"
                               "device-7\tMDEyMzQ1Njc4OWFiY2RlZg\r\n"
                               "  device-8   MDEyMzQ1Njc4OWFiY2RlZg  \n"
                               "short MDEy\n"
                               "padded MDEyMzQ1Njc4OWFiY2RlZg==\n"
                               "more MDEyMzQ1Njc4OWFiY2RlZg x\n"
                               "nothing\n"
                               "last MDEyMzQ1Njc4OWFiY2RlZg";
    static const struct {
        const char *id;
        bool found;
    } rows[] = {{"device-7", true},   {"device-8", true}, {"last", true},    {"device-9", false},
                {"device", false},    {"short", false},   {"padded", false}, {"more", false},
                {"nothing", false},   {"", false},        {"#", false},      {"id", false},
                {"device-7\t", false}};
    char acme[256];
    const char *path = pki_path("keys");
    (void)state;
    snprintf(acme, sizeof(acme), "eab_file: %s", path);
    struct acme_settings *s = settings_of(acme);
    struct buf secret = {0};
    assert_false(acme_settings_eab(s, (struct str){"device-7", 8}, &secret)); /* no file */
    for (unsigned mode = 0600; mode <= 0644; mode += 044) {
        assert_int_equal(file_write_atomic(path, mode, file, strlen(file), NULL), 0);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            struct buf found = {0};
            if (acme_settings_eab(s, (struct str){rows[i].id, strlen(rows[i].id)}, &found) !=
                (rows[i].found && mode == 0600))
                fail_msg("'%s', mode %o", rows[i].id, mode);
            buf_free(&found);
        }
    }
    buf_free(&secret);
    acme_settings_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_redirects), cmocka_unit_test(test_settings),
                                       cmocka_unit_test(test_keys)};
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
