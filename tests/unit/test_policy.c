/* SPDX-License-Identifier: Apache-2.0 */
/* The policy: who may use which route and reach which target, and what must not get around a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/str.h"
#include "policy/policy.h"

#define LIST_MAX 4

/* A row as the tests write it. who: "group=ops|dev name=al*" or "any". */
struct plan {
    const char *name;
    bool deny;
    const char *who;
    const char *targets[LIST_MAX];
    uint32_t routes[LIST_MAX];
    size_t route_count;
};

static size_t list_len(const char *const *list)
{
    size_t n = 0;
    while (n < LIST_MAX && list[n] != NULL)
        n++;
    return n;
}

static enum identity_kind kind_of(const char *name)
{
    for (int k = 0; k < IDENTITY_KINDS; k++)
        if (strcmp(identity_kind_name((enum identity_kind)k), name) == 0)
            return (enum identity_kind)k;
    fail_msg("no kind %s", name);
    return IDENTITY_NAME;
}

struct who_space {
    char text[128];
    const char *patterns[LIST_MAX][LIST_MAX];
    struct policy_who who[LIST_MAX];
};

static void read_who(const char *text, struct who_space *s, struct policy_row *row)
{
    snprintf(s->text, sizeof(s->text), "%s", text);
    char *rest, *save = NULL;
    for (char *word = strtok_r(s->text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        if (equals == NULL) {
            row->who_proven = strcmp(word, "proven") == 0;
            row->who_any = !row->who_proven;
            continue;
        }
        *equals = '\0';
        size_t i = row->who_count++;
        s->who[i] = (struct policy_who){kind_of(word), s->patterns[i], 0};
        for (char *p = strtok_r(equals + 1, "|", &save); p != NULL; p = strtok_r(NULL, "|", &save))
            s->patterns[i][s->who[i].count++] = p;
    }
    row->who = s->who;
}

static struct policy *build(const struct plan *plans, size_t count, struct err *err)
{
    static struct who_space spaces[16];
    struct policy_row rows[16];
    assert_true(count <= 16);
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct policy_row){
            .name = plans[i].name,
            .deny = plans[i].deny,
            .routes = plans[i].routes,
            .route_count = plans[i].route_count,
            .targets = plans[i].targets,
            .target_count = list_len(plans[i].targets),
        };
        read_who(plans[i].who, spaces + i, rows + i);
    }
    return policy_build(rows, count, err);
}

static struct identity *alice(void)
{
    static const struct identity_fact facts[] = {
        {IDENTITY_NAME, "alice"},
        {IDENTITY_DNS, "Laptop.Staff.example"},
        {IDENTITY_EMAIL, "alice@example.com"},
        {IDENTITY_GROUP, "ops"},
        {IDENTITY_GROUP, "db"},
        {IDENTITY_URI, "spiffe://x/ops/alice"},
        {IDENTITY_ISSUER, "Staff CA 1"},
    };
    return identity_make(facts, ARRAY_LEN(facts));
}

/* "allow RULE", "deny RULE", "deny -" (no rule), "ask", or "ask, by name" where a row allows the name. */
static void expect(const char *what, struct policy_verdict v, const char *expected)
{
    char text[128];
    if (v.effect == POLICY_NEED_ADDRESS)
        snprintf(text, sizeof(text), "ask%s", v.by_name ? ", by name" : "");
    else
        snprintf(text, sizeof(text), "%s %s", v.effect == POLICY_ALLOW ? "allow" : "deny",
                 v.rule != NULL ? v.rule : "-");
    if (strcmp(text, expected) != 0)
        fail_msg("%s: found \"%s\", expected \"%s\"", what, text, expected);
}

static struct policy_verdict reach(const struct policy *p, const struct identity *id, const char *host,
                                   uint16_t port)
{
    struct policy_host h;
    struct err err;
    if (policy_host_parse(host, strlen(host), &h, &err) != 0)
        fail_msg("%s: %s", host, err.text);
    return policy_reach(p, 0, id, &h, port);
}

static struct policy_verdict reach_at(const struct policy *p, const struct identity *id, const char *host,
                                      const char *address, uint16_t port)
{
    struct policy_host h;
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    assert_int_equal(policy_host_parse(host, strlen(host), &h, NULL), 0);
    if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
        return policy_reach_address(p, 0, id, &h, (const struct sockaddr *)&in, port);
    assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
    return policy_reach_address(p, 0, id, &h, (const struct sockaddr *)&in6, port);
}

