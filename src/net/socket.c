/* SPDX-License-Identifier: Apache-2.0 */
#include "net/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* also what netinet/tcp.h has of it, which cannot stand beside it */
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

#define PROBE_SECONDS 15 /* of silence, before a waiting peer is probed; NATs keep a mapping for minutes */

static void set(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof(value));
}

/* The first usable address of host:port; "" is the wildcard. */
static int passive_address(const char *host, uint16_t port, struct addrinfo **ret, struct err *err)
{
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int code = getaddrinfo(*host == '\0' ? NULL : host, service, &hints, ret);
    if (code != 0)
        return err_set(err, "cannot resolve %s: %s", host, gai_strerror(code));
    return 0;
}

void socket_tune(int fd)
{
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
}

static int listen_on(const struct addrinfo *ai, bool share)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set(fd, SOL_SOCKET, SO_REUSEPORT, share);
    socket_tune(fd);
    if (ai->ai_family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, SOCKET_BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int socket_listen_tcp(const char *host, uint16_t port, bool share, struct err *err)
{
    struct addrinfo *list;
    if (passive_address(host, port, &list, err) != 0)
        return -1;
    int fd = -1;
    for (int want = AF_INET6; fd < 0; want = AF_INET) { /* a dual-stack wildcard before an IPv4 one */
        for (const struct addrinfo *ai = list; ai != NULL && fd < 0; ai = ai->ai_next)
            if (ai->ai_family == want)
                fd = listen_on(ai, share);
        if (want == AF_INET)
            break;
    }
    if (fd < 0) {
        int code = errno;
        const char *hint = code == EACCES
                               ? " (ports below 1024 need CAP_NET_BIND_SERVICE: as root, by 'setcap "
                                 "cap_net_bind_service=ep' on the program, or of systemd, as "
                                 "systemd:NAME)"
                           : code == EADDRINUSE ? " (another program has it)"
                                                : "";
        bool v6 = strchr(host, ':') != NULL;
        err_errno(err, code, "cannot listen on %s%s%s:%u%s", v6 ? "[" : "", *host == '\0' ? "*" : host,
                  v6 ? "]" : "", port, hint);
    }
    freeaddrinfo(list);
    return fd;
}

int socket_probe_tcp(const char *host, uint16_t port, struct err *err)
{
    int fd = socket_listen_tcp(host, port, false, err);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

_Static_assert(SOCKET_UNIX_PATH_MAX == sizeof(((struct sockaddr_un *)0)->sun_path) - 1, "see unix(7)");

bool socket_unix_path_fits(const char *path)
{
    return strlen(path) <= SOCKET_UNIX_PATH_MAX;
}

static int unix_address(const char *path, struct sockaddr_un *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->sun_family = AF_UNIX;
    if (!socket_unix_path_fits(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(ret->sun_path, path, strlen(path));
    return 0;
}

int socket_connect_unix(const char *path)
{
    struct sockaddr_un sun;
    if (unix_address(path, &sun) != 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int socket_listen_unix(const char *path, unsigned mode, struct err *err)
{
    struct sockaddr_un sun;
    if (unix_address(path, &sun) != 0)
        return err_errno(err, errno, "%s", path);
    int probe = socket_connect_unix(path);
    if (probe >= 0) {
        close(probe);
        return err_set(err, "%s: another program is listening there", path);
    }
    struct stat st;
    if (errno == ECONNREFUSED && stat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    fchmod(fd, mode); /* before bind: the file never exists with wider rights */
    if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 || chmod(path, mode) != 0 ||
        listen(fd, SOCKET_BACKLOG) != 0) {
        err_errno(err, errno, "cannot listen on %s", path);
        close(fd);
        return -1;
    }
    return fd;
}

int socket_connect_tcp(const struct net_addr *to, bool speaks_first, bool *ret_connecting)
{
    struct sockaddr_storage sa;
    socklen_t len = net_addr_to(to, &sa);
    CHECK(len > 0);
    int fd = socket(to->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (speaks_first)
        set(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
    *ret_connecting = connect(fd, (struct sockaddr *)&sa, len) != 0;
    if (!*ret_connecting || errno == EINPROGRESS)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

void socket_watch_peer(int fd)
{
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, PROBE_SECONDS);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_SECONDS);
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 3 * PROBE_SECONDS * 1000);
}

void socket_expect_ack(int fd, int64_t within)
{
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(within / NSEC_PER_MSEC));
}

bool socket_path(int fd, struct socket_path *ret)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    *ret = (struct socket_path){0};
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false;
    ret->rtt = (int64_t)info.tcpi_rtt * NSEC_PER_USEC;
    ret->acked = info.tcpi_bytes_acked;
    return true;
}

int socket_connect_udp(const struct net_addr *to)
{
    struct sockaddr_storage sa;
    socklen_t len = net_addr_to(to, &sa);
    CHECK(len > 0);
    int fd = socket(to->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, len) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

size_t socket_unsent(int fd)
{
    int unsent = 0;
    return ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent > 0 ? (size_t)unsent : 0;
}

struct net_addr socket_peer(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa);
    if (getpeername(fd, (struct sockaddr *)&sa, &len) != 0)
        return (struct net_addr){0};
    struct net_addr peer = net_addr_from(&sa);
    struct ucred who;
    len = sizeof(who);
    if (peer.family == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.pid > 0)
        net_addr_set_process(&peer, (uint32_t)who.pid, who.uid);
    return peer;
}

struct net_addr socket_local(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa);
    getsockname(fd, (struct sockaddr *)&sa, &len);
    return net_addr_from(&sa);
}
