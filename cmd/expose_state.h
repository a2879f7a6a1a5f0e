/* SPDX-License-Identifier: Apache-2.0 */
/* Where `cardea expose` keeps the certificates that the door's CA has given it. */
#ifndef CARDEA_CMD_EXPOSE_STATE_H
#define CARDEA_CMD_EXPOSE_STATE_H

#include "base/err.h"

/* The file for what is offered under `name` at the door HOST:PORT: FOLDER/HOST:PORT/NAME.pem, whose folders
 * are made where they are missing, for this user alone. `folder` NULL: $STATE_DIRECTORY of a service manager,
 * else $XDG_STATE_HOME/cardea, else ~/.local/state/cardea. The caller frees it. NULL with `err`. */
char *expose_state_path(const char *folder, const char *door, const char *name, struct err *err);

#endif
