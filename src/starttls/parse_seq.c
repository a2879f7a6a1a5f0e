/* SPDX-License-Identifier: Apache-2.0 */
/* Reads patterns and templates: sequences of texts, bytes and variables. */
#include <string.h>

#include "base/check.h"
#include "base/hex.h"
#include "starttls/parse.h"

#define ANY_MAX 4096u

static struct op *add_op(struct parse *p, enum op_kind kind)
{
    struct starttls *s = p->script;
    s->ops = parse_grow(p, s->ops, sizeof(*s->ops), &s->ops_len);
    struct op *op = &s->ops[s->ops_len - 1];
    *op = (struct op){.kind = (uint8_t)kind, .var = NO_INDEX};
    return op;
}

static void add_text(struct parse *p, enum op_kind kind, const struct buf *bytes, uint32_t len)
{
    if (bytes->len == 0)
        return;
    uint32_t at = parse_keep(p, (struct str){(const char *)bytes->data, bytes->len});
    struct op *op = add_op(p, kind);
    op->at = at;
    op->len = len;
}

/* ---- strings ---- */

/* The character after a backslash; *at stands on it, and then behind what belongs to it. */
static int read_escape(struct parse *p, const char **at, const char *end, char *ret)
{
    static const char from[] = "rnt0\"\\{}", to[] = "\r\n\t\0\"\\{}";
    const char *known = *at < end ? memchr(from, **at, sizeof(from) - 1) : NULL;
    if (known == NULL)
        return lex_error(&p->lex, p->err,
                         "found an unknown escape, expected \\r \\n \\t \\0 \\\" \\\\ \\{ or \\}");
    *ret = to[known - from];
    ++*at;
    return 0;
}

/* {} {...} {name} {name...}: what a pattern takes there. */
static int add_capture(struct parse *p, struct str inside)
{
    bool rest = inside.len >= 3 && memcmp(inside.p + inside.len - 3, "...", 3) == 0;
    struct str name = {inside.p, inside.len - (rest ? 3 : 0)};
    uint16_t var = NO_INDEX;
    if (name.len > 0 && parse_gives(p, name, &var) != 0)
        return -1;
    add_op(p, rest ? OP_REST : OP_WORD)->var = var;
    return 0;
}

static int add_variable(struct parse *p, struct str name)
{
    uint16_t var;
    if (name.len == 0)
        return parse_found(p, "the name of a variable between the braces");
    if (parse_variable(p, name, &var) != 0)
        return -1;
    add_op(p, OP_VAR)->var = var;
    parse_note_use(p, (struct token){TOKEN_VAR, name, name.p - 1}, var);
    return 0;
}

static int read_braces(struct parse *p, const char **at, const char *end, bool pattern)
{
    const char *close = memchr(*at, '}', (size_t)(end - *at));
    if (close == NULL)
        return lex_error(&p->lex, p->err,
                         "found a '{' that is not closed; a brace of the text itself is written \\{");
    struct str inside = {*at, (size_t)(close - *at)};
    *at = close + 1;
    return pattern ? add_capture(p, inside) : add_variable(p, inside);
}

static int read_string(struct parse *p, struct str raw, bool pattern)
{
    struct buf text = {0};
    const char *at = raw.p, *end = raw.p + raw.len;
    int r = 0;
    while (at < end && r == 0) {
        char c = *at++;
        if (c == '{') {
            add_text(p, OP_TEXT, &text, (uint32_t)text.len);
            buf_free(&text);
            r = read_braces(p, &at, end, pattern);
            continue;
        }
        if (c == '\\')
            r = read_escape(p, &at, end, &c);
        CHECK(buf_append(&text, &c, 1));
    }
    if (r == 0)
        add_text(p, OP_TEXT, &text, (uint32_t)text.len);
    buf_free(&text);
    return r;
}

/* ---- bytes ---- */

/* Two digits, "??", or '&' and two digits. */
static int read_byte(struct parse *p, const char **at, const char *end, bool pattern, struct buf *to)
{
    uint8_t how = BYTE_IS;
    if (pattern && end - *at >= 2 && memcmp(*at, "??", 2) == 0) {
        CHECK(buf_append(to, (const uint8_t[]){BYTE_ANY, 0}, 2));
        *at += 2;
        return 0;
    }
    if (pattern && **at == '&') {
        how = BYTE_BITS;
        ++*at;
    }
    if (end - *at < 2 || hex_digit((*at)[0]) < 0 || hex_digit((*at)[1]) < 0)
        return lex_error(&p->lex, p->err, "found '%.*s', expected bytes as two hexadecimal digits each%s",
                         (int)MIN(end - *at, (ptrdiff_t)8), *at, pattern ? ", ?? or & and two digits" : "");
    uint8_t value = (uint8_t)(hex_digit((*at)[0]) << 4 | hex_digit((*at)[1]));
    *at += 2;
    CHECK((!pattern || buf_append(to, &how, 1)) && buf_append(to, &value, 1));
    return 0;
}

static int read_bytes(struct parse *p, struct str raw, bool pattern)
{
    struct buf bytes = {0};
    int r = 0;
    for (const char *at = raw.p, *end = raw.p + raw.len; at < end && r == 0;) {
        if (*at == ' ')
            at++;
        else
            r = read_byte(p, &at, end, pattern, &bytes);
    }
    if (r == 0)
        add_text(p, pattern ? OP_BYTES : OP_TEXT, &bytes, (uint32_t)(pattern ? bytes.len / 2 : bytes.len));
    buf_free(&bytes);
    return r;
}

/* ---- words of patterns ---- */

