/* SPDX-License-Identifier: Apache-2.0 */
/* The route table: what it refuses to be built from, what it finds, and the rule of precedence against a
 * second, slow and plain implementation of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "route/names.h"
#include "route/route.h"

static const struct hash_key key = {1, 2};

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint32_t below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % n;
}

#define LIST_MAX 4

/* A rule as the tests write it: lists end at the first NULL. */
struct plan {
    const char *name;
    const char *sni[LIST_MAX]; /* none: any */
    const char *alpn[LIST_MAX];
    uint32_t listeners[LIST_MAX];
    size_t listener_count;
    uint32_t kinds; /* 0: kind 0 */
};

static size_t list_len(const char *const *list)
{
    size_t n = 0;
    while (n < LIST_MAX && list[n] != NULL)
        n++;
    return n;
}

static int add(struct route_builder *b, uint32_t id, const struct plan *p, struct err *err)
{
    struct route_rule rule = {
        .id = id,
        .name = p->name,
        .listeners = p->listeners,
        .listener_count = p->listener_count,
        .kinds = p->kinds != 0 ? p->kinds : 1,
        .any_sni = p->sni[0] == NULL,
        .sni = p->sni,
        .sni_count = list_len(p->sni),
        .alpn = p->alpn,
        .alpn_count = list_len(p->alpn),
    };
    return route_builder_add(b, &rule, err);
}

/* The id of each rule is its place. */
static struct route_table *build(const struct plan *plans, size_t count, struct err *err)
{
    struct route_builder *b = route_builder_new(&key);
    assert_non_null(b);
    for (size_t i = 0; i < count; i++)
        if (add(b, (uint32_t)i, plans + i, err) != 0) {
            route_builder_free(b);
            return NULL;
        }
    return route_builder_finish(b, err);
}

/* "h2,http/1.1" as a ProtocolNameList. */
static size_t wire(const char *list, uint8_t *out)
{
    size_t len = 0;
    while (list != NULL && *list != '\0') {
        size_t n = strcspn(list, ",");
        out[len++] = (uint8_t)n;
        memcpy(out + len, list, n);
        len += n;
        list += n + (list[n] == ',');
    }
    return len;
}

static struct route_query query(const char *sni, const char *alpn, uint32_t listener, uint8_t kind)
{
    static uint8_t bytes[256];
    size_t len = wire(alpn, bytes);
    return (struct route_query){.listener = listener,
                                .kind = kind,
                                .sni = {sni, sni != NULL ? strlen(sni) : 0},
                                .alpn = bytes,
                                .alpn_len = len};
}

static struct route_match find(const struct route_table *t, const char *sni, const char *alpn,
                               uint32_t listener, uint8_t kind)
{
    struct route_query q = query(sni, alpn, listener, kind);
    return route_find(t, &q);
}

static void note_taken(void *arg, const struct route_trial *trial)
{
    uint32_t *taken = arg;
    if (trial->verdict != ROUTE_TAKES)
        return;
    assert_int_equal(*taken, ROUTE_NONE);
    *taken = trial->route;
}

/* The route that the trace says takes it. */
static uint32_t traced(const struct route_table *t, const char *sni, const char *alpn, uint32_t listener,
                       uint8_t kind)
{
    struct route_query q = query(sni, alpn, listener, kind);
    uint32_t taken = ROUTE_NONE;
    assert_int_equal(route_trace(t, &q, note_taken, &taken), 0);
    return taken;
}

static void expect(const struct route_table *t, const char *sni, const char *alpn, uint32_t route)
{
    struct route_match m = find(t, sni, alpn, 0, 0);
    if (m.route != route)
        fail_msg("%s [%s]: found %u, expected %u", sni != NULL ? sni : "(none)", alpn, m.route, route);
    assert_int_equal(traced(t, sni, alpn, 0, 0), route);
}

