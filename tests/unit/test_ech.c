/* SPDX-License-Identifier: Apache-2.0 */
/* A client-facing server between the TLS library's client, which does ECH, and its server, which knows no key
 * of it: split mode (RFC 9849) in memory. The hello is opened here, the answer goes through untouched. */
#include "pki.h"

#include <openssl/ssl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/alert.h"
#include "ech/config.h"
#include "ech/ech_link.h"
#include "ech/inner.h"
#include "ech/keys.h"
#include "ech/ring.h"
#include "ech/stream.h"
#include "link/mem_link.h"

#define ROOM 65536

struct duo {
    SSL *client, *server;
    struct ech_keys *keys;
    bool begun; /* the first hello has gone through */
    struct ech_stream stream;
    size_t piece; /* so many bytes are carried at once */
    char outer[256], inner[256];
};

static SSL *new_ssl(const struct ca *server, const char *groups)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    assert_true(SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION));
    assert_true(SSL_CTX_set1_groups_list(ctx, groups));
    if (server != NULL)
        assert_true(SSL_CTX_use_certificate(ctx, ca_x509(server)) &&
                    SSL_CTX_use_PrivateKey(ctx, ca_private_key(server)));
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    if (server != NULL)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return ssl;
}

static struct ech_key *make_key(uint8_t id, const char *name)
{
    struct err err = {{0}};
    struct ech_key *key = ech_key_make(id, name, 0, &err);
    if (key == NULL)
        fail_msg("%s", err.text);
    return key;
}

static struct ech_keys *set_of(struct ech_key *key)
{
    struct ech_keys *set = ech_keys_new(&key, 1, 1);
    ech_key_unref(key);
    return set;
}

static void note_name(const uint8_t *message, size_t len, char ret[256])
{
    struct hello h;
    assert_int_equal(hello_parse(message, len, &h), HELLO_REASON_NONE);
    snprintf(ret, 256, "%s", h.name);
}

/* What the client-facing server does with the first hello. */
static void begin(struct duo *d, const uint8_t *bytes, size_t n, struct buf *ret)
{
    struct hello_scan scan = hello_scan_start(ROOM);
    struct hello outer;
    struct ech_opened opened;
    uint8_t scratch[ROOM];
    assert_int_equal(hello_scan(&scan, bytes, n), HELLO_DONE);
    const uint8_t *message = hello_scan_message(&scan, bytes, scratch);
    note_name(message, scan.message_len, d->outer);
    assert_int_equal(hello_parse(message, scan.message_len, &outer), HELLO_REASON_NONE);
    assert_int_equal(ech_open(d->keys, &outer, &opened), ECH_OPENED);
    note_name(opened.inner.data, opened.inner.len, d->inner);
    assert_true(ech_stream_put_records(&opened.inner, ret));
    ech_stream_begin(&d->stream, opened.opening, ROOM);
    ech_stream_up(&d->stream, bytes + scan.wire_len, n - scan.wire_len, ret);
    buf_free(&opened.inner);
    d->begun = true;
}

static void carry_up(struct duo *d)
{
    uint8_t bytes[ROOM];
    struct buf up = {0};
    int n = BIO_read(SSL_get_wbio(d->client), bytes, sizeof(bytes));
    if (n <= 0)
        return;
    if (!d->begun)
        begin(d, bytes, (size_t)n, &up);
    else
        for (size_t at = 0; at < (size_t)n; at += d->piece)
            ech_stream_up(&d->stream, bytes + at, MIN(d->piece, (size_t)n - at), &up);
    assert_int_not_equal(d->stream.state, ECH_STREAM_BAD);
    if (up.len > 0)
        assert_int_equal(BIO_write(SSL_get_rbio(d->server), up.data, (int)up.len), up.len);
    buf_free(&up);
}

static void carry_down(struct duo *d)
{
    uint8_t bytes[ROOM];
    int n = BIO_read(SSL_get_wbio(d->server), bytes, sizeof(bytes));
    for (int at = 0; at < n; at += (int)d->piece)
        ech_stream_down(&d->stream, bytes + at, MIN(d->piece, (size_t)(n - at)));
    if (n > 0)
        assert_int_equal(BIO_write(SSL_get_rbio(d->client), bytes, n), n);
}

