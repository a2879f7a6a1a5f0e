/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/explain_summary.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/str.h"
#include "cmd/table.h"
#include "hello/names.h"

#define PLACES 32768u /* of the hash table: a power of two, well over EXPLAIN_GROUPS_MAX */

struct group {
    char ja4[JA4_TEXT_MAX];
    char *name; /* empty: none was sent */
    uint16_t version;
    bool pq; /* all of them offer a post-quantum group */
    uint64_t count;
    uint64_t refused; /* by an alert */
    uint64_t breaks[EXPLAIN_WOULDS_MAX];
    int64_t last;
};

struct explain_summary {
    const struct explain_woulds *woulds;
    struct hash_key key;
    size_t count;
    struct group *groups;
    uint32_t places[PLACES]; /* index + 1; 0: free */
    uint64_t others;         /* hellos beyond the groups that there is room for */
    uint64_t faulty;         /* incomplete or malformed */
    uint64_t judged;
    uint64_t breaks[EXPLAIN_WOULDS_MAX];
};

struct explain_summary *explain_summary_new(const struct explain_woulds *woulds)
{
    struct explain_summary *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->groups = calloc(EXPLAIN_GROUPS_MAX, sizeof(*s->groups));
    CHECK(s->groups != NULL);
    s->woulds = woulds;
    s->key = hash_random_key();
    return s;
}

void explain_summary_free(struct explain_summary *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->groups[i].name);
    free(s->groups);
    free(s);
}

/* The group of a hello, a new one where it is the first of it; NULL: there is no room. */
static struct group *group_of(struct explain_summary *s, const struct explain_sighting *seen)
{
    const struct hello *h = seen->seen->hello;
    uint64_t at =
        hash_bytes(&s->key, h->name, h->name_len) ^ hash_bytes(&s->key, seen->ja4, strlen(seen->ja4));
    for (at %= PLACES; s->places[at] != 0; at = (at + 1) % PLACES) {
        struct group *g = &s->groups[s->places[at] - 1];
        if (strcmp(g->ja4, seen->ja4) == 0 && strcmp(g->name, h->name) == 0)
            return g;
    }
    if (s->count == EXPLAIN_GROUPS_MAX)
        return NULL;
    struct group *g = &s->groups[s->count++];
    *g = (struct group){.name = str_dup(h->name), .version = h->version, .pq = true};
    memcpy(g->ja4, seen->ja4, sizeof(g->ja4));
    s->places[at] = (uint32_t)s->count;
    return g;
}

void explain_summary_add(struct explain_summary *s, const struct explain_sighting *seen)
{
    const struct sighting *one = seen->seen;
    if (one->hello == NULL) {
        s->faulty++;
        return;
    }
    struct group *g = group_of(s, seen);
    s->judged++;
    s->others += g == NULL;
    for (size_t i = 0; i < s->woulds->count; i++) {
        bool breaks = would_breaks(seen->verdict[i]);
        s->breaks[i] += breaks;
        if (g != NULL)
            g->breaks[i] += breaks;
    }
    if (g == NULL)
        return;
    g->count++;
    g->refused += one->answer->kind == REPLY_ALERT;
    g->pq = g->pq && would_offer_of(one->hello).pq;
    g->last = MAX(g->last, one->time);
}

/* The largest first; then as text, so that the order is the same each time. */
static int compare(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    int name = strcmp(x->name, y->name);
    return name != 0 ? name : strcmp(x->ja4, y->ja4);
}

/* Groups move: nothing is added any more. */
static void sort(struct explain_summary *s)
{
    qsort(s->groups, s->count, sizeof(*s->groups), compare);
}

static void put_heading(struct table *t, const struct explain_woulds *woulds)
{
    table_add(t, "HELLOS");
    table_add(t, "JA4");
    table_add(t, "HIGHEST");
    table_add(t, "POST-QUANTUM");
    table_add(t, "REFUSED");
    for (size_t i = 0; i < woulds->count; i++)
        table_add(t, "BREAK AT %.24s", woulds->text[i]);
    table_add(t, "LAST");
    table_add(t, "SERVER NAME");
}

