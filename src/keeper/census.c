/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/census.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "cert/cert.h"
#include "keeper/folder.h"
#include "keeper/stapler.h"
#include "loop/loop.h"

#define STEP_NS (5 * NSEC_PER_MSEC)  /* of files at a time */
#define PAUSE_NS (1 * NSEC_PER_MSEC) /* in which others have their turn */
#define COST 100                     /* a count lasts for so many times what it took */

struct waiter {
    struct list node;
    void (*done)(void *arg);
    void *arg;
};

/* Names of files, in order. */
struct files {
    char **v;
    size_t len, cap;
};

struct census {
    struct loop *loop;
    struct folder *folder;
    struct stapler *const *stapler;
    struct listing_summary last, next;
    struct files files; /* that are being counted */
    size_t at;
    bool runs, stopped;
    int64_t spent, until; /* ns; `until` the last count is fresh */
    struct timer step;
    struct list waiters;
};

/* ---- files ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_wanted(const char *file, const char *match)
{
    char name[HOSTNAME_MAX + 1];
    const char *end = strrchr(file, '.');
    return end != NULL && strcmp(end, ".pem") == 0 && folder_file_name(file, name) &&
           (*match == '\0' || str_glob(match, name));
}

/* In order, and no more than `most`. */
static void put_in_order(struct files *f, size_t most)
{
    if (f->len > 0)
        qsort(f->v, f->len, sizeof(*f->v), by_name);
    while (f->len > most)
        free(f->v[--f->len]);
}

static void add_file(struct files *f, const char *file)
{
    if (f->len == f->cap) {
        f->cap = MAX(64, 2 * f->cap);
        f->v = reallocarray(f->v, f->cap, sizeof(*f->v));
        CHECK(f->v != NULL);
    }
    f->v[f->len] = strdup(file);
    CHECK(f->v[f->len++] != NULL);
}

/* The first `most` behind `after`. Of those that come later few are ever held. */
static struct files read_files(const struct census *c, const char *after, const char *match, size_t most)
{
    struct files f = {0};
    DIR *dir = opendir(folder_path(c->folder));
    bool full = false; /* `most` are there, in order, and perhaps some that come before the last of them */
    for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;) {
        if (strcmp(d->d_name, after) <= 0 || (full && strcmp(d->d_name, f.v[most - 1]) > 0) ||
            !is_wanted(d->d_name, match))
            continue;
        add_file(&f, d->d_name);
        if (f.len / 2 >= most) {
            put_in_order(&f, most);
            full = true;
        }
    }
    if (dir != NULL)
        closedir(dir);
    put_in_order(&f, most);
    return f;
}

static void files_done(struct files *f)
{
    for (size_t i = 0; i < f->len; i++)
        free(f->v[i]);
    free(f->v);
    *f = (struct files){0};
}

static void add_row(struct census *c, const char *file, int64_t now, struct listings *rows)
{
    struct err err;
    struct listing *row = listings_add(rows);
    struct cert *cert = folder_peek(c->folder, file, &err);
    row->from = "directory";
    if (cert == NULL) {
        char name[HOSTNAME_MAX + 1];
        CHECK(folder_file_name(file, name));
        row->unusable = strdup(err.text);
        row->names = calloc(1, sizeof(*row->names));
        CHECK(row->unusable != NULL && row->names != NULL);
        row->names[row->names_len++] = strdup(name);
        return;
    }
    listing_of_cert(cert, *c->stapler != NULL ? stapler_heard(*c->stapler, cert) : LISTING_UNHEARD, now, row);
    cert_unref(cert);
}

void census_page(struct census *c, const char *after, const char *match, size_t most, struct listings *rows,
                 char *ret_last, size_t size)
{
    struct files f = read_files(c, after, match, most + 1);
    int64_t now = clock_wall() / NSEC_PER_SEC;
    size_t n = MIN(f.len, most);
    for (size_t i = 0; i < n; i++)
        add_row(c, f.v[i], now, rows);
    *ret_last = '\0';
    if (n < f.len)
        str_copy(ret_last, size, f.v[n - 1], strlen(f.v[n - 1]));
    files_done(&f);
}

/* ---- counting ---- */

static void tell(struct census *c)
{
    for (struct list *at; (at = list_pop(&c->waiters)) != NULL;) {
        struct waiter *w = CONTAINER_OF(at, struct waiter, node);
        w->done(w->arg);
        free(w);
    }
}

static void count_one(struct census *c, int64_t now)
{
    struct listings one = {0};
    char name[HOSTNAME_MAX + 1];
    const char *file = c->files.v[c->at++];
    CHECK(folder_file_name(file, name));
    add_row(c, file, now, &one);
    listing_count(&c->next, name, &one.v[0], now);
    listings_done(&one);
}

static void end(struct census *c)
{
    c->next.counted = clock_wall() / NSEC_PER_SEC;
    c->last = c->next;
    c->until = clock_monotonic() + COST * c->spent;
    c->runs = false;
    files_done(&c->files);
    tell(c);
}

static void on_step(struct timer *t)
{
    struct census *c = CONTAINER_OF(t, struct census, step);
    int64_t begun = clock_monotonic(), now = clock_wall() / NSEC_PER_SEC;
    if (c->at == 0) {
        c->files = read_files(c, "", "", SIZE_MAX);
        c->next = (struct listing_summary){0};
    }
    for (bool first = true; c->at < c->files.len && (first || clock_monotonic() - begun < STEP_NS);
         first = false)
        count_one(c, now);
    c->spent += clock_monotonic() - begun;
    if (c->at == c->files.len)
        end(c);
    else
        loop_set_timer(c->loop, &c->step, loop_now(c->loop) + (clock_monotonic() - begun) + PAUSE_NS);
}

/* Is there a fresh one, or can there be none? Else it is being counted. */
static bool is_fresh(struct census *c)
{
    if (c->stopped || (!c->runs && c->last.counted != 0 && clock_monotonic() < c->until))
        return true;
    if (!c->runs) {
        c->runs = true;
        c->at = 0;
        c->spent = 0;
        loop_set_timer(c->loop, &c->step, loop_now(c->loop));
    }
    return false;
}

const struct listing_summary *census_last(struct census *c)
{
    is_fresh(c);
    return &c->last;
}

void census_wait(struct census *c, void (*done)(void *arg), void *arg)
{
    if (is_fresh(c)) {
        done(arg);
        return;
    }
    struct waiter *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    *w = (struct waiter){.done = done, .arg = arg};
    list_insert(&c->waiters, &w->node);
}

/* ---- life ---- */

struct census *census_new(struct loop *loop, struct folder *folder, struct stapler *const *stapler)
{
    struct census *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    *c = (struct census){.loop = loop, .folder = folder, .stapler = stapler};
    timer_init(&c->step, on_step);
    list_init(&c->waiters);
    return c;
}

void census_stop(struct census *c)
{
    wheel_cancel(&c->step);
    files_done(&c->files);
    c->runs = false;
    c->stopped = true;
    tell(c);
}

void census_free(struct census *c)
{
    if (c == NULL)
        return;
    census_stop(c);
    free(c);
}

const char *census_label(const struct census *c)
{
    return folder_path(c->folder);
}
