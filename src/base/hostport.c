/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hostport.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"

#define NAME_MAX_LEN 253 /* RFC 1035, 2.3.4, as text */
#define LABEL_MAX 63

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

static int parse_port(const char *p, size_t len, uint16_t *ret, struct err *err)
{
    uint32_t v = 0;
    bool ok = len >= 1 && len <= 5 && p[0] != '0';
    for (size_t i = 0; ok && i < len; i++) {
        ok = is_digit(p[i]);
        v = v * 10 + (uint32_t)(p[i] - '0');
    }
    if (!ok || v > UINT16_MAX)
        return err_set(err, "the port is not a number from 1 to 65535");
    *ret = (uint16_t)v;
    return 0;
}

/* The text between the brackets. An IPv4 address inside IPv6 comes out as IPv4: the kernel connects there, so
 * rules about the IPv4 address have to see it. */
static int parse_v6(const char *p, size_t len, char ret[HOST_MAX], struct err *err)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    if (memchr(p, '\0', len) != NULL || !str_copy(text, sizeof(text), p, len) ||
        inet_pton(AF_INET6, text, &addr) != 1)
        return err_set(err, "what stands in brackets is not an IPv6 address");
    const char *done;
    if (IN6_IS_ADDR_V4MAPPED(&addr))
        done = inet_ntop(AF_INET, &addr.s6_addr[12], ret, HOST_MAX);
    else
        done = inet_ntop(AF_INET6, &addr, ret, HOST_MAX);
    CHECK(done != NULL);
    return 0;
}

/* Would a generous resolver take a name that ends in this label for an IPv4 address? */
static bool label_is_number(const char *p, size_t len)
{
    size_t i = 0;
    if (len >= 2 && p[0] == '0' && p[1] == 'x') {
        for (i = 2; i < len && is_hex(p[i]);)
            i++;
    } else {
        while (i < len && is_digit(p[i]))
            i++;
    }
    return i == len;
}

/* Labels of 1 to 63 permitted characters with single dots between them; gives the last one. */
static int check_labels(const char *name, size_t *ret_last, struct err *err)
{
    size_t start = 0;
    for (size_t i = 0;; i++) {
        if (name[i] != '.' && name[i] != '\0') {
            if (!is_name_char(name[i]))
                return err_set(err,
                               "a host name has letters, digits, '-', '_' and '.'; IPv6 stands in brackets");
            continue;
        }
        if (i == start || i - start > LABEL_MAX)
            return err_set(err, "a label of the host name is %s",
                           i == start ? "empty" : "longer than 63 bytes");
        if (name[i] == '\0')
            break;
        start = i + 1;
    }
    *ret_last = start;
    return 0;
}

static int parse_name(const char *p, size_t len, char ret[HOST_MAX], struct err *err)
{
    if (len > 0 && p[len - 1] == '.')
        len--;
    if (len == 0)
        return err_set(err, "there is no host");
    if (len > NAME_MAX_LEN)
        return err_set(err, "the host name is longer than %d bytes", NAME_MAX_LEN);
    if (memchr(p, '\0', len) != NULL)
        return err_set(err, "the host name has a NUL in it");
    char name[NAME_MAX_LEN + 1];
    size_t last = 0;
    str_copy(name, sizeof(name), p, len);
    str_lower(name, len);
    if (check_labels(name, &last, err) < 0)
        return -1;
    struct in_addr addr;
    if (label_is_number(name + last, len - last) && inet_pton(AF_INET, name, &addr) != 1)
        return err_set(err, "a host that ends in a number is an IPv4 address of four numbers");
    memcpy(ret, name, len + 1);
    return 0;
}

int str_host_port(const char *p, size_t len, char ret_host[HOST_MAX], uint16_t *ret_port, struct err *err)
{
    char host[HOST_MAX];
    const char *colon;
    int r;
    if (len > 0 && p[0] == '[') {
        const char *close = memchr(p, ']', len);
        if (close == NULL)
            return err_set(err, "'[' without ']'");
        colon = close + 1;
        r = parse_v6(p + 1, (size_t)(close - p) - 1, host, err);
    } else {
        colon = memchr(p, ':', len);
        if (colon == NULL)
            colon = p + len;
        else if (memchr(colon + 1, ':', len - (size_t)(colon + 1 - p)) != NULL)
            return err_set(err, "more than one ':'; an IPv6 address stands in brackets: [ADDRESS]:PORT");
        r = parse_name(p, (size_t)(colon - p), host, err);
    }
    if (r < 0)
        return -1;
    if (colon == p + len || *colon != ':')
        return err_set(err, "there is no :PORT after the host");
    if (parse_port(colon + 1, len - (size_t)(colon + 1 - p), ret_port, err) < 0)
        return -1;
    size_t n = strlen(host);
    CHECK(n > 0 && n < HOST_MAX);
    memcpy(ret_host, host, n + 1);
    return 0;
}

bool str_host_port_put(struct buf *b, const char *host, uint16_t port)
{
    return buf_printf(b, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
}
