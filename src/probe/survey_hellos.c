/* SPDX-License-Identifier: Apache-2.0 */
/* The questions that take a ClientHello by hand. */
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/tls_group.h"
#include "probe/survey_internal.h"

#define TLS_1_3 0x0304
#define TLS_1_2 0x0303
#define TLS_FUTURE 0x0305
#define FALLBACK_SCSV 0x5600

#define LONG_HELLO 1900 /* bytes: more than one packet of 1,500, as with a hybrid key share */
#define FIRST_PART 1200 /* of them */
#define PAUSE_NS (60 * NSEC_PER_MSEC)

static const uint16_t suites_13[] = {0x1301, 0x1302, 0x1303};

/* Those that are known here, and what others may have (IANA, TLS Supported Groups). */
static const struct group {
    uint16_t code;
    const char *name;
} groups_13[] = {
#define X(name, code, hybrid, remark) {code, name},
#include "tables/groups.def"
#undef X
    {0x001e, "X448"},
    {0x0100, "ffdhe2048"},
    {0x0101, "ffdhe3072"},
    {0x0102, "ffdhe4096"},
};

/* What every client has, so that nothing else is odd about a hello than what is asked. The last place is for
 * the group of the first handshake. */
static const uint16_t usual_groups[] = {0x001d, 0x0017, 0x0018, 0x0019};
#define GROUPS_MAX (ARRAY_LEN(usual_groups) + 1)
static const uint16_t schemes[] = {0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401,
                                   0x0501, 0x0601, 0x0203, 0x0201, 0x0904, 0x0905, 0x0906};
static const uint16_t versions[] = {TLS_1_3, TLS_1_2, 0x0302, 0x0301};
static const uint16_t versions_13[] = {TLS_1_3};
static const uint16_t versions_future[] = {TLS_FUTURE, TLS_1_3, TLS_1_2, 0x0302, 0x0301};

#define CODES(list) ((struct hello_codes){(list), ARRAY_LEN(list)})

const char *survey_group_name(uint16_t group)
{
    for (size_t i = 0; i < ARRAY_LEN(groups_13); i++)
        if (groups_13[i].code == group)
            return groups_13[i].name;
    return NULL;
}

/* ---- which codes ---- */

static void begin_suites_13(struct line *l)
{
    memcpy(l->left.code, suites_13, sizeof(suites_13));
    l->left.len = ARRAY_LEN(suites_13);
}

/* All of TLS 1.3 and before, the best first. */
static void begin_usual(struct line *l)
{
    uint16_t older[SUITES_MAX];
    size_t n = suites_all(older);
    begin_suites_13(l);
    CHECK(l->left.len + n <= SUITES_MAX);
    memcpy(l->left.code + l->left.len, older, n * sizeof(*older));
    l->left.len += n;
}

static void begin_older(struct line *l)
{
    l->left.len = suites_all(l->left.code);
}

static void begin_reversed(struct line *l)
{
    uint16_t all[SUITES_MAX];
    l->left.len = suites_all(all);
    for (size_t i = 0; i < l->left.len; i++)
        l->left.code[i] = all[l->left.len - 1 - i];
}

static void begin_class(struct line *l)
{
    l->left.len = suites_of((enum suite_class)l->hello_line->which, l->left.code);
}

static void begin_groups(struct line *l)
{
    for (size_t i = 0; i < ARRAY_LEN(groups_13); i++)
        l->left.code[l->left.len++] = groups_13[i].code;
}

static void begin_fallback(struct line *l)
{
    begin_older(l);
    l->left.code[l->left.len++] = FALLBACK_SCSV;
}

static struct survey_codes *place_suites(struct survey_facts *facts, unsigned which)
{
    return &facts->suites[which];
}

static struct survey_codes *place_suites_13(struct survey_facts *facts, unsigned which)
{
    (void)which;
    return &facts->suites_13;
}

static struct survey_codes *place_groups(struct survey_facts *facts, unsigned which)
{
    (void)which;
    return &facts->groups;
}

/* ---- what is odd ---- */

/* Without any share the server must say which group it would have (RFC 8446, 4.2.8). */
static void offer_groups(const struct line *l, struct hello_offer *o)
{
    o->suites = CODES(suites_13);
    o->groups = (struct hello_codes){l->left.code, l->left.len};
    o->share = false;
}

