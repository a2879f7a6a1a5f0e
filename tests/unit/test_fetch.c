/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to a server of this process, plain and over TLS, which answers as its paths say: well, slowly, too
 * much, half, or elsewhere. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/clock.h"
#include "fetch/fetch_internal.h"
#include "loop/loop.h"
#include "net/socket.h"

#include "pki.h"

/* ---- the server ---- */

struct server {
    pthread_t thread;
    int listener;
    uint16_t port;
    SSL_CTX *tls; /* NULL: plain */
    pthread_mutex_t lock;
    char seen[4096]; /* the last request, as far as it has come; under the lock */
    char told[4096];
    pthread_t visits[64];
    size_t visits_len;
};

struct visit {
    struct server *s;
    int fd;
    SSL *ssl;
    char request[4096];
};

static void set_seen(struct server *s, const char *text)
{
    pthread_mutex_lock(&s->lock);
    snprintf(s->seen, sizeof(s->seen), "%s", text);
    pthread_mutex_unlock(&s->lock);
}

/* Good until it is asked again. */
static const char *server_seen(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    memcpy(s->told, s->seen, sizeof(s->told));
    pthread_mutex_unlock(&s->lock);
    return s->told;
}

static int visit_read(struct visit *v, char *p, int cap)
{
    return v->ssl != NULL ? SSL_read(v->ssl, p, cap) : (int)read(v->fd, p, (size_t)cap);
}

static void say(struct visit *v, const char *p, size_t len)
{
    if (v->ssl != NULL)
        (void)SSL_write(v->ssl, p, (int)len);
    else
        (void)!send(v->fd, p, len, MSG_NOSIGNAL);
}

static void say_text(struct visit *v, const char *text)
{
    say(v, text, strlen(text));
}

static void say_head(struct visit *v, const char *status, const char *fields, size_t len)
{
    char head[1024];
    snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n", status,
             fields, len);
    say_text(v, head);
}

static void say_much(struct visit *v, size_t len)
{
    char some[1000];
    memset(some, 'x', sizeof(some));
    for (size_t i = 0; i < len / sizeof(some); i++)
        say(v, some, sizeof(some));
}