static void use_config(SSL *client, const struct ech_keys *keys)
{
    struct cursor list = ech_keys_offered(keys);
    assert_true(SSL_set1_ech_config_list(client, list.p, cursor_left(&list)));
}

/* The handshake goes through, and the client knows that ECH was accepted: the server, which has no key of it,
 * has proven so. */
static void shake_hands(const char *client_groups, const char *server_groups, size_t piece)
{
    struct ca *root = pki_root("Root"), *server = pki_server(root, "secret.example");
    struct duo d = {
        .client = new_ssl(NULL, client_groups), .server = new_ssl(server, server_groups), .piece = piece};
    d.keys = set_of(make_key(7, "public.example"));
    use_config(d.client, d.keys);
    assert_true(SSL_set_tlsext_host_name(d.client, "secret.example"));
    for (int turn = 0; turn < 6; turn++) {
        SSL_do_handshake(d.client);
        carry_up(&d);
        SSL_do_handshake(d.server);
        carry_down(&d);
    }
    assert_true(SSL_is_init_finished(d.client) && SSL_is_init_finished(d.server));
    assert_true(SSL_ech_accepted(d.client));
    assert_string_equal(SSL_get_servername(d.server, TLSEXT_NAMETYPE_host_name), "secret.example");
    assert_string_equal(d.outer, "public.example");
    assert_string_equal(d.inner, "secret.example");
    assert_int_equal(d.stream.state, ECH_STREAM_OVER);
    SSL_free(d.client);
    SSL_free(d.server);
    ech_stream_free(&d.stream);
    ech_keys_free(d.keys);
    ca_free(server);
    ca_free(root);
}

static const size_t pieces[] = {1, 3, 5, 38, 100, ROOM};

static void test_split_mode(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        shake_hands("X25519:P-256", "X25519", pieces[i]);
        shake_hands("X25519MLKEM768:X25519", "X25519MLKEM768", pieces[i]);
    }
}

/* The server wants another group: the client encrypts its second hello with the same context. */
static void test_hello_retry_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        shake_hands("X25519:P-256", "P-256", pieces[i]);
}

/* The client's first hello. */
static void first_hello(const struct ech_keys *keys, bool grease, struct buf *ret)
{
    SSL *client = new_ssl(NULL, "X25519");
    uint8_t bytes[ROOM];
    if (keys != NULL)
        use_config(client, keys);
    SSL_set_enable_ech_grease(client, grease);
    assert_true(SSL_set_tlsext_host_name(client, "secret.example"));
    SSL_do_handshake(client);
    int n = BIO_read(SSL_get_wbio(client), bytes, sizeof(bytes));
    assert_in_range(n, 6, sizeof(bytes));
    assert_true(buf_append(ret, bytes + 5, (size_t)n - 5));
    SSL_free(client);
}

static enum ech_result try_open(const struct ech_keys *keys, const struct buf *message,
                                struct ech_opened *ret)
{
    struct hello outer;
    assert_int_equal(hello_parse(message->data, message->len, &outer), HELLO_REASON_NONE);
    enum ech_result result = ech_open(keys, &outer, ret);
    buf_free(&ret->inner);
    ech_opening_free(ret->opening);
    return result;
}

/* No ECH, GREASE, another's key and a hello that was changed on its way: the outer hello counts. */
static void test_not_ours(void **state)
{
    (void)state;
    struct ech_keys *ours = set_of(make_key(7, "public.example")),
                    *others = set_of(make_key(7, "public.example"));
    struct ech_opened opened;
    struct ech_keys *elsewhere = set_of(make_key(7, "elsewhere.example"));
    struct buf plain = {0}, grease = {0}, stale = {0}, foreign = {0}, changed = {0};
    first_hello(NULL, false, &plain);
    first_hello(NULL, true, &grease);
    first_hello(others, false, &stale);
    first_hello(elsewhere, false, &foreign);
    first_hello(ours, false, &changed);
    assert_int_equal(try_open(ours, &changed, &opened), ECH_OPENED);
    changed.data[10] ^= 1; /* in its random */
    assert_int_equal(try_open(ours, &plain, &opened), ECH_NONE);
    assert_int_equal(try_open(ours, &grease, &opened), ECH_NOT_OURS);
    assert_int_equal(try_open(ours, &foreign, &opened), ECH_NOT_OURS);
    assert_int_equal(try_open(ours, &stale, &opened), ECH_REFUSED);
    assert_int_equal(try_open(ours, &changed, &opened), ECH_REFUSED);
    buf_free(&plain);
    buf_free(&grease);
    buf_free(&stale);
    buf_free(&foreign);
    buf_free(&changed);
    ech_keys_free(ours);
    ech_keys_free(others);
    ech_keys_free(elsewhere);
}

