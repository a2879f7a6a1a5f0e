/* SPDX-License-Identifier: Apache-2.0 */
/* What `cardea check` says of a server. */
#ifndef CARDEA_CMD_CHECK_REPORT_H
#define CARDEA_CMD_CHECK_REPORT_H

#include "cmd/check_expect.h"

struct buf;
struct cert_facts;
struct grade_report;
struct path_report;
struct server_probe_result;
struct survey_facts;

struct check_subject {
    const char *host;
    uint16_t port;
    const char *name;     /* what it was to prove to be */
    const char *protocol; /* in which it was asked for TLS; NULL: TLS at once */
    bool offered_alpn;
};

struct check_findings {
    struct check_seen seen;
    const struct grade_report *grade; /* NULL: there was no survey */
    const struct check_expect *expect;
    size_t expect_len;
    const char *below; /* the worst grade that will do, where the one found does not; else NULL */
    bool open;         /* a grade is asked for, and not all questions were answered that it could hang on */
    bool coloured;     /* text for a terminal */
};

/* Append some lines for people. */
void check_report_text(struct buf *out, const struct check_subject *s, const struct check_findings *f);

/* Append one JSON object and a new line: see cardea-check(1). */
void check_report_json(struct buf *out, const struct check_subject *s, const struct check_findings *f);

/* The part of either that the look over QUIC is. */
void check_quic_text(struct buf *out, const struct check_findings *f);
void check_quic_json(struct buf *out, const struct check_findings *f);

/* The part of either that the survey and the grade are. */
void check_grade_text(struct buf *out, const struct check_findings *f);
void check_grade_json(struct buf *out, const struct check_findings *f);

/* The path by which a certificate is proven: a line, or nothing where there is none; a member. */
void check_text_path(struct buf *out, const struct path_report *path);
void check_json_path(struct buf *out, const struct path_report *path);

/* The member "tls". */
void check_json_tls(struct buf *out, const struct server_probe_result *r);

/* The member "certificate". */
void check_json_leaf(struct buf *out, const struct cert_facts *c);

/* A member with text, null for NULL. */
void check_json_member(struct buf *out, const char *key, const char *value);

/* The members of a certificate, without braces. */
void check_json_certificate(struct buf *out, const struct cert_facts *c);

/* The lines of a certificate. */
void check_text_certificate(struct buf *out, const struct cert_facts *c);

#endif
