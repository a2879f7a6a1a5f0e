/* SPDX-License-Identifier: Apache-2.0 */
#include "web/challenges.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/str.h"
#include "cert/cert.h"

#define PREFIX "/.well-known/acme-challenge/"

struct challenge {
    struct list node;
    char *name;
    char *token; /* NULL: it is a certificate */
    char *answer;
    struct cert *cert;
};

struct challenges {
    _Atomic size_t count; /* changed under the lock */
    pthread_mutex_t lock;
    struct list all;
};

struct challenges *challenges_new(void)
{
    struct challenges *c = calloc(1, sizeof(*c));
    CHECK(c != NULL && pthread_mutex_init(&c->lock, NULL) == 0);
    list_init(&c->all);
    return c;
}

static void lock(struct challenges *c)
{
    CHECK(pthread_mutex_lock(&c->lock) == 0);
}

static void unlock(struct challenges *c)
{
    CHECK(pthread_mutex_unlock(&c->lock) == 0);
}

static void challenge_free(struct challenge *one)
{
    free(one->name);
    free(one->token);
    free(one->answer);
    cert_unref(one->cert);
    free(one);
}

void challenges_free(struct challenges *c)
{
    struct list *n;
    if (c == NULL)
        return;
    while ((n = list_pop(&c->all)) != NULL)
        challenge_free(CONTAINER_OF(n, struct challenge, node));
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static struct challenge *find(struct challenges *c, const char *name, const char *token)
{
    for (struct list *n = c->all.next; n != &c->all; n = n->next) {
        struct challenge *one = CONTAINER_OF(n, struct challenge, node);
        if (strcmp(one->name, name) == 0 && str_same(one->token, token))
            return one;
    }
    return NULL;
}

/* In the place of the one that is there. */
static bool put(struct challenges *c, const char *name, const char *token, const char *answer,
                struct cert *cert)
{
    struct challenge *fresh = calloc(1, sizeof(*fresh)), *before;
    CHECK(fresh != NULL);
    *fresh = (struct challenge){.name = str_dup(name),
                                .token = str_dup(token),
                                .answer = str_dup(answer),
                                .cert = cert == NULL ? NULL : cert_ref(cert)};
    lock(c);
    before = find(c, name, token);
    bool fits = before != NULL || atomic_load(&c->count) < CHALLENGES_MAX;
    if (before != NULL)
        list_remove(&before->node);
    if (fits)
        list_insert(&c->all, &fresh->node);
    atomic_fetch_add(&c->count, fits && before == NULL);
    unlock(c);
    if (before != NULL)
        challenge_free(before);
    if (!fits)
        challenge_free(fresh);
    return fits;
}

bool challenges_put(struct challenges *c, const char *name, const char *token, const char *answer)
{
    CHECK(token != NULL && answer != NULL);
    return put(c, name, token, answer, NULL);
}

bool challenges_put_cert(struct challenges *c, const char *name, struct cert *cert)
{
    CHECK(cert != NULL);
    return put(c, name, NULL, NULL, cert);
}

void challenges_drop(struct challenges *c, const char *name, const char *token)
{
    lock(c);
    struct challenge *one = find(c, name, token);
    if (one != NULL) {
        list_remove(&one->node);
        atomic_fetch_sub(&c->count, 1);
    }
    unlock(c);
    if (one != NULL)
        challenge_free(one);
}

struct cert *challenges_cert(struct challenges *c, struct str name)
{
    struct cert *found = NULL;
    if (atomic_load(&c->count) == 0)
        return NULL;
    lock(c);
    for (struct list *n = c->all.next; n != &c->all && found == NULL; n = n->next) {
        struct challenge *one = CONTAINER_OF(n, struct challenge, node);
        if (one->cert != NULL && str_is(name, one->name))
            found = cert_ref(one->cert);
    }
    unlock(c);
    return found;
}

/* The host is not compared: a token is known to its CA only, which may come by another name (RFC 8555, 8.3:
 * after redirects). */
bool challenges_answer(struct challenges *c, struct str token, struct buf *out)
{
    bool found = false;
    if (atomic_load(&c->count) == 0)
        return false;
    lock(c);
    for (struct list *n = c->all.next; n != &c->all && !found; n = n->next) {
        const struct challenge *one = CONTAINER_OF(n, struct challenge, node);
        if (one->token == NULL || !str_is(token, one->token))
            continue;
        found = true;
        CHECK(buf_append(out, one->answer, strlen(one->answer)));
    }
    unlock(c);
    return found;
}

/* ---- the service ---- */

static void serve(void *arg, const struct web_request *r, struct web_exchange *exchange)
{
    struct web_answer answer = {0};
    size_t skip = strlen(PREFIX);
    const struct str token = {r->path.p + skip, r->path.len - skip};
    if (!str_is(r->method, "GET") && !str_is(r->method, "HEAD")) {
        web_answer_not_allowed(&answer, "GET, HEAD");
    } else if (challenges_answer(arg, token, &answer.body)) {
        answer.status = 200;
        answer.type = "application/octet-stream";
    } else {
        web_answer_text(&answer, 404, "this door has no challenge of that token");
    }
    web_exchange_answer(exchange, &answer);
}

struct web_service challenges_service(struct challenges *c)
{
    static const char *const prefixes[] = {PREFIX, NULL};
    return (struct web_service){
        .name = "challenges", .prefixes = prefixes, .plain = true, .at_once = true, .serve = serve, .arg = c};
}
