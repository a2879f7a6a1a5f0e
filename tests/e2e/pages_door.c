/* SPDX-License-Identifier: Apache-2.0 */
/* `pages_door serve -c FILE`: a door as `cardea serve` makes one, whose services are a test's own: they tell
 * what they were asked, take their time, or never answer. With CHALLENGE_NAME, CHALLENGE_CERT and
 * CHALLENGE_KEY in its environment it holds a challenge of acme-tls/1 for that name, and one of http-01 whose
 * token is "token". */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/server.h"
#include "base/check.h"
#include "base/clock.h"
#include "cert/cert.h"
#include "cert/identity.h"
#include "cmd/process.h"
#include "config/config.h"
#include "session/snapshot.h"
#include "web/challenges.h"
#include "web/redirect.h"

/* ---- services ---- */

static void put(struct buf *out, const char *key, struct str value)
{
    CHECK(buf_printf(out, ",\"%s\":", key) && str_json(out, value.p, value.len));
}

/* What was asked, as JSON. */
static void tell(void *arg, const struct web_request *r, struct web_exchange *x)
{
    struct web_answer a = {.status = 200, .type = "application/json"};
    const char *who = r->identity == NULL ? "" : identity_label(r->identity);
    (void)arg;
    CHECK(buf_printf(&a.body, "{\"tls\":%s", r->tls ? "true" : "false"));
    put(&a.body, "method", r->method);
    put(&a.body, "path", r->path);
    put(&a.body, "query", r->query);
    put(&a.body, "host", r->host);
    put(&a.body, "type", r->type);
    put(&a.body, "since", r->since);
    put(&a.body, "source", r->source);
    put(&a.body, "identity", (struct str){who, strlen(who)});
    put(&a.body, "body", r->body);
    CHECK(buf_append(&a.body, "}\n", 2));
    web_answer_field(&a, "Replay-Nonce", "abc");
    web_exchange_answer(x, &a);
}

/* An answer that is due. */
struct later {
    struct timer timer;
    struct list node;
    struct web_exchange *exchange;
};

struct slow {
    struct loop *loop;
    struct list all;
};

static void slow_begin(void *arg, struct loop *loop)
{
    struct slow *s = arg;
    s->loop = loop;
    list_init(&s->all);
}

static void slow_end(void *arg)
{
    struct slow *s = arg;
    struct list *n;
    while ((n = list_pop(&s->all)) != NULL) {
        struct later *l = CONTAINER_OF(n, struct later, node);
        wheel_cancel(&l->timer);
        free(l);
    }
}

static void due(struct timer *t)
{
    struct later *l = CONTAINER_OF(t, struct later, timer);
    list_remove(&l->node);
    web_exchange_text(l->exchange, 200, "at last");
    free(l);
}

/* /slow/MS: after that many milliseconds. */
static void slow_serve(void *arg, const struct web_request *r, struct web_exchange *x)
{
    struct slow *s = arg;
    struct later *l = calloc(1, sizeof(*l));
    char ms[16];
    uint64_t n;
    CHECK(l != NULL &&
          str_copy(ms, sizeof(ms), r->path.p + strlen("/slow/"), r->path.len - strlen("/slow/")) &&
          str_u64(ms, 1000000, &n));
    l->exchange = x;
    timer_init(&l->timer, due);
    list_insert(&s->all, &l->node);
    loop_set_timer(s->loop, &l->timer, loop_now(s->loop) + (int64_t)n * NSEC_PER_MSEC);
}

/* As many bytes as the query says. */
static void big_serve(void *arg, const struct web_request *r, struct web_exchange *x)
{
    struct web_answer a = {.status = 200, .type = "application/octet-stream"};
    char count[16];
    uint64_t n;
    (void)arg;
    CHECK(str_copy(count, sizeof(count), r->query.p, r->query.len) && str_u64(count, 1 << 26, &n));
    CHECK(buf_reserve(&a.body, n));
    memset(a.body.data, 'x', n);
    a.body.len = n;
    web_exchange_answer(x, &a);
}

/* ---- the door ---- */

#define SERVICES 6

struct setting {
    struct loop *loop;
    struct door *door;
    struct signals signals;
    struct slow slow;
    struct challenges *challenges;
    struct web_service services[SERVICES];
    struct door_bindings bindings;
};

static void drained(void *arg)
{
    struct setting *s = arg;
    loop_stop(s->loop);
}

static void on_signal(struct signals *signals, int number)
{
    struct setting *s = CONTAINER_OF(signals, struct setting, signals);
    (void)number;
    door_drain(s->door, drained, s);
}

static void gather(struct setting *s)
{
    static const char *const tells[] = {"/tell/", "/", NULL}, *const secrets[] = {"/secret/", NULL},
                             *const slows[] = {"/slow/", NULL}, *const bigs[] = {"/big", NULL};
    s->challenges = challenges_new();
    const struct web_service services[SERVICES] = {
        {.name = "tell", .prefixes = tells, .plain = true, .serve = tell},
        {.name = "secret", .prefixes = secrets, .serve = tell},
        {.name = "slow",
         .prefixes = slows,
         .plain = true,
         .serve = slow_serve,
         .begin = slow_begin,
         .end = slow_end,
         .arg = &s->slow},
        {.name = "big", .prefixes = bigs, .plain = true, .serve = big_serve},
        challenges_service(s->challenges),
        web_redirect,
    };
    memcpy(s->services, services, sizeof(services));
    s->bindings = (struct door_bindings){
        .services = s->services, .services_len = SERVICES, .challenges = s->challenges};
}

static void hold_challenges(struct setting *s)
{
    const char *name = getenv("CHALLENGE_NAME");
    struct cert_files files = {.certificate = getenv("CHALLENGE_CERT"), .key = getenv("CHALLENGE_KEY")};
    struct err err;
    if (name == NULL)
        return;
    struct cert *cert = cert_load(&files, &err);
    CHECK(cert != NULL && challenges_put_cert(s->challenges, name, cert) &&
          challenges_put(s->challenges, name, "token", "token.thumbprint"));
    cert_unref(cert);
}

/* Until it is told to stop. */
static int serve(struct setting *s, const char *path, struct buf *errors)
{
    struct err err;
    struct config *config = config_load(path, errors);
    s->door = config == NULL ? NULL : door_new(s->loop, config, &s->bindings, errors);
    if (s->door == NULL)
        return 1;
    struct admin *admin = admin_new(s->loop, s->door, &err);
    CHECK(admin != NULL && door_start(s->door, &err) == 0 && loop_run(s->loop, &err) == 0);
    loop_deliver(s->loop);
    admin_free(admin);
    door_free(s->door);
    return 0;
}

int main(int argc, char **argv)
{
    struct setting s = {.signals = SIGNALS_NONE};
    struct buf errors = {0};
    struct err err;
    CHECK(argc == 4);
    s.loop = loop_new(&err);
    CHECK(s.loop != NULL && signals_watch(&s.signals, s.loop, 0, on_signal, &err) == 0);
    gather(&s);
    hold_challenges(&s);
    int status = serve(&s, argv[3], &errors);
    fprintf(stderr, "%s", buf_text(&errors));
    signals_unwatch(&s.signals);
    loop_free(s.loop);
    challenges_free(s.challenges);
    buf_free(&errors);
    return status;
}
