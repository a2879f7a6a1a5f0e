/* SPDX-License-Identifier: Apache-2.0 */
/* Packets in batches, on kernels and routes that do not take them. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/udp.h"

static int segments_fail_with; /* 0: they are sent */
static int calls;

/* In place of the C library's. */
ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    calls++;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)m, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT && segments_fail_with != 0) {
            errno = segments_fail_with;
            return -1;
        }
    return syscall(SYS_sendmsg, fd, m, flags);
}

struct pair {
    struct udp_socket from, to;
    uint8_t bytes[4500];
    struct udp_packets burst; /* of 1,000 bytes each, and 500 */
};

static void make(struct pair *p)
{
    struct err err;
    memset(p, 7, sizeof(*p));
    p->from = udp_socket_of(udp_listen("127.0.0.1", 0, false, &err));
    p->to = udp_socket_of(udp_listen("127.0.0.1", 0, false, &err));
    p->burst = (struct udp_packets){
        .data = p->bytes, .len = sizeof(p->bytes), .segment = 1000, .from = p->from.local, .to = p->to.local};
    segments_fail_with = calls = 0;
}

static size_t received(const struct pair *p)
{
    const struct udp_packets *packets;
    struct udp_inbox *inbox = udp_inbox_new();
    size_t sum = 0;
    for (int n; (n = udp_receive(&p->to, inbox, &packets)) > 0;)
        for (int i = 0; i < n; i++)
            sum += packets[i].len;
    udp_inbox_free(inbox);
    return sum;
}

static void done(struct pair *p)
{
    close(p->from.fd);
    close(p->to.fd);
}

static void a_burst_is_one_call(void **state)
{
    struct pair p;
    size_t taken;
    (void)state;
    make(&p);
    if (!p.from.gso)
        skip();
    assert_int_equal(udp_send(&p.from, &p.burst, &taken), UDP_SENT);
    assert_int_equal(calls, 1);
    assert_int_equal(received(&p), sizeof(p.bytes));
    done(&p);
}

/* IPsec on the way, a device that computes no checksums: nothing is lost, and it is not tried again. */
static void a_route_that_takes_no_segments(void **state)
{
    struct pair p;
    size_t taken;
    (void)state;
    make(&p);
    segments_fail_with = EIO;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(udp_send(&p.from, &p.burst, &taken), UDP_SENT);
        assert_int_equal(taken, sizeof(p.bytes));
        assert_int_equal(received(&p), sizeof(p.bytes));
        assert_false(p.from.gso);
    }
    assert_in_range(calls, 10, 11);
    done(&p);
}

/* Other errors lose what is sent, as a network would. */
static void a_burst_that_is_lost(void **state)
{
    struct pair p;
    size_t taken;
    (void)state;
    make(&p);
    if (!p.from.gso)
        skip();
    segments_fail_with = ENETUNREACH;
    assert_int_equal(udp_send(&p.from, &p.burst, &taken), UDP_SENT);
    assert_int_equal(taken, sizeof(p.bytes));
    assert_true(p.from.gso);
    assert_int_equal(received(&p), 0);
    done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_one_call),
        cmocka_unit_test(a_route_that_takes_no_segments),
        cmocka_unit_test(a_burst_that_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
