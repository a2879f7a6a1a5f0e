/* SPDX-License-Identifier: Apache-2.0 */
/* What survives of the certificates' life: DIR/certificates.db. In it are the CAs with our accounts, the
 * lineages with their names, and for each slot its certificate with the private key, its staple, and what
 * life.h knows of it. What belongs together changes together: after a crash a slot has its old certificate
 * with the old key, or the new one with the new.
 *
 * Keys are kept by the file's mode (0600, in a folder of 0700), as those in files are: a passphrase that a
 * door can start with by itself would lie beside them. What is deleted is overwritten.
 *
 * A million names cost no memory: lineages are found by an index and read one at a time. The book knows
 * nothing of X.509; who calls has looked at what he puts in (issued_read()). One `struct book` belongs to one
 * thread; times are seconds since 1970.
 *
 * An order that a CA has taken is kept with the key that it is for, until it is over: a door that is killed
 * goes on with it. */
#ifndef CARDEA_KEEPER_BOOK_H
#define CARDEA_KEEPER_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "keeper/life.h"
#include "keeper/listing.h"

struct book;

#define BOOK_PIN_LEN 32    /* SHA-256 of a SubjectPublicKeyInfo */
#define BOOK_FOUND_MAX 8   /* lineages of one name */
#define BOOK_NAMES_MAX 100 /* names of a lineage */

/* Open the book in `dir`, which is made (0700) when it is not there. NULL with `err`. */
struct book *book_open(const char *dir, struct err *err);
/* NULL is allowed. */
void book_close(struct book *b);

/* ---- CAs: numbered from 0 on as they became known, never forgotten; life_add_ca() them in this order ----
 */

/* Texts and bytes are borrowed for the call. */
struct book_ca {
    uint16_t number;
    struct str url; /* of its directory */
    struct life_ca_state state;
    struct str account;     /* URL of our account; empty: none yet */
    struct str account_key; /* PKCS #8 in DER; empty: none yet */
};

typedef int book_ca_fn(void *arg, const struct book_ca *ca, struct err *err);

/* Its number, new or known; -1 with `err`. */
int book_add_ca(struct book *b, const char *url, struct err *err);
/* In the order of their numbers. Less than 0 from `fn` stops. -1 with `err`. */
int book_each_ca(struct book *b, book_ca_fn *fn, void *arg, struct err *err);
int book_save_ca(struct book *b, uint16_t ca, const struct life_ca_state *state, struct err *err);
/* Our account there, with its key, whole: it replaces the one before. An account that is not registered yet
 * has a key and no URL. */
int book_save_account(struct book *b, uint16_t ca, struct str account, struct str key, struct err *err);

/* ---- lineages ---- */

struct book_lineage {
    int64_t id;
    const char *const *names; /* lower case; "*.example.com" for a wildcard */
    size_t names_len;
    const char *key_kind; /* as the configuration says it, or "" */
    const char *profile;  /* ACME profile, or "" */
    bool on_demand;
};

/* The lineage of these names, this kind of key and this profile, new or known: its id. The order of the names
 * does not matter. -1 with `err`. */
int64_t book_add(struct book *b, const struct book_lineage *l, struct err *err);

/* The same, when it is known: 0 when it is not. */
int64_t book_known(struct book *b, const struct book_lineage *l, struct err *err);

/* Forget these with all their certificates and keys: all of them, or -1 with `err` and none. */
int book_remove(struct book *b, const int64_t *ids, int count, struct err *err);

/* The lineages that are to be asked for a server name (lower case): those that have it, or else those with a
 * wildcard for it. How many; -1 with `err`. */
int book_find(struct book *b, struct str name, int64_t ret[BOOK_FOUND_MAX], struct err *err);

/* Called with each; texts are borrowed for the call. Less than 0 stops, with `err`. */
typedef int book_lineage_fn(void *arg, const struct book_lineage *l, int64_t due, struct err *err);

/* The one with that id: 1, 0 when there is none, -1 with `err`. */
int book_get(struct book *b, int64_t id, book_lineage_fn *fn, void *arg, struct err *err);

