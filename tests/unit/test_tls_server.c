/* SPDX-License-Identifier: Apache-2.0 */
/* A server of two contexts shows each client the certificate that its hello was given, and with it the OCSP
 * response, if the client asks for one. */
#include "pki.h"

#include <openssl/ssl.h>

#include "cert/issuers.h"
#include "link/mem_link.h"
#include "loop/loop.h"
#include "tls/server.h"
#include "tls/tls_link.h"

#define ROOM 65536

struct world {
    struct loop *loop;
    struct tls_scratch scratch;
    struct tls_server *server;
    struct cert *a, *b;
};

static struct cert *made(const struct ca *root, const char *name)
{
    struct err err = {{0}};
    struct ca *ca = pki_server(root, name);
    char pem[64], key[64];
    snprintf(pem, sizeof(pem), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    pki_save(ca, name);
    ca_free(ca);
    struct cert *cert =
        cert_load(&(struct cert_files){.certificate = pki_path(pem), .key = pki_path(key)}, &err);
    assert_non_null(cert);
    return cert;
}

static int set_up(void **state)
{
    static struct world w;
    static const int groups[] = {0x001d};
    const struct tls_server_params params = {
        .min_version = 0x0303, .max_version = 0x0304, .groups = groups, .groups_len = 1, .scope = "test"};
    struct err err = {{0}};
    struct ca *root = pki_root("Root");
    w = (struct world){.loop = loop_new(&err)};
    tls_scratch_init(&w.scratch, w.loop);
    w.server = tls_server_new(&params, &err);
    assert_non_null(w.server);
    w.a = made(root, "a.example.com");
    w.b = made(root, "b.example.com");
    ca_free(root);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    assert_int_equal(w->a->refs, 1);
    assert_int_equal(w->b->refs, 1);
    cert_unref(w->a);
    cert_unref(w->b);
    tls_server_free(w->server);
    tls_scratch_free(&w->scratch);
    loop_free(w->loop);
    return pki_remove(state);
}

/* What a client sees. */
struct seen {
    uint8_t leaf[4096];
    size_t leaf_len;
    uint8_t staple[64];
    size_t staple_len;
};

static void note(SSL *client, struct seen *ret)
{
    const CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(SSL_get0_peer_certificates(client), 0);
    const uint8_t *staple;
    ret->leaf_len = CRYPTO_BUFFER_len(leaf);
    assert_in_range(ret->leaf_len, 1, sizeof(ret->leaf));
    memcpy(ret->leaf, CRYPTO_BUFFER_data(leaf), ret->leaf_len);
    SSL_get0_ocsp_response(client, &staple, &ret->staple_len);
    assert_in_range(ret->staple_len, 0, sizeof(ret->staple));
    if (ret->staple_len > 0)
        memcpy(ret->staple, staple, ret->staple_len);
}

static SSL *new_client(uint16_t version, bool asks)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    assert_true(SSL_CTX_set_min_proto_version(ctx, version) && SSL_CTX_set_max_proto_version(ctx, version));
    SSL *client = SSL_new(ctx);
    SSL_CTX_free(ctx);
    SSL_set_connect_state(client);
    if (asks)
        SSL_enable_ocsp_stapling(client);
    return client;
}

/* A handshake with a client of that version, whose hello is given `cert`. */
static void meet(struct world *w, struct cert *cert, uint16_t version, bool asks, struct seen *ret)
{
    SSL *client = new_client(version, asks);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    uint8_t bytes[16384];
    size_t n;
    int got;
    struct link *wire, *lower;
    mem_link_pair(ROOM, &wire, &lower);
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(client, in, out);
    const struct tls_client_hello hello = {.query = {.version = version}, .cert = cert};
    struct link *link = tls_server_accept(w->server, &hello, lower, &w->scratch);
    enum link_status status = LINK_AGAIN;
    for (int turn = 0; turn < 10 && (status != LINK_OK || SSL_in_init(client)); turn++) {
        SSL_do_handshake(client);
        while ((got = BIO_read(out, bytes, sizeof(bytes))) > 0)
            assert_int_equal(link_write(wire, bytes, (size_t)got, &n), LINK_OK);
        status = link_open(link);
        assert_int_not_equal(status, LINK_ERROR);
        while (link_read(wire, bytes, sizeof(bytes), &n) == LINK_OK)
            assert_int_equal(BIO_write(in, bytes, (int)n), n);
    }
    assert_int_equal(status, LINK_OK);
    note(client, ret);
    link_close(link, false);
    link_close(wire, false);
    SSL_free(client);
}

