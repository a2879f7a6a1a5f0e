/* SPDX-License-Identifier: Apache-2.0 */
/* The prover that changes a zone itself (acme/dns_update.h): asked over UDP a few times, then over TCP, for
 * who loses datagrams, or answers with more than fits in one. */
#include "keeper/prover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "acme/dns_update.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "net/socket.h"

#define TRIES 3                     /* over UDP */
#define TRY_TIME (2 * NSEC_PER_SEC) /* for each */
#define TCP_TIME (10 * NSEC_PER_SEC)
#define ANSWER_MAX 4096

struct update_prover {
    struct prover base;
    struct loop *loop;
    struct net_addr server;
    char *zone, *key_name;
    struct buf secret;
};

struct update_run {
    struct update_prover *prover;
    struct prover_call *call;
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
    free(CONTAINER_OF(t, struct update_run, reap));
}

static void end(struct update_run *r, const struct err *why)
{
    struct prover_call *call = r->call;
    struct loop *loop = r->prover->loop;
    loop_close(loop, &r->watch);
    wheel_cancel(&r->patience);
    loop_defer(loop, &r->reap);
    r->call = NULL;
    if (call == NULL)
        return;
    call->state = NULL;
    call->done(call, why);
}

static void end_with(struct update_run *r, const char *what)
{
    struct err err;
    char server[NET_ADDR_TEXT_MAX];
    err_set(&err, "DNS UPDATE at %s: %s", net_addr_format(&r->prover->server, server), what);
    end(r, &err);
}

static void try_next(struct update_run *r);

