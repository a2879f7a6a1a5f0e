/* SPDX-License-Identifier: Apache-2.0 */
/* A change of a zone (dns/update.h), carried out: the name server is asked over UDP a few times, then over
 * TCP, for who loses datagrams, or answers with more than fits in one. On one loop, in its thread. */
#ifndef CARDEA_DNS_UPDATER_H
#define CARDEA_DNS_UPDATER_H

#include "dns/update.h"
#include "loop/loop.h"
#include "net/addr.h"

/* Who is asked, and with which key. Borrowed while a change is under way. */
struct dns_server {
    struct net_addr address;
    struct dns_key key;
};

struct dns_updater;

/* It is over: `why` is NULL where the server has done it; borrowed for the call. `silent`: it has not
 * answered at all, and whoever asks it again waits as long. */
typedef void dns_updated(void *arg, const struct err *why, bool silent);

/* Begin. Of `u`, which is copied, `id` and `now` are set here. `done` is called once, later. NULL with `err`
 * where a name is none, or there is too much data. */
struct dns_updater *dns_updater_start(struct loop *loop, const struct dns_server *server,
                                      const struct dns_update *u, dns_updated *done, void *arg,
                                      struct err *err);

/* `done` is not called any more. The server may have done it. */
void dns_updater_cancel(struct dns_updater *updater);

#endif
