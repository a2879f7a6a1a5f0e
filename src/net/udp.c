/* SPDX-License-Identifier: Apache-2.0 */
#include "net/udp.h"

#include <errno.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "net/socket.h"

#define INBOX_PACKETS 16
#define INBOX_BYTES 65536 /* of one entry: what UDP_GRO may put together */
#define DATAGRAM_MAX 65535
#define EACH_MAX 64 /* plain datagrams taken before others have a turn */
#define SOCKET_BUFFER (2 * 1024 * 1024)

/* Room for an address (in_pktinfo, in6_pktinfo), ECN and the segment size. */
#define CONTROL_BYTES 128

struct udp_inbox {
    struct udp_packets packets[INBOX_PACKETS];
    struct mmsghdr messages[INBOX_PACKETS];
    struct iovec vectors[INBOX_PACKETS];
    struct sockaddr_storage from[INBOX_PACKETS];
    _Alignas(struct cmsghdr) uint8_t control[INBOX_PACKETS][CONTROL_BYTES];
    uint8_t bytes[INBOX_PACKETS][INBOX_BYTES];
};

/* ---- sockets ---- */

static bool set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

void udp_make_room(int fd)
{
    set(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
    set(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
}

/* What packets tell beside their bytes, in both families, since an IPv6 socket may carry IPv4. */
static void set_options(int fd, int family)
{
    set(fd, IPPROTO_IP, IP_PKTINFO, 1);
    set(fd, IPPROTO_IP, IP_RECVTOS, 1);
    set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    if (family == AF_INET6) {
        set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
        set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    }
    set(fd, IPPROTO_UDP, UDP_GRO, 1);
    udp_make_room(fd);
}

static int bind_to(const struct addrinfo *ai, bool share)
{
    int fd = socket(ai->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set(fd, SOL_SOCKET, SO_REUSEPORT, share);
    if (ai->ai_family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    udp_make_room(fd);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int udp_listen(const char *host, uint16_t port, bool share, struct err *err)
{
    char service[8];
    struct addrinfo *list, hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    snprintf(service, sizeof(service), "%u", port);
    int code = getaddrinfo(*host == '\0' ? NULL : host, service, &hints, &list), fd = -1;
    if (code != 0)
        return err_set(err, "cannot resolve %s: %s", host, gai_strerror(code));
    for (int want = AF_INET6; fd < 0 && want != AF_UNSPEC; want = want == AF_INET6 ? AF_INET : AF_UNSPEC)
        for (const struct addrinfo *ai = list; ai != NULL && fd < 0; ai = ai->ai_next)
            if (ai->ai_family == want)
                fd = bind_to(ai, share);
    code = errno;
    freeaddrinfo(list);
    if (fd >= 0)
        return fd;
    return err_errno(err, code, "cannot listen on UDP port %u%s", port,
                     code == EADDRINUSE ? " (another program has it)" : "");
}

int udp_connect(const struct net_addr *to)
{
    struct sockaddr_storage sa;
    socklen_t len = net_addr_to(to, &sa);
    CHECK(len > 0);
    int fd = socket(to->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&sa, len) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

bool udp_steer(int fd, unsigned count)
{
    /* A long header has the id's length in byte 5 and the id after it; a short one has the id in byte 1. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 0, 2),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6), BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1), BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) == 0;
}

void udp_each(int fd, bool (*each)(void *arg, const struct net_addr *from, const uint8_t *data, size_t len),
              void *arg)
{
    uint8_t data[DATAGRAM_MAX];
    for (int i = 0; i < EACH_MAX; i++) {
        struct sockaddr_storage from = {0};
        socklen_t from_len = sizeof(from);
        ssize_t n = recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
        if (n < 0 && errno == EAGAIN)
            return;
        struct net_addr source = net_addr_from(&from);
        if (n >= 0 && !each(arg, &source, data, (size_t)n))
            return;
    }
}

struct udp_socket udp_socket_of(int fd)
{
    int value = 0;
    socklen_t len = sizeof(value);
    struct udp_socket s = {.fd = fd, .local = socket_local(fd)};
    s.gso = getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, &len) == 0;
    len = sizeof(s.family);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &s.family, &len) == 0);
    set_options(fd, s.family);
    return s;
}

/* ---- receiving ---- */

struct udp_inbox *udp_inbox_new(void)
{
    struct udp_inbox *b = malloc(sizeof(*b));
    CHECK(b != NULL);
    for (size_t i = 0; i < INBOX_PACKETS; i++)
        b->vectors[i] = (struct iovec){b->bytes[i], INBOX_BYTES};
    return b;
}

void udp_inbox_free(struct udp_inbox *inbox)
{
    free(inbox);
}

static void read_address(const struct cmsghdr *c, struct net_addr *to)
{
    struct sockaddr_storage sa = {.ss_family = AF_INET};
    uint16_t port = to->port;
    if (c->cmsg_level == IPPROTO_IP) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof(info));
        ((struct sockaddr_in *)(void *)&sa)->sin_addr = info.ipi_addr;
    } else {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof(info));
        sa.ss_family = AF_INET6;
        ((struct sockaddr_in6 *)(void *)&sa)->sin6_addr = info.ipi6_addr;
    }
    *to = net_addr_from(&sa);
    to->port = port;
}

static void read_control(struct msghdr *m, struct udp_packets *p)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        int value = 0;
        memcpy(&value, CMSG_DATA(c), MIN(sizeof(value), c->cmsg_len - CMSG_LEN(0)));
        if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) ||
            (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO))
            read_address(c, &p->to);
        else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
            p->ecn = *(const uint8_t *)CMSG_DATA(c) & 3;
        else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
            p->ecn = (uint8_t)(value & 3);
        else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO && value > 0)
            p->segment = (size_t)value;
    }
}