static void assert_leaf(const struct seen *seen, const struct cert *cert)
{
    assert_int_equal(seen->leaf_len, CRYPTO_BUFFER_len(cert->chain[0]));
    assert_memory_equal(seen->leaf, CRYPTO_BUFFER_data(cert->chain[0]), seen->leaf_len);
}

static const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void test_each_has_its_own(void **state)
{
    struct world *w = *state;
    struct seen seen;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        meet(w, w->a, versions[i], true, &seen);
        assert_leaf(&seen, w->a);
        assert_int_equal(seen.staple_len, 0);
        meet(w, w->b, versions[i], false, &seen);
        assert_leaf(&seen, w->b);
    }
}

static void staple(struct cert *cert, const char *text, int64_t until)
{
    struct cert_staple *fresh = text == NULL ? NULL : cert_staple_new(text, strlen(text), until);
    cert_staple_free(cert_set_staple(cert, fresh));
}

static void test_staple(void **state)
{
    struct world *w = *state;
    struct seen seen;
    int64_t now = time(NULL);
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        staple(w->a, "good", now + 3600);
        meet(w, w->a, versions[i], true, &seen);
        assert_leaf(&seen, w->a);
        assert_int_equal(seen.staple_len, 4);
        assert_memory_equal(seen.staple, "good", 4);
        meet(w, w->a, versions[i], false, &seen); /* it is not asked for */
        assert_int_equal(seen.staple_len, 0);
        staple(w->a, "other", now + 3600);
        meet(w, w->a, versions[i], true, &seen);
        assert_int_equal(seen.staple_len, 5);
        staple(w->a, "stale", now);
        meet(w, w->a, versions[i], true, &seen);
        assert_int_equal(seen.staple_len, 0);
        staple(w->a, NULL, 0);
        meet(w, w->a, versions[i], true, &seen);
        assert_int_equal(seen.staple_len, 0);
    }
}

/* What many have in common is in memory once. */
static void test_issuers(void **state)
{
    (void)state;
    struct ca *root = pki_root("Another root");
    struct ca *middle = pki_issue(root, CA_PROFILE_INTERMEDIATE, (struct ca_request){.name = "Middle"});
    struct cert_issuers *issuers = cert_issuers_new();
    struct cert *certs[3];
    for (size_t i = 0; i < ARRAY_LEN(certs); i++) {
        certs[i] = made(middle, "c.example.com");
        assert_true(certs[i]->chain_len >= 2);
        cert_issuers_share(issuers, certs[i]);
        assert_ptr_equal(certs[i]->chain[1], certs[0]->chain[1]);
    }
    cert_issuers_free(issuers);
    for (size_t i = 0; i < ARRAY_LEN(certs); i++)
        cert_unref(certs[i]);
    ca_free(middle);
    ca_free(root);
}

static void test_is_for(void **state)
{
    (void)state;
    static const struct {
        const char *name, *host;
        bool is;
    } rows[] = {
        {"www.example.com", "www.example.com", true},   {"www.example.com", "example.com", false},
        {"*.example.com", "www.example.com", true},     {"*.example.com", "example.com", false},
        {"*.example.com", "a.www.example.com", false},  {"*.example.com", ".example.com", true},
        {"www.example.com", "www.example.com.", false}, {"*.example.com", "com", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *name = strdup(rows[i].name);
        const struct cert cert = {.magic = CERT_MAGIC, .names = &name, .names_len = 1};
        assert_int_equal(cert_is_for(&cert, rows[i].host), rows[i].is);
        free(name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_has_its_own),
        cmocka_unit_test(test_staple),
        cmocka_unit_test(test_issuers),
        cmocka_unit_test(test_is_for),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
