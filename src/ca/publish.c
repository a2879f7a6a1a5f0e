/* SPDX-License-Identifier: Apache-2.0 */
/* On the office's thread. */
#include "ca/publish.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "ca/authority.h"
#include "ca/publication.h"
#include "cert/pem.h"
#include "config/config.h"
#include "loop/ear.h"
#include "loop/loop.h"

#define DAY (86400 * NSEC_PER_SEC)

struct ca_publisher {
    struct ear operator;
    struct publication *publication; /* NULL: there is no CA */
    struct authority *authority;
    int64_t told; /* see ear_tell_seldom() */
    struct {
        _Atomic int64_t at, due; /* 0: there is no CA */
    } root, intermediate;
    struct loop *loop; /* while the office runs */
    struct timer daily;
};

/* ---- its end ---- */

static void warn_of_end(const struct ca_publisher *s)
{
    const int64_t now = clock_wall() / NSEC_PER_SEC;
    char until[PEM_TIME_MAX];
    if (authority_is_ending(authority_root(s->authority), now))
        ear_tell(
            &s->operator,
            "ca: the root is good until %s: nothing that it vouches for is good behind that; make another "
            "root (cardea ca renew --root) in time",
            pem_time_text(authority_end(authority_root(s->authority)), until));
    else if (authority_is_ending(authority_intermediate(s->authority), now))
        ear_tell(
            &s->operator,
            "ca: the intermediate is good until %s, and what it issues ends with it: cardea ca renew, then "
            "reload",
            pem_time_text(authority_end(authority_intermediate(s->authority)), until));
}

static void on_day(struct timer *t)
{
    struct ca_publisher *s = CONTAINER_OF(t, struct ca_publisher, daily);
    if (s->authority != NULL)
        warn_of_end(s);
    loop_set_timer(s->loop, t, loop_now(s->loop) + DAY);
}

static void begin(void *arg, struct loop *loop)
{
    struct ca_publisher *s = arg;
    s->loop = loop;
    timer_init(&s->daily, on_day);
    loop_set_timer(loop, &s->daily, loop_now(loop) + DAY);
}

static void end(void *arg)
{
    struct ca_publisher *s = arg;
    wheel_cancel(&s->daily);
}

/* ---- serving ---- */

static void serve(void *arg, const struct web_request *request, struct web_exchange *exchange)
{
    struct ca_publisher *s = arg;
    struct web_answer answer = {0};
    struct err err;
    const int64_t now = clock_wall() / NSEC_PER_SEC;
    if (s->publication == NULL) {
        web_exchange_text(exchange, 503, "the door was started without `ca`: start it anew");
        return;
    }
    if (publication_answer(s->publication, request, now, &answer, &err) < 0)
        ear_tell_seldom(&s->operator, & s->told, "ca: %s", err.text);
    web_exchange_answer(exchange, &answer);
}

struct web_service ca_publisher_web(struct ca_publisher *s)
{
    static const char *const prefixes[] = {PUBLICATION_PATH, NULL};
    return (struct web_service){.name = "ca",
                                .prefixes = prefixes,
                                .plain = true,
                                .serve = serve,
                                .begin = begin,
                                .end = end,
                                .arg = s};
}

struct ca_publisher *ca_publisher_new(const struct ear *operator)
{
    struct ca_publisher *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->operator= * operator;
    return s;
}

void ca_publisher_free(struct ca_publisher *s)
{
    if (s == NULL)
        return;
    publication_free(s->publication);
    free(s);
}

/* Certificates say where CRL and OCSP are, for as long as they live: better said now than found out then. */
static int check_url(const struct ca_publisher *s, struct authority *a, const char *dir, struct err *err)
{
    struct str url;
    const size_t tail = strlen(PUBLICATION_PATH) - 1; /* the URL ends without the last '/' */
    if (authority_url(a, &url, err) < 0)
        return -1;
    if (url.len > tail && memcmp(url.p + url.len - tail, PUBLICATION_PATH, tail) == 0)
        return 0;
    ear_tell(&s->operator,
             "ca: certificates of the CA in %s say %s%.*s, and the door serves CRL and OCSP below %.*s: "
             "cardea ca set --dir %s --url http://HOST%.*s",
             dir, url.len == 0 ? "nowhere where it is" : "that CRL and OCSP are at ", (int)url.len, url.p,
             (int)tail, PUBLICATION_PATH, dir, (int)tail, PUBLICATION_PATH);
    return 0;
}

struct publication *ca_publisher_prepare(const struct ca_publisher *s, struct authority *a,
                                         const struct config_ca *ca, bool is_served, struct err *err)
{
    const struct publication_lifetimes lifetimes = {.crl = ca->crl_lifetime / NSEC_PER_SEC,
                                                    .ocsp = ca->ocsp_lifetime / NSEC_PER_SEC};
    if (is_served && check_url(s, a, ca->directory.text, err) < 0)
        return NULL;
    return publication_new(a, &lifetimes);
}

void ca_publisher_take(struct ca_publisher *s, struct publication *p, struct authority *a)
{
    publication_free(s->publication);
    s->publication = p;
    s->authority = a;
    atomic_store(&s->root.due, authority_due(authority_root(a)));
    atomic_store(&s->intermediate.due, authority_due(authority_intermediate(a)));
    atomic_store(&s->intermediate.at, authority_end(authority_intermediate(a)));
    atomic_store(&s->root.at, authority_end(authority_root(a)));
    warn_of_end(s);
}

int ca_publisher_open(struct ca_publisher *s, struct authority *a, const struct config_ca *ca, bool is_served,
                      struct err *err)
{
    CHECK(s->publication == NULL);
    struct publication *p = ca_publisher_prepare(s, a, ca, is_served, err);
    if (p == NULL)
        return -1;
    ca_publisher_take(s, p, a);
    return 0;
}

bool ca_publisher_ends(const struct ca_publisher *s, struct ca_end *ret_root, struct ca_end *ret_intermediate)
{
    *ret_root = (struct ca_end){atomic_load(&s->root.at), atomic_load(&s->root.due)};
    *ret_intermediate = (struct ca_end){atomic_load(&s->intermediate.at), atomic_load(&s->intermediate.due)};
    return ret_root->at != 0;
}
