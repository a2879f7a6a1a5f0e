/* SPDX-License-Identifier: Apache-2.0 */
/* What `cardea expose` is told: by its command line, and with -c by a file. */
#ifndef CARDEA_CMD_EXPOSE_OPTIONS_H
#define CARDEA_CMD_EXPOSE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hostport.h"
#include "cmd/connect_settings.h"
#include "config/config.h"
#include "tunnel/agent_tls.h"
#include "tunnel/client.h"
#include "tunnel/exposer.h"

/* A service, and what the agent's own end of its TLS is made of. */
struct exposure {
    struct agent_service service;
    struct agent_tls_files tls;
    bool anyone;
    bool wrong;           /* told; only to be looked at further */
    struct config_pos at; /* in the file; line 0: from the command line */
    const struct config_service
        *twin; /* the first of the file that has its name, where that is another; or NULL */
};

struct expose_options {
    struct connect_settings settings; /* what flags and the agent's file say, then the rest */
    struct expose_config *file;       /* -c; NULL: one service, of the command line */
    struct exposure *exposures;
    size_t exposures_len;
    int64_t timeout; /* nanoseconds */
    int64_t grace;
    bool retry;
    bool verbose;
    bool json;
    bool check; /* only say whether all is right, without the door */
    bool wrong; /* with `check`: the file has errors, which are told; the rest of it is as it could be read */
    const char *path;  /* of the file, as given; NULL: none */
    const char *state; /* the folder where certificates of the door's CA are kept; NULL: see expose_state.h */
    /* private: what the exposure of the command line refers to */
    bool kind_given;
    char host[HOST_MAX];
    const char **allow;
};

/* Read them, the file too. Returns -1 to go on, or an exit status when that was all: help was asked for, or
 * there is a mistake (told on standard error). */
int expose_options_read(struct expose_options *o, int argc, char **argv);

/* Read the file again: *ret has its services and settings, and nothing of the command line; it is to be freed
 * in either case. False when something is wrong (told on standard error). */
bool expose_options_reread(const struct expose_options *o, struct expose_options *ret);

void expose_options_free(struct expose_options *o);

#endif
