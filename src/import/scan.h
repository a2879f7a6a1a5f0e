/* SPDX-License-Identifier: Apache-2.0 */
/* Words, strings and signs of configuration languages with braces (hitch's, libconfig), one at a time. */
#ifndef CARDEA_IMPORT_SCAN_H
#define CARDEA_IMPORT_SCAN_H

#include "import/remember.h"
#include "import/setting.h"

enum scan_kind {
    SCAN_END,
    SCAN_WORD,   /* letters, digits, '_', '-', '.', '+', '*' */
    SCAN_STRING, /* in double quotes; its text is without them */
    SCAN_SIGN,   /* any other printable character of ASCII */
};

struct scan {
    struct import *im;
    const char *p, *end;
    struct place at;          /* of what comes next */
    bool libconfig;           /* escapes in strings, comments as in C and C++ too, else none */
    struct remember comments; /* those before the token */
    /* The token: */
    enum scan_kind kind;
    const char *text; /* a sign's has one character */
    struct place where;
};

/* The first token of a text, which must outlive the scan. -1 with im->err. */
int scan_begin(struct scan *s, struct import *im, const char *file, const char *text, size_t len,
               bool libconfig);

/* The next token. -1 with im->err. */
int scan_next(struct scan *s);

/* Is the token this sign? */
bool scan_is(const struct scan *s, char sign);

/* Fail with what was found where, never showing a string, which may be a secret. Returns -1. */
int scan_expected(struct scan *s, const char *what);

/* Go on over a sign; -1 with im->err where another token stands. */
int scan_take(struct scan *s, char sign);

#endif
