/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/hsts.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

#define AGE_MAX (INT64_MAX / 10 - 10)

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct str trim(struct str s)
{
    for (; s.len > 0 && is_space(s.p[0]); s.p++)
        s.len--;
    while (s.len > 0 && is_space(s.p[s.len - 1]))
        s.len--;
    return s;
}

/* Take what stands before the first `delimiter`, or all that is left. False at the end. */
static bool next_part(struct str *rest, char delimiter, struct str *ret)
{
    if (rest->p == NULL)
        return false;
    const char *at = memchr(rest->p, delimiter, rest->len);
    *ret = (struct str){rest->p, at == NULL ? rest->len : (size_t)(at - rest->p)};
    *rest = at == NULL ? (struct str){0} : (struct str){at + 1, rest->len - ret->len - 1};
    return true;
}

static bool is_named(struct str s, const char *name)
{
    return s.len == strlen(name) && strncasecmp(s.p, name, s.len) == 0;
}

/* Digits, perhaps in quotes; more than can be counted is as good as for ever. */
static bool read_age(struct str value, int64_t *ret)
{
    if (value.len >= 2 && value.p[0] == '"' && value.p[value.len - 1] == '"')
        value = (struct str){value.p + 1, value.len - 2};
    int64_t age = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return false;
        if (age < AGE_MAX)
            age = 10 * age + (value.p[i] - '0');
    }
    *ret = age;
    return value.len > 0;
}

static void read_field(struct str value, struct hsts *ret)
{
    struct str directive, name, rest;
    while (next_part(&value, ';', &directive)) {
        rest = directive;
        if (!next_part(&rest, '=', &name))
            continue;
        if (is_named(trim(name), "includeSubDomains"))
            ret->subdomains = true;
        else if (is_named(trim(name), "max-age") && rest.p != NULL)
            ret->sent = read_age(trim(rest), &ret->max_age);
    }
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

void hsts_read(const uint8_t *data, size_t len, struct hsts *ret)
{
    *ret = (struct hsts){0};
    const uint8_t *end = len == 0 ? NULL : memmem(data, len, "\r\n\r\n", 4);
    if (end == NULL)
        return;
    struct str rest = {(const char *)data, (size_t)(end - data)}, line, name;
    bool seen = false;
    if (!next_part(&rest, '\n', &line) || (ret->status = read_status(line)) == 0)
        return;
    while (next_part(&rest, '\n', &line)) {
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        struct str value = line;
        if (seen || !next_part(&value, ':', &name) || !is_named(name, "Strict-Transport-Security"))
            continue;
        seen = true;
        if (value.p != NULL)
            read_field(value, ret);
    }
}