static void offer_compression(const struct line *l, struct hello_offer *o)
{
    (void)l;
    o->compression = true;
}

static void offer_grease(const struct line *l, struct hello_offer *o)
{
    (void)l;
    o->grease = true;
}

static void offer_future(const struct line *l, struct hello_offer *o)
{
    (void)l;
    o->versions = CODES(versions_future);
}

static void offer_long(const struct line *l, struct hello_offer *o)
{
    (void)l;
    o->at_least = LONG_HELLO;
}

static void offer_ech(const struct line *l, struct hello_offer *o)
{
    (void)l;
    o->ech = true;
}

/* ---- what is heard ---- */

static void answer(struct line *l, bool yes)
{
    l->survey->facts.answer[l->hello_line->question] = yes ? SURVEY_YES : SURVEY_NO;
}

static bool goes_on(const struct hello_probe_result *r)
{
    return r->end == HELLO_PROBE_ANSWERED &&
           (r->answer.kind == ANSWER_HELLO || r->answer.kind == ANSWER_RETRY);
}

static bool hear_version(struct line *l, const struct hello_probe_result *r)
{
    if (r->end != HELLO_PROBE_UNREACHED)
        answer(l, goes_on(r) && r->answer.version == l->hello_line->version);
    return false;
}

static void note_prime(struct survey_facts *facts, uint16_t bits)
{
    if (bits > 0 && (facts->prime_bits == 0 || bits < facts->prime_bits))
        facts->prime_bits = bits;
}

/* Of TLS 1.2 more stands in the clear. */
static bool hear_tls_1_2(struct line *l, const struct hello_probe_result *r)
{
    struct survey_facts *facts = &l->survey->facts;
    hear_version(l, r);
    if (!goes_on(r))
        return false;
    l->survey->first_suite = r->answer.suite;
    facts->answer[SURVEY_RENEGOTIATION] = r->answer.renegotiation ? SURVEY_YES : SURVEY_NO;
    facts->answer[SURVEY_EXTENDED_MASTER] = r->answer.extended_master ? SURVEY_YES : SURVEY_NO;
    return false;
}

static bool hear_reversed(struct line *l, const struct hello_probe_result *r)
{
    if (goes_on(r))
        l->survey->first_reversed = r->answer.suite;
    return false;
}

static bool hear_compression(struct line *l, const struct hello_probe_result *r)
{
    if (r->end != HELLO_PROBE_UNREACHED)
        answer(l, goes_on(r) && r->answer.compression != 0);
    return false;
}

/* It is to end with inappropriate_fallback; some close the connection before that alert has left. */
static bool hear_fallback(struct line *l, const struct hello_probe_result *r)
{
    if (r->end == HELLO_PROBE_ANSWERED || r->end == HELLO_PROBE_CLOSED)
        answer(l, !goes_on(r));
    return false;
}

static bool hear_tolerance(struct line *l, const struct hello_probe_result *r)
{
    if (r->end != HELLO_PROBE_UNREACHED)
        answer(l, goes_on(r));
    return false;
}

/* Take what was chosen out of what is asked for next. False when it was not: the server is confused. */
static bool strike(struct survey_codes *left, uint16_t code)
{
    for (size_t i = 0; i < left->len; i++)
        if (left->code[i] == code) {
            memmove(left->code + i, left->code + i + 1, (left->len - i - 1) * sizeof(*left->code));
            left->len--;
            return true;
        }
    return false;
}

/* The server chooses one after the other, until it has none left. */
static bool hear_choice(struct line *l, const struct hello_probe_result *r)
{
    struct survey_codes *found = l->hello_line->place(&l->survey->facts, l->hello_line->which);
    uint16_t chosen = l->hello_line->offer == offer_groups ? r->answer.group : r->answer.suite;
    if (!goes_on(r) || !strike(&l->left, chosen))
        return false;
    note_prime(&l->survey->facts, r->answer.prime_bits);
    found->code[found->len++] = chosen;
    return l->left.len > 0;
}

/* ---- the lines ---- */

#define VERSION(number, name)                                                                      \
    {                                                                                              \
        .question = SURVEY_##name, .version = (number), .begin = begin_older, .hear = hear_version \
    }
#define CLASS(name)                                                                           \
    {                                                                                         \
        .version = TLS_1_2, .begin = begin_class, .hear = hear_choice, .place = place_suites, \
        .which = SUITE_##name                                                                 \
    }
