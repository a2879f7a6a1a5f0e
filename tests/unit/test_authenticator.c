/* SPDX-License-Identifier: Apache-2.0 */
/* Exported Authenticators against an independent computation (authenticator_reference.py), on connections of
 * the TLS library, and against whoever would pass one off for another. */
#include "pki.h"

#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "base/cursor.h"
#include "cert/cert.h"
#include "cert/identity.h"
#include "cert/trust.h"
#include "tls/authenticator.h"

#define VECTORS "tests/unit/authenticator_vectors.txt"
#define REFERENCE "/usr/bin/env python3 tests/unit/authenticator_reference.py verify "

static struct str str_of(const struct buf *b)
{
    return (struct str){(const char *)b->data, b->len};
}

/* ---- the reference ---- */

struct vector {
    char name[64], sender[16], verdict[16];
    uint8_t context[64], finished[64], request[256], authenticator[8192], leaf[4096];
    size_t context_len, request_len, authenticator_len, leaf_len;
    uint16_t scheme;
};

static size_t unhex(const char *text, uint8_t *ret, size_t cap)
{
    size_t n = 0;
    unsigned byte;
    while (n < cap && sscanf(text + 2 * n, "%2x", &byte) == 1)
        ret[n++] = (uint8_t)byte;
    return n;
}

static void take_line(struct vector *v, const char *key, const char *value)
{
    if (strcmp(key, "name") == 0)
        snprintf(v->name, sizeof(v->name), "%s", value);
    else if (strcmp(key, "sender") == 0)
        snprintf(v->sender, sizeof(v->sender), "%s", value);
    else if (strcmp(key, "verdict") == 0)
        snprintf(v->verdict, sizeof(v->verdict), "%s", value);
    else if (strcmp(key, "context") == 0)
        v->context_len = unhex(value, v->context, sizeof(v->context));
    else if (strcmp(key, "finished") == 0)
        assert_int_equal(unhex(value, v->finished, sizeof(v->finished)), v->context_len);
    else if (strcmp(key, "request") == 0)
        v->request_len = unhex(value, v->request, sizeof(v->request));
    else if (strcmp(key, "schemes") == 0)
        v->scheme = (uint16_t)strtoul(value, NULL, 16);
    else if (strcmp(key, "authenticator") == 0)
        v->authenticator_len = unhex(value, v->authenticator, sizeof(v->authenticator));
    else if (strcmp(key, "leaf") == 0)
        v->leaf_len = unhex(value, v->leaf, sizeof(v->leaf));
}

/* The next block; false at the end. */
static bool read_vector(FILE *f, struct vector *v)
{
    static char line[32768];
    *v = (struct vector){0};
    while (fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *colon = strstr(line, ": ");
        if (line[0] == '\0' && v->name[0] != '\0')
            return true;
        if (colon == NULL || line[0] == '#')
            continue;
        *colon = '\0';
        take_line(v, line, colon + 2);
    }
    return v->name[0] != '\0';
}

static struct authenticator_keys keys_of(const struct vector *v)
{
    struct authenticator_keys keys = {.hash = v->context_len};
    memcpy(keys.context, v->context, v->context_len);
    memcpy(keys.finished, v->finished, v->context_len);
    return keys;
}

static void test_takes_what_the_reference_makes(void **state)
{
    struct vector v;
    size_t count = 0;
    FILE *f = fopen(VECTORS, "r");
    (void)state;
    assert_non_null(f);
    for (; read_vector(f, &v); count++) {
        struct authenticator_keys keys = keys_of(&v);
        struct err err = {""};
        STACK_OF(CRYPTO_BUFFER) * chain;
        struct authenticator_terms terms = {.keys = &keys,
                                            .sender = strcmp(v.sender, "client") == 0 ? AUTHENTICATOR_CLIENT
                                                                                      : AUTHENTICATOR_SERVER,
                                            .request = {(const char *)v.request, v.request_len},
                                            .schemes = &v.scheme,
                                            .schemes_len = 1};
        struct str message = {(const char *)v.authenticator, v.authenticator_len};
        enum authenticator_verdict verdict = authenticator_validate(&terms, message, &chain, &err);
        bool refused = strcmp(v.verdict, "refused") == 0;
        if (verdict != (refused ? AUTHENTICATOR_REFUSED : AUTHENTICATOR_GOOD))
            fail_msg("%s: %s", v.name, err.text);
        if (refused)
            continue;
        const CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(chain, 0);
        assert_int_equal(CRYPTO_BUFFER_len(leaf), v.leaf_len);
        assert_memory_equal(CRYPTO_BUFFER_data(leaf), v.leaf, v.leaf_len);
        pki_stack_free(chain);
    }
    fclose(f);
    assert_int_equal(count, 6);
}

