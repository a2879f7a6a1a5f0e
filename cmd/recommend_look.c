/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at the backends of a route: a handshake in each mode, and where the backend is spoken to in the
 * clear now, a walk through its pages. One after the other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hostport.h"
#include "base/str.h"
#include "cmd/recommend.h"
#include "cmd/recommend_try.h"
#include "fetch/fetch.h"
#include "loop/loop.h"
#include "net/resolver.h"
#include "tls/tls_link.h"

#define HTTPS_PORT 443
#define NAMES_MAX 2
#define NO_PAGE "as it is now it gives no page: "

struct recommend_looker {
    struct recommend_tools tools;
    const struct recommend_options *options;
    const char *site;        /* what clients of the route at hand call it; NULL: nobody says */
    size_t steps;            /* pages that the walk at hand has looked at */
    struct fetcher *fetcher; /* made for the first walk */
    struct tls_scratch scratch;
};

/* What to try, best first. */
struct choices {
    const char *names[NAMES_MAX];
    size_t names_len;
    const char **trusts;
    size_t trusts_len;
};

/* ---- climbing ---- */

static void note(struct rung *r, const char *before, const char *text)
{
    size_t len = strlen(r->text);
    if (strstr(r->text, text) == NULL)
        snprintf(r->text + len, sizeof(r->text) - len, "%s%s%s", len > 0 ? "; " : "", before, text);
}

static bool climb_one(struct recommend_looker *l, const struct recommend_attempt *a, struct backend_advice *b)
{
    struct rung *r = &b->rungs[a->mode];
    char before[ADVICE_TEXT_MAX] = "";
    struct err err = {""};
    r->works = recommend_try(&l->tools, a, &err);
    r->tried = true;
    if (r->works)
        r->text[0] = '\0';
    if (a->mode == MODE_FULL_STRICT && a->trust != NULL)
        snprintf(before, sizeof(before), "%s by %s: ", a->name != NULL ? a->name : a->at->host, a->trust);
    note(r, before, err.text);
    return r->works;
}

/* The first name and bundle that the backend proves itself by. */
static bool climb_to_proof(struct recommend_looker *l, const struct choices *c, struct recommend_attempt *a,
                           struct backend_advice *b)
{
    for (size_t k = 0; k < c->trusts_len; k++)
        for (size_t i = 0; i < c->names_len; i++) {
            a->name = c->names[i];
            a->trust = c->trusts[k];
            if (climb_one(l, a, b))
                return true;
        }
    a->name = c->names[0];
    a->trust = NULL;
    return false;
}

/* Each mode above `now`, up to the first that does not work; `a` is left as it worked best. */
static void climb(struct recommend_looker *l, const struct choices *c, struct recommend_attempt *a,
                  enum backend_mode now, enum backend_mode most, struct backend_advice *b)
{
    b->best = now;
    for (int m = MAX((int)now + 1, (int)MODE_FULL); m <= (int)most; m++) {
        a->mode = (enum backend_mode)m;
        if (!(m == MODE_FULL_STRICT ? climb_to_proof(l, c, a, b) : climb_one(l, a, b)))
            return;
        b->best = a->mode;
    }
}

/* ---- walking ---- */

static void on_walked(void *owner)
{
    struct recommend_looker *l = owner;
    loop_stop(l->tools.loop);
}

static void on_step(void *owner)
{
    struct recommend_looker *l = owner;
    l->steps++;
    if (!l->options->quiet)
        fprintf(stderr, "\rlooked at %zu of at most %zu pages", l->steps, l->options->pages);
}

static void put_way(struct page_way *way, const char *scheme, const char *name, const char *host,
                    uint16_t port)
{
    struct buf place = {0};
    snprintf(way->origin, sizeof(way->origin), strchr(name, ':') != NULL ? "%s://[%s]" : "%s://%s", scheme,
             name);
    CHECK(str_host_port_put(&place, host, port));
    str_copy(way->connect_to, sizeof(way->connect_to), (const char *)place.data, place.len);
    buf_free(&place);
}