#define TOLERANCE(name, odd, how)                                                          \
    {                                                                                      \
        .question = SURVEY_##name, .cut = CUT_##how, .begin = begin_usual, .offer = (odd), \
        .hear = hear_tolerance                                                             \
    }

const struct hello_line survey_hello_lines[] = {
    VERSION(0x0300, SSL_3_0),
    VERSION(0x0301, TLS_1_0),
    VERSION(0x0302, TLS_1_1),
    {.question = SURVEY_TLS_1_2, .version = TLS_1_2, .begin = begin_older, .hear = hear_tls_1_2},
    {.question = SURVEY_TLS_1_3, .version = TLS_1_3, .begin = begin_suites_13, .hear = hear_version},
    {.version = TLS_1_2, .begin = begin_reversed, .hear = hear_reversed},
    CLASS(GOOD),
    CLASS(PRIME),
    CLASS(CBC),
    CLASS(STATIC),
    CLASS(SHORT_BLOCK),
    CLASS(BROKEN),
    {.version = TLS_1_3, .begin = begin_suites_13, .hear = hear_choice, .place = place_suites_13},
    {.version = TLS_1_3,
     .begin = begin_groups,
     .offer = offer_groups,
     .hear = hear_choice,
     .place = place_groups},
    {.question = SURVEY_COMPRESSION,
     .version = TLS_1_2,
     .begin = begin_older,
     .offer = offer_compression,
     .hear = hear_compression},
    {.question = SURVEY_FALLBACK, .version = TLS_1_2, .begin = begin_fallback, .hear = hear_fallback},
    TOLERANCE(LONG_HELLO, offer_long, NOT),
    TOLERANCE(SPLIT_SEGMENTS, offer_long, SEGMENTS),
    TOLERANCE(SPLIT_RECORDS, offer_long, RECORDS),
    TOLERANCE(GREASE, offer_grease, NOT),
    TOLERANCE(FUTURE_VERSION, offer_future, NOT),
    TOLERANCE(ECH_GREASE, offer_ech, NOT),
};
const size_t survey_hello_lines_len = ARRAY_LEN(survey_hello_lines);

static struct hello_codes versions_of(uint16_t version)
{
    if (version == 0)
        return CODES(versions);
    return version == TLS_1_3 ? CODES(versions_13) : (struct hello_codes){0};
}

/* A server may take nothing but hybrids. One that the first handshake has shown is offered behind the others,
 * without a share: who wants it says so by a HelloRetryRequest, which is an answer. */
static struct hello_codes groups_of(const struct line *l, uint16_t space[GROUPS_MAX])
{
    const struct server_probe_result *first = l->survey->params.first;
    size_t len = ARRAY_LEN(usual_groups);
    memcpy(space, usual_groups, sizeof(usual_groups));
    if (first != NULL && tls_group_is_hybrid(first->group_code) &&
        versions_of(l->hello_line->version).len > 0)
        space[len++] = first->group_code;
    return (struct hello_codes){space, len};
}

void survey_write_hello(const struct line *l, struct buf *ret, size_t *ret_first, int64_t *ret_pause)
{
    const struct hello_line *kind = l->hello_line;
    uint8_t random[HELLO_RANDOM_MAX];
    uint16_t groups[GROUPS_MAX];
    struct buf message = {0};
    CHECK(getentropy(random, sizeof(random)) == 0);
    struct hello_offer offer = {.legacy_version =
                                    kind->version == 0 || kind->version > TLS_1_2 ? TLS_1_2 : kind->version,
                                .versions = versions_of(kind->version),
                                .suites = {l->left.code, l->left.len},
                                .groups = groups_of(l, groups),
                                .schemes = CODES(schemes),
                                .name = l->survey->params.to.name,
                                .share = true,
                                .random = random};
    if (kind->offer != NULL)
        kind->offer(l, &offer);
    CHECK(hello_write(&offer, &message));
    CHECK(hello_put_records(message.data, message.len, offer.legacy_version,
                            kind->cut == CUT_RECORDS ? FIRST_PART : 0, ret));
    *ret_first = FIRST_PART;
    *ret_pause = kind->cut == CUT_SEGMENTS ? PAUSE_NS : 0;
    buf_free(&message);
}
