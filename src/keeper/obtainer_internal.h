/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of an obtainer share: obtainer.c (who is wanted, and when what is done), and beside
 * it orders, questions about status, what is wanted on demand, what is revoked, and what operators
 * see and swap. */
#ifndef CARDEA_KEEPER_OBTAINER_INTERNAL_H
#define CARDEA_KEEPER_OBTAINER_INTERNAL_H

#include "base/check.h"
#include "base/list.h"
#include "keeper/acme_errand.h"
#include "keeper/asker.h"
#include "keeper/book.h"
#include "keeper/obtainer.h"

#define OBTAINER_MAGIC 0x0b7a1e40u
#define OBTAINED_MAGIC 0x0b7a1ed0u

/* A CA, by its number in the book and in life.h. */
struct obtainer_ca {
    char *url;
    char *account;                   /* its URL, or NULL */
    struct evp_pkey_st *account_key; /* NULL: none yet */
};

struct obtainer {
    uint32_t magic;
    struct obtainer_owner owner;
    struct book *book;
    struct life *life;
    struct fetcher *fetcher;
    struct asker *asker;
    struct prover *door;
    struct obtainer_ca *cas;
    size_t cas_len;
    struct list all;      /* struct obtained */
    struct list revoking; /* struct revocation */
    struct list programs; /* hooks that run */
    struct timer timer;
    struct task turn;
    int64_t check_every; /* as in obtainer_settings */
};

/* An order, or a question, that is under way. */
struct obtained_errand {
    struct acme_errand *running; /* NULL: none */
    uint16_t ca;
    int slot;
    struct evp_pkey_st *key; /* of the certificate to be */
    struct cert *about;      /* the certificate that is asked about */
    struct buf eab_key;
    struct buf replaces;
    struct buf resumes; /* URL of an order with this key that was begun before; empty: none */
};

struct obtained {
    uint32_t magic;
    struct list node;
    struct obtainer *o;
    size_t wanted; /* how often */
    struct acme_wish *wish;
    struct lineage *lineage;
    struct prover *dns;             /* made when it is first needed; NULL: none */
    struct cert *certs[LIFE_SLOTS]; /* what is in the slots, or NULL */
    int served;                     /* slot, or LIFE_NO_SLOT */
    struct cert *outgoing;          /* what `outgoing_slot` had before, served until what it has now has
                                     * its staple, or until `outgoing_end`; NULL: nothing is */
    int outgoing_slot;
    struct timer outgoing_end;
    struct obtained_errand order, look;
    struct question *status; /* whether the certificate in status_slot is revoked; NULL: not asked now */
    int status_slot;
    bool troubled;           /* it could not be told last, which was said */
    struct obtained_ear ear; /* on demand; else empty */
    struct life_job waits;   /* the order that has to be permitted; `lineage` NULL: none */
    const struct cert *told; /* from the book, before anybody had another: no change to tell of */
};

/* Seconds since 1970. */
int64_t obtainer_now(void);

/* Say something about it: "certificate for NAME: ...". */
void obtained_notice(const struct obtained *g, const struct err *why);

/* Something has changed: look soon what is to be done. */
void obtainer_go_on(struct obtainer *o);

/* Put what is known of it into the book. */
void obtained_save(const struct obtained *g);

/* What clients get, or NULL; no reference. */
struct cert *obtained_served(const struct obtained *g);

/* Clients are to ask anew for all its names. */
void obtained_changed(const struct obtained *g);

/* Is it for that name, be it by a wildcard? */
bool obtained_is_named(const struct obtained *g, const char *name);

/* Something has become of it: tell who listens. */
void obtained_tell(const struct obtained *g);

/* ---- between obtainer.c and obtainer_demand.c ---- */

/* Take a wish up that nobody has yet, under that id of the book. NULL, with a notice. */
struct obtained *obtainer_take_up(struct obtainer *o, struct acme_wish *wish, int64_t id);
struct obtained *obtainer_of_id(const struct obtainer *o, int64_t id);

/* ---- obtainer_order.c ---- */

void obtained_order(struct obtained *g, int slot, uint16_t ca);

/* The order is over before it has begun. */
void obtained_fail(struct obtained *g, enum life_failure why, const struct err *text);
void obtained_ask_renewal(struct obtained *g, int slot);

/* Give up the errands and the question that are under way. */
void obtained_cancel(struct obtained *g);

/* ---- obtainer_status.c ---- */

void obtained_ask_status(struct obtained *g, int slot);
void obtained_cancel_status(struct obtained *g);

/* The certificate of a slot is served with that staple from now on; NULL: with none. */
void obtained_staple(const struct obtained *g, int slot, struct cert_staple *staple);

/* A certificate that must be stapled has come into the slot, and those in `certs` are still those of before:
 * is what is there served on until there is a staple? `before`: the slot as it was. */
bool obtained_awaits_staple(struct obtained *g, int slot, const struct life_slot *before);

/* The certificate before, if it is served on, is so no more: clients get what is in the slot. */
void obtained_outgoing_end(struct obtained *g);

#endif