/* ---- two ends of one connection ---- */

struct pair {
    SSL *client, *server;
};

static void connect_pair(struct pair *p, const struct ca *server, uint16_t version, const char *suites)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    assert_true(SSL_CTX_set_min_proto_version(ctx, version) && SSL_CTX_set_max_proto_version(ctx, version));
    assert_true(SSL_CTX_use_certificate(ctx, ca_x509(server)) &&
                SSL_CTX_use_PrivateKey(ctx, ca_private_key(server)));
    if (suites != NULL)
        assert_true(SSL_CTX_set_ciphersuites(ctx, suites));
    *p = (struct pair){SSL_new(ctx), SSL_new(ctx)};
    SSL_CTX_free(ctx);
    BIO *a, *b;
    assert_true(BIO_new_bio_pair(&a, 0, &b, 0));
    SSL_set_bio(p->client, a, a);
    SSL_set_bio(p->server, b, b);
    SSL_set_connect_state(p->client);
    SSL_set_accept_state(p->server);
    for (int i = 0; i < 10; i++) {
        SSL_do_handshake(p->client);
        SSL_do_handshake(p->server);
    }
    assert_false(SSL_in_init(p->client) || SSL_in_init(p->server));
}

static void part(struct pair *p)
{
    SSL_free(p->client);
    SSL_free(p->server);
}

/* Who is who in these tests. */
static struct {
    struct ca *root, *server;
    struct cert *alice;
    struct trust *trust;
} world;

