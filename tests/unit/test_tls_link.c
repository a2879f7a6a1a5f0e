/* SPDX-License-Identifier: Apache-2.0 */
/* The server's TLS link against the TLS library itself, over a link in memory: how much of what costs the
 * peer little is worked off in one call. */
#include "pki.h"

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alert.h"
#include "link/fd_link.h"
#include "link/mem_link.h"
#include "tests/unit/sockets.h"
#include "tls/tls_internal.h"

#define ROOM (1024 * 1024)

/* A client of the plain library, and the link that serves it. */
struct duo {
    SSL *client;
    BIO *to_client, *from_client;
    struct link *wire; /* the client's end */
    struct link *server;
    struct tls_scratch scratch;
    int woken;
};

static void on_wake(struct link *l)
{
    struct duo *d = l->owner;
    d->woken++;
}

/* Carry what the client has written and what the link has answered. */
static void carry(struct duo *d)
{
    uint8_t bytes[16384];
    size_t n = 0;
    int got;
    while ((got = BIO_read(d->from_client, bytes, sizeof(bytes))) > 0) {
        assert_int_equal(link_write(d->wire, bytes, (size_t)got, &n), LINK_OK);
        assert_int_equal(n, got);
    }
    while (link_read(d->wire, bytes, sizeof(bytes), &n) == LINK_OK)
        assert_int_equal(BIO_write(d->to_client, bytes, (int)n), n);
}

static SSL *new_ssl(const struct ca *server, uint16_t version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    assert_true(SSL_CTX_set_min_proto_version(ctx, version) && SSL_CTX_set_max_proto_version(ctx, version));
    if (server != NULL)
        assert_true(SSL_CTX_use_certificate(ctx, ca_x509(server)) &&
                    SSL_CTX_use_PrivateKey(ctx, ca_private_key(server)));
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (server != NULL)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return ssl;
}

static void shake_hands(struct duo *d, struct loop *loop)
{
    struct ca *root = pki_root("Root"), *server = pki_server(root, "a.example");
    struct link *lower;
    *d = (struct duo){.client = new_ssl(NULL, TLS1_3_VERSION)};
    mem_link_pair(ROOM, &d->wire, &lower);
    tls_scratch_init(&d->scratch, loop);
    d->server = tls_link_new(new_ssl(server, TLS1_3_VERSION), lower, &d->scratch, &(struct tls_proof){0},
                             (struct str){0});
    d->server->owner = d;
    d->to_client = BIO_new(BIO_s_mem());
    d->from_client = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(d->to_client, -1);
    SSL_set_bio(d->client, d->to_client, d->from_client);
    enum link_status status = LINK_AGAIN;
    for (int turn = 0; turn < 10 && status != LINK_OK; turn++) {
        SSL_do_handshake(d->client);
        carry(d);
        status = link_open(d->server);
        assert_int_not_equal(status, LINK_ERROR);
        carry(d);
    }
    assert_int_equal(status, LINK_OK);
    d->server->wake = on_wake;
    ca_free(server);
    ca_free(root);
}

static void part(struct duo *d)
{
    link_close(d->server, false);
    link_close(d->wire, false);
    SSL_free(d->client);
    tls_scratch_free(&d->scratch);
}

static struct loop *new_loop(void)
{
    struct err err;
    struct loop *loop = loop_new(&err);
    assert_non_null(loop);
    return loop;
}

/* All of what the client sent as data, in pieces; the most that one call brought. */
static size_t read_all(struct duo *d, size_t cap, size_t expected)
{
    static uint8_t bytes[TLS_SCRATCH_SIZE];
    size_t most = 0, n = 0;
    while (expected > 0) {
        assert_int_equal(link_read(d->server, bytes, cap, &n), LINK_OK);
        most = MAX(most, n);
        assert_true(n <= expected);
        expected -= n;
    }
    assert_int_equal(link_read(d->server, bytes, cap, &n), LINK_AGAIN);
    return most;
}

/* Small records with data are read as many as there are. */
static void test_many_small_records(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct duo d;
    shake_hands(&d, loop);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(SSL_write(d.client, "x", 1), 1);
    carry(&d);
    assert_int_equal(read_all(&d, TLS_SCRATCH_SIZE, 2000), 2000);
    part(&d);
    loop_free(loop);
}

/* A KeyUpdate before each of them: a few in one call. */
static void test_many_key_updates(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct duo d;
    shake_hands(&d, loop);
    for (int i = 0; i < 2000; i++) {
        assert_true(SSL_key_update(d.client, SSL_KEY_UPDATE_NOT_REQUESTED));
        assert_int_equal(SSL_write(d.client, "x", 1), 1);
    }
    carry(&d);
    assert_in_range(read_all(&d, TLS_SCRATCH_SIZE, 2000), 1, 16);
    part(&d);
    loop_free(loop);
}