static void answer(struct visit *v, const char *path)
{
    char line[256], c;
    if (strcmp(path, "/good") == 0) {
        say_head(v, "200 OK", "Content-Type: text/plain\r\nX-Twice: one\r\nx-twice:  two \t\r\n", 5);
        say_text(v, "hello");
    } else if (strncmp(path, "/to", 3) == 0) { /* "/to3" by way of "/to2", "/to1" */
        unsigned n = (unsigned)atoi(path + 3);
        snprintf(line, sizeof(line), n == 0 ? "Location: /good\r\n" : "Location: /to%u\r\n", n - 1);
        say_head(v, "302 Found", line, 4);
        say_text(v, "gone");
    } else if (strcmp(path, "/file") == 0) {
        say_head(v, "302 Found", "Location: file:///etc/passwd\r\n", 0);
    } else if (strcmp(path, "/much") == 0) {
        say_head(v, "200 OK", "", 3000000);
        say_much(v, 3000000);
    } else if (strcmp(path, "/fields") == 0) {
        say_text(v, "HTTP/1.1 200 OK\r\n");
        for (unsigned i = 0; i < 80; i++) {
            snprintf(line, sizeof(line), "X-Field-%u: ", i);
            say_text(v, line);
            say_much(v, 1000);
            say_text(v, "\r\n");
        }
        say_text(v, "\r\n");
    } else if (strcmp(path, "/half") == 0) {
        say_head(v, "200 OK", "", 100);
        say_text(v, "not all of it");
    } else if (strcmp(path, "/garbage") == 0) {
        say_text(v, "\x1b[31mSSH-2.0-no web\r\n\r\n");
    } else if (strcmp(path, "/stay") == 0) {
        say_text(v, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstays");
    } else if (strncmp(path, "/away?", 6) == 0) {
        snprintf(line, sizeof(line), "Location: %s\r\n", path + 6);
        say_head(v, "302 Found", line, 0);
    } else if (strcmp(path, "/slow") == 0) {
        (void)visit_read(v, &c, 1); /* until it gives up */
    } else if (strcmp(path, "/problem") == 0) {
        say_head(v, "400 Bad Request", "Content-Type: application/problem+json\r\n", 2);
        say_text(v, "{}");
    } else {
        say_head(v, "200 OK", "", strcmp(path, "/empty") == 0 ? 0 : 4);
        if (strcmp(path, "/empty") != 0)
            say_text(v, "else");
    }
}

/* A request whole, with its content where it has some. */
static bool read_request(struct visit *v)
{
    size_t len = 0;
    char *seen = v->request, *end;
    for (;;) {
        int n = visit_read(v, seen + len, (int)(sizeof(v->request) - 1 - len));
        if (n <= 0)
            return false;
        len += (size_t)n;
        seen[len] = '\0';
        set_seen(v->s, seen);
        end = strstr(seen, "\r\n\r\n");
        const char *announced = strstr(seen, "Content-Length: ");
        if (end != NULL &&
            len >= (size_t)(end + 4 - seen) + (announced != NULL ? (size_t)atoi(announced + 16) : 0))
            return true;
    }
}

/* True: the connection stays for another. */
static bool serve_request(struct visit *v)
{
    char path[256];
    if (!read_request(v) || sscanf(v->request, "%*s %255s", path) != 1)
        return false;
    answer(v, path);
    return strcmp(path, "/stay") == 0;
}

/* ---- the same in HTTP/2, as little of it as there may be ---- */

#define HTTP2_PREFACE 24
#define HTTP2_HEAD 9
#define HTTP2_HEADERS 1
#define HTTP2_SETTINGS 4
#define HTTP2_ACK 1

static bool read_whole(struct visit *v, unsigned char *p, size_t len)
{
    while (len > 0) {
        int n = visit_read(v, (char *)p, (int)len);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* ":status: 200" and "two", on the stream of the frame that begins so. */
static void answer_http2(struct visit *v, const unsigned char head[HTTP2_HEAD])
{
    unsigned char frames[] = {0, 0, 1, 1, 4, 0, 0, 0, 0, 0x88, 0, 0, 3, 0, 1, 0, 0, 0, 0, 't', 'w', 'o'};
    memcpy(frames + 5, head + 5, 4);
    memcpy(frames + 15, head + 5, 4);
    set_seen(v->s, "HTTP/2");
    say(v, (const char *)frames, sizeof(frames));
}

static void serve_http2(struct visit *v)
{
    static const char settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0}, ack[] = {0, 0, 0, 4, 1, 0, 0, 0, 0};
    unsigned char head[HTTP2_PREFACE], content[16384];
    if (!read_whole(v, head, HTTP2_PREFACE))
        return;
    say(v, settings, sizeof(settings));
    while (read_whole(v, head, HTTP2_HEAD)) {
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (len > sizeof(content) || !read_whole(v, content, len))
            return;
        if (head[3] == HTTP2_SETTINGS && (head[4] & HTTP2_ACK) == 0)
            say(v, ack, sizeof(ack));
        else if (head[3] == HTTP2_HEADERS)
            answer_http2(v, head);
    }
}

static int choose_http2(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *p,
                        unsigned len, void *arg)
{
    static const unsigned char http2[] = {2, 'h', '2'};
    (void)ssl, (void)arg;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)ret, ret_len, http2, sizeof(http2), p, len) ==
                   OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_NOACK;
}

static bool has_http2(struct visit *v)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    if (v->ssl != NULL)
        SSL_get0_alpn_selected(v->ssl, &name, &len);
    return len == 2;
}

static void serve(struct visit *v)
{
    if (v->ssl != NULL && SSL_accept(v->ssl) != 1)
        return;
    if (has_http2(v))
        serve_http2(v);
    while (serve_request(v))
        continue;
    if (v->ssl != NULL)
        SSL_shutdown(v->ssl);
}

static void *serve_one(void *arg)
{
    struct visit *v = arg;
    if (v->s->tls != NULL) {
        v->ssl = SSL_new(v->s->tls);
        SSL_set_fd(v->ssl, v->fd);
    }
    serve(v);
    SSL_free(v->ssl);
    close(v->fd);
    free(v);
    return NULL;
}

static void *serve_all(void *arg)
{
    struct server *s = arg;
    int fd;
    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        struct visit *v = calloc(1, sizeof(*v));
        assert_true(v != NULL && s->visits_len < ARRAY_LEN(s->visits));
        *v = (struct visit){.s = s, .fd = fd};
        assert_int_equal(pthread_create(&s->visits[s->visits_len++], NULL, serve_one, v), 0);
    }
    return NULL;
}

static void server_start(struct server *s, const struct ca *leaf)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *s = (struct server){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                         .lock = PTHREAD_MUTEX_INITIALIZER};
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    s->port = socket_local(s->listener).port;
    if (leaf != NULL) {
        s->tls = SSL_CTX_new(TLS_method());
        assert_int_equal(SSL_CTX_use_certificate(s->tls, ca_x509(leaf)), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(s->tls, ca_private_key(leaf)), 1);
    }
    assert_int_equal(pthread_create(&s->thread, NULL, serve_all, s), 0);
}

