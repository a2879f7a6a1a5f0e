/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/login_http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "config/config.h"
#include "ech/source.h"
#include "http1/reply.h"
#include "link/fd_link.h"
#include "login/form.h"
#include "loop/loop.h"
#include "tunnel/client.h"

#define HTTPS_PORT 443
#define WORDS_MAX 300
#define ASK_TIMEOUT (30 * NSEC_PER_SEC)
#define ANSWER_MAX ((size_t)1024 * 1024)
#define ALPN "http/1.1"

/* HOST:PORT, or HOST for port 443. */
static int read_door(const char *door, char ret_host[HOST_MAX], uint16_t *ret_port, struct err *err)
{
    struct buf whole = {0};
    struct err ignored;
    if (str_host_port(door, strlen(door), ret_host, ret_port, err) == 0)
        return 0;
    CHECK(buf_printf(&whole, "%s:%d", door, HTTPS_PORT));
    int status = str_host_port((const char *)whole.data, whole.len, ret_host, ret_port, &ignored);
    buf_free(&whole);
    return status < 0 ? err_prefix(err, "%s", door) : 0;
}

int login_http_open(struct login_http *h, const char *door, const char *name, struct err *err)
{
    struct buf place = {0}, authority = {0};
    char host[HOST_MAX];
    uint16_t port;
    *h = (struct login_http){.name = name};
    if (read_door(door, host, &port, err) < 0)
        return -1;
    CHECK(str_host_port_put(&place, host, port) &&
          str_host_port_put(&authority, name != NULL ? name : host, port));
    snprintf(h->place, sizeof(h->place), "%s", buf_text(&place));
    snprintf(h->authority, sizeof(h->authority), "%s", buf_text(&authority));
    buf_free(&place);
    buf_free(&authority);
    h->loop = loop_new(err);
    return h->loop != NULL ? 0 : -1;
}

void login_http_close(struct login_http *h)
{
    ech_source_unref(h->ech_source);
    loop_free(h->loop);
}

/* One request that is waited for, on a connection of its own. */
struct asked {
    struct loop *loop;
    struct link *link; /* to the tunnel's client, which leads it through TLS; NULL: it is over */
    struct timer late;
    struct buf request; /* what is left of it */
    struct buf heard;
    int status; /* -1: no answer, see `err` */
    struct buf content;
    struct err err;
};

static void conclude(struct asked *a)
{
    loop_stop(a->loop);
    wheel_cancel(&a->late);
}

/* True once there is nothing to wait for. */
static bool judge(struct asked *a, bool ended)
{
    unsigned status;
    struct err err;
    enum reply_status s =
        reply_read(a->heard.data, a->heard.len, ended, ANSWER_MAX, &status, &a->content, &err);
    if (s == REPLY_MORE)
        return false;
    if (s == REPLY_READ)
        a->status = (int)status;
    else
        a->err = err;
    conclude(a);
    return true;
}

static void hear(struct asked *a)
{
    uint8_t bytes[4096];
    size_t n;
    while (link_read(a->link, bytes, sizeof(bytes), &n) == LINK_OK)
        if (!buf_append(&a->heard, bytes, n))
            return; /* judge() says that it is too long */
}

static void on_wake(struct link *link)
{
    struct asked *a = link->owner;
    size_t before = a->heard.len;
    link_write_buf(link, &a->request);
    hear(a);
    if (a->heard.len > before)
        judge(a, false);
}

static void on_late(struct timer *t)
{
    struct asked *a = CONTAINER_OF(t, struct asked, late);
    err_set(&a->err, "it took longer than %d seconds", (int)(ASK_TIMEOUT / NSEC_PER_SEC));
    loop_stop(a->loop);
}

static void on_ended(void *owner, enum client_outcome outcome, const char *text)
{
    struct asked *a = owner;
    if (a->status >= 0)
        return;
    hear(a);
    if (judge(a, outcome == CLIENT_DONE))
        return;
    err_set(&a->err, "%s", text);
    conclude(a);
}

/* The near end of the connection, and the far one, which the client takes. */
static int join(struct asked *a, struct link **ret_far, struct err *err)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return err_errno(err, errno, "a connection to the door");
    a->link = fd_link_socket(a->loop, fds[0], false);
    *ret_far = fd_link_socket(a->loop, fds[1], false);
    CHECK(a->link != NULL && *ret_far != NULL);
    a->link->owner = a;
    a->link->wake = on_wake;
    return 0;
}

