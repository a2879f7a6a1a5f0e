/* SPDX-License-Identifier: Apache-2.0 */
/* The state of lineages in the book, and their certificates. */
#include <string.h>

#include "base/check.h"
#include "keeper/book_internal.h"

/* ---- writing ---- */

static int write_lineage(struct book *b, const struct lineage *l, int64_t due, struct err *err)
{
    struct state_query *q = state_query(b->state,
                                        "UPDATE lineage SET due = ?, active = ?, swapped = ?, swapped_at = ?,"
                                        " used = ?, saved = 1 WHERE id = ?",
                                        err);
    if (q == NULL)
        return -1;
    state_put_int(q, due);
    state_put_int(q, l->state.active);
    state_put_int(q, l->state.swapped);
    state_put_int(q, l->state.swapped_at);
    state_put_int(q, l->state.used);
    state_put_int(q, l->id);
    if (state_run(q, err) < 0)
        return -1;
    return state_changed(b->state) == 1 ? 0 : err_set(err, "the book has no lineage %lld", (long long)l->id);
}

static int write_slot(struct book *b, int64_t id, int number, const struct life_slot *s, struct err *err)
{
    struct state_query *q =
        state_query(b->state,
                    "INSERT INTO slot (slot"
#define X(field) ", " #field
                    BOOK_SLOT_FIELDS(X)
#undef X
                        ", lineage) VALUES (?"
#define X(field) ", ?"
                    BOOK_SLOT_FIELDS(X)
#undef X
                        ", ?) ON CONFLICT (lineage, slot) DO UPDATE SET slot = excluded.slot"
#define X(field) ", " #field " = excluded." #field
                    BOOK_SLOT_FIELDS(X)
#undef X
                        ,
                    err);
    if (q == NULL)
        return -1;
    state_put_int(q, number);
#define X(field) state_put_int(q, s->field);
    BOOK_SLOT_FIELDS(X)
#undef X
    state_put_int(q, id);
    return state_run(q, err);
}

static int write_hold(struct book *b, int64_t id, uint16_t ca, const struct life_hold *h, struct err *err)
{
    struct state_query *q = state_query(
        b->state,
        "INSERT INTO hold (lineage, ca, until, failures) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (lineage, ca) DO UPDATE SET until = excluded.until, failures = excluded.failures",
        err);
    if (q == NULL)
        return -1;
    state_put_int(q, id);
    state_put_int(q, ca);
    state_put_int(q, h->until);
    state_put_int(q, h->failures);
    return state_run(q, err);
}

int book_write_state(struct book *b, const struct lineage *l, int64_t due, struct err *err)
{
    int done = write_lineage(b, l, due, err);
    for (int i = 0; i < LIFE_SLOTS && done == 0; i++)
        done = write_slot(b, l->id, i, &l->state.slot[i], err);
    for (int i = 0; i < l->rule.cas_len && done == 0; i++)
        done = write_hold(b, l->id, l->rule.cas[i], &l->state.hold[i], err);
    return done;
}

int book_save(struct book *b, const struct lineage *l, int64_t due, struct err *err)
{
    CHECK_MAGIC(b, BOOK_MAGIC);
    return state_begin(b->state, err) < 0 ? -1 : state_end(b->state, book_write_state(b, l, due, err), err);
}

static int write_staple(struct book *b, int64_t id, int slot, struct str staple, struct err *err)
{
    struct state_query *q =
        state_query(b->state, "UPDATE certificate SET staple = ? WHERE lineage = ? AND slot = ?", err);
    if (q == NULL)
        return -1;
    if (staple.len > 0)
        state_put_blob(q, staple.p, staple.len);
    else
        state_put_null(q);
    state_put_int(q, id);
    state_put_int(q, slot);
    return state_run(q, err);
}

int book_save_staple(struct book *b, const struct lineage *l, int64_t due, int slot, struct str staple,
                     struct err *err)
{
    if (state_begin(b->state, err) < 0)
        return -1;
    int done = book_write_state(b, l, due, err);
    return state_end(b->state, done == 0 ? write_staple(b, l->id, slot, staple, err) : -1, err);
}

int book_save_explanation(struct book *b, int64_t id, int slot, struct str url, struct err *err)
{
    struct state_query *q =
        state_query(b->state, "UPDATE certificate SET explanation = ? WHERE lineage = ? AND slot = ?", err);
    if (q == NULL)
        return -1;
    state_put_text(q, url);
    state_put_int(q, id);
    state_put_int(q, slot);
    return state_run(q, err);
}

/* ---- certificates ---- */