static void test_who(void **state)
{
    (void)state;
    static const struct {
        const char *who;
        bool alice, nobody;
    } cases[] = {
        {"any", true, true},
        {"name=alice", true, false},
        {"name=Alice", false, false},
        {"name=al*", true, false},
        {"name=lice", false, false},
        {"name=*", true, false},
        {"group=ops", true, false},
        {"group=op", false, false},
        {"group=dev|db", true, false},
        {"group=ops name=bob", false, false},
        {"group=ops name=bob|alice", true, false},
        {"any group=dev", false, false},
        {"dns=*.staff.EXAMPLE", true, false},
        {"dns=laptop", false, false},
        {"email=*@example.com", true, false},
        {"email=*@example.co", false, false},
        {"uri=spiffe://x/*", true, false},
        {"uri=spiffe://y/*", false, false},
        {"issuer=Staff*", true, false},
        {"proven", true, false},
        /* A value of one kind is nothing to another. */
        {"name=ops", false, false},
        {"group=alice", false, false},
    };
    struct identity *id = alice();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct plan row = {"r", false, cases[i].who, {NULL}, {0}, 0};
        struct err err;
        struct policy *p = build(&row, 1, &err);
        assert_non_null(p);
        expect(cases[i].who, policy_use_route(p, 0, id), cases[i].alice ? "allow r" : "deny -");
        expect(cases[i].who, policy_use_route(p, 0, NULL), cases[i].nobody ? "allow r" : "deny -");
        policy_free(p);
    }
    identity_free(id);
}

static void test_use(void **state)
{
    (void)state;
    static const struct plan rows[] = {
        {"no-mallory", true, "name=mallory", {NULL}, {0}, 0},
        {"not-inside", true, "any", {"*.inside:*"}, {0}, 0},
        {"ssh", false, "group=ops", {"*:22"}, {1}, 1},
        {"web", false, "group=ops", {NULL}, {2, 3}, 2},
        {"closed", true, "any", {NULL}, {4}, 1},
        {"late", false, "any", {NULL}, {4}, 1},
    };
    struct err err;
    struct policy *p = build(rows, ARRAY_LEN(rows), &err);
    struct identity *id = alice();
    static const struct identity_fact facts[] = {{IDENTITY_NAME, "mallory"}, {IDENTITY_GROUP, "ops"}};
    struct identity *mallory = identity_make(facts, 2);
    assert_non_null(p);
    expect("tunnel", policy_use_tunnel(p, 1, id), "allow ssh");
    expect("targets are for tunnels", policy_use_route(p, 1, id), "deny -");
    expect("web", policy_use_route(p, 2, id), "allow web");
    expect("web as tunnel", policy_use_tunnel(p, 3, id), "allow web");
    expect("other", policy_use_route(p, 0, id), "deny -");
    expect("closed", policy_use_route(p, 4, id), "deny closed");
    expect("closed", policy_use_tunnel(p, 4, NULL), "deny closed");
    expect("mallory", policy_use_tunnel(p, 1, mallory), "deny no-mallory");
    expect("mallory", policy_use_route(p, 2, mallory), "deny no-mallory");
    policy_free(p);
    p = build(NULL, 0, &err);
    expect("empty", policy_use_route(p, 0, id), "deny -");
    expect("empty", reach(p, id, "a.b", 1), "deny -");
    policy_free(p);
    identity_free(id);
    identity_free(mallory);
}

