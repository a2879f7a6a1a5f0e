/* SPDX-License-Identifier: Apache-2.0 */
/* A server's endpoint and whatever may come to its port: packets from two strangers, each after its length in
 * two bytes. The first one's ClientHello is held to the end; the second has to show by a token that his
 * address is his, and is refused. No answer is more than three times what it answers to, and in the end
 * nothing is left of any of them (cids_free() checks that no id is). The endpoint is used from outside,
 * through a socket. */
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/udp.h"
#include "quic/quic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define STRANGERS 2
#define PACKETS_MAX 64

static const struct quic_settings settings = {.idle_timeout = NSEC_PER_SEC,
                                              .handshake_timeout = NSEC_PER_SEC,
                                              .streams = 2,
                                              .stream_window = 16384,
                                              .window = 16384,
                                              .send_buffer = 16384,
                                              .connection_buffer = 65536,
                                              .datagrams = true,
                                              .hello_size = 4096,
                                              .retry_above = 4};

struct world {
    struct loop *loop;
    struct quic_endpoint *endpoint;
    struct task stop;
    struct {
        int fd;
        size_t sent;
        size_t received;
    } strangers[STRANGERS];
    size_t owners;
    bool wary; /* who comes now has to show that his address is his */
};

static void *on_incoming(void *arg, struct quic_conn *conn, const struct net_addr *peer, bool proven)
{
    struct world *w = arg;
    (void)conn;
    (void)peer;
    if (w->wary && !proven)
        return NULL;
    w->owners++;
    return w;
}

static struct quic_hello_answer on_hello(void *owner, const uint8_t *message, size_t len)
{
    const struct world *w = owner;
    CHECK(len >= 4 && len <= settings.hello_size && message != NULL);
    return (struct quic_hello_answer){.result = w->wary ? QUIC_HELLO_REFUSED : QUIC_HELLO_LATER,
                                      .alert = 112};
}

static void on_opened(void *owner)
{
    (void)owner;
    CHECK(!"a handshake without TLS");
}

static void on_closed(void *owner, enum quic_end end, const char *text)
{
    struct world *w = owner;
    (void)end;
    CHECK(text != NULL && w->owners > 0);
    w->owners--;
}

static const struct quic_events events = {.hello = on_hello, .opened = on_opened, .closed = on_closed};

static void on_stop(struct task *t)
{
    loop_stop(CONTAINER_OF(t, struct world, stop)->loop);
}

/* One round of the loop: what has been sent is worked off. */
static void work(struct world *w)
{
    struct err err;
    loop_defer(w->loop, &w->stop);
    CHECK(loop_run(w->loop, &err) == 0);
}

static void send_packet(struct world *w, size_t who, const uint8_t *data, size_t len)
{
    uint8_t answer[2048];
    w->wary = who == 1;
    ssize_t n = send(w->strangers[who].fd, data, len, 0);
    if (n < 0)
        return; /* longer than a datagram may be */
    w->strangers[who].sent += (size_t)n;
    work(w);
    while ((n = recv(w->strangers[who].fd, answer, sizeof(answer), MSG_DONTWAIT)) >= 0)
        w->strangers[who].received += (size_t)n;
    CHECK(w->strangers[who].received <= 3 * w->strangers[who].sent);
}

static void make(struct world *w, const struct quic_secrets *secrets, struct quic_scratch *scratch)
{
    struct err err;
    struct quic_server server = {
        .incoming = on_incoming, .events = &events, .arg = w, .index = 0, .count = 1};
    w->loop = loop_new(&err);
    CHECK(w->loop != NULL);
    task_init(&w->stop, on_stop);
    int fd = udp_listen("127.0.0.1", 0, false, &err);
    CHECK(fd >= 0);
    struct net_addr address = udp_socket_of(fd).local;
    w->endpoint = quic_endpoint_new(w->loop, fd, &server, secrets, scratch, &err);
    CHECK(w->endpoint != NULL);
    quic_endpoint_serve(w->endpoint, &settings);
    for (size_t i = 0; i < STRANGERS; i++) {
        w->strangers[i].fd = udp_connect(&address);
        CHECK(w->strangers[i].fd >= 0);
    }
}

static void end(struct world *w)
{
    quic_endpoint_free(w->endpoint);
    CHECK(w->owners == 0);
    work(w);
    loop_free(w->loop);
    for (size_t i = 0; i < STRANGERS; i++)
        close(w->strangers[i].fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct quic_secrets secrets;
    static struct quic_scratch *scratch;
    struct world w = {0};
    if (scratch == NULL)
        scratch = quic_scratch_new();
    make(&w, &secrets, scratch);
    for (size_t i = 0; len >= 2 && i < PACKETS_MAX; i++) {
        size_t take = MIN((size_t)data[0] << 8 | data[1], len - 2);
        send_packet(&w, i % STRANGERS, data + 2, take);
        data += 2 + take;
        len -= 2 + take;
    }
    end(&w);
    return 0;
}
