/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hostport.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/hostname.h"
#include "base/str.h"

static int parse_port(const char *p, size_t len, uint16_t *ret, struct err *err)
{
    uint32_t v = 0;
    bool ok = len >= 1 && len <= 5 && p[0] != '0';
    for (size_t i = 0; ok && i < len; i++) {
        ok = p[i] >= '0' && p[i] <= '9';
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

static int refuse_name(enum hostname_fault fault, struct err *err)
{
    switch (fault) {
    case HOSTNAME_EMPTY:
        return err_set(err, "there is no host");
    case HOSTNAME_CHARACTER:
        return err_set(err, "a host name has letters, digits, '-', '_' and '.'; IPv6 stands in brackets");
    case HOSTNAME_NUMBER:
        return err_set(err, "a host that ends in a number is an IPv4 address of four numbers");
    default:
        return err_set(err, "no host name: %s", hostname_fault_text(fault));
    }
}

static int parse_name(const char *p, size_t len, char ret[HOST_MAX], struct err *err)
{
    if (len > 0 && p[len - 1] == '.')
        len--;
    enum hostname_fault fault = hostname_check(p, len);
    if (fault != HOSTNAME_OK && fault != HOSTNAME_NUMBER)
        return refuse_name(fault, err);
    uint8_t ignored[16];
    str_copy(ret, HOST_MAX, p, len);
    str_lower(ret, len);
    if (fault == HOSTNAME_NUMBER && hostname_address(ret, ignored) == 0)
        return refuse_name(fault, err);
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

/* Behind "scheme://" up to the first '/'; and the port that stands for the scheme, 0 where none is known. */
static struct str authority_of(const char *text, uint16_t *ret_port)
{
    const char *host = strstr(text, "://");
    *ret_port = 0;
    if (host == NULL)
        return (struct str){text, strlen(text)};
    size_t scheme = (size_t)(host - text);
    if (scheme == 5 && strncmp(text, "https", 5) == 0)
        *ret_port = 443;
    else if (scheme == 4 && strncmp(text, "http", 4) == 0)
        *ret_port = 80;
    return (struct str){host + 3, strcspn(host + 3, "/")};
}

const char *str_host_port_hint(const char *text, char ret[HOST_HINT_MAX])
{
    char host[HOST_MAX];
    uint16_t port;
    struct buf b = {.max = HOST_HINT_MAX};
    struct str a = authority_of(text, &port);
    bool url = a.p != text;
    size_t colon = a.len > 0 && *a.p == ':';
    ret[0] = '\0';
    if (!url && parse_port(a.p + colon, a.len - colon, &port, NULL) == 0)
        str_copy(host, sizeof(host), "127.0.0.1", 9);
    else if (!url || (str_host_port(a.p, a.len, host, &port, NULL) != 0 &&
                      (port == 0 || parse_name(a.p, a.len, host, NULL) != 0)))
        return ret;
    CHECK(buf_printf(&b, "; did you mean ") && str_host_port_put(&b, host, port) && buf_printf(&b, "?"));
    str_copy(ret, HOST_HINT_MAX, (const char *)b.data, b.len);
    buf_free(&b);
    return ret;
}

int str_host_name(const char *p, size_t len, char ret_name[HOST_MAX], struct err *err)
{
    if (len > 0 && p[len - 1] == '.')
        len--;
    enum hostname_fault fault = hostname_check(p, len);
    if (fault != HOSTNAME_OK)
        return err_set(err, "%s", hostname_fault_text(fault));
    str_copy(ret_name, HOST_MAX, p, len);
    str_lower(ret_name, len);
    return 0;
}

bool str_host_port_put(struct buf *b, const char *host, uint16_t port)
{
    return buf_printf(b, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
}
