/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `cardea check` for servers. */
#ifndef CARDEA_CMD_CHECK_OPTIONS_H
#define CARDEA_CMD_CHECK_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/doh.h"
#include "base/hostport.h"
#include "cmd/check_expect.h"
#include "probe/grade.h"

#define CHECK_ALPN_MAX 8
#define CHECK_EXPECT_MAX 16

struct check_options {
    /* as they say; NULL: they do not */
    const char *starttls, *chat, *name, *ca, *cert, *key, *dns;
    struct doh_resolver doh; /* asked for HTTPS records; its `url` NULL: none is */
    const char *alpn[CHECK_ALPN_MAX];
    size_t alpn_len;
    bool quic; /* look over QUIC, too */
    const char *quic_alpn[CHECK_ALPN_MAX];
    size_t quic_alpn_len; /* 1 at least */
    char name_space[HOST_MAX];
    int64_t timeout, question_timeout, survey_timeout; /* nanoseconds */
    bool json;
    bool quick;       /* one handshake, no grade */
    bool fails_below; /* a grade under `below` is a failure */
    enum grade below;
    bool accepted[GRADE_RULES];
    struct check_expect expect[CHECK_EXPECT_MAX];
    size_t expect_len;
};

/* Read them; the servers begin at argv[optind], and there is one at least. Returns -1, or an exit status. */
int check_options_read(int argc, char **argv, struct check_options *ret);

#endif
