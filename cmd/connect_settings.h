/* SPDX-License-Identifier: Apache-2.0 */
/* Where `cardea connect` has its settings from: flags beat the environment, the environment beats the file.
 */
#ifndef CARDEA_CMD_CONNECT_SETTINGS_H
#define CARDEA_CMD_CONNECT_SETTINGS_H

#include "base/buf.h"

enum connect_setting { SETTING_DOOR, SETTING_CERT, SETTING_KEY, SETTING_CA, SETTING_NAME, SETTINGS };

struct connect_settings {
    const char *value[SETTINGS]; /* NULL: nobody says */
    char *path;                  /* of the file; NULL: there is no place for it */
    struct client_config *file;  /* owns the values that came from it */
};

/* Fill in what the flags left NULL. Returns 0, or -1 with lines in `errors` when the file is there but not
 * right. */
int connect_settings_complete(struct connect_settings *s, struct buf *errors);

/* Is what only a client needs there? Returns -1 to go on, or an exit status when something is missing (told
 * on standard error, for `verb`). */
int connect_settings_check(const char *verb, const struct connect_settings *s);

void connect_settings_free(struct connect_settings *s);

#endif
