/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/line.h"

#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "audit/reason.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/hex.h"
#include "base/utf8.h"

#define DEPTH_MAX 8 /* of what is passed over */

static const struct str names[AUDIT_FIELDS] = {
#define NAME(field, text) [field] = {text, sizeof(text) - 1}
    NAME(AUDIT_TIME, "time"),
    NAME(AUDIT_CARRIER, "carrier"),
    NAME(AUDIT_PEER, "peer"),
    NAME(AUDIT_SNI, "sni"),
    NAME(AUDIT_ROUTE, "route"),
    NAME(AUDIT_ACTION, "action"),
    NAME(AUDIT_VERSION, "version"),
    NAME(AUDIT_GROUP, "group"),
    NAME(AUDIT_CIPHER, "cipher"),
    NAME(AUDIT_VERIFIES, "verifies"),
    NAME(AUDIT_JA4, "ja4"),
    NAME(AUDIT_OFFERS_GROUPS, "offers_groups"),
    NAME(AUDIT_OFFERS_CIPHERS, "offers_ciphers"),
    NAME(AUDIT_IDENTITY, "identity"),
    NAME(AUDIT_OFFER, "offer"),
    NAME(AUDIT_REASON, "reason"),
#undef NAME
};

struct reader {
    const char *p;
    const char *end;
};

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r'))
        r->p++;
}

static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

/* ---- strings ---- */

#define BYTES(c) (UINT64_C(0x0101010101010101) * (uint8_t)(c))
#define HIGH BYTES(0x80)

/* A bit in the top of each byte that is zero; those above a zero byte may be set too. */
static uint64_t zeros(uint64_t word)
{
    return (word - BYTES(1)) & ~word & HIGH;
}

/* Behind all bytes from `p` on that stand for themselves: no quote, no backslash, no control character. Eight
 * at a time as far as they go. */
static const char *plain_end(const char *p, const char *end)
{
    for (uint64_t word; end - p >= 8; p += 8) {
        memcpy(&word, p, 8);
        uint64_t control = (word - BYTES(0x20)) & ~word & HIGH;
        if ((zeros(word ^ BYTES('"')) | zeros(word ^ BYTES('\\')) | control) != 0)
            break;
    }
    while (p < end && *p != '"' && *p != '\\' && (uint8_t)*p >= 0x20)
        p++;
    return p;
}

static bool is_hex(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && hex_digit(p[i]) >= 0)
        i++;
    return i == n;
}

/* Behind a backslash. */
static bool take_escape(struct reader *r)
{
    size_t left = (size_t)(r->end - r->p);
    if (left == 0 || *r->p == '\0' || strchr("\"\\/bfnrtu", *r->p) == NULL)
        return false;
    if (*r->p == 'u' && (left < 5 || !is_hex(r->p + 1, 4)))
        return false;
    r->p += *r->p == 'u' ? 5 : 1;
    return true;
}

/* With its opening quote at hand. */
static bool take_string(struct reader *r, struct str *ret)
{
    const char *from = ++r->p;
    for (;;) {
        r->p = plain_end(r->p, r->end);
        if (r->p == r->end || (uint8_t)*r->p < 0x20)
            return false;
        if (*r->p++ == '"') {
            *ret = (struct str){from, (size_t)(r->p - 1 - from)};
            return true;
        }
        if (!take_escape(r))
            return false;
    }
}

/* ---- other values: passed over ---- */

static bool take_digits(struct reader *r)
{
    const char *from = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return r->p > from;
}

static bool skip_number(struct reader *r)
{
    r->p += *r->p == '-';
    const char *from = r->p;
    if (!take_digits(r) || (*from == '0' && r->p - from > 1))
        return false;
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (!take_digits(r))
            return false;
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        r->p++;
        r->p += r->p < r->end && (*r->p == '+' || *r->p == '-');
        return take_digits(r);
    }
    return true;
}

static bool skip_word(struct reader *r)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(r->end - r->p) >= n && memcmp(r->p, words[i], n) == 0) {
            r->p += n;
            return true;
        }
    }
    return false;
}