static void server_stop(struct server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    while (s->visits_len > 0)
        pthread_join(s->visits[--s->visits_len], NULL);
    close(s->listener);
    SSL_CTX_free(s->tls);
}

/* ---- a request ---- */

struct client {
    struct loop *loop;
    struct fetcher *fetcher;
    struct timer stop;
    bool over;
    unsigned status;
    char body[64], type[64], twice[64], missing[64];
    struct err err;
};

static void on_stop(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct client, stop)->loop);
}

static void client_start(struct client *c)
{
    *c = (struct client){.loop = loop_new(&c->err)};
    c->fetcher = fetcher_new(c->loop, &c->err);
    if (c->fetcher == NULL)
        fail_msg("%s", c->err.text);
    timer_init(&c->stop, on_stop);
}

static void client_end(struct client *c)
{
    fetcher_free(c->fetcher);
    loop_free(c->loop);
}

static void on_done(void *arg, const struct fetch_answer *a, const struct err *err)
{
    struct client *c = arg;
    struct str twice, missing;
    assert_false(c->over);
    c->over = true;
    loop_stop(c->loop);
    if (a == NULL) {
        c->err = *err;
        return;
    }
    twice = fetch_field(a, "X-TWICE");
    missing = fetch_field(a, "X-Twic");
    c->status = a->status;
    str_copy(c->body, sizeof(c->body), a->body.p != NULL ? a->body.p : "", a->body.len);
    str_copy(c->type, sizeof(c->type), a->type.p, a->type.len);
    str_copy(c->twice, sizeof(c->twice), twice.p, twice.len);
    str_copy(c->missing, sizeof(c->missing), missing.p, missing.len);
}

/* False where it did not even begin. */
static bool ask(struct client *c, const struct fetch_request *r)
{
    c->over = false;
    c->status = 0;
    c->err.text[0] = c->body[0] = '\0';
    if (fetch_start(c->fetcher, r, on_done, c, &c->err) == NULL)
        return false;
    assert_false(c->over);
    loop_set_timer(c->loop, &c->stop, clock_monotonic() + 60 * NSEC_PER_SEC);
    assert_int_equal(loop_run(c->loop, &c->err), 0);
    assert_true(c->over);
    return true;
}

static const char *url_of(const struct server *s, const char *path)
{
    static char url[256];
    snprintf(url, sizeof(url), "%s://127.0.0.1:%u%s", s->tls != NULL ? "https" : "http", s->port, path);
    return url;
}

static void get(struct client *c, const struct server *s, const char *path)
{
    assert_true(ask(c, &(struct fetch_request){.method = "GET", .url = url_of(s, path)}));
}

