/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/lookup.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dns/query.h"
#include "ech/offer.h"
#include "ech/question.h"

#define ALIASES_MAX 4

struct ech_lookup {
    struct fetcher *fetcher;
    const struct doh_resolver *resolver;
    struct ech_question *question;
    char *host;
    uint16_t port;
    char name[DNS_NAME_SIZE]; /* that is asked for now */
    int aliases;              /* that have been followed */
    uint32_t ttl;             /* of those */
    ech_looked_up *done;
    void *arg;
};

static void lookup_free(struct ech_lookup *l)
{
    free(l->host);
    free(l);
}

static void finish(struct ech_lookup *l, const struct buf *configs, uint32_t ttl, const struct err *why)
{
    static const struct buf none = {0};
    l->done(l->arg, configs != NULL ? configs : &none, MIN(ttl, l->ttl), why);
    lookup_free(l);
}

static void on_answer(void *arg, struct str message, const struct err *why);

static int ask(struct ech_lookup *l, struct err *err)
{
    struct buf query = {0};
    if (dns_query_https(l->name, &query, err) != 0)
        return -1;
    l->question = ech_question_start(l->fetcher, l->resolver, &query, on_answer, l, err);
    buf_free(&query);
    return l->question != NULL ? 0 : -1;
}

/* The name stands for another (RFC 9460, 2.4.2). */
static int follow(struct ech_lookup *l, const struct dns_https *found, struct err *err)
{
    if (++l->aliases > ALIASES_MAX)
        return err_set(err, "%s leads to more than %d names, one after the other", l->host, ALIASES_MAX);
    l->ttl = MIN(l->ttl, found->ttl);
    memcpy(l->name, found->alias, sizeof(l->name));
    return ask(l, err);
}

/* Configs that nobody here can use are as none (RFC 9848, 5.1: the record is passed over). */
static void take(struct ech_lookup *l, const struct dns_https *found)
{
    struct buf list = {0};
    if (ech_list_is_for_us((const uint8_t *)found->ech.p, found->ech.len))
        CHECK(buf_append(&list, found->ech.p, found->ech.len));
    finish(l, &list, found->ttl, NULL);
    buf_free(&list);
}

static void read_answer(struct ech_lookup *l, struct str body)
{
    struct dns_https found;
    struct err err;
    switch (dns_answer_https(l->name, l->host, l->port, body, &found, &err)) {
    case DNS_HTTPS:
        take(l, &found);
        return;
    case DNS_NOTHING:
        finish(l, NULL, found.ttl, NULL);
        return;
    case DNS_ALIAS:
        if (follow(l, &found, &err) == 0)
            return;
        break;
    default:
        break;
    }
    finish(l, NULL, 0, &err);
}

static void on_answer(void *arg, struct str message, const struct err *why)
{
    struct ech_lookup *l = arg;
    l->question = NULL;
    if (why != NULL)
        finish(l, NULL, 0, why);
    else
        read_answer(l, message);
}

struct ech_lookup *ech_lookup_start(struct fetcher *fetcher, const struct doh_resolver *resolver,
                                    const char *host, uint16_t port, ech_looked_up *done, void *arg,
                                    struct err *err)
{
    struct ech_lookup *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    *l = (struct ech_lookup){.fetcher = fetcher,
                             .resolver = resolver,
                             .host = strdup(host),
                             .port = port,
                             .ttl = UINT32_MAX,
                             .done = done,
                             .arg = arg};
    CHECK(l->host != NULL);
    if (dns_https_name(host, port, l->name, err) == 0 && ask(l, err) == 0)
        return l;
    lookup_free(l);
    return NULL;
}

void ech_lookup_cancel(struct ech_lookup *lookup)
{
    if (lookup == NULL)
        return;
    ech_question_cancel(lookup->question);
    lookup_free(lookup);
}