/* Old keys open as well as new ones, of the same id too; only the new ones are offered. */
static void test_rotation(void **state)
{
    (void)state;
    struct ech_key *v[] = {make_key(9, "public.example"), make_key(8, "public.example"),
                           make_key(9, "public.example")};
    struct ech_keys *now = ech_keys_new(v, ARRAY_LEN(v), 1);
    struct cursor list = ech_keys_offered(now), contents;
    struct ech_config config;
    assert_true(ech_config_list(list.p, cursor_left(&list), &contents));
    assert_true(ech_config_next(&contents, &config) && cursor_left(&contents) == 0);
    assert_int_equal(config.id, 9);
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct ech_keys *then = ech_keys_new(&v[i], 1, 1);
        struct ech_opened opened;
        struct buf hello = {0};
        first_hello(then, false, &hello);
        assert_int_equal(try_open(now, &hello, &opened), ECH_OPENED);
        buf_free(&hello);
        ech_keys_free(then);
        ech_key_unref(v[i]);
    }
    ech_keys_free(now);
}

/* ---- keys over time ---- */

#define ROTATE 3600
#define KEEP 5400

static struct ech_ring *new_ring(const char *folder, int64_t now)
{
    struct err err = {{0}};
    struct ech_ring *ring = ech_ring_new(
        &(struct ech_ring_settings){
            .folder = folder, .public_name = "public.example", .rotate = ROTATE, .keep = KEEP},
        now, &err);
    if (ring == NULL)
        fail_msg("%s", err.text);
    return ring;
}

static void turn(struct ech_ring *ring, int64_t now)
{
    struct ech_keys *old;
    struct err err = {{0}};
    if (ech_ring_turn(ring, now, &old, &err) != 0)
        fail_msg("%s", err.text);
    ech_keys_free(old);
}

static bool has_id(const struct ech_ring *ring, uint8_t id)
{
    const struct ech_keys *keys = ech_ring_keys(ring);
    for (size_t i = 0; i < ech_keys_count(keys); i++)
        if (ech_key_config(ech_keys_at(keys, i))->id == id)
            return true;
    return false;
}

static int count_files(const char *folder)
{
    char command[256];
    snprintf(command, sizeof(command), "exit $(ls %s | wc -l)", folder);
    return WEXITSTATUS(system(command));
}

/* Two doors with one folder, each looking every 20 seconds, in turns: whatever one has offered in the last
 * KEEP, both open; and they offer the same but for the time between two looks. */
static void test_ring(void **state)
{
    (void)state;
    const char *folder = pki_path("ech");
    int64_t begin = 1000000000;
    struct ech_ring *a = new_ring(folder, begin), *b = new_ring(folder, begin);
    static uint8_t offered[10 * ROTATE / 10];
    size_t n = 0, changes = 0;
    for (int64_t now = begin; now < begin + 10 * ROTATE; now += 10) {
        turn(n % 2 == 0 ? a : b, now);
        offered[n] = ech_key_config(ech_keys_at(ech_ring_keys(a), 0))->id;
        changes += n > 0 && offered[n] != offered[n - 1];
        for (size_t back = 0; back <= MIN(n, (size_t)KEEP / 10); back += 9)
            assert_true(has_id(a, offered[n - back]) && has_id(b, offered[n - back]));
        assert_in_range(count_files(folder), 1, 4);
        n++;
    }
    assert_int_equal(changes, 10);
    assert_int_equal(offered[n - 1], ech_key_config(ech_keys_at(ech_ring_keys(b), 0))->id);
    struct ech_ring *c = new_ring(folder, begin + 10 * ROTATE); /* a restart */
    for (size_t back = 1; back <= KEEP / 10; back++)
        assert_true(has_id(c, offered[n - back]));
    ech_ring_free(a);
    ech_ring_free(b);
    ech_ring_free(c);
}