static void check_error(const struct client *c, const char *words)
{
    assert_int_equal(c->status, 0);
    if (strstr(c->err.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", c->err.text, words);
}

/* ---- what is asked and answered ---- */

static void test_an_answer_comes_whole(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    server_start(&s, NULL);
    client_start(&c);
    get(&c, &s, "/good");
    assert_int_equal(c.status, 200);
    assert_string_equal(c.body, "hello");
    assert_string_equal(c.type, "text/plain");
    assert_string_equal(c.twice, "two");
    assert_string_equal(c.missing, "");
    assert_non_null(strstr(server_seen(&s), "User-Agent: cardea/" CARDEA_VERSION "\r\n"));
    get(&c, &s, "/empty");
    assert_int_equal(c.status, 200);
    assert_string_equal(c.body, "");
    get(&c, &s, "/problem");
    assert_int_equal(c.status, 400);
    assert_string_equal(c.type, "application/problem+json");
    assert_string_equal(c.body, "{}");
    client_end(&c);
    server_stop(&s);
}

static void test_content_is_posted(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    server_start(&s, NULL);
    client_start(&c);
    struct fetch_request r = {
        .method = "POST", .url = url_of(&s, "/x"), .type = "application/jose+json", .body = {"{\"a\":1}", 7}};
    assert_true(ask(&c, &r));
    assert_string_equal(c.body, "else");
    assert_non_null(strstr(server_seen(&s), "POST /x HTTP/1.1\r\n"));
    assert_non_null(strstr(server_seen(&s), "Content-Type: application/jose+json\r\n"));
    assert_non_null(strstr(server_seen(&s), "\r\n\r\n{\"a\":1}"));
    assert_null(strstr(server_seen(&s), "Expect"));
    r = (struct fetch_request){.method = "HEAD", .url = url_of(&s, "/good")};
    assert_true(ask(&c, &r));
    assert_int_equal(c.status, 200);
    assert_string_equal(c.body, "");
    client_end(&c);
    server_stop(&s);
}

static void test_redirects_are_followed_where_wanted(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    server_start(&s, NULL);
    client_start(&c);
    get(&c, &s, "/to3");
    assert_int_equal(c.status, 302);
    struct fetch_request r = {.method = "GET", .url = url_of(&s, "/to3"), .follow = true};
    assert_true(ask(&c, &r));
    assert_int_equal(c.status, 200);
    assert_string_equal(c.body, "hello"); /* nothing of the answers on the way */
    r.url = url_of(&s, "/to12");
    assert_true(ask(&c, &r));
    check_error(&c, "redirects");
    r.url = url_of(&s, "/file");
    assert_true(ask(&c, &r));
    check_error(&c, "rotocol");
    client_end(&c);
    server_stop(&s);
}

static void test_the_connection_goes_where_it_is_sent(void **state)
{
    struct server s;
    struct client c;
    char to[32];
    (void)state;
    server_start(&s, NULL);
    client_start(&c);
    snprintf(to, sizeof(to), "127.0.0.1:%u", s.port);
    struct fetch_request r = {.method = "GET", .url = "http://www.example.com/good", .connect_to = to};
    assert_true(ask(&c, &r));
    assert_int_equal(c.status, 200);
    assert_non_null(strstr(server_seen(&s), "Host: www.example.com\r\n"));
    r.host = "other.example.com";
    assert_true(ask(&c, &r));
    assert_non_null(strstr(server_seen(&s), "Host: other.example.com\r\n"));
    assert_null(strstr(server_seen(&s), "www.example.com"));
    client_end(&c);
    server_stop(&s);
}

/* ---- what goes wrong ---- */

static void test_what_comes_is_bounded(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    server_start(&s, NULL);
    client_start(&c);
    get(&c, &s, "/much");
    check_error(&c, "more than 1048576 bytes");
    struct fetch_request r = {.method = "GET", .url = url_of(&s, "/good"), .max = 4};
    assert_true(ask(&c, &r));
    check_error(&c, "more than 4 bytes");
    r.max = 5;
    assert_true(ask(&c, &r));
    assert_string_equal(c.body, "hello");
    get(&c, &s, "/fields");
    check_error(&c, "fields have more than 65536 bytes");
    client_end(&c);
    server_stop(&s);
}

static void test_time_is_bounded(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    server_start(&s, NULL);
    client_start(&c);
    int64_t before = clock_monotonic();
    struct fetch_request r = {.method = "GET", .url = url_of(&s, "/slow"), .timeout = 50 * NSEC_PER_MSEC};
    assert_true(ask(&c, &r));
    check_error(&c, "no whole answer within 0.05 s");
    assert_true(clock_monotonic() - before < 20 * NSEC_PER_SEC);
    client_end(&c);
    server_stop(&s);
}

static void test_broken_answers_are_none(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    server_start(&s, NULL);
    client_start(&c);
    get(&c, &s, "/half");
    check_error(&c, "/half: ");
    get(&c, &s, "/garbage");
    check_error(&c, "/garbage: ");
    assert_null(strchr(c.err.text, '\x1b'));
    uint16_t port = s.port;
    server_stop(&s);
    s.port = port;
    s.tls = NULL;
    get(&c, &s, "/good");
    check_error(&c, "/good: ");
    client_end(&c);
}

static void test_urls_are_looked_at(void **state)
{
    struct client c;
    (void)state;
    client_start(&c);
    struct fetch_request r = {.method = "GET", .url = "file:///etc/passwd"};
    assert_false(ask(&c, &r));
    check_error(&c, "file:///etc/passwd: expected a URL that begins with http:// or https://");
    r.url = "gopher://192.0.2.1/";
    assert_false(ask(&c, &r));
    /* Neither password nor query are told; port 0 is no port. */
    r.url = "http://me:secret@127.0.0.1:0/path?token=secret#x";
    assert_true(ask(&c, &r));
    check_error(&c, "http://127.0.0.1:0/path: ");
    assert_null(strstr(c.err.text, "secret"));
    client_end(&c);
}

static void test_a_proxy_of_the_environment_is_not_asked(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    server_start(&s, NULL);
    client_start(&c);
    get(&c, &s, "/good");
    assert_int_equal(c.status, 200);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    client_end(&c);
    server_stop(&s);
}

/* ---- TLS ---- */

static const char *save_root(const struct ca *root, const char *name)
{
    struct err err;
    struct buf pem = {.max = 0};
    const char *path = pki_path(name);
    assert_true(ca_chain_pem(root, &pem));
    assert_int_equal(file_write_atomic(path, 0644, pem.data, pem.len, &err), 0);
    buf_free(&pem);
    return path;
}

static void test_the_server_proves_who_it_is(void **state)
{
    struct server s, misnamed;
    struct client c;
    (void)state;
    struct ca *root = pki_root("root"), *other = pki_root("other");
    struct ca *leaf =
        pki_issue(root, CA_PROFILE_SERVER,
                  (struct ca_request){.sans = (const char *const[]){"127.0.0.1"}, .sans_len = 1});
    struct ca *wrong =
        pki_issue(root, CA_PROFILE_SERVER,
                  (struct ca_request){.sans = (const char *const[]){"example.com"}, .sans_len = 1});
    server_start(&s, leaf);
    server_start(&misnamed, wrong);
    client_start(&c);
    struct fetch_request r = {
        .method = "GET", .url = url_of(&s, "/good"), .ca_file = save_root(root, "root.pem")};
    assert_true(ask(&c, &r));
    assert_int_equal(c.status, 200);
    r.ca_file = save_root(other, "other.pem");
    assert_true(ask(&c, &r));
    check_error(&c, "certificate");
    r.ca_file = NULL; /* the system's */
    assert_true(ask(&c, &r));
    check_error(&c, "certificate");
    r.ca_file = pki_path("none.pem");
    assert_true(ask(&c, &r));
    check_error(&c, "none.pem");
    r.ca_file = pki_path("root.pem");
    r.url = url_of(&misnamed, "/good");
    assert_true(ask(&c, &r));
    check_error(&c, "127.0.0.1");
    r.unproven = true;
    assert_true(ask(&c, &r));
    assert_int_equal(c.status, 200);
    client_end(&c);
    server_stop(&s);
    server_stop(&misnamed);
    ca_free(root);
    ca_free(other);
    ca_free(leaf);
    ca_free(wrong);
}

/* A certificate for the name and key of `ca`, by `issuer`, with a use that is over, or for other names. */
static X509 *cross_sign(const struct ca *ca, const struct ca *issuer, bool expired, const char *constraints)
{
    X509 *cert = pki_blank(issuer, ca_private_key(ca));
    assert_true(X509_set_subject_name(cert, X509_get_subject_name(ca_x509(ca))));
    if (expired)
        assert_non_null(ASN1_TIME_set_posix(X509_getm_notAfter(cert), time(NULL) - 60));
    pki_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    pki_extension(cert, NID_key_usage, "critical,keyCertSign");
    if (constraints != NULL)
        pki_extension(cert, NID_name_constraints, constraints);
    pki_sign(cert, issuer);
    return cert;
}

static void sends_too(const struct server *s, X509 *cert)
{
    assert_int_equal(SSL_CTX_add1_chain_cert(s->tls, cert), 1);
}

/* A server that sends two certificates of the CA that has issued its own: `first`, and then a good one. */
static void test_every_path_is_tried(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    struct ca *root = pki_root("root"), *old = pki_root("old"), *between = pki_root("between");
    struct ca *leaf =
        pki_issue(between, CA_PROFILE_SERVER,
                  (struct ca_request){.sans = (const char *const[]){"127.0.0.1"}, .sans_len = 1});
    X509 *bad[] = {cross_sign(between, root, true, NULL), cross_sign(between, old, false, NULL),
                   cross_sign(between, root, false, "critical,permitted;IP:192.0.2.0/255.255.255.0")};
    static const char *const words[] = {"has expired", "old", "permitted subtree violation"};
    X509 *good = cross_sign(between, root, false, NULL);
    save_root(root, "root.pem");
    client_start(&c);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        server_start(&s, leaf);
        sends_too(&s, bad[i]);
        struct fetch_request r = {
            .method = "GET", .url = url_of(&s, "/good"), .ca_file = pki_path("root.pem")};
        assert_true(ask(&c, &r));
        check_error(&c, words[i]);
        assert_string_equal(server_seen(&s), ""); /* it was not told what was wanted */
        sends_too(&s, good);
        assert_true(ask(&c, &r));
        assert_string_equal(c.err.text, "");
        assert_string_equal(c.body, "hello");
        server_stop(&s);
        X509_free(bad[i]);
    }
    client_end(&c);
    X509_free(good);
    ca_free(root);
    ca_free(old);
    ca_free(between);
    ca_free(leaf);
}

/* Each server on the way proves itself, and one that need not prove anything leaves nothing to
 * those that do. */
static void test_each_connection_is_judged(void **state)
{
    struct server plain, s;
    struct client c;
    char path[128];
    (void)state;
    struct ca *root = pki_root("root"), *other = pki_root("other");
    struct ca *leaf =
        pki_issue(root, CA_PROFILE_SERVER,
                  (struct ca_request){.sans = (const char *const[]){"127.0.0.1"}, .sans_len = 1});
    server_start(&plain, NULL);
    server_start(&s, leaf);
    client_start(&c);
    snprintf(path, sizeof(path), "/away?%s", url_of(&s, "/stay"));
    struct fetch_request r = {.method = "GET",
                              .url = strdup(url_of(&plain, path)),
                              .follow = true,
                              .ca_file = save_root(root, "root.pem")};
    assert_true(ask(&c, &r));
    assert_string_equal(c.body, "stays");
    r.ca_file = save_root(other, "other.pem");
    assert_true(ask(&c, &r));
    check_error(&c, "root");
    r.unproven = true;
    assert_true(ask(&c, &r));
    assert_string_equal(c.body, "stays");
    r.unproven = false;
    assert_true(ask(&c, &r));
    check_error(&c, "root");
    assert_int_equal(s.visits_len, 4);
    r.ca_file = pki_path("root.pem");
    assert_true(ask(&c, &r));
    assert_string_equal(c.body, "stays");
    assert_int_equal(s.visits_len, 4); /* over the first connection, which was judged */
    free((char *)(uintptr_t)r.url);
    client_end(&c);
    server_stop(&plain);
    server_stop(&s);
    ca_free(root);
    ca_free(other);
    ca_free(leaf);
}

static void count_down(void *arg, const struct fetch_answer *a, const struct err *err)
{
    struct client *c = arg;
    (void)err;
    assert_non_null(a);
    if (++c->status == 2)
        loop_stop(c->loop);
}

/* A connection of HTTP/2 outlives a request that is broken off: one that was not believed is not kept all the
 * same, and one that was is for one request at a time. */
static void test_each_connection_of_http2_is_judged(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    if ((curl_library(&c.err)->version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTP2) == 0)
        skip();
    struct ca *root = pki_root("root"), *other = pki_root("other");
    struct ca *leaf =
        pki_issue(root, CA_PROFILE_SERVER,
                  (struct ca_request){.sans = (const char *const[]){"127.0.0.1"}, .sans_len = 1});
    server_start(&s, leaf);
    SSL_CTX_set_alpn_select_cb(s.tls, choose_http2, NULL);
    client_start(&c);
    struct fetch_request r = {
        .method = "GET", .url = url_of(&s, "/good"), .ca_file = save_root(other, "other.pem")};
    for (size_t i = 1; i <= 2; i++) {
        assert_true(ask(&c, &r));
        check_error(&c, "root");
        assert_string_equal(server_seen(&s), "");
        assert_int_equal(s.visits_len, i);
    }
    r.ca_file = save_root(root, "root.pem");
    for (size_t i = 1; i <= 2; i++) {
        assert_true(ask(&c, &r));
        assert_string_equal(c.body, "two");
        assert_int_equal(s.visits_len, 3);
    }
    c.status = 0;
    for (size_t i = 1; i <= 2; i++)
        assert_non_null(fetch_start(c.fetcher, &r, count_down, &c, &c.err));
    assert_int_equal(loop_run(c.loop, &c.err), 0);
    assert_int_equal(c.status, 2);
    assert_int_equal(s.visits_len, 4);
    r.unproven = true; /* is not even offered it */
    assert_true(ask(&c, &r));
    assert_string_equal(c.body, "hello");
    client_end(&c);
    server_stop(&s);
    ca_free(root);
    ca_free(other);
    ca_free(leaf);
}

static CURLoption unknown; /* to a library that is older */

static CURLcode setopt_of_old(CURL *easy, CURLoption option, ...)
{
    va_list ap;
    va_start(ap, option);
    void *value = va_arg(ap, void *); /* as wide as long and curl_off_t, and passed alike */
    va_end(ap);
    return option == unknown ? CURLE_UNKNOWN_OPTION : curl_library(NULL)->easy_setopt(easy, option, value);
}

/* What cannot tell us what a server shows, or does not ask, still does not believe anyone. */
static void test_an_old_library_judges_itself(void **state)
{
    static const CURLoption options[] = {CURLOPT_CERTINFO, CURLOPT_PREREQFUNCTION, CURLOPT_OPENSOCKETFUNCTION,
                                         CURLOPT_SSL_VERIFYPEER};
    struct server s;
    struct client c;
    (void)state;
    struct ca *root = pki_root("root"), *other = pki_root("other");
    struct ca *leaf =
        pki_issue(root, CA_PROFILE_SERVER,
                  (struct ca_request){.sans = (const char *const[]){"127.0.0.1"}, .sans_len = 1});
    save_root(root, "root.pem");
    save_root(other, "other.pem");
    server_start(&s, leaf);
    client_start(&c);
    struct curl_library old = *c.fetcher->curl;
    old.easy_setopt = setopt_of_old;
    c.fetcher->curl = &old;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        unknown = options[i];
        struct fetch_request r = {
            .method = "GET", .url = url_of(&s, "/good"), .ca_file = pki_path("root.pem")};
        assert_true(ask(&c, &r));
        assert_string_equal(c.body, "hello");
        r.ca_file = i % 2 == 0 ? pki_path("other.pem") : NULL;
        assert_true(ask(&c, &r));
        check_error(&c, "certificate");
    }
    client_end(&c);
    server_stop(&s);
    ca_free(root);
    ca_free(other);
    ca_free(leaf);
}

