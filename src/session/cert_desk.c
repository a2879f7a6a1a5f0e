/* SPDX-License-Identifier: Apache-2.0 */
#include "session/cert_desk.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cert/cache.h"
#include "net/addr.h"

#define DESK_MAGIC 0xce47de50u

struct cert_desk {
    uint32_t magic;
    uint32_t holders; /* questions under way among them */
    struct loop *loop;
    struct cert_source *source;
    struct cert_cache *cache;
    struct list asked; /* struct asked */
    size_t questions;
};

/* A question under way. */
struct asked {
    struct cert_question question;
    struct cert_desk *desk;
    struct list node;
    struct list waiters;
    struct net_addr peer; /* whose wish it was first; of no family where anybody may have made it up */
    bool stale;           /* what it asks for has changed since */
};

struct cert_desk *cert_desk_new(struct loop *loop, struct cert_source *source, size_t names, size_t bytes)
{
    struct cert_desk *desk = calloc(1, sizeof(*desk));
    CHECK(desk != NULL && source != NULL);
    *desk = (struct cert_desk){.magic = DESK_MAGIC,
                               .holders = 1,
                               .loop = loop,
                               .source = cert_source_ref(source),
                               .cache = cert_cache_new(names, bytes)};
    list_init(&desk->asked);
    return desk;
}

struct cert_desk *cert_desk_ref(struct cert_desk *desk)
{
    if (desk != NULL)
        desk->holders++;
    return desk;
}

void cert_desk_unref(struct cert_desk *desk)
{
    if (desk == NULL)
        return;
    CHECK_MAGIC(desk, DESK_MAGIC);
    if (--desk->holders > 0)
        return;
    CHECK(list_empty(&desk->asked));
    cert_cache_free(desk->cache);
    cert_source_unref(desk->source);
    desk->magic = 0;
    free(desk);
}

static struct cert_cache_key key_of(const struct cert_question *q)
{
    return (struct cert_cache_key){{q->name, strlen(q->name)}, q->route};
}

/* Each looks again and finds what has come. Who is woken may take others out of the list. */
static void wake_all(struct list *waiters)
{
    struct list *n;
    while ((n = list_pop(waiters)) != NULL) {
        struct cert_waiter *w = CONTAINER_OF(n, struct cert_waiter, node);
        w->wake(w);
    }
}

/* What has changed since is asked for again where somebody waits for it: at the end nobody does, and there is
 * nobody to ask. */
static void on_answered(struct cert_question *q)
{
    struct asked *a = CONTAINER_OF(q, struct asked, question);
    struct cert_desk *desk = a->desk;
    const struct cert_cache_key key = key_of(q);
    CHECK_MAGIC(desk, DESK_MAGIC);
    if (a->stale && !list_empty(&a->waiters)) {
        a->stale = false;
        cert_answer_done(&q->answer);
        cert_source_ask(desk->source, q);
        return;
    }
    list_remove(&a->node);
    desk->questions--;
    if (a->stale)
        cert_answer_done(&q->answer);
    else
        cert_cache_put(desk->cache, &key, &q->answer, loop_now(desk->loop));
    wake_all(&a->waiters);
    free(a);
    cert_desk_unref(desk);
}

static struct asked *find_asked(const struct cert_desk *desk, const struct cert_cache_key *key)
{
    for (struct list *n = desk->asked.next; n != &desk->asked; n = n->next) {
        struct asked *a = CONTAINER_OF(n, struct asked, node);
        if (a->question.route == key->route && str_is(key->name, a->question.name))
            return a;
    }
    return NULL;
}

#define IPV6_SITE 64

static size_t questions_of(const struct cert_desk *desk, const struct net_addr *peer)
{
    size_t count = 0;
    uint8_t prefix = peer->family == AF_INET6 ? IPV6_SITE : 32;
    bool ip = peer->family == AF_INET || peer->family == AF_INET6;
    for (struct list *n = desk->asked.next; n != &desk->asked && ip; n = n->next)
        count += net_addr_in(&CONTAINER_OF(n, struct asked, node)->peer, peer->family, peer->ip, prefix);
    return count;
}

