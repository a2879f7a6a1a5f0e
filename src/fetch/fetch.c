/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's multi interface on our loop: it names the descriptors to watch and when it wants to be called,
 * and is called then. What it calls back in only notes; ends are told from a task, when it is not on the
 * stack any more. */
#include "fetch/fetch_internal.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

#define FETCHER_MAGIC 0xfe7c4e12u
/* More than are needed at once (the keeper has twenty and some under way): with fewer each burst of questions
 * to a CA shakes hands anew. */
#define IDLE_CONNECTIONS_MAX 32L

/* A descriptor of libcurl's. It is freed at the end of the round, when no event names it any more. */
struct fetch_socket {
    struct list node;
    struct fetcher *fetcher;
    struct watch watch;
    struct task reap;
};

/* ---- descriptors ---- */

static void call_libcurl(struct fetcher *f, curl_socket_t fd, int events);

static void on_ready(struct watch *w, uint32_t events)
{
    struct fetch_socket *s = CONTAINER_OF(w, struct fetch_socket, watch);
    int what = ((events & (EPOLLIN | EPOLLRDHUP)) != 0 ? CURL_CSELECT_IN : 0) |
               ((events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
               ((events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
    call_libcurl(s->fetcher, w->fd, what);
}

static void reap_socket(struct task *t)
{
    free(CONTAINER_OF(t, struct fetch_socket, reap));
}

static void drop_socket(struct fetch_socket *s)
{
    loop_unwatch(s->fetcher->loop, &s->watch);
    list_remove(&s->node);
    loop_defer(s->fetcher->loop, &s->reap);
}

/* Level-triggered: libcurl does not promise to read until there is nothing left. */
static uint32_t events_of(int what)
{
    return ((what & CURL_POLL_IN) != 0 ? (uint32_t)EPOLLIN : 0) |
           ((what & CURL_POLL_OUT) != 0 ? (uint32_t)EPOLLOUT : 0);
}

static int add_socket(struct fetcher *f, curl_socket_t fd, int what)
{
    struct fetch_socket *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->fetcher = f;
    s->watch.fd = -1;
    task_init(&s->reap, reap_socket);
    list_init(&s->node);
    if (loop_watch(f->loop, &s->watch, fd, events_of(what), on_ready) != 0) {
        free(s);
        return -1; /* libcurl then ends the request */
    }
    list_insert(&f->sockets, &s->node);
    f->curl->multi_assign(f->multi, fd, s);
    return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct fetcher *f = arg;
    struct fetch_socket *s = socket_arg;
    (void)easy;
    if (s == NULL)
        return what == CURL_POLL_REMOVE ? 0 : add_socket(f, fd, what);
    if (what != CURL_POLL_REMOVE)
        return loop_rewatch(f->loop, &s->watch, events_of(what));
    f->curl->multi_assign(f->multi, fd, NULL);
    drop_socket(s);
    return 0;
}

/* ---- time ---- */

static int on_timeout(CURLM *multi, long ms, void *arg)
{
    struct fetcher *f = arg;
    (void)multi;
    wheel_cancel(&f->timer);
    f->due = ms == 0;
    if (ms == 0)
        loop_defer(f->loop, &f->step);
    else if (ms > 0)
        loop_set_timer(f->loop, &f->timer, loop_now(f->loop) + ms * NSEC_PER_MSEC);
    return 0;
}

static void on_timer(struct timer *t)
{
    call_libcurl(CONTAINER_OF(t, struct fetcher, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* ---- ends ---- */

static void collect(struct fetcher *f)
{
    CURLMsg *m;
    int left;
    while ((m = f->curl->multi_info_read(f->multi, &left)) != NULL) {
        struct fetch *t = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result;
        CURL *easy = m->easy_handle;
        f->curl->easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
        CHECK(t != NULL && t->easy == easy);
        f->curl->multi_remove_handle(f->multi, easy); /* `m` is gone */
        t->code = code;
        list_remove(&t->node);
        list_insert(&f->over, &t->node);
        loop_defer(f->loop, &f->step);
    }
}

static void call_libcurl(struct fetcher *f, curl_socket_t fd, int events)
{
    int running;
    f->curl->multi_socket_action(f->multi, fd, events, &running);
    collect(f);
}

static void tell(struct fetch *t)
{
    struct fetch_answer answer;
    struct err err = {{0}};
    bool came = transfer_result(t, &answer, &err) == 0;
    t->done(t->arg, came ? &answer : NULL, came ? NULL : &err);
    transfer_free(t);
}

static void on_step(struct task *task)
{
    struct fetcher *f = CONTAINER_OF(task, struct fetcher, step);
    struct list *node;
    if (f->due) {
        f->due = false;
        call_libcurl(f, CURL_SOCKET_TIMEOUT, 0);
    }
    while ((node = list_pop(&f->over)) != NULL)
        tell(CONTAINER_OF(node, struct fetch, node));
}

/* ---- for others ---- */

int fetch_check(struct err *err)
{
    return curl_library(err) != NULL ? 0 : -1;
}

struct fetcher *fetcher_new(struct loop *loop, struct err *err)
{
    const struct curl_library *curl = curl_library(err);
    if (curl == NULL)
        return NULL;
    struct fetcher *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->magic = FETCHER_MAGIC;
    f->curl = curl;
    f->loop = loop;
    list_init(&f->fetches);
    list_init(&f->over);
    list_init(&f->sockets);
    timer_init(&f->timer, on_timer);
    task_init(&f->step, on_step);
    f->multi = curl->multi_init();
    if (f->multi != NULL && curl->multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
        curl->multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f) == CURLM_OK &&
        curl->multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timeout) == CURLM_OK &&
        curl->multi_setopt(f->multi, CURLMOPT_TIMERDATA, f) == CURLM_OK &&
        curl->multi_setopt(f->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK &&
        curl->multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS_MAX) == CURLM_OK)
        return f;
    err_set(err, "libcurl %s could not begin", curl->version_info(CURLVERSION_NOW)->version);
    fetcher_free(f);
    return NULL;
}

static void drop_fetches(struct list *of)
{
    while (!list_empty(of))
        fetch_cancel(CONTAINER_OF(of->next, struct fetch, node));
}

void fetcher_free(struct fetcher *f)
{
    if (f == NULL)
        return;
    CHECK_MAGIC(f, FETCHER_MAGIC);
    drop_fetches(&f->fetches);
    drop_fetches(&f->over);
    if (f->multi != NULL)
        f->curl->multi_cleanup(f->multi);
    while (!list_empty(&f->sockets))
        drop_socket(CONTAINER_OF(f->sockets.next, struct fetch_socket, node));
    wheel_cancel(&f->timer);
    list_remove(&f->step.node);
    f->magic = 0;
    free(f);
}

struct fetch *fetch_start(struct fetcher *f, const struct fetch_request *r, fetch_done *done, void *arg,
                          struct err *err)
{
    CHECK_MAGIC(f, FETCHER_MAGIC);
    struct fetch *t = transfer_new(f, r, err);
    if (t == NULL)
        return NULL;
    t->done = done;
    t->arg = arg;
    if (f->curl->multi_add_handle(f->multi, t->easy) != CURLM_OK) {
        err_set(err, "%s: libcurl does not begin the request", t->name);
        transfer_free(t);
        return NULL;
    }
    list_insert(&f->fetches, &t->node);
    return t;
}

void fetch_cancel(struct fetch *t)
{
    t->fetcher->curl->multi_remove_handle(t->fetcher->multi, t->easy); /* harmless where it has been */
    transfer_free(t);
}