static int forgotten; /* by a library: the certificate that it does not tell of */

static CURLcode getinfo_of_forgetful(CURL *easy, CURLINFO info, ...)
{
    va_list ap;
    va_start(ap, info);
    void *ret = va_arg(ap, void *);
    va_end(ap);
    CURLcode code = curl_library(NULL)->easy_getinfo(easy, info, ret);
    if (info != CURLINFO_CERTINFO || code != CURLE_OK)
        return code;
    const struct curl_certinfo *shown = *(struct curl_certinfo **)ret;
    assert_true(forgotten < shown->num_of_certs);
    for (struct curl_slist *line = shown->certinfo[forgotten]; line != NULL; line = line->next)
        if (strncmp(line->data, "Cert:", 5) == 0)
            line->data[0] = 'c';
    return code;
}

/* A certificate of his own that is too long to be told of, and behind it the one of whom he is not. */
static void test_what_is_told_in_part_proves_nothing(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    const struct ca_request request = {.sans = (const char *const[]){"127.0.0.1"}, .sans_len = 1};
    struct ca *root = pki_root("root"), *other = pki_root("other");
    struct ca *leaf = pki_issue(root, CA_PROFILE_SERVER, request);
    struct ca *liar = pki_issue(other, CA_PROFILE_SERVER, request);
    struct fetch_request r = {.method = "GET", .ca_file = save_root(root, "root.pem")};
    client_start(&c);
    struct curl_library forgetful = *c.fetcher->curl;
    forgetful.easy_getinfo = getinfo_of_forgetful;
    c.fetcher->curl = &forgetful;
    for (forgotten = 0; forgotten < 2; forgotten++) {
        server_start(&s, forgotten == 0 ? liar : leaf);
        sends_too(&s, ca_x509(leaf));
        r.url = url_of(&s, "/good");
        assert_true(ask(&c, &r));
        check_error(&c, "not known");
        assert_string_equal(server_seen(&s), "");
        server_stop(&s);
    }
    client_end(&c);
    ca_free(root);
    ca_free(other);
    ca_free(leaf);
    ca_free(liar);
}

