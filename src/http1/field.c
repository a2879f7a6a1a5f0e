/* SPDX-License-Identifier: Apache-2.0 */
#include "http1/field.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"

enum line_status line_next(struct cursor *c, struct str *ret)
{
    const uint8_t *start = c->p, *end = c->end, *p = start;
    while (p < end && (*p == '\t' || (*p >= 0x20 && *p != 0x7f)))
        p++;
    if (p == end || (*p == '\r' && p + 1 == end))
        return LINE_MORE;
    if (*p == '\n' || (*p == '\r' && p[1] != '\n'))
        return LINE_ENDING;
    if (*p != '\r')
        return LINE_CONTROL;
    *ret = (struct str){(const char *)start, (size_t)(p - start)};
    c->p = p + 2;
    CHECK(c->p <= end);
    return LINE_READ;
}

bool field_is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return s.len > 0;
}

struct str field_trim(struct str s)
{
    while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (struct str){s.p + 1, s.len - 1};
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool field_name_is(struct str name, const char *lower)
{
    return name.len == strlen(lower) && strncasecmp(name.p, lower, name.len) == 0;
}

bool field_split(struct str *s, char sep, struct str *ret_before)
{
    const char *at = s->len > 0 ? memchr(s->p, sep, s->len) : NULL;
    if (at == NULL)
        return false;
    *ret_before = (struct str){s->p, (size_t)(at - s->p)};
    s->len -= ret_before->len + 1;
    s->p = at + 1;
    return true;
}

bool field_lists(struct str list, const char *token)
{
    struct str item;
    while (field_split(&list, ',', &item))
        if (field_name_is(field_trim(item), token))
            return true;
    return field_name_is(field_trim(list), token);
}

bool field_is_host(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("\"#,/<>?@\\^`{|}", s.p[i]) != NULL)
            return false;
    return true;
}
