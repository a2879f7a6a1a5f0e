/* SPDX-License-Identifier: Apache-2.0 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/hostname.h"

struct net_addr net_addr_from(const struct sockaddr_storage *sa)
{
    struct net_addr a = {.family = sa->ss_family};
    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        a.port = ntohs(in->sin_port);
        memcpy(a.ip, &in->sin_addr, 4);
    } else if (sa->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        a.port = ntohs(in6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            a.family = AF_INET;
            memcpy(a.ip, in6->sin6_addr.s6_addr + 12, 4);
        } else {
            memcpy(a.ip, &in6->sin6_addr, 16);
        }
    }
    return a;
}

socklen_t net_addr_to(const struct net_addr *a, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->ss_family = a->family;
    if (a->family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)ret;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->ip, 4);
        return sizeof(*in);
    }
    if (a->family == AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret;
        in6->sin6_port = htons(a->port);
        memcpy(&in6->sin6_addr, a->ip, 16);
        return sizeof(*in6);
    }
    return 0;
}

void net_addr_set_process(struct net_addr *a, uint32_t pid, uint32_t uid)
{
    memcpy(a->ip, &pid, sizeof(pid));
    memcpy(a->ip + sizeof(pid), &uid, sizeof(uid));
}

static const char *format_unix(const struct net_addr *a, char text[NET_ADDR_TEXT_MAX])
{
    uint32_t pid, uid;
    memcpy(&pid, a->ip, sizeof(pid));
    memcpy(&uid, a->ip + sizeof(pid), sizeof(uid));
    if (pid == 0)
        snprintf(text, NET_ADDR_TEXT_MAX, "unix");
    else
        snprintf(text, NET_ADDR_TEXT_MAX, "unix:pid=%u,uid=%u", pid, uid);
    return text;
}

const char *net_addr_host(const struct net_addr *a, char text[NET_ADDR_TEXT_MAX])
{
    bool ip = a->family == AF_INET || a->family == AF_INET6;
    if (!ip || inet_ntop(a->family, a->ip, text, NET_ADDR_TEXT_MAX) == NULL)
        snprintf(text, NET_ADDR_TEXT_MAX, "%s", a->family == AF_UNIX ? "unix" : "unknown");
    return text;
}

const char *net_addr_format(const struct net_addr *a, char text[NET_ADDR_TEXT_MAX])
{
    char host[NET_ADDR_TEXT_MAX];
    if (a->family == AF_UNIX)
        return format_unix(a, text);
    net_addr_host(a, host);
    if (a->family == AF_INET || a->family == AF_INET6)
        snprintf(text, NET_ADDR_TEXT_MAX, a->family == AF_INET ? "%s:%u" : "[%s]:%u", host, a->port);
    else
        memcpy(text, host, sizeof(host));
    return text;
}

bool net_addr_parse(const char *host, uint16_t port, struct net_addr *ret)
{
    *ret = (struct net_addr){.port = port};
    size_t len = hostname_address(host, ret->ip);
    ret->family = len == 4 ? AF_INET : len == 16 ? AF_INET6 : AF_UNSPEC;
    return len > 0;
}

bool net_addr_in(const struct net_addr *a, int family, const uint8_t *network, uint8_t prefix)
{
    if (a->family != family)
        return false;
    size_t whole = prefix / 8, bits = prefix % 8;
    if (memcmp(a->ip, network, whole) != 0)
        return false;
    return bits == 0 || ((a->ip[whole] ^ network[whole]) & (0xff << (8 - bits) & 0xff)) == 0;
}
