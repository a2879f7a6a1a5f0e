/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/forward.h"

#include <string.h>

#include "base/check.h"
#include "base/str.h"

#define FIELDS_MAX 4

/* Split at the colons that stand in no brackets. Returns how many fields there are; only FIELDS_MAX are kept.
 */
static size_t split(const char *text, struct str fields[FIELDS_MAX])
{
    size_t n = 0;
    bool inside = false;
    const char *start = text;
    for (const char *p = text;; p++) {
        inside = *p == '[' || (inside && *p != ']');
        if (*p != '\0' && (*p != ':' || inside))
            continue;
        if (n < FIELDS_MAX)
            fields[n] = (struct str){start, (size_t)(p - start)};
        n++;
        start = p + 1;
        if (*p == '\0')
            return n;
    }
}

static int read_port(struct str field, uint16_t *ret, struct err *err)
{
    char digits[8];
    uint64_t port;
    if (!str_copy(digits, sizeof(digits), field.p, field.len) || !str_u64(digits, UINT16_MAX, &port) ||
        port == 0)
        return err_set(err, "'%.*s' is not a port (1 to 65535)", (int)MIN(field.len, (size_t)64), field.p);
    *ret = (uint16_t)port;
    return 0;
}

/* The address to listen on: a name, an address, one in brackets, or `*`. */
static int read_host(struct str field, char ret[HOST_MAX], struct err *err)
{
    if (str_is(field, "*")) {
        ret[0] = '\0';
        return 0;
    }
    if (field.len >= 2 && field.p[0] == '[' && field.p[field.len - 1] == ']')
        field = (struct str){field.p + 1, field.len - 2};
    if (field.len == 0 || !str_copy(ret, HOST_MAX, field.p, field.len))
        return err_set(err, "no address before its port (leave it out for this machine only, or say '*')");
    return 0;
}

/* The listening side, of `n` fields of which the last `want` follow an address. */
static int read_place(const struct str *fields, size_t n, size_t want, struct forward *ret, struct err *err)
{
    *ret = (struct forward){.host = FORWARD_DEFAULT_HOST};
    return (n > want && read_host(fields[0], ret->host, err) != 0) ||
                   read_port(fields[n - want], &ret->port, err) != 0
               ? -1
               : 0;
}

static bool is_port(struct str field)
{
    uint16_t ignored;
    return read_port(field, &ignored, NULL) == 0;
}

/* How many fields are not the address to listen on. With three of them the first may be one, but is a port
 * where it can be: hosts are not called by a number. */
static size_t fields_wanted(const struct str *f, size_t n, bool to_route)
{
    bool to_name = n == 2 || (n == 3 && !is_port(f[0]) && is_port(f[1]));
    return to_route ? 1 : to_name ? 2 : 3;
}

int forward_parse(const char *text, bool to_route, struct forward *ret, struct err *err)
{
    struct str f[FIELDS_MAX];
    size_t n = split(text, f);
    size_t want = fields_wanted(f, n, to_route);
    if (n != want && n != want + 1)
        return err_set(err, "-L %s: expected %s", text,
                       to_route ? "[ADDR:]PORT" : "[ADDR:]PORT:HOST:PORT or [ADDR:]PORT:NAME");
    if (read_place(f, n, want, ret, err) != 0)
        return err_prefix(err, "-L %s", text);
    if (to_route)
        return 0;
    const char *target = f[n - want + 1].p;
    ret->target.offered = want == 2;
    if (want == 2 && str_host_name(target, strlen(target), ret->target.host, err) != 0)
        return err_prefix(err, "-L %s: '%s' is not a name", text, target);
    if (want == 2)
        return 0;
    if (str_host_port(target, strlen(target), ret->target.host, &ret->target.port, err) != 0)
        return err_prefix(err, "-L %s", text);
    return 0;
}

int forward_parse_socks(const char *text, struct forward *ret, struct err *err)
{
    struct str f[FIELDS_MAX];
    size_t n = split(text, f);
    if (n > 2)
        return err_set(err, "--socks %s: expected [ADDR:]PORT", text);
    if (read_place(f, n, 1, ret, err) != 0)
        return err_prefix(err, "--socks %s", text);
    ret->socks = true;
    return 0;
}
