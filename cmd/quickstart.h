/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of `cardea quickstart`: files that it makes, commands that it prints. */
#ifndef CARDEA_CMD_QUICKSTART_H
#define CARDEA_CMD_QUICKSTART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define QUICKSTART_CONFIG "cardea.yaml"
#define QUICKSTART_WEB "web" /* its route to the web page */
#define QUICKSTART_CA "ca"   /* the folder of its CA, and the route that serves it */
#define QUICKSTART_GROUP "admins"
/* Names that lead to this machine, for clients who know RFC 6761. */
#define QUICKSTART_CA_NAME "ca.localhost"
#define QUICKSTART_TUNNEL_NAME "tunnel.localhost"

/* DIR/NAME in a new string, the caller's. */
char *quickstart_path(const char *dir, const char *name);

/* Make the folder and everything in it that is not there yet: a CA, the door's certificate, a client's, and
 * last the configuration, with the door on `port` (0: one that is free) and its web page on a port that is
 * free. -1 with `err`. */
int quickstart_write(const char *dir, uint16_t port, struct err *err);

/* What the commands are about. */
struct quickstart_place {
    const char *dir;
    uint16_t port;       /* the door's */
    const char *welcome; /* HOST:PORT of the web page behind it */
    const char *socket;  /* the door's admin socket; NULL: where `cardea status` looks by itself */
    /* Where the CA looks for answers to challenges; 0: the configuration is of a version that served no CA.
     */
    uint16_t challenge;
};

/* Append commands to try, three ways through the door, two of the CA, and last one that shows what the door
 * did, each indented and with a line feed. They use what this machine has: ssh and psql where the user can
 * log in with them without being asked anything (this is tried, which may take some seconds), certbot or lego
 * where they are, else curl and cardea itself. */
void quickstart_commands(const struct quickstart_place *place, struct buf *ret);

#endif