/* True when there is nothing more to wait for. */
static bool take_answer(struct update_run *r, const uint8_t *bytes, size_t len)
{
    const struct dns_key key = {r->prover->key_name, {(char *)r->prover->secret.data, r->prover->secret.len}};
    struct err err;
    switch (dns_update_read(&r->request, &key, (struct str){(const char *)bytes, len},
                            clock_wall() / NSEC_PER_SEC, &err)) {
    case DNS_DONE:
        end(r, NULL);
        return true;
    case DNS_REFUSED:
        end_with(r, err.text);
        return true;
    case DNS_CUT:
        r->tries = TRIES;
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
    struct update_run *r = CONTAINER_OF(w, struct update_run, watch);
    uint8_t out[2 + DNS_UPDATE_MAX] = {(uint8_t)(r->request.len >> 8), (uint8_t)r->request.len};
    ssize_t n;
    (void)events;
    memcpy(out + 2, r->request.bytes, r->request.len);
    while (r->sent < r->request.len + 2) {
        n = send(w->fd, out + r->sent, r->request.len + 2 - r->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return;
        if (n < 0) {
            end_with(r, strerror(errno)); /* NOLINT(concurrency-mt-unsafe): of a number that is known */
            return;
        }
        r->sent += (size_t)n;
    }
    while ((n = read(w->fd, r->in + r->got, sizeof(r->in) - r->got)) > 0) {
        r->got += (size_t)n;
        size_t len = r->got >= 2 ? (size_t)r->in[0] << 8 | r->in[1] : SIZE_MAX;
        if (len != SIZE_MAX && r->got >= 2 + len) {
            if (!take_answer(r, r->in + 2, len))
                end_with(r, "the answer is not signed with the key");
            return;
        }
        if (r->got == sizeof(r->in))
            break;
    }
    if (n >= 0 || errno != EAGAIN)
        end_with(r, "the connection ended without an answer");
}

static void try_tcp(struct update_run *r)
{
    bool connecting;
    r->tcp = true;
    int fd = socket_connect_tcp(&r->prover->server, true, &connecting);
    if (fd < 0 || loop_watch(r->prover->loop, &r->watch, fd, EPOLLIN | EPOLLOUT | EPOLLET, on_tcp) != 0) {
        if (fd >= 0)
            close(fd);
        end_with(r, "it cannot be reached");
        return;
    }
    loop_set_timer(r->prover->loop, &r->patience, loop_now(r->prover->loop) + TCP_TIME);
}

/* ---- UDP ---- */

static void on_udp(struct watch *w, uint32_t events)
{
    struct update_run *r = CONTAINER_OF(w, struct update_run, watch);
    ssize_t n;
    (void)events;
    while ((n = recv(w->fd, r->in, sizeof(r->in), 0)) >= 0 || errno == ECONNREFUSED)
        if (n >= 0 && take_answer(r, r->in, (size_t)n))
            return;
}

static void try_udp(struct update_run *r)
{
    int fd = socket_connect_udp(&r->prover->server);
    r->tries++;
    if (fd >= 0 && loop_watch(r->prover->loop, &r->watch, fd, EPOLLIN | EPOLLET, on_udp) != 0)
        close(fd);
    else if (fd >= 0)
        (void)!send(fd, r->request.bytes, r->request.len, MSG_NOSIGNAL);
    loop_set_timer(r->prover->loop, &r->patience, loop_now(r->prover->loop) + TRY_TIME);
}

static void try_next(struct update_run *r)
{
    loop_close(r->prover->loop, &r->watch);
    if (r->tries < TRIES)
        try_udp(r);
    else
        try_tcp(r);
}

static void on_patience(struct timer *t)
{
    struct update_run *r = CONTAINER_OF(t, struct update_run, patience);
    if (r->tcp)
        end_with(r, "no answer");
    else
        try_next(r);
}

/* ---- what is wanted ---- */

static void run(struct update_prover *p, struct prover_call *call, bool remove)
{
    char name[ACME_CLIENT_DNS_NAME_MAX], value[ACME_CLIENT_DNS_VALUE_MAX];
    const struct dns_key key = {p->key_name, {(char *)p->secret.data, p->secret.len}};
    struct dns_update u = {
        .zone = p->zone, .name = name, .value = value, .remove = remove, .now = clock_wall() / NSEC_PER_SEC};
    struct update_run *r = calloc(1, sizeof(*r));
    struct err err;
    CHECK(r != NULL);
    acme_client_dns_name(call->proof, name);
    acme_client_dns_value(call->proof, value);
    (void)!getrandom(&u.id, sizeof(u.id), 0);
    r->prover = p;
    r->watch.fd = -1;
    timer_init(&r->patience, on_patience);
    task_init(&r->reap, reap);
    if (dns_update_make(&u, &key, &r->request, &err) < 0) {
        free(r);
        call->done(call, &err);
        return;
    }
    r->call = call;
    call->state = r;
    try_next(r);
}

static void put(struct prover *p, struct prover_call *call)
{
    run(CONTAINER_OF(p, struct update_prover, base), call, false);
}

static void drop(struct prover *p, struct prover_call *call)
{
    run(CONTAINER_OF(p, struct update_prover, base), call, true);
}

static void cancel(struct prover *p, struct prover_call *call)
{
    struct update_run *r = call->state;
    (void)p;
    if (r == NULL)
        return;
    call->state = NULL;
    r->call = NULL;
    end(r, NULL);
}

static void free_prover(struct prover *p)
{
    struct update_prover *u = CONTAINER_OF(p, struct update_prover, base);
    if (u->secret.data != NULL)
        explicit_bzero(u->secret.data, u->secret.cap);
    buf_free(&u->secret);
    free(u->zone);
    free(u->key_name);
    free(u);
}

struct prover *prover_update(struct loop *loop, const struct net_addr *server, const char *zone,
                             const char *key_name, struct str secret)
{
    static const struct prover_ops ops = {put, drop, cancel, free_prover};
    struct update_prover *u = calloc(1, sizeof(*u));
    CHECK(u != NULL);
    *u = (struct update_prover){
        .base = {&ops}, .loop = loop, .server = *server, .zone = strdup(zone), .key_name = strdup(key_name)};
    CHECK(u->zone != NULL && u->key_name != NULL && buf_append(&u->secret, secret.p, secret.len));
    return &u->base;
}
