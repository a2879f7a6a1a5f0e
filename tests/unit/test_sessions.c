/* SPDX-License-Identifier: Apache-2.0 */
/* What a client resumes with, against the TLS library as a server, over a link in memory. */
#include "pki.h"

#include <openssl/ssl.h>

#include "cert/expect.h"
#include "cert/trust.h"
#include "link/mem_link.h"
#include "tls/client.h"
#include "tls/sessions.h"
#include "tls/tls_link.h"

#define ROOM (1024 * 1024)

static const uint16_t versions[] = {TLS1_3_VERSION, TLS1_2_VERSION};

/* A client, the tickets that it has, and the server. */
struct world {
    struct loop *loop;
    struct tls_scratch scratch;
    struct ca *root, *leaf;
    struct trust *trust;
    struct tls_client *client;
    struct tls_sessions *sessions;
    SSL_CTX *server;
};

/* With ticket keys of its own. */
static SSL_CTX *new_server(const struct world *w, uint16_t version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    assert_true(SSL_CTX_set_min_proto_version(ctx, version) && SSL_CTX_set_max_proto_version(ctx, version));
    assert_true(SSL_CTX_use_certificate(ctx, ca_x509(w->leaf)) &&
                SSL_CTX_use_PrivateKey(ctx, ca_private_key(w->leaf)));
    return ctx;
}

static struct tls_client *new_client(struct trust *trust, const struct expect *expect)
{
    struct err err;
    struct tls_client_params params = {.min_version = TLS1_2_VERSION,
                                       .max_version = TLS1_3_VERSION,
                                       .trust = trust,
                                       .expect = expect,
                                       .resumes = true};
    struct tls_client *client = tls_client_new(&params, &err);
    assert_non_null(client);
    return client;
}

static void begin(struct world *w, uint16_t version)
{
    struct err err;
    *w = (struct world){.loop = loop_new(&err), .root = pki_root("Root")};
    w->leaf = pki_server(w->root, "a.example");
    pki_save(w->root, "root");
    const char *const ca[] = {pki_path("root.pem")};
    w->trust = trust_load(&(struct trust_files){.name = "test", .ca = ca, .ca_len = 1}, &err);
    assert_true(w->loop != NULL && w->trust != NULL);
    tls_scratch_init(&w->scratch, w->loop);
    w->client = new_client(w->trust, NULL);
    w->sessions = tls_sessions_new();
    w->server = new_server(w, version);
}

static void end(struct world *w)
{
    tls_sessions_free(w->sessions);
    tls_client_free(w->client);
    SSL_CTX_free(w->server);
    trust_unref(w->trust);
    tls_scratch_free(&w->scratch);
    loop_free(w->loop);
    ca_free(w->leaf);
    ca_free(w->root);
}

/* One connection of the client's. */
struct visit {
    SSL *server;
    BIO *to_server, *from_server;
    struct link *wire; /* the server's end */
    struct link *link;
};

static void carry(struct visit *v)
{
    uint8_t bytes[16384];
    size_t n = 0;
    int got;
    while ((got = BIO_read(v->from_server, bytes, sizeof(bytes))) > 0)
        assert_int_equal(link_write(v->wire, bytes, (size_t)got, &n), LINK_OK);
    while (link_read(v->wire, bytes, sizeof(bytes), &n) == LINK_OK)
        assert_int_equal(BIO_write(v->to_server, bytes, (int)n), n);
}

static void dial(struct world *w, struct tls_sessions *sessions, const char *host, struct visit *ret)
{
    struct link *lower;
    mem_link_pair(ROOM, &ret->wire, &lower);
    ret->link = tls_client_link(w->client, &(struct tls_peer){.host = host, .sessions = sessions}, lower,
                                &w->scratch);
    ret->server = SSL_new(w->server);
    SSL_set_accept_state(ret->server);
    ret->to_server = BIO_new(BIO_s_mem());
    ret->from_server = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(ret->to_server, -1);
    SSL_set_bio(ret->server, ret->to_server, ret->from_server);
}

static void hang_up(struct visit *v)
{
    link_close(v->link, false);
    link_close(v->wire, false);
    SSL_free(v->server);
}

/* The handshake, and then a byte behind which the tickets have come. LINK_ERROR: the client has not believed
 * it. */
static enum link_status shake_hands(struct visit *v)
{
    enum link_status status = LINK_AGAIN;
    for (int turn = 0; turn < 10 && status == LINK_AGAIN; turn++) {
        status = link_open(v->link);
        carry(v);
        SSL_do_handshake(v->server);
        carry(v);
    }
    uint8_t byte = 'x';
    size_t n;
    if (status != LINK_OK)
        return status;
    assert_int_equal(SSL_do_handshake(v->server), 1);
    assert_int_equal(SSL_write(v->server, &byte, 1), 1);
    carry(v);
    assert_int_equal(link_read(v->link, &byte, 1, &n), LINK_OK);
    return LINK_OK;
}

