/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a verb, read out of what `cardea help VERB` says: tables/verbs.def is their only list. */
#ifndef CARDEA_CMD_VERB_FLAGS_H
#define CARDEA_CMD_VERB_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#define VERB_FLAGS_MAX 64

struct verb_flag {
    char name[32];   /* "-c" or "--config" */
    char value[192]; /* what stands for its value, such as FILE or v1|v2; "": it takes none */
    char help[160];  /* the first line of it; "": there is none */
    char form[16];   /* the form of the verb that it goes with, such as server; "": with any */
    bool elsewhere;  /* told together with others only: how it is used stands with another verb */
};

struct verb_flags {
    size_t n;
    struct verb_flag v[VERB_FLAGS_MAX];
};

/* Read `options`, the lines of a row of tables/verbs.def. Those that are indented and begin with a hyphen
 * tell of options, which behind "With server:" go with that form of the verb: "  -c, --config FILE      help"
 *   "      --cert FILE, --key FILE"    more than one, help on lines of their own
 *   "      --door, --cert, --key"      as elsewhere */
void verb_flags_read(const char *options, struct verb_flags *ret);

#endif
