/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/dn.h"

#include <string.h>

#define TEXT_MARK 0 /* of text, whatever its type was; no tag of DER is 0 */

/* ---- text ---- */

/* The code point at the front of a string of this type. */
static bool next_code(CBS *text, CBS_ASN1_TAG type, uint32_t *ret)
{
    uint8_t byte;
    uint16_t two;
    switch (type) {
    case CBS_ASN1_UNIVERSALSTRING:
        return CBS_get_u32(text, ret) == 1;
    case CBS_ASN1_BMPSTRING:
        if (!CBS_get_u16(text, &two))
            return false;
        *ret = two;
        return true;
    default: /* a byte each: T61String is taken for Latin-1, as all do; UTF-8 stays as it is */
        if (!CBS_get_u8(text, &byte))
            return false;
        *ret = byte;
        return true;
    }
}

static bool put_code(struct buf *ret, uint32_t code, bool is_utf8)
{
    uint8_t out[4];
    size_t n = 0;
    if (code < 0x80 || is_utf8) {
        out[n++] = (uint8_t)code;
    } else if (code < 0x800) {
        out[n++] = (uint8_t)(0xc0 | code >> 6);
    } else if (code < 0x10000) {
        out[n++] = (uint8_t)(0xe0 | code >> 12);
        out[n++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    } else {
        out[n++] = (uint8_t)(0xf0 | (code >> 18 & 0x07));
        out[n++] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        out[n++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    }
    if (code >= 0x80 && !is_utf8)
        out[n++] = (uint8_t)(0x80 | (code & 0x3f));
    return buf_append(ret, out, n);
}

static bool is_text(CBS_ASN1_TAG type)
{
    return type == CBS_ASN1_UTF8STRING || type == CBS_ASN1_PRINTABLESTRING || type == CBS_ASN1_IA5STRING ||
           type == CBS_ASN1_VISIBLESTRING || type == CBS_ASN1_T61STRING || type == CBS_ASN1_BMPSTRING ||
           type == CBS_ASN1_UNIVERSALSTRING;
}

static bool is_space(uint32_t code)
{
    return code == ' ' || (code >= '\t' && code <= '\r');
}

static bool put_text(struct buf *ret, CBS text, CBS_ASN1_TAG type)
{
    size_t from = ret->len;
    bool space = false;
    for (uint32_t code; CBS_len(&text) > 0;) {
        if (!next_code(&text, type, &code) || code > 0x10ffff)
            return false;
        if (is_space(code)) {
            space = ret->len > from;
            continue;
        }
        if (space && !buf_append(ret, " ", 1))
            return false;
        space = false;
        if (!put_code(ret, code >= 'A' && code <= 'Z' ? code | 0x20 : code, type == CBS_ASN1_UTF8STRING))
            return false;
    }
    return true;
}

/* ---- the name ---- */

/* Leave room for a length of four bytes; where it is goes to close_length(). */
static bool open_length(struct buf *ret, size_t *ret_at)
{
    *ret_at = ret->len;
    return buf_append(ret, "\0\0\0", 4);
}

static void close_length(struct buf *ret, size_t at)
{
    uint32_t len = (uint32_t)(ret->len - at - 4);
    memcpy(ret->data + at, &len, 4);
}

static bool read_attribute(CBS *rdn, struct dn_attribute *ret)
{
    CBS pair;
    return CBS_get_asn1(rdn, &pair, CBS_ASN1_SEQUENCE) && CBS_get_asn1(&pair, &ret->kind, CBS_ASN1_OBJECT) &&
           CBS_get_any_asn1(&pair, &ret->value, &ret->type) && CBS_len(&pair) == 0;
}

static bool put_attribute(struct buf *ret, CBS *rdn)
{
    struct dn_attribute a;
    size_t at;
    if (!read_attribute(rdn, &a) || !open_length(ret, &at) ||
        !buf_append(ret, CBS_data(&a.kind), CBS_len(&a.kind)))
        return false;
    close_length(ret, at);
    bool text = is_text(a.type);
    CBS_ASN1_TAG mark = text ? TEXT_MARK : a.type;
    if (!buf_append(ret, &mark, sizeof(mark)) || !open_length(ret, &at) ||
        !(text ? put_text(ret, a.value, a.type) : buf_append(ret, CBS_data(&a.value), CBS_len(&a.value))))
        return false;
    close_length(ret, at);
    return true;
}

bool dn_canonical(CBS rdns, struct buf *ret)
{
    size_t before = ret->len;
    bool ok = true;
    while (ok && CBS_len(&rdns) > 0) {
        CBS rdn;
        size_t at;
        ok = CBS_get_asn1(&rdns, &rdn, CBS_ASN1_SET) && CBS_len(&rdn) > 0 && open_length(ret, &at);
        while (ok && CBS_len(&rdn) > 0)
            ok = put_attribute(ret, &rdn);
        if (ok)
            close_length(ret, at);
    }
    if (!ok)
        ret->len = before;
    return ok;
}

bool dn_next(struct dn_reader *reader, struct dn_attribute *ret)
{
    while (CBS_len(&reader->rdn) == 0)
        if (!CBS_get_asn1(&reader->rdns, &reader->rdn, CBS_ASN1_SET))
            return false;
    return read_attribute(&reader->rdn, ret);
}