static void test_reach(void **state)
{
    (void)state;
    static const struct plan rows[] = {
        {"no-secrets", true, "any", {"vault.inside:*", "192.168.7.0/24:*"}, {0}, 0},
        {"ops",
         false,
         "group=ops",
         {"*.inside:22", "db.inside:5432-5440", "10.0.0.0/8:*", "[fd00::]/8:22"},
         {0},
         1},
        {"elsewhere", false, "group=ops", {"*:*"}, {9}, 1},
        {"use-only", false, "group=ops", {NULL}, {0}, 0},
        {"one", false, "any", {"192.168.0.0/16:443", "[::1]:1", "127.0.0.1:8-9"}, {0}, 0},
    };
    static const struct {
        const char *host;
        uint16_t port;
        const char *verdict;
    } cases[] = {
        {"10.1.2.3", 1, "allow ops"},
        {"10.1.2.3", 65535, "allow ops"},
        {"11.1.2.3", 1, "deny -"},
        {"::ffff:10.1.2.3", 1, "allow ops"},
        {"[::ffff:a01:203]", 1, "allow ops"},
        {"FD12::1", 22, "allow ops"},
        {"fd12::1", 23, "deny -"},
        {"fe80::1", 22, "deny -"},
        {"192.168.7.9", 443, "deny no-secrets"},
        {"::FFFF:192.168.7.9", 443, "deny no-secrets"},
        {"192.168.6.9", 443, "allow one"},
        {"192.168.6.9", 444, "deny -"},
        {"VAULT.inside.", 22, "deny no-secrets"},
        {"::1", 1, "allow one"},
        {"127.0.0.1", 7, "deny -"},
        {"127.0.0.1", 8, "allow one"},
        {"127.0.0.1", 9, "allow one"},
        {"127.0.0.1", 10, "deny -"},
        {"127.0.0.2", 8, "deny -"},
        /* Names, before their addresses are known. */
        {"a.inside", 22, "ask, by name"}, /* unless it leads to 192.168.7.0/24 */
        {"db.inside", 5436, "ask, by name"},
        {"inside", 7777, "ask"}, /* if it leads to 10.0.0.0/8 */
    };
    struct err err;
    struct policy *p = build(rows, ARRAY_LEN(rows), &err);
    struct identity *id = alice();
    assert_non_null(p);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(cases[i].host, reach(p, id, cases[i].host, cases[i].port), cases[i].verdict);
    expect("name", reach_at(p, id, "a.inside", "8.8.8.8", 22), "allow ops");
    expect("name", reach_at(p, id, "a.b.inside", "::ffff:192.168.7.1", 22), "deny no-secrets");
    expect("name", reach_at(p, id, "a.inside", "192.168.7.1", 22), "deny no-secrets");
    expect("name", reach_at(p, id, "elsewhere.example", "10.9.9.9", 80), "allow ops");
    expect("name", reach_at(p, id, "elsewhere.example", "9.9.9.9", 80), "deny -");
    expect("name", reach_at(p, id, "vault.inside", "10.9.9.9", 80), "deny no-secrets");
    expect("name", reach_at(p, NULL, "elsewhere.example", "10.9.9.9", 80), "deny -");
    expect("name", reach_at(p, NULL, "elsewhere.example", "192.168.1.1", 443), "allow one");
    policy_free(p);
    identity_free(id);
}

/* A star holds dots, too: who means one label denies two before. */
static void test_labels(void **state)
{
    (void)state;
    static const struct plan rows[] = {
        {"deep", true, "any", {"*.*.apps.test:*"}, {0}, 0},
        {"apps", false, "any", {"*.apps.test:*"}, {0}, 0},
    };
    struct identity *id = alice();
    struct policy *p = build(rows + 1, 1, NULL);
    expect("one label", reach(p, id, "x.apps.test", 22), "allow apps");
    expect("two labels", reach(p, id, "deep.x.apps.test", 22), "allow apps");
    policy_free(p);
    p = build(rows, 2, NULL);
    expect("one label, two denied", reach(p, id, "x.apps.test", 22), "allow apps");
    expect("two labels, two denied", reach(p, id, "deep.x.apps.test", 22), "deny deep");
    policy_free(p);
    identity_free(id);
}

/* When a name must be resolved, and when the answer is known before: nobody has names resolved that he may
 * not reach, and no address gets around a deny row. */