/* A file that is no key is told of, and does no harm. */
static void test_ring_with_a_bad_file(void **state)
{
    (void)state;
    const char *folder = pki_path("ech-bad");
    struct ech_ring *ring = new_ring(folder, ROTATE);
    struct err err = {{0}};
    struct ech_keys *old;
    char path[256], text[320];
    snprintf(path, sizeof(path), "%s/public.example-%d.pem", folder, 2 * ROTATE);
    assert_int_equal(file_create_atomic(path, 0644, "", 0, &err), 0);
    assert_int_equal(ech_ring_turn(ring, ROTATE, &old, &err), -1);
    assert_non_null(strstr(err.text, "may be read by other users (mode 0644); do: chmod 600 "));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(ech_ring_turn(ring, ROTATE, &old, &err), -1);
    snprintf(text, sizeof(text), "%s has no block ECHCONFIG (RFC 9934)", path);
    assert_string_equal(err.text, text);
    assert_null(old);
    assert_int_equal(ech_keys_count(ech_ring_keys(ring)), 1);
    ech_ring_free(ring);
}

/* Another's key, with a suite that the TLS library does not know (HKDF-SHA512). */
static void test_foreign_suite(void **state)
{
    (void)state;
    static const char text[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MC4CAQAwBQYDK2VuBCIEIGBqYml8HD2Zpbct8sxCvD2v5VldtqkuXxDulFvQgAZ7\n"
                               "-----END PRIVATE KEY-----\n"
                               "-----BEGIN ECHCONFIG-----\n"
                               "ADv+DQA3dwAgACDsrc2zDKECAD/tNxwhkfQsSEXnHhh3MeFUGLldHCk/XQAEAAMA\n"
                               "AgAIcHViLnRlc3QAAA==\n"
                               "-----END ECHCONFIG-----\n";
    struct err err;
    struct buf pem = {0};
    assert_true(buf_append(&pem, text, sizeof(text) - 1));
    assert_null(ech_key_read(&pem, &err));
    assert_string_equal(err.text, "has a config that asks for more than is known here, such as another KDF "
                                  "than HKDF-SHA256");
    buf_free(&pem);
}

/* Who only checks leaves the folder as it is, and tells what is wrong in it. */
static void test_ring_checked(void **state)
{
    (void)state;
    const char *folder = pki_path("ech-checked");
    const struct ech_ring_settings settings = {
        .folder = folder, .public_name = "public.example", .rotate = ROTATE, .keep = KEEP};
    struct err err = {{0}};
    char path[256];
    assert_int_equal(ech_ring_check(&settings, ROTATE, &err), 0);
    assert_int_not_equal(access(folder, F_OK), 0);
    ech_ring_free(new_ring(folder, ROTATE));
    assert_int_equal(ech_ring_check(&settings, 100 * ROTATE, &err), 0);
    assert_int_equal(count_files(folder), 1);
    snprintf(path, sizeof(path), "%s/public.example-%d.pem", folder, 2 * ROTATE);
    assert_int_equal(file_create_atomic(path, 0600, "", 0, &err), 0);
    assert_int_equal(ech_ring_check(&settings, ROTATE, &err), -1);
    assert_non_null(strstr(err.text, path));
}

/* A file holds a key whole; what is no such file is told. */
static void test_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"", "has no block ECHCONFIG (RFC 9934)"},
        {"-----BEGIN ECHCONFIG-----\nAAA=\n-----END ECHCONFIG-----\n", "has no private key"},
        {"-----BEGIN CERTIFICATE-----\nAAA=\n-----END CERTIFICATE-----\n",
         "has a block 'CERTIFICATE': expected PRIVATE KEY and ECHCONFIG (RFC 9934)"},
        {"-----BEGIN PRIVATE KEY-----\nAAA=\n-----END PRIVATE KEY-----\n"
         "-----BEGIN ECHCONFIG-----\nAAA=\n-----END ECHCONFIG-----\n",
         "has a private key that is none for X25519"},
    };
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf pem = {0};
        assert_true(buf_append(&pem, rows[i].text, strlen(rows[i].text)));
        assert_null(ech_key_read(&pem, &err));
        assert_string_equal(err.text, rows[i].error);
        buf_free(&pem);
    }
    struct ech_key *key = make_key(200, "public.example");
    struct buf pem = {0}, again = {0};
    assert_true(ech_key_write(key, &pem));
    struct ech_key *same = ech_key_read(&pem, &err);
    assert_non_null(same);
    assert_true(ech_key_write(same, &again));
    assert_int_equal(again.len, pem.len);
    assert_memory_equal(again.data, pem.data, pem.len);
    assert_int_equal(ech_key_config(same)->id, 200);
    ech_key_unref(key);
    ech_key_unref(same);
    buf_free(&pem);
    buf_free(&again);
    assert_null(ech_key_make(1, "192.0.2.1", 0, &err));
}

