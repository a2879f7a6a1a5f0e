/* SPDX-License-Identifier: Apache-2.0 */
/* Where the unix sockets of a user's carriers are: $XDG_RUNTIME_DIR/cardea/, else /tmp/cardea-UID/, a
 * directory that is this user's alone. One socket for each version of the program, door, name, certificate,
 * key, CA, ECH, transport and what is made of post-quantum key exchange: its name is a hash of them. */
#ifndef CARDEA_TUNNEL_SHARE_PLACE_H
#define CARDEA_TUNNEL_SHARE_PLACE_H

#include <stdbool.h>

#include "base/err.h"
#include "tunnel/client.h"

#define SHARE_PATH_MAX 108 /* bytes of a unix socket's path with its NUL (sun_path) */

/* The directory. With `make` it is made where it is missing. -1 with `err` where it is not there, is not a
 * directory of this user's that nobody else may enter, or is a symbolic link. */
int share_place_directory(bool make, char ret[SHARE_PATH_MAX], struct err *err);

/* The socket for these settings, whose paths must be absolute; the directory is made. -1 with `err`. */
int share_place(const struct client_settings *settings, char ret[SHARE_PATH_MAX], struct err *err);

/* Connect to the socket, which must be one of this user's. The descriptor (non-blocking, close-on-exec), or
 * -1 with errno set; EACCES when somebody else listens there. */
int share_place_connect(const char *path);

/* One process at a time makes a socket: wait for one's turn. The descriptor to close when that is done, or -1
 * with errno set. */
int share_place_lock(const char *path);

/* Is the process at the other end of a connected unix socket one of this user's? */
bool share_place_is_ours(int fd);

#endif