/* By the way of now and by that of the attempt. */
static int walk(struct recommend_looker *l, const struct recommend_attempt *a, const struct page_way *now,
                size_t pages, struct backend_advice *b, struct err *err)
{
    const struct recommend_options *o = l->options;
    const struct config_backend_tls *t = config_route_backend(a->route)->tls;
    if (l->fetcher == NULL && (l->fetcher = fetcher_new(l->tools.loop, err)) == NULL)
        return -1;
    struct page_walk_params params = {.fetcher = l->fetcher,
                                      .now = *now,
                                      .cert_file = t != NULL ? t->certificate.text : NULL,
                                      .key_file = t != NULL ? t->key.text : NULL,
                                      .pages = pages,
                                      .depth = o->depth,
                                      .size = o->size,
                                      .timeout = o->timeout,
                                      .deadline = o->deadline,
                                      .step = on_step,
                                      .done = on_walked,
                                      .owner = l};
    const char *site = l->site != NULL ? l->site : a->at->host;
    str_copy(params.host, sizeof(params.host), site, strlen(site));
    put_way(&params.then, "https", a->name != NULL ? a->name : a->at->host, a->at->host, a->port);
    l->steps = 0;
    struct page_walk *w = page_walk_start(&params);
    int rc = loop_run(l->tools.loop, err);
    b->pages = *page_walk_result(w);
    b->walked = true;
    page_walk_free(w);
    if (!o->quiet)
        fputs("\r\033[K", stderr);
    return rc;
}

static void give_up(struct backend_advice *b, const char *before, const char *why)
{
    b->state = ADVICE_UNKNOWN;
    err_set(&b->note, "%s%s", before, why);
}

/* Can its backends be asked for pages? Clients that begin in another protocol than TLS want no web server. */
static bool has_pages(const struct config *c, const struct config_route *route)
{
    if (route->first_bytes.n > 0) /* 'http' goes with other actions */
        return false;
    for (size_t i = 0; i < c->listeners.n; i++) {
        const struct config_listener *listener = &c->listeners.v[i];
        const char *speaks = listener->speaks.text;
        if (config_route_names(route, listener->name.text) &&
            (strcmp(speaks, CONFIG_SPEAKS_TLS) == 0 || strcmp(speaks, CONFIG_SPEAKS_PLAIN) == 0))
            return true;
    }
    return route->listeners.n == 0; /* what comes by STARTTLS is led to routes that name its listener */
}

/* What works may still lead elsewhere, which nothing but pages could tell. */
static void say_no_pages(struct backend_advice *b, enum backend_mode now)
{
    b->best = now;
    err_set(&b->note,
            "its clients do not begin with TLS, so it is no web server: there are no pages to compare, "
            "and nothing else is recommended");
}

/* Does a stronger mode lead to the same site? */
static void compare(struct recommend_looker *l, const struct recommend_attempt *a, const struct page_way *way,
                    enum backend_mode now, struct backend_advice *b)
{
    const struct page_walk_result *p = &b->pages;
    struct err err;
    if (!has_pages(l->tools.config, a->route)) {
        say_no_pages(b, now);
    } else if (walk(l, a, way, l->options->pages, b, &err) != 0) {
        give_up(b, "", err.text);
    } else if (p->unanswered) {
        give_up(b, NO_PAGE, p->why.text);
    } else if (p->differ == 0 && p->same == 0) {
        give_up(b, "", "no page could be compared");
    } else if (p->differ > 0) {
        b->best = now;
        err_set(&b->note, "what comes in a stronger mode is not what comes now: %.200s: %.400s", p->path,
                p->why.text);
    }
}

/* ---- one backend ---- */

