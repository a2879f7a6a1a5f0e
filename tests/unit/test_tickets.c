/* SPDX-License-Identifier: Apache-2.0 */
/* How long a ticket resumes while the keys under it change: the TLS library against itself, in memory. */
#include "pki.h"

#include <openssl/ssl.h>

#include "base/clock.h"
#include "tls/tickets.h"

struct sides {
    SSL_CTX *server;
    SSL_CTX *client;
    SSL_SESSION *session; /* of the last visit */
    struct tickets *tickets;
};

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct sides *s = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(s->session);
    s->session = session;
    return 1;
}

static SSL_CTX *new_ctx(uint16_t version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    assert_non_null(ctx);
    assert_true(SSL_CTX_set_min_proto_version(ctx, version) && SSL_CTX_set_max_proto_version(ctx, version));
    return ctx;
}

static void setup(struct sides *s, uint16_t version)
{
    struct ca *root = pki_root("Root"), *server = pki_server(root, "a.example");
    *s = (struct sides){
        .server = new_ctx(version), .client = new_ctx(version), .tickets = tickets_new(100 * NSEC_PER_SEC)};
    assert_true(SSL_CTX_use_certificate(s->server, ca_x509(server)) &&
                SSL_CTX_use_PrivateKey(s->server, ca_private_key(server)));
    tickets_attach(s->tickets, s->server);
    SSL_CTX_set_session_cache_mode(s->client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(s->client, s);
    SSL_CTX_sess_set_new_cb(s->client, keep_session);
    ca_free(server);
    ca_free(root);
}

static void teardown(struct sides *s)
{
    SSL_SESSION_free(s->session);
    SSL_CTX_free(s->client);
    SSL_CTX_free(s->server);
    tickets_free(s->tickets);
}

/* A handshake that offers `session`, which may be NULL; was it resumed? */
static bool visit(struct sides *s, SSL_SESSION *session)
{
    SSL *client = SSL_new(s->client), *server = SSL_new(s->server);
    BIO *a, *b;
    assert_true(BIO_new_bio_pair(&a, 0, &b, 0));
    SSL_set_bio(client, a, a);
    SSL_set_bio(server, b, b);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    if (session != NULL)
        assert_true(SSL_set_session(client, session));
    for (int turn = 0; turn < 10; turn++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    assert_true(SSL_is_init_finished(client) && SSL_is_init_finished(server));
    uint8_t byte = 0;
    assert_int_equal(SSL_write(server, &byte, 1), 1);
    assert_int_equal(SSL_read(client, &byte, 1), 1); /* and the ticket before it */
    bool resumed = SSL_session_reused(server);
    SSL_free(client);
    SSL_free(server);
    return resumed;
}

/* The ticket of a first visit resumes while its key seals, and for two rotations, a whole lifetime, more. */
static void a_ticket_opens_for_two_rotations(void **state)
{
    (void)state;
    static const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct sides s;
        setup(&s, versions[i]);
        assert_false(visit(&s, NULL));
        assert_non_null(s.session);
        SSL_SESSION *first = s.session;
        SSL_SESSION_up_ref(first);
        for (int rotations = 0; rotations < 3; rotations++) {
            assert_true(visit(&s, first));
            ticket_keys_free(tickets_rotate(s.tickets));
        }
        assert_false(visit(&s, first));
        SSL_SESSION_free(first);
        teardown(&s);
    }
}

/* The keys that a rotation gives back belong to whoever called for it: later rotations leave them alone, and
 * so does the end of the ring. */
static void retired_keys_are_the_callers(void **state)
{
    (void)state;
    struct tickets *t = tickets_new(NSEC_PER_SEC);
    struct ticket_keys *retired[5];
    for (size_t i = 0; i < ARRAY_LEN(retired); i++)
        retired[i] = tickets_rotate(t);
    tickets_free(t);
    for (size_t i = 0; i < ARRAY_LEN(retired); i++) {
        assert_non_null(retired[i]);
        ticket_keys_free(retired[i]);
    }
    ticket_keys_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_opens_for_two_rotations),
        cmocka_unit_test(retired_keys_are_the_callers),
    };
    return cmocka_run_group_tests_name("tickets", tests, NULL, pki_remove);
}