static void test_need_address(void **state)
{
    (void)state;
    static const struct {
        struct plan rows[3];
        const char *first; /* policy_reach(x.example:80) */
        const char *at_10; /* policy_reach_address(10.1.1.1) */
        const char *at_8;  /* policy_reach_address(8.8.8.8) */
    } cases[] = {
        {{{"a", false, "any", {"x.example:80"}, {0}, 0}}, "allow a", "allow a", "allow a"},
        {{{"a", false, "any", {"x.example:81"}, {0}, 0}}, "deny -", "deny -", "deny -"},
        {{{"a", false, "any", {"10.0.0.0/8:80"}, {0}, 0}}, "ask", "allow a", "deny -"},
        {{{"a", false, "any", {"10.0.0.0/8:81"}, {0}, 0}}, "deny -", "deny -", "deny -"},
        {{{"a", true, "any", {"10.0.0.0/8:*"}, {0}, 0}}, "deny -", "deny a", "deny -"},
        {{{"a", true, "any", {"10.0.0.0/8:*"}, {0}, 0}, {"b", false, "any", {"*:*"}, {0}, 0}},
         "ask, by name",
         "deny a",
         "allow b"},
        {{{"a", false, "any", {"*:*"}, {0}, 0}, {"b", true, "any", {"10.0.0.0/8:*"}, {0}, 0}},
         "allow a",
         "allow a",
         "allow a"},
        {{{"a", false, "any", {"10.0.0.0/8:*"}, {0}, 0}, {"b", true, "any", {NULL}, {0}, 0}},
         "ask",
         "allow a",
         "deny b"},
        {{{"a", false, "any", {"10.0.0.0/8:*"}, {0}, 0}, {"b", false, "any", {"*:80"}, {0}, 0}},
         "allow b",
         "allow a",
         "allow b"},
        {{{"a", true, "any", {"10.0.0.0/8:*"}, {0}, 0}, {"b", true, "any", {"*.example:*"}, {0}, 0}},
         "deny b",
         "deny a",
         "deny b"},
        {{{"a", true, "any", {"10.0.0.0/8:81"}, {0}, 0}, {"b", false, "any", {"*:*"}, {0}, 0}},
         "allow b",
         "allow b",
         "allow b"},
        {{{"a", true, "any", {"10.0.0.0/8:*"}, {0}, 0},
          {"b", false, "any", {"0.0.0.0/0:*"}, {0}, 0},
          {"c", true, "any", {NULL}, {0}, 0}},
         "ask",
         "deny a",
         "allow b"},
        /* Rows for others do not count. */
        {{{"a", true, "group=dev", {"10.0.0.0/8:*"}, {0}, 0}, {"b", false, "any", {"*:*"}, {0}, 0}},
         "allow b",
         "allow b",
         "allow b"},
        {{{"a", true, "any", {"10.0.0.0/8:*"}, {5}, 1}, {"b", false, "any", {"*:*"}, {0}, 0}},
         "allow b",
         "allow b",
         "allow b"},
        /* A deny row without targets is for all of them; an allow row without targets for none. */
        {{{"a", true, "any", {NULL}, {0}, 0}, {"b", false, "any", {"*:*"}, {0}, 0}},
         "deny a",
         "deny a",
         "deny a"},
        {{{"a", false, "any", {NULL}, {0}, 0}}, "deny -", "deny -", "deny -"},
        {{{"a", true, "any", {"[::]/0:*"}, {0}, 0}, {"b", false, "any", {"*:*"}, {0}, 0}},
         "ask, by name",
         "allow b",
         "allow b"},
    };
    struct identity *id = alice();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t count = 0;
        while (count < 3 && cases[i].rows[count].name != NULL)
            count++;
        struct err err;
        struct policy *p = build(cases[i].rows, count, &err);
        char what[16];
        snprintf(what, sizeof(what), "case %zu", i);
        expect(what, reach(p, id, "x.example", 80), cases[i].first);
        expect(what, reach_at(p, id, "x.example", "10.1.1.1", 80), cases[i].at_10);
        expect(what, reach_at(p, id, "x.example", "::ffff:10.1.1.1", 80), cases[i].at_10);
        expect(what, reach_at(p, id, "x.example", "8.8.8.8", 80), cases[i].at_8);
        expect(what, reach_at(p, id, "x.example", "0.0.0.0", 80), "deny -");
        expect(what, reach_at(p, id, "x.example", "::", 80), "deny -");
        expect(what, reach_at(p, id, "x.example", "::ffff:0.0.0.0", 80), "deny -");
        policy_free(p);
    }
    identity_free(id);
}

/* IPv6 addresses that a translator or tunnel leads to 10.1.2.3: a deny row for 10.0.0.0/8 holds against them,
 * an allow row does not open them. */
static void test_embedded(void **state)
{
    (void)state;
    static const struct plan denies[] = {
        {"no-10", true, "any", {"10.0.0.0/8:*"}, {0}, 0},
        {"rest", false, "any", {"*:*"}, {0}, 0},
    };
    static const struct plan allows[] = {
        {"no-one", true, "any", {"10.1.0.0/16:99"}, {0}, 0},
        {"only-10", false, "any", {"10.0.0.0/8:*"}, {0}, 0},
        {"all-v4", false, "any", {"0.0.0.0/0:*"}, {0}, 0},
    };
    static const struct {
        const char *address;
        bool leads_there;
    } cases[] = {
        {"64:ff9b::a01:203", true},
        {"64:ff9b::10.1.2.3", true},
        {"64:ff9b::b01:203", false},
        {"64:ff9b:0:0:0:1:a01:203", false},   /* not in the /96 */
        {"64:ff9b:1:a01:2:300::", true},      /* /48: bytes 6, 7, 9, 10 */
        {"64:ff9b:1:770a:1:203::", true},     /* /56: bytes 7, 9, 10, 11 */
        {"64:ff9b:1:7777:a:102:300::", true}, /* /64: bytes 9 to 12 */
        {"64:ff9b:1:7777::a01:203", true},    /* /96 */
        {"64:ff9b:1:7777:77:7777:7777:7777", false},
        {"64:ff9b:2::a01:203", false},
        {"2002:a01:203::1", true},
        {"2002:b01:203::a01:203", false},
        {"2003:a01:203::1", false},
        {"2001:0:808:808:0:0:f5fe:fdfc", true},  /* Teredo: the client, inverted */
        {"2001:0:a01:203:0:0:f7f7:f7f7", true},  /* ... its server */
        {"2001:0:808:808:0:0:a01:203", false},   /* ... a client at 245.254.253.252 */
        {"2001:1:a01:203:0:0:f5fe:fdfc", false}, /* not Teredo */
        {"::ffff:0:10.1.2.3", true},
        {"::ffff:0:11.1.2.3", false},
        {"::ffff:1:10.1.2.3", false},
        {"::10.1.2.3", true},
        {"::1", false},
        {"2001:db8::a01:203", false},
    };
    struct err err;
    struct policy *deny = build(denies, ARRAY_LEN(denies), &err),
                  *allow = build(allows, ARRAY_LEN(allows), &err);
    assert_non_null(deny);
    assert_non_null(allow);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *address = cases[i].address, *denied = cases[i].leads_there ? "deny no-10" : "allow rest";
        expect(address, reach(deny, NULL, address, 80), denied);
        expect(address, reach_at(deny, NULL, "x.example", address, 80), denied);
        expect(address, reach(allow, NULL, address, 80), "deny -");
        expect(address, reach_at(allow, NULL, "x.example", address, 80), "deny -");
        expect(address, reach_at(allow, NULL, "x.example", address, 99),
               cases[i].leads_there ? "deny no-one" : "deny -");
    }
    /* All of IPv4 does not take this machine's own ::1 along. */
    static const struct plan v4[] = {{"no-v4", true, "any", {"0.0.0.0/0:*"}, {0}, 0},
                                     {"rest", false, "any", {"*:*"}, {0}, 0}};
    struct policy *no_v4 = build(v4, ARRAY_LEN(v4), &err);
    assert_non_null(no_v4);
    expect("::1", reach(no_v4, NULL, "::1", 80), "allow rest");
    expect("6to4", reach(no_v4, NULL, "2002::1", 80), "deny no-v4");
    expect("IPv4", reach(no_v4, NULL, "10.1.2.3", 80), "deny no-v4");
    policy_free(no_v4);
    policy_free(allow);
    policy_free(deny);
}