static int exchange(struct asked *a, struct client_door *door, struct err *err)
{
    struct link *far = NULL;
    if (join(a, &far, err) < 0)
        return -1;
    client_start(door, NULL, far, NULL, on_ended, a);
    link_write_buf(a->link, &a->request);
    timer_init(&a->late, on_late);
    loop_set_timer(a->loop, &a->late, loop_now(a->loop) + ASK_TIMEOUT);
    int status = loop_run(a->loop, err);
    wheel_cancel(&a->late);
    link_close(a->link, true);
    return status;
}

static void on_notice(void *owner, enum client_notice what, const char *text)
{
    struct login_http *h = owner;
    if (what != CLIENT_ECH || h->warned)
        return;
    h->warned = true;
    fprintf(stderr, "cardea: warning: %s\n", text);
}

/* The DNS is asked by the first one only. */
static struct client_door *open_door(struct login_http *h, bool unproven, struct err *err)
{
    const struct client_settings settings = {.door = h->place,
                                             .cert = unproven ? NULL : h->cert,
                                             .key = unproven ? NULL : h->cert,
                                             .ca = h->ca != NULL ? h->ca : CONFIG_TRUST_SYSTEM,
                                             .name = h->name,
                                             .alpn = ALPN,
                                             .ech = h->ech,
                                             .doh = h->doh,
                                             .ech_source = h->ech_source,
                                             .transport = TRANSPORT_TCP,
                                             .pq = h->pq,
                                             .unproven = unproven,
                                             .timeout = ASK_TIMEOUT};
    struct client_door *door = client_door_new(h->loop, &settings, err);
    if (door == NULL)
        return NULL;
    if (h->ech_source == NULL)
        h->ech_source = client_door_ech_source(door);
    client_door_notices(door, on_notice, h);
    return door;
}

/* `request` is taken over. */
static int ask(struct login_http *h, struct buf *request, bool unproven, struct buf *ret, struct err *err)
{
    struct asked a = {
        .loop = h->loop, .request = *request, .heard.max = ANSWER_MAX + REPLY_HEAD_MAX, .status = -1};
    struct client_door *door = open_door(h, unproven, err);
    bool began = door != NULL && exchange(&a, door, err) == 0;
    client_door_free(door);
    buf_free(&a.request);
    buf_free(&a.heard);
    *ret = a.content;
    h->answered = began && a.status >= 0;
    if (!began)
        return -1;
    if (a.status < 0)
        err_set(
            err,
            "the door %s gives no answer: %s (--name gives the name that it proves and serves logins under, "
            "--ca or --ca-fingerprint its CA)",
            h->place, a.err.text);
    return a.status;
}

static void begin_request(const struct login_http *h, const char *method, const char *path, struct buf *ret)
{
    CHECK(buf_printf(
        ret, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: cardea/" CARDEA_VERSION "\r\nConnection: close\r\n",
        method, path, h->authority));
}

/* What the door says for people; or what its answer is like, where it is none of ours. */
static int tell_refusal(const struct login_http *h, int status, const json_t *answer, struct err *err)
{
    char words[WORDS_MAX];
    struct str said;
    if (answer == NULL || !form_text(answer, "error", ERR_TEXT_MAX, &said))
        return err_set(
            err,
            "%s answers %d in another way than a door that serves `login`: is its name right? --name "
            "gives another",
            h->place, status);
    str_clean(words, sizeof(words), said.p);
    return err_set(err, "the door %s says: %s", h->place, words);
}

int login_http_post(struct login_http *h, const char *path, json_t *m, json_t **ret, struct err *err)
{
    struct buf body = {0}, answer = {0}, request = {0};
    form_write(m, &body);
    json_decref(m);
    begin_request(h, "POST", path, &request);
    CHECK(buf_printf(&request, "Content-Type: " FORM_TYPE "\r\nContent-Length: %zu\r\n\r\n", body.len) &&
          buf_append(&request, body.data, body.len));
    int status = ask(h, &request, false, &answer, err);
    json_t *said = status < 0 ? NULL : form_read((struct str){(const char *)answer.data, answer.len});
    buf_free(&body);
    buf_free(&answer);
    if (status < 0)
        return -1;
    if (said == NULL || status / 100 != 2) {
        tell_refusal(h, status, said, err);
        json_decref(said);
        return -1;
    }
    *ret = said;
    return status;
}

int login_http_get_unproven(struct login_http *h, const char *path, struct buf *ret, struct err *err)
{
    struct buf request = {0};
    begin_request(h, "GET", path, &request);
    CHECK(buf_append(&request, "\r\n", 2));
    int status = ask(h, &request, true, ret, err);
    if (status < 0 || status == 200)
        return status < 0 ? -1 : 0;
    return tell_refusal(h, status, NULL, err);
}
