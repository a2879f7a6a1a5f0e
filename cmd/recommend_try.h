/* SPDX-License-Identifier: Apache-2.0 */
/* One handshake with a backend, as the door would make it in a mode, by the probe that `cardea check` looks
 * at servers with. */
#ifndef CARDEA_CMD_RECOMMEND_TRY_H
#define CARDEA_CMD_RECOMMEND_TRY_H

#include "cmd/recommend.h"

struct loop;
struct resolver;
struct tls_scratch;

/* Borrowed. */
struct recommend_tools {
    const struct config *config;
    struct loop *loop;
    struct resolver *resolver;
    struct tls_scratch *scratch;
    int64_t timeout; /* nanoseconds */
};

/* In which mode, with whom, and by which bundle. */
struct recommend_attempt {
    const struct config_route *route;
    enum backend_mode mode;
    const struct config_address *at;
    uint16_t port;
    const char *name;  /* NULL: the host of the address */
    const char *trust; /* of MODE_FULL_STRICT and up; NULL: pins alone */
};

/* Would the door have a connection that way? Runs the loop until that is known. `ret_text`: what came of it,
 * or why not. */
bool recommend_try(const struct recommend_tools *tools, const struct recommend_attempt *a,
                   struct err *ret_text);

#endif
