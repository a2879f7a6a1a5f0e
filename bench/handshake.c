/* SPDX-License-Identifier: Apache-2.0 */
/* handshake: what a TLS 1.3 handshake costs the bare library. A client and a server shake hands in this
 * process, over memory, and only what the server does is counted; there is no socket, no event and no
 * application. As load.c it prints "ready", waits for a line, does the work, and prints what was done as one
 * JSON object. */
#include <getopt.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/hpke.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROOM = 65536, BILLION = 1000000000 };

struct run {
    const char *group, *certificate, *key;
    uint64_t count;
    bool resume, ech;
    SSL_CTX *client, *server;
    uint8_t *configs; /* ECHConfigList */
    size_t configs_len;
    SSL_SESSION *ticket;
    uint64_t server_ns, in, out; /* bytes to the server and from it, until the handshake is over */
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "handshake: %s: %s\n", what, ERR_reason_error_string(ERR_peek_error()));
    exit(1);
}

static void must(int ok, const char *what)
{
    if (!ok)
        fail(what);
}

static uint64_t worked(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * BILLION + (uint64_t)t.tv_nsec;
}

/* ---- contexts ---- */

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct run *r = SSL_get_app_data(ssl);
    if (!r->resume)
        return 0;
    SSL_SESSION_free(r->ticket);
    r->ticket = session;
    return 1;
}

static SSL_CTX *new_ctx(const struct run *r)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    must(ctx != NULL && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) &&
             SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") &&
             SSL_CTX_set1_groups_list(ctx, r->group),
         "the TLS settings");
    return ctx;
}

/* The server's keys for ECH, made anew, and what a client is to know of them. */
static void add_ech(struct run *r)
{
    EVP_HPKE_KEY *secret = EVP_HPKE_KEY_new();
    SSL_ECH_KEYS *keys = SSL_ECH_KEYS_new();
    uint8_t *config;
    size_t len;
    must(secret != NULL && keys != NULL && EVP_HPKE_KEY_generate(secret, EVP_hpke_x25519_hkdf_sha256()) &&
             SSL_marshal_ech_config(&config, &len, 1, secret, "public.bench.example", 0) &&
             SSL_ECH_KEYS_add(keys, 1, config, len, secret) && SSL_CTX_set1_ech_keys(r->server, keys) &&
             SSL_ECH_KEYS_marshal_retry_configs(keys, &r->configs, &r->configs_len),
         "the keys of ECH");
    SSL_ECH_KEYS_free(keys);
    EVP_HPKE_KEY_free(secret);
    OPENSSL_free(config);
}

static void prepare(struct run *r)
{
    static const uint16_t signatures[] = {SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_MLDSA65};
    r->server = new_ctx(r);
    must(SSL_CTX_use_certificate_chain_file(r->server, r->certificate) &&
             SSL_CTX_use_PrivateKey_file(r->server, r->key, SSL_FILETYPE_PEM),
         "the certificate");
    SSL_CTX_set_session_cache_mode(r->server, SSL_SESS_CACHE_OFF);
    if (!r->resume)
        SSL_CTX_set_options(r->server, SSL_OP_NO_TICKET);
    r->client = new_ctx(r);
    SSL_CTX_set_verify(r->client, SSL_VERIFY_NONE, NULL);
    must(SSL_CTX_set_verify_algorithm_prefs(r->client, signatures, sizeof(signatures) / sizeof(*signatures)),
         "the signatures");
    SSL_CTX_set_session_cache_mode(r->client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(r->client, keep_ticket);
    if (r->ech)
        add_ech(r);
}

/* ---- a handshake ---- */

static SSL *new_ssl(SSL_CTX *ctx, BIO *in, BIO *out)
{
    SSL *ssl = SSL_new(ctx);
    must(ssl != NULL, "SSL_new");
    BIO_up_ref(in);
    BIO_up_ref(out);
    SSL_set_bio(ssl, in, out);
    return ssl;
}

/* True once it is over. */
static bool step(SSL *ssl)
{
    int rc = SSL_do_handshake(ssl);
    if (rc != 1 && SSL_get_error(ssl, rc) != SSL_ERROR_WANT_READ)
        fail("the handshake");
    return rc == 1;
}

static void check(const struct run *r, SSL *client, bool resumes)
{
    must(SSL_session_reused(client) == resumes, resumes ? "it was not resumed" : "it was resumed");
    must(SSL_ech_accepted(client) == r->ech, "ECH");
}

static void shake_hands(struct run *r)
{
    bool resumes = r->ticket != NULL, done = false;
    char byte;
    BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());
    must(up != NULL && down != NULL, "BIO_new");
    SSL *client = new_ssl(r->client, down, up);
    SSL_set_connect_state(client);
    SSL_set_app_data(client, r);
    must(SSL_set_tlsext_host_name(client, "tls.bench.example") &&
             (!resumes || SSL_set_session(client, r->ticket)) &&
             (!r->ech || SSL_set1_ech_config_list(client, r->configs, r->configs_len)),
         "the client");
    step(client);
    uint64_t begin = worked();
    SSL *server = new_ssl(r->server, up, down);
    SSL_set_accept_state(server);
    while (!done) {
        done = step(server);
        r->server_ns += worked() - begin;
        step(client);
        begin = worked();
    }
    r->in += BIO_number_written(up);
    r->out += BIO_number_written(down);
    /* Tickets go with what is said first. */
    must(!r->resume || (SSL_write(server, "", 1) == 1 && SSL_read(client, &byte, 1) == 1), "a ticket");
    check(r, client, resumes);
    begin = worked();
    SSL_free(server);
    r->server_ns += worked() - begin;
    SSL_free(client);
    BIO_free(up);
    BIO_free(down);
    ERR_clear_error();
}

static void read_options(struct run *r, int argc, char **argv)
{
    static const struct option names[] = {{"group", 1, NULL, 'g'},
                                          {"cert", 1, NULL, 'c'},
                                          {"key", 1, NULL, 'k'},
                                          {"count", 1, NULL, 'n'},
                                          {"resume", 0, NULL, 'r'},
                                          {"ech", 0, NULL, 'e'},
                                          {0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == 'g')
            r->group = optarg;
        else if (c == 'c')
            r->certificate = optarg;
        else if (c == 'k')
            r->key = optarg;
        else if (c == 'n')
            r->count = strtoull(optarg, NULL, 10);
        else if (c == 'r')
            r->resume = true;
        else if (c == 'e')
            r->ech = true;
        else
            exit(2);
    }
    if (r->certificate == NULL || r->key == NULL || r->count == 0) {
        fputs("usage: handshake --cert FILE --key FILE --count N [--group NAME] [--resume] [--ech]\n",
              stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct run r = {.group = "X25519"};
    int c;
    read_options(&r, argc, argv);
    prepare(&r);
    for (int i = 0; i < 20; i++)
        shake_hands(&r);
    puts("ready");
    fflush(stdout);
    while ((c = getchar()) != '\n')
        if (c == EOF)
            return 1;
    r.server_ns = r.in = r.out = 0;
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (uint64_t i = 0; i < r.count; i++)
        shake_hands(&r);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("{\"units\": %lu, \"seconds\": %.6f, \"spent\": %lu, \"in\": %.1f, \"out\": %.1f}\n", r.count,
           (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / BILLION, r.server_ns,
           (double)r.in / (double)r.count, (double)r.out / (double)r.count);
    return 0;
}
