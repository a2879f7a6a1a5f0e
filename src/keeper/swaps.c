/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/swaps.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/str.h"
#include "cert/cert.h"
#include "cert/facts.h"
#include "keeper/choice.h"

#define SWAPS_MAGIC 0x5a4b5000u
#define LIST "swaps.json"
#define BAD ".bad"
#define LIST_MAX (4 * 1024 * 1024)

/* A pair that was swapped once, by its id. */
struct swapped {
    uint8_t id[STANDBY_ID];
    bool aside; /* the backup is the active one; else it is the first again */
    enum life_swap why;
    int64_t at;
    int64_t until; /* when the first one expires: then nothing is kept any more */
};

struct swaps {
    uint32_t magic;
    char *dir;
    struct swapped *v;
    size_t n;
    bool dirty; /* what is kept is not what is so */
    struct set_aside *now;
};

/* ---- what was swapped ---- */

static struct swapped *find(const struct swaps *s, const struct standby_pair *pair)
{
    for (size_t i = 0; i < s->n; i++)
        if (memcmp(s->v[i].id, pair->id, STANDBY_ID) == 0)
            return &s->v[i];
    return NULL;
}

static struct swapped *add(struct swaps *s, const uint8_t id[STANDBY_ID])
{
    s->v = reallocarray(s->v, s->n + 1, sizeof(*s->v));
    CHECK(s->v != NULL);
    s->v[s->n] = (struct swapped){0};
    memcpy(s->v[s->n].id, id, STANDBY_ID);
    return &s->v[s->n++];
}

static enum standby_side active_of(const struct swaps *s, const struct standby_pair *pair)
{
    const struct swapped *was = find(s, pair);
    return was != NULL && was->aside ? STANDBY_BACKUP : STANDBY_FIRST;
}

static enum standby_side other_than(enum standby_side side)
{
    return side == STANDBY_FIRST ? STANDBY_BACKUP : STANDBY_FIRST;
}

static void swap(struct swaps *s, const struct standby_pair *pair, enum life_swap why, int64_t now)
{
    struct swapped *is = find(s, pair);
    if (is == NULL)
        is = add(s, pair->id);
    is->aside = !is->aside;
    is->why = why;
    is->at = now;
    is->until = pair->side[STANDBY_FIRST]->not_after;
    s->dirty = true;
}

/* ---- the list ---- */

static void put_path(const struct swaps *s, struct buf *ret)
{
    CHECK(buf_printf(ret, "%s/" LIST, s->dir));
}

static int why_of(const char *word)
{
    for (int i = 0; i < LIFE_SWAPS; i++)
        if (strcmp(life_swap_word((enum life_swap)i), word) == 0)
            return i;
    return -1;
}

static bool read_row(struct swaps *s, json_t *row)
{
    const char *id, *why;
    int aside;
    json_int_t at, until;
    uint8_t bytes[STANDBY_ID];
    if (json_unpack(row, "{s:s, s:b, s:s, s:I, s:I}", "first", &id, "backup_served", &aside, "why", &why,
                    "at", &at, "until", &until) != 0 ||
        !hex_read(id, bytes, sizeof(bytes)) || why_of(why) < 0)
        return false;
    struct swapped *was = add(s, bytes);
    was->aside = aside != 0;
    was->why = (enum life_swap)why_of(why);
    was->at = at;
    was->until = until;
    return true;
}

static bool read_rows(struct swaps *s, json_t *list)
{
    json_int_t version = 0;
    json_t *rows = NULL, *row;
    size_t i;
    if (json_unpack(list, "{s:I, s:o}", "version", &version, "swaps", &rows) != 0 || version != 1 ||
        !json_is_array(rows))
        return false;
    json_array_foreach(rows, i, row)
    {
        if (!read_row(s, row)) {
            s->n = 0;
            return false;
        }
    }
    return true;
}

static int read_file(struct swaps *s, const char *path, struct err *err)
{
    struct buf text = {0};
    json_error_t why;
    int rc = file_read(path, LIST_MAX, &text, NULL, err);
    json_t *list =
        rc != 0 ? NULL : json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &why);
    if (rc == 0 && (list == NULL || !read_rows(s, list)))
        rc = err_set(err, "%s: not a list of swaps as this version writes it", path);
    json_decref(list);
    buf_free(&text);
    return rc;
}

