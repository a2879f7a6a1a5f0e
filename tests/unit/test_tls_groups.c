/* SPDX-License-Identifier: Apache-2.0 */
/* Which group a handshake is held to by the shares of its ClientHello, and who is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tls/groups.h"

enum { HYBRID = 0x11ec, HYBRID_P256 = 0x11eb, X25519 = 0x001d, P256 = 0x0017, GREASE = 0x1a1a };

/* The bodies of a ClientHello's extensions, each in a heap block of its own size. */
struct hello {
    uint8_t *bytes[3];
    size_t len[3];
};

static void put(struct hello *h, int which, const void *data, size_t len)
{
    h->bytes[which] = realloc(h->bytes[which], h->len[which] + len + 1);
    assert_non_null(h->bytes[which]);
    memcpy(h->bytes[which] + h->len[which], data, len);
    h->len[which] += len;
}

static void put_u16(struct hello *h, int which, uint16_t v)
{
    put(h, which, (const uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

/* Lists that end with 0; each share is a key of three bytes. */
static struct hello hello_of(const uint16_t *versions, const uint16_t *groups, const uint16_t *shares)
{
    struct hello h = {0};
    size_t n[3] = {0};
    while (versions[n[0]] != 0)
        n[0]++;
    while (groups[n[1]] != 0)
        n[1]++;
    while (shares[n[2]] != 0)
        n[2]++;
    put(&h, 0, (const uint8_t[]){(uint8_t)(n[0] * 2)}, 1);
    for (size_t i = 0; i < n[0]; i++)
        put_u16(&h, 0, versions[i]);
    put_u16(&h, 1, (uint16_t)(n[1] * 2));
    for (size_t i = 0; i < n[1]; i++)
        put_u16(&h, 1, groups[i]);
    put_u16(&h, 2, (uint16_t)(n[2] * 7));
    for (size_t i = 0; i < n[2]; i++) {
        put_u16(&h, 2, shares[i]);
        put(&h, 2, "\0\3key", 5);
    }
    return h;
}

static struct tls_groups_offer offer_of(const struct hello *h)
{
    return (struct tls_groups_offer){.versions = cursor_of(h->bytes[0], h->len[0]),
                                     .groups = cursor_of(h->bytes[1], h->len[1]),
                                     .shares = cursor_of(h->bytes[2], h->len[2])};
}

static void drop(struct hello *h)
{
    for (int i = 0; i < 3; i++)
        free(h->bytes[i]);
}

static struct tls_groups ours_with(enum tls_pq pq)
{
    struct tls_groups ours;
    struct err err;
    assert_int_equal(tls_groups_make(tls_groups_default, TLS_GROUPS_DEFAULT, pq, &ours, &err), 0);
    return ours;
}

static void what_is_left(void **state)
{
    (void)state;
    static const int plain[] = {X25519, P256}, hybrid[] = {HYBRID};
    struct tls_groups g;
    struct err err;
    assert_int_equal(ours_with(TLS_PQ_UNSAID).n, 6);
    assert_int_equal(ours_with(TLS_PQ_PREFER).n, 6);
    assert_int_equal(ours_with(TLS_PQ_OFF).n, 3);
    assert_int_equal(ours_with(TLS_PQ_OFF).v[0], X25519);
    g = ours_with(TLS_PQ_REQUIRE);
    assert_int_equal(g.n, 3);
    for (size_t i = 0; i < g.n; i++)
        assert_true(tls_group_is_hybrid(g.v[i]));
    assert_int_equal(tls_groups_make(plain, 2, TLS_PQ_REQUIRE, &g, &err), -1);
    assert_string_equal(err.text, "none of the key exchange groups is left with pq: require");
    assert_int_equal(tls_groups_make(hybrid, 1, TLS_PQ_OFF, &g, &err), -1);
    assert_int_equal(tls_groups_make(NULL, 0, TLS_PQ_REQUIRE, &g, &err), 0);
}

static void what_a_handshake_is_held_to(void **state)
{
    (void)state;
    static const struct {
        enum tls_pq pq;
        uint16_t versions[4], groups[6], shares[6], held;
    } rows[] = {
        /* The first of ours has a share: the library takes it by itself. */
        {TLS_PQ_PREFER, {0x0304}, {HYBRID, X25519}, {HYBRID, X25519}, 0},
        {TLS_PQ_PREFER, {GREASE, 0x0304}, {GREASE, X25519, HYBRID}, {GREASE, X25519, HYBRID}, 0},
        {TLS_PQ_PREFER, {0x0304}, {X25519, P256}, {X25519}, 0},
        {TLS_PQ_OFF, {0x0304}, {HYBRID, X25519}, {HYBRID, X25519}, 0},
        /* Another one has. */
        {TLS_PQ_PREFER, {0x0303, 0x0304}, {HYBRID, X25519}, {X25519}, X25519},
        {TLS_PQ_PREFER, {0x0304}, {X25519, HYBRID, P256}, {P256}, P256},
        {TLS_PQ_PREFER, {0x0304}, {HYBRID, HYBRID_P256, X25519}, {X25519, HYBRID_P256}, HYBRID_P256},
        {TLS_PQ_REQUIRE, {0x0304}, {HYBRID, HYBRID_P256, X25519}, {X25519, HYBRID_P256}, HYBRID_P256},
        /* None that is ours has. */
        {TLS_PQ_REQUIRE, {0x0304}, {HYBRID, X25519}, {X25519}, 0},
        {TLS_PQ_PREFER, {0x0304}, {HYBRID, X25519}, {0}, 0},
        {TLS_PQ_PREFER, {0x0304}, {HYBRID, X25519, 0x001e}, {0x001e}, 0},
        /* A share for what is not among its groups is no good (RFC 8446, 4.2.8). */
        {TLS_PQ_PREFER, {0x0304}, {HYBRID, P256}, {X25519}, 0},
        /* TLS 1.2 has no shares. */
        {TLS_PQ_PREFER, {0x0303}, {HYBRID, X25519}, {X25519}, 0},
        {TLS_PQ_PREFER, {0}, {HYBRID, X25519}, {X25519}, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_groups ours = ours_with(rows[i].pq);
        struct hello h = hello_of(rows[i].versions, rows[i].groups, rows[i].shares);
        struct tls_groups_offer offer = offer_of(&h);
        if (tls_groups_hold(&ours, &offer) != rows[i].held)
            fail_msg("row %zu: 0x%04x", i, tls_groups_hold(&ours, &offer));
        drop(&h);
    }
}

static void who_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum tls_pq pq;
        uint16_t versions[3], groups[4];
        const char *word; /* in the text; NULL: he is not */
    } rows[] = {
        {TLS_PQ_REQUIRE, {0x0304}, {X25519, HYBRID}, NULL},
        {TLS_PQ_REQUIRE, {0x0304}, {X25519, P256}, "no post-quantum"},
        {TLS_PQ_REQUIRE, {0x0304}, {0}, "no post-quantum"},
        {TLS_PQ_REQUIRE, {0x0303}, {HYBRID}, "TLS 1.3"},
        {TLS_PQ_REQUIRE, {0}, {HYBRID}, "TLS 1.3"},
        {TLS_PQ_PREFER, {0x0303}, {X25519}, NULL},
        {TLS_PQ_UNSAID, {0x0304}, {X25519}, NULL},
        {TLS_PQ_OFF, {0x0304}, {HYBRID}, NULL},
    };
    static const int only[] = {HYBRID, HYBRID_P256};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_groups ours = ours_with(rows[i].pq);
        struct hello h = hello_of(rows[i].versions, rows[i].groups, (const uint16_t[]){0});
        struct tls_groups_offer offer = offer_of(&h);
        const char *text = tls_groups_refuse(&ours, &offer);
        assert_int_equal(text != NULL, rows[i].word != NULL);
        if (text != NULL && strstr(text, rows[i].word) == NULL)
            fail_msg("row %zu: %s", i, text);
        drop(&h);
    }
    /* Of groups that TLS 1.2 has none of, whatever `pq` says. */
    static const uint16_t none[] = {0}, old[] = {0x0303, 0}, young[] = {0x0304, 0}, plain[] = {X25519, 0};
    struct tls_groups ours;
    struct err err;
    assert_int_equal(tls_groups_make(only, ARRAY_LEN(only), TLS_PQ_PREFER, &ours, &err), 0);
    struct hello h = hello_of(old, plain, none), young_h = hello_of(young, plain, none);
    struct tls_groups_offer offer = offer_of(&h), young_offer = offer_of(&young_h);
    assert_non_null(
        strstr(tls_groups_refuse(&ours, &offer), "TLS 1.3, which each of the key exchange groups"));
    assert_null(tls_groups_refuse(&ours, &young_offer)); /* the library says it */
    drop(&h);
    drop(&young_h);
}

/* What is cut anywhere, or missing, holds nobody to anything, and is read no further than it goes. */
static void what_is_shared(void **state)
{
    (void)state;
    static const int mixed[] = {HYBRID, X25519}, hybrids[] = {HYBRID};
    static const struct {
        const int *ours;
        size_t n;
        uint16_t version, groups[3];
        bool shared;
    } rows[] = {
        {mixed, 2, 0x0304, {X25519}, true},   {mixed, 2, 0x0304, {P256, HYBRID}, true},
        {mixed, 2, 0x0304, {P256}, false},    {mixed, 2, 0x0304, {0}, false},
        {mixed, 2, 0x0303, {HYBRID}, false},  {mixed, 2, 0x0303, {HYBRID, X25519}, true},
        {hybrids, 1, 0x0304, {HYBRID}, true}, {hybrids, 1, 0x0303, {HYBRID}, false},
        {NULL, 0, 0x0304, {P256}, true}, /* the library has its own */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_groups ours;
        struct err err;
        assert_int_equal(tls_groups_make(rows[i].ours, rows[i].n, TLS_PQ_PREFER, &ours, &err), 0);
        struct hello h = hello_of((const uint16_t[]){0}, rows[i].groups, (const uint16_t[]){0});
        if (tls_groups_share(&ours, rows[i].version, offer_of(&h).groups) != rows[i].shared)
            fail_msg("row %zu", i);
        drop(&h);
    }
}

static void what_is_malformed(void **state)
{
    (void)state;
    const struct tls_groups ours = ours_with(TLS_PQ_PREFER);
    struct hello h =
        hello_of((uint16_t[]){0x0304, 0}, (uint16_t[]){HYBRID, X25519, 0}, (uint16_t[]){X25519, 0});
    struct tls_groups_offer offer = offer_of(&h);
    assert_int_equal(tls_groups_hold(&ours, &offer), X25519);
    for (int which = 0; which < 3; which++)
        for (size_t len = 0; len < h.len[which]; len++) {
            struct hello cut = {0};
            for (int i = 0; i < 3; i++)
                put(&cut, i, h.bytes[i], i == which ? len : h.len[i]);
            offer = offer_of(&cut);
            assert_int_equal(tls_groups_hold(&ours, &offer), 0);
            drop(&cut);
        }
    offer = (struct tls_groups_offer){0};
    assert_int_equal(tls_groups_hold(&ours, &offer), 0);
    drop(&h);
    /* A key that goes beyond the list, and lengths that are odd. */
    struct hello odd = {0};
    put(&odd, 0, "\2\3\4", 3);
    put(&odd, 1, "\0\3\0\x1d\0", 5);
    put(&odd, 2, "\0\5\0\x1d\0\4k", 7);
    offer = offer_of(&odd);
    assert_int_equal(tls_groups_hold(&ours, &offer), 0);
    drop(&odd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left),      cmocka_unit_test(what_a_handshake_is_held_to),
        cmocka_unit_test(who_is_refused),    cmocka_unit_test(what_is_shared),
        cmocka_unit_test(what_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