/* An address that may be made up is not held against whoever has it. */
static struct asked *ask(struct cert_desk *desk, const struct cert_cache_key *key,
                         const struct net_addr *claimed, bool unproven)
{
    static const struct net_addr nobody = {.family = AF_UNSPEC};
    const struct net_addr *peer = unproven ? &nobody : claimed;
    if (desk->questions >= (unproven ? CERT_DESK_QUESTIONS / 4 : CERT_DESK_QUESTIONS) ||
        questions_of(desk, peer) >= CERT_DESK_QUESTIONS_PER_SOURCE)
        return NULL;
    struct asked *a = calloc(1, sizeof(*a));
    CHECK(a != NULL);
    a->desk = cert_desk_ref(desk);
    a->peer = *peer;
    list_init(&a->waiters);
    list_insert(&desk->asked, &a->node);
    desk->questions++;
    a->question.home = desk->loop;
    a->question.answered = on_answered;
    a->question.route = key->route;
    a->question.peer = *peer;
    str_copy(a->question.name, sizeof(a->question.name), key->name.p, key->name.len);
    cert_source_ask(desk->source, &a->question);
    return a;
}

/* As sources know names: in lower case, and without the dot of the root. */
static bool tidy(struct str name, char ret[HOSTNAME_MAX + 1], size_t *ret_len)
{
    size_t len = name.len > 0 && name.p[name.len - 1] == '.' ? name.len - 1 : name.len;
    if (hostname_check(name.p, len) != HOSTNAME_OK)
        return false;
    str_copy(ret, HOSTNAME_MAX + 1, name.p, len);
    str_lower(ret, len);
    *ret_len = len;
    return true;
}

enum cert_desk_result cert_desk_find(struct cert_desk *desk, const struct cert_cache_key *key,
                                     const struct net_addr *peer, struct cert_waiter *waiter,
                                     const struct cert_answer **ret)
{
    static const struct cert_answer nameless = {.why = CERT_DESK_NAMELESS},
                                    busy = {.why = "too many certificates are being waited for"};
    char name[HOSTNAME_MAX + 1];
    struct cert_cache_key tidied = {{name, 0}, key->route};
    CHECK_MAGIC(desk, DESK_MAGIC);
    *ret = &nameless;
    if (!tidy(key->name, name, &tidied.name.len))
        return CERT_DESK_NONE;
    switch (cert_cache_find(desk->cache, &tidied, loop_now(desk->loop), ret)) {
    case CERT_CACHE_HIT:
        return CERT_DESK_FOUND;
    case CERT_CACHE_REFUSED:
        return CERT_DESK_NONE;
    case CERT_CACHE_MISS:
        break;
    }
    struct asked *a = find_asked(desk, &tidied);
    if (a == NULL)
        a = ask(desk, &tidied, peer, waiter->unproven);
    if (a == NULL) {
        *ret = &busy;
        return CERT_DESK_BUSY;
    }
    if (list_empty(&waiter->node))
        list_insert(&a->waiters, &waiter->node);
    return CERT_DESK_WAIT;
}

void cert_desk_forget(struct cert_desk *desk, const char *name)
{
    CHECK_MAGIC(desk, DESK_MAGIC);
    cert_cache_forget(desk->cache, name);
    for (struct list *n = desk->asked.next; n != &desk->asked; n = n->next) {
        struct asked *a = CONTAINER_OF(n, struct asked, node);
        a->stale |= cert_change_concerns(name, key_of(&a->question).name);
    }
}

struct cert_cache_size cert_desk_size(const struct cert_desk *desk, size_t *ret_questions)
{
    CHECK_MAGIC(desk, DESK_MAGIC);
    *ret_questions = desk->questions;
    return cert_cache_size(desk->cache);
}
