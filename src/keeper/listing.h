/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the door's certificates: plain data, whoever keeps them. Rows are copies, so that they can
 * go to another thread. Times are seconds since 1970, 0: never, or not known. */
#ifndef CARDEA_KEEPER_LISTING_H
#define CARDEA_KEEPER_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hostname.h"
#include "keeper/life.h"

struct cert;

enum listing_revoked {
    LISTING_UNHEARD, /* nobody has said anything that is still good */
    LISTING_GOOD,
    LISTING_REVOKED,
};

/* A certificate, served or ready. */
struct listing_slot {
    bool held;
    enum life_rank rank;
    enum listing_revoked revoked;
    char *issuer; /* CN of who has signed it; NULL: not known */
    char *ca;     /* URL of the CA's directory; NULL: it came in a file */
    char *key;    /* "P-256"; NULL: not known */
    int64_t not_before, not_after;
    int64_t issued; /* to us */
    bool must_staple;
    int64_t staple_this, staple_next;
};

struct listing {
    const char *from; /* "file", "promoted", "acme", "directory", "on demand": static */
    char *label;      /* what the configuration calls it, or its file; NULL: only by its names */
    char *unusable;   /* why it is not served; NULL: it is */
    char **names;
    size_t names_len;
    struct listing_slot served, backup;
    bool backup_wanted;
    enum life_swap swapped;
    int64_t swapped_at;
    int64_t next_try; /* of an order: LIFE_NEVER: none; one that has passed: now */
    enum life_failure failure;
    unsigned failures; /* orders in a row */
    int64_t failed;
    int64_t window_start, window_end; /* in which the CA wants the served one renewed */
    char *explanation;                /* URL; NULL: the CA gives none */
};

/* A growing list of them; zeroed: empty. */
struct listings {
    struct listing *v;
    size_t len, cap;
};

/* Another row, zeroed but for next_try, which is LIFE_NEVER; borrowed until the next call. Its texts are from
 * malloc(). */
struct listing *listings_add(struct listings *l);

/* Those with the least life left first, and no more than `most`. */
void listings_sort(struct listings *l, size_t most);
void listings_done(struct listings *l);

/* Fill in what a lineage's state says at `now`; what is served is in *ret_slot then. Texts, names and `from`
 * are the caller's to add. */
void listing_of(const struct lineage *l, int64_t now, struct listing *ret, int *ret_slot);

/* Fill in what a certificate that came in a file says at `now`; `from` is the caller's to add. */
void listing_of_cert(const struct cert *cert, enum listing_revoked revoked, int64_t now, struct listing *ret);

/* Fill in the backup of a row for a certificate in a file: what stands by for the one that is served. */
void listing_backup_of_cert(const struct cert *cert, enum listing_revoked revoked, int64_t now,
                            struct listing *ret);

/* The texts of a slot that come from its certificate. */
void listing_slot_of_cert(const struct cert *cert, struct listing_slot *ret);

/* "good", "unstapled", "revoked", "expired", "empty": static text. */
const char *listing_rank_word(enum life_rank rank);

/* ---- sources: folders, and names on demand ---- */

#define LISTING_BAD_MAX 8

/* What there is to say of a source that may have any number of certificates. */
struct listing_summary {
    size_t total, good, expired, revoked, unusable;
    size_t ending; /* good ones with less than a sixth of their life left */
    int64_t soonest;
    char soonest_name[HOSTNAME_MAX + 1];         /* ... of the one that expires first, of those good */
    char bad[LISTING_BAD_MAX][HOSTNAME_MAX + 1]; /* names of some that are not good */
    size_t bad_len;
    int64_t counted; /* when this was so; 0: it has not been counted yet */
};

/* Count a row in. */
void listing_count(struct listing_summary *s, const char *name, const struct listing *row, int64_t now);

struct listing_source {
    const char *from; /* "directory", "on demand": static */
    char *label;      /* the folder; NULL: there is one only */
    struct listing_summary is;
};

/* ---- questions ---- */

#define LISTING_CURSOR_MAX (HOSTNAME_MAX + 32)

/* A certificate of the configuration's files. */
struct listing_file {
    struct cert *cert;      /* a reference, which goes to who answers */
    bool promoted;          /* ... or what stands in for one */
    struct cert *other;     /* the other one of its pair, a reference, too; NULL: it has none */
    enum life_swap swapped; /* why it is `cert` that is served */
    int64_t swapped_at;
};

struct listing_query {
    size_t most;                    /* rows */
    bool each;                      /* page through all there are; else: those that the configuration names,
                                       with summaries of the sources */
    bool patient;                   /* wait for summaries that are fresh */
    char match[HOSTNAME_MAX + 1];   /* only of names like this, with '*' for any text; "": of all */
    char after[LISTING_CURSOR_MAX]; /* go on behind this; "": from the beginning */
    struct listing_file *files;     /* from malloc(), taken */
    size_t files_len;
};

struct listing_answer {
    struct listings rows;
    size_t total; /* that the configuration names */
    struct listing_source *sources;
    size_t sources_len;
    char next[LISTING_CURSOR_MAX]; /* `after` of the next page; "": there is none */
};

/* All is borrowed for the call. */
typedef void listing_done(void *arg, const struct listing_answer *answer);

/* Asks whoever keeps certificates; `done` is called once, in the asker's thread, from within or later. */
typedef void listing_ask(void *arg, const struct listing_query *query, listing_done *done, void *done_arg);

#endif
