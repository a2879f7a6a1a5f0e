/* SPDX-License-Identifier: Apache-2.0 */
/* Does a `cardea connect` go through a process that carries the connections of all of them (`cardea carry`)?
 * And starting that process. */
#ifndef CARDEA_CMD_SHARE_H
#define CARDEA_CMD_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "tunnel/client.h"
#include "tunnel/share_place.h"

#define SHARE_IDLE_NS INT64_C(600000000000) /* how long an unused one stays, where nobody says */

struct share_settings {
    struct client_settings client;                      /* with absolute paths */
    char *cert, *key, *ca, *ech, *doh_ca, *doh_configs; /* those that were made absolute */
    char path[SHARE_PATH_MAX];                          /* of the socket */
    int64_t idle;
};

/* What $CARDEA_SHARE says: false when it turns sharing off. *ret_idle: the time that it gives, else the
 * default. */
bool share_is_wanted(int64_t *ret_idle);

/* Where the process for these settings would be; the texts stay borrowed. -1 with `err` where there is no
 * safe place for a socket. */
int share_settings_make(struct share_settings *ret, const struct client_settings *client, int64_t idle,
                        struct err *err);

void share_settings_free(struct share_settings *s);

/* May its certificate, key and CA be used, as far as a look at the files tells without reading them? Where
 * not, a door of one's own says what is wrong. */
bool share_files_may_do(const struct share_settings *s);

/* Connect to it. The descriptor, or -1 when there is none. */
int share_find(const struct share_settings *s);

/* The same, and where there is none start it. -1 when that cannot be done: then one goes alone. */
int share_find_or_start(const struct share_settings *s);

/* The listening socket for one, as the only process that has it: the descriptor, or -1 with `err`. */
int share_listen(const struct share_settings *s, struct err *err);

#endif
