/* SPDX-License-Identifier: Apache-2.0 */
#include "conn.h"

#include "wire.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SOURCES = 32,            /* loopback addresses to connect from, so that ports suffice */
    READ_AHEAD = 256 * 1024, /* several records by one system call */
};

static_assert(sizeof(((struct conn *)0)->message) == WIRE_MESSAGE, "one message");

_Noreturn void conn_fail(const char *what)
{
    char tls[160] = "";
    uint32_t code = ERR_get_error();
    if (code)
        ERR_error_string_n(code, tls, sizeof(tls));
    fprintf(stderr, "load: %s%s%s\n", what, code || errno ? ": " : "",
            code    ? tls
            : errno ? strerror(errno)
                    : "");
    exit(1);
}

/* Target
 * -----------------------------------------------------------------------------------------------------------
 */

/* AWS-LC hands us each ticket as it comes; the last one serves the next connection of this slot. */
static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct conn *c = SSL_get_app_data(ssl);
    if (!c->target->resume)
        return 0;
    SSL_SESSION_free(c->ticket);
    c->ticket = session;
    return 1;
}

static SSL_CTX *make_ctx(const struct target *t)
{
    static const uint16_t signatures[] = {SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_MLDSA65};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") || !SSL_CTX_set1_groups_list(ctx, t->group))
        conn_fail("the client's TLS settings");
    if (t->bytes &&
        (!SSL_CTX_set_read_ahead(ctx, 1) || !SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD)))
        conn_fail("reading ahead");
    /* The certificate's chain is not looked at: it is the server that is measured. Its signature still is. */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    if (!SSL_CTX_set_verify_algorithm_prefs(ctx, signatures, sizeof(signatures) / sizeof(*signatures)))
        conn_fail("the signatures");
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_ticket);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

static void read_configs(struct target *t)
{
    char text[4096];
    FILE *f = fopen(t->ech, "r");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    if (!f || n == sizeof(text) - 1)
        conn_fail(t->ech);
    fclose(f);
    text[n] = '\0';
    n = strcspn(text, "\n");
    t->configs = malloc(n);
    if (!t->configs || !EVP_DecodeBase64(t->configs, &t->configs_len, n, (const uint8_t *)text, n))
        conn_fail("the ECHConfigList is not in base64");
}

/* A real ClientHello, as this client would send it. */
static void make_hello(struct target *t)
{
    SSL *ssl = SSL_new(t->ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    const uint8_t *bytes;
    if (!ssl || !in || !out || !SSL_set_tlsext_host_name(ssl, t->sni))
        conn_fail("ClientHello");
    SSL_set_bio(ssl, in, out);
    SSL_connect(ssl); /* it waits for an answer after its first flight */
    if (!BIO_mem_contents(out, &bytes, &t->hello_size) || t->hello_size == 0)
        conn_fail("ClientHello");
    t->hello = malloc(t->hello_size);
    if (!t->hello)
        conn_fail("malloc");
    memcpy(t->hello, bytes, t->hello_size);
    SSL_free(ssl);
    ERR_clear_error();
}

void target_prepare(struct target *t)
{
    t->ctx = make_ctx(t);
    t->pattern = wire_pattern();
    if (!t->pattern)
        conn_fail("malloc");
    if (t->ech)
        read_configs(t);
    if (!t->tls)
        make_hello(t);
}

/* Reading and writing
 * ---------------------------------------------------------------------------------------------- */

/* Bytes moved; 0 at the end of the stream; -1 where the socket has to be waited for. */
static ssize_t tls_result(struct conn *c, int n)
{
    if (n > 0)
        return n;
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        /* A FIN without close_notify, or an RST once we are closing: hitch and stunnel may end so. */
        if (c->order == ORDER_CLOSE && (errno == 0 || errno == ECONNRESET || errno == EPIPE))
            return 0;
        conn_fail("TLS ends early");
    }
}

static ssize_t tcp_result(const struct conn *c, ssize_t n)
{
    if (n >= 0)
        return n;
    if (errno == EAGAIN)
        return -1;
    if (c->order == ORDER_CLOSE && errno == ECONNRESET)
        return 0;
    conn_fail("TCP");
}

static ssize_t conn_read(struct conn *c, void *to, size_t n)
{
    errno = 0;
    if (c->ssl)
        return tls_result(c, SSL_read(c->ssl, to, (int)n));
    return tcp_result(c, recv(c->fd, to, n, 0));
}

static ssize_t conn_write(struct conn *c, const void *from, size_t n)
{
    errno = 0;
    if (c->ssl)
        return tls_result(c, SSL_write(c->ssl, from, (int)n));
    return tcp_result(c, send(c->fd, from, n, MSG_NOSIGNAL));
}