static void test_names(void **state)
{
    (void)state;
    static const struct plan plans[] = {
        {"exact", {"www.example.com", "Example.ORG."}, {NULL}, {0}, 0, 0},
        {"one", {"*.example.com"}, {NULL}, {0}, 0, 0},
        {"many", {"**.example.com"}, {NULL}, {0}, 0, 0},
        {"more", {"**.deep.example.com"}, {NULL}, {0}, 0, 0},
        {"none", {"none"}, {NULL}, {0}, 0, 0},
        {"h2", {NULL}, {"h2"}, {0}, 0, 0},
    };
    struct err err;
    struct route_table *t = build(plans, ARRAY_LEN(plans), &err);
    assert_non_null(t);
    expect(t, "www.example.com", "", 0);
    expect(t, "www.example.com.", "", 0);
    expect(t, "example.org", "", 0);
    expect(t, "a.example.com", "", 1);
    expect(t, "a.b.example.com", "", 2);
    expect(t, "deep.example.com", "", 1);
    expect(t, "a.deep.example.com", "", 3);
    expect(t, "a.b.deep.example.com", "", 3);
    expect(t, "example.com", "", ROUTE_NONE);
    expect(t, "example.com", "h2", 5);
    expect(t, "xexample.com", "", ROUTE_NONE);
    expect(t, NULL, "", 4);
    expect(t, NULL, "h2", 4);
    expect(t, "", "", 4);
    /* What is no name has the rules for any name, not those for clients without one. */
    expect(t, ".", "", ROUTE_NONE);
    expect(t, ".", "h2", 5);
    expect(t, ".example.com", "", ROUTE_NONE);
    expect(t, "a..example.com", "", ROUTE_NONE);
    expect(t, "..", "", ROUTE_NONE);
    expect(t, "*.example.com", "", 1);
    assert_int_equal(route_table_names(t), 5);
    route_table_free(t);
}

static void test_alpn_listener_kind(void **state)
{
    (void)state;
    static const struct plan plans[] = {
        {"h2", {"a.b"}, {"h2"}, {0}, 0, 0},           {"h1", {"a.b"}, {"http/1.1"}, {0}, 0, 0},
        {"acme", {"a.b"}, {"acme*"}, {0}, 0, 0},      {"acme-tls", {"a.b"}, {"acme-tls*"}, {0}, 0, 0},
        {"plain", {"a.b"}, {NULL}, {0}, 0, 0},        {"plain-1", {"a.b"}, {NULL}, {1}, 1, 0},
        {"wide", {"*.b"}, {"spdy"}, {0}, 0, 0},       {"ssh", {NULL}, {NULL}, {0}, 0, 2},
        {"high", {NULL}, {NULL}, {255}, 1, 1u << 31},
    };
    struct err err;
    struct route_table *t = build(plans, ARRAY_LEN(plans), &err);
    assert_non_null(t);
    expect(t, "a.b", "h2,http/1.1", 0);
    expect(t, "a.b", "http/1.1,h2", 1);
    expect(t, "a.b", "zzz,h2", 0);
    expect(t, "a.b", "acme-tls/1", 3);
    expect(t, "a.b", "acme", 2);
    expect(t, "a.b", "acme,acme-tls", 3);
    expect(t, "a.b", "acme-tls/1,h2", 0);
    expect(t, "a.b", "zzz", 4);
    expect(t, "a.b", "", 4);
    /* The exact name has a rule that holds for every ALPN, so the pattern's better ALPN is not asked for. */
    expect(t, "a.b", "spdy", 4);
    expect(t, "c.b", "spdy", 6);
    expect(t, "c.b", "h2", ROUTE_NONE);
    assert_int_equal(find(t, "a.b", "", 1, 0).route, 5);
    assert_int_equal(find(t, "a.b", "h2", 1, 0).route, 0);
    assert_int_equal(find(t, NULL, "", 0, 1).route, 7);
    assert_int_equal(find(t, "a.b", "", 0, 1).route, 7);
    assert_int_equal(find(t, NULL, "", 255, 31).route, 8);
    assert_int_equal(find(t, NULL, "", 254, 31).route, ROUTE_NONE);
    assert_int_equal(find(t, NULL, "", 256 + 255, 31).route, ROUTE_NONE);
    assert_int_equal(find(t, "a.b", "h2", UINT32_MAX, 0).route, 0);
    struct route_match m = find(t, "a.b", "acme,acme-tls/1", 0, 0);
    assert_true(str_is(m.alpn, "acme-tls/1"));
    assert_null(find(t, "a.b", "zzz", 0, 0).alpn.p);
    route_table_free(t);
}