static int select_h2(SSL *ssl, const uint8_t **ret, uint8_t *ret_len, const uint8_t *offered, unsigned len,
                     void *arg)
{
    (void)ssl, (void)offered, (void)len, (void)arg;
    *ret = (const uint8_t *)"h2";
    *ret_len = 2;
    return SSL_TLSEXT_ERR_OK;
}

/* HTTP/2, say, of which libcurl keeps a connection also where a request on it was broken off. */
static void test_a_protocol_that_was_not_offered(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    const struct ca_request request = {.sans = (const char *const[]){"127.0.0.1"}, .sans_len = 1};
    struct ca *root = pki_root("root"), *other = pki_root("other");
    struct ca *liar = pki_issue(other, CA_PROFILE_SERVER, request);
    struct fetch_request r = {.method = "GET", .ca_file = save_root(root, "root.pem")};
    client_start(&c);
    server_start(&s, liar);
    SSL_CTX_set_alpn_select_cb(s.tls, select_h2, NULL);
    r.url = url_of(&s, "/good");
    for (size_t i = 1; i <= 2; i++) {
        assert_true(ask(&c, &r));
        check_error(&c, "other");
        assert_string_equal(server_seen(&s), "");
        assert_int_equal(s.visits_len, i);
    }
    server_stop(&s);
    client_end(&c);
    ca_free(root);
    ca_free(other);
    ca_free(liar);
}

