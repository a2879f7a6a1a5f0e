/* SPDX-License-Identifier: Apache-2.0 */
/* The language of libconfig: NAME: VALUE; where a value is a scalar, [scalars], (values) or {settings}. */
#ifndef CARDEA_IMPORT_LIBCONFIG_H
#define CARDEA_IMPORT_LIBCONFIG_H

#include "import/setting.h"

enum libconfig_kind { LIBCONFIG_SCALAR, LIBCONFIG_ARRAY, LIBCONFIG_LIST, LIBCONFIG_GROUP };

struct libconfig_value {
    enum libconfig_kind kind;
    const char *name; /* of a setting; NULL: an item */
    const char *text; /* of a scalar */
    struct place at;
    struct node *comments; /* remarks: those that stood before it */
    struct libconfig_value *first, *last, *next;
};

/* The settings of a text as a group. NULL with im->err. */
struct libconfig_value *libconfig_parse(struct import *im, const char *file, const char *text, size_t len);

/* "a list" and the like, for errors. */
const char *libconfig_kind(enum libconfig_kind kind);

#endif
