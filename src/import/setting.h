/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration says, setting by setting, with what became of each: the same for all programs. */
#ifndef CARDEA_IMPORT_SETTING_H
#define CARDEA_IMPORT_SETTING_H

#include <stdbool.h>
#include <stddef.h>

#include "import/import.h"
#include "import/outline.h"

/* What becomes of a setting; what was said of it first counts. */
enum fate {
    FATE_TAKEN,
    FATE_DIFFERS, /* taken over, with something to know */
    FATE_NEEDLESS,
    FATE_MISSING, /* without a remark: it belongs to what is left out */
};

/* A row of a program's table (tables/import_*.def). */
struct option_row {
    const char *name;
    unsigned flags;        /* the program's own, and: */
#define OPTION_MANY 0x100u /* may be given several times */
    enum fate fate;        /* FATE_TAKEN: the program's code decides */
    const char *text;
};

struct place {
    const char *file;
    unsigned line, column;
};

struct setting {
    const struct option_row *row;
    const char *value;
    struct place at;
    enum fate fate;
    const char *said;     /* the remark about it */
    struct setting *next; /* in its scope */
    struct setting *also; /* in the import */
};

/* The settings of one place: at the top, of a service. */
struct scope {
    struct setting *first, *last;
};

/* One import, from text to tree. */
struct import {
    struct pool pool;
    const struct import_files *files;
    const struct option_row *rows;
    size_t rows_len;
    bool nocase; /* names of options compare without case */
    struct setting *all, *all_last;
    size_t settings_len, files_len;
    struct node *root, *listeners, *certificates, *trust, *routes, *policy, *limits;
    struct err *err;
};

#define SETTINGS_MAX 5000 /* of one import */
#define IMPORT_FILES_MAX 256

void import_begin(struct import *im, const struct import_files *files, const struct option_row *rows,
                  size_t len, struct err *err);

/* Free `im`; when `rc` is 0 its tree and remarks become the result first, below a line that says what was
 * imported (`program`, `what`). Returns `rc`. */
int import_end(struct import *im, int rc, const char *program, const char *what, struct import_result *ret);

/* Set im->err to "FILE:LINE:COLUMN: " and the text. Returns -1. */
int import_fail(struct import *im, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The row of an option; NULL where there is none of that name. */
const struct option_row *setting_row(const struct import *im, const char *name);

/* Put a setting at the end of its scope. `name` becomes a row: -1 with im->err when there is none, when
 * `allowed` has none of its flags, or when it stands there already and is not OPTION_MANY. `value` is copied;
 * one that is to be taken over and is not UTF-8 or has control characters is refused. `where`: what the scope
 * is called in errors. */
int setting_add(struct import *im, struct scope *scope, unsigned allowed, const char *where, struct place at,
                const char *name, const char *value);

/* The last or the next one of that name; `name` must be a row's. NULL when there is none. */
struct setting *setting_find(const struct scope *scope, const char *name);
struct setting *setting_next(const struct setting *after, const char *name);

/* Its value, or `fallback`. */
const char *setting_value(const struct scope *scope, const char *name, const char *fallback);

/* Say what becomes of a setting, in a comment at `n`. Only the first time counts. */
void setting_remark(struct import *im, struct node *n, struct setting *s, enum fate fate, const char *fmt,
                    ...) __attribute__((format(printf, 5, 6)));

/* Say what the table says of all settings of the scope that are not taken over; what has no equivalent and is
 * off is not needed. */
void setting_judge(struct import *im, struct node *n, const struct scope *scope);

/* A whole number of at most `max`, or -1 with im->err. */
int setting_number(struct import *im, const struct setting *s, unsigned long max, unsigned long *ret);

/* One of `yes` and `no`, as the program calls them; -1 with im->err. Without the setting: `fallback`. */
int setting_bool(struct import *im, const struct setting *s, const char *yes, const char *no, bool fallback,
                 bool *ret);

#endif
