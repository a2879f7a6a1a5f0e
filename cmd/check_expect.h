/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea check --expect WHAT=VALUE`: what a server must be like, for who watches over it. */
#ifndef CARDEA_CMD_CHECK_EXPECT_H
#define CARDEA_CMD_CHECK_EXPECT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct server_probe_result;

struct check_expect {
    const char *text;  /* all of it; borrowed */
    unsigned what;     /* private */
    const char *value; /* within `text`; one of numbers is the least that will do, others may have '*' */
};

/* Read one. -1 with what is wrong. */
int check_expect_parse(const char *text, struct check_expect *ret, struct err *err);

/* Is a server with which a handshake was made so? False with what was found instead. */
bool check_expect_holds(const struct check_expect *e, const struct server_probe_result *r,
                        struct err *ret_found);

#endif
