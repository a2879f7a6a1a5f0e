/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <string.h>

#include "base/check.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool base64_read(const char *text, uint8_t *ret, size_t len)
{
    uint32_t bits = 0;
    size_t have = 0, done = 0, chars = (len * 8 + 5) / 6;
    if (strlen(text) != (len + 2) / 3 * 4)
        return false;
    for (size_t i = 0; i < chars; i++) {
        const char *at = strchr(alphabet, text[i]);
        if (at == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            ret[done++] = (uint8_t)(bits >> have);
            bits &= (1u << have) - 1;
        }
    }
    return bits == 0 && strspn(text + chars, "=") == strlen(text) - chars;
}

bool base64_read_lines(struct str text, struct buf *ret)
{
    struct buf packed = {0};
    for (size_t i = 0; i < text.len; i++)
        if (memchr(" \t\r\n", text.p[i], 4) == NULL)
            CHECK(buf_append(&packed, &text.p[i], 1));
    size_t pads = 0;
    while (pads < 2 && pads < packed.len && packed.data[packed.len - 1 - pads] == '=')
        pads++;
    size_t len = packed.len / 4 * 3 - MIN(pads, packed.len / 4 * 3);
    bool ok = packed.len > 0 && packed.len % 4 == 0 && memchr(packed.data, '\0', packed.len) == NULL;
    if (ok) {
        CHECK(buf_reserve(ret, len));
        ok = base64_read(buf_text(&packed), ret->data, len);
        ret->len = ok ? len : 0;
    }
    if (!ok)
        buf_free(ret);
    buf_free(&packed);
    return ok;
}

bool base64_put(struct buf *b, const void *data, size_t len)
{
    const uint8_t *p = data;
    if (len > SIZE_MAX / 2 || !buf_reserve(b, (len + 2) / 3 * 4))
        return false;
    uint8_t *out = b->data + b->len;
    for (size_t i = 0; i < len; i += 3, out += 4) {
        size_t left = len - i;
        uint32_t v =
            (uint32_t)p[i] << 16 | (uint32_t)(left > 1 ? p[i + 1] : 0) << 8 | (left > 2 ? p[i + 2] : 0);
        out[0] = (uint8_t)alphabet[v >> 18];
        out[1] = (uint8_t)alphabet[v >> 12 & 63];
        out[2] = (uint8_t)(left > 1 ? alphabet[v >> 6 & 63] : '=');
        out[3] = (uint8_t)(left > 2 ? alphabet[v & 63] : '=');
    }
    b->len += (len + 2) / 3 * 4;
    return true;
}

/* What a character of base64url stands for; -1: it is none. */
static int url_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '-'             ? 62
           : c == '_'             ? 63
                                  : -1;
}

bool base64url_read(struct str text, struct buf *ret)
{
    uint32_t bits = 0;
    size_t have = 0, at = ret->len;
    if (text.len % 4 == 1 || !buf_reserve(ret, text.len / 4 * 3 + 3))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = url_digit(text.p[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            ret->data[at++] = (uint8_t)(bits >> have);
            bits &= (1u << have) - 1;
        }
    }
    if (bits != 0)
        return false;
    ret->len = at;
    return true;
}

bool base64url_put(struct buf *b, const void *data, size_t len)
{
    size_t at = b->len;
    if (!base64_put(b, data, len))
        return false;
    for (; at < b->len && b->data[at] != '='; at++)
        b->data[at] = b->data[at] == '+' ? '-' : b->data[at] == '/' ? '_' : b->data[at];
    b->len = at;
    return true;
}
