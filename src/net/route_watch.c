/* SPDX-License-Identifier: Apache-2.0 */
#include "net/route_watch.h"

#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

/* A change of network comes as a burst: addresses go, come, and routes follow. */
#define SETTLE_NS (20 * NSEC_PER_MSEC)

static void on_settled(struct timer *t)
{
    struct route_watch *r = CONTAINER_OF(t, struct route_watch, settle);
    r->changed(r);
}

/* What exactly has changed does not matter: whoever cares asks the kernel for its way. */
static void on_ready(struct watch *w, uint32_t events)
{
    struct route_watch *r = CONTAINER_OF(w, struct route_watch, watch);
    char ignored[8192];
    (void)events;
    while (recv(w->fd, ignored, sizeof(ignored), MSG_DONTWAIT) > 0)
        ;
    loop_set_timer(r->loop, &r->settle, loop_now(r->loop) + SETTLE_NS);
}

void route_watch_start(struct route_watch *r, struct loop *loop)
{
    struct sockaddr_nl where = {.nl_family = AF_NETLINK,
                                .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                                             RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE};
    r->loop = loop;
    r->watch.fd = -1;
    timer_init(&r->settle, on_settled);
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return;
    if (bind(fd, (const struct sockaddr *)&where, sizeof(where)) != 0 ||
        loop_watch(loop, &r->watch, fd, EPOLLIN, on_ready) != 0)
        close(fd);
}

void route_watch_stop(struct route_watch *r)
{
    if (r->loop == NULL)
        return;
    wheel_cancel(&r->settle);
    if (r->watch.fd >= 0)
        close(r->watch.fd);
    r->watch.fd = -1;
}