static int write_certificate(struct book *b, int64_t id, int slot, const struct book_certificate *c,
                             struct err *err)
{
    struct state_query *q = state_query(
        b->state,
        "INSERT INTO certificate (lineage, slot, ca, issued, not_before, not_after, pin, chain, key)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        err);
    if (q == NULL)
        return -1;
    state_put_int(q, id);
    state_put_int(q, slot);
    state_put_int(q, c->ca);
    state_put_int(q, c->issued);
    state_put_int(q, c->not_before);
    state_put_int(q, c->not_after);
    state_put_blob(q, c->pin, sizeof(c->pin));
    state_put_text(q, c->chain);
    state_put_blob(q, c->key.p, c->key.len);
    return state_run(q, err);
}

/* With all that was known of it, its staple above all. */
static int remove_certificate(struct book *b, int64_t id, int slot, struct err *err)
{
    struct state_query *q =
        state_query(b->state, "DELETE FROM certificate WHERE lineage = ? AND slot = ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, id);
    state_put_int(q, slot);
    return state_run(q, err);
}

/* Has the book this key? 1, 0, -1. */
static int has_pin(struct book *b, const uint8_t pin[BOOK_PIN_LEN], struct err *err)
{
    struct state_query *q = state_query(b->state, "SELECT 1 FROM certificate WHERE pin = ?", err);
    if (q == NULL)
        return -1;
    state_put_blob(q, pin, BOOK_PIN_LEN);
    enum state_result r = state_step(q, err);
    state_done(q);
    return r == STATE_ROW ? 1 : r == STATE_END ? 0 : -1;
}

static int put(struct book *b, const struct lineage *l, int64_t due, int slot,
               const struct book_certificate *c, struct err *err)
{
    int has = has_pin(b, c->pin, err);
    if (has != 0)
        return has < 0
                   ? -1
                   : err_set(err, "the key of the new certificate is that of another one in the book: each "
                                  "certificate needs a key of its own");
    if (book_write_state(b, l, due, err) < 0 || remove_certificate(b, l->id, slot, err) < 0 ||
        write_certificate(b, l->id, slot, c, err) < 0)
        return -1;
    return book_end_order(b, l->id, err);
}

int book_put(struct book *b, const struct lineage *l, int64_t due, int slot, const struct book_certificate *c,
             struct err *err)
{
    CHECK_MAGIC(b, BOOK_MAGIC);
    CHECK(slot >= 0 && slot < LIFE_SLOTS);
    return state_begin(b->state, err) < 0 ? -1 : state_end(b->state, put(b, l, due, slot, c, err), err);
}

void book_copy_free(struct book_copy *copy)
{
    buf_wipe(&copy->bytes);
    *copy = (struct book_copy){0};
}

struct str book_keep(struct buf *b, struct str s)
{
    struct str kept = {(const char *)b->data + b->len, s.len};
    CHECK(buf_append(b, s.p, s.len));
    return kept;
}

static void copy_row(const struct state_query *q, struct book_copy *ret)
{
    struct str pin = state_blob(q, 4),
               text[] = {state_text(q, 5), state_blob(q, 6), state_blob(q, 7), state_text(q, 8)};
    *ret = (struct book_copy){.is = {.ca = (uint16_t)state_int(q, 0),
                                     .issued = state_int(q, 1),
                                     .not_before = state_int(q, 2),
                                     .not_after = state_int(q, 3)}};
    size_t need = 1;
    for (size_t i = 0; i < ARRAY_LEN(text); i++)
        need += text[i].len;
    CHECK(buf_reserve(&ret->bytes, need) && pin.len == BOOK_PIN_LEN);
    memcpy(ret->is.pin, pin.p, BOOK_PIN_LEN);
    ret->is.chain = book_keep(&ret->bytes, text[0]);
    ret->is.key = book_keep(&ret->bytes, text[1]);
    ret->staple = book_keep(&ret->bytes, text[2]);
    ret->explanation = book_keep(&ret->bytes, text[3]);
}

int book_certificate(struct book *b, int64_t id, int slot, struct book_copy *ret, struct err *err)
{
    struct state_query *q =
        state_query(b->state,
                    "SELECT ca, issued, not_before, not_after, pin, chain, key, staple, explanation"
                    " FROM certificate WHERE lineage = ? AND slot = ?",
                    err);
    if (q == NULL)
        return -1;
    state_put_int(q, id);
    state_put_int(q, slot);
    enum state_result r = state_step(q, err);
    if (r == STATE_ROW)
        copy_row(q, ret);
    state_done(q);
    return r == STATE_ROW ? 1 : r == STATE_END ? 0 : -1;
}

/* ---- reading ---- */

/* A row's numbers; a book that somebody has written into by hand must not lead us astray. */
static bool read_slot(const struct state_query *q, struct life_slot *s)
{
    int column = 0;
#define X(field) s->field = (__typeof__(s->field))state_int(q, column++);
    BOOK_SLOT_FIELDS(X)
#undef X
    return s->failure < LIFE_FAILURES && (!s->held || s->not_after > s->not_before);
}

static int load_slot(struct book *b, int64_t id, int slot, struct life_slot *ret, struct err *err)
{
    struct state_query *q = state_query(b->state,
                                        "SELECT "
#define X(field) #field ", "
                                        BOOK_SLOT_FIELDS(X)
#undef X
                                            "slot FROM slot WHERE lineage = ? AND slot = ?",
                                        err);
    if (q == NULL)
        return -1;
    state_put_int(q, id);
    state_put_int(q, slot);
    enum state_result r = state_step(q, err);
    bool good = r != STATE_ROW || read_slot(q, ret);
    state_done(q);
    return r == STATE_FAILED ? -1
           : good
               ? 0
               : err_set(err, "the book holds nonsense about slot %d of lineage %lld", slot, (long long)id);
}

static int load_hold(struct book *b, int64_t id, uint16_t ca, struct life_hold *ret, struct err *err)
{
    struct state_query *q =
        state_query(b->state, "SELECT until, failures FROM hold WHERE lineage = ? AND ca = ?", err);
    if (q == NULL)
        return -1;
    state_put_int(q, id);
    state_put_int(q, ca);
    enum state_result r = state_step(q, err);
    if (r == STATE_ROW)
        *ret = (struct life_hold){state_int(q, 0), (uint16_t)state_int(q, 1)};
    state_done(q);
    return r == STATE_FAILED ? -1 : 0;
}

/* 1: there is something saved of it. */
static int load_lineage(struct book *b, int64_t id, struct life_state *ret, struct err *err)
{
    struct state_query *q = state_query(
        b->state, "SELECT active, swapped, swapped_at, used FROM lineage WHERE id = ? AND saved", err);
    if (q == NULL)
        return -1;
    state_put_int(q, id);
    enum state_result r = state_step(q, err);
    if (r == STATE_ROW) {
        ret->active = state_int(q, 0) != 0;
        ret->swapped = (uint8_t)MIN((uint64_t)state_int(q, 1), LIFE_SWAPS - 1);
        ret->swapped_at = state_int(q, 2);
        ret->used = state_int(q, 3);
    }
    state_done(q);
    return r == STATE_ROW ? 1 : r == STATE_END ? 0 : -1;
}

int book_load(struct book *b, int64_t id, const struct life_rule *rule, struct life_state *ret,
              struct err *err)
{
    *ret = (struct life_state){0};
    int found = load_lineage(b, id, ret, err);
    for (int i = 0; i < LIFE_SLOTS && found == 1; i++)
        found = load_slot(b, id, i, &ret->slot[i], err) < 0 ? -1 : 1;
    for (int i = 0; i < rule->cas_len && found == 1; i++)
        found = load_hold(b, id, rule->cas[i], &ret->hold[i], err) < 0 ? -1 : 1;
    return found;
}

/* ---- looking through ---- */

static int64_t count(struct book *b, const char *sql, struct err *err)
{
    struct state_query *q = state_query(b->state, sql, err);
    if (q == NULL)
        return -1;
    int64_t n = state_step(q, err) == STATE_ROW ? state_int(q, 0) : -1;
    state_done(q);
    return n;
}

int64_t book_check(struct book *b, struct err *err)
{
    static const struct {
        const char *sql, *what;
    } faults[] = {
        {"SELECT count(*) FROM pragma_foreign_key_check", "rows that belong to none"},
        {"SELECT count(*) FROM slot LEFT JOIN certificate c USING (lineage, slot)"
         " WHERE held <> (c.pin IS NOT NULL)",
         "slots whose certificate is not what their state says"},
        {"SELECT count(*) FROM certificate c LEFT JOIN slot s USING (lineage, slot) WHERE s.held IS NULL"
         " OR c.ca <> s.ca OR c.issued <> s.issued OR c.not_after <> s.not_after",
         "slots that have another certificate than their state says"},
        {"SELECT count(*) FROM certificate WHERE length(pin) <> 32 OR length(key) = 0 OR length(chain) = 0",
         "certificates without a key"},
        {"SELECT count(*) FROM under_way WHERE length(url) = 0 OR length(key) = 0",
         "orders under way without their URL or their key"},
    };
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        int64_t n = count(b, faults[i].sql, err);
        if (n != 0)
            return n < 0 ? -1 : err_set(err, "the book has %lld %s", (long long)n, faults[i].what);
    }
    return count(b, "SELECT count(*) FROM certificate", err);
}