static void test_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name; /* NULL: refused */
        bool is_address;
    } cases[] = {
        {"DB.Inside", "db.inside", false},
        {"db.inside.", "db.inside", false},
        {"localhost", "localhost", false},
        {"_srv.a-b.x1", "_srv.a-b.x1", false},
        {"1.example", "1.example", false},
        {"0x7f.example", "0x7f.example", false},
        {"0xg", "0xg", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"::1", "::1", true},
        {"[::1]", "::1", true},
        {"2001:DB8:0:0::1", "2001:db8::1", true},
        {"::ffff:127.0.0.1", "127.0.0.1", true},
        {"::FFFF:7F00:1", "127.0.0.1", true},
        {"0:0:0:0:0:ffff:7f00:0001", "127.0.0.1", true},
        {"127.1", NULL, false},
        {"127.0.1", NULL, false},
        {"127.0.0.1.", NULL, false},
        {"127.0.0.01", NULL, false},
        {"0177.0.0.1", NULL, false},
        {"0x7f.1", NULL, false},
        {"0X7F.0x0.0x0.0x1", NULL, false},
        {"a.0x1", NULL, false},
        {"a.0x", NULL, false},
        {"0x7f000001", NULL, false},
        {"0x7f000001.", NULL, false},
        {"2130706433", NULL, false},
        {"1.2.3.4.5", NULL, false},
        {"256.0.0.1", NULL, false},
        {"example.1", NULL, false},
        {"0", NULL, false},
        {"0.0.0.0", NULL, false},
        {"::", NULL, false},
        {"[::]", NULL, false},
        {"::ffff:0.0.0.0", NULL, false},
        {"::ffff:127.1", NULL, false},
        {"fe80::1%eth0", NULL, false},
        {"fe80::1%25eth0", NULL, false},
        {"[127.0.0.1]", NULL, false},
        {"[::1", NULL, false},
        {"[]", NULL, false},
        {"[", NULL, false},
        {"[db.inside]", NULL, false},
        {"::1]", NULL, false},
        {"127.0.0.1 x", NULL, false},
        {" 127.0.0.1", NULL, false},
        {"127.0.0.1\n", NULL, false},
        {"127\xe3\x80\x82"
         "0.0.1",
         NULL, false},
        {"a..b", NULL, false},
        {".a", NULL, false},
        {"a..", NULL, false},
        {".", NULL, false},
        {"", NULL, false},
        {"*.inside", NULL, false},
        {"a/b", NULL, false},
        {"a@b", NULL, false},
        {"db.inside:22", NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_host h;
        struct err err = {""};
        int rc = policy_host_parse(cases[i].text, strlen(cases[i].text), &h, &err);
        if ((rc == 0) != (cases[i].name != NULL) || (rc != 0 && err.text[0] == '\0'))
            fail_msg("\"%s\": %d \"%s\"", cases[i].text, rc, err.text);
        for (const char *c = err.text; *c != '\0'; c++)
            assert_true(*c >= ' ' && *c <= '~');
        if (rc == 0) {
            assert_string_equal(h.name, cases[i].name);
            assert_int_equal(h.is_address, cases[i].is_address);
        }
    }
    struct policy_host h;
    struct err err;
    assert_int_equal(policy_host_parse("a\0.inside", 9, &h, &err), -1);
    char name[300];
    for (size_t i = 0; i < sizeof(name); i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    assert_int_equal(policy_host_parse(name, 253, &h, &err), 0);
    assert_int_equal(policy_host_parse(name, 254, &h, &err), -1);
    assert_int_equal(policy_host_parse(name, 300, &h, &err), -1);
    name[253] = '.';
    assert_int_equal(policy_host_parse(name, 254, &h, &err), 0);
    assert_int_equal(strlen(h.name), 253);
    memset(name, 'a', sizeof(name));
    assert_int_equal(policy_host_parse(name, 63, &h, &err), 0);
    assert_int_equal(policy_host_parse(name, 64, &h, &err), -1);
}

/* Rows that allow speak of byte streams, or of datagrams; rows that deny without saying which speak of both.
 */
static void test_datagrams(void **state)
{
    (void)state;
    static const struct plan rows[] = {
        {"no", true, "any", {"vault.inside:*", "udp:db.inside:*"}, {0}, 0},
        {"ops", false, "any", {"*.inside:*", "udp:*.inside:53"}, {0}, 0},
    };
    static const struct {
        const char *host;
        uint16_t port;
        bool udp;
        enum policy_effect effect;
    } asks[] = {
        {"a.inside", 53, false, POLICY_ALLOW},    {"a.inside", 53, true, POLICY_ALLOW},
        {"a.inside", 22, false, POLICY_ALLOW},    {"a.inside", 22, true, POLICY_DENY},
        {"vault.inside", 53, false, POLICY_DENY}, {"vault.inside", 53, true, POLICY_DENY},
        {"db.inside", 53, false, POLICY_ALLOW},   {"db.inside", 53, true, POLICY_DENY},
    };
    struct err err;
    struct policy *p = build(rows, ARRAY_LEN(rows), &err);
    assert_non_null(p);
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        struct policy_host h;
        assert_int_equal(policy_host_parse(asks[i].host, strlen(asks[i].host), &h, &err), 0);
        h.space = asks[i].udp ? POLICY_UDP : POLICY_TCP;
        assert_int_equal(policy_reach(p, 0, NULL, &h, asks[i].port).effect, asks[i].effect);
    }
    policy_free(p);
}

