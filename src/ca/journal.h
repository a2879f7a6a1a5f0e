/* SPDX-License-Identifier: Apache-2.0 */
/* The database of an authority: the log, which can only grow and whose rows are chained by hashes, and what
 * is derived from it so that it can be looked up: what was issued and what of it is revoked. Both are written
 * in one transaction.
 *
 * A row's hash is the SHA-256 of "cardea ca log 1", the hash of the row before (32 zeros for the first), the
 * row's number and its time (8 bytes each), and then its act, who, serial number, detail and content, each
 * behind its length (8 bytes). Numbers are big-endian. doc/internals/ca-log.md tells how to check it by other
 * means. */
#ifndef CARDEA_CA_JOURNAL_H
#define CARDEA_CA_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "ca/authority.h"

struct state;

#define JOURNAL_WHO_MAX 256 /* bytes */

/* Open it, or make it. NULL with `err`. */
struct state *journal_open(const char *path, struct err *err);

/* An act: "init", "renew", "set", "issue", "revoke", "crl", "krl". Everything but `act` and `who` may be
 * empty. */
struct journal_act {
    int64_t at; /* seconds since 1970 */
    const char *act;
    const char *who;
    struct ca_serial serial;
    struct str detail;
    struct str content;
};

/* Write it down, within a transaction of the caller. -1 with `err`. */
int journal_append(struct state *db, const struct journal_act *act, int64_t *ret_row, struct err *err);

/* The number that the next row will have, within a transaction. -1 with `err`. */
int journal_next(struct state *db, int64_t *ret_row, struct err *err);

/* Write down that this was issued, in a transaction of its own or (`in_transaction`) of the caller;
 * entry->row and what is about revocation are not looked at. -1 with `err`. */
int journal_issue(struct state *db, const struct authority_entry *entry, int64_t at, bool in_transaction,
                  struct err *err);

/* As authority_revoke(). */
enum authority_revoked journal_revoke(struct state *db, const struct ca_serial *serial, enum ca_reason reason,
                                      const char *who, int64_t at, struct err *err);

/* What is known of a serial number: 1, 0 there is none, -1 with `err`. */
struct journal_status {
    int64_t issuer;  /* see authority_entry */
    int64_t revoked; /* when, or 0 */
    int reason;
};

int journal_status(struct state *db, const struct ca_serial *serial, struct journal_status *ret,
                   struct err *err);

/* As authority_each() and authority_find(). */
int journal_each(struct state *db, int64_t since, authority_entry_fn *fn, void *arg, struct err *err);
int journal_find(struct state *db, const struct ca_serial *serial, authority_entry_fn *fn, void *arg,
                 struct err *err);

/* All that is revoked and ends after `since`, in order of revocation. */
int journal_revoked(struct state *db, int64_t since, authority_entry_fn *fn, void *arg, struct err *err);

/* As authority_revoked_since(). */
int journal_revoked_since(struct state *db, int64_t *row, struct err *err);

/* Append the value of a setting as the last act "set" has it ("NAME=VALUE"); nothing where there is none. */
int journal_setting(struct state *db, const char *name, struct buf *ret, struct err *err);

/* Called with each certificate of the CA itself, acts "init" and "renew", in order: what names its file, and
 * the certificate in DER, borrowed. Less than 0 stops, with `err`. -1 then. */
typedef int journal_authority_fn(void *arg, int64_t row, struct str detail, struct str content,
                                 struct err *err);
int journal_authorities(struct state *db, journal_authority_fn *fn, void *arg, struct err *err);

/* As authority_head(). */
int journal_head(struct state *db, struct authority_head *ret, struct err *err);

/* authority_audit(), without the certificates of the CA. */
int journal_audit(struct state *db, const struct authority_head *known, struct authority_head *ret,
                  struct err *err);

#endif
