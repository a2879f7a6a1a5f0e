/* SPDX-License-Identifier: Apache-2.0 */
/* Where `cardea connect` and its like have their settings from: flags beat the environment, the environment
 * beats the file.
 */
#ifndef CARDEA_CMD_CONNECT_SETTINGS_H
#define CARDEA_CMD_CONNECT_SETTINGS_H

#include <stdbool.h>

#include "base/buf.h"

enum connect_setting { SETTING_DOOR, SETTING_CERT, SETTING_KEY, SETTING_CA, SETTING_NAME, SETTINGS };

/* Rows of getopt_long()'s table for their flags: each option is `first` + its enum connect_setting. */
#define CONNECT_SETTINGS_FLAGS(first)                              \
    {"door", required_argument, NULL, (first) + SETTING_DOOR},     \
        {"cert", required_argument, NULL, (first) + SETTING_CERT}, \
        {"key", required_argument, NULL, (first) + SETTING_KEY},   \
        {"ca", required_argument, NULL, (first) + SETTING_CA},     \
    {                                                              \
        "name", required_argument, NULL, (first) + SETTING_NAME    \
    }

struct connect_settings {
    const char *value[SETTINGS]; /* NULL: nobody says */
    bool from_file[SETTINGS];
    char *path;                 /* of the file; NULL: there is no place for it */
    struct client_config *file; /* owns the values that came from it */
};

/* Fill in what the flags left NULL. Returns 0, or -1 with lines in `errors` when the file is there but not
 * right. */
int connect_settings_complete(struct connect_settings *s, struct buf *errors);

/* Is what a door is reached with there, once they are complete? Returns -1 to go on, or an exit status, with
 * what is missing told as a misuse of `verb`. */
int connect_settings_check(const struct connect_settings *s, const char *verb);

void connect_settings_free(struct connect_settings *s);

#endif