static void test_targets(void **state)
{
    (void)state;
    static const char *const good[] = {
        "*:*",           "*:443",          "*.inside:22",      "db.inside:5432-5440",
        "DB.inside.:22", "db*.x:1-65535",  "10.0.0.0/8:*",     "10.1.2.3:22",
        "0.0.0.0/0:*",   "10.1.2.3/32:22", "[::1]:22",         "[fd00::]/8:22",
        "[fd00::/8]:22", "[::]/0:*",       "localhost:80-80",  "**.inside:22",
        "*-db.inside:1", "udp:*:*",        "udp:ns.inside:53", "udp:[fd00::]/8:53",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct err err;
        if (policy_target_check(good[i], &err) != 0)
            fail_msg("%s: %s", good[i], err.text);
    }
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"", "no port"},
        {"db.inside", "no port"},
        {"db.inside:", "port \"\""},
        {":22", "no host"},
        {"db.inside:0", "port \"0\""},
        {"db.inside:65536", "port \"65536\""},
        {"db.inside:ssh", "port \"ssh\""},
        {"db.inside:1-", "port \"\""},
        {"db.inside:-1", "port \"\""},
        {"db.inside:9-8", "lower one first"},
        {"db.inside:1-2-3", "port \"2-3\""},
        {"fd00::/8:22", "in brackets"},
        {"::1", "in brackets"},
        {"[fd00::1:22", "without ']'"},
        {"[fd00::1]x:22", "after ']'"},
        {"[fd00::1]", "no port"},
        {"[db.inside]:22", "expected an address"},
        {"[10.0.0.1]:22", "IPv4 in brackets"},
        {"[::ffff:10.0.0.0]/104:22", "IPv4 in brackets"},
        {"10.0.0.0/33:22", "/0 to /32"},
        {"10.0.0.0/:22", "/0 to /32"},
        {"10.0.0.0/-1:22", "/0 to /32"},
        {"10.0.0.0/8/8:22", "/0 to /32"},
        {"[fd00::]/129:22", "/0 to /128"},
        {"10.1.0.0/8:22", "expected 10.0.0.0/8"},
        {"[fd00::1]/8:22", "expected fd00::/8"},
        {"db.inside/8:22", "expected an address"},
        {"*/8:22", "expected an address"},
        {"*.*:22", "part of an address"},
        {"10.*:22", "part of an address"},
        {"10.0.0.*:22", "part of an address"},
        {"127.1:22", "part of an address"},
        {"010.0.0.1:22", "part of an address"},
        {"2130706433:22", "part of an address"},
        {"0x7f.1:22", "expected a DNS name"},
        {"a..b:22", "expected a DNS name"},
        {"a b:22", "expected a DNS name"},
        {"[]:22", "no host"},
        {"nam:app.test", "unknown kind 'nam:'; known: name:, offer:, public:"},
        {"Name:app.test", "unknown kind 'Name:'"},
        {"publik:*.test:80", "unknown kind 'publik:'"},
        {"localhost:ssh", "port \"ssh\""},
        {"name:app.test:22", "found a port"},
        {"certify:app.test:443", "found a port"},
        {"certify:", "found no name"},
        {"public:app.test:http", "port \"http\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = {""};
        if (policy_target_check(bad[i].text, &err) == 0 || strstr(err.text, bad[i].error) == NULL)
            fail_msg("\"%s\": \"%s\" does not say \"%s\"", bad[i].text, err.text, bad[i].error);
    }
}