/* ---- as a link ---- */

/* A client that has sent its hello, and the door's end of its connection behind it. */
struct end {
    SSL *client;
    struct ech_keys *keys;
    struct link *wire, *top;
};

static void begin_link(struct end *e, size_t hello_max)
{
    uint8_t bytes[ROOM];
    struct hello outer;
    struct ech_opened opened;
    struct link *lower;
    *e = (struct end){.client = new_ssl(NULL, "X25519:P-256"), .keys = set_of(make_key(7, "public.example"))};
    use_config(e->client, e->keys);
    assert_true(SSL_set_tlsext_host_name(e->client, "secret.example"));
    SSL_do_handshake(e->client);
    int n = BIO_read(SSL_get_wbio(e->client), bytes, sizeof(bytes));
    assert_in_range(n, 6, sizeof(bytes));
    assert_int_equal(hello_parse(bytes + 5, (size_t)n - 5, &outer), HELLO_REASON_NONE);
    assert_int_equal(ech_open(e->keys, &outer, &opened), ECH_OPENED);
    mem_link_pair(ROOM, &e->wire, &lower);
    e->top = ech_link_new(lower, &opened, (struct str){"", 0}, hello_max);
    size_t got = 0;
    assert_int_equal(link_read(e->top, bytes, sizeof(bytes), &got), LINK_OK);
    assert_int_equal(bytes[0], 22);
}

static void end_link(struct end *e)
{
    link_close(e->top, false);
    link_close(e->wire, false);
    SSL_free(e->client);
    ech_keys_free(e->keys);
}

static void answer(struct end *e, const char *bytes, size_t len)
{
    size_t n = 0;
    assert_int_equal(link_write(e->top, bytes, len, &n), LINK_OK);
    assert_int_equal(n, len);
}

#define SERVER_HELLO "\x16\3\3\0\x26\2\0\0\x46\3\3"
#define RETRY                                                           \
    SERVER_HELLO "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e" \
                 "\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e" \
                 "\x09\xe2\xc8\xa8\x33\x9c"

/* After an answer that is none to try again, bytes go through untouched, records of hellos as well. */
static void test_link_dissolves(void **state)
{
    (void)state;
    static const char *const answers[] = {SERVER_HELLO "01234567890123456789012345678901",
                                          "\x15\3\3\0\2\2\x28"};
    static const size_t lens[] = {43, 7};
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct end e;
        uint8_t bytes[64];
        size_t n = 0;
        begin_link(&e, ROOM);
        answer(&e, answers[i], lens[i]);
        assert_int_equal(link_write(e.wire, "\x16\3\3\0\4\1\0\0\0", 9, &n), LINK_OK);
        assert_int_equal(link_read(e.top, bytes, sizeof(bytes), &n), LINK_OK);
        assert_int_equal(n, 9);
        assert_int_equal(link_read(e.top, bytes, sizeof(bytes), &n), LINK_AGAIN);
        end_link(&e);
    }
}

