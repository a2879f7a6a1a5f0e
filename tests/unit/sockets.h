/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets for tests. */
#ifndef CARDEA_TESTS_UNIT_SOCKETS_H
#define CARDEA_TESTS_UNIT_SOCKETS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Two sockets joined over loopback. */
static inline void tcp_pair(int ret[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_return_code(bind(listener, (struct sockaddr *)&at, len), errno);
    assert_return_code(listen(listener, 1), errno);
    assert_return_code(getsockname(listener, (struct sockaddr *)&at, &len), errno);
    ret[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_return_code(connect(ret[0], (struct sockaddr *)&at, len), errno);
    ret[1] = accept(listener, NULL, NULL);
    close(listener);
    for (int i = 0; i < 2; i++)
        assert_return_code(fcntl(ret[i], F_SETFL, O_NONBLOCK), errno);
}

#endif