/* Where does a backend that is spoken to in the clear speak TLS as well? */
static bool find_port(struct recommend_looker *l, struct recommend_attempt *a, struct backend_advice *b)
{
    uint16_t given = l->options->port;
    uint16_t ports[] = {given != 0 ? given : a->at->port, given != 0 ? given : HTTPS_PORT};
    a->mode = MODE_FULL;
    b->rungs[MODE_FULL].tried = true;
    for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
        struct err err = {""};
        char before[32];
        a->port = ports[i];
        if (i > 0 && ports[i] == ports[0])
            break;
        if (recommend_try(&l->tools, a, &err)) {
            b->port = a->port;
            return true;
        }
        snprintf(before, sizeof(before), "port %u: ", a->port);
        note(&b->rungs[MODE_FULL], before, err.text);
    }
    return false;
}

/* Nothing is better than what is now; if that works. */
static void look_at_root(struct recommend_looker *l, const struct recommend_attempt *a,
                         const struct page_way *way, struct backend_advice *b)
{
    struct err err;
    if (walk(l, a, way, 1, b, &err) != 0)
        give_up(b, "", err.text);
    else if (b->pages.unanswered)
        give_up(b, NO_PAGE, b->pages.why.text);
    else
        err_set(&b->note, "it speaks no TLS%s",
                l->options->port == 0 ? ", here or at port 443; --port says where else to look" : "");
    b->walked = false;
}

static void look_at_plain(struct recommend_looker *l, const struct choices *c, struct recommend_attempt *a,
                          const struct route_advice *r, struct backend_advice *b)
{
    struct page_way way;
    if (r->route->hand_on.proxy != CONFIG_SEND_PROXY_NONE) {
        give_up(b, "", "it expects a PROXY header ('hand_on.proxy'), so its pages cannot be asked for");
        return;
    }
    if (!has_pages(l->tools.config, r->route)) {
        say_no_pages(b, r->now);
        return;
    }
    put_way(&way, "http", l->site != NULL ? l->site : a->at->host, a->at->host, a->at->port);
    if (find_port(l, a, b)) {
        climb(l, c, a, r->now, r->best, b);
        compare(l, a, &way, r->now, b);
    } else {
        look_at_root(l, a, &way, b);
    }
}

/* Asked by the same name it is the same server in every mode, and a handshake tells all. */
static void look_at_tls(struct recommend_looker *l, const struct choices *c, struct recommend_attempt *a,
                        const struct route_advice *r, struct backend_advice *b)
{
    const struct config_backend_tls *t = config_route_backend(r->route)->tls;
    const char *name = t->name.text != NULL ? t->name.text : a->at->host;
    struct page_way way;
    a->port = b->port = a->at->port;
    a->mode = r->now;
    a->name = t->name.text;
    a->trust = t->trust.text;
    if (!climb_one(l, a, b)) {
        give_up(b, "the present mode fails: ", b->rungs[r->now].text);
        return;
    }
    a->name = c->names[0];
    climb(l, c, a, r->now, r->best, b);
    if (b->best == r->now || a->name == NULL || strcmp(a->name, name) == 0)
        return;
    put_way(&way, "https", name, a->at->host, a->port);
    compare(l, a, &way, r->now, b);
}

static void look_at_backend(struct recommend_looker *l, const struct choices *c, struct route_advice *r,
                            struct backend_advice *b)
{
    struct recommend_attempt a = {.route = r->route, .at = b->at, .name = c->names[0]};
    b->best = r->now;
    if (b->at->place != CONFIG_AT_IP)
        err_set(&b->note, "it is on this machine");
    else if (r->now >= MODE_FULL)
        look_at_tls(l, c, &a, r, b);
    else
        look_at_plain(l, c, &a, r, b);
    if (b->state != ADVICE_UNKNOWN && b->best > r->now)
        b->state = ADVICE_STRONGER;
    r->name = a.name;
    r->trust = a.trust;
    r->best = MIN(r->best, b->best);
}

/* ---- a route ---- */

/* What its clients call the site: as the command line says, or the first name of the route that is one; NULL:
 * neither says. */
