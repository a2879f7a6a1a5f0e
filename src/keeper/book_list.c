/* SPDX-License-Identifier: Apache-2.0 */
/* Names on demand as the book has them, for who lists them. */
#include <limits.h>
#include <string.h>

#include "base/check.h"
#include "keeper/book_internal.h"

#define OF_SLOTS " FROM lineage l JOIN slot s ON s.lineage = l.id AND s.slot = l.active"
#define DEMANDED " WHERE l.on_demand AND l.saved"
#define IS_GOOD " (s.held AND s.revoked = 0 AND s.not_after > ?1)"
#define NAME_OF "(SELECT min(name) FROM name n WHERE n.lineage = l.id)"

static struct state_query *ask(struct book *b, const char *sql, int64_t now, struct err *err)
{
    struct state_query *q = state_query(b->state, sql, err);
    if (q != NULL)
        state_put_int(q, now);
    return q;
}

static void take_name(char ret[HOSTNAME_MAX + 1], struct str name)
{
    str_copy(ret, HOSTNAME_MAX + 1, name.p, MIN(name.len, (size_t)HOSTNAME_MAX));
}

static int count(struct book *b, int64_t now, struct listing_summary *ret, struct err *err)
{
    struct state_query *q =
        ask(b,
            "SELECT count(*), total(" IS_GOOD "), total(s.held AND s.not_after <= ?1),"
            " total(s.held AND s.revoked <> 0 AND s.not_after > ?1), total(NOT s.held),"
            " total(" IS_GOOD " AND s.not_after - ?1 < (s.not_after - s.not_before) / 6)" OF_SLOTS DEMANDED,
            now, err);
    size_t *const figures[] = {&ret->total,   &ret->good,     &ret->expired,
                               &ret->revoked, &ret->unusable, &ret->ending};
    if (q == NULL)
        return -1;
    enum state_result r = state_step(q, err);
    for (size_t i = 0; i < ARRAY_LEN(figures) && r == STATE_ROW; i++)
        *figures[i] = (size_t)state_int(q, (int)i);
    state_done(q);
    return r == STATE_ROW ? 0 : -1;
}

static int find_soonest(struct book *b, int64_t now, struct listing_summary *ret, struct err *err)
{
    struct state_query *q = ask(
        b, "SELECT s.not_after, " NAME_OF OF_SLOTS DEMANDED " AND" IS_GOOD " ORDER BY s.not_after LIMIT 1",
        now, err);
    if (q == NULL)
        return -1;
    enum state_result r = state_step(q, err);
    if (r == STATE_ROW) {
        ret->soonest = state_int(q, 0);
        take_name(ret->soonest_name, state_text(q, 1));
    }
    state_done(q);
    return r == STATE_FAILED ? -1 : 0;
}

static int find_bad(struct book *b, int64_t now, struct listing_summary *ret, struct err *err)
{
    struct state_query *q =
        ask(b, "SELECT " NAME_OF OF_SLOTS DEMANDED " AND NOT" IS_GOOD " LIMIT 8", now, err);
    enum state_result r;
    if (q == NULL)
        return -1;
    while ((r = state_step(q, err)) == STATE_ROW && ret->bad_len < LISTING_BAD_MAX)
        take_name(ret->bad[ret->bad_len++], state_text(q, 0));
    state_done(q);
    return r == STATE_FAILED ? -1 : 0;
}

int book_summarise(struct book *b, int64_t now, struct listing_summary *ret, struct err *err)
{
    CHECK_MAGIC(b, BOOK_MAGIC);
    *ret = (struct listing_summary){.counted = now};
    if (count(b, now, ret, err) < 0 || find_soonest(b, now, ret, err) < 0)
        return -1;
    return ret->bad_len == 0 && ret->good < ret->total ? find_bad(b, now, ret, err) : 0;
}

int book_page(struct book *b, const struct book_place *after, const char *match, struct book_place *ret,
              size_t most, struct err *err)
{
    struct state_query *q =
        state_query(b->state,
                    "SELECT n.name, n.lineage FROM name n JOIN lineage l ON l.id = n.lineage"
                    " WHERE (n.name, n.lineage) > (?, ?) AND n.name GLOB ?"
                    " AND l.on_demand AND l.saved ORDER BY n.name, n.lineage LIMIT ?",
                    err);
    enum state_result r;
    int n = 0;
    if (q == NULL)
        return -1;
    state_put_text(q, (struct str){after->name, strlen(after->name)});
    state_put_int(q, after->id);
    state_put_text(q, *match == '\0' ? (struct str){"*", 1} : (struct str){match, strlen(match)});
    state_put_int(q, (int64_t)MIN(most, INT_MAX));
    while ((r = state_step(q, err)) == STATE_ROW) {
        take_name(ret[n].name, state_text(q, 0));
        ret[n++].id = state_int(q, 1);
    }
    state_done(q);
    return r == STATE_FAILED ? -1 : n;
}
