/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `cardea connect`. */
#ifndef CARDEA_CMD_CONNECT_OPTIONS_H
#define CARDEA_CMD_CONNECT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/connect_settings.h"
#include "tunnel/client.h"
#include "tunnel/forward.h"

struct connect_options {
    struct connect_settings settings; /* what the flags say; connect_settings_complete() adds the rest */
    const char *sni;                  /* a route instead of a target; NULL: a target */
    const char *alpn;
    bool udp;        /* -L leads datagrams, --socks does so as its clients ask */
    bool verbose;    /* tell at the end what became of them */
    bool end_to_end; /* only to services that prove their name */
    bool no_share;   /* by itself, whatever the environment and the file say */
    int64_t timeout; /* nanoseconds */
    struct forward *forwards;
    size_t forwards_len;        /* 0: standard input and output */
    struct front_target target; /* for standard input and output; host "": a route */
};

/* Read them. Returns -1 to go on, or an exit status when that was all: help was asked for, or there is a
 * mistake (told on standard error). */
int connect_options_read(struct connect_options *o, int argc, char **argv);

void connect_options_free(struct connect_options *o);

#endif