/* What cannot be used stays for whoever wants to look at it: the next swap writes the list anew. */
static void keep_bad(const char *path, const struct err *why, struct err *ret)
{
    struct buf bad = {0};
    CHECK(buf_printf(&bad, "%s" BAD, path));
    if (rename(path, buf_text(&bad)) == 0)
        err_set(ret, "%s; no swap is known, and the file is kept as %s", why->text, buf_text(&bad));
    else
        err_errno(ret, errno, "%s; no swap is known, and the file cannot be kept as %s", why->text,
                  buf_text(&bad));
    buf_free(&bad);
}

/* `only`: it is another's. */
static void read_list(struct swaps *s, bool only, struct err *trouble)
{
    struct buf path = {0};
    struct stat there;
    struct err why;
    put_path(s, &path);
    trouble->text[0] = '\0';
    if (stat(buf_text(&path), &there) != 0) {
        if (errno != ENOENT)
            err_errno(trouble, errno, "%s", buf_text(&path));
    } else if (read_file(s, buf_text(&path), &why) != 0 && !only) {
        keep_bad(buf_text(&path), &why, trouble);
    }
    buf_free(&path);
}

static json_t *row_of(const struct swapped *is)
{
    char id[2 * STANDBY_ID + 1];
    hex_write(is->id, sizeof(is->id), id);
    return json_pack("{s:s, s:b, s:s, s:I, s:I}", "first", id, "backup_served", is->aside, "why",
                     life_swap_word(is->why), "at", (json_int_t)is->at, "until", (json_int_t)is->until);
}

static int write_list(const struct swaps *s, struct err *err)
{
    struct buf path = {0};
    json_t *rows = json_array();
    for (size_t i = 0; i < s->n; i++)
        CHECK(json_array_append_new(rows, row_of(&s->v[i])) == 0);
    json_t *list = json_pack("{s:i, s:o}", "version", 1, "swaps", rows);
    char *text = json_dumps(list, JSON_INDENT(1));
    json_decref(list);
    CHECK(text != NULL);
    put_path(s, &path);
    int rc = 0;
    if (mkdir(s->dir, 0700) < 0 && errno != EEXIST)
        rc = err_errno(err, errno, "%s", s->dir);
    if (rc == 0)
        rc = file_write_atomic(buf_text(&path), 0600, text, strlen(text), err);
    buf_free(&path);
    free(text);
    return rc;
}

/* Of certificates that have expired nothing is kept, unless they are still in their files. */
static void forget_old(struct swaps *s, const struct standby_pair *pairs, size_t n, int64_t now)
{
    size_t left = 0;
    for (size_t i = 0; i < s->n; i++) {
        bool wanted = s->v[i].until > now;
        for (size_t k = 0; k < n && !wanted; k++)
            wanted =
                pairs[k].side[STANDBY_BACKUP] != NULL && memcmp(pairs[k].id, s->v[i].id, STANDBY_ID) == 0;
        if (wanted)
            s->v[left++] = s->v[i];
    }
    s->n = left;
}

/* Told once for each change. */
static void keep(struct swaps *s, swaps_notice *notice, void *arg)
{
    struct err why, text;
    if (!s->dirty)
        return;
    s->dirty = false;
    if (write_list(s, &why) == 0)
        return;
    err_set(&text, "the swap of a certificate is in force, but a restart will not know of it: %s", why.text);
    notice(arg, text.text);
}

/* ---- judging ---- */

static bool was_swapped_for(const struct swaps *s, const struct standby_pair *pair, enum life_swap why)
{
    const struct swapped *was = find(s, pair);
    return was != NULL && was->aside && was->why == why;
}

/* The first one that has been left for being revoked is so after a restart, too, when its CA was not asked
 * yet: until that says that it is not. */
static bool is_revoked(const struct swaps *s, const struct standby_pair *pair, enum standby_side side)
{
    const struct cert *cert = pair->side[side];
    return cert->revoked ||
           (side == STANDBY_FIRST && !cert->good && was_swapped_for(s, pair, LIFE_SWAP_REVOKED));
}