static void test_build_errors(void **state)
{
    (void)state;
    static const char *const none[1];
    struct policy_who who = {IDENTITY_GROUP, none, 0};
    struct policy_row row = {.name = "ops"};
    struct err err;
    assert_null(policy_build(&row, 1, &err));
    assert_string_equal(err.text,
                        "policy row ops: who is empty, so the row would match nobody: expected a key such as "
                        "group, or any: true");
    row.who = &who;
    row.who_count = 1;
    assert_null(policy_build(&row, 1, &err));
    assert_non_null(strstr(err.text, "who: group is an empty list"));
    struct plan plans[] = {{"a", false, "any", {"x:1"}, {0}, 0},
                           {"b", false, "group=g", {"y:1", "z"}, {0}, 0}};
    assert_null(build(plans, 2, &err));
    assert_non_null(strstr(err.text, "policy row b: target \"z\": found no port"));
}

static void test_denial(void **state)
{
    (void)state;
    static const struct plan rows[] = {
        {"closed", true, "any", {"vault.inside:*"}, {0}, 0},
        {"use", false, "group=ops", {NULL}, {0}, 0},
        {"web", false, "group=ops", {"*.web:443"}, {0}, 0},
        {"ops", false, "group=ops", {"*.inside:22"}, {0}, 0},
    };
    struct err err;
    char text[POLICY_TEXT_MAX];
    struct policy *p = build(rows, ARRAY_LEN(rows), &err);
    struct identity *id = alice();
    struct policy_verdict v = reach(p, id, "db.inside", 5432);
    assert_string_equal(
        policy_denial(&v, id, "reach db.inside:5432", NULL, text),
        "no rule lets alice reach db.inside:5432 (rule ops allows other ports of it: *.inside:22)");
    assert_true(v.near_port);
    v = reach(p, id, "elsewhere", 22);
    assert_string_equal(v.near_target, "*.inside:22");
    assert_false(v.near_port);
    v = reach(p, id, "vault.inside", 22);
    assert_string_equal(policy_denial(&v, id, "reach vault.inside:22", NULL, text),
                        "rule closed does not let alice reach vault.inside:22");
    v = reach(p, NULL, "db.inside", 22);
    assert_string_equal(policy_denial(&v, NULL, "reach db.inside:22", NULL, text),
                        "no rule lets a client without a certificate reach db.inside:22");
    policy_free(p);
    p = build(rows + 1, 1, &err);
    v = reach(p, id, "db.inside", 22);
    assert_string_equal(policy_denial(&v, id, "reach db.inside:22", NULL, text),
                        "no rule lets alice reach db.inside:22 (rule use has no targets)");
    policy_free(p);
    identity_free(id);
}

/* Of what an agent may offer: a port that is not allowed is near to the ports that are, a name to the name.
 */
