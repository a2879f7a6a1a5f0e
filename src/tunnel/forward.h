/* SPDX-License-Identifier: Apache-2.0 */
/* A local port that leads through the door, as `-L` and `--socks` say it. Pure. */
#ifndef CARDEA_TUNNEL_FORWARD_H
#define CARDEA_TUNNEL_FORWARD_H

#include "base/err.h"
#include "base/hostport.h"
#include "session/front.h"

struct forward {
    char host[HOST_MAX]; /* where to listen, without brackets; "" is every address */
    uint16_t port;
    struct front_target target; /* host "": none was asked for */
    bool socks;                 /* its clients say where to, in SOCKS5 */
};

#define FORWARD_DEFAULT_HOST "127.0.0.1"

/* Read [ADDR:]PORT:HOST:PORT, or [ADDR:]PORT:NAME for a name that an agent offers, or with `to_route`
 * [ADDR:]PORT; IPv6 addresses stand in brackets, ADDR `*` is every address. Returns 0, or -1 with `err`. */
int forward_parse(const char *text, bool to_route, struct forward *ret, struct err *err);

/* Read [ADDR:]PORT, where a SOCKS server is to listen. Returns 0, or -1 with `err`. */
int forward_parse_socks(const char *text, struct forward *ret, struct err *err);

#endif