static enum life_rank rank_of(const struct swaps *s, const struct standby_pair *pair, enum standby_side side,
                              int64_t now)
{
    const struct cert *cert = pair->side[side];
    const struct cert_staple *staple = cert_staple(cert);
    const struct life_slot slot = {.held = true,
                                   .must_staple = pair->must_staple[side],
                                   .not_after = cert->not_after,
                                   .revoked = is_revoked(s, pair, side),
                                   .staple_next = staple != NULL ? staple->until : 0};
    return life_rank(&slot, now);
}

static void tell_swap(const struct standby_pair *pair, enum standby_side left, enum life_swap why,
                      swaps_notice *notice, void *arg)
{
    struct err text;
    err_set(&text, "certificate %s %s: %s is served instead", pair->side[left]->label,
            why == LIFE_SWAP_REVOKED ? "is revoked" : "has expired", pair->side[other_than(left)]->label);
    notice(arg, text.text);
}

/* Which one is served, once a swap that is due was done. Where an operator wants the backup, a staple that is
 * still to come does not bring the first one back. */
static enum standby_side judge(struct swaps *s, const struct standby_pair *pair, int64_t now,
                               swaps_notice *notice, void *arg)
{
    enum standby_side active = active_of(s, pair), other = other_than(active);
    enum life_rank is = rank_of(s, pair, active, now), would_be = rank_of(s, pair, other, now);
    if (is > LIFE_UNSTAPLED && would_be <= LIFE_UNSTAPLED) {
        enum life_swap why = is == LIFE_REVOKED ? LIFE_SWAP_REVOKED : LIFE_SWAP_EXPIRED;
        swap(s, pair, why, now);
        tell_swap(pair, active, why, notice, arg);
        return other;
    }
    if (is == LIFE_UNSTAPLED && was_swapped_for(s, pair, LIFE_SWAP_OPERATOR))
        return active;
    return would_be < is ? other : active;
}

bool swaps_judge(struct swaps *s, const struct standby_pair *pairs, size_t n, int64_t now,
                 swaps_notice *notice, void *arg)
{
    CHECK_MAGIC(s, SWAPS_MAGIC);
    uint8_t(*ids)[STANDBY_ID] = calloc(n + 1, sizeof(*ids));
    size_t aside = 0;
    CHECK(ids != NULL);
    for (size_t i = 0; i < n; i++)
        if (pairs[i].side[STANDBY_BACKUP] != NULL && judge(s, &pairs[i], now, notice, arg) == STANDBY_BACKUP)
            memcpy(ids[aside++], pairs[i].id, STANDBY_ID);
    struct set_aside *before = s->now;
    s->now = set_aside_new((const uint8_t(*)[STANDBY_ID])ids, aside);
    bool changed = !set_aside_is_same(before, s->now);
    set_aside_unref(before);
    free(ids);
    if (s->dirty)
        forget_old(s, pairs, n, now);
    keep(s, notice, arg);
    return changed;
}

/* ---- the operator ---- */

static bool is_meant(const struct cert *served, const struct swaps_order *order)
{
    char issuer[PEM_NAME_MAX];
    if (order->name != NULL)
        return order->name[0] == '*' ? cert_has_name(served, order->name) : cert_is_for(served, order->name);
    return order->ca == NULL || str_same(cert_issuer_text(served, issuer), order->ca);
}

/* Two entries with the same first one are swapped as one. */
static bool is_repeated(const struct standby_pair *pairs, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (pairs[k].side[STANDBY_BACKUP] != NULL && memcmp(pairs[k].id, pairs[i].id, STANDBY_ID) == 0)
            return true;
    return false;
}

static void swap_if_good(struct swaps *s, const struct standby_pair *pair, int64_t now,
                         struct swaps_result *ret)
{
    enum life_rank rank = rank_of(s, pair, other_than(active_of(s, pair)), now);
    if (rank <= LIFE_UNSTAPLED) {
        swap(s, pair, LIFE_SWAP_OPERATOR, now);
        ret->swapped++;
    } else {
        err_set(&ret->why, "the other certificate %s; see 'cardea cert ls'", life_rank_verb(rank));
        ret->left++;
    }
}