static bool skip_value(struct reader *r, int depth);

/* An object (with keys) or an array, its opening bracket at hand. */
static bool skip_nest(struct reader *r, bool keys, int depth)
{
    char close = keys ? '}' : ']';
    struct str key;
    r->p++;
    if (depth == 0)
        return false;
    if (take(r, close))
        return true;
    do {
        skip_space(r);
        if (keys && (r->p == r->end || *r->p != '"' || !take_string(r, &key) || !take(r, ':')))
            return false;
        if (!skip_value(r, depth - 1))
            return false;
    } while (take(r, ','));
    return take(r, close);
}

static bool skip_value(struct reader *r, int depth)
{
    struct str text;
    skip_space(r);
    if (r->p == r->end)
        return false;
    switch (*r->p) {
    case '"':
        return take_string(r, &text);
    case '{':
    case '[':
        return skip_nest(r, *r->p == '{', depth);
    case 't':
    case 'f':
    case 'n':
        return skip_word(r);
    default:
        return skip_number(r);
    }
}

/* ---- the line ---- */

/* AUDIT_FIELDS: it is not looked for. */
static size_t field_of(struct str key)
{
    size_t i = 0;
    while (i < AUDIT_FIELDS &&
           (names[i].len != key.len || names[i].p[0] != key.p[0] || memcmp(names[i].p, key.p, key.len) != 0))
        i++;
    return i;
}

static bool take_member(struct reader *r, struct audit_line *ret)
{
    struct str key;
    skip_space(r);
    if (r->p == r->end || *r->p != '"' || !take_string(r, &key) || !take(r, ':'))
        return false;
    skip_space(r);
    size_t field = field_of(key);
    if (field == AUDIT_FIELDS || r->p == r->end || *r->p != '"')
        return skip_value(r, DEPTH_MAX);
    return take_string(r, &ret->v[field]);
}

/* As clock_format() writes it, so that times compare as texts. */
static bool is_time(struct str s)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    _Static_assert(sizeof(form) - 1 == AUDIT_TIME_LEN, "all of it");
    for (size_t i = 0; s.len == AUDIT_TIME_LEN && i < AUDIT_TIME_LEN; i++)
        if (form[i] == 'd' ? s.p[i] < '0' || s.p[i] > '9' : s.p[i] != form[i])
            return false;
    return s.len == AUDIT_TIME_LEN;
}

const char *audit_line_read(const char *text, size_t len, struct audit_line *ret)
{
    struct reader r = {text, text + len};
    *ret = (struct audit_line){0};
    if (!take(&r, '{'))
        return "no JSON object";
    if (!take(&r, '}')) {
        do
            if (!take_member(&r, ret))
                return "the JSON is cut off or damaged";
        while (take(&r, ','));
        if (!take(&r, '}'))
            return "the JSON is cut off or damaged";
    }
    skip_space(&r);
    if (r.p != r.end)
        return "something follows the JSON object";
    return is_time(ret->v[AUDIT_TIME]) ? NULL : "no line of an audit log: it has no 'time'";
}

void audit_line_text(struct str value, char *ret, size_t cap)
{
    struct buf quoted = {0};
    if (value.len == 0 || memchr(value.p, '\\', value.len) == NULL) {
        str_copy(ret, cap, value.p, value.len);
        utf8_mend(ret);
        return;
    }
    CHECK(buf_append(&quoted, "\"", 1) && buf_append(&quoted, value.p, value.len) &&
          buf_append(&quoted, "\"", 1));
    json_t *text = json_loadb((const char *)quoted.data, quoted.len, JSON_DECODE_ANY, NULL);
    const char *resolved = json_string_value(text);
    str_copy(ret, cap, resolved == NULL ? value.p : resolved,
             resolved == NULL ? value.len : strlen(resolved));
    utf8_mend(ret);
    json_decref(text);
    buf_free(&quoted);
}

bool audit_line_is_challenge(const struct audit_line *line)
{
    return str_is(line->v[AUDIT_REASON], close_reason_word(CLOSE_CHALLENGE));
}
