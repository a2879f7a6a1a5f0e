/* SPDX-License-Identifier: Apache-2.0 */
/* floor TLSPORT PASSPORT BACKENDPORT CERT KEY TICKETS: the least that a relay costs. It does what the rows of
 * the table demand (accept, TLS, connect, bytes both ways, half-close, an orderly end) and nothing else: one
 * fixed backend on the same machine, no look at the bytes, no log, no limit, no deadline, no turns. What it
 * costs is the kernel's and AWS-LC's; it says "ready" once it listens and runs until it is killed.
 *
 * Edge-triggered: `readable` goes off with EAGAIN, and with a short read as long as no FIN is in; the next
 * byte makes a new edge then. Writing is tried at once, and what a socket does not take is held; as long as
 * something is held for a socket, nothing more is read for it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    BACKLOG = 4096,
    CHUNK = 256 * 1024,        /* read by one call */
    PLAIN = CHUNK + 32 * 1024, /* a chunk, decrypted, with a record that an earlier one had begun */
    SEALED = 2 * CHUNK,        /* all that with what TLS adds */
};

enum { ENDED = 0, NOTHING = -1, BROKEN = -2 }; /* what is said instead of a count of bytes */

/* One of a relay's two sockets. */
struct end {
    struct relay *relay;
    int fd;
    bool readable;
    bool hung_up; /* its FIN is in: no edge follows */
    bool ended;   /* all that it sent has been read */
    bool shut;    /* it has been told the end of the other side */
    SSL *ssl;     /* NULL: plain */
    uint8_t *held;
    size_t held_size;
};

struct relay {
    struct end client, backend;
    struct relay *next; /* closed in this round */
    bool connected, closed;
};

struct floor {
    int epoll, tls_listener, pass_listener;
    struct sockaddr_in backend;
    SSL_CTX *ctx;
    BIO *bio; /* one for all connections: it holds nothing between two calls */
    struct relay *closed;
    const uint8_t *next, *last; /* of `input`: what TLS has not taken yet */
    size_t sealed_size;
    uint8_t input[CHUNK], plain[PLAIN], sealed[SEALED];
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, errno ? strerror(errno) : "AWS-LC refuses it");
    exit(1);
}

/* Sockets
 * -----------------------------------------------------------------------------------------------------------
 */

static ssize_t receive(struct end *e, uint8_t *to)
{
    ssize_t n = recv(e->fd, to, CHUNK, MSG_DONTWAIT);
    if (n < CHUNK && !e->hung_up)
        e->readable = false;
    if (n == 0)
        e->ended = true;
    return n >= 0 ? n : errno == EAGAIN ? NOTHING : BROKEN;
}

/* Sends what it can, holds the rest. */
static bool transmit(struct end *e, const uint8_t *bytes, size_t size, int flags)
{
    ssize_t n = e->held_size ? 0 : send(e->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
    if (n < 0 && errno != EAGAIN)
        return false;
    size_t left = size - (n > 0 ? (size_t)n : 0);
    if (left == 0)
        return true;
    uint8_t *held = realloc(e->held, e->held_size + left);
    if (!held)
        fail("realloc");
    memcpy(held + e->held_size, bytes + size - left, left);
    e->held = held;
    e->held_size += left;
    return true;
}

static bool transmit_held(struct end *e)
{
    uint8_t *held = e->held;
    size_t size = e->held_size;
    e->held = NULL;
    e->held_size = 0;
    bool ok = size == 0 || transmit(e, held, size, 0);
    free(held);
    return ok;
}

static void watch(const struct floor *f, struct end *e)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = e};
    if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, e->fd, &event))
        fail("epoll_ctl");
}

/* TLS
 * ---------------------------------------------------------------------------------------------------------------
 */

static int bio_read(BIO *bio, char *to, int size)
{
    struct floor *f = BIO_get_data(bio);
    size_t left = (size_t)(f->last - f->next), n = (size_t)size < left ? (size_t)size : left;
    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, f->next, n);
    f->next += n;
    return (int)n;
}

