/* SPDX-License-Identifier: Apache-2.0 */
/* Do two ways to a site show the same page? Pages change from one look to the next (tokens, times, counters),
 * so a page is first looked at twice by the same way; by the other it may differ from these as much as they
 * do from each other. Pure. */
#ifndef CARDEA_PROBE_PAGE_LIKENESS_H
#define CARDEA_PROBE_PAGE_LIKENESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "probe/page_html.h"

#define PAGE_TYPE_MAX 64
#define PAGE_WORDS_MAX 65536 /* words of a page that count */

/* The words of a text, and each three that follow one another, as sorted hashes without repetition: a set. */
struct page_prints {
    uint64_t *v;
    size_t n;
};

/* What came when a page was asked for. */
struct page_look {
    unsigned status;
    char type[PAGE_TYPE_MAX]; /* media type in lower case, without parameters; "": none */
    char
        location[PAGE_PATH_MAX]; /* where a redirect leads: a path of the site, else as it stands; "": none */
    bool to_tls;                 /* it only leads to the same page by https: */
    struct page_prints prints;
};

/* Read the content into `ret`; of HTML what people read. */
void page_prints_make(struct str content, bool html, struct page_prints *ret);
void page_prints_free(struct page_prints *p);

/* How much of what is in either set is in both (Jaccard): 0 to 1; 1 of two that are empty. */
double page_prints_likeness(const struct page_prints *a, const struct page_prints *b);

enum page_verdict {
    PAGE_SAME,
    PAGE_EMPTY,    /* the same, but an error on both sides, which any server may say: no evidence */
    PAGE_RESTLESS, /* it differs from itself so much that nothing can be said */
    PAGE_DIFFERS,
};

struct page_compared {
    enum page_verdict verdict;
    double itself;   /* likeness of the two looks by the same way */
    double likeness; /* that by the other way, measured by it: 1 is as like as itself, or more */
    const char
        *what; /* PAGE_DIFFERS: what differs first: "status", "redirect", "type" or "content"; static */
};

/* `first` and `again` came by one way, `other` by the other, at best in between. */
struct page_compared page_compare(const struct page_look *first, const struct page_look *again,
                                  const struct page_look *other);

#endif