static int argument(struct parse *p, int base, uint32_t max, const char *expected, uint32_t *ret)
{
    struct token t = lex_next(&p->lex);
    uint32_t v = 0;
    if (t.kind != TOKEN_WORD)
        return parse_found(p, expected);
    for (size_t i = 0; i < t.text.len; i++) {
        int digit = hex_digit(t.text.p[i]);
        if (digit < 0 || digit >= base || (v = v * (uint32_t)base + (uint32_t)digit) > max)
            return parse_found(p, expected);
    }
    *ret = v;
    return 0;
}

/* A variable may follow, that is to have what was taken. */
static int maybe_capture(struct parse *p, uint16_t op)
{
    uint16_t var;
    struct token t = lex_next(&p->lex);
    bool rest = t.text.len >= 3 && memcmp(t.text.p + t.text.len - 3, "...", 3) == 0;
    if (t.kind != TOKEN_VAR || rest) {
        lex_back(&p->lex);
        return 0;
    }
    if (parse_gives(p, t.text, &var) != 0)
        return -1;
    p->script->ops[op].var = var;
    return 0;
}

/* any N {name}, cstring, pairs {name}, tag HH, tlv HH {name} */
static int read_pattern_word(struct parse *p, bool *ret_known)
{
    struct token t = p->lex.token;
    uint32_t n = 0;
    *ret_known = true;
    if (token_is(t, "cstring")) {
        add_op(p, OP_CSTR);
        return 0;
    }
    if (token_is(t, "pairs")) {
        add_op(p, OP_PAIRS);
        return maybe_capture(p, (uint16_t)(p->script->ops_len - 1));
    }
    bool any = token_is(t, "any"), tag = token_is(t, "tag");
    if (!any && !tag && !token_is(t, "tlv")) {
        *ret_known = false;
        return 0;
    }
    if (any ? argument(p, 10, ANY_MAX, "a number of bytes", &n) != 0
            : argument(p, 16, 0xff, "a tag as two hexadecimal digits", &n) != 0)
        return -1;
    add_op(p, any ? OP_ANY : tag ? OP_TAG : OP_TLV)->len = n;
    return tag ? 0 : maybe_capture(p, (uint16_t)(p->script->ops_len - 1));
}

/* The present word belongs to what follows. */
static int end_of_sequence(struct parse *p, bool found, const char *expected)
{
    if (!found)
        return parse_found(p, expected);
    lex_back(&p->lex);
    return 0;
}

/* What ends a capture is a text or the end of the unit; behind anything else it would never match. */
static int check_captures(struct parse *p, struct seq seq)
{
    for (uint16_t i = 0; i + 1 < seq.n && !p->full; i++) {
        const struct op *op = &p->script->ops[seq.first + i];
        if ((op->kind == OP_WORD || op->kind == OP_REST) && op[1].kind != OP_TEXT)
            return lex_error(&p->lex, p->err,
                             "behind {name} or {name...} a text in quotes is expected, or the pattern's end");
    }
    return 0;
}

int parse_pattern(struct parse *p, struct seq *ret)
{
    bool found = false;
    ret->first = p->script->ops_len;
    for (;; found = true) {
        struct token t = lex_next(&p->lex);
        bool known = true;
        int r = 0;
        if (t.kind == TOKEN_STRING)
            r = read_string(p, t.text, true);
        else if (t.kind == TOKEN_BYTES)
            r = read_bytes(p, t.text, true);
        else if (t.kind == TOKEN_VAR)
            r = add_capture(p, t.text);
        else
            r = read_pattern_word(p, &known);
        if (r != 0)
            return -1;
        if (!known)
            break;
    }
    ret->n = (uint16_t)(p->script->ops_len - ret->first);
    if (check_captures(p, *ret) != 0)
        return -1;
    return end_of_sequence(p, found,
                           "a pattern: texts in quotes, x\"bytes\", {name}, any, cstring, pairs, tag or tlv");
}

/* ---- templates ---- */

static const struct {
    const char *word;
    enum function fn;
} functions[] = {{"len8", FN_LEN8},     {"size32", FN_SIZE32}, {"packet24", FN_PACKET24},
                 {"base64", FN_BASE64}, {"xtext", FN_XTEXT},   {"xml", FN_XML}};

static int read_function(struct parse *p, bool *ret_known)
{
    struct token t = p->lex.token;
    size_t i = 0;
    while (i < ARRAY_LEN(functions) && !token_is(t, functions[i].word))
        i++;
    *ret_known = i < ARRAY_LEN(functions);
    if (!*ret_known)
        return 0;
    if (!token_is(lex_next(&p->lex), "("))
        return parse_found(p, "'(' behind the function");
    add_op(p, OP_OPEN)->fn = (uint8_t)functions[i].fn;
    return 0;
}

int parse_template(struct parse *p, struct seq *ret)
{
    bool inside = false;
    bool found = false;
    ret->first = p->script->ops_len;
    for (;; found = true) {
        struct token t = lex_next(&p->lex);
        bool known = true;
        int r = 0;
        if (t.kind == TOKEN_STRING) {
            r = read_string(p, t.text, false);
        } else if (t.kind == TOKEN_BYTES) {
            r = read_bytes(p, t.text, false);
        } else if (t.kind == TOKEN_VAR) {
            r = add_variable(p, t.text);
        } else if (inside && token_is(t, ")")) {
            add_op(p, OP_CLOSE);
            inside = false;
        } else if (inside) {
            return parse_found(p, "texts, bytes or variables, and ')'");
        } else {
            r = read_function(p, &known);
            inside = known;
        }
        if (r != 0)
            return -1;
        if (!known)
            break;
    }
    ret->n = (uint16_t)(p->script->ops_len - ret->first);
    return end_of_sequence(p, found,
                           "what to say: texts in quotes, x\"bytes\", {name}, len8(), size32(), packet24(), "
                           "base64(), xtext() or xml()");
}
