/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a policy that can never decide: those that are found, and that nothing is found that does decide.
 */
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
#include "policy/policy.h"

#define LIST_MAX 4

/* A row: `who` is "any", or a kind and a pattern of each of its keys: "group=ops name=al*". */
struct plan {
    bool deny;
    const char *who;
    const char *targets[LIST_MAX];
    uint32_t routes[LIST_MAX];
    size_t route_count;
};

#define ROWS_MAX 6

struct made {
    struct policy *policy;
    struct plan plan[ROWS_MAX];
    size_t count;
    char found[256]; /* "2", or "2.0" for a target of a row */
    bool targets_count;
};

static size_t targets_of(const struct plan *p)
{
    size_t n = 0;
    while (n < LIST_MAX && p->targets[n] != NULL)
        n++;
    return n;
}

static const char *const names[] = {"r0", "r1", "r2", "r3", "r4", "r5"};

static void make(struct made *m)
{
    static struct policy_who who[ROWS_MAX][LIST_MAX];
    static const char *patterns[ROWS_MAX][LIST_MAX];
    static char text[ROWS_MAX][64];
    struct policy_row rows[ROWS_MAX];
    struct err err;
    for (size_t i = 0; i < m->count; i++) {
        const struct plan *p = &m->plan[i];
        rows[i] = (struct policy_row){.name = names[i],
                                      .deny = p->deny,
                                      .who = who[i],
                                      .who_any = strcmp(p->who, "any") == 0,
                                      .who_proven = strcmp(p->who, "proven") == 0,
                                      .routes = p->routes,
                                      .route_count = p->route_count,
                                      .targets = p->targets,
                                      .target_count = targets_of(p)};
        char *save;
        snprintf(text[i], sizeof(text[i]), "%s", rows[i].who_any || rows[i].who_proven ? "" : p->who);
        for (char *w = strtok_r(text[i], " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
            size_t n = rows[i].who_count++;
            patterns[i][n] = strchr(w, '=') + 1;
            who[i][n] = (struct policy_who){*w == 'g' ? IDENTITY_GROUP : IDENTITY_NAME, &patterns[i][n], 1};
        }
    }
    m->policy = policy_build(rows, m->count, &err);
    if (m->policy == NULL)
        fail_msg("%s", err.text);
}

static bool targets_count(void *arg, size_t row)
{
    (void)row;
    return ((struct made *)arg)->targets_count;
}

static void on_shadow(void *arg, const struct policy_shadow *s)
{
    struct made *m = arg;
    size_t len = strlen(m->found);
    char target[32] = "";
    assert_true(s->row < m->count && strcmp(s->by, names[s->row]) < 0);
    if (s->target != SIZE_MAX)
        snprintf(target, sizeof(target), ".%zu", s->target);
    snprintf(m->found + len, sizeof(m->found) - len, "%s%zu%s<%s", len > 0 ? " " : "", s->row, target, s->by);
}

static void test_found(void **state)
{
    (void)state;
    static const struct {
        struct plan rows[3];
        const char *found;
        bool no_targets; /* nobody asks these rows about any */
    } cases[] = {
        /* who */
        {{{false, "any", {"*:*"}, {0}, 0}, {false, "group=ops", {"a.test:1"}, {0}, 0}}, "1<r0", false},
        {{{true, "group=o*", {"*:*"}, {0}, 0}, {false, "group=ops", {"a.test:1"}, {0}, 0}}, "1<r0", false},
        {{{true, "group=ops", {"*:*"}, {0}, 0}, {false, "group=o*", {"a.test:1"}, {0}, 0}}, "", false},
        {{{true, "group=ops", {"*:*"}, {0}, 0}, {false, "any", {"a.test:1"}, {0}, 0}}, "", false},
        {{{true, "name=ops", {"*:*"}, {0}, 0}, {false, "group=ops", {"a.test:1"}, {0}, 0}}, "", false},
        {{{true, "group=ops", {"*:*"}, {0}, 0}, {false, "group=ops name=al", {"a.test:1"}, {0}, 0}},
         "1<r0",
         false},
        {{{true, "group=ops name=al", {"*:*"}, {0}, 0}, {false, "group=ops", {"a.test:1"}, {0}, 0}},
         "",
         false},
        {{{true, "group=OPS", {"*:*"}, {0}, 0}, {false, "group=ops", {"a.test:1"}, {0}, 0}}, "", false},
        /* routes */
        {{{true, "proven", {"*:*"}, {0}, 0}, {false, "group=ops", {"a.test:1"}, {0}, 0}}, "1<r0", false},
        {{{true, "proven", {"*:*"}, {0}, 0}, {false, "any", {"a.test:1"}, {0}, 0}}, "", false},
        {{{true, "any", {"*:*"}, {0}, 0}, {false, "proven", {"a.test:1"}, {0}, 0}}, "1<r0", false},
        {{{true, "any", {"*:*"}, {1}, 1}, {false, "any", {"a.test:1"}, {1}, 1}}, "1<r0", false},
        {{{true, "any", {"*:*"}, {1}, 1}, {false, "any", {"a.test:1"}, {0}, 0}}, "", false},
        {{{true, "any", {"*:*"}, {1, 2}, 2}, {false, "any", {"a.test:1"}, {2}, 1}}, "1<r0", false},
        {{{true, "any", {"*:*"}, {1}, 1}, {false, "any", {"a.test:1"}, {1, 2}, 2}}, "", false},
        /* targets */
        {{{true, "any", {"*.Test:*"}, {0}, 0}, {false, "any", {"a.test:1", "*.b.test:5-6"}, {0}, 0}},
         "1<r0",
         false},
        {{{true, "any", {"*.test:*"}, {0}, 0}, {false, "any", {"a.test:1", "b:1"}, {0}, 0}}, "1.0<r0", false},
        {{{false, "any", {"*.test:*"}, {0}, 0}, {false, "any", {"a.test:1", "b:1"}, {0}, 0}}, "", false},
        {{{true, "any", {"*.test:1-9"}, {0}, 0}, {false, "any", {"a.test:8-10"}, {0}, 0}}, "", false},
        {{{true, "any", {"*.test:*"}, {0}, 0}, {false, "any", {"*:1"}, {0}, 0}}, "", false},
        {{{true, "any", {"*.test:*"}, {0}, 0}, {false, "any", {"10.0.0.1:1"}, {0}, 0}}, "", false},
        {{{true, "any", {"10.0.0.0/8:*"}, {0}, 0}, {false, "any", {"10.1.0.0/16:1"}, {0}, 0}}, "1<r0", false},
        {{{true, "any", {"10.1.0.0/16:*"}, {0}, 0}, {false, "any", {"10.0.0.0/8:1"}, {0}, 0}}, "", false},
        {{{true, "any", {"[::]/0:*"}, {0}, 0}, {false, "any", {"10.0.0.0/8:1"}, {0}, 0}}, "", false},
        {{{true, "any", {"10.0.0.0/8:*"}, {0}, 0}, {false, "any", {"a.test:1"}, {0}, 0}}, "", false},
        {{{true, "any", {NULL}, {0}, 0}, {false, "any", {"a.test:1"}, {0}, 0}}, "1<r0", false},
        {{{false, "any", {NULL}, {0}, 0}, {false, "any", {"a.test:1"}, {0}, 0}}, "", false},
        {{{true, "any", {"a:1"}, {0}, 0},
          {true, "any", {"b:1"}, {0}, 0},
          {false, "any", {"a:1", "b:1"}, {0}, 0}},
         "2<r0",
         false},
        /* kinds of targets */
        {{{true, "any", {"*:*"}, {0}, 0}, {false, "any", {"udp:a.test:1"}, {0}, 0}}, "1<r0", false},
        {{{false, "any", {"*:*"}, {0}, 0}, {false, "any", {"udp:a.test:1"}, {0}, 0}}, "", false},
        {{{true, "any", {"*:*"}, {0}, 0}, {false, "any", {"name:a.test"}, {0}, 0}}, "", false},
        {{{true, "any", {"offer:*"}, {0}, 0}, {false, "any", {"offer:*.test"}, {0}, 0}}, "1<r0", false},
        {{{true, "any", {"public:*"}, {0}, 0}, {false, "any", {"public:a:80"}, {0}, 0}}, "", false},
        /* what is denied after it was allowed; over UDP too, where anybody may do that */
        {{{false, "any", {"*:*"}, {0}, 0}, {true, "any", {"a.test:1"}, {0}, 0}}, "1<r0", false},
        {{{false, "any", {"*:*"}, {0}, 0}, {true, "any", {"10.0.0.0/8:1"}, {0}, 0}}, "1<r0", false},
        {{{false, "any", {"10.0.0.0/8:*"}, {0}, 0}, {true, "any", {"10.0.0.0/8:1"}, {0}, 0}}, "", false},
        {{{false, "any", {"*:*", "udp:*:*"}, {0}, 0}, {true, "any", {"a.test:1"}, {0}, 0}}, "", false},
        {{{false, "any", {"*:*"}, {0}, 0}, {true, "any", {NULL}, {0}, 0}}, "", false},
        /* without targets */
        {{{true, "any", {NULL}, {0}, 0}, {false, "group=ops", {NULL}, {0}, 0}}, "1<r0", false},
        {{{false, "any", {NULL}, {0}, 0}, {false, "group=ops", {NULL}, {0}, 0}}, "1<r0", false},
        {{{false, "any", {NULL}, {0}, 0}, {true, "group=ops", {NULL}, {0}, 0}}, "", false},
        {{{false, "any", {NULL}, {0}, 0}, {true, "group=ops", {NULL}, {0}, 0}}, "1<r0", true},
        {{{true, "any", {"a.test:1"}, {0}, 0}, {false, "any", {NULL}, {0}, 0}}, "", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct made m = {.targets_count = !cases[i].no_targets};
        for (; m.count < 3 && cases[i].rows[m.count].who != NULL; m.count++)
            m.plan[m.count] = cases[i].rows[m.count];
        make(&m);
        policy_shadows(m.policy, targets_count, on_shadow, &m);
        if (strcmp(m.found, cases[i].found) != 0)
            fail_msg("case %zu: found \"%s\", expected \"%s\"", i, m.found, cases[i].found);
        policy_free(m.policy);
    }
}

/* ---- whatever is found decides nothing ---- */

static const char *const some_who[] = {"any",     "group=ops", "group=o*",
                                       "name=al", "name=*",    "group=ops name=al"};
static const char *const some_targets[] = {
    "*:*",           "*:1",         "*.test:*",     "a.test:1",         "a.test:1-2",     "10.0.0.0/8:*",
    "10.0.0.0/24:1", "udp:*:*",     "udp:a.test:1", "[::]/0:*",         "name:*",         "name:a.test",
    "offer:*",       "*test:2",     "*a*:1",        "[64:ff9b::]/96:*", "udp:10.0.0.1:1", "10.0.0.1:1",
    "name:a.*",      "offer:a.test"};

static uint32_t next_random(uint32_t *seed)
{
    return *seed = *seed * 1664525u + 1013904223u, *seed >> 8;
}

static void make_up(struct made *m, uint32_t *seed)
{
    *m = (struct made){.count = 2 + next_random(seed) % (ROWS_MAX - 1), .targets_count = true};
    for (size_t i = 0; i < m->count; i++) {
        struct plan *p = &m->plan[i];
        p->deny = next_random(seed) % 2 == 0;
        p->who = some_who[next_random(seed) % ARRAY_LEN(some_who)];
        for (size_t n = next_random(seed) % 4, k = 0; k < n; k++)
            p->targets[k] = some_targets[next_random(seed) % ARRAY_LEN(some_targets)];
        p->route_count = next_random(seed) % 3;
        for (size_t k = 0; k < p->route_count; k++)
            p->routes[k] = next_random(seed) % 3;
    }
}

/* The row that was said to decide nothing has decided; but of datagrams that nobody allows anything may. */
static void check_rule(const struct made *m, const struct policy_verdict *v, enum policy_space space)
{
    char alone[16];
    if (v->rule == NULL)
        return;
    size_t row = (size_t)(v->rule[1] - '0');
    snprintf(alone, sizeof(alone), " %zu<", row);
    if (strstr(m->found, alone) != NULL && !(space == POLICY_UDP && v->effect == POLICY_DENY))
        fail_msg("row %zu has decided, and is among: %s", row, m->found);
}

static void ask(const struct made *m, uint32_t route, const struct identity *id, const char *host,
                enum policy_space space, uint16_t port)
{
    static const char *const addresses[] = {"10.0.0.1", "10.1.0.1", "192.0.2.1", "64:ff9b::a00:1",
                                            "2001:db8::1"};
    struct policy_host h;
    struct err err;
    assert_int_equal(policy_host_parse(host, strlen(host), &h, &err), 0);
    h.space = space;
    struct policy_verdict v = policy_reach(m->policy, route, id, &h, port);
    check_rule(m, &v, space);
    for (size_t i = 0; i < ARRAY_LEN(addresses) && !h.is_address && space <= POLICY_UDP; i++) {
        struct sockaddr_storage sa = {0};
        struct sockaddr_in *v4 = (struct sockaddr_in *)&sa;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&sa;
        sa.ss_family = strchr(addresses[i], ':') != NULL ? AF_INET6 : AF_INET;
        assert_int_equal(inet_pton(sa.ss_family, addresses[i],
                                   sa.ss_family == AF_INET6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr),
                         1);
        v = policy_reach_address(m->policy, route, id, &h, (struct sockaddr *)&sa, port);
        check_rule(m, &v, space);
    }
}

static void ask_all(const struct made *m, const struct identity *id)
{
    static const char *const hosts[] = {"a.test",   "b.test",         "other",      "10.0.0.1",
                                        "10.0.1.1", "64:ff9b::a00:1", "2001:db8::1"};
    for (uint32_t route = 0; route < 3; route++) {
        for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
            for (uint16_t port = 1; port <= 3; port++) {
                ask(m, route, id, hosts[i], POLICY_TCP, port);
                ask(m, route, id, hosts[i], POLICY_UDP, port);
            }
        for (size_t i = 0; i < 3; i++) {
            ask(m, route, id, hosts[i], POLICY_NAME, 0);
            ask(m, route, id, hosts[i], POLICY_OFFER, 0);
        }
        struct policy_verdict v = policy_use_route(m->policy, route, id);
        check_rule(m, &v, POLICY_TCP);
    }
}

static void test_what_is_found_decides_nothing(void **state)
{
    (void)state;
    static const struct identity_fact facts[] = {
        {IDENTITY_NAME, "al"}, {IDENTITY_GROUP, "ops"}, {IDENTITY_NAME, "bo"}, {IDENTITY_GROUP, "odd"}};
    struct identity *ids[] = {NULL, identity_make(facts, 2), identity_make(facts + 2, 2)};
    uint32_t seed = 1;
    size_t found = 0;
    for (int turn = 0; turn < 2000; turn++) {
        struct made m;
        make_up(&m, &seed);
        make(&m);
        snprintf(m.found, sizeof(m.found), " "); /* so that each row has a space before it */
        policy_shadows(m.policy, targets_count, on_shadow, &m);
        found += strlen(m.found) > 1;
        for (size_t i = 0; i < ARRAY_LEN(ids) && strlen(m.found) > 1; i++)
            ask_all(&m, ids[i]);
        policy_free(m.policy);
    }
    assert_true(found > 200);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        identity_free(ids[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_what_is_found_decides_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
