/* SPDX-License-Identifier: Apache-2.0 */
/* A client that only looks: it shakes hands with whoever is there, says what is wrong with them, and never
 * has an identity of them. Any other client breaks off. The server is the TLS library itself, over a link in
 * memory. */
#include "pki.h"

#include <openssl/ssl.h>

#include "cert/identity.h"
#include "cert/trust.h"
#include "link/mem_link.h"
#include "tls/client.h"
#include "tls/tls_link.h"

#define ROOM (256 * 1024)

struct duo {
    SSL *server;
    BIO *to_server, *from_server;
    struct link *wire; /* the server's end */
    struct link *client;
    struct tls_client *made;
    struct tls_scratch scratch;
    struct loop *loop;
};

static void carry(struct duo *d)
{
    uint8_t bytes[16384];
    size_t n = 0;
    int got;
    while (link_read(d->wire, bytes, sizeof(bytes), &n) == LINK_OK)
        assert_int_equal(BIO_write(d->to_server, bytes, (int)n), n);
    SSL_do_handshake(d->server);
    while ((got = BIO_read(d->from_server, bytes, sizeof(bytes))) > 0)
        assert_int_equal(link_write(d->wire, bytes, (size_t)got, &n), LINK_OK);
}

static SSL *new_server(const struct ca *cert, uint16_t version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    assert_true(SSL_CTX_set_min_proto_version(ctx, version) && SSL_CTX_set_max_proto_version(ctx, version) &&
                SSL_CTX_use_certificate(ctx, ca_x509(cert)) &&
                SSL_CTX_use_PrivateKey(ctx, ca_private_key(cert)));
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    SSL_set_accept_state(ssl);
    return ssl;
}

static struct tls_client *new_client(const struct ca *trusted, bool only_looks)
{
    struct err err = {{0}};
    pki_save(trusted, "trusted");
    const char *ca = pki_path("trusted.pem");
    struct trust *trust = trust_load(&(struct trust_files){.name = "ours", .ca = &ca, .ca_len = 1}, &err);
    assert_non_null(trust);
    struct tls_client_params params = {.min_version = TLS1_2_VERSION,
                                       .max_version = TLS1_3_VERSION,
                                       .trust = trust,
                                       .only_looks = only_looks};
    struct tls_client *client = tls_client_new(&params, &err);
    assert_non_null(client);
    trust_unref(trust);
    return client;
}

static enum link_status shake_hands(struct duo *d, const struct ca *cert, uint16_t version,
                                    const struct ca *trusted, bool only_looks)
{
    struct link *lower;
    struct err err;
    *d = (struct duo){.server = new_server(cert, version), .loop = loop_new(&err)};
    assert_non_null(d->loop);
    mem_link_pair(ROOM, &d->wire, &lower);
    tls_scratch_init(&d->scratch, d->loop);
    d->made = new_client(trusted, only_looks);
    d->client = tls_client_connect(d->made, "a.example", NULL, lower, &d->scratch);
    d->to_server = BIO_new(BIO_s_mem());
    d->from_server = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(d->to_server, -1);
    SSL_set_bio(d->server, d->to_server, d->from_server);
    enum link_status status = LINK_AGAIN;
    for (int turn = 0; turn < 10 && status == LINK_AGAIN; turn++) {
        status = link_open(d->client);
        carry(d);
    }
    return status;
}

static void part(struct duo *d)
{
    link_close(d->client, false);
    link_close(d->wire, false);
    SSL_free(d->server);
    tls_client_free(d->made);
    tls_scratch_free(&d->scratch);
    loop_free(d->loop);
}

static const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* Of an issuer that is not ours, or for another name. */
static void expect_doubt(const struct ca *cert, const struct ca *trusted, const char *why)
{
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct link_peer peer;
        struct duo d;
        assert_int_equal(shake_hands(&d, cert, versions[i], trusted, true), LINK_OK);
        link_peer(d.client, &peer);
        assert_non_null(strstr(peer.failure, why));
        assert_null(peer.identity);
        assert_null(peer.chain);
        assert_int_equal(sk_CRYPTO_BUFFER_num(peer.shown), 1);
        assert_int_equal(peer.version, versions[i]);
        assert_non_null(peer.cipher);
        assert_non_null(peer.group_name);
        part(&d);
        assert_int_equal(shake_hands(&d, cert, versions[i], trusted, false), LINK_ERROR);
        part(&d);
    }
}

static void test_doubtful(void **state)
{
    (void)state;
    struct ca *root = pki_root("Root"), *stranger = pki_root("Stranger");
    struct ca *named = pki_server(root, "a.example"), *other = pki_server(root, "b.example");
    expect_doubt(named, stranger, "is not in trust bundle");
    expect_doubt(other, root, "is not for a.example");
    ca_free(other);
    ca_free(named);
    ca_free(stranger);
    ca_free(root);
}

/* What a server says in the place of TLS is told, also when it comes in pieces: of small ones what the
 * library needs to give up. */
static void test_no_tls(void **state)
{
    (void)state;
    static const struct {
        size_t piece;
        const char *found;
    } rows[] = {{64, "220 mx ESMTP\r\n"}, {3, "220 mx"}, {1, "220 m"}};
    static const char said[] = "220 mx ESMTP\r\n";
    struct ca *root = pki_root("Root");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err;
        struct link *lower;
        struct link_peer peer;
        struct duo d = {.loop = loop_new(&err)};
        mem_link_pair(ROOM, &d.wire, &lower);
        tls_scratch_init(&d.scratch, d.loop);
        d.made = new_client(root, true);
        d.client = tls_client_connect(d.made, "a.example", NULL, lower, &d.scratch);
        enum link_status status = link_open(d.client);
        for (size_t at = 0, n; at < strlen(said) && status == LINK_AGAIN; at += n) {
            assert_int_equal(link_write(d.wire, said + at, MIN(rows[i].piece, strlen(said) - at), &n),
                             LINK_OK);
            status = link_open(d.client);
        }
        assert_int_equal(status, LINK_ERROR);
        link_peer(d.client, &peer);
        assert_int_equal(peer.fault, FAULT_NOT_TLS);
        assert_int_equal(peer.found.len, strlen(rows[i].found));
        assert_memory_equal(peer.found.p, rows[i].found, peer.found.len);
        part(&d);
    }
    ca_free(root);
}

static void test_good(void **state)
{
    (void)state;
    struct ca *root = pki_root("Root"), *named = pki_server(root, "a.example");
    for (size_t i = 0; i < 2 * ARRAY_LEN(versions); i++) {
        bool only_looks = i % 2 == 0;
        struct link_peer peer;
        struct duo d;
        assert_int_equal(shake_hands(&d, named, versions[i / 2], root, only_looks), LINK_OK);
        link_peer(d.client, &peer);
        assert_string_equal(peer.failure, "");
        assert_int_equal(peer.identity == NULL, only_looks);
        assert_int_equal(peer.chain == NULL, only_looks);
        assert_non_null(peer.shown);
        part(&d);
    }
    ca_free(named);
    ca_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_doubtful), cmocka_unit_test(test_no_tls),
                                       cmocka_unit_test(test_good)};
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
