/* SPDX-License-Identifier: Apache-2.0 */
/* Walking through a site by two ways, plain HTTP and HTTPS, to see whether they lead to the same one: its
 * root, and what its pages link to, breadth first. Each page is asked for by the first way, by the other, and
 * by the first again (page_likeness.h). One request at a time; nothing is sent but GET without cookies. */
#ifndef CARDEA_PROBE_PAGE_WALK_H
#define CARDEA_PROBE_PAGE_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hostport.h"
#include "probe/page_html.h"

struct fetcher;
struct page_walk;

#define PAGE_WALK_PAGES_MAX 1000

struct page_way {
    char origin[HOST_MAX + 16];     /* "http://HOST"; its host is the server name of https: */
    char connect_to[HOST_MAX + 16]; /* HOST:PORT */
};

struct page_walk_params {
    struct fetcher *fetcher; /* of the thread of the loop */
    struct page_way now, then;
    char host[HOST_MAX];              /* of the site: sent as Host, and what links may name */
    const char *cert_file, *key_file; /* ours, shown to who asks for one; NULL: none */
    size_t pages;                     /* asked for at most, 1 to PAGE_WALK_PAGES_MAX */
    size_t depth;                     /* links between the root and a page at most */
    size_t size;                      /* bytes of one at most; a larger one is passed over */
    int64_t timeout;                  /* of a request, in nanoseconds */
    int64_t deadline;                 /* of the walk, likewise; pages that are left then are left out */
    void (*step)(void *owner);        /* a page was looked at; may be NULL */
    void (*done)(void *owner);        /* once: from the loop, or at the start where nothing can be asked */
    void *owner;
};

struct page_walk_result {
    size_t same;              /* pages that prove something: no errors, and alike */
    size_t differ;            /* or do not come by the other way */
    size_t untold;            /* errors by both ways, restless ones, or none came now */
    size_t to_tls;            /* of `same`: now they only lead to themselves by https: */
    bool cut;                 /* the deadline came before the end */
    double likeness;          /* the least of those that are alike */
    char path[PAGE_PATH_MAX]; /* the first page that differs; "" */
    struct err why;           /* what it differs in; or why the root does not come now */
    bool unanswered;          /* not even the root comes now */
};

/* Begin. `params` is copied, what it points at is borrowed. Never NULL. */
struct page_walk *page_walk_start(const struct page_walk_params *params);

/* So far, and in the end. Lives as long as the walk. */
const struct page_walk_result *page_walk_result(const struct page_walk *w);

/* At any time but from within `done` or `step`. NULL is allowed. */
void page_walk_free(struct page_walk *w);

#endif
