/* SPDX-License-Identifier: Apache-2.0 */
/* The grade of a server: the lowest of those that what was found leaves (tables/grade_rules.def). Pure. */
#ifndef CARDEA_PROBE_GRADE_H
#define CARDEA_PROBE_GRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct quic_probe_result;
struct survey_facts;

enum grade_rule {
#define X(NAME, word, level, what, todo) GRADE_##NAME,
#include "tables/grade_rules.def"
#undef X
    GRADE_RULES
};

/* From the worst to the best. */
enum grade { GRADE_IS_F, GRADE_IS_D, GRADE_IS_C, GRADE_IS_B, GRADE_IS_A, GRADE_IS_A_PLUS };

struct grade_finding {
    enum grade_rule rule;
    bool accepted;     /* it is known, and leaves any grade */
    struct err detail; /* what exactly; "" where the rule says it all */
};

struct grade_report {
    enum grade grade;
    struct grade_finding finding[GRADE_RULES]; /* the worst first */
    size_t findings;
    unsigned round_trips; /* of a first connection; see tls/budget.h */
};

struct grade_question {
    const struct survey_facts *facts;
    const struct quic_probe_result *quic; /* NULL: nobody looked */
    bool public_trust;                    /* certificates are those of public CAs */
    const bool *accepted; /* GRADE_RULES of them: rules that are known to be broken. NULL: none */
    int64_t now;          /* seconds since 1970 */
};

/* Is there anything to judge? A server that refuses every hello has not shown what it is. */
bool grade_can_be(const struct survey_facts *facts);

/* Judge by all rules. Nothing of the question is kept. */
void grade_make(const struct grade_question *question, struct grade_report *ret);

/* "A+". Static. */
const char *grade_text(enum grade grade);

/* Read it, in either case. False when it is none. */
bool grade_parse(const char *text, enum grade *ret);

/* The words of a rule, and what it leaves: "A", or "note". Static. */
struct grade_words {
    const char *word, *level, *what, *todo;
};
const struct grade_words *grade_rule_words(enum grade_rule rule);

#endif
