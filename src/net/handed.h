/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that systemd, or whoever speaks its language, has opened before this program began:
 * sd_listen_fds(3), systemd.socket(5). They stay open and in their place for as long as the process lives;
 * what is made of them is a duplicate. */
#ifndef CARDEA_NET_HANDED_H
#define CARDEA_NET_HANDED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define HANDED_MAX 256

/* How many sockets are handed to this process, at descriptors from 3 on; 0 also where LISTEN_FDS is for
 * another process. They are made close-on-exec and non-blocking. */
size_t handed_count(void);

struct handed {
    int stream[HANDED_MAX]; /* listening; borrowed */
    size_t streams;
    int datagram; /* bound, of IPv4 or IPv6; borrowed; -1: none */
};

/* Those of a name. -1 with `err` where there is none, or one that no listener can be made of. */
int handed_find(const char *name, struct handed *ret, struct err *err);

#endif
