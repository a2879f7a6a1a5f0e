/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/ja3.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"

#define EXT_EC_POINT_FORMATS 11
#define MD5_LEN 16

/* "29-23-24": numbers of `width` bytes without GREASE. What is left of a list that ends within a number is
 * not told. */
static bool put_list(struct buf *b, struct cursor list, size_t width)
{
    uint64_t v;
    size_t start = b->len;
    while (cursor_uint(&list, width, &v)) {
        if (width == 2 && hello_is_grease((uint16_t)v))
            continue;
        if ((b->len > start && !buf_append(b, "-", 1)) || !str_put_u64(b, v))
            return false;
    }
    return true;
}

/* The types of all extensions; *ret_formats is the list in ec_point_formats, which hello_parse() does not
 * look at (RFC 8422, 5.1.2). */
static bool put_extensions(struct buf *b, struct cursor list, struct cursor *ret_formats)
{
    struct cursor body;
    uint16_t type;
    size_t start = b->len;
    *ret_formats = (struct cursor){0};
    while (hello_next_extension(&list, &type, &body)) {
        if (type == EXT_EC_POINT_FORMATS && !cursor_vector(&body, 1, ret_formats))
            *ret_formats = (struct cursor){0};
        if (hello_is_grease(type))
            continue;
        if ((b->len > start && !buf_append(b, "-", 1)) || !str_put_u64(b, type))
            return false;
    }
    return true;
}

bool ja3_text(const struct hello *h, struct buf *ret)
{
    struct cursor formats;
    return str_put_u64(ret, h->legacy_version) && buf_append(ret, ",", 1) &&
           put_list(ret, h->cipher_suites, 2) && buf_append(ret, ",", 1) &&
           put_extensions(ret, h->extensions, &formats) && buf_append(ret, ",", 1) &&
           put_list(ret, h->groups, 2) && buf_append(ret, ",", 1) && put_list(ret, formats, 1);
}

bool ja3_compute(const struct hello *h, ja3_md5 *md5, char ret[JA3_TEXT_MAX])
{
    struct buf text = {0};
    uint8_t digest[MD5_LEN];
    bool ok = ja3_text(h, &text);
    ret[0] = '\0';
    if (ok)
        md5(text.data, text.len, digest);
    for (size_t i = 0; ok && i < MD5_LEN; i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
    buf_free(&text);
    return ok;
}
