/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a server that speaks TLS all that its first handshake does not tell: on many connections, a few at a
 * time. What is made of the answers is in probe/grade.h. */
#ifndef CARDEA_PROBE_SURVEY_H
#define CARDEA_PROBE_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cert/path_report.h"
#include "probe/approach.h"
#include "probe/ech_probe.h"
#include "probe/hsts.h"
#include "probe/server_probe.h"
#include "probe/suites.h"

struct cert;
struct survey;
struct survey_clients;
struct tls_scratch;
struct trust;

#define SURVEY_AT_ONCE 4 /* connections to one server */
#define SURVEY_GROUPS_MAX 16
#define SURVEY_CERTIFICATES_MAX 4 /* a server may have one for each kind of key */
#define SURVEY_ALPN_MAX 2

enum survey_question {
#define X(NAME, word, title, meaning) SURVEY_##NAME,
#include "tables/survey_questions.def"
#undef X
    SURVEY_QUESTIONS
};

enum survey_answer { SURVEY_UNKNOWN, SURVEY_NO, SURVEY_YES };

struct survey_codes {
    uint16_t code[SUITES_MAX];
    size_t len;
};

struct survey_facts {
    enum survey_answer answer[SURVEY_QUESTIONS];
    struct survey_codes suites[SUITE_CLASSES]; /* TLS 1.2 and before: what it takes, as it prefers them */
    struct survey_codes suites_13;
    struct survey_codes groups; /* of TLS 1.3, likewise */
    uint16_t prime_bits;        /* the shortest prime of a DHE that came; 0: none did */
    struct hsts hsts;
    bool tells_h3; /* the web server does, by Alt-Svc (where hsts.status says that it has answered) */
    const char *alpn[SURVEY_ALPN_MAX]; /* of HTTP: that it speaks; NULL behind the last */
    /* A handshake for each certificate that it has, and how that is proven. The first is that which was
     * given, if one was. They live as long as the survey. */
    const struct server_probe_result *certificate[SURVEY_CERTIFICATES_MAX];
    struct path_report path[SURVEY_CERTIFICATES_MAX];
    size_t certificates;
    struct ech_facts ech;
    bool cut_short; /* not all was asked within the time */
};

struct survey_params {
    struct approach_to to;
    struct tls_scratch *scratch;
    const struct survey_clients *clients;
    const struct server_probe_result *first;                /* the handshake that has been made */
    const struct ech_resolver *resolver;                    /* asked for the HTTPS record; NULL: nobody is */
    struct fetcher *fetcher;                                /* for that; see ech/lookup.h */
    int64_t question_timeout;                               /* for each connection, in nanoseconds */
    int64_t timeout;                                        /* for all */
    void (*progress)(void *owner, size_t done, size_t all); /* NULL: nobody asks */
    void (*done)(void *owner); /* from the loop, once; free it there if you like */
    void *owner;
};

/* Who asks, shared by all surveys. References to `trust` and `cert` (our own, or NULL) are taken. NULL with
 * `err`. */
struct survey_clients *survey_clients_new(struct trust *trust, struct cert *cert, struct err *err);
void survey_clients_free(struct survey_clients *clients); /* NULL is allowed */

/* Begin. What the parameters point at is borrowed and must outlive the survey. Never NULL. */
struct survey *survey_start(const struct survey_params *params);

/* What is known so far; all of it, once `done` was called. Lives as long as the survey. */
const struct survey_facts *survey_facts(const struct survey *s);

/* At any time. NULL is allowed. */
void survey_free(struct survey *s);

/* The word of a question, for machines, and for people. Static. */
const char *survey_question_word(enum survey_question question);
const char *survey_question_title(enum survey_question question);

/* The name of a group of TLS 1.3 that is asked for; NULL: it is none of those. Static. */
const char *survey_group_name(uint16_t group);

#endif
