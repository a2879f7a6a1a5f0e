/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/page_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/str.h"
#include "fetch/fetch.h"
#include "probe/page_likeness.h"

enum look { LOOK_NOW, LOOK_THEN, LOOK_AGAIN, LOOKS };

struct page {
    char path[PAGE_PATH_MAX];
    size_t depth;
};

struct page_walk {
    struct page_walk_params params;
    struct page_walk_result result;
    char field[HOST_MAX + 2]; /* the host as Host has it */
    struct page *pages;       /* found so far, in the order in which they are asked for */
    size_t found, at;
    int64_t until;
    struct fetch *fetch;
    enum look look; /* which one at pages[at] is under way */
    struct page_look looks[LOOKS];
};

static void ask(struct page_walk *w);

/* ---- finding pages ---- */

static void add_page(struct page_walk *w, const char *path, size_t depth)
{
    if (w->found == w->params.pages || depth > w->params.depth)
        return;
    for (size_t i = 0; i < w->found; i++)
        if (strcmp(w->pages[i].path, path) == 0)
            return;
    struct page *p = &w->pages[w->found++];
    str_copy(p->path, sizeof(p->path), path, strlen(path));
    p->depth = depth;
}

static void on_link(void *arg, struct str reference)
{
    struct page_walk *w = arg;
    char path[PAGE_PATH_MAX];
    if (page_link_path(w->params.host, w->pages[w->at].path, reference, path))
        add_page(w, path, w->pages[w->at].depth + 1);
}

/* ---- one look ---- */

static void read_type(struct page_look *look, struct str type)
{
    size_t len = 0;
    while (len < type.len && type.p[len] != ';' && type.p[len] != ' ')
        len++;
    str_copy(look->type, sizeof(look->type), type.p, len);
    str_lower(look->type, strlen(look->type));
}

static void read_location(struct page_walk *w, struct page_look *look, struct str location)
{
    const struct page *here = &w->pages[w->at];
    if (!page_link_path(w->params.host, here->path, location, look->location)) {
        str_copy(look->location, sizeof(look->location), location.p, location.len);
        return;
    }
    look->to_tls = location.len > 8 && strncasecmp(location.p, "https://", 8) == 0 &&
                   strcmp(look->location, here->path) == 0;
    add_page(w, look->location, here->depth + 1);
}

static void read_answer(struct page_walk *w, const struct fetch_answer *a)
{
    struct page_look *look = &w->looks[w->look];
    bool html;
    look->status = a->status;
    read_type(look, a->type);
    html = strcmp(look->type, "text/html") == 0 || strcmp(look->type, "application/xhtml+xml") == 0;
    page_prints_make(a->body, html, &look->prints);
    if (a->status / 100 == 3)
        read_location(w, look, fetch_field(a, "Location"));
    if (html && w->look != LOOK_AGAIN)
        page_links(a->body, on_link, w);
}

/* ---- one page ---- */

static void forget_looks(struct page_walk *w)
{
    for (int i = 0; i < LOOKS; i++) {
        page_prints_free(&w->looks[i].prints);
        w->looks[i] = (struct page_look){0};
    }
}

static void note_difference(struct page_walk *w, const char *before, const char *why)
{
    if (w->result.differ++ > 0)
        return;
    str_clean(w->result.path, sizeof(w->result.path), w->pages[w->at].path);
    err_set(&w->result.why, "%s%s", before, why);
}

static void judge(struct page_walk *w)
{
    struct page_walk_result *r = &w->result;
    struct page_compared c = page_compare(&w->looks[LOOK_NOW], &w->looks[LOOK_AGAIN], &w->looks[LOOK_THEN]);
    switch (c.verdict) {
    case PAGE_SAME:
        r->same++;
        r->to_tls += w->looks[LOOK_NOW].to_tls;
        r->likeness = MIN(r->likeness, c.likeness);
        break;
    case PAGE_DIFFERS:
        note_difference(w, "it has another ", c.what);
        break;
    default:
        r->untold++;
    }
}

static void next_page(struct page_walk *w)
{
    forget_looks(w);
    w->look = LOOK_NOW;
    w->at++;
    if (w->params.step != NULL)
        w->params.step(w->params.owner);
    ask(w);
}

/* No answer came. */
static void on_nothing(struct page_walk *w, const struct err *err)
{
    if (w->look == LOOK_THEN) {
        note_difference(w, "it does not come: ", err->text);
    } else {
        w->result.untold++;
        w->result.unanswered = w->at == 0;
        if (w->at == 0)
            w->result.why = *err;
    }
    next_page(w);
}

static void on_done(void *arg, const struct fetch_answer *answer, const struct err *err)
{
    struct page_walk *w = arg;
    w->fetch = NULL;
    if (answer == NULL) {
        on_nothing(w, err);
        return;
    }
    read_answer(w, answer);
    if (w->look++ < LOOK_AGAIN) {
        ask(w);
        return;
    }
    judge(w);
    next_page(w);
}

/* ---- the walk ---- */

static void ask(struct page_walk *w)
{
    const struct page_walk_params *p = &w->params;
    const struct page_way *way = w->look == LOOK_THEN ? &p->then : &p->now;
    int64_t left = w->until - clock_monotonic();
    struct buf url = {0};
    struct err err;
    w->result.cut = w->at < w->found && left <= 0;
    if (w->at == w->found || w->result.cut) {
        p->done(p->owner);
        return;
    }
    CHECK(buf_printf(&url, "%s%s", way->origin, w->pages[w->at].path));
    struct fetch_request request = {.method = "GET",
                                    .url = buf_text(&url),
                                    .connect_to = way->connect_to,
                                    .host = w->field,
                                    .cert_file = p->cert_file,
                                    .key_file = p->key_file,
                                    .unproven = true,
                                    .timeout = MIN(p->timeout, left),
                                    .max = p->size};
    w->fetch = fetch_start(p->fetcher, &request, on_done, w, &err);
    buf_free(&url);
    if (w->fetch == NULL)
        on_nothing(w, &err);
}

struct page_walk *page_walk_start(const struct page_walk_params *params)
{
    struct page_walk *w = calloc(1, sizeof(*w));
    CHECK(w != NULL && params->pages > 0 && params->pages <= PAGE_WALK_PAGES_MAX);
    w->params = *params;
    w->result.likeness = 1;
    snprintf(w->field, sizeof(w->field), strchr(params->host, ':') != NULL ? "[%s]" : "%s", params->host);
    w->until = clock_monotonic() + params->deadline;
    w->pages = calloc(params->pages, sizeof(*w->pages));
    CHECK(w->pages != NULL);
    add_page(w, "/", 0);
    ask(w);
    return w;
}

const struct page_walk_result *page_walk_result(const struct page_walk *w)
{
    return &w->result;
}

void page_walk_free(struct page_walk *w)
{
    if (w == NULL)
        return;
    if (w->fetch != NULL)
        fetch_cancel(w->fetch);
    forget_looks(w);
    free(w->pages);
    free(w);
}
