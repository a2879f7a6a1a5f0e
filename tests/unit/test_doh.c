/* SPDX-License-Identifier: Apache-2.0 */
/* Whom settings say to ask by DNS over HTTPS, and the URLs that proxies are asked by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/doh.h"
#include "base/err.h"

#define TARGET "https://dns.test/dns-query"

static void test_urls(void **state)
{
    static const struct {
        const char *target, *proxy, *url; /* NULL: refused */
    } rows[] = {
        {TARGET, "https://p.test/q{?targethost,targetpath}",
         "https://p.test/q?targethost=dns.test&targetpath=%2Fdns-query"},
        {TARGET, "https://p.test/q", "https://p.test/q?targethost=dns.test&targetpath=%2Fdns-query"},
        {TARGET, "https://p.test/q?k=1", "https://p.test/q?k=1&targethost=dns.test&targetpath=%2Fdns-query"},
        {TARGET, "https://p.test/q?k=1{&targetpath,targethost}",
         "https://p.test/q?k=1&targetpath=%2Fdns-query&targethost=dns.test"},
        {TARGET, "https://p.test/{targethost}/{targetpath}", "https://p.test/dns.test/%2Fdns-query"},
        {TARGET, "https://p.test{/targethost}{+targetpath}", "https://p.test/dns.test/dns-query"},
        {TARGET, "https://p.test/q{?mine,targethost,targetpath}{&other}",
         "https://p.test/q?targethost=dns.test&targetpath=%2Fdns-query"},
        {"https://dns.test:8443", "https://p.test/q",
         "https://p.test/q?targethost=dns.test%3A8443&targetpath=%2F"},
        {"https://[::1]:1/a?b=c", "https://p.test/q",
         "https://p.test/q?targethost=%5B%3A%3A1%5D%3A1&targetpath=%2Fa%3Fb%3Dc"},
        {TARGET, "https://p.test/q{?targethost}", NULL},
        {TARGET, "https://p.test/q{?targetpath}", NULL},
        {TARGET, "https://p.test/q{?targethost*,targetpath}", NULL},
        {TARGET, "https://p.test/q{?targethost,targetpath", NULL},
        {TARGET, "https://p.test/q{?targethost,{targetpath}}", NULL},
        {TARGET, "https://p.test/q}{?targethost,targetpath}", NULL},
        {TARGET, "https://p.test/q{}", NULL},
        {"https://me@dns.test/", "https://p.test/q", NULL},
        {"https:///dns-query", "https://p.test/q", NULL},
        {"https://dns.test/a#b", "https://p.test/q", NULL},
        {"https://dns.test?b=c", "https://p.test/q", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct doh_resolver r = {.url = rows[i].target, .proxy = rows[i].proxy, .configs = "k"};
        enum doh_part part;
        struct buf url = {0};
        struct err err = {""};
        bool good = doh_put_proxy_url(&r, &url, &err) == 0;
        if (good != (rows[i].url != NULL) || (good && strcmp(buf_text(&url), rows[i].url) != 0))
            fail_msg("%s by %s: %s%s", rows[i].target, rows[i].proxy, good ? buf_text(&url) : "", err.text);
        assert_int_equal(doh_check(&r, &part, &err), good ? 0 : -1);
        buf_free(&url);
    }
}

static void test_settings(void **state)
{
    static const struct {
        const char *url, *proxy, *configs;
        enum doh_part part;
        const char *why; /* NULL: it is good */
    } rows[] = {
        {TARGET, NULL, NULL, DOH_URL, NULL},
        {TARGET, "https://p.test/", "k", DOH_URL, NULL},
        {"http://dns.test/", NULL, NULL, DOH_URL, "expected https://...: in the clear"},
        {"http://dns.test/", "https://p.test/", "k", DOH_URL, "expected https://...: in the clear"},
        {"https://me@dns.test/", "https://p.test/", "k", DOH_URL, "expected https://HOST[:PORT]/PATH"},
        {TARGET, "http://p.test/", "k", DOH_PROXY, "expected https://..."},
        {TARGET, "https://p.test/#a", "k", DOH_PROXY, "without '#'"},
        {TARGET, "https://p.test/{x}", "k", DOH_PROXY, "expected a URI template"},
        {TARGET, "https://DNS.test/proxy", "k", DOH_PROXY, "which is the resolver itself"},
        {TARGET, "https://p.test/", NULL, DOH_PROXY, "and no file of the resolver's keys"},
        {TARGET, NULL, "k", DOH_CONFIGS, "and no proxy"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct doh_resolver r = {.url = rows[i].url, .proxy = rows[i].proxy, .configs = rows[i].configs};
        enum doh_part part;
        struct err err = {""};
        bool good = doh_check(&r, &part, &err) == 0;
        if (good != (rows[i].why == NULL) ||
            (!good && (part != rows[i].part || strstr(err.text, rows[i].why) == NULL)))
            fail_msg("%s, %s: %s", r.url, r.proxy != NULL ? r.proxy : "-", err.text);
    }
}

static void test_copies(void **state)
{
    (void)state;
    const struct doh_resolver a = {.url = TARGET, .proxy = "https://p.test/", .configs = "k"};
    struct doh_resolver b = doh_copy(&a), c = b;
    assert_true(doh_same(&a, &b) && b.url != a.url);
    c.configs = "l";
    assert_false(doh_same(&a, &c));
    c = b;
    c.ca = "ca";
    assert_false(doh_same(&a, &c));
    doh_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
