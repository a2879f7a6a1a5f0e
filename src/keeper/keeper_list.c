/* SPDX-License-Identifier: Apache-2.0 */
/* What is served, from all who keep certificates: the one home of listings. A question travels to the
 * keeper's thread and back. Its cursor is "N:PLACE": first (0) what the configuration names, then (1, ...)
 * the folders, each by file, last (@) the names on demand. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "cert/cert.h"
#include "keeper/book.h"
#include "keeper/census.h"
#include "keeper/demand.h"
#include "keeper/keeper_internal.h"
#include "keeper/obtainer.h"
#include "keeper/stapler.h"
#include "loop/loop.h"

#define DEMANDED "@"

struct listed {
    struct message message;
    struct keeper *keeper;
    struct listing_query query;
    struct listing_answer answer;
    size_t census; /* which one is waited for */
    listing_done *done;
    void *arg;
};

static int64_t now_seconds(void)
{
    return clock_wall() / NSEC_PER_SEC;
}

/* ---- what the configuration names ---- */

static bool is_like(const struct cert *cert, const char *match)
{
    bool like = *match == '\0';
    for (size_t i = 0; i < cert->names_len && !like; i++)
        like = str_glob(match, cert->names[i]);
    return like;
}

static enum listing_revoked heard(const struct listed *l, const struct cert *cert)
{
    const struct stapler *stapler = keeper_stapler(l->keeper);
    return stapler != NULL ? stapler_heard(stapler, cert) : LISTING_UNHEARD;
}

static void list_named(struct listed *l)
{
    struct listings *rows = &l->answer.rows;
    for (size_t i = 0; i < l->query.files_len; i++) {
        const struct listing_file *f = &l->query.files[i];
        if (!is_like(f->cert, l->query.match))
            continue;
        struct listing *row = listings_add(rows);
        listing_of_cert(f->cert, heard(l, f->cert), now_seconds(), row);
        row->from = f->promoted ? "promoted" : "file";
        if (f->other != NULL)
            listing_backup_of_cert(f->other, heard(l, f->other), now_seconds(), row);
        row->swapped = f->swapped;
        row->swapped_at = f->swapped_at;
    }
    if (keeper_obtainer(l->keeper) != NULL)
        obtainer_list(keeper_obtainer(l->keeper), l->query.match, rows);
    l->answer.total = rows->len;
    listings_sort(rows, l->query.each ? SIZE_MAX : l->query.most);
}

/* ---- page by page ---- */

static void set_next(struct listed *l, const char *source, const char *place)
{
    snprintf(l->answer.next, sizeof(l->answer.next), "%s:%s", source, place);
}

/* The source behind a folder, or behind what the configuration names (0). */
static void set_next_source(struct listed *l, size_t i)
{
    char number[24];
    const struct demands *demands = keeper_demands(l->keeper);
    snprintf(number, sizeof(number), "%zu", i + 1);
    if (keeper_census(l->keeper, i) != NULL)
        set_next(l, number, "");
    else if (demands != NULL && demands_any(demands))
        set_next(l, DEMANDED, "");
}

static void page_folder(struct listed *l, size_t i, const char *after)
{
    char last[HOSTNAME_MAX + 16], number[24];
    struct census *c = keeper_census(l->keeper, i - 1);
    if (c == NULL)
        return;
    census_page(c, after, l->query.match, l->query.most, &l->answer.rows, last, sizeof(last));
    snprintf(number, sizeof(number), "%zu", i);
    if (last[0] != '\0')
        set_next(l, number, last);
    else
        set_next_source(l, i);
}

static void page_demanded(struct listed *l, const char *after)
{
    struct obtainer *o = keeper_obtainer(l->keeper);
    struct book_place at = {0};
    struct err err;
    char place[HOSTNAME_MAX + 24];
    const char *slash = strchr(after, '/');
    if (slash != NULL && str_copy(at.name, sizeof(at.name), after, (size_t)(slash - after)))
        at.id = strtoll(slash + 1, NULL, 10);
    int more = o == NULL ? 0 : obtainer_page(o, &at, l->query.match, l->query.most, &l->answer.rows, &err);
    if (more < 0)
        obtainer_say(o, "names on demand", &err);
    if (more != 1)
        return;
    snprintf(place, sizeof(place), "%s/%lld", at.name, (long long)at.id);
    set_next(l, DEMANDED, place);
}

static void page(struct listed *l)
{
    const char *colon = strchr(l->query.after, ':');
    if (colon == NULL) {
        list_named(l);
        set_next_source(l, 0);
    } else if (strncmp(l->query.after, DEMANDED, strlen(DEMANDED)) == 0) {
        page_demanded(l, colon + 1);
    } else {
        page_folder(l, MAX(1, strtoul(l->query.after, NULL, 10)), colon + 1);
    }
}

/* ---- summaries ---- */

static void add_source(struct listed *l, const char *from, const char *label,
                       const struct listing_summary *is)
{
    struct listing_answer *a = &l->answer;
    a->sources = reallocarray(a->sources, a->sources_len + 1, sizeof(*a->sources));
    CHECK(a->sources != NULL);
    struct listing_source *s = &a->sources[a->sources_len++];
    *s = (struct listing_source){.from = from, .label = label == NULL ? NULL : strdup(label), .is = *is};
}

static void summarise(struct listed *l)
{
    struct demands *demands = keeper_demands(l->keeper);
    struct census *c;
    for (size_t i = 0; (c = keeper_census(l->keeper, i)) != NULL; i++)
        add_source(l, "directory", census_label(c), census_last(c));
    if (demands != NULL && demands_any(demands))
        add_source(l, "on demand", NULL, demands_summary(demands));
    list_named(l);
}

/* ---- there and back ---- */

static void on_listed(struct message *m)
{
    struct listed *l = CONTAINER_OF(m, struct listed, message);
    l->done(l->arg, &l->answer);
    for (size_t i = 0; i < l->answer.sources_len; i++)
        free(l->answer.sources[i].label);
    free(l->answer.sources);
    listings_done(&l->answer.rows);
    for (size_t i = 0; i < l->query.files_len; i++) {
        cert_unref(l->query.files[i].cert);
        cert_unref(l->query.files[i].other);
    }
    free(l->query.files);
    free(l);
}

static void go_home(struct listed *l)
{
    l->message.run = on_listed;
    loop_post(keeper_home(l->keeper), &l->message);
}

/* Folder by folder: each is waited for until its count is fresh. */
static void on_counted(void *arg)
{
    struct listed *l = arg;
    struct census *c = l->query.patient ? keeper_census(l->keeper, l->census++) : NULL;
    if (c != NULL) {
        census_wait(c, on_counted, l);
        return;
    }
    summarise(l);
    go_home(l);
}

static void on_list(struct message *m)
{
    struct listed *l = CONTAINER_OF(m, struct listed, message);
    if (!l->query.each) {
        on_counted(l);
        return;
    }
    page(l);
    go_home(l);
}

void keeper_list(void *keeper, const struct listing_query *query, listing_done *done, void *arg)
{
    struct keeper *k = keeper;
    struct listed *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    *l = (struct listed){.message.run = on_list, .keeper = k, .query = *query, .done = done, .arg = arg};
    if (keeper_loop(k) != NULL) {
        loop_post(keeper_loop(k), &l->message);
    } else { /* nothing of its own to tell of */
        list_named(l);
        on_listed(&l->message);
    }
}