static const char *site_of(const struct recommend_looker *l, const struct config_route *route)
{
    if (l->options->name != NULL)
        return l->options->name;
    for (size_t i = 0; i < route->sni.n; i++)
        if (strchr(route->sni.v[i].text, '*') == NULL && strcmp(route->sni.v[i].text, "none") != 0)
            return route->sni.v[i].text;
    return NULL;
}

/* A backend with a `name`, and one that proves itself already, has that name only. */
static void choose_names(const struct recommend_looker *l, const struct config_backend_tls *t,
                         struct choices *ret)
{
    if (t != NULL)
        ret->names[ret->names_len++] = t->name.text;
    if (l->site != NULL &&
        (t == NULL || (t->name.text == NULL && t->verify == CONFIG_VERIFY_ANY && t->starttls.text == NULL)))
        ret->names[ret->names_len++] = l->site;
    if (t == NULL)
        ret->names[ret->names_len++] = NULL;
}

static void choose(const struct recommend_looker *l, const struct config_route *route, struct choices *ret)
{
    const struct config *c = l->tools.config;
    const struct config_backend_tls *t = config_route_backend(route)->tls;
    *ret = (struct choices){.trusts = calloc(c->trust.n + 1, sizeof(*ret->trusts))};
    CHECK(ret->trusts != NULL);
    choose_names(l, t, ret);
    ret->trusts_len = 1;
    ret->trusts[0] = t != NULL && t->verify != CONFIG_VERIFY_ANY ? t->trust.text : CONFIG_TRUST_SYSTEM;
    for (size_t i = 0; i < c->trust.n && (t == NULL || t->verify == CONFIG_VERIFY_ANY); i++)
        ret->trusts[ret->trusts_len++] = c->trust.v[i].name.text;
}

int recommend_look(struct recommend_looker *l, const struct config_route *route, struct route_advice *ret,
                   struct err *err)
{
    const struct config_addresses *to = &config_route_backend(route)->to;
    struct choices c;
    *ret =
        (struct route_advice){.route = route, .now = recommend_mode(route), .best = MODE_STRICT, .n = to->n};
    ret->backends = calloc(to->n, sizeof(*ret->backends));
    CHECK(ret->backends != NULL);
    if (ret->now < MODE_FULL && fetch_check(err) != 0)
        return -1;
    l->site = site_of(l, route);
    choose(l, route, &c);
    for (size_t i = 0; i < to->n; i++) {
        ret->backends[i].at = &to->v[i];
        look_at_backend(l, &c, ret, &ret->backends[i]);
        if (i == 0) { /* what it has proven the others are asked for too */
            c.names[0] = ret->name;
            c.trusts[0] = ret->trust;
            c.names_len = c.trusts_len = 1;
        }
        if (ret->backends[i].state == ADVICE_UNKNOWN)
            ret->state = ADVICE_UNKNOWN;
    }
    free(c.trusts);
    if (ret->state != ADVICE_UNKNOWN && ret->best > ret->now)
        ret->state = ADVICE_STRONGER;
    return 0;
}

void recommend_advice_free(struct route_advice *a)
{
    free(a->backends);
    *a = (struct route_advice){0};
}

struct recommend_looker *recommend_looker_new(const struct config *c, const struct recommend_options *o,
                                              struct err *err)
{
    struct recommend_looker *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    l->tools.config = c;
    l->tools.timeout = o->timeout;
    l->tools.scratch = &l->scratch;
    l->options = o;
    if ((l->tools.loop = loop_new(err)) == NULL ||
        (l->tools.resolver = resolver_new(l->tools.loop, err)) == NULL) {
        loop_free(l->tools.loop);
        free(l);
        return NULL;
    }
    tls_scratch_init(&l->scratch, l->tools.loop);
    return l;
}

void recommend_looker_free(struct recommend_looker *l)
{
    if (l == NULL)
        return;
    fetcher_free(l->fetcher);
    resolver_free(l->tools.resolver);
    loop_free(l->tools.loop);
    tls_scratch_free(&l->scratch);
    free(l);
}
