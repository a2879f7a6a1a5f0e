/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/head.h"

#include <string.h>
#include <strings.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

struct str head_trim(struct str s)
{
    for (; s.len > 0 && is_space(s.p[0]); s.p++)
        s.len--;
    while (s.len > 0 && is_space(s.p[s.len - 1]))
        s.len--;
    return s;
}

bool head_next_part(struct str *rest, char delimiter, struct str *ret)
{
    if (rest->p == NULL)
        return false;
    const char *at = memchr(rest->p, delimiter, rest->len);
    *ret = (struct str){rest->p, at == NULL ? rest->len : (size_t)(at - rest->p)};
    *rest = at == NULL ? (struct str){0} : (struct str){at + 1, rest->len - ret->len - 1};
    return true;
}

bool head_is(struct str s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

bool head_next_field(struct str *at, const char *name, struct str *ret_value)
{
    struct str line, found;
    while (head_next_part(at, '\n', &line)) {
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        if (!head_next_part(&line, ':', &found) || !head_is(found, name))
            continue;
        *ret_value = line;
        return true;
    }
    return false;
}

static unsigned read_status(struct str line)
{
    unsigned status = 0;
    if (line.len < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 || line.p[8] != ' ')
        return 0;
    for (size_t i = 9; i < 12; i++) {
        if (line.p[i] < '0' || line.p[i] > '9')
            return 0;
        status = 10 * status + (unsigned)(line.p[i] - '0');
    }
    return status;
}

struct head head_read(const uint8_t *data, size_t len)
{
    const uint8_t *end = len == 0 ? NULL : memmem(data, len, "\r\n\r\n", 4);
    struct head ret = {0};
    struct str line;
    if (end == NULL)
        return ret;
    ret.fields = (struct str){(const char *)data, (size_t)(end - data)};
    if (head_next_part(&ret.fields, '\n', &line))
        ret.status = read_status(line);
    return ret.status == 0 ? (struct head){0} : ret;
}