static int bio_write(BIO *bio, const char *from, int size)
{
    struct floor *f = BIO_get_data(bio);
    if (SEALED - f->sealed_size < (size_t)size)
        fail("a flight without end");
    memcpy(f->sealed + f->sealed_size, from, (size_t)size);
    f->sealed_size += (size_t)size;
    return size;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

/* Sends what TLS has written. */
static bool transmit_sealed(struct floor *f, struct end *e, int flags)
{
    size_t size = f->sealed_size;
    f->sealed_size = 0;
    return size == 0 || transmit(e, f->sealed, size, flags);
}

/* Lets TLS have what has come, the handshake's messages too. */
static ssize_t open_records(struct floor *f, struct end *e)
{
    ssize_t got = receive(e, f->input), size = 0;
    int n;
    if (got <= 0)
        return got == 0 ? BROKEN : got; /* without close_notify */
    f->next = f->input;
    f->last = f->input + got;
    while ((n = SSL_read(e->ssl, f->plain + size, (int)(PLAIN - size))) > 0)
        size += n;
    int error = SSL_get_error(e->ssl, n);
    if (error == SSL_ERROR_ZERO_RETURN)
        e->ended = true;
    if ((error != SSL_ERROR_ZERO_RETURN && error != SSL_ERROR_WANT_READ) || !transmit_sealed(f, e, 0))
        return BROKEN;
    return size > 0 ? size : e->ended ? ENDED : NOTHING;
}

static void set_up_tls(struct floor *f, const char *certificate, const char *key, bool tickets)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "floor");
    if (!method || !BIO_meth_set_read(method, bio_read) || !BIO_meth_set_write(method, bio_write) ||
        !BIO_meth_set_ctrl(method, bio_ctrl) || !(f->bio = BIO_new(method)))
        fail("BIO");
    BIO_set_data(f->bio, f);
    BIO_set_init(f->bio, 1);
    f->ctx = SSL_CTX_new(TLS_server_method());
    if (!f->ctx || !SSL_CTX_set_min_proto_version(f->ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(f->ctx, "TLS_AES_128_GCM_SHA256") ||
        !SSL_CTX_set1_groups_list(f->ctx, "X25519MLKEM768:X25519") ||
        !SSL_CTX_use_certificate_chain_file(f->ctx, certificate) ||
        !SSL_CTX_use_PrivateKey_file(f->ctx, key, SSL_FILETYPE_PEM))
        fail("the TLS settings");
    SSL_CTX_set_session_cache_mode(f->ctx, SSL_SESS_CACHE_OFF);
    if (!tickets)
        SSL_CTX_set_options(f->ctx, SSL_OP_NO_TICKET);
}

static SSL *make_ssl(struct floor *f)
{
    SSL *ssl = SSL_new(f->ctx);
    if (!ssl)
        fail("SSL_new");
    BIO_up_ref(f->bio); /* one reference for both directions */
    SSL_set_bio(ssl, f->bio, f->bio);
    SSL_set_accept_state(ssl);
    SSL_set_shed_handshake_config(ssl, 1);
    return ssl;
}

/* The relay
 * ---------------------------------------------------------------------------------------------------------
 */

/* The backend is on this machine: the kernel completes the connection within connect(). Its last ACK goes
 * with our first bytes. */
static void connect_backend(struct floor *f, struct relay *r)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &(int){0}, sizeof(int));
    if (connect(fd, (struct sockaddr *)&f->backend, sizeof(f->backend)))
        fail("connect");
    r->backend.fd = fd;
    r->connected = true;
    watch(f, &r->backend);
}

/* Tells an end that the other has ended. Where nothing is left to come, closing does that. */
static bool finish(struct floor *f, struct end *to)
{
    if (to->ssl && !(SSL_get_shutdown(to->ssl) & SSL_SENT_SHUTDOWN)) {
        SSL_shutdown(to->ssl);
        if (!transmit_sealed(f, to, MSG_MORE)) /* the FIN goes with it */
            return false;
    }
    if (to->held_size)
        return true; /* again when that has gone */
    to->shut = true;
    return to->ended || shutdown(to->fd, SHUT_WR) == 0;
}