static struct cert *load(const struct ca *ca, const char *name)
{
    char cert[80], key[80];
    struct err err = {""};
    pki_save(ca, name);
    snprintf(cert, sizeof(cert), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    struct cert_files files = {.certificate = pki_path(cert), .key = pki_path(key)};
    struct cert *loaded = cert_load(&files, &err);
    if (loaded == NULL)
        fail_msg("%s", err.text);
    return loaded;
}

static struct cert *load_server(const char *dns, const char *name)
{
    struct ca *ca = pki_server(world.root, dns);
    struct cert *cert = load(ca, name);
    ca_free(ca);
    return cert;
}

static struct cert *load_client(const char *name, enum key_kind kind)
{
    struct ca *ca = pki_issue(world.root, CA_PROFILE_CLIENT, (struct ca_request){.name = name, .key = kind});
    struct cert *cert = load(ca, name);
    ca_free(ca);
    return cert;
}

static int build_world(void **state)
{
    struct err err = {""};
    (void)state;
    world.root = pki_root("Root");
    world.server = pki_server(world.root, "door.example.com");
    pki_save(world.root, "root");
    const char *ca = pki_path("root.pem");
    struct trust_files files = {.name = "test", .ca = &ca, .ca_len = 1};
    world.trust = trust_load(&files, &err);
    assert_non_null(world.trust);
    world.alice = load_client("alice", KEY_P256);
    return 0;
}

static int leave_world(void **state)
{
    cert_unref(world.alice);
    trust_unref(world.trust);
    ca_free(world.server);
    ca_free(world.root);
    return pki_remove(state);
}

/* What the client of a connection answers to a request of the server's. */
struct exchange {
    struct pair pair;
    struct authenticator_keys mine, theirs; /* the client's, as each end has them */
    struct buf request, made;
    struct authenticator_terms make, judge;
};

static void ask(struct exchange *x)
{
    struct err err;
    *x = (struct exchange){0};
    connect_pair(&x->pair, world.server, TLS1_3_VERSION, NULL);
    assert_int_equal(authenticator_export(x->pair.client, AUTHENTICATOR_CLIENT, &x->mine, &err), 0);
    assert_int_equal(authenticator_export(x->pair.server, AUTHENTICATOR_CLIENT, &x->theirs, &err), 0);
    authenticator_request(AUTHENTICATOR_CLIENT, NULL, &x->request);
    x->make =
        (struct authenticator_terms){&x->mine, AUTHENTICATOR_CLIENT, str_of(&x->request), NULL, 0, NULL};
    x->judge =
        (struct authenticator_terms){&x->theirs, AUTHENTICATOR_CLIENT, str_of(&x->request), NULL, 0, NULL};
}

static void answer(struct exchange *x, const struct cert *cert)
{
    struct err err = {""};
    if (authenticator_make(&x->make, cert, &x->made, &err) != 0)
        fail_msg("%s", err.text);
}

static void end(struct exchange *x)
{
    part(&x->pair);
    buf_free(&x->request);
    buf_free(&x->made);
}

static enum authenticator_verdict prove(struct exchange *x, struct err *err)
{
    struct authenticator_proof proof;
    enum authenticator_verdict v =
        authenticator_prove(&x->judge, str_of(&x->made), world.trust, NULL, time(NULL), &proof, err);
    if (v == AUTHENTICATOR_GOOD)
        assert_non_null(proof.identity);
    authenticator_proof_free(&proof);
    return v;
}

static void assert_bad(struct exchange *x, const char *why)
{
    struct err err = {""};
    assert_int_equal(prove(x, &err), AUTHENTICATOR_BAD);
    if (strstr(err.text, why) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, why);
}

static void test_client_proves_each_kind_of_key(void **state)
{
    static const struct {
        const char *name;
        enum key_kind kind;
    } rows[] = {{"p256", KEY_P256},      {"p384", KEY_P384},       {"ed25519", KEY_ED25519},
                {"rsa", KEY_RSA2048},    {"mldsa44", KEY_MLDSA44}, {"mldsa65", KEY_MLDSA65},
                {"mldsa87", KEY_MLDSA87}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct exchange x;
        struct err err = {""};
        struct authenticator_proof proof;
        struct cert *cert = load_client(rows[i].name, rows[i].kind);
        ask(&x);
        answer(&x, cert);
        if (authenticator_prove(&x.judge, str_of(&x.made), world.trust, NULL, time(NULL), &proof, &err) !=
            AUTHENTICATOR_GOOD)
            fail_msg("%s: %s", rows[i].name, err.text);
        assert_string_equal(identity_label(proof.identity), rows[i].name);
        authenticator_proof_free(&proof);
        cert_unref(cert);
        end(&x);
    }
}

static void write_hex(FILE *f, const char *key, const void *data, size_t len)
{
    fprintf(f, "%s: ", key);
    for (size_t i = 0; i < len; i++)
        fprintf(f, "%02x", ((const uint8_t *)data)[i]);
    fprintf(f, "\n");
}

/* The other way round: what is made here, the reference judges. */
static void test_reference_takes_what_we_make(void **state)
{
    static const char *const names[] = {"p256", "p384", "ed25519", "rsa", NULL};
    static const enum key_kind kinds[] = {KEY_P256, KEY_P384, KEY_ED25519, KEY_RSA2048, 0};
    char command[256], word[64];
    (void)state;
    FILE *f = fopen(pki_path("made.txt"), "w");
    assert_non_null(f);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct exchange x;
        struct cert *cert = names[i] == NULL ? NULL : load_client(names[i], kinds[i]);
        ask(&x);
        answer(&x, cert);
        write_hex(f, "context", x.mine.context, x.mine.hash);
        write_hex(f, "finished", x.mine.finished, x.mine.hash);
        write_hex(f, "request", x.request.data, x.request.len);
        write_hex(f, "authenticator", x.made.data, x.made.len);
        fprintf(f, "\n");
        cert_unref(cert);
        end(&x);
    }
    fclose(f);
    snprintf(command, sizeof(command), REFERENCE "%s", pki_path("made.txt"));
    f = popen(command, "r");
    assert_non_null(f);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_non_null(fgets(word, sizeof(word), f));
        assert_string_equal(word, names[i] == NULL ? "refused\n" : "good\n");
    }
    pclose(f);
}

