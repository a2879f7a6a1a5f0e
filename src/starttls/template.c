/* SPDX-License-Identifier: Apache-2.0 */
#include "starttls/template.h"

#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "starttls/run.h"

/* Lengths before what they count. */
static bool put_len8(struct buf *to, const struct buf *inner)
{
    uint8_t n = (uint8_t)inner->len;
    return inner->len < 0x80 && buf_append(to, &n, 1) && buf_append(to, inner->data, inner->len);
}

/* Of four bytes, and counting itself. */
static bool put_size32(struct buf *to, const struct buf *inner)
{
    return buf_append_uint(to, 4, inner->len + 4) && buf_append(to, inner->data, inner->len);
}

/* Of MySQL: the length in three bytes, the packet's number, and what the length counts. */
static bool put_packet24(struct buf *to, const struct buf *inner)
{
    size_t n = inner->len - 1;
    const uint8_t size[3] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16)};
    return inner->len > 0 && buf_append(to, size, sizeof(size)) && buf_append(to, inner->data, inner->len);
}

/* RFC 3461, 4. */
static bool put_xtext(struct buf *to, const struct buf *inner)
{
    bool ok = true;
    for (size_t i = 0; i < inner->len && ok; i++) {
        uint8_t c = inner->data[i];
        bool plain = c > ' ' && c < 127 && c != '+' && c != '=';
        ok = plain ? buf_append(to, &c, 1) : buf_printf(to, "+%02X", c);
    }
    return ok;
}

/* Text of XML into an attribute: what is escaped already stays so. */
static bool put_xml(struct buf *to, const struct buf *inner)
{
    static const char *const escaped[] = {
        ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&apos;"};
    bool ok = true;
    for (size_t i = 0; i < inner->len && ok; i++) {
        uint8_t c = inner->data[i];
        const char *text = c < ARRAY_LEN(escaped) ? escaped[c] : NULL;
        ok = text != NULL ? buf_append(to, text, strlen(text)) : buf_append(to, &c, 1);
    }
    return ok;
}

static bool put_function(enum function fn, struct buf *to, const struct buf *inner)
{
    switch (fn) {
    case FN_LEN8:
        return put_len8(to, inner);
    case FN_SIZE32:
        return put_size32(to, inner);
    case FN_PACKET24:
        return put_packet24(to, inner);
    case FN_BASE64:
        return base64_put(to, inner->data, inner->len);
    case FN_XML:
        return put_xml(to, inner);
    default:
        return put_xtext(to, inner);
    }
}

bool template_put(const struct starttls_run *r, const struct starttls *p, struct seq ops, struct buf *to)
{
    struct buf inner = {.max = STARTTLS_MEMORY_MAX}, *out = to;
    enum function fn = FN_LEN8;
    bool ok = true;
    for (uint16_t i = 0; i < ops.n && ok; i++) {
        const struct op *op = &p->ops[ops.first + i];
        if (op->kind == OP_OPEN) {
            fn = (enum function)op->fn;
            out = &inner;
        } else if (op->kind == OP_CLOSE) {
            ok = put_function(fn, to, &inner);
            buf_free(&inner);
            out = to;
        } else if (op->kind == OP_VAR) {
            struct str value = run_value(r, op->var);
            ok = buf_append(out, value.p, value.len);
        } else {
            ok = buf_append(out, script_text(p, op->at), op->len);
        }
    }
    buf_free(&inner);
    return ok;
}