/* What strangers send must be bounded in effect and never read past its end. */
static void test_hostile_queries(void **state)
{
    (void)state;
    static const struct plan plans[] = {
        {"h2", {"**.a", "a"}, {"h2"}, {0}, 0, 0},
        {"star", {NULL}, {"*"}, {0}, 0, 0},
    };
    struct err err;
    struct route_table *t = build(plans, ARRAY_LEN(plans), &err);
    assert_non_null(t);
    char name[400];
    for (size_t i = 0; i < sizeof(name); i++)
        name[i] = i % 2 == 0 ? 'a' : '.';
    static const uint8_t h2[] = {2, 'h', '2'};
    for (size_t len = 0; len < sizeof(name); len++) {
        struct route_query q = {.sni = {name, len}, .alpn = h2, .alpn_len = sizeof(h2)};
        bool fits = len > 0 && len <= 254;
        assert_int_equal(route_find(t, &q).route, fits ? 0 : 1);
    }
    /* Cut off after each byte; the list is on the heap so that a read past its end is seen. */
    static const uint8_t list[] = {1, 'x', 0, 2, 'h', '2'};
    for (size_t len = 0; len <= sizeof(list); len++) {
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, list, len);
        struct route_query q = {.sni = {"a", 1}, .alpn = copy, .alpn_len = len};
        assert_int_equal(route_find(t, &q).route, len == sizeof(list) ? 0 : len >= 2 ? 1 : ROUTE_NONE);
        free(copy);
    }
    static uint8_t crowd[65536];
    for (size_t i = 0; i < sizeof(crowd); i++)
        crowd[i] = i % 2 == 0 ? 1 : 'x';
    struct route_query q = {.sni = {"a", 1}, .alpn = crowd, .alpn_len = sizeof(crowd)};
    for (int i = 0; i < 1000; i++)
        assert_int_equal(route_find(t, &q).route, 1);
    memcpy(crowd + 2 * (ROUTE_ALPN_MAX - 1), h2, sizeof(h2));
    assert_int_equal(route_find(t, &q).route, 0);
    memset(crowd, 'x', sizeof(crowd));
    q.alpn_len = 3;
    assert_int_equal(route_find(t, &q).route, ROUTE_NONE);
    route_table_free(t);
}

/* Labels, found byte by byte. */
static size_t plain_labels(const char *p, size_t len, uint8_t *starts)
{
    size_t count = 0, start = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && p[i] != '.')
            continue;
        if (i == start)
            return 0;
        starts[count++] = (uint8_t)start;
        start = i + 1;
    }
    return count;
}

static void expect_labels(const char *text, size_t len)
{
    /* On the heap, so that a read outside the name is seen. */
    char *name = malloc(MAX(len, (size_t)1));
    assert_non_null(name);
    memcpy(name, text, len);
    uint8_t starts[NAME_MAX_LABELS], expected[256];
    size_t count = len <= NAME_MAX_LEN ? plain_labels(name, len, expected) : 0;
    assert_int_equal(name_labels(name, len, starts), count);
    assert_memory_equal(starts, expected, count);
    free(name);
}

static void test_labels(void **state)
{
    (void)state;
    /* Bytes that differ from a dot by one bit, or by the highest one, are none. */
    static const char bytes[] = "a-/,\xae\xff\x01*nN";
    char text[256] = "";
    for (size_t len = 0; len <= 255; len++) {
        for (size_t i = 0; i < len; i++)
            text[i] = bytes[i % (sizeof(bytes) - 1)];
        expect_labels(text, len);
        for (size_t at = 0; at < len; at++) {
            char was = text[at];
            text[at] = '.';
            expect_labels(text, len);
            text[at] = was;
        }
        for (size_t i = 0; i < len; i++)
            text[i] = i % 2 == 0 ? 'a' : '.';
        expect_labels(text, len);
        memset(text, '.', len);
        expect_labels(text, len);
    }
    for (int round = 0; round < 20000; round++) {
        size_t len = below(256);
        uint32_t dots = 2 + below(30);
        for (size_t i = 0; i < len; i++)
            text[i] = below(dots) == 0 ? '.' : 'a';
        expect_labels(text, len);
    }
}

/* "a.a.a" and so on, `labels` of them, the first one `first` bytes long; returns the length. */
static size_t deep_name(char text[512], size_t first, size_t labels)
{
    memset(text, 'a', first);
    for (size_t i = 1; i < labels; i++)
        memcpy(text + first + 2 * (i - 1), ".a", 2);
    text[first + 2 * (labels - 1)] = '\0';
    return first + 2 * (labels - 1);
}

