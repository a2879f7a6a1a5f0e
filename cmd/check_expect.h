/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea check --expect WHAT=VALUE`: what a server must be like, for who watches over it. */
#ifndef CARDEA_CMD_CHECK_EXPECT_H
#define CARDEA_CMD_CHECK_EXPECT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct quic_probe_result;
struct server_probe_result;
struct survey_facts;

struct check_expect {
    const char *text;  /* all of it; borrowed */
    unsigned what;     /* private */
    const char *value; /* within `text`; one of numbers is the least that will do, others may have '*' */
};

/* Read one. -1 with what is wrong. */
int check_expect_parse(const char *text, struct check_expect *ret, struct err *err);

/* What was found of a server. */
struct check_seen {
    const struct server_probe_result *first; /* the handshake that was made */
    const struct survey_facts *facts;        /* NULL: there was no survey */
    const struct quic_probe_result *quic;    /* NULL: nobody looked */
};

/* Is it so? False with what was found instead. */
bool check_expect_holds(const struct check_expect *e, const struct check_seen *seen, struct err *ret_found);

#endif
