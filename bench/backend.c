/* SPDX-License-Identifier: Apache-2.0 */
/* backend PORT [ADDRESS [GREETING]]: the application behind every server that is measured. One thread,
 * level-triggered epoll, no TLS. It says "ready" once it listens on PORT of ADDRESS, else of 127.0.0.1, and
 * runs until it is killed. GREETING is a line that each client gets first. See wire.h for what it does. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BACKLOG = 4096 };

enum stage { FIRST, HEAD, HELLO, ECHO, SOURCE, SINK };

struct client {
    int fd;
    enum stage stage;
    unsigned char head[WIRE_ORDER];
    size_t head_have, head_want;
    uint64_t left; /* HELLO, SOURCE, SINK: bytes still to come or to go */
    uint64_t sent; /* SOURCE: the phase of the pattern */
};

struct backend {
    int epoll, listener;
    const char *greeting;
    unsigned char *pattern;
    unsigned char input[WIRE_BLOCK];
};

static void fail(const char *what)
{
    fprintf(stderr, "backend: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* What is sent here is small and the peer waits for it, so a socket that does not take it whole is a fault.
 */
static bool reply(struct client *c, const unsigned char *bytes, size_t n)
{
    return send(c->fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static void watch(const struct backend *b, struct client *c, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(b->epoll, op, c->fd, &e))
        fail("epoll_ctl");
}

static void stage_begin(const struct backend *b, struct client *c)
{
    switch (c->head[0]) {
    case WIRE_HELLO:
        c->left = (uint64_t)c->head[3] << 8 | c->head[4];
        c->stage = HELLO;
        break;
    case WIRE_SOURCE:
        c->left = wire_get_u64(c->head + 1);
        c->stage = SOURCE;
        watch(b, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
        break;
    default:
        c->left = wire_get_u64(c->head + 1);
        c->stage = SINK;
        break;
    }
}

/* Takes what the client's stage wants of the N bytes. Returns how many, or -1 to give the connection up. */
static ssize_t take(const struct backend *b, struct client *c, const unsigned char *bytes, size_t n)
{
    switch (c->stage) {
    case FIRST:
        if (*bytes == WIRE_LINE)
            return 1;
        c->head_have = 0;
        c->head_want = *bytes == WIRE_HELLO ? WIRE_RECORD : WIRE_ORDER;
        c->stage = *bytes == WIRE_ECHO ? ECHO : HEAD;
        return *bytes == WIRE_ECHO || *bytes == WIRE_HELLO || *bytes == WIRE_SOURCE || *bytes == WIRE_SINK
                   ? 0
                   : -1;
    case HEAD:
        c->head[c->head_have++] = *bytes;
        if (c->head_have == c->head_want)
            stage_begin(b, c);
        return 1;
    case HELLO:
        n = n < c->left ? n : (size_t)c->left;
        c->left -= n;
        if (c->left == 0)
            c->stage = FIRST;
        return c->left == 0 && !reply(c, b->pattern, WIRE_FLIGHT) ? -1 : (ssize_t)n;
    case ECHO:
        return reply(c, bytes, n) ? (ssize_t)n : -1;
    case SINK:
        n = n < c->left ? n : (size_t)c->left;
        c->left -= n;
        if (c->left == 0)
            c->stage = FIRST;
        return c->left == 0 && !reply(c, &(unsigned char){WIRE_SINK}, 1) ? -1 : (ssize_t)n;
    case SOURCE:
        break;
    }
    return -1; /* nobody speaks while it is being sent to */
}

static bool readable(struct backend *b, struct client *c)
{
    /* MSG_TRUNC: a sink need not copy what it swallows; `take` then sees only the count. */
    int flags = c->stage == SINK ? MSG_TRUNC : 0;
    ssize_t n = recv(c->fd, b->input, sizeof(b->input), flags);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    for (ssize_t at = 0; at < n;) {
        ssize_t took = take(b, c, b->input + at, (size_t)(n - at));
        if (took < 0)
            return false;
        at += took;
    }
    return true;
}

static bool writable(const struct backend *b, struct client *c)
{
    size_t n = c->left < WIRE_BLOCK ? (size_t)c->left : WIRE_BLOCK;
    ssize_t sent = send(c->fd, b->pattern + c->sent % WIRE_PERIOD, n, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    c->sent += (uint64_t)sent;
    c->left -= (uint64_t)sent;
    if (c->left == 0) {
        c->stage = FIRST;
        c->sent = 0;
        watch(b, c, EPOLL_CTL_MOD, EPOLLIN);
    }
    return true;
}

static void serve(struct backend *b, struct client *c, uint32_t events)
{
    bool keep = true;
    if (events & EPOLLOUT && c->stage == SOURCE)
        keep = writable(b, c);
    if (keep && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        keep = readable(b, c);
    if (!keep) {
        close(c->fd);
        free(c);
    }
}

static void accept_all(const struct backend *b)
{
    int fd;
    while ((fd = accept4(b->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *c = calloc(1, sizeof(*c));
        if (!c)
            fail("calloc");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        c->fd = fd;
        if (b->greeting && (!reply(c, (const unsigned char *)b->greeting, strlen(b->greeting)) ||
                            !reply(c, (const unsigned char *)"\r\n", 2))) {
            close(fd);
            free(c);
            continue;
        }
        watch(b, c, EPOLL_CTL_ADD, EPOLLIN);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        fail("accept");
}

static void open_listener(struct backend *b, uint16_t port, const char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
        fail(address);
    b->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (b->listener < 0 || b->epoll < 0)
        fail("socket");
    setsockopt(b->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(b->listener, (struct sockaddr *)&at, sizeof(at)) || listen(b->listener, BACKLOG))
        fail("listen");
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->listener, &e))
        fail("epoll_ctl");
}

int main(int argc, char **argv)
{
    static struct backend b;
    struct epoll_event events[EVENTS];
    if (argc < 2 || argc > 4) {
        fputs("usage: backend PORT [ADDRESS [GREETING]]\n", stderr);
        return 2;
    }
    b.pattern = wire_pattern();
    if (!b.pattern)
        fail("malloc");
    open_listener(&b, (uint16_t)strtoul(argv[1], NULL, 10), argc > 2 ? argv[2] : "127.0.0.1");
    b.greeting = argc > 3 ? argv[3] : NULL;
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(b.epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                serve(&b, events[i].data.ptr, events[i].events);
            else
                accept_all(&b);
        }
    }
}