/* A record that is far longer than the caller's space is read all the same, and without a wake. */
static void test_small_space(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    static const uint8_t zeros[16384];
    static const size_t caps[] = {1, 5, 22, 4096, 16384, TLS_SCRATCH_SIZE};
    for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
        struct duo d;
        shake_hands(&d, loop);
        for (int k = 0; k < 3; k++)
            assert_int_equal(SSL_write(d.client, zeros, sizeof(zeros)), sizeof(zeros));
        carry(&d);
        d.woken = 0;
        read_all(&d, caps[i], 3 * sizeof(zeros));
        assert_int_equal(d.woken, 0);
        part(&d);
    }
    loop_free(loop);
}

/* An end without close_notify is an error, unless the protocol within TLS knows where it ends; in the middle
 * of a record it is one always. */
static void test_premature_close(void **state)
{
    (void)state;
    static const struct {
        bool taken, cut;
        enum link_status expected;
    } rows[] = {{false, false, LINK_ERROR}, {true, false, LINK_EOF}, {true, true, LINK_ERROR}};
    struct loop *loop = new_loop();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct duo d;
        struct link_peer peer;
        uint8_t bytes[64];
        size_t n = 0;
        shake_hands(&d, loop);
        if (rows[i].taken)
            tls_link_take_premature_close(d.server);
        assert_int_equal(SSL_write(d.client, "quit", 4), 4);
        carry(&d);
        assert_int_equal(link_read(d.server, bytes, sizeof(bytes), &n), LINK_OK);
        assert_memory_equal(bytes, "quit", 4);
        if (rows[i].cut)
            assert_int_equal(link_write(d.wire, "\x17\x03\x03\x00\x20half", 9, &n), LINK_OK);
        assert_int_equal(link_shutdown(d.wire), LINK_OK);
        assert_int_equal(link_read(d.server, bytes, sizeof(bytes), &n), rows[i].expected);
        link_peer(d.server, &peer);
        assert_int_equal(peer.truncated, rows[i].expected == LINK_ERROR);
        part(&d);
    }
    loop_free(loop);
}

struct stopper {
    struct loop *loop;
    struct task task;
};

static void stop(struct task *t)
{
    loop_stop(CONTAINER_OF(t, struct stopper, task)->loop);
}

/* Let the loop hear what has come. */
static void settle(struct loop *loop)
{
    struct stopper s = {.loop = loop};
    task_init(&s.task, stop);
    loop_defer(loop, &s.task);
    assert_int_equal(loop_run(loop, NULL), 0);
}

/* Both sides' handshake over sockets, as far as `opened`; then what the server says last, and a close with
 * bytes of ours unread, which makes a reset. Both are there when we look. */
static void alert_and_reset(struct loop *loop, struct tls_scratch *scratch, const struct ca *ca, bool opened)
{
    int ends[2];
    tcp_pair(ends);
    SSL *server = new_ssl(ca, TLS1_3_VERSION);
    SSL_set_fd(server, ends[1]);
    struct link *client = tls_link_new(new_ssl(NULL, TLS1_3_VERSION), fd_link_socket(loop, ends[0], false),
                                       scratch, &(struct tls_proof){0}, (struct str){0});
    for (int turn = 0; opened && turn < 3; turn++) {
        link_open(client);
        SSL_do_handshake(server);
        settle(loop);
    }
    size_t n = 0;
    uint8_t answer[16];
    struct link_peer peer;
    assert_int_equal(opened ? link_write(client, "hello", 5, &n) : link_open(client),
                     opened ? LINK_OK : LINK_AGAIN);
    if (opened)
        SSL_send_fatal_alert(server, ALERT_CERTIFICATE_REQUIRED);
    else
        assert_int_equal(send(ends[1], "\x15\x03\x03\x00\x02\x02\x74", 7, 0), 7);
    SSL_free(server);
    close(ends[1]);
    settle(loop);
    assert_int_equal(opened ? link_read(client, answer, sizeof(answer), &n) : link_open(client), LINK_ERROR);
    link_peer(client, &peer);
    assert_int_equal(peer.alert, ALERT_CERTIFICATE_REQUIRED);
    link_close(client, false);
}

/* What the peer said before it broke the connection says why. */
static void test_alert_and_reset(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct ca *root = pki_root("Root"), *server = pki_server(root, "a.example");
    struct tls_scratch scratch;
    tls_scratch_init(&scratch, loop);
    alert_and_reset(loop, &scratch, server, false);
    alert_and_reset(loop, &scratch, server, true);
    tls_scratch_free(&scratch);
    ca_free(server);
    ca_free(root);
    loop_free(loop);
}