static void test_old_tls_is_refused(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    struct ca *root = pki_root("root");
    struct ca *leaf =
        pki_issue(root, CA_PROFILE_SERVER,
                  (struct ca_request){.sans = (const char *const[]){"127.0.0.1"}, .sans_len = 1});
    server_start(&s, leaf);
    SSL_CTX_set_max_proto_version(s.tls, TLS1_1_VERSION);
    client_start(&c);
    struct fetch_request r = {.method = "GET", .url = url_of(&s, "/good"), .unproven = true};
    assert_true(ask(&c, &r));
    check_error(&c, "handshake");
    client_end(&c);
    server_stop(&s);
    ca_free(root);
    ca_free(leaf);
}

/* ---- ends of one's own ---- */

static void never(void *arg, const struct fetch_answer *a, const struct err *err)
{
    (void)arg;
    (void)a;
    (void)err;
    fail_msg("told of a request that was cancelled");
}

static struct fetch *start(struct client *c, const struct server *s, const char *path)
{
    struct fetch_request r = {.method = "GET", .url = url_of(s, path)};
    struct fetch *t = fetch_start(c->fetcher, &r, never, NULL, &c->err);
    assert_non_null(t);
    return t;
}

static void run_for(struct client *c, int64_t ns)
{
    loop_set_timer(c->loop, &c->stop, clock_monotonic() + ns);
    assert_int_equal(loop_run(c->loop, &c->err), 0);
}