/* A whole connection: did it resume? */
static bool resumes(struct world *w, struct tls_sessions *sessions)
{
    struct visit v;
    struct link_peer peer;
    dial(w, sessions, "a.example", &v);
    assert_int_equal(shake_hands(&v), LINK_OK);
    link_peer(v.link, &peer);
    assert_int_equal(peer.resumed, SSL_session_reused(v.server));
    assert_non_null(peer.identity);
    bool resumed = peer.resumed;
    hang_up(&v);
    return resumed;
}

static void test_resumption(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct world w;
        begin(&w, versions[i]);
        assert_false(resumes(&w, NULL));
        assert_false(resumes(&w, w.sessions));
        size_t after_one = tls_sessions_count(w.sessions);
        assert_true(after_one > 0);
        for (int k = 0; k < 3; k++)
            assert_true(resumes(&w, w.sessions));
        assert_false(resumes(&w, NULL));
        end(&w);
    }
}

/* Of TLS 1.3 none is offered twice, and no more are kept than the bound. */
static void test_each_once_and_not_too_many(void **state)
{
    (void)state;
    struct world w;
    struct visit v[2];
    begin(&w, TLS1_3_VERSION);
    assert_false(resumes(&w, w.sessions));
    size_t before = tls_sessions_count(w.sessions);
    dial(&w, w.sessions, "a.example", &v[0]);
    assert_int_equal(tls_sessions_count(w.sessions), before - 1);
    dial(&w, w.sessions, "a.example", &v[1]);
    assert_int_equal(tls_sessions_count(w.sessions), before > 1 ? before - 2 : 0);
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        assert_int_equal(shake_hands(&v[i]), LINK_OK);
        hang_up(&v[i]);
    }
    for (int i = 0; i < 3 * TLS_SESSIONS_MAX; i++)
        resumes(&w, w.sessions);
    assert_true(tls_sessions_count(w.sessions) <= TLS_SESSIONS_MAX);
    end(&w);
}

/* A server that takes its old tickets no more: one whole handshake, and only its new ones are left. */
static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct world w;
        begin(&w, versions[i]);
        assert_false(resumes(&w, w.sessions));
        size_t of_one = tls_sessions_count(w.sessions);
        for (int k = 0; k < 4; k++)
            resumes(&w, w.sessions);
        SSL_CTX_free(w.server);
        w.server = new_server(&w, versions[i]);
        assert_false(resumes(&w, w.sessions));
        assert_int_equal(tls_sessions_count(w.sessions), of_one);
        assert_true(resumes(&w, w.sessions));
        end(&w);
    }
}

/* What was offered and led to nothing is a reason to offer nothing the next time. */
static void test_cut_off(void **state)
{
    (void)state;
    struct world w;
    struct visit v;
    begin(&w, TLS1_3_VERSION);
    assert_false(resumes(&w, w.sessions));
    assert_true(resumes(&w, w.sessions));
    dial(&w, w.sessions, "a.example", &v);
    assert_int_equal(link_open(v.link), LINK_AGAIN);
    hang_up(&v);
    assert_int_equal(tls_sessions_count(w.sessions), 0);
    assert_false(resumes(&w, w.sessions));
    end(&w);
}

/* Who resumes is held against what is expected like anybody else, and then nothing of it is left. */
static void test_judged_again(void **state)
{
    static const struct expect anyone = {.anyone = true};
    static const uint8_t pins[1][EXPECT_PIN_LEN];
    static const struct expect pinned = {.pins = pins, .pins_len = 1};
    (void)state;
    struct world w;
    struct visit v;
    struct link_peer peer;
    begin(&w, TLS1_3_VERSION);
    tls_client_free(w.client);
    w.client = new_client(NULL, &anyone);
    dial(&w, w.sessions, NULL, &v);
    assert_int_equal(shake_hands(&v), LINK_OK);
    link_peer(v.link, &peer);
    assert_null(peer.identity); /* nobody has proven anything */
    hang_up(&v);
    tls_client_free(w.client);
    w.client = new_client(NULL, &pinned); /* which is no use that the header allows */
    dial(&w, w.sessions, NULL, &v);
    assert_int_equal(shake_hands(&v), LINK_ERROR);
    link_peer(v.link, &peer);
    assert_non_null(strstr(peer.failure, "has the pin sha256//"));
    hang_up(&v);
    assert_int_equal(tls_sessions_count(w.sessions), 0);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resumption), cmocka_unit_test(test_each_once_and_not_too_many),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_cut_off), cmocka_unit_test(test_judged_again)};
    return cmocka_run_group_tests_name("sessions", tests, NULL, pki_remove);
}
