/* SPDX-License-Identifier: Apache-2.0 */
#include "http/masque.h"

#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/hex.h"
#include "base/hostport.h"
#include "http1/field.h"
#include "http1/head.h"
#include "session/front.h"

#define PREFIX_LEN (sizeof(MASQUE_UDP_PREFIX) - 1)

bool masque_is_udp_path(struct str path)
{
    return path.len >= PREFIX_LEN && memcmp(path.p, MASQUE_UDP_PREFIX, PREFIX_LEN) == 0;
}

/* RFC 3986, 2.3. */
static bool is_unreserved(char c)
{
    char lower = (char)(c | 0x20);
    return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

/* Undo the expansion of one variable. */
static int decode(struct str s, char *ret, size_t cap, size_t *ret_len, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (n == cap)
            return err_set(err, "the path names a host that is too long");
        if (c == '%') {
            int high = s.len - i > 2 ? hex_digit(s.p[i + 1]) : -1;
            int low = s.len - i > 2 ? hex_digit(s.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return err_set(err, "'%%' in the path without two hexadecimal digits");
            c = (char)(high << 4 | low);
            i += 2;
        } else if (!is_unreserved(c)) {
            return err_set(err, "a character in the path that should be percent-encoded (the ':' of IPv6 as "
                                "%%3A)");
        }
        ret[n++] = c;
    }
    *ret_len = n;
    return 0;
}

/* As text for the one reader of hosts and ports. */
static int read_target(struct str host, struct str port, struct front_target *ret, struct err *err)
{
    char text[HOST_MAX + 16] = "[";
    size_t host_len = 0, port_len = 0;
    if (decode(host, text + 1, HOST_MAX, &host_len, err) != 0)
        return -1;
    bool v6 = memchr(text + 1, ':', host_len) != NULL;
    if (memchr(text + 1, '[', host_len) != NULL || memchr(text + 1, ']', host_len) != NULL)
        return err_set(err, "a host in brackets: in the path an IPv6 address has none");
    size_t at = 1 + host_len;
    if (v6)
        text[at++] = ']';
    text[at++] = ':';
    if (decode(port, text + at, sizeof(text) - at, &port_len, err) != 0)
        return -1;
    size_t from = v6 ? 0 : 1;
    return str_host_port(text + from, at + port_len - from, ret->host, &ret->port, err);
}

int masque_udp_path(struct str path, struct front_target *ret, struct err *err)
{
    struct str host, port;
    struct front_target got = {.udp = true};
    if (!masque_is_udp_path(path) || path.len > MASQUE_PATH_MAX)
        return err_set(err, "no such path here: UDP is asked for by %s{host}/{port}/", MASQUE_UDP_PREFIX);
    struct str left = {path.p + PREFIX_LEN, path.len - PREFIX_LEN};
    if (!field_split(&left, '/', &host) || !field_split(&left, '/', &port) || left.len > 0)
        return err_set(err, "the path is not %s{host}/{port}/ and nothing more", MASQUE_UDP_PREFIX);
    if (read_target(host, port, &got, err) != 0) {
        err_prefix(err, "the path names no target");
        return -1;
    }
    *ret = got;
    return 0;
}