static void test_denial_of_a_port(void **state)
{
    (void)state;
    static const struct plan rows[] = {
        {"agents",
         false,
         "group=ops",
         {"offer:*.apps", "public:*.apps", "public:*.apps:20000-20999"},
         {0},
         0},
        {"ports", false, "group=ops", {"public:*.ports:1-9"}, {0}, 0},
    };
    static const struct {
        const char *name;
        uint16_t port;
        const char *near;
    } cases[] = {
        {"x.apps", 21000, "(rule agents allows other ports of it: public:*.apps:20000-20999)"},
        {"x.ports", 10, "(rule ports allows other ports of it: public:*.ports:1-9)"},
        {"x.ports", 0, "(rule ports allows public:*.ports:1-9)"},
        {"x.other", 20000, "(rule agents allows public:*.apps:20000-20999)"},
        {"x.other", 0, "(rule agents allows public:*.apps)"},
    };
    struct err err;
    char text[POLICY_TEXT_MAX];
    struct policy *p = build(rows, ARRAY_LEN(rows), &err);
    struct identity *id = alice();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_host host;
        assert_int_equal(policy_host_parse(cases[i].name, strlen(cases[i].name), &host, &err), 0);
        host.space = POLICY_PUBLIC;
        struct policy_verdict v = policy_reach(p, 0, id, &host, cases[i].port);
        assert_non_null(strstr(policy_denial(&v, id, "offer it", NULL, text), cases[i].near));
    }
    policy_free(p);
    identity_free(id);
}

/* Is there a name that both patterns hold? */
static void test_patterns_meet(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool meet;
    } cases[] = {
        {"", "", true},          {"", "*", true},
        {"", "a", false},        {"a", "A", true},
        {"a", "b", false},       {"*", "*", true},
        {"*.x", "a.x", true},    {"*.x", "a.y", false},
        {"a*c", "*bc", true},    {"a*c", "*b", false},
        {"a*", "*b", true},      {"*.test", "app.*", true},
        {"**.x", "a.b.x", true}, {"*ab*", "*ba*", true},
        {"x.*.y", "x.y", false}, {"a*b*c", "abc", true},
        {"aa", "a", false},      {"a*a", "a", false},
        {"*a", "b*", true},      {"app.test", "app.test*", true},
    };
    char longer[300];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (str_globs_meet(cases[i].a, cases[i].b) != cases[i].meet ||
            str_globs_meet(cases[i].b, cases[i].a) != cases[i].meet)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
    memset(longer, 'a', sizeof(longer));
    longer[255] = '\0';
    assert_true(str_globs_meet(longer, longer));
    assert_false(str_globs_meet(longer, "b*"));
    longer[255] = 'a';
    longer[299] = '\0';
    assert_true(str_globs_meet(longer, "b") && str_globs_meet("b", longer));
}

/* A denial about what agents offer names the entry that is missing, and no entry about something else. */
static void test_denial_of_offers(void **state)
{
    (void)state;
    static const struct plan rows[] = {
        {"agents", false, "group=ops", {"offer:*.test", "public:*.test", "name:*"}, {0}, 0},
        {"games", false, "group=ops", {"public:game.test:100-200"}, {0}, 0},
    };
    static const struct {
        const char *name;
        enum policy_space space;
        uint16_t port;
        const char *missing, *near;
    } cases[] = {
        {"app.inside", POLICY_OFFER, 0, "offer:app.inside", "rule agents allows offer:*.test"},
        {"app.inside", POLICY_PUBLIC, 0, "public:app.inside", "rule agents allows public:*.test"},
        {"game.test", POLICY_PUBLIC, 300, "public:game.test:300",
         "rule games allows other ports of it: public:game.test:100-200"},
        {"app.test", POLICY_CERTIFY, 0, "certify:app.test", "no rule lets alice do it"}, /* by no offer: */
        {"app.inside", POLICY_TCP, 22, NULL, "no rule lets alice do it"},
    };
    struct err err;
    char text[POLICY_TEXT_MAX], would[64] = "";
    struct policy *p = build(rows, ARRAY_LEN(rows), &err);
    struct identity *id = alice();
    assert_non_null(p);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_host h;
        assert_int_equal(policy_host_parse(cases[i].name, strlen(cases[i].name), &h, &err), 0);
        h.space = cases[i].space;
        struct policy_verdict v = policy_reach(p, 0, id, &h, cases[i].port);
        assert_int_equal(v.effect, POLICY_DENY);
        policy_denial(&v, id, "do it", cases[i].missing, text);
        if (cases[i].missing != NULL)
            snprintf(would, sizeof(would), "with the target %s would", cases[i].missing);
        if (strstr(text, would) == NULL || strstr(text, cases[i].near) == NULL)
            fail_msg("case %zu: %s", i, text);
        if (cases[i].missing == NULL)
            assert_string_equal(text, cases[i].near);
        would[0] = '\0';
    }
    identity_free(id);
    policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who),
        cmocka_unit_test(test_use),
        cmocka_unit_test(test_reach),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_need_address),
        cmocka_unit_test(test_embedded),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_build_errors),
        cmocka_unit_test(test_denial),
        cmocka_unit_test(test_denial_of_a_port),
        cmocka_unit_test(test_denial_of_offers),
        cmocka_unit_test(test_patterns_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
