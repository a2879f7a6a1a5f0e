/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/login_http.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clean.h"
#include "fetch/fetch.h"
#include "login/form.h"
#include "loop/loop.h"

#define HTTPS_PORT 443
#define WORDS_MAX 300

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
    char host[HOST_MAX];
    uint16_t port;
    *h = (struct login_http){.loop = NULL};
    if (read_door(door, host, &port, err) < 0)
        return -1;
    CHECK(str_host_port_put(&h->connect_to, host, port) && buf_printf(&h->base, "https://") &&
          str_host_port_put(&h->base, name != NULL ? name : host, port));
    snprintf(h->place, sizeof(h->place), "%s", buf_text(&h->connect_to));
    h->loop = loop_new(err);
    h->fetcher = h->loop != NULL ? fetcher_new(h->loop, err) : NULL;
    return h->fetcher != NULL ? 0 : -1;
}

void login_http_close(struct login_http *h)
{
    fetcher_free(h->fetcher);
    loop_free(h->loop);
    buf_free(&h->base);
    buf_free(&h->connect_to);
}

/* One request that is waited for. */
struct asked {
    struct loop *loop;
    int status; /* -1: no answer, see `err` */
    struct buf body;
    struct err err;
};

static void on_answer(void *arg, const struct fetch_answer *answer, const struct err *err)
{
    struct asked *a = arg;
    if (answer == NULL)
        a->err = *err;
    else if (buf_append(&a->body, answer->body.p, answer->body.len))
        a->status = (int)answer->status;
    loop_stop(a->loop);
}

static int ask(struct login_http *h, const char *path, struct fetch_request *r, struct buf *ret,
               struct err *err)
{
    struct asked a = {.loop = h->loop, .status = -1, .err = {"no memory for the answer"}};
    struct buf url = {0};
    CHECK(buf_printf(&url, "%s%s", buf_text(&h->base), path));
    r->url = buf_text(&url);
    r->connect_to = buf_text(&h->connect_to);
    bool began = fetch_start(h->fetcher, r, on_answer, &a, err) != NULL && loop_run(h->loop, err) == 0;
    buf_free(&url);
    *ret = a.body;
    h->answered = began && a.status >= 0;
    if (!began)
        return -1;
    if (a.status < 0)
        err_set(err,
                "the door %s gives no answer: %s. Is it that address? --name gives the name that the door "
                "proves and "
                "serves logins under, --ca or --ca-fingerprint its CA",
                h->place, a.err.text);
    return a.status;
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
    struct buf body = {0}, answer = {0};
    form_write(m, &body);
    json_decref(m);
    struct fetch_request r = {.method = "POST",
                              .type = FORM_TYPE,
                              .body = {(const char *)body.data, body.len},
                              .ca_file = h->ca,
                              .cert_file = h->cert,
                              .key_file = h->cert};
    int status = ask(h, path, &r, &answer, err);
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
    struct fetch_request r = {.method = "GET", .unproven = true};
    int status = ask(h, path, &r, ret, err);
    if (status < 0 || status == 200)
        return status < 0 ? -1 : 0;
    return tell_refusal(h, status, NULL, err);
}