/* Those on demand with something to do before `before`, the most overdue first, at most `most`: a door with a
 * million names has in memory those of the next hour. How many; -1 with `err`. */
int book_each_demanded(struct book *b, int64_t before, size_t most, book_lineage_fn *fn, void *arg,
                       struct err *err);

/* Names on demand, for who lists them: count them; the text that a slot's state gives decides. -1 with `err`.
 * It reads all of them: a second or two for a million. */
int book_summarise(struct book *b, int64_t now, struct listing_summary *ret, struct err *err);

/* Where one is among the names on demand: by name, then by lineage. */
struct book_place {
    char name[HOSTNAME_MAX + 1];
    int64_t id;
};

/* Those behind `after` (zeroed: from the beginning) whose name is like `match` (letters, digits, '-', '.' and
 * '*' for any text; "": all), in order, at most `most`. How many; -1 with `err`. */
int book_page(struct book *b, const struct book_place *after, const char *match, struct book_place *ret,
              size_t most, struct err *err);

/* When there is something to do for it next, and nothing else. -1 with `err`. */
int book_put_off(struct book *b, int64_t id, int64_t due, struct err *err);

/* ---- their state ---- */

/* What life.h knew of it last. 1; 0 for a lineage without: *ret is zeroed then; -1 with `err`. */
int book_load(struct book *b, int64_t id, const struct life_rule *rule, struct life_state *ret,
              struct err *err);

/* Save it, all or nothing; `due`: when there is something to do for the lineage next. -1 with `err`. */
int book_save(struct book *b, const struct lineage *l, int64_t due, struct err *err);

/* The same with the OCSP response (DER) of a slot's certificate; an empty one takes it away. */
int book_save_staple(struct book *b, const struct lineage *l, int64_t due, int slot, struct str staple,
                     struct err *err);

/* Why the CA suggests to renew (explanationURL, RFC 9773, 4.2); empty: it does not say. */
int book_save_explanation(struct book *b, int64_t id, int slot, struct str url, struct err *err);

/* A certificate with its key. */
struct book_certificate {
    struct str chain; /* PEM, leaf first */
    struct str key;   /* PKCS #8 in DER */
    uint8_t pin[BOOK_PIN_LEN];
    int64_t issued, not_before, not_after;
    uint16_t ca;
};

/* Put a new certificate into a slot in the place of the one before, and save the lineage's state, which is
 * the one after life_issued(); the order that was under way is over: all or nothing. A key that the book has
 * is refused: no two certificates share one. -1 with `err`. */
int book_put(struct book *b, const struct lineage *l, int64_t due, int slot, const struct book_certificate *c,
             struct err *err);

/* A certificate as it was read; free it, which wipes the key. */
struct book_copy {
    struct book_certificate is; /* its texts are in `bytes` */
    struct buf bytes;
    struct str staple;
    struct str explanation;
};
void book_copy_free(struct book_copy *copy);

/* The certificate of a slot: 1, 0 when there is none, -1 with `err`. */
int book_certificate(struct book *b, int64_t id, int slot, struct book_copy *ret, struct err *err);

/* ---- orders under way: one of a lineage ---- */

struct book_order {
    int slot;
    uint16_t ca;
    struct str url; /* of the order at the CA (RFC 8555, 7.4) */
    struct str key; /* of the certificate to be: PKCS #8 in DER */
};

/* Keep an order with its key, whole, in the place of the one before. -1 with `err`. */
int book_save_order(struct book *b, int64_t id, const struct book_order *order, struct err *err);

/* The order that is kept: 1, with its bytes in `space`, which is to be wiped; 0: there is none; -1 with
 * `err`. */
int book_order(struct book *b, int64_t id, struct book_order *ret, struct buf *space, struct err *err);

/* Forget it; there may be none. -1 with `err`. */
int book_end_order(struct book *b, int64_t id, struct err *err);

/* Look through the whole book: is each slot's certificate there with its key, and nobody's key anybody
 * else's? How many certificates there are; -1 with `err`, which says what is wrong. */
int64_t book_check(struct book *b, struct err *err);

#endif
