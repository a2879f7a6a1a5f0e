/* SPDX-License-Identifier: Apache-2.0 */
#include "ca/ocsp_path.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/hex.h"

/* The character at *at, which moves behind it. -1: a '%' without two digits. */
static int next(struct str text, size_t *at)
{
    if (text.p[*at] != '%')
        return (unsigned char)text.p[(*at)++];
    int high = text.len - *at < 3 ? -1 : hex_digit(text.p[*at + 1]);
    int low = high < 0 ? -1 : hex_digit(text.p[*at + 2]);
    *at += 3;
    return low < 0 ? -1 : high << 4 | low;
}

/* Append the text in the alphabet of base64url, without its padding. */
static bool put_base64url(struct str text, struct buf *ret)
{
    size_t padding = 0, digits = 0;
    for (size_t at = 0; at < text.len;) {
        int c = next(text, &at);
        if (c == '=') {
            padding++;
            continue;
        }
        const char put = c == '+' ? '-' : c == '/' ? '_' : (char)c;
        if (c < 0 || c == '-' || c == '_' || padding > 0 || !buf_append(ret, &put, 1))
            return false;
        digits++;
    }
    return padding == 0 || (padding <= 2 && (digits + padding) % 4 == 0);
}

bool ocsp_path_read(struct str text, struct buf *ret)
{
    struct buf base64url = {0};
    bool ok = put_base64url(text, &base64url) &&
              base64url_read((struct str){(const char *)base64url.data, base64url.len}, ret);
    buf_free(&base64url);
    return ok;
}
