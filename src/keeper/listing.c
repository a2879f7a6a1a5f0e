/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "cert/cert.h"
#include "cert/facts.h"

const char *listing_rank_word(enum life_rank rank)
{
    static const char *const words[] = {
        [LIFE_GOOD] = "good",       [LIFE_UNSTAPLED] = "unstapled", [LIFE_REVOKED] = "revoked",
        [LIFE_EXPIRED] = "expired", [LIFE_EMPTY] = "empty",
    };
    return words[rank];
}

/* ---- rows ---- */

struct listing *listings_add(struct listings *l)
{
    if (l->len == l->cap) {
        l->cap = MAX(16, 2 * l->cap);
        l->v = reallocarray(l->v, l->cap, sizeof(*l->v));
        CHECK(l->v != NULL);
    }
    l->v[l->len] = (struct listing){.next_try = LIFE_NEVER};
    return &l->v[l->len++];
}

static void row_done(struct listing *l)
{
    struct listing_slot *const slots[] = {&l->served, &l->backup};
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        free(slots[i]->issuer);
        free(slots[i]->ca);
        free(slots[i]->key);
    }
    for (size_t i = 0; i < l->names_len; i++)
        free(l->names[i]);
    free(l->names);
    free(l->label);
    free(l->unusable);
    free(l->explanation);
}

static int by_life(const void *a, const void *b)
{
    const struct listing *x = a, *y = b;
    return (x->served.not_after > y->served.not_after) - (x->served.not_after < y->served.not_after);
}

void listings_sort(struct listings *l, size_t most)
{
    if (l->len > 0)
        qsort(l->v, l->len, sizeof(*l->v), by_life);
    while (l->len > most)
        row_done(&l->v[--l->len]);
}

void listings_done(struct listings *l)
{
    listings_sort(l, 0);
    free(l->v);
    *l = (struct listings){0};
}

/* ---- what they say ---- */

static enum listing_revoked heard(const struct life_slot *s, int64_t now)
{
    return s->revoked != 0 ? LISTING_REVOKED : s->staple_next > now ? LISTING_GOOD : LISTING_UNHEARD;
}

static struct listing_slot slot_of(const struct life_slot *s, int64_t now)
{
    return (struct listing_slot){.held = s->held,
                                 .rank = life_rank(s, now),
                                 .revoked = heard(s, now),
                                 .not_before = s->not_before,
                                 .not_after = s->not_after,
                                 .issued = s->issued,
                                 .must_staple = s->must_staple,
                                 .staple_this = s->by_crl ? 0 : s->staple_this,
                                 .staple_next = s->by_crl ? 0 : s->staple_next};
}

void listing_of(const struct lineage *l, int64_t now, struct listing *ret, int *ret_slot)
{
    int serves = life_serves(l, now);
    *ret_slot = serves != LIFE_NO_SLOT ? serves : l->state.active;
    const struct life_slot *served = &l->state.slot[*ret_slot];
    const struct life_slot *other = &l->state.slot[1 - *ret_slot];
    const struct life_slot *worse = served->failures >= other->failures ? served : other;
    ret->served = slot_of(served, now);
    ret->backup = slot_of(other, now);
    ret->backup_wanted = l->rule.backup != LIFE_NO_BACKUP;
    ret->swapped = l->state.swapped;
    ret->swapped_at = l->state.swapped_at;
    ret->failure = worse->failure;
    ret->failures = worse->failures;
    ret->failed = worse->failed;
    ret->window_start = served->ari_start;
    ret->window_end = served->ari_end;
}

void listing_slot_of_cert(const struct cert *cert, struct listing_slot *ret)
{
    char issuer[PEM_NAME_MAX];
    ret->issuer = str_dup(cert_issuer_text(cert, issuer));
    ret->key = str_dup(cert->key_text);
}

static struct listing_slot slot_of_file(const struct cert *cert, enum listing_revoked revoked, int64_t now)
{
    const struct cert_staple *staple = cert_staple(cert);
    struct listing_slot slot = {.held = true,
                                .rank = now >= cert->not_after       ? LIFE_EXPIRED
                                        : revoked == LISTING_REVOKED ? LIFE_REVOKED
                                                                     : LIFE_GOOD,
                                .revoked = revoked,
                                .not_before = cert->not_before,
                                .not_after = cert->not_after,
                                .staple_next = staple != NULL ? staple->until : 0};
    listing_slot_of_cert(cert, &slot);
    return slot;
}

void listing_of_cert(const struct cert *cert, enum listing_revoked revoked, int64_t now, struct listing *ret)
{
    ret->label = str_dup(cert->label);
    ret->names = calloc(cert->names_len + 1, sizeof(*ret->names));
    CHECK(ret->names != NULL);
    for (; ret->names_len < cert->names_len; ret->names_len++)
        ret->names[ret->names_len] = str_dup(cert->names[ret->names_len]);
    ret->served = slot_of_file(cert, revoked, now);
}

void listing_backup_of_cert(const struct cert *cert, enum listing_revoked revoked, int64_t now,
                            struct listing *ret)
{
    ret->backup_wanted = true;
    ret->backup = slot_of_file(cert, revoked, now);
}

/* ---- summaries ---- */

static void note_bad(struct listing_summary *s, const char *name)
{
    if (s->bad_len < LISTING_BAD_MAX)
        str_copy(s->bad[s->bad_len++], HOSTNAME_MAX + 1, name, strlen(name));
}

void listing_count(struct listing_summary *s, const char *name, const struct listing *row, int64_t now)
{
    const struct listing_slot *is = &row->served;
    s->total++;
    if (row->unusable != NULL || !is->held)
        s->unusable++;
    else if (is->rank == LIFE_EXPIRED)
        s->expired++;
    else if (is->rank == LIFE_REVOKED)
        s->revoked++;
    if (row->unusable != NULL || !is->held || is->rank == LIFE_EXPIRED || is->rank == LIFE_REVOKED) {
        note_bad(s, name);
        return;
    }
    s->good++;
    s->ending += is->not_after - now < (is->not_after - is->not_before) / 6;
    if (s->soonest != 0 && s->soonest <= is->not_after)
        return;
    s->soonest = is->not_after;
    str_copy(s->soonest_name, sizeof(s->soonest_name), name, strlen(name));
}