static void put_group(struct table *t, const struct group *g, const struct explain_woulds *woulds)
{
    char number[HELLO_NUMBER_MAX], time[CLOCK_TEXT_MAX];
    table_add(t, "%" PRIu64, g->count);
    table_add(t, "%s", g->ja4);
    table_add(t, "%s", hello_version_name(g->version, number));
    table_add(t, "%s", g->pq ? "yes" : "no");
    table_paint(t, g->pq ? TABLE_GREEN : TABLE_YELLOW);
    table_add(t, "%" PRIu64, g->refused);
    if (g->refused > 0)
        table_paint(t, TABLE_RED);
    for (size_t i = 0; i < woulds->count; i++) {
        table_add(t, "%" PRIu64, g->breaks[i]);
        if (g->breaks[i] > 0)
            table_paint(t, TABLE_RED);
    }
    table_add(t, "%s", clock_format(g->last, time));
    table_add(t, "%s", g->name[0] != '\0' ? g->name : "-");
}

void explain_summary_text(struct explain_summary *s)
{
    struct table t = {.columns = 7 + s->woulds->count, .first = true};
    sort(s);
    put_heading(&t, s->woulds);
    for (size_t i = 0; i < s->count; i++)
        put_group(&t, &s->groups[i], s->woulds);
    table_end(&t, stdout);
    if (s->others > 0)
        printf("and %" PRIu64 " of other clients and names\n", s->others);
    if (s->faulty > 0)
        printf("and %" PRIu64 " that are incomplete or malformed\n", s->faulty);
}

static void print_line(json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(o);
}

static json_t *breaks_json(const struct explain_woulds *woulds, const uint64_t *breaks)
{
    json_t *array = json_array();
    for (size_t i = 0; i < woulds->count; i++)
        json_array_append_new(
            array, json_pack("{s:s, s:I}", "floor", woulds->text[i], "breaks", (json_int_t)breaks[i]));
    return array;
}

static void print_group_json(const struct group *g, const struct explain_woulds *woulds)
{
    char number[HELLO_NUMBER_MAX], time[CLOCK_TEXT_MAX];
    const char *version = explain_version_word(hello_version_name(g->version, number));
    json_t *o = json_pack("{s:I, s:s, s:s, s:b, s:I, s:s}", "hellos", (json_int_t)g->count, "ja4", g->ja4,
                          "version", version, "post_quantum", g->pq, "refused", (json_int_t)g->refused,
                          "last", clock_format(g->last, time));
    if (g->name[0] != '\0')
        json_object_set_new(o, "sni", json_string(g->name));
    if (woulds->count > 0)
        json_object_set_new(o, "would", breaks_json(woulds, g->breaks));
    print_line(o);
}

void explain_summary_json(struct explain_summary *s)
{
    sort(s);
    for (size_t i = 0; i < s->count; i++)
        print_group_json(&s->groups[i], s->woulds);
    json_t *o = json_pack("{s:I, s:I, s:I}", "hellos_in_all", (json_int_t)s->judged, "others",
                          (json_int_t)s->others, "faulty", (json_int_t)s->faulty);
    if (s->woulds->count > 0)
        json_object_set_new(o, "would", breaks_json(s->woulds, s->breaks));
    print_line(o);
}

void explain_summary_verdicts(const struct explain_summary *s)
{
    for (size_t i = 0; i < s->woulds->count; i++)
        printf("at %s: %" PRIu64 " of %" PRIu64 " hellos (%.1f %%) would break\n", s->woulds->text[i],
               s->breaks[i], s->judged,
               s->judged > 0 ? 100.0 * (double)s->breaks[i] / (double)s->judged : 0.0);
}