/* A second hello that is not as it must be: the client hears an alert, and whoever reads that it is over. */
static void test_link_second_is_bad(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        size_t len;
        enum alert alert;
        const char *why;
    } rows[] = {
        {"\x14\3\3\0\1\1\x16\3\3\0\x2d\1\0\0\x29\3\3" /* change_cipher_spec first; then without ECH */
         "01234567890123456789012345678901\0\0\2\x13\1\1\0",
         56, ALERT_MISSING_EXTENSION, "a second hello without encrypted_client_hello"},
        {"\x16\3\3\0\4\2\0\0\0", 9, ALERT_DECODE_ERROR, "a second hello that is none"},
        {"\x16\3\3\x40\0\1\1\0\0", 9, ALERT_DECODE_ERROR, "a second hello that is none"}, /* too long */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct end e;
        uint8_t bytes[128];
        size_t n = 0;
        begin_link(&e, 4096);
        answer(&e, RETRY, 43);
        assert_int_equal(link_read(e.wire, bytes, sizeof(bytes), &n), LINK_OK);
        assert_int_equal(n, 43);
        assert_int_equal(link_write(e.wire, rows[i].says, rows[i].len, &n), LINK_OK);
        enum link_status status;
        while ((status = link_read(e.top, bytes, sizeof(bytes), &n)) == LINK_OK)
            ;
        assert_int_equal(status, LINK_ERROR);
        assert_string_equal(link_error(e.top), rows[i].why);
        assert_int_equal(link_read(e.wire, bytes, sizeof(bytes), &n), LINK_OK);
        assert_int_equal(n, 7);
        assert_int_equal(bytes[0], 21);
        assert_int_equal(bytes[6], rows[i].alert);
        end_link(&e);
    }
}

/* ---- hostile inner hellos ---- */

#define BYTES(text) (text), sizeof(text) - 1

/* An EncodedClientHelloInner: fixed parts, then the extensions given, then padding. */
struct encoded {
    const char *session_id, *extensions, *padding;
    size_t session_len, extensions_len, padding_len;
};

static void encode(const struct encoded *e, struct buf *ret)
{
    static const uint8_t random[32] = {1}, middle[] = {0, 2, 0x13, 0x01, 1, 0};
    uint8_t session_len = (uint8_t)e->session_len;
    uint8_t len[2] = {(uint8_t)(e->extensions_len >> 8), (uint8_t)e->extensions_len};
    assert_true(buf_append(ret, "\x03\x03", 2) && buf_append(ret, random, 32) &&
                buf_append(ret, &session_len, 1) && buf_append(ret, e->session_id, e->session_len) &&
                buf_append(ret, middle, sizeof(middle)) && buf_append(ret, len, 2) &&
                buf_append(ret, e->extensions, e->extensions_len) &&
                buf_append(ret, e->padding, e->padding_len));
}

#define INNER "\xfe\x0d\0\1\1"
#define VERSIONS "\0\x2b\0\3\2\3\4"
#define NAME "\0\0\0\xe\0\xc\0\0\x9secret.ex"