int udp_receive(const struct udp_socket *s, struct udp_inbox *inbox, const struct udp_packets **ret)
{
    for (size_t i = 0; i < INBOX_PACKETS; i++)
        inbox->messages[i].msg_hdr = (struct msghdr){.msg_name = &inbox->from[i],
                                                     .msg_namelen = sizeof(inbox->from[i]),
                                                     .msg_iov = &inbox->vectors[i],
                                                     .msg_iovlen = 1,
                                                     .msg_control = inbox->control[i],
                                                     .msg_controllen = CONTROL_BYTES};
    int n;
    do
        n = recvmmsg(s->fd, inbox->messages, INBOX_PACKETS, MSG_DONTWAIT, NULL);
    while (n < 0 && errno == EINTR);
    for (int i = 0; i < n; i++) {
        struct udp_packets *p = &inbox->packets[i];
        size_t len = inbox->messages[i].msg_len;
        *p = (struct udp_packets){.data = inbox->bytes[i],
                                  .len = len,
                                  .segment = len,
                                  .from = net_addr_from(&inbox->from[i]),
                                  .to = s->local};
        read_control(&inbox->messages[i].msg_hdr, p);
    }
    *ret = inbox->packets;
    return n >= 0 ? n : errno == ECONNREFUSED ? -1 : 0;
}

/* ---- sending ---- */

struct control {
    struct msghdr *m;
    size_t used;
};

static void put(struct control *c, int level, int type, const void *data, size_t len)
{
    uint8_t *at = (uint8_t *)c->m->msg_control + c->used;
    CHECK(c->used + CMSG_SPACE(len) <= CONTROL_BYTES);
    struct cmsghdr h = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
    memset(at, 0, CMSG_SPACE(len));
    memcpy(at, &h, sizeof(h));
    memcpy(at + CMSG_LEN(0), data, len);
    c->used += CMSG_SPACE(len);
}

static void put_source(struct control *c, const struct net_addr *from)
{
    if (from->family == AF_INET) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, from->ip, 4);
        put(c, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else if (from->family == AF_INET6) {
        struct in6_pktinfo info = {0};
        memcpy(&info.ipi6_addr, from->ip, 16);
        put(c, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
}

static void put_ecn(struct control *c, const struct udp_packets *p)
{
    int ecn = p->ecn;
    if (ecn == 0)
        return;
    if (p->to.family == AF_INET)
        put(c, IPPROTO_IP, IP_TOS, &ecn, sizeof(ecn));
    else
        put(c, IPPROTO_IPV6, IPV6_TCLASS, &ecn, sizeof(ecn));
}

static bool is_any(const struct net_addr *a)
{
    static const uint8_t none[16];
    return memcmp(a->ip, none, sizeof(none)) == 0;
}

/* An IPv6 socket that carries IPv4 wants the address in its IPv6 form. */
static socklen_t destination(const struct udp_socket *s, const struct net_addr *to,
                             struct sockaddr_storage *ret)
{
    if (to->family != AF_INET || s->family != AF_INET6)
        return net_addr_to(to, ret);
    struct net_addr mapped = {.family = AF_INET6, .port = to->port, .ip = {[10] = 0xff, [11] = 0xff}};
    memcpy(mapped.ip + 12, to->ip, 4);
    return net_addr_to(&mapped, ret);
}

/* The error, or 0. */
static int send_message(const struct udp_socket *s, const struct udp_packets *p, size_t off, size_t len)
{
    struct sockaddr_storage to;
    struct iovec vector = {p->data + off, len};
    _Alignas(struct cmsghdr) uint8_t space[CONTROL_BYTES];
    struct msghdr m = {.msg_name = &to,
                       .msg_namelen = destination(s, &p->to, &to),
                       .msg_iov = &vector,
                       .msg_iovlen = 1,
                       .msg_control = space};
    struct control control = {.m = &m};
    uint16_t segment = (uint16_t)p->segment;
    if (!is_any(&p->from))
        put_source(&control, &p->from);
    put_ecn(&control, p);
    if (p->segment < len)
        put(&control, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
    m.msg_controllen = control.used;
    ssize_t n;
    do
        n = sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? errno : 0;
}

enum udp_status udp_send(struct udp_socket *s, const struct udp_packets *p, size_t *ret_taken)
{
    for (*ret_taken = 0; *ret_taken < p->len;) {
        size_t step = s->gso ? p->len : p->segment, len = MIN(step, p->len - *ret_taken);
        int error = send_message(s, p, *ret_taken, len);
        if (error == EAGAIN || error == ENOBUFS)
            return UDP_AGAIN;
        if (error == EIO && len > p->segment)
            s->gso = false; /* the route cannot (IPsec, a device that computes no checksums): one by one */
        else
            *ret_taken += len;
    }
    return UDP_SENT;
}
