/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of a survey: lines of questions, each on one connection after the other. */
#ifndef CARDEA_PROBE_SURVEY_INTERNAL_H
#define CARDEA_PROBE_SURVEY_INTERNAL_H

#include "hello/write.h"
#include "loop/loop.h"
#include "probe/hello_probe.h"
#include "probe/survey.h"

struct line;
struct tls_client;
struct tls_sessions;

enum survey_client {
    CLIENT_RSA,      /* believes only signatures of that kind */
    CLIENT_ECDSA,    /* likewise */
    CLIENT_EDDSA,    /* likewise */
    CLIENT_MLDSA,    /* likewise */
    CLIENT_TLS_1_2,  /* takes tickets */
    CLIENT_TLS_1_3,  /* likewise */
    CLIENT_H2,       /* offers that protocol */
    CLIENT_HTTP_1_1, /* likewise, and takes tickets */
    CLIENT_ODD,      /* offers one that nobody speaks */
    SURVEY_CLIENTS,
};

/* How a hello is sent. */
enum hello_cut { CUT_NOT, CUT_SEGMENTS, CUT_RECORDS };

/* A ClientHello by hand, and what is made of the answer. */
struct hello_line {
    enum survey_question question;
    enum hello_cut cut;
    uint16_t version;                                           /* 0: all that there are */
    void (*begin)(struct line *l);                              /* which codes to ask for. NULL: none */
    void (*offer)(const struct line *l, struct hello_offer *o); /* what is odd about it. NULL: nothing */
    bool (*hear)(struct line *l, const struct hello_probe_result *r); /* true: ask again */
    struct survey_codes *(*place)(struct survey_facts *facts, unsigned which);
    unsigned which; /* for `begin` and `place` */
};

/* A handshake. */
struct shake_line {
    enum survey_client client;
    enum survey_question question;
    bool resumes;                                                      /* ask again, with the ticket */
    bool requests;                                                     /* ask for a page */
    bool (*hear)(struct line *l, const struct server_probe_result *r); /* true: ask again */
};

struct line {
    struct survey *survey;
    const struct hello_line *hello_line; /* one of the two; neither: the line is about ECH */
    const struct shake_line *shake_line;
    struct hello_probe *hello;
    struct server_probe *shake;
    struct ech_probe *ech;
    struct tls_sessions *sessions;
    struct survey_codes left; /* that are still asked for */
    unsigned round;
    bool keeps; /* `shake` has what the facts point at */
};

#define SURVEY_LINES_MAX 48

struct survey {
    uint32_t magic;
    struct survey_params params;
    struct survey_facts facts;
    uint16_t first_suite, first_reversed; /* chosen of all suites, and of all the other way round */
    struct line line[SURVEY_LINES_MAX];
    size_t lines, begun, ended;
    struct timer timer;
    struct task over;
    bool is_over;
};

extern const struct hello_line survey_hello_lines[];
extern const size_t survey_hello_lines_len;
extern const struct shake_line survey_shake_lines[];
extern const size_t survey_shake_lines_len;

/* Write the hello of a line's next question. The caller owns what is in `ret`; *ret_first: see
 * hello_probe_params. */
void survey_write_hello(const struct line *l, struct buf *ret, size_t *ret_first, int64_t *ret_pause);

/* The request of a line, or NULL. */
const char *survey_request(const struct line *l, char *space, size_t cap);

/* Borrowed from `clients`. */
const struct tls_client *survey_client(const struct survey_clients *clients, enum survey_client which);
const struct trust *survey_trust(const struct survey_clients *clients);

#endif
