/* SPDX-License-Identifier: Apache-2.0 */
#include "starttls/lex.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

bool lex_is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

/* Blanks, comments, joined lines. */
static void skip(struct lexer *l)
{
    while (l->at < l->end) {
        if (*l->at == ' ' || *l->at == '\t' || *l->at == '\r')
            l->at++;
        else if (l->end - l->at >= 2 && l->at[0] == '\\' && l->at[1] == '\n')
            l->at += 2;
        else if (l->end - l->at >= 3 && memcmp(l->at, "\\\r\n", 3) == 0)
            l->at += 3;
        else if (*l->at != '#')
            return;
        else
            while (l->at < l->end && *l->at != '\n')
                l->at++;
    }
}

static struct token word_of(struct lexer *l, enum token_kind kind, const char *from)
{
    return (struct token){kind, {from, (size_t)(l->at - from)}, from};
}

/* Up to a closing character on the same line, which is left out. */
static struct token enclosed(struct lexer *l, enum token_kind kind, const char *from, char close)
{
    l->at = from;
    while (l->at < l->end && *l->at != close && *l->at != '\n')
        l->at += *l->at == '\\' && l->end - l->at > 1 && l->at[1] != '\n' ? 2 : 1;
    if (l->at == l->end || *l->at != close)
        return (struct token){TOKEN_BAD, {from, 0}, from};
    struct token t = word_of(l, kind, from);
    l->at++;
    return t;
}

static struct token read_token(struct lexer *l)
{
    const char *from = l->at;
    if (l->at == l->end)
        return word_of(l, TOKEN_EOF, from);
    char c = *l->at;
    if (c == '"')
        return enclosed(l, TOKEN_STRING, from + 1, '"');
    if (c == 'x' && l->end - from > 1 && from[1] == '"')
        return enclosed(l, TOKEN_BYTES, from + 2, '"');
    if (c == '{')
        return enclosed(l, TOKEN_VAR, from + 1, '}');
    if (lex_is_word_char(c)) {
        while (l->at < l->end && lex_is_word_char(*l->at))
            l->at++;
        return word_of(l, TOKEN_WORD, from);
    }
    l->at++;
    return word_of(l,
                   c == '\n'                                 ? TOKEN_END
                   : strchr("()|;:", c) != NULL && c != '\0' ? TOKEN_MARK
                                                             : TOKEN_BAD,
                   from);
}

struct token lex_next(struct lexer *l)
{
    if (!l->pushed) {
        skip(l);
        const char *at = l->at;
        l->token = read_token(l);
        l->token.at = at;
    }
    l->pushed = false;
    return l->token;
}

void lex_back(struct lexer *l)
{
    l->pushed = true;
}

int lex_error(const struct lexer *l, struct err *err, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    size_t line = 1, column = 1;
    for (const char *p = l->text; p < l->token.at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(err, "%s:%zu:%zu: %s", l->name, line, column, text);
}

bool token_is(struct token t, const char *text)
{
    return (t.kind == TOKEN_WORD || t.kind == TOKEN_MARK) && str_is(t.text, text);
}
