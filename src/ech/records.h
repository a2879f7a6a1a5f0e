/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the keys that DNS records hold, so that no key goes while a client may still come with it.
 * A record holds the key that it was given last; where it is being given another, and the outcome is not
 * known, it may hold either. A key that a record no longer holds may be in caches for the record's TTL. All
 * of it is told by the beginnings of the keys' slots (ech/ring.h): pure, without a clock; seconds since 1970.
 *
 * It is kept as a JSON text, in the folder of the keys, for all doors that share them. */
#ifndef CARDEA_ECH_RECORDS_H
#define CARDEA_ECH_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/ech_limits.h"
#include "base/err.h"
#include "base/str.h"

#define ECH_RECORDS_KEYS_MAX 30 /* that records or caches may hold at once */
#define ECH_RECORDS_TEXT_MAX (ECH_NAMES_MAX * 1024)

struct ech_record {
    char *name;
    int64_t holds; /* the key of its record; 0: none */
    int64_t tries; /* the key that it may hold instead; 0: none */
    int64_t ttl;   /* seconds that a cache may have the record for, once the zone has another */
    char *said;    /* what else is in the record, as the publisher has it */
};

struct ech_record_key {
    int64_t begin;
    int64_t since; /* when it was first given to a record */
    int64_t until; /* caches may have it until then, also where no record does; 0: none does */
};

/* Zeroed: nothing was published. */
struct ech_records {
    struct ech_record names[ECH_NAMES_MAX];
    size_t names_len;
    struct ech_record_key keys[ECH_RECORDS_KEYS_MAX];
    size_t keys_len;
};

/* Read the text; `ret` is empty. -1 with `err`, and `ret` is empty still. */
int ech_records_read(struct str text, struct ech_records *ret, struct err *err);

/* Append it as a text. */
void ech_records_write(const struct ech_records *p, struct buf *out);

/* Free what it holds; it is empty then. */
void ech_records_free(struct ech_records *p);

/* What is known of a name; NULL: nothing. Borrowed. */
const struct ech_record *ech_records_find(const struct ech_records *p, const char *name);

/* The key that a name's record is to be given next, where the newest is `newest`: the one that was tried and
 * that it may hold, until that is known; then the newest. 0: it has it. */
int64_t ech_records_due(const struct ech_records *p, const char *name, int64_t newest);

/* The name's record is about to be given a key, and `said`; what it holds may be cached for `ttl`. To be
 * written before anybody is asked for it. False where there is no room: too many names, or too many keys that
 * records hold. */
bool ech_records_try(struct ech_records *p, const char *name, int64_t begin, int64_t ttl, const char *said,
                     int64_t now);

/* It has been given it, with that TTL: the one before may be in caches. */
void ech_records_given(struct ech_records *p, const char *name, int64_t ttl, int64_t now);

/* The key that was tried is there no more: nobody opens it, whoever has it. */
void ech_records_lost(struct ech_records *p, const char *name);

/* The name's record is gone. */
void ech_records_withdrawn(struct ech_records *p, const char *name, int64_t now);

/* Until when a key has to open for the sake of records and caches: INT64_MAX while a record may hold it, 0 if
 * none ever did. */
int64_t ech_records_keeps(const struct ech_records *p, int64_t begin);

/* How many records may hold it. */
size_t ech_records_count(const struct ech_records *p, int64_t begin);

/* When it was first given to a record; 0: never, or that was forgotten with it. */
int64_t ech_records_since(const struct ech_records *p, int64_t begin);

/* Forget keys that nobody can have any more. */
void ech_records_forget(struct ech_records *p, int64_t now);

#endif
