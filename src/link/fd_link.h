/* SPDX-License-Identifier: Apache-2.0 */
/* Links on descriptors: stream sockets (TCP and unix), UDP, and a pair such as standard input and output. */
#ifndef CARDEA_LINK_FD_LINK_H
#define CARDEA_LINK_FD_LINK_H

#include "base/err.h"
#include "link/link.h"
#include "loop/loop.h"

/* A link on a non-blocking stream socket, which it owns from then on. `connecting`: connect(2) said
 * EINPROGRESS, and link_open() answers LINK_AGAIN until it is decided. NULL with errno set (and fd not taken)
 * when it can't be watched. `fd` may have bytes waiting: the first read tries. */
struct link *fd_link_socket(struct loop *loop, int fd, bool connecting);

/* A link that reads from one descriptor and writes to another (which may be files, pipes or terminals); both
 * are made non-blocking where they can be, put back as they were at close, and not closed. Ending our
 * direction closes `out` when it is not the same as `in`. */
struct link *fd_link_pair(struct loop *loop, int in, int out, struct err *err);

/* A link on a connected, non-blocking UDP socket, which it owns from then on: its bytes are frames
 * (frames.h). NULL with errno set (and fd not taken) when it can't be watched. */
struct link *fd_link_udp(struct loop *loop, int fd);

/* errno of a socket link that broke, or 0. For answers such as "refused" and "unreachable". */
int fd_link_errno(const struct link *l);

#endif