static void test_server_proves_asked_and_not(void **state)
{
    struct pair p;
    struct err err = {""};
    struct authenticator_keys mine, theirs;
    struct authenticator_contexts contexts = {{0}};
    struct authenticator_proof proof;
    struct buf request = {0}, made = {0};
    static const uint16_t schemes[] = {SSL_SIGN_ED25519, SSL_SIGN_ECDSA_SECP256R1_SHA256};
    (void)state;
    struct cert *other = load_server("other.example.com", "other");
    connect_pair(&p, world.server, TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384");
    assert_int_equal(authenticator_export(p.server, AUTHENTICATOR_SERVER, &mine, &err), 0);
    assert_int_equal(authenticator_export(p.client, AUTHENTICATOR_SERVER, &theirs, &err), 0);
    assert_int_equal(mine.hash, 48);
    authenticator_request(AUTHENTICATOR_SERVER, "other.example.com", &request);
    for (int asked = 1; asked >= 0; asked--) {
        struct authenticator_terms make = {&mine, AUTHENTICATOR_SERVER, {0}, schemes, 2, NULL};
        struct authenticator_terms judge = {&theirs, AUTHENTICATOR_SERVER, {0}, schemes, 2, &contexts};
        if (asked)
            make.request = judge.request = str_of(&request);
        assert_int_equal(authenticator_make(&make, other, &made, &err), 0);
        assert_int_equal(authenticator_prove(&judge, str_of(&made), world.trust, "other.example.com",
                                             time(NULL), &proof, &err),
                         AUTHENTICATOR_GOOD);
        assert_string_equal(proof.identity->facts[0].value, "other.example.com");
        authenticator_proof_free(&proof);
        /* Each once; and not as another server. */
        assert_int_equal(
            authenticator_prove(&judge, str_of(&made), world.trust, NULL, time(NULL), &proof, &err),
            AUTHENTICATOR_BAD);
        assert_non_null(strstr(err.text, "used before"));
        judge.contexts = NULL;
        assert_int_equal(authenticator_prove(&judge, str_of(&made), world.trust, "third.example.com",
                                             time(NULL), &proof, &err),
                         AUTHENTICATOR_BAD);
        buf_free(&made);
    }
    authenticator_contexts_free(&contexts);
    buf_free(&request);
    cert_unref(other);
    part(&p);
}

static void test_tls12_is_refused(void **state)
{
    struct pair p;
    struct err err = {""};
    struct authenticator_keys keys;
    (void)state;
    connect_pair(&p, world.server, TLS1_2_VERSION, NULL);
    assert_int_equal(authenticator_export(p.client, AUTHENTICATOR_CLIENT, &keys, &err), -1);
    assert_non_null(strstr(err.text, "TLSv1.2"));
    part(&p);
}

static void test_empty_says_no(void **state)
{
    struct exchange x;
    struct err err = {""};
    (void)state;
    ask(&x);
    answer(&x, NULL);
    assert_int_equal(x.made.len, 4 + x.mine.hash);
    assert_int_equal(prove(&x, &err), AUTHENTICATOR_REFUSED);
    x.made.data[5] ^= 1;
    assert_int_equal(prove(&x, &err), AUTHENTICATOR_BAD);
    end(&x);
}

/* ---- who would pass one off for another ---- */

static void test_other_connection(void **state)
{
    struct exchange x, other;
    (void)state;
    ask(&x);
    ask(&other);
    x.make.keys = &other.mine; /* the same request, on another connection */
    answer(&x, world.alice);
    assert_bad(&x, "not of this connection");
    end(&x);
    end(&other);
}

/* Whoever knows the Finished key of the connection, but signs for another. */
static void test_signed_for_other_connection(void **state)
{
    struct exchange x, other;
    struct authenticator_keys mixed;
    (void)state;
    ask(&x);
    ask(&other);
    mixed = other.mine;
    memcpy(mixed.finished, x.mine.finished, mixed.hash);
    x.make.keys = &mixed;
    answer(&x, world.alice);
    memcpy(x.theirs.finished, x.mine.finished, x.mine.hash);
    assert_bad(&x, "not of this connection");
    end(&x);
    end(&other);
}

static void test_wrong_direction(void **state)
{
    struct exchange x;
    struct err err = {""};
    struct buf other = {0};
    (void)state;
    ask(&x);
    answer(&x, world.alice);
    x.judge.sender = AUTHENTICATOR_SERVER; /* the request is one to a client */
    assert_bad(&x, "other end");
    /* A server's own values do not do for a client's. */
    struct authenticator_keys server_keys;
    assert_int_equal(authenticator_export(x.pair.server, AUTHENTICATOR_SERVER, &server_keys, &err), 0);
    x.judge.sender = AUTHENTICATOR_CLIENT;
    x.judge.keys = &server_keys;
    assert_bad(&x, "not of this connection");
    /* Nor does a client speak up unasked. */
    x.make.request = (struct str){0};
    assert_int_equal(authenticator_make(&x.make, world.alice, &other, &err), -1);
    assert_non_null(strstr(err.text, "not asked for"));
    end(&x);
}

static void test_other_request_and_reuse(void **state)
{
    struct exchange x;
    struct err err = {""};
    struct buf again = {0}, request = {0};
    struct authenticator_contexts made = {{0}}, judged = {{0}};
    (void)state;
    ask(&x);
    x.make.contexts = &made;
    x.judge.contexts = &judged;
    answer(&x, world.alice);
    assert_int_equal(authenticator_make(&x.make, world.alice, &again, &err), -1);
    assert_non_null(strstr(err.text, "used before"));
    assert_int_equal(prove(&x, &err), AUTHENTICATOR_GOOD);
    assert_bad(&x, "used before");
    authenticator_request(AUTHENTICATOR_CLIENT, NULL, &request);
    x.judge.request = str_of(&request);
    assert_bad(&x, "answers another request");
    /* What was refused has not used the context up. */
    x.make.request = str_of(&request);
    buf_free(&x.made);
    answer(&x, world.alice);
    assert_int_equal(prove(&x, &err), AUTHENTICATOR_GOOD);
    buf_free(&request);
    authenticator_contexts_free(&made);
    authenticator_contexts_free(&judged);
    end(&x);
}

static void test_contexts_end(void **state)
{
    struct exchange x;
    struct err err = {""};
    struct authenticator_contexts full = {{0}};
    static uint8_t digests[AUTHENTICATOR_CONTEXTS_MAX][16];
    (void)state;
    ask(&x);
    RAND_bytes(digests[0], sizeof(digests));
    assert_true(buf_append(&full.used, digests, sizeof(digests)));
    answer(&x, world.alice);
    x.judge.contexts = &full;
    assert_int_equal(prove(&x, &err), AUTHENTICATOR_BAD);
    assert_non_null(strstr(err.text, "takes no more"));
    authenticator_contexts_free(&full);
    end(&x);
}

/* Genuine, but nobody vouches for who it is; or not any more. */
static void test_chain_is_not_proven(void **state)
{
    struct exchange x;
    struct err err = {""};
    struct authenticator_proof proof;
    struct ca *stranger = pki_root("Stranger"), *leaf = pki_client(stranger, "mallory");
    struct cert *mallory = load(leaf, "mallory");
    struct cert *server = load_server("web.example.com", "web");
    (void)state;
    ask(&x);
    answer(&x, mallory);
    assert_bad(&x, "not in trust bundle");
    buf_free(&x.made);
    answer(&x, server);
    assert_bad(&x, "may not be used to prove a client");
    buf_free(&x.made);
    answer(&x, world.alice);
    assert_int_equal(authenticator_prove(&x.judge, str_of(&x.made), world.trust, NULL,
                                         time(NULL) + 2 * PKI_YEAR, &proof, &err),
                     AUTHENTICATOR_BAD);
    assert_non_null(strstr(err.text, "expired"));
    end(&x);
    cert_unref(server);
    cert_unref(mallory);
    ca_free(leaf);
    ca_free(stranger);
}

static void test_key_of_no_asked_scheme(void **state)
{
    struct exchange x;
    struct err err = {""};
    struct buf made = {0};
    /* A request for signatures that alice's key does not make: its last scheme alone. */
    static const uint8_t request[] = {13, 0, 0, 13, 2, 7, 7, 0, 8, 0, 13, 0, 4, 0, 2, 0x08, 0x07};
    (void)state;
    ask(&x);
    x.make.request = (struct str){(const char *)request, sizeof(request)};
    assert_int_equal(authenticator_make(&x.make, world.alice, &made, &err), -1);
    assert_non_null(strstr(err.text, "takes no signature"));
    end(&x);
}

/* ---- bytes that are not what they should be ---- */

static void test_every_cut_and_every_changed_byte(void **state)
{
    struct exchange x;
    struct err err = {""};
    STACK_OF(CRYPTO_BUFFER) *chain = NULL;
    (void)state;
    ask(&x);
    answer(&x, world.alice);
    for (size_t len = 0; len < x.made.len; len++) {
        struct str cut = {(const char *)x.made.data, len};
        assert_int_equal(authenticator_validate(&x.judge, cut, &chain, &err), AUTHENTICATOR_BAD);
    }
    for (size_t i = 0; i < x.made.len; i++) {
        x.made.data[i] ^= 0x41;
        assert_int_equal(authenticator_validate(&x.judge, str_of(&x.made), &chain, &err), AUTHENTICATOR_BAD);
        x.made.data[i] ^= 0x41;
    }
    assert_true(buf_append(&x.made, "", 1));
    assert_bad(&x, "1 bytes stand behind");
    end(&x);
}

static void put(struct buf *b, size_t width, size_t v)
{
    uint8_t be[8];
    struct writer w = writer_of(be, sizeof(be));
    writer_uint(&w, width, v);
    assert_true(buf_append(b, be, width));
}

/* A Certificate message of `count` entries with these extensions at each, then a CertificateVerify and a
 * Finished that are well-formed. */
static struct buf hostile(struct str context, size_t count, const char *extensions, size_t extensions_len)
{
    struct buf b = {0};
    size_t entry = 3 + 5 + 2 + extensions_len;
    put(&b, 1, 11);
    put(&b, 3, 1 + context.len + 3 + count * entry);
    put(&b, 1, context.len);
    assert_true(buf_append(&b, context.p, context.len));
    put(&b, 3, count * entry);
    for (size_t i = 0; i < count; i++) {
        put(&b, 3, 5);
        assert_true(buf_append(&b, "\x30\x03\x02\x01\x01", 5));
        put(&b, 2, extensions_len);
        assert_true(buf_append(&b, extensions, extensions_len));
    }
    put(&b, 1, 15);
    put(&b, 3, 6);
    put(&b, 2, SSL_SIGN_ECDSA_SECP256R1_SHA256);
    put(&b, 2, 2);
    put(&b, 2, 0);
    return b;
}

/* With a Finished of the connection, as who is at its other end can make it. */
static void finish(struct buf *b, const struct authenticator_keys *keys, struct str request)
{
    const EVP_MD *md = keys->hash == 48 ? EVP_sha384() : EVP_sha256();
    struct buf all = {0};
    uint8_t hash[48], mac[48];
    unsigned n = 0;
    assert_true(buf_append(&all, keys->context, keys->hash) && buf_append(&all, request.p, request.len) &&
                buf_append(&all, b->data, b->len));
    assert_true(EVP_Digest(all.data, all.len, hash, &n, md, NULL));
    assert_non_null(HMAC(md, keys->finished, keys->hash, hash, n, mac, &n));
    put(b, 1, 20);
    put(b, 3, n);
    assert_true(buf_append(b, mac, n));
    buf_free(&all);
}

static void test_hostile_chains(void **state)
{
    static const struct {
        size_t count;
        const char *extensions;
        size_t len;
        const char *why;
    } rows[] = {
        {0, "", 0, "without certificates"},
        {1, "", 0, "cannot be read"},
        {TRUST_CHAIN_MAX + 1, "", 0, "more than 64 certificates"},
        {1, "\0\x05\0\0", 4, "extension 5, which was not asked for"},
        {1, "\0\x0d\0\0\0\x0d\0\0", 8, "stands twice"},
        {1, "\0\x0d\0\x09\0", 5, "cut off"},
        {4000, "\0\x0d\0\0", 4, "at most 49152 are read"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct exchange x;
        struct err err;
        struct str context;
        ask(&x);
        assert_int_equal(authenticator_context(str_of(&x.request), &context, &err), 0);
        x.made = hostile(context, rows[i].count, rows[i].extensions, rows[i].len);
        finish(&x.made, &x.mine, str_of(&x.request));
        assert_bad(&x, rows[i].why);
        end(&x);
    }
}

static void test_hostile_requests(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } rows[] = {
        {"\x0d\0\0\x01", 4, "not one whole"},
        {"\x0d\0\0\0\0", 5, "not one whole"},
        {"\x0b\0\0\0", 4, "message 11 is no"},
        {"\x0d\0\0\0", 4, "cannot be read"},
        {"\x0d\0\0\x03\0\0\0", 7, "no signature_algorithms"},
        {"\x0d\0\0\x04\0\0\0\0", 8, "cannot be read"},
        {"\x0d\0\0\x07\0\0\x04\0\x0d\0\0", 11, "cannot be read"},
        {"\x0d\0\0\x0a\0\0\x07\0\x0d\0\x03\0\x01\x04", 14, "cannot be read"},
        {"\x0d\0\0\x06\0\0\x03\0\x0d\0", 10, "cut off"},
        {"\x0d\0\0\x0b\0\0\x08\0\x05\0\0\0\x05\0\0", 15, "stands twice"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct exchange x;
        struct err err = {""};
        struct buf made = {0};
        ask(&x);
        x.make.request = (struct str){rows[i].bytes, rows[i].len};
        assert_int_equal(authenticator_make(&x.make, world.alice, &made, &err), -1);
        if (strstr(err.text, rows[i].why) == NULL)
            fail_msg("row %zu: '%s' does not say '%s'", i, err.text, rows[i].why);
        end(&x);
    }
}

static void test_context_is_told(void **state)
{
    struct exchange x;
    struct err err = {""};
    struct str asked, answered;
    (void)state;
    ask(&x);
    answer(&x, world.alice);
    assert_int_equal(authenticator_context(str_of(&x.request), &asked, &err), 0);
    assert_int_equal(authenticator_context(str_of(&x.made), &answered, &err), 0);
    assert_int_equal(asked.len, AUTHENTICATOR_CONTEXT);
    assert_int_equal(answered.len, asked.len);
    assert_memory_equal(asked.p, answered.p, asked.len);
    buf_free(&x.made);
    answer(&x, NULL);
    assert_int_equal(authenticator_context(str_of(&x.made), &answered, &err), -1);
    end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_what_the_reference_makes),
        cmocka_unit_test(test_reference_takes_what_we_make),
        cmocka_unit_test(test_client_proves_each_kind_of_key),
        cmocka_unit_test(test_server_proves_asked_and_not),
        cmocka_unit_test(test_tls12_is_refused),
        cmocka_unit_test(test_empty_says_no),
        cmocka_unit_test(test_other_connection),
        cmocka_unit_test(test_signed_for_other_connection),
        cmocka_unit_test(test_wrong_direction),
        cmocka_unit_test(test_other_request_and_reuse),
        cmocka_unit_test(test_contexts_end),
        cmocka_unit_test(test_chain_is_not_proven),
        cmocka_unit_test(test_key_of_no_asked_scheme),
        cmocka_unit_test(test_every_cut_and_every_changed_byte),
        cmocka_unit_test(test_hostile_chains),
        cmocka_unit_test(test_hostile_requests),
        cmocka_unit_test(test_context_is_told),
    };
    return cmocka_run_group_tests(tests, build_world, leave_world);
}
