/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the login of who stays at a door alive: `cardea login --renew` runs before the certificate ends, and
 * its owner is told on standard error when that does not help. What the renewal has got is proven on the
 * connections that stand by the door's client (tunnel/renewer.h). */
#ifndef CARDEA_CMD_LOGIN_KEEPER_H
#define CARDEA_CMD_LOGIN_KEEPER_H

#include <stdbool.h>

#include "base/err.h"

struct client_settings;
struct login_keeper;
struct loop;

/* Who hears of a newer certificate in the file, whoever has put it there. */
struct login_keeper_owner {
    void (*renewed)(void *owner);
    void *owner;
    bool by_another; /* another process renews; here it is only told */
};

/* For the certificate that these settings have a door shown. *ret is NULL where that is of no login. -1 with
 * `err`. */
int login_keeper_new(struct login_keeper **ret, struct loop *loop, const struct client_settings *settings,
                     const struct login_keeper_owner *owner, struct err *err);

/* Before its owner goes. A renewal under way goes on by itself. NULL is allowed. */
void login_keeper_free(struct login_keeper *k);

#endif