void swaps_do(struct swaps *s, const struct standby_pair *pairs, size_t n, const struct swaps_order *order,
              int64_t now, struct swaps_result *ret)
{
    CHECK_MAGIC(s, SWAPS_MAGIC);
    *ret = (struct swaps_result){0};
    for (size_t i = 0; i < n; i++)
        if (pairs[i].side[STANDBY_BACKUP] != NULL && !is_repeated(pairs, i) &&
            is_meant(pairs[i].side[active_of(s, &pairs[i])], order))
            swap_if_good(s, &pairs[i], now, ret);
}

/* How it can be meant. */
static const char *word_of(const struct cert *served, const struct swaps_order *order,
                           char space[PEM_NAME_MAX])
{
    if (order->ca != NULL)
        return cert_issuer_text(served, space);
    return served->names_len > 0 ? served->names[0] : served->label;
}

bool swaps_choice(const struct swaps *s, const struct standby_pair *pairs, size_t n,
                  const struct swaps_order *order, struct buf *ret)
{
    CHECK_MAGIC(s, SWAPS_MAGIC);
    const char *mark = order->ca != NULL ? "'" : "";
    char space[PEM_NAME_MAX], before[CHOICE_SHOWN][PEM_NAME_MAX];
    size_t shown = 0, words = 0;
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].side[STANDBY_BACKUP] == NULL || is_repeated(pairs, i))
            continue;
        const char *word = word_of(pairs[i].side[active_of(s, &pairs[i])], order, space);
        size_t k = 0;
        while (k < shown && strcmp(before[k], word) != 0)
            k++;
        if (k < shown)
            continue;
        if (shown < CHOICE_SHOWN)
            str_copy(before[shown++], sizeof(before[0]), word, strlen(word));
        choice_add(ret, &words, mark, word);
    }
    return words > 0;
}

void swaps_tell_kept(const struct swaps *s, const struct standby_pair *pairs, size_t n, swaps_notice *notice,
                     void *arg)
{
    struct err text;
    CHECK_MAGIC(s, SWAPS_MAGIC);
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].side[STANDBY_BACKUP] == NULL || active_of(s, &pairs[i]) != STANDBY_BACKUP)
            continue;
        err_set(&text, "certificate %s was swapped before this start (%s): %s is served instead",
                pairs[i].side[STANDBY_FIRST]->label, life_swap_word(find(s, &pairs[i])->why),
                pairs[i].side[STANDBY_BACKUP]->label);
        notice(arg, text.text);
    }
}

struct swaps_state swaps_state_of(const struct swaps *s, const struct standby_pair *pair)
{
    const struct swapped *is = find(s, pair);
    return is == NULL ? (struct swaps_state){LIFE_NOT_SWAPPED, 0} : (struct swaps_state){is->why, is->at};
}

/* ---- life ---- */

static struct swaps *open_list(const char *dir, bool only, struct err *ret_trouble)
{
    struct swaps *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    *s = (struct swaps){.magic = SWAPS_MAGIC, .dir = str_dup(dir)};
    read_list(s, only, ret_trouble);
    uint8_t(*ids)[STANDBY_ID] = calloc(s->n + 1, sizeof(*ids));
    size_t aside = 0;
    CHECK(ids != NULL);
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].aside)
            memcpy(ids[aside++], s->v[i].id, STANDBY_ID);
    s->now = set_aside_new((const uint8_t(*)[STANDBY_ID])ids, aside);
    free(ids);
    return s;
}

struct swaps *swaps_open(const char *dir, struct err *ret_trouble)
{
    return open_list(dir, false, ret_trouble);
}

struct set_aside *swaps_kept(const char *dir)
{
    struct err ignored;
    struct swaps *s = open_list(dir, true, &ignored);
    struct set_aside *kept = set_aside_ref(s->now);
    swaps_close(s);
    return kept;
}

void swaps_close(struct swaps *s)
{
    if (s == NULL)
        return;
    CHECK_MAGIC(s, SWAPS_MAGIC);
    set_aside_unref(s->now);
    free(s->v);
    free(s->dir);
    s->magic = 0;
    free(s);
}

struct set_aside *swaps_now(const struct swaps *s)
{
    CHECK_MAGIC(s, SWAPS_MAGIC);
    return s->now;
}
