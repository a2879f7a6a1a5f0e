/* SPDX-License-Identifier: Apache-2.0 */
/* probe/grade.h: a server as it should be, and each thing that may be wrong with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probe/grade.h"
#include "probe/quic_probe.h"
#include "probe/server_probe.h"
#include "probe/survey.h"

#define NOW INT64_C(1800000000)
#define DAY INT64_C(86400)

static struct survey_facts facts;
static struct server_probe_result first;
static struct quic_probe_result quic;

static void make_good(void)
{
    memset(&facts, 0, sizeof(facts));
    memset(&first, 0, sizeof(first));
    for (int q = 0; q < SURVEY_QUESTIONS; q++)
        facts.answer[q] = SURVEY_YES;
    facts.answer[SURVEY_SSL_3_0] = facts.answer[SURVEY_TLS_1_0] = facts.answer[SURVEY_TLS_1_1] = SURVEY_NO;
    facts.answer[SURVEY_COMPRESSION] = SURVEY_NO;
    facts.groups = (struct survey_codes){{0x11ec, 0x001d}, 2};
    facts.hsts = (struct hsts){200, true, 365 * DAY, false};
    facts.alpn[0] = "h2";
    first.shook_hands = true;
    first.version = 0x0304;
    first.traffic = (struct probe_traffic){1500, 4000, false};
    first.certificate = (struct cert_facts){.not_before = NOW - 30 * DAY, .not_after = NOW + 60 * DAY};
    strcpy(first.certificate.subject, "grade.test");
    strcpy(first.certificate.key, "P-256");
    first.certificate.signature = "ecdsa-with-SHA256";
    first.shown = (struct cert_shown){.bytes = 2000, .staple = STAPLE_GOOD, .timestamps_embedded = 2};
    facts.certificate[0] = &first;
    facts.certificates = 1;
}

static struct grade_report judge(bool public_trust, const bool *accepted)
{
    struct grade_report report;
    grade_make(
        &(struct grade_question){
            .facts = &facts, .public_trust = public_trust, .accepted = accepted, .now = NOW},
        &report);
    return report;
}

static bool has(const struct grade_report *r, const char *word)
{
    for (size_t i = 0; i < r->findings; i++)
        if (strcmp(grade_rule_words(r->finding[i].rule)->word, word) == 0)
            return true;
    return false;
}

static void test_good(void **state)
{
    (void)state;
    make_good();
    struct grade_report r = judge(true, NULL);
    assert_int_equal(r.grade, GRADE_IS_A_PLUS);
    assert_int_equal(r.findings, 0);
    assert_int_equal(r.round_trips, 2);
}

/* Answers that are worse than the other. */
static void test_answers(void **state)
{
    (void)state;
    static const struct {
        enum survey_question question;
        const char *word, *grade;
    } rows[] = {
        {SURVEY_SSL_3_0, "ssl_3_0", "F"},
        {SURVEY_TLS_1_0, "tls_1_0", "C"},
        {SURVEY_TLS_1_1, "tls_1_1", "C"},
        {SURVEY_TLS_1_2, NULL, "A+"},
        {SURVEY_TLS_1_3, "no_tls_1_3", "B"},
        {SURVEY_COMPRESSION, "compression", "D"},
        {SURVEY_RENEGOTIATION, "insecure_renegotiation", "D"},
        {SURVEY_EXTENDED_MASTER, "no_extended_master_secret", "A"},
        {SURVEY_FALLBACK, "no_fallback_scsv", "A"},
        {SURVEY_SERVER_ORDER, "client_order", "A+"},
        {SURVEY_RESUMES_1_2, NULL, "A+"},
        {SURVEY_RESUMES_1_3, "no_resumption", "A"},
        {SURVEY_STRICT_ALPN, "lax_alpn", "A+"},
        {SURVEY_LONG_HELLO, "long_hello", "C"},
        {SURVEY_SPLIT_SEGMENTS, "split_segments", "C"},
        {SURVEY_SPLIT_RECORDS, "split_records", "C"},
        {SURVEY_GREASE, "grease", "C"},
        {SURVEY_FUTURE_VERSION, "future_version", "C"},
        {SURVEY_ECH_GREASE, "ech_grease", "C"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make_good();
        enum survey_answer *a = &facts.answer[rows[i].question];
        *a = *a == SURVEY_YES ? SURVEY_NO : SURVEY_YES;
        struct grade_report r = judge(true, NULL);
        if (strcmp(grade_text(r.grade), rows[i].grade) != 0 ||
            (rows[i].word == NULL ? r.findings > 0 : !has(&r, rows[i].word)))
            fail_msg("%s: grade %s, %zu findings", rows[i].word, grade_text(r.grade), r.findings);
    }
}

static void one_suite(enum suite_class class, uint16_t code)
{
    facts.suites[class] = (struct survey_codes){{code}, 1};
}

/* What else may be wrong, a case for each number, and how it is called; NULL: there is no such case. */
static const char *spoil(unsigned which, const char **ret_grade)
{
    static const struct {
        const char *word, *grade;
    } names[] = {{"not_proven", "F"},
                 {"revoked", "F"},
                 {"bad_staple", "C"},
                 {"must_staple", "C"},
                 {"no_staple", "A+"},
                 {"weak_key", "D"},
                 {"weak_signature", "D"},
                 {"expires_soon", "A"},
                 {"chain_long", "A"},
                 {"chain_too_long", "B"},
                 {"few_timestamps", "B"},
                 {"broken_suites", "F"},
                 {"short_block_suites", "C"},
                 {"static_suites", "B"},
                 {"dhe_suites", "A"},
                 {"cbc_suites", "A"},
                 {"weak_prime", "D"},
                 {"no_hybrid_group", "A"},
                 {"no_hsts", "A"},
                 {"no_hsts", "A"},
                 {"more_round_trips", "A+"},
                 {"retry", "A+"},
                 {"incomplete", "B"},
                 {"no_handshake", "B"},
                 {"no_modern_version", "F"}};
    if (which >= sizeof(names) / sizeof(names[0]))
        return NULL;
    struct cert_shown *s = &first.shown;
    switch (which) {
    case 0:
        first.outcome = PROBE_UNPROVEN;
        break;
    case 1:
        s->staple = STAPLE_REVOKED;
        break;
    case 2:
        s->staple = STAPLE_BAD;
        break;
    case 3:
        s->staple = STAPLE_NONE;
        s->leaf.must_staple = true;
        break;
    case 4:
        s->staple = STAPLE_NONE;
        strcpy(s->leaf.ocsp, "http://ocsp.test/");
        break;
    case 5:
        strcpy(first.certificate.key, "RSA-1024");
        break;
    case 6:
        first.certificate.signature = "RSA-SHA1";
        break;
    case 7:
        first.certificate.not_after = NOW + 3 * DAY;
        break;
    case 8:
        s->bytes = 9001;
        break;
    case 9:
        s->bytes = 10001;
        break;
    case 10:
        s->timestamps_embedded = 1;
        break;
    case 11:
        one_suite(SUITE_BROKEN, 0x0001);
        break;
    case 12:
        one_suite(SUITE_SHORT_BLOCK, 0x000a);
        break;
    case 13:
        one_suite(SUITE_STATIC, 0x009c);
        break;
    case 14:
        one_suite(SUITE_PRIME, 0x009e);
        break;
    case 15:
        one_suite(SUITE_CBC, 0xc013);
        break;
    case 16:
        facts.prime_bits = 1024;
        break;
    case 17:
        facts.groups = (struct survey_codes){{0x001d}, 1};
        break;
    case 18:
        facts.hsts.sent = false;
        break;
    case 19:
        facts.hsts.max_age = 30 * DAY;
        break;
    case 20:
        first.traffic.received = 20000;
        break;
    case 21:
        first.traffic.retried = true;
        break;
    case 22:
        facts.cut_short = true;
        break;
    case 23:
        facts.certificates = 0;
        break;
    default:
        facts.answer[SURVEY_TLS_1_2] = facts.answer[SURVEY_TLS_1_3] = SURVEY_NO;
        break;
    }
    *ret_grade = names[which].grade;
    return names[which].word;
}

static void test_rest(void **state)
{
    (void)state;
    const char *word, *grade;
    for (unsigned i = 0; make_good(), (word = spoil(i, &grade)) != NULL; i++) {
        struct grade_report r = judge(true, NULL);
        if (strcmp(grade_text(r.grade), grade) != 0 || !has(&r, word))
            fail_msg("%s: grade %s, %zu findings", word, grade_text(r.grade), r.findings);
    }
}

/* What the DNS says of ECH. */
static void test_ech(void **state)
{
    (void)state;
    static const struct {
        enum ech_finding finding;
        const char *word, *grade;
    } rows[] = {{ECH_IS_UNKNOWN, NULL, "A+"},
                {ECH_IS_NO_RECORD, "no_ech", "A+"},
                {ECH_IS_NO_CONFIG, "no_ech", "A+"},
                {ECH_IS_UNREADABLE, "ech_stale", "B"},
                {ECH_IS_UNUSABLE, NULL, "A+"},
                {ECH_IS_ACCEPTED, NULL, "A+"},
                {ECH_IS_STALE, "ech_stale", "B"},
                {ECH_IS_REFUSED, "ech_stale", "B"},
                {ECH_IS_CONTRADICTED, "ech_broken", "C"},
                {ECH_IS_NOT_PROVEN, "ech_broken", "C"},
                {ECH_IS_FAILED, "ech_broken", "C"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make_good();
        facts.ech = (struct ech_facts){.asked = true, .finding = rows[i].finding};
        struct grade_report r = judge(true, NULL);
        if (strcmp(grade_text(r.grade), rows[i].grade) != 0 || r.findings != (rows[i].word != NULL) ||
            (rows[i].word != NULL && !has(&r, rows[i].word)))
            fail_msg("%s: grade %s, %zu findings", ech_finding_word(rows[i].finding), grade_text(r.grade),
                     r.findings);
    }
    make_good();
    facts.ech = (struct ech_facts){.asked = true, .finding = ECH_IS_ACCEPTED, .public_text = {"it is not"}};
    struct grade_report r = judge(true, NULL);
    assert_true(r.grade == GRADE_IS_B && has(&r, "ech_public_name"));
}

/* Of a record's protocols those count that are known not to be spoken. */
static void test_record_alpn(void **state)
{
    (void)state;
    make_good();
    facts.ech = (struct ech_facts){
        .asked = true, .finding = ECH_IS_ACCEPTED, .alpn = {"h3", "h2", "http/1.1"}, .alpn_len = 2};
    assert_int_equal(judge(true, NULL).findings, 0);
    facts.ech.alpn_len = 3;
    struct grade_report r = judge(true, NULL);
    assert_true(r.grade == GRADE_IS_A && has(&r, "record_alpn"));
    facts.alpn[0] = NULL; /* nothing is known */
    assert_int_equal(judge(true, NULL).findings, 0);
}

/* What is found over QUIC, where somebody looked. */
static void test_quic(void **state)
{
    (void)state;
    const struct grade_question question = {.facts = &facts, .quic = &quic, .public_trust = true, .now = NOW};
    static const struct {
        const char *word, *grade;
    } rows[] = {
        {NULL, "A+"},         {"no_quic", "B"},           {"not_proven", "F"},     {"no_hybrid_group", "A"},
        {"quic_retry", "A+"}, {"quic_round_trips", "A+"}, {"quic_amplifies", "C"}, {"untold_h3", "A+"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct grade_report r;
        make_good();
        facts.tells_h3 = i != 7;
        quic = (struct quic_probe_result){.allowed = 3600};
        quic.shake.shook_hands = i != 1;
        quic.shake.outcome = i == 2 ? PROBE_UNPROVEN : PROBE_GOOD;
        quic.shake.group = i == 3 ? "X25519" : "X25519MLKEM768";
        strcpy(quic.shake.alpn, "h3");
        quic.handshake = (struct quic_handshake_facts){.first_out = 1200,
                                                       .first_in = i == 6 ? 3601 : 3600,
                                                       .in = i == 4 || i == 5 ? 9000 : 3600,
                                                       .retried = i == 4};
        grade_make(&question, &r);
        if (strcmp(grade_text(r.grade), rows[i].grade) != 0 || r.findings != (rows[i].word != NULL) ||
            (rows[i].word != NULL && !has(&r, rows[i].word)))
            fail_msg("%s: grade %s, %zu findings", rows[i].word, grade_text(r.grade), r.findings);
    }
    /* a record tells of HTTP/3 as well; but not of what is not there */
    struct grade_report r;
    facts.ech = (struct ech_facts){.asked = true, .finding = ECH_IS_ACCEPTED, .alpn = {"h3"}, .alpn_len = 1};
    grade_make(&question, &r);
    assert_int_equal(r.findings, 0);
    quic.shake.shook_hands = false;
    grade_make(&question, &r);
    assert_true(has(&r, "no_quic") && has(&r, "record_alpn"));
}

/* A private CA needs no timestamps; what is not known is not held against a server. */
static void test_not_held_against_it(void **state)
{
    (void)state;
    make_good();
    first.shown.timestamps_embedded = 0;
    assert_int_equal(judge(false, NULL).findings, 0);
    for (int q = 0; q < SURVEY_QUESTIONS; q++)
        facts.answer[q] = SURVEY_UNKNOWN;
    facts.groups.len = 0;
    facts.hsts.status = 0;
    assert_int_equal(judge(false, NULL).findings, 0);
    assert_true(grade_can_be(&facts));
    facts.certificates = 0;
    assert_false(grade_can_be(&facts));
}

static void test_accepted(void **state)
{
    (void)state;
    bool accepted[GRADE_RULES] = {[GRADE_TLS_1_0] = true};
    make_good();
    facts.answer[SURVEY_TLS_1_0] = SURVEY_YES;
    facts.hsts.sent = false;
    struct grade_report r = judge(true, accepted);
    assert_int_equal(r.grade, GRADE_IS_A);
    assert_int_equal(r.findings, 2);
    assert_int_equal(r.finding[0].rule, GRADE_TLS_1_0); /* the worst first */
    assert_true(r.finding[0].accepted && !r.finding[1].accepted);
}

static void test_texts(void **state)
{
    (void)state;
    enum grade grade;
    for (int g = GRADE_IS_F; g <= GRADE_IS_A_PLUS; g++) {
        assert_true(grade_parse(grade_text((enum grade)g), &grade));
        assert_int_equal(grade, g);
    }
    assert_true(grade_parse("a+", &grade));
    assert_false(grade_parse("E", &grade) || grade_parse("", &grade) || grade_parse("A++", &grade));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),     cmocka_unit_test(test_answers),
        cmocka_unit_test(test_rest),     cmocka_unit_test(test_not_held_against_it),
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_ech),      cmocka_unit_test(test_record_alpn),
        cmocka_unit_test(test_quic)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