/* What a client of TLS 1.3 says in the clear behind the server's flight, in pieces: whole an
 * alert, else not. */
static void test_an_alert_in_the_clear(void **state)
{
    (void)state;
    static const struct {
        uint8_t record[8];
        size_t len;
        uint8_t alert; /* that is told */
        const char *why;
    } rows[] = {
        {{21, 3, 3, 0, 2, 2, ALERT_UNKNOWN_CA}, 7, ALERT_UNKNOWN_CA, "the peer sent the alert unknown_ca"},
        {{21, 3, 3, 0, 2, 2, ALERT_CERTIFICATE_EXPIRED},
         7,
         ALERT_CERTIFICATE_EXPIRED,
         "the peer sent the alert certificate_expired"},
        {{21, 3, 3, 0, 2, 2, 200}, 7, 200, "a record is too short for what is encrypted"},
        {{21, 3, 3, 0, 2, 1, ALERT_UNKNOWN_CA}, 7, 0, "a record is too short for what is encrypted"},
        {{21, 3, 3, 0, 3, 2, ALERT_UNKNOWN_CA, 0}, 8, 0, "a record is too short for what is encrypted"},
        {{23, 3, 3, 0, 2, 2, ALERT_UNKNOWN_CA}, 7, 0, "a record is too short for what is encrypted"},
        {{21, 3, 3, 0, 1, 2}, 6, 0, "a record is too short for what is encrypted"},
        {{21, 3, 3, 0, 0}, 5, 0, "a record is too short for what is encrypted"},
    };
    struct loop *loop = new_loop();
    struct ca *root = pki_root("Root"), *server = pki_server(root, "a.example");
    for (size_t i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        size_t row = i / 2, piece = i % 2 == 0 ? rows[row].len : 1, n;
        struct duo d = {.client = new_ssl(NULL, TLS1_3_VERSION)};
        struct link *lower;
        struct link_peer peer;
        mem_link_pair(ROOM, &d.wire, &lower);
        tls_scratch_init(&d.scratch, loop);
        d.server = tls_link_new(new_ssl(server, TLS1_3_VERSION), lower, &d.scratch, &(struct tls_proof){0},
                                (struct str){0});
        d.to_client = BIO_new(BIO_s_mem());
        d.from_client = BIO_new(BIO_s_mem());
        BIO_set_mem_eof_return(d.to_client, -1);
        SSL_set_bio(d.client, d.to_client, d.from_client);
        SSL_do_handshake(d.client);
        carry(&d);
        enum link_status status = link_open(d.server);
        assert_int_equal(status, LINK_AGAIN);
        for (size_t at = 0; at < rows[row].len; at += piece) {
            assert_int_equal(status, LINK_AGAIN);
            assert_int_equal(link_write(d.wire, rows[row].record + at, piece, &n), LINK_OK);
            status = link_open(d.server);
        }
        assert_int_equal(status, LINK_ERROR);
        link_peer(d.server, &peer);
        assert_int_equal(peer.alert, rows[row].alert);
        assert_string_equal(link_error(d.server), rows[row].why);
        part(&d);
    }
    ca_free(server);
    ca_free(root);
    loop_free(loop);
}

/* A client that speaks no TLS: what it says is not kept. */
static void test_a_client_in_the_clear(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct ca *root = pki_root("Root"), *server = pki_server(root, "a.example");
    struct duo d = {0};
    struct link *lower;
    struct link_peer peer;
    size_t n;
    mem_link_pair(ROOM, &d.wire, &lower);
    tls_scratch_init(&d.scratch, loop);
    d.server = tls_link_new(new_ssl(server, TLS1_3_VERSION), lower, &d.scratch, &(struct tls_proof){0},
                            (struct str){0});
    assert_int_equal(link_write(d.wire, "PASS secret\r\n", 13, &n), LINK_OK);
    assert_int_equal(link_open(d.server), LINK_ERROR);
    link_peer(d.server, &peer);
    assert_int_equal(peer.fault, FAULT_NOT_TLS);
    assert_int_equal(peer.found.len, 0);
    part(&d);
    ca_free(server);
    ca_free(root);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_small_records),    cmocka_unit_test(test_many_key_updates),
        cmocka_unit_test(test_small_space),           cmocka_unit_test(test_premature_close),
        cmocka_unit_test(test_a_client_in_the_clear), cmocka_unit_test(test_alert_and_reset),
        cmocka_unit_test(test_an_alert_in_the_clear),
    };
    return cmocka_run_group_tests_name("tls_link", tests, NULL, pki_remove);
}
