/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns against a unit: one pass, nothing is ever tried a second time, so the time is linear in the unit.
 */
#include <string.h>

#include "base/check.h"
#include "starttls/script.h"

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool same_text(const uint8_t *a, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

/* Bytes of an OP_BYTES come in pairs: how, value. */
static bool same_bytes(const uint8_t *want, const uint8_t *have, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t how = want[2 * i], value = want[2 * i + 1];
        if ((how == BYTE_IS && have[i] != value) || (how == BYTE_BITS && (have[i] & value) != value))
            return false;
    }
    return true;
}

struct matching {
    const struct starttls *p;
    const uint8_t *at;
    const uint8_t *end;
    const struct op *last; /* of the pattern */
    struct captures *caught;
};

static void catch_bytes(struct matching *m, uint16_t var, const uint8_t *from, size_t n)
{
    if (var != NO_INDEX)
        m->caught->v[var] = (struct str){(const char *)from, n};
}

/* Where the text of `next` begins: at the earliest from here, or where it must if it is to end the unit.
 * NULL: nowhere. */
static const uint8_t *find_text(const struct matching *m, const struct op *next)
{
    const uint8_t *text = (const uint8_t *)script_text(m->p, next->at);
    size_t left = (size_t)(m->end - m->at);
    if (next == m->last)
        return left >= next->len && same_text(m->end - next->len, text, next->len) ? m->end - next->len
                                                                                   : NULL;
    for (const uint8_t *q = m->at; (size_t)(m->end - q) >= next->len; q++)
        if (same_text(q, text, next->len))
            return q;
    return NULL;
}

static bool take_word(struct matching *m, const struct op *op, const struct op *next)
{
    const uint8_t *from = m->at;
    uint8_t stop = next != NULL && next->kind == OP_TEXT ? lower((uint8_t)*script_text(m->p, next->at)) : ' ';
    while (m->at<m->end && * m->at> ' ' && *m->at != 0x7f && lower(*m->at) != stop)
        m->at++;
    catch_bytes(m, op->var, from, (size_t)(m->at - from));
    return m->at > from;
}

static bool take_rest(struct matching *m, const struct op *op, const struct op *next)
{
    const uint8_t *from = m->at;
    const uint8_t *to = next != NULL && next->kind == OP_TEXT ? find_text(m, next) : m->end;
    if (to == NULL)
        return false;
    m->at = to;
    catch_bytes(m, op->var, from, (size_t)(to - from));
    return true;
}

static bool take_n(struct matching *m, const struct op *op, size_t n)
{
    if ((size_t)(m->end - m->at) < n)
        return false;
    catch_bytes(m, op->var, m->at, n);
    m->at += n;
    return true;
}

static bool take_cstr(struct matching *m)
{
    const uint8_t *zero = m->at == m->end ? NULL : memchr(m->at, 0, (size_t)(m->end - m->at));
    if (zero == NULL)
        return false;
    m->at = zero + 1;
    return true;
}

static bool text_is_here(const struct matching *m, const struct op *text)
{
    return (size_t)(m->end - m->at) >= text->len &&
           same_text(m->at, (const uint8_t *)script_text(m->p, text->at), text->len);
}

/* Key and value, until a key is empty or begins with the text that follows. */
static bool take_pairs(struct matching *m, const struct op *op, const struct op *next)
{
    const uint8_t *from = m->at;
    while (m->at < m->end && *m->at != 0 &&
           !(next != NULL && next->kind == OP_TEXT && text_is_here(m, next))) {
        bool key = take_cstr(m), value = key && take_cstr(m);
        if (!value)
            return false;
    }
    catch_bytes(m, op->var, from, (size_t)(m->at - from));
    return true;
}

static bool take_ber(struct matching *m, const struct op *op)
{
    size_t value, left = (size_t)(m->end - m->at);
    int head = ber_header(m->at, left, &value);
    if (head < 0 || *m->at != op->len || value > left - (size_t)head)
        return false;
    return take_n(m, op, op->kind == OP_TAG ? (size_t)head : (size_t)head + value);
}

static bool take(struct matching *m, const struct op *op, const struct op *next)
{
    size_t left = (size_t)(m->end - m->at);
    const uint8_t *want = (const uint8_t *)script_text(m->p, op->at);
    switch (op->kind) {
    case OP_TEXT:
        return text_is_here(m, op) && take_n(m, op, op->len);
    case OP_BYTES:
        return left >= op->len && same_bytes(want, m->at, op->len) && take_n(m, op, op->len);
    case OP_WORD:
        return take_word(m, op, next);
    case OP_REST:
        return take_rest(m, op, next);
    case OP_ANY:
        return take_n(m, op, op->len);
    case OP_CSTR:
        return take_cstr(m);
    case OP_PAIRS:
        return take_pairs(m, op, next);
    case OP_TAG:
    case OP_TLV:
        return take_ber(m, op);
    default:
        return false;
    }
}

bool pattern_matches(const struct starttls *p, struct seq pattern, struct str unit, struct captures *ret)
{
    const uint8_t *data = (const uint8_t *)unit.p;
    struct matching m = {p, data, data + unit.len, NULL, ret};
    if (pattern.n > 0)
        m.last = &p->ops[pattern.first + pattern.n - 1];
    for (uint16_t i = 0; i < pattern.n; i++) {
        const struct op *op = &p->ops[pattern.first + i];
        if (!take(&m, op, i + 1 < pattern.n ? op + 1 : NULL))
            return false;
    }
    return m.at == m.end;
}

static bool is_word_end(uint8_t c)
{
    return c <= ' ' || strchr("[]()\"'<>,;=", c) != NULL;
}

bool unit_word_at(struct str unit, size_t at, struct str word)
{
    if (unit.len < word.len || at > unit.len - word.len)
        return false;
    bool begins = at == 0 || is_word_end((uint8_t)unit.p[at - 1]);
    bool ends = at + word.len == unit.len || is_word_end((uint8_t)unit.p[at + word.len]);
    return begins && ends && same_text((const uint8_t *)unit.p + at, (const uint8_t *)word.p, word.len);
}

bool unit_has_word(struct str unit, struct str word)
{
    for (size_t i = 0; i + word.len <= unit.len; i++)
        if (unit_word_at(unit, i, word))
            return true;
    return false;
}
