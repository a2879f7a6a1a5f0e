/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a script's text. Private to starttls/. */
#ifndef CARDEA_STARTTLS_LEX_H
#define CARDEA_STARTTLS_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

enum token_kind {
    TOKEN_WORD,   /* letters, digits, '-', '_', '.' */
    TOKEN_STRING, /* between quotes, as written */
    TOKEN_BYTES,  /* x"..": between its quotes, as written */
    TOKEN_VAR,    /* {name}: the name */
    TOKEN_MARK,   /* one of ( ) | ; : */
    TOKEN_END,    /* of a line */
    TOKEN_EOF,
    TOKEN_BAD,
};

struct token {
    enum token_kind kind;
    struct str text; /* in the script */
    const char *at;  /* where it begins, with its quote or brace */
};

/* Reads a script from its beginning on. A backslash at the end of a line joins it with the next one. */
struct lexer {
    const char *name;
    const char *text;
    const char *at;
    const char *end;
    struct token token; /* the present one */
    bool pushed;
};

/* Is it one of a word's, or of a name's? */
bool lex_is_word_char(char c);

/* The next word. */
struct token lex_next(struct lexer *l);

/* Let lex_next() give the present one again. */
void lex_back(struct lexer *l);

/* "NAME:LINE:COLUMN: " of the present word, and the text. Returns -1. */
int lex_error(const struct lexer *l, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Is it this word, or this mark? */
bool token_is(struct token t, const char *text);

#endif