static void test_deep_names(void **state)
{
    (void)state;
    char deepest[512], text[512], one[514];
    assert_int_equal(deep_name(deepest, 1, 127), NAME_MAX_LEN);
    deep_name(text, 1, 19);
    snprintf(one, sizeof(one), "*.%s", text);
    const struct plan plans[] = {
        {"exact", {deepest}, {"h2"}, {0}, 0, 0},
        {"one", {one}, {"h2"}, {0}, 0, 0},
        {"many", {"**.a.a", "**.a.a.a.a.a"}, {NULL}, {0}, 0, 0},
    };
    struct err err;
    struct route_table *t = build(plans, ARRAY_LEN(plans), &err);
    assert_non_null(t);
    expect(t, deepest, "h2", 0);
    expect(t, deepest, "", 2);
    for (size_t labels = 1; labels <= 127; labels++)
        for (int dot = 0; dot <= 1; dot++) {
            size_t len = deep_name(text, 1, labels);
            strcpy(text + len, dot != 0 ? "." : "");
            expect(t, text, "", labels > 2 ? 2 : ROUTE_NONE);
            expect(t, text, "h2", labels == 127 ? 0 : labels == 20 ? 1 : labels > 2 ? 2 : ROUTE_NONE);
            /* An empty label at the beginning, or at the end. */
            text[0] = '.';
            expect(t, text, "h2", ROUTE_NONE);
            deep_name(text, 1, labels);
            strcpy(text + len, "..");
            expect(t, text, "h2", ROUTE_NONE);
        }
    /* 253 bytes are a name, with a dot behind them too; 254 and 255 are none. */
    for (size_t first = 1; first <= 3; first++) {
        size_t len = deep_name(text, first, 127);
        expect(t, text, "", len == NAME_MAX_LEN ? 2 : ROUTE_NONE);
        strcpy(text + len, ".");
        expect(t, text, "", len == NAME_MAX_LEN ? 2 : ROUTE_NONE);
    }
    route_table_free(t);
}

