/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/page_likeness.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

#define SHINGLE 3   /* words */
#define SETTLED 0.1 /* a page that is less like itself than this tells nothing */
#define LIKE_ENOUGH 0.8
#define ERRORS_FROM 400 /* RFC 9110, 15.5 */

/* ---- prints ---- */

/* Words as they come, with the hashes of the last ones. */
struct reading {
    uint64_t *v;
    size_t n, words;
    uint64_t last[SHINGLE];
};

/* Nothing depends on its secrecy: who makes two pages alike on purpose can serve the same page. */
static uint64_t hash_of(const void *data, size_t len)
{
    static const struct hash_key key = {0, 0};
    return hash_bytes(&key, data, len);
}

static void add_word(struct reading *r, const char *word, size_t len)
{
    if (r->words == PAGE_WORDS_MAX)
        return;
    memmove(r->last, r->last + 1, sizeof(r->last) - sizeof(r->last[0]));
    r->last[SHINGLE - 1] = hash_of(word, len);
    r->v[r->n++] = r->last[SHINGLE - 1];
    if (++r->words >= SHINGLE)
        r->v[r->n++] = hash_of(r->last, sizeof(r->last));
}

static void add_words(void *arg, struct str piece)
{
    for (size_t i = 0; i < piece.len;) {
        size_t from = i;
        while (i < piece.len && (unsigned char)piece.p[i] > ' ')
            i++;
        if (i > from)
            add_word(arg, piece.p + from, i - from);
        while (i < piece.len && (unsigned char)piece.p[i] <= ' ')
            i++;
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void page_prints_make(struct str content, bool html, struct page_prints *ret)
{
    size_t most = MIN(content.len + 1, (size_t)PAGE_WORDS_MAX);
    struct reading r = {.v = calloc(2 * most, sizeof(uint64_t))};
    CHECK(r.v != NULL);
    if (html)
        page_text(content, add_words, &r);
    else
        add_words(&r, content);
    qsort(r.v, r.n, sizeof(uint64_t), by_value);
    size_t n = 0;
    for (size_t i = 0; i < r.n; i++)
        if (n == 0 || r.v[n - 1] != r.v[i])
            r.v[n++] = r.v[i];
    *ret = (struct page_prints){r.v, n};
}

void page_prints_free(struct page_prints *p)
{
    free(p->v);
    *p = (struct page_prints){0};
}

double page_prints_likeness(const struct page_prints *a, const struct page_prints *b)
{
    size_t both = 0;
    for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
        both += a->v[i] == b->v[k];
        bool forth = a->v[i] <= b->v[k];
        k += b->v[k] <= a->v[i];
        i += forth;
    }
    size_t either = a->n + b->n - both;
    return either == 0 ? 1 : (double)both / (double)either;
}

/* ---- verdicts ---- */

/* What two looks differ in but for their content; NULL: nothing. */
static const char *differs_in(const struct page_look *a, const struct page_look *b)
{
    return a->status != b->status                  ? "status"
           : strcmp(a->location, b->location) != 0 ? "redirect"
           : strcmp(a->type, b->type) != 0         ? "type"
                                                   : NULL;
}

static struct page_compared differing(const char *what)
{
    return (struct page_compared){.verdict = PAGE_DIFFERS, .itself = 1, .what = what};
}

struct page_compared page_compare(const struct page_look *first, const struct page_look *again,
                                  const struct page_look *other)
{
    struct page_compared c = {.verdict = PAGE_RESTLESS};
    const char *itself = differs_in(first, again), *what = differs_in(first, other);
    if (first->to_tls && again->to_tls)
        return other->status < ERRORS_FROM ? (struct page_compared){PAGE_SAME, 1, 1, NULL}
                                           : differing("status");
    if (itself != NULL)
        return c;
    if (what != NULL)
        return differing(what);
    c.itself = page_prints_likeness(&first->prints, &again->prints);
    if (c.itself < SETTLED)
        return c;
    double one = page_prints_likeness(&first->prints, &other->prints),
           two = page_prints_likeness(&again->prints, &other->prints);
    c.likeness = MIN(1, MAX(one, two) / c.itself);
    c.verdict = c.likeness < LIKE_ENOUGH       ? PAGE_DIFFERS
                : first->status >= ERRORS_FROM ? PAGE_EMPTY
                                               : PAGE_SAME;
    c.what = c.verdict == PAGE_DIFFERS ? "content" : NULL;
    return c;
}