static void test_cancelled_is_not_told(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    server_start(&s, NULL);
    client_start(&c);
    fetch_cancel(start(&c, &s, "/good")); /* before anything happened */
    struct fetch *slow = start(&c, &s, "/slow");
    run_for(&c, 30 * NSEC_PER_MSEC);
    fetch_cancel(slow); /* while it waits */
    get(&c, &s, "/good");
    assert_int_equal(c.status, 200);
    client_end(&c);
    server_stop(&s);
}

static void test_freed_with_requests_under_way(void **state)
{
    struct server s;
    struct client c;
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        server_start(&s, NULL);
        client_start(&c);
        start(&c, &s, "/slow");
        start(&c, &s, "/slow");
        if (i > 0)
            run_for(&c, i * 15 * NSEC_PER_MSEC);
        client_end(&c);
        server_stop(&s);
    }
    fetcher_free(NULL);
}

static void test_a_missing_library_is_named(void **state)
{
    struct curl_library library;
    struct err err;
    (void)state;
    assert_int_equal(curl_library_load((const char *const[]){"libnosuch-curl.so.9", NULL}, &library, &err),
                     -1);
    assert_non_null(strstr(err.text, "libnosuch-curl.so.9"));
    assert_non_null(strstr(err.text, "install it (Debian: libcurl3-gnutls"));
    /* There, but not what is needed. */
    assert_int_equal(curl_library_load((const char *const[]){"libc.so.6", NULL}, &library, &err), -1);
    assert_non_null(strstr(err.text, "libcurl has no curl_global_init"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_comes_whole),
        cmocka_unit_test(test_content_is_posted),
        cmocka_unit_test(test_redirects_are_followed_where_wanted),
        cmocka_unit_test(test_the_connection_goes_where_it_is_sent),
        cmocka_unit_test(test_what_comes_is_bounded),
        cmocka_unit_test(test_time_is_bounded),
        cmocka_unit_test(test_broken_answers_are_none),
        cmocka_unit_test(test_urls_are_looked_at),
        cmocka_unit_test(test_a_proxy_of_the_environment_is_not_asked),
        cmocka_unit_test(test_the_server_proves_who_it_is),
        cmocka_unit_test(test_every_path_is_tried),
        cmocka_unit_test(test_each_connection_is_judged),
        cmocka_unit_test(test_each_connection_of_http2_is_judged),
        cmocka_unit_test(test_an_old_library_judges_itself),
        cmocka_unit_test(test_what_is_told_in_part_proves_nothing),
        cmocka_unit_test(test_a_protocol_that_was_not_offered),
        cmocka_unit_test(test_old_tls_is_refused),
        cmocka_unit_test(test_cancelled_is_not_told),
        cmocka_unit_test(test_freed_with_requests_under_way),
        cmocka_unit_test(test_a_missing_library_is_named),
    };
    signal(SIGPIPE, SIG_IGN); /* the server says goodbye to those that are gone */
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