/* For what a socket with nothing else in it must take at once. */
static void write_small(struct conn *c, const void *from, size_t n)
{
    unsigned char lined[1 + WIRE_MESSAGE] = {WIRE_LINE};
    if (c->target->starttls && !c->lined) { /* nothing longer than a message is said there */
        memcpy(lined + 1, from, n);
        from = lined;
        n++;
    }
    c->lined = true;
    if (conn_write(c, from, n) != (ssize_t)n)
        conn_fail("a small write was not taken whole");
}

/* Reads N bytes of the pattern. Returns true when all have come. */
static bool read_pattern(struct conn *c, uint64_t n)
{
    unsigned char buffer[64 * 1024];
    while (c->done < n) {
        uint64_t want = n - c->done < sizeof(buffer) ? n - c->done : sizeof(buffer);
        ssize_t got = conn_read(c, buffer, (size_t)want);
        if (got < 0)
            return false;
        if (got == 0 || memcmp(buffer, c->target->pattern + c->done % WIRE_PERIOD, (size_t)got) != 0)
            conn_fail("the stream from the backend is cut short or altered");
        c->done += (uint64_t)got;
    }
    return true;
}

/* Orders
 * -----------------------------------------------------------------------------------------------------------
 */

/* Loopback: the kernel completes the connection within connect(), so only what follows must not block. */
static void open_socket(struct conn *c)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(c->tag % SOURCES));
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        conn_fail("socket");
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (ntohl(c->target->address.sin_addr.s_addr) == INADDR_LOOPBACK &&
        bind(c->fd, (struct sockaddr *)&from, sizeof(from)))
        conn_fail("bind");
    if (connect(c->fd, (const struct sockaddr *)&c->target->address, sizeof(c->target->address)))
        conn_fail("connect");
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK))
        conn_fail("fcntl");
}

static void open_tls(struct conn *c)
{
    c->ssl = SSL_new(c->target->ctx);
    if (!c->ssl || !SSL_set_fd(c->ssl, c->fd) || !SSL_set_tlsext_host_name(c->ssl, c->target->sni))
        conn_fail("SSL_new");
    SSL_set_app_data(c->ssl, c);
    if (c->ticket && !SSL_set_session(c->ssl, c->ticket))
        conn_fail("SSL_set_session");
    if (c->target->ech && !SSL_set1_ech_config_list(c->ssl, c->target->configs, c->target->configs_len))
        conn_fail("SSL_set1_ech_config_list");
}

/* That the server did the work we came to measure, and no other. */
static void check_handshake(const struct conn *c)
{
    const char *group = SSL_get_group_name(SSL_get_group_id(c->ssl));
    if (!group || strcmp(group, c->target->group) != 0)
        conn_fail("the server chose another key exchange");
    if (c->target->expect_resumed != (SSL_session_reused(c->ssl) == 1))
        conn_fail(c->target->expect_resumed ? "the server did not resume" : "the server resumed");
    if (SSL_ech_accepted(c->ssl) != (c->target->ech != NULL))
        conn_fail("the server did not accept ECH");
}

static void count_bytes(struct conn *c)
{
    c->target->handshakes++;
    c->target->to_server += BIO_number_written(SSL_get_wbio(c->ssl));
    c->target->from_server += BIO_number_read(SSL_get_rbio(c->ssl));
}

/* The way to TLS in a protocol: what must have come, then what is said. */
struct step {
    const char *heard, *say;
    size_t len;
};

#define SAY(text) text, sizeof(text) - 1

static const struct step *way_to_tls(const char *protocol)
{
    static const struct step smtp[] = {
        {"220 ", SAY("EHLO bench\r\n")}, {"STARTTLS", SAY("STARTTLS\r\n")}, {"220 ", NULL, 0}};
    /* No CAPABILITY: stunnel would have the backend answer that. */
    static const struct step imap[] = {{"* OK", SAY("a STARTTLS\r\n")}, {"a OK", NULL, 0}};
    static const struct step postgresql[] = {{"", SAY("\0\0\0\x08\x04\xd2\x16\x2f")}, {"S", NULL, 0}};
    return strcmp(protocol, "smtp") == 0 ? smtp : strcmp(protocol, "imap") == 0 ? imap : postgresql;
}

static bool has_come(const struct conn *c, const struct step *step)
{
    size_t n = strlen(step->heard);
    bool whole = n < 2 || (c->heard > 0 && c->answer[c->heard - 1] == '\n');
    return whole && (n == 0 || memmem(c->answer, c->heard, step->heard, n));
}