static void test_hostile_inner(void **state)
{
    (void)state;
    static const struct {
        struct encoded encoded;
        const char *expected;
    } rows[] = {
        {{"", INNER VERSIONS NAME, "\0\0\0", 0, sizeof(INNER VERSIONS NAME) - 1, 3}, NULL},
        {{"", INNER "\xfd\0\0\3\2\0\x2b", "", 0, 12, 0}, NULL},
        {{"", INNER "\xfd\0\0\5\4\0\x0a\0\x2b", "", 0, 14, 0}, NULL},
        {{"x", INNER VERSIONS, "", 1, sizeof(INNER VERSIONS) - 1, 0}, "an inner hello with a session id"},
        {{"", INNER VERSIONS, "\0\1", 0, sizeof(INNER VERSIONS) - 1, 2}, "padding that is not zero"},
        {{"", VERSIONS, "", 0, sizeof(VERSIONS) - 1, 0}, "an inner hello without the mark of one"},
        {{"", INNER, "", 0, sizeof(INNER) - 1, 0}, "an inner hello that does not offer TLS 1.3"},
        {{"", INNER "\0\x2b\0\5\4\3\4\3\3", "", 0, 14, 0}, "an inner hello that offers less than TLS 1.3"},
        {{"", INNER "\xfd\0\0\5\4\0\x2b\0\x0a", "", 0, 14, 0},
         "ech_outer_extensions that the outer hello does not have, or not in this order"},
        {{"", INNER "\xfd\0\0\5\4\0\x2b\0\x2b", "", 0, 14, 0},
         "ech_outer_extensions that the outer hello does not have, or not in this order"},
        {{"", INNER "\xfd\0\0\3\2\0\x39", "", 0, 12, 0},
         "ech_outer_extensions that the outer hello does not have, or not in this order"},
        {{"", "\xfd\0\0\3\2\xfe\x0d", "", 0, 7, 0}, "ech_outer_extensions that name encrypted_client_hello"},
        {{"", INNER "\xfd\0\0\3\2\0\x0a\xfd\0\0\3\2\0\x2b", "", 0, 19, 0}, "ech_outer_extensions twice"},
        {{"", INNER "\xfd\0\0\1\0", "", 0, 10, 0}, "ech_outer_extensions that cannot be read"},
        {{"", INNER "\xfd\0\0\2\1\0", "", 0, 11, 0}, "ech_outer_extensions that cannot be read"},
        {{"", INNER "\xfd\0\0\4\2\0\x2b\0", "", 0, 13, 0}, "ech_outer_extensions that cannot be read"},
        {{"", INNER VERSIONS "\xfd\0\0\3\2\0\x2b", "", 0, sizeof(INNER VERSIONS) - 1 + 7, 0},
         "an inner hello that is damaged"}, /* supported_versions twice */
        {{"", INNER "\0", "", 0, 6, 0}, "extensions that are cut short"},
    };
    /* supported_groups, then encrypted_client_hello, then supported_versions. */
    static const uint8_t extensions[] =
        "\0\x0a\0\4\0\2\0\x1d\xfe\x0d\0\x0b\0\0\1\0\1\7\0\0\0\1x\0\x2b\0\3\2\3\4";
    struct hello outer = {.extensions = cursor_of(extensions, sizeof(extensions) - 1),
                          .session_id = cursor_of("0123456789abcdef", 16)};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf encoded = {0}, inner = {0};
        encode(&rows[i].encoded, &encoded);
        const char *fault = ech_inner_decode(cursor_of(encoded.data, encoded.len), &outer, &inner);
        if (fault != rows[i].expected &&
            (fault == NULL || rows[i].expected == NULL || strcmp(fault, rows[i].expected) != 0))
            fail_msg("row %zu: %s, expected %s", i, fault, rows[i].expected);
        /* Cut anywhere, it is never taken; the lengths say so. */
        for (size_t n = 0; fault == NULL && n + rows[i].encoded.padding_len < encoded.len; n++) {
            struct buf cut = {0};
            assert_non_null(ech_inner_decode(cursor_of(encoded.data, n), &outer, &cut));
            buf_free(&cut);
        }
        buf_free(&encoded);
        buf_free(&inner);
    }
}

/* Configs of other versions are passed over, damaged ones end the list. */
static void test_configs(void **state)
{
    (void)state;
    struct ech_keys *set = set_of(make_key(3, "public.example"));
    struct cursor list = ech_keys_offered(set), contents;
    struct ech_config config;
    struct buf other = {0};
    size_t len = cursor_left(&list);
    assert_true(buf_append(&other, "\0\0\xfe\x0c\0\2hi", 8) && buf_append(&other, list.p + 2, len - 2));
    other.data[1] = (uint8_t)(other.len - 2);
    assert_true(ech_config_list(other.data, other.len, &contents));
    assert_true(ech_config_next(&contents, &config) && config.version == 0xfe0c);
    assert_true(ech_config_next(&contents, &config) && config.version == ECH_VERSION);
    assert_true(str_is(config.public_name, "public.example") && config.id == 3 && !config.demands);
    assert_true(ech_config_has_suite(&config, 1, 1) && !ech_config_has_suite(&config, 1, 9));
    for (size_t n = 0; n < len; n++) {
        assert_false(ech_config_list(list.p, n, &contents));
        uint8_t *cut = malloc(len); /* the length says less than there is */
        memcpy(cut, list.p, len);
        cut[1] = (uint8_t)(n < 2 ? 0 : n - 2);
        assert_false(ech_config_list(cut, n < 2 ? 2 : n, &contents));
        free(cut);
    }
    buf_free(&other);
    ech_keys_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_mode),
        cmocka_unit_test(test_hello_retry_request),
        cmocka_unit_test(test_not_ours),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_foreign_suite),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_ring_with_a_bad_file),
        cmocka_unit_test(test_ring_checked),
        cmocka_unit_test(test_hostile_inner),
        cmocka_unit_test(test_configs),
        cmocka_unit_test(test_link_dissolves),
        cmocka_unit_test(test_link_second_is_bad),
    };
    return cmocka_run_group_tests_name("ech", tests, NULL, pki_remove);
}