static void test_bad_rules(void **state)
{
    (void)state;
    static const char long_label[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.com";
    static const struct {
        const char *sni, *alpn, *text;
    } cases[] = {
        {"a b.com", NULL, "a character other than"},
        {"a..com", NULL, "an empty label"},
        {".com", NULL, "an empty label"},
        {"", NULL, "0 bytes"},
        {".", NULL, "an empty label"},
        {"m\xc3\xbcller.de", NULL, "xn--"},
        {long_label, NULL, "more than 63"},
        {"-a.com", NULL, "begins or ends with '-'"},
        {"*", NULL, "for any name leave the list out"},
        {"a.*.com", NULL, "has a '*' where none can be"},
        {"***.com", NULL, "has a '*' where none can be"},
        {"*.", NULL, "0 bytes"},
        {"**.*.com", NULL, "has a '*' where none can be"},
        {"10.0.0.1", NULL, "looks like an address"},
        {"::1", NULL, "a character other than"},
        {"a.com", "", "0 bytes"},
        {"a.com", "h*2", "has a '*' inside"},
        {"a.com", "**", "has a '*' inside"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct plan p = {"broken", {cases[i].sni}, {cases[i].alpn}, {0}, 0, 0};
        struct err err = {""};
        assert_null(build(&p, 1, &err));
        if (strstr(err.text, cases[i].text) == NULL || strncmp(err.text, "route broken: ", 14) != 0)
            fail_msg("\"%s\": \"%s\" does not say \"%s\"", cases[i].sni, err.text, cases[i].text);
    }
    struct plan p = {"far", {NULL}, {NULL}, {ROUTE_LISTENERS_MAX}, 1, 0};
    struct err err;
    assert_null(build(&p, 1, &err));
    assert_non_null(strstr(err.text, "listener number 256"));
    char longest[257];
    memset(longest, 'a', 256);
    longest[256] = '\0';
    p = (struct plan){"long", {NULL}, {longest}, {0}, 0, 0};
    assert_null(build(&p, 1, &err));
    longest[255] = '*';
    struct route_table *t = build(&p, 1, &err);
    assert_non_null(t);
    route_table_free(t);
}

static void test_ties(void **state)
{
    (void)state;
    static const struct {
        struct plan a, b;
        const char *text; /* NULL: no tie */
    } cases[] = {
        {{"A", {"x.y"}, {NULL}, {0}, 0, 0},
         {"B", {"z.y", "X.y"}, {NULL}, {0}, 0, 0},
         "name x.y with ALPN any"},
        {{"A", {"*.y"}, {NULL}, {0}, 0, 0}, {"B", {"*.y"}, {NULL}, {0}, 0, 0}, "name *.y with"},
        {{"A", {"**.y"}, {"h2"}, {0}, 0, 0},
         {"B", {"**.y"}, {"h3", "h2"}, {0}, 0, 0},
         "name **.y with ALPN h2 on"},
        {{"A", {"*.y"}, {NULL}, {0}, 0, 0}, {"B", {"**.y"}, {NULL}, {0}, 0, 0}, NULL},
        {{"A", {"none"}, {NULL}, {0}, 0, 0}, {"B", {"none"}, {NULL}, {0}, 0, 0}, "name none with"},
        {{"A", {"none"}, {NULL}, {0}, 0, 0}, {"B", {NULL}, {NULL}, {0}, 0, 0}, NULL},
        {{"A", {NULL}, {"a*"}, {0}, 0, 0}, {"B", {NULL}, {"a*"}, {0}, 0, 0}, "name any with ALPN a* on"},
        {{"A", {NULL}, {"a*"}, {0}, 0, 0}, {"B", {NULL}, {"b*"}, {0}, 0, 0}, NULL},
        {{"A", {NULL}, {"a*"}, {0}, 0, 0}, {"B", {NULL}, {"a"}, {0}, 0, 0}, NULL},
        {{"A", {NULL}, {"*"}, {0}, 0, 0}, {"B", {NULL}, {NULL}, {0}, 0, 0}, NULL},
        {{"A", {NULL}, {NULL}, {0, 1}, 2, 0}, {"B", {NULL}, {NULL}, {1, 2}, 2, 0}, "A and B"},
        {{"A", {NULL}, {NULL}, {0, 1}, 2, 0}, {"B", {NULL}, {NULL}, {2}, 1, 0}, NULL},
        {{"A", {NULL}, {NULL}, {0, 1}, 2, 0}, {"B", {NULL}, {NULL}, {0}, 0, 0}, NULL},
        {{"A", {NULL}, {NULL}, {0}, 0, 1}, {"B", {NULL}, {NULL}, {0}, 0, 2}, NULL},
        {{"A", {NULL}, {NULL}, {0}, 0, 3}, {"B", {NULL}, {NULL}, {0}, 0, 2}, "A and B"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct plan both[] = {cases[i].a, cases[i].b};
        struct err err = {""};
        struct route_table *t = build(both, 2, &err);
        if ((t != NULL) != (cases[i].text == NULL) || (t == NULL && strstr(err.text, cases[i].text) == NULL))
            fail_msg("case %zu: \"%s\"", i, err.text);
        if (t == NULL)
            assert_non_null(strstr(err.text, "routes A and B "));
        route_table_free(t);
    }
    /* One route may say a thing twice. */
    struct plan twice = {"A", {"x.y", "X.Y.", "*.y", "*.y"}, {"h2", "h2"}, {0, 0}, 2, 0};
    struct err err;
    struct route_table *t = build(&twice, 1, &err);
    assert_non_null(t);
    assert_int_equal(route_table_names(t), 2);
    route_table_free(t);
}

static void test_names_file(void **state)
{
    (void)state;
    static const char text[] =
        "# customers\r\n\n  A.example \r\nb.example# second\n\tc.example.\nb.example\nd.example";
    struct plan p = {"file", {"z.example"}, {NULL}, {0}, 0, 0};
    struct err err;
    struct route_builder *b = route_builder_new(&key);
    assert_int_equal(add(b, 7, &p, &err), 0);
    assert_int_equal(route_builder_names(b, text, sizeof(text) - 1, &err), 0);
    struct route_table *t = route_builder_finish(b, &err);
    assert_non_null(t);
    assert_int_equal(route_table_names(t), 5);
    expect(t, "a.example", "", 7);
    expect(t, "b.example", "", 7);
    expect(t, "c.example", "", 7);
    expect(t, "d.example", "", 7);
    expect(t, "e.example", "", ROUTE_NONE);
    route_table_free(t);

    static const struct {
        const char *text, *error;
    } cases[] = {
        {"a.b\n\n*.c\n", "line 3: \"*.c\": expected an exact name"},
        {"a.b c.d\n", "line 1: "},
        {"ok.example\nbad_\x01.example", "line 2: "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        b = route_builder_new(&key);
        assert_int_equal(add(b, 7, &p, &err), 0);
        assert_int_equal(route_builder_names(b, cases[i].text, strlen(cases[i].text), &err), -1);
        assert_int_equal(strncmp(err.text, cases[i].error, strlen(cases[i].error)), 0);
        route_builder_free(b);
    }
    /* A list that turns out empty must not become "any". */
    struct route_rule empty = {.id = 1, .name = "hollow", .kinds = 1};
    b = route_builder_new(&key);
    assert_int_equal(route_builder_add(b, &empty, &err), 0);
    assert_int_equal(route_builder_names(b, "# nothing\n", 10, &err), 0);
    assert_null(route_builder_finish(b, &err));
    assert_non_null(strstr(err.text, "route hollow has an empty list"));
}

static void test_many_names(void **state)
{
    (void)state;
    enum { ROUTES = 40, NAMES = 1000 };
    struct err err;
    struct route_builder *b = route_builder_new(&key);
    for (uint32_t r = 0; r < ROUTES; r++) {
        struct plan p = {"many", {"first.example"}, {NULL}, {r}, 1, 0};
        assert_int_equal(add(b, r, &p, &err), 0);
        struct buf text = {0};
        for (uint32_t n = 0; n < NAMES; n++)
            assert_true(buf_printf(&text, "h%u.r%u.example\n", n, n % 3 == 0 ? 999 : r));
        assert_int_equal(route_builder_names(b, (const char *)text.data, text.len, &err), 0);
        buf_free(&text);
    }
    struct route_table *t = route_builder_finish(b, &err);
    assert_non_null(t);
    for (uint32_t r = 0; r < ROUTES; r++)
        for (uint32_t n = 0; n < NAMES; n++) {
            char name[64];
            snprintf(name, sizeof(name), "h%u.r%u.example", n, n % 3 == 0 ? 999 : r);
            assert_int_equal(find(t, name, "", r, 0).route, r);
            /* Names that all routes have are told apart by listener; the others belong to one. */
            assert_int_equal(find(t, name, "", r + 1, 0).route,
                             n % 3 == 0 && r + 1 < ROUTES ? r + 1 : ROUTE_NONE);
            snprintf(name, sizeof(name), "h%u.r%u.exampl", n, r);
            assert_int_equal(find(t, name, "", r, 0).route, ROUTE_NONE);
        }
    assert_true(route_table_bytes(t) / route_table_names(t) < 100);
    route_table_free(t);
}

static void collect(void *arg, const struct route_row *row)
{
    assert_true(buf_printf(arg, "%s: %s+%zu [%s]%s\n", row->name, row->sni, row->more, row->alpn,
                           row->names_listener ? " listeners" : ""));
}

static void test_explain(void **state)
{
    (void)state;
    static const struct plan plans[] = {
        {"any", {NULL}, {NULL}, {0}, 0, 0},
        {"any-here", {NULL}, {NULL}, {3}, 1, 0},
        {"acme", {NULL}, {"acme*"}, {0}, 0, 0},
        {"deep", {"**.a.b"}, {NULL}, {0}, 0, 0},
        {"wide", {"**.b"}, {NULL}, {0}, 0, 0},
        {"one", {"*.b", "none"}, {NULL}, {0}, 0, 0},
        {"www", {"x.b", "y.b"}, {"h2", "h*"}, {0}, 0, 0},
    };
    struct err err;
    struct route_table *t = build(plans, ARRAY_LEN(plans), &err);
    assert_non_null(t);
    struct buf text = {0};
    assert_int_equal(route_explain(t, collect, &text), 0);
    assert_string_equal(buf_text(&text), "www: x.b+1 [h2, h*]\n"
                                         "one: none+0 [any]\n"
                                         "one: *.b+0 [any]\n"
                                         "deep: **.a.b+0 [any]\n"
                                         "wide: **.b+0 [any]\n"
                                         "acme: any+0 [acme*]\n"
                                         "any-here: any+0 [any] listeners\n"
                                         "any: any+0 [any]\n");
    buf_free(&text);
    route_table_free(t);
    t = build(NULL, 0, &err);
    assert_non_null(t);
    expect(t, "a.b", "h2", ROUTE_NONE);
    assert_int_equal(route_explain(t, collect, &text), 0);
    route_table_free(t);
}

static void collect_trial(void *arg, const struct route_trial *trial)
{
    static const char *const words[] = {[ROUTE_TAKES] = "takes",     [ROUTE_OTHER_NAME] = "name",
                                        [ROUTE_OTHER_KIND] = "kind", [ROUTE_OTHER_LISTENER] = "listener",
                                        [ROUTE_OTHER_ALPN] = "alpn", [ROUTE_COMES_LATER] = "later"};
    assert_true(buf_printf(arg, "%s: %s [%s] %s\n", trial->name, trial->sni == NULL ? "-" : trial->sni,
                           trial->alpn, words[trial->verdict]));
}

static void test_trace(void **state)
{
    (void)state;
    static const struct plan plans[] = {
        {"any", {NULL}, {NULL}, {0}, 0, 0},
        {"any-here", {NULL}, {NULL}, {3}, 1, 0},
        {"ssh", {NULL}, {NULL}, {0}, 0, 2},
        {"deep", {"**.a.b"}, {NULL}, {0}, 0, 0},
        {"one", {"*.b", "**.b", "none"}, {NULL}, {0}, 0, 0},
        {"acme", {"x.b"}, {"acme*"}, {0}, 0, 0},
        {"www", {"x.b", "y.b"}, {"h2"}, {0}, 0, 0},
        {"old", {"x.b"}, {NULL}, {0}, 0, 0},
    };
    struct err err;
    struct route_table *t = build(plans, ARRAY_LEN(plans), &err);
    assert_non_null(t);
    struct buf text = {0};
    struct route_query q = query("x.b", "h2,x", 0, 0);
    assert_int_equal(route_trace(t, &q, collect_trial, &text), 0);
    assert_string_equal(buf_text(&text), "www: x.b [h2] takes\n"
                                         "acme: x.b [acme*] alpn\n"
                                         "old: x.b [any] later\n"
                                         "one: *.b [any] later\n"
                                         "one: **.b [any] later\n"
                                         "any-here: any [any] listener\n"
                                         "any: any [any] later\n"
                                         "ssh: any [any] kind\n"
                                         "deep: - [any] name\n");
    buf_free(&text);
    q = query(NULL, "", 3, 1);
    assert_int_equal(route_trace(t, &q, collect_trial, &text), 0);
    assert_non_null(strstr(buf_text(&text), "one: none [any] kind\n"
                                            "any-here: any [any] kind\n"
                                            "any: any [any] kind\n"
                                            "ssh: any [any] takes\n"));
    buf_free(&text);
    route_table_free(t);
}

/* The second implementation: ranks as triples of numbers, found by comparing texts.
 * ------------------------------ */

static const char *const all_patterns[] = {"b.c", "a.b.c", "*.c", "*.b.c", "**.c", "**.b.c", "none"};
static const char *const all_names[] = {NULL, "b.c", "a.b.c", "z.a.b.c", "z.b.c", "c", "d.c", "q", "b.c."};
static const char *const all_entries[] = {"h2", "x", "h*", "h2*", "*", "h2c"};
static const char *const all_protocols[] = {"h", "h2", "h2c", "h2d", "x", "y"};
enum { LISTENERS = 3, KINDS = 2, LISTS = 1 + 6 + 36 };

static void random_plan(struct plan *p)
{
    *p = (struct plan){.name = "random", .kinds = 1 + below(3)};
    for (uint32_t i = below(4); i > 0; i--)
        p->sni[i - 1] = all_patterns[below(ARRAY_LEN(all_patterns))];
    for (uint32_t i = below(3); i > 0; i--)
        p->alpn[i - 1] = all_entries[below(ARRAY_LEN(all_entries))];
    p->listener_count = below(2) * below(3);
    for (size_t i = 0; i < p->listener_count; i++)
        p->listeners[i] = below(LISTENERS);
}

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len > n && memcmp(text + len - n, end, n) == 0;
}

/* 0: does not match; more is more specific. */
static int sni_specificity(const char *pattern, const char *sni)
{
    if (pattern == NULL)
        return 1;
    if (sni == NULL || strcmp(pattern, "none") == 0)
        return sni == NULL && strcmp(pattern, "none") == 0 ? 1000 : 0;
    size_t len = strlen(sni);
    len -= sni[len - 1] == '.';
    if (strncmp(pattern, "**", 2) == 0) {
        int labels = 0;
        for (const char *p = pattern + 2; *p != '\0'; p++)
            labels += *p == '.';
        return ends_with(sni, len, pattern + 2) ? 1 + labels : 0;
    }
    if (pattern[0] == '*')
        return ends_with(sni, len, pattern + 1) && memchr(sni, '.', len - strlen(pattern + 1)) == NULL ? 999
                                                                                                       : 0;
    return strlen(pattern) == len && memcmp(pattern, sni, len) == 0 ? 1000 : 0;
}

/* Protocols of list number `l`: one of the 43 lists of up to two. */
static size_t list_of(uint32_t l, const char *ret[2])
{
    if (l == 0)
        return 0;
    ret[0] = all_protocols[l <= 6 ? l - 1 : (l - 7) / 6];
    ret[1] = all_protocols[(l - 1) % 6];
    return l <= 6 ? 1 : 2;
}

static int alpn_specificity(const struct plan *p, const char *const *protocols, size_t count)
{
    int best = p->alpn[0] == NULL ? 1 : 0;
    for (size_t e = 0; e < list_len(p->alpn); e++)
        for (size_t i = 0; i < count; i++) {
            size_t n = strlen(p->alpn[e]);
            int earlier = 10 - (int)i, rank = 0;
            if (strcmp(p->alpn[e], protocols[i]) == 0)
                rank = 100000 + earlier;
            else if (p->alpn[e][n - 1] == '*' && strncmp(p->alpn[e], protocols[i], n - 1) == 0)
                rank = 100 * (int)n + earlier;
            best = MAX(best, rank);
        }
    return best;
}

static int64_t rank_of(const struct plan *p, const char *pattern, const char *sni, uint32_t l,
                       uint32_t listener, uint32_t kind)
{
    const char *protocols[2];
    size_t count = list_of(l, protocols);
    int by_sni = sni_specificity(pattern, sni), by_alpn = alpn_specificity(p, protocols, count);
    bool here = p->listener_count == 0;
    for (size_t i = 0; i < p->listener_count; i++)
        here = here || p->listeners[i] == listener;
    if (by_sni == 0 || by_alpn == 0 || !here || (p->kinds >> kind & 1) == 0)
        return 0;
    return ((int64_t)by_sni << 32) + by_alpn * 2 + (p->listener_count > 0);
}

/* The best rule for a query; *tie is set when two rules have the same rank, be it the best or not. */
static uint32_t slow_find(const struct plan *plans, size_t count, const char *sni, uint32_t l,
                          uint32_t listener, uint32_t kind, bool *tie)
{
    int64_t best = 0, ranks[4][LIST_MAX] = {{0}};
    uint32_t route = ROUTE_NONE;
    for (uint32_t r = 0; r < count; r++)
        for (size_t i = 0; i < MAX(list_len(plans[r].sni), (size_t)1); i++) {
            ranks[r][i] = rank_of(plans + r, plans[r].sni[i], sni, l, listener, kind);
            for (uint32_t other = 0; other < r; other++)
                for (size_t k = 0; k < LIST_MAX; k++)
                    *tie = *tie || (ranks[r][i] != 0 && ranks[other][k] == ranks[r][i]);
            if (ranks[r][i] > best) {
                best = ranks[r][i];
                route = r;
            }
        }
    return route;
}

struct answers {
    uint32_t route[ARRAY_LEN(all_names)][LISTS][LISTENERS][KINDS];
    bool tie;
};

static void answer_all(const struct plan *plans, size_t count, struct answers *a)
{
    a->tie = false;
    for (size_t n = 0; n < ARRAY_LEN(all_names); n++)
        for (uint32_t l = 0; l < LISTS; l++)
            for (uint32_t i = 0; i < LISTENERS; i++)
                for (uint32_t k = 0; k < KINDS; k++)
                    a->route[n][l][i][k] = slow_find(plans, count, all_names[n], l, i, k, &a->tie);
}

static void compare_all(const struct route_table *t, const struct answers *a)
{
    for (size_t n = 0; n < ARRAY_LEN(all_names); n++)
        for (uint32_t l = 0; l < LISTS; l++)
            for (uint32_t i = 0; i < LISTENERS; i++)
                for (uint32_t k = 0; k < KINDS; k++) {
                    const char *protocols[2];
                    size_t count = list_of(l, protocols);
                    char text[16] = "";
                    for (size_t p = 0; p < count; p++)
                        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", p > 0 ? "," : "",
                                 protocols[p]);
                    assert_int_equal(find(t, all_names[n], text, i, (uint8_t)k).route, a->route[n][l][i][k]);
                    if (i == 0 && k == 0)
                        assert_int_equal(traced(t, all_names[n], text, i, (uint8_t)k), a->route[n][l][i][k]);
                }
}

static void test_precedence(void **state)
{
    (void)state;
    static struct answers a;
    int built = 0, refused = 0;
    for (int round = 0; round < 1500; round++) {
        struct plan plans[4];
        size_t count = 2 + below(ARRAY_LEN(plans) - 1);
        for (size_t i = 0; i < count; i++)
            random_plan(plans + i);
        answer_all(plans, count, &a);
        struct err err = {""};
        struct route_table *t = build(plans, count, &err);
        if ((t == NULL) != a.tie)
            fail_msg("round %d: tie %d, but the builder said \"%s\"", round, a.tie, err.text);
        if (t != NULL)
            compare_all(t, &a);
        built += t != NULL;
        refused += t == NULL;
        route_table_free(t);
    }
    assert_true(built > 100 && refused > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_alpn_listener_kind),
        cmocka_unit_test(test_labels),     cmocka_unit_test(test_deep_names),
        cmocka_unit_test(test_bad_rules),  cmocka_unit_test(test_hostile_queries),
        cmocka_unit_test(test_ties),       cmocka_unit_test(test_names_file),
        cmocka_unit_test(test_many_names), cmocka_unit_test(test_explain),
        cmocka_unit_test(test_trace),      cmocka_unit_test(test_precedence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