/* True once TLS may begin. */
static bool walk_to_tls(struct conn *c)
{
    for (const struct step *way = way_to_tls(c->target->starttls);;) {
        const struct step *step = &way[c->step];
        if (has_come(c, step)) {
            c->heard = 0;
            if (!step->say)
                return true;
            if (send(c->fd, step->say, step->len, MSG_NOSIGNAL) != (ssize_t)step->len)
                conn_fail("a small write was not taken whole");
            c->step++;
            continue;
        }
        errno = 0;
        ssize_t n = recv(c->fd, c->answer + c->heard, sizeof(c->answer) - c->heard, 0);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0)
            conn_fail("the server closed before TLS");
        c->heard += (size_t)n;
    }
}

static bool run_open(struct conn *c)
{
    if (c->ssl && c->target->starttls && !c->sent) {
        c->sent = walk_to_tls(c);
        if (!c->sent)
            return false;
    }
    if (!c->ssl) {
        if (!c->sent)
            write_small(c, c->target->hello, c->target->hello_size);
        c->sent = true;
        return read_pattern(c, WIRE_FLIGHT);
    }
    errno = 0;
    ssize_t result = tls_result(c, SSL_connect(c->ssl));
    if (result < 0)
        return false;
    if (result == 0)
        conn_fail("the server closed during the handshake");
    count_bytes(c);
    /* Until the first round of connections has been through, there are no tickets yet. */
    if (!c->target->resume || c->target->expect_resumed)
        check_handshake(c);
    return true;
}

static bool run_echo(struct conn *c)
{
    if (!c->sent) {
        memset(c->message, (int)(c->tag & 0xff), sizeof(c->message));
        c->message[0] = WIRE_ECHO;
        wire_put_u64(c->message + 1, c->tag);
        write_small(c, c->message, sizeof(c->message));
        c->sent = true;
    }
    while (c->done < sizeof(c->message)) {
        unsigned char back[sizeof(c->message)];
        ssize_t n = conn_read(c, back, sizeof(c->message) - c->done);
        if (n < 0)
            return false;
        if (n == 0 || memcmp(back, c->message + c->done, (size_t)n) != 0)
            conn_fail("the echo is cut short or altered");
        c->done += (uint64_t)n;
    }
    return true;
}

static void send_bulk_order(struct conn *c)
{
    unsigned char order[WIRE_ORDER];
    order[0] = c->order == ORDER_SOURCE ? WIRE_SOURCE : WIRE_SINK;
    wire_put_u64(order + 1, c->target->bytes);
    write_small(c, order, sizeof(order));
    c->sent = true;
}

static bool run_source(struct conn *c)
{
    if (!c->sent)
        send_bulk_order(c);
    return read_pattern(c, c->target->bytes);
}

static bool run_sink(struct conn *c)
{
    unsigned char answer;
    if (!c->sent)
        send_bulk_order(c);
    while (c->done < c->target->bytes) {
        uint64_t left = c->target->bytes - c->done;
        ssize_t n = conn_write(c, c->target->pattern, left < WIRE_BLOCK ? (size_t)left : WIRE_BLOCK);
        if (n < 0)
            return false;
        c->done += (uint64_t)n;
    }
    ssize_t n = conn_read(c, &answer, 1);
    if (n == 0 || (n > 0 && answer != WIRE_SINK))
        conn_fail("the backend did not confirm the upload");
    return n > 0;
}

static bool run_close(struct conn *c)
{
    unsigned char rest[4096];
    if (!c->sent) {
        if (c->ssl)
            SSL_shutdown(c->ssl);
        shutdown(c->fd, SHUT_WR);
        c->sent = true;
    }
    ssize_t n;
    while ((n = conn_read(c, rest, sizeof(rest))) > 0)
        continue;
    if (n < 0)
        return false;
    SSL_free(c->ssl);
    c->ssl = NULL;
    close(c->fd);
    ERR_clear_error();
    return true;
}

void conn_order(struct conn *c, enum order order, uint64_t tag)
{
    c->order = order;
    c->tag = tag;
    c->done = 0;
    c->sent = false;
    c->step = 0;
    c->heard = 0;
    if (order == ORDER_OPEN) {
        c->lined = false;
        open_socket(c);
        if (c->target->tls)
            open_tls(c);
    }
}

bool conn_run(struct conn *c)
{
    switch (c->order) {
    case ORDER_OPEN:
        return run_open(c);
    case ORDER_ECHO:
        return run_echo(c);
    case ORDER_SOURCE:
        return run_source(c);
    case ORDER_SINK:
        return run_sink(c);
    case ORDER_CLOSE:
        return run_close(c);
    }
    conn_fail("no such order");
}