/* Moves what there is. Returns false where the relay is broken. */
static bool flow(struct floor *f, struct end *from, struct end *to)
{
    struct relay *r = from->relay;
    while (from->readable && !from->ended && !to->held_size) {
        ssize_t size = from->ssl ? open_records(f, from) : receive(from, f->plain);
        if (size == BROKEN)
            return false;
        if (!r->connected && (from->ssl ? !SSL_in_init(from->ssl) : size > 0))
            connect_backend(f, r);
        if (size <= 0)
            continue;
        if (to->ssl && SSL_write(to->ssl, f->plain, (int)size) <= 0)
            return false;
        if (!(to->ssl ? transmit_sealed(f, to, 0) : transmit(to, f->plain, (size_t)size, 0)))
            return false;
    }
    return !from->ended || to->shut || to->held_size || (r->connected && finish(f, to));
}

static void close_end(struct end *e, bool broken)
{
    struct linger reset = {.l_onoff = 1};
    if (broken)
        setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(e->fd);
    SSL_free(e->ssl);
    free(e->held);
}

static void close_relay(struct floor *f, struct relay *r, bool broken)
{
    close_end(&r->client, broken);
    if (r->connected)
        close_end(&r->backend, broken);
    r->closed = true;
    r->next = f->closed;
    f->closed = r;
}

static void serve(struct floor *f, struct end *e, uint32_t events)
{
    struct relay *r = e->relay;
    if (r->closed)
        return;
    e->readable = e->readable || events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    e->hung_up = e->hung_up || events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    bool ok = transmit_held(e) && flow(f, &r->client, &r->backend) && flow(f, &r->backend, &r->client);
    if (!ok || (r->client.shut && r->backend.shut))
        close_relay(f, r, !ok);
}

static void accept_all(struct floor *f, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct relay *r = calloc(1, sizeof(*r));
        if (!r)
            fail("calloc");
        r->client.relay = r->backend.relay = r;
        r->client.fd = fd;
        r->client.ssl = listener == f->tls_listener ? make_ssl(f) : NULL;
        watch(f, &r->client);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        fail("accept");
}

/* An event may name an end whose relay an earlier one of its round has closed. */
static void free_closed(struct floor *f)
{
    while (f->closed) {
        struct relay *r = f->closed;
        f->closed = r->next;
        free(r);
    }
}

/* The program
 * -------------------------------------------------------------------------------------------------------
 */

static struct sockaddr_in loopback(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* EPOLL_DATA tells it from an end, and from the other listener. */
static int open_listener(const struct floor *f, const char *port, void *epoll_data)
{
    struct sockaddr_in at = loopback(port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = epoll_data};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, BACKLOG) ||
        epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &event))
        fail("listen");
    return fd;
}

static void run(struct floor *f)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(f->epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            void *what = events[i].data.ptr;
            if (what == &f->tls_listener || what == &f->pass_listener)
                accept_all(f, *(int *)what);
            else
                serve(f, what, events[i].events);
        }
        free_closed(f);
    }
}

int main(int argc, char **argv)
{
    static struct floor f;
    if (argc != 7) {
        fputs("usage: floor TLSPORT PASSPORT BACKENDPORT CERT KEY TICKETS\n"
              "TICKETS is 1 for a server whose clients resume, or 0\n",
              stderr);
        return 2;
    }
    f.backend = loopback(argv[3]);
    set_up_tls(&f, argv[4], argv[5], *argv[6] == '1');
    f.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (f.epoll < 0)
        fail("epoll_create1");
    f.tls_listener = open_listener(&f, argv[1], &f.tls_listener);
    f.pass_listener = open_listener(&f, argv[2], &f.pass_listener);
    puts("ready");
    fflush(stdout);
    run(&f);
}
