/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/lookup.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dns/query.h"
#include "dns/rdata.h"
#include "ech/offer.h"
#include "ech/question.h"
#include "net/resolver.h"

#define ALIASES_MAX 4

struct ech_lookup {
    struct fetcher *fetcher;
    struct ech_resolver resolver;
    struct ech_question *question; /* one of the two that is under way */
    struct resolve_query *query;   /* likewise */
    bool asking;                   /* the resolver is being called */
    struct err refused;            /* ... and has said no at once; "" otherwise */
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

static void fail(struct ech_lookup *l, const struct err *why)
{
    l->done(l->arg, NULL, why);
    lookup_free(l);
}

/* ---- questions ---- */

static void on_answer(void *arg, struct str message, const struct err *why);
static void on_message(void *arg, enum resolve_status status, struct str message);

static int ask_plainly(struct ech_lookup *l, struct err *err)
{
    l->asking = true;
    l->refused = (struct err){""};
    l->query = resolver_message(l->resolver.plain, l->name, DNS_TYPE_HTTPS, on_message, l);
    l->asking = false;
    if (l->query == NULL)
        *err = l->refused;
    return l->query != NULL ? 0 : -1;
}

static int ask(struct ech_lookup *l, struct err *err)
{
    struct buf query = {0};
    if (l->resolver.plain != NULL)
        return ask_plainly(l, err);
    if (dns_query_https(l->name, &query, err) != 0)
        return -1;
    l->question = ech_question_start(l->fetcher, l->resolver.doh, &query, on_answer, l, err);
    buf_free(&query);
    return l->question != NULL ? 0 : -1;
}

/* ---- answers ---- */

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
static void tell(struct ech_lookup *l, const struct dns_https *found)
{
    struct ech_told told = {.listed = found->ech,
                            .recorded = found->recorded,
                            .alpn = found->alpn,
                            .ttl = MIN(found->ttl, l->ttl)};
    if (ech_list_is_for_us((const uint8_t *)found->ech.p, found->ech.len))
        told.configs = found->ech;
    l->done(l->arg, &told, NULL);
    lookup_free(l);
}

static void read_answer(struct ech_lookup *l, struct str body)
{
    struct dns_https found;
    struct err err;
    switch (dns_answer_https(l->name, l->host, l->port, body, &found, &err)) {
    case DNS_HTTPS:
    case DNS_NOTHING:
        tell(l, &found);
        return;
    case DNS_ALIAS:
        if (follow(l, &found, &err) == 0)
            return;
        break;
    default:
        break;
    }
    fail(l, &err);
}

static void on_message(void *arg, enum resolve_status status, struct str message)
{
    struct ech_lookup *l = arg;
    struct err why;
    l->query = NULL;
    err_set(&why, "%s: %s", l->name, resolve_status_text(status));
    if (l->asking)
        l->refused = why;
    else if (status == RESOLVE_OK)
        read_answer(l, message);
    else if (status == RESOLVE_FAILED)
        fail(l, &why);
    else
        tell(l, &(struct dns_https){.ttl = 0});
}

static void on_answer(void *arg, struct str message, const struct err *why)
{
    struct ech_lookup *l = arg;
    l->question = NULL;
    if (why != NULL)
        fail(l, why);
    else
        read_answer(l, message);
}

struct ech_lookup *ech_lookup_start(struct fetcher *fetcher, const struct ech_resolver *resolver,
                                    const char *host, uint16_t port, ech_looked_up *done, void *arg,
                                    struct err *err)
{
    struct ech_lookup *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    *l = (struct ech_lookup){.fetcher = fetcher,
                             .resolver = *resolver,
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
    resolve_cancel(lookup->query);
    lookup_free(lookup);
}
