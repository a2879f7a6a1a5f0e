/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/updater.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/socket.h"

#define TRIES 3                     /* over UDP */
#define TRY_TIME (2 * NSEC_PER_SEC) /* for each */
#define TCP_TIME (10 * NSEC_PER_SEC)
#define ANSWER_MAX 4096
#define DATAGRAMS_IN_A_TURN 16 /* whatever floods us, in the server's name, lets others have theirs */

struct dns_updater {
    struct loop *loop;
    const struct dns_server *server;
    dns_updated *done; /* NULL: it was told */
    void *arg;
    struct dns_request request;
    struct watch watch;
    struct timer patience;
    struct task reap;
    unsigned tries;
    bool tcp;
    size_t sent; /* over TCP: of the length and the message */
    uint8_t in[2 + ANSWER_MAX];
    size_t got;
};

static void reap(struct task *t)
{
    free(CONTAINER_OF(t, struct dns_updater, reap));
}

static void end(struct dns_updater *r, const struct err *why, bool silent)
{
    dns_updated *done = r->done;
    loop_close(r->loop, &r->watch);
    wheel_cancel(&r->patience);
    loop_defer(r->loop, &r->reap);
    r->done = NULL;
    if (done != NULL)
        done(r->arg, why, silent);
}

static void end_with(struct dns_updater *r, const char *what, bool silent)
{
    struct err err;
    char server[NET_ADDR_TEXT_MAX];
    err_set(&err, "DNS UPDATE at %s: %s", net_addr_format(&r->server->address, server), what);
    end(r, &err, silent);
}

static void try_next(struct dns_updater *r);

/* True when there is nothing more to wait for. */
static bool take_answer(struct dns_updater *r, const uint8_t *bytes, size_t len)
{
    struct err err;
    switch (dns_update_read(&r->request, &r->server->key, (struct str){(const char *)bytes, len},
                            clock_wall() / NSEC_PER_SEC, &err)) {
    case DNS_DONE:
        end(r, NULL, false);
        return true;
    case DNS_REFUSED:
        end_with(r, err.text, false);
        return true;
    case DNS_CUT:
        r->tries = TRIES;
        if (r->tcp)
            end_with(r, "the answer is cut off, over TCP as well", false);
        else
            try_next(r);
        return true;
    case DNS_NOT_OURS:
        break;
    }
    return false;
}

/* ---- TCP (RFC 1035, 4.2.2) ---- */

static void on_tcp(struct watch *w, uint32_t events)
{
    struct dns_updater *r = CONTAINER_OF(w, struct dns_updater, watch);
    uint8_t out[2 + DNS_UPDATE_MAX] = {(uint8_t)(r->request.len >> 8), (uint8_t)r->request.len};
    ssize_t n;
    (void)events;
    memcpy(out + 2, r->request.bytes, r->request.len);
    while (r->sent < r->request.len + 2) {
        n = send(w->fd, out + r->sent, r->request.len + 2 - r->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return;
        if (n < 0) {
            end_with(r, strerror(errno), true); /* NOLINT(concurrency-mt-unsafe): of a number that is known */
            return;
        }
        r->sent += (size_t)n;
    }
    while ((n = read(w->fd, r->in + r->got, sizeof(r->in) - r->got)) > 0) {
        r->got += (size_t)n;
        size_t len = r->got >= 2 ? (size_t)r->in[0] << 8 | r->in[1] : SIZE_MAX;
        if (len != SIZE_MAX && r->got >= 2 + len) {
            if (!take_answer(r, r->in + 2, len))
                end_with(r, "the answer is not signed with the key", false);
            return;
        }
        if (r->got == sizeof(r->in))
            break;
    }
    if (n >= 0 || errno != EAGAIN)
        end_with(r, "the connection ended without an answer", true);
}

static void try_tcp(struct dns_updater *r)
{
    bool connecting;
    r->tcp = true;
    int fd = socket_connect_tcp(&r->server->address, true, &connecting);
    if (fd < 0 || loop_watch(r->loop, &r->watch, fd, EPOLLIN | EPOLLOUT | EPOLLET, on_tcp) != 0) {
        if (fd >= 0)
            close(fd);
        end_with(r, "it cannot be reached", true);
        return;
    }
    loop_set_timer(r->loop, &r->patience, loop_now(r->loop) + TCP_TIME);
}

/* ---- UDP ---- */

static void on_udp(struct watch *w, uint32_t events)
{
    struct dns_updater *r = CONTAINER_OF(w, struct dns_updater, watch);
    (void)events;
    for (int i = 0; i < DATAGRAMS_IN_A_TURN; i++) {
        ssize_t n = recv(w->fd, r->in, sizeof(r->in), 0);
        if (n < 0 ? errno != ECONNREFUSED : take_answer(r, r->in, (size_t)n))
            return;
    }
}

static void try_udp(struct dns_updater *r)
{
    int fd = socket_connect_udp(&r->server->address);
    r->tries++;
    if (fd >= 0 && loop_watch(r->loop, &r->watch, fd, EPOLLIN, on_udp) != 0)
        close(fd);
    else if (fd >= 0)
        (void)!send(fd, r->request.bytes, r->request.len, MSG_NOSIGNAL);
    loop_set_timer(r->loop, &r->patience, loop_now(r->loop) + TRY_TIME);
}

static void try_next(struct dns_updater *r)
{
    loop_close(r->loop, &r->watch);
    if (r->tries < TRIES)
        try_udp(r);
    else
        try_tcp(r);
}

static void on_patience(struct timer *t)
{
    struct dns_updater *r = CONTAINER_OF(t, struct dns_updater, patience);
    if (r->tcp)
        end_with(r, "no answer", true);
    else
        try_next(r);
}

/* ---- what is wanted ---- */

struct dns_updater *dns_updater_start(struct loop *loop, const struct dns_server *server,
                                      const struct dns_update *u, dns_updated *done, void *arg,
                                      struct err *err)
{
    struct dns_update wanted = *u;
    struct dns_updater *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    wanted.now = clock_wall() / NSEC_PER_SEC;
    (void)!getrandom(&wanted.id, sizeof(wanted.id), 0);
    *r = (struct dns_updater){.loop = loop, .server = server, .done = done, .arg = arg, .watch.fd = -1};
    timer_init(&r->patience, on_patience);
    task_init(&r->reap, reap);
    if (dns_update_make(&wanted, &server->key, &r->request, err) < 0) {
        free(r);
        return NULL;
    }
    try_next(r);
    return r;
}

void dns_updater_cancel(struct dns_updater *r)
{
    r->done = NULL;
    end(r, NULL, false);
}
