/* SPDX-License-Identifier: Apache-2.0 */
/* What the door's certificates need, and when: a pure machine. It is told the time (seconds since 1970) and
 * what has happened, and says what to do next; it knows neither sockets nor files nor keys. The same seed and
 * the same events give the same life, so that a test can play a year.
 *
 * A lineage is what serves one set of names: two slots, each with a certificate of its own CA and its own
 * key. One slot is active and served; the other, where a backup is wanted, is kept ready, and takes over at
 * once. Then the slot that was left is renewed, as the new backup. */
#ifndef CARDEA_KEEPER_LIFE_H
#define CARDEA_KEEPER_LIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"

#define LIFE_CAS_MAX 4 /* CAs of a lineage */
#define LIFE_SLOTS 2
#define LIFE_NO_BACKUP (-1)
#define LIFE_ANY_BACKUP (-2)
#define LIFE_NEVER INT64_MAX
#define LIFE_NO_SLOT (-1)

#define LIFE_DAY INT64_C(86400)
#define LIFE_ARI_LEAST INT64_C(60) /* bounds of Retry-After (RFC 9773, 4.3.2) */
#define LIFE_ARI_MOST LIFE_DAY
#define LIFE_ARI_USUAL (6 * INT64_C(3600)) /* where the CA says nothing, and after an error that lasts */
#define LIFE_RETRY_MOST (7 * LIFE_DAY)     /* of a CA's Retry-After, for orders */
#define LIFE_UNUSED_USUAL (30 * LIFE_DAY)

/* Why something did not work; the words are in life_failure_word(). */
enum life_failure {
    LIFE_WENT_WELL,
    LIFE_UNREACHABLE,  /* the CA could not be reached, or was not well itself (5xx) */
    LIFE_RATE_LIMITED, /* rateLimited (RFC 8555, 6.6) */
    LIFE_REFUSED,      /* it said no: a challenge that failed, CAA, policy, the account */
    LIFE_USELESS,      /* it gave a certificate that has expired, or is due for renewal already */
    LIFE_FAILURES
};

/* Why the active slot is what it is; the words are in life_swap_word(). */
enum life_swap {
    LIFE_NOT_SWAPPED,
    LIFE_SWAP_REVOKED,
    LIFE_SWAP_EXPIRED,
    LIFE_SWAP_ARI,   /* its CA asked for replacement and did not deliver until the end of the window */
    LIFE_SWAP_FAILS, /* its renewal fails and little life is left */
    LIFE_SWAP_OPERATOR,
    LIFE_SWAPS
};

/* A slot's state, plain data that the book keeps. Zeroed: empty. */
struct life_slot {
    bool held;        /* there is a certificate */
    bool must_staple; /* TLS feature status_request (RFC 7633) */
    bool has_status;  /* an OCSP responder or a CRL tells whether it is revoked */
    bool by_crl;      /* ... only a CRL: there is no staple */
    uint8_t failure;  /* enum life_failure: of the last order for it */
    uint16_t ca;      /* that issued it, as life_add_ca() numbers them */
    uint16_t failures;
    uint16_t ari_failures, status_failures;
    int64_t issued; /* when we got it: the last success */
    int64_t failed; /* when an order failed last; 0: never */
    int64_t not_before, not_after;
    int64_t renew_at;
    int64_t ari_start, ari_end;       /* the window that the CA has suggested last; 0: none */
    int64_t ari_due;                  /* when we have waited long enough for the CA to deliver */
    int64_t ari_at;                   /* when to ask for it again; 0: the CA has no ARI */
    int64_t revoked;                  /* when we learnt that it is; 0: it is not */
    int64_t staple_this, staple_next; /* of the staple, or the CRL, that is known; 0: none */
    int64_t status_at;                /* when to ask for it again; 0: there is none to ask */
};

/* What is held against a CA for this lineage. */
struct life_hold {
    int64_t until; /* no order before */
    uint16_t failures;
};

struct life_state {
    uint8_t active;  /* the slot that is served as long as it can be */
    uint8_t swapped; /* enum life_swap: why it is this one */
    int64_t swapped_at;
    int64_t used; /* an on-demand name: when it was asked for last */
    struct life_slot slot[LIFE_SLOTS];
    struct life_hold hold[LIFE_CAS_MAX]; /* as `cas` of the rule */
};

/* What is wanted for a lineage. */
struct life_rule {
    uint16_t cas[LIFE_CAS_MAX]; /* in order of preference */
    uint8_t cas_len;
    int8_t backup; /* which of `cas` it should come from, or LIFE_ANY_BACKUP, or LIFE_NO_BACKUP */
    bool on_demand;
    int64_t unused_after; /* on demand: seconds without being asked for, from when on it is not renewed; 0: 30
                             days */
    int64_t renew_before; /* seconds before the end; 0: a third of the life, of one below ten days a half */
    int64_t swap_before;  /* life left at which the backup takes over while renewal fails; 0: a sixth */
};

/* One lineage. Read it, but change it by the functions below only. */
struct lineage {
    uint32_t magic;
    int64_t id; /* the caller's */
    struct life_rule rule;
    struct life_state state;
    /* private */
    struct list node;
    struct heap_node order, ready, look, turn;
    int8_t served;    /* the slot that was told last */
    int8_t ordering;  /* the slot that an order is under way for, or LIFE_NO_SLOT */
    uint8_t order_ca; /* index into the rule's cas */
    int8_t looking;   /* the slot that is asked about, or LIFE_NO_SLOT */
    bool look_stale;  /* ... which has got another certificate since */
    bool turned;      /* another slot is the active one, and nobody was told yet */
};

/* What is held against a CA whoever asks: plain data that the book keeps. */
struct life_ca_state {
    int64_t until;
    uint16_t failures;
};

struct life_settings {
    unsigned orders_max; /* under way at once; 0: 4 */
    unsigned looks_max;  /* questions for ARI or status under way at once; 0: 16 */
    int64_t check_every; /* seconds between looks whether a certificate is revoked, at most; 0: 4 h */
    uint64_t seed;
};

struct life;

/* NULL when memory is out. */
struct life *life_new(const struct life_settings *settings);
/* From now on at most so many seconds pass between looks, and so many orders are under way at once; 0: as in
 * life_settings. */
void life_set(struct life *p, int64_t check_every, unsigned orders_max);
/* Frees its lineages too. NULL is allowed. */
void life_free(struct life *p);

/* One more CA; `ari`: its directory has renewalInfo. Its number, or -1 when memory is out or there are
 * 65,535. `state` may be NULL. */
int life_add_ca(struct life *p, bool ari, const struct life_ca_state *state);
struct life_ca_state life_ca_state(const struct life *p, uint16_t ca);

/* One more lineage, with its state from the book, or NULL for a new one. NULL when memory is out. */
struct lineage *life_add(struct life *p, int64_t id, const struct life_rule *rule,
                         const struct life_state *state, int64_t now);
/* Forget it; what is under way for it must not be reported any more. */
void life_remove(struct life *p, struct lineage *l);
size_t life_count(const struct life *p);

enum life_task {
    LIFE_ORDER,   /* obtain a certificate for `slot` from `ca`, with a new key: life_issued() or life_failed()
                   */
    LIFE_ASK_ARI, /* for the certificate in `slot`: life_ari() or life_ari_failed() */
    LIFE_ASK_STATUS, /* OCSP (which is its staple) or a CRL: life_status() or life_status_failed() */
    LIFE_SERVE,      /* `slot` is served from now on (or none, LIFE_NO_SLOT); nothing to report */
};

struct life_job {
    enum life_task task;
    int slot;
    uint16_t ca; /* for LIFE_ORDER */
    struct lineage *lineage;
};

/* The next thing to do at `now`; call it until it gives nothing. False: nothing before life_due(). Time may
 * jump, either way. */
bool life_next(struct life *p, int64_t now, struct life_job *ret);

/* When life_next() will have something, unless something is reported before: LIFE_NEVER, or a time that may
 * have passed. */
int64_t life_due(const struct life *p);

/* ---- what has happened ---- */

/* What the certificate says that an order has brought. */
struct life_issue {
    int64_t not_before, not_after;
    bool must_staple;
    bool has_status;
    bool by_crl;
};

/* Is what the order has brought better than what its slot has? Where it is not (it has expired, while the old
 * one is good), it goes nowhere, and the order has failed as LIFE_USELESS. */
bool life_takes(const struct lineage *l, const struct life_issue *issue, int64_t now);

/* The order for the lineage has brought this certificate, which life_takes(), and the book has it. */
void life_issued(struct life *p, struct lineage *l, const struct life_issue *issue, int64_t now);

/* But the book could not keep what life_issued() was told last of the lineage: all is as before, from
 * `before`, and another order comes later. */
void life_take_back(struct life *p, struct lineage *l, const struct life_state *before, int64_t now);

/* The order has failed. `retry_after`: seconds that the CA has said, or 0. */
void life_failed(struct life *p, struct lineage *l, enum life_failure why, int64_t retry_after, int64_t now);

/* The CA suggests to renew within the window (RFC 9773, 4.2), and to ask again after `retry_after` seconds
 * (0: it did not say). A window that ends before it begins counts as no answer. */
void life_ari(struct life *p, struct lineage *l, int64_t start, int64_t end, int64_t retry_after,
              int64_t now);
/* `lasting`: the CA has answered, with an error (RFC 9773, 4.3.3). */
void life_ari_failed(struct life *p, struct lineage *l, bool lasting, int64_t now);

/* The status of the certificate that was asked for, with its thisUpdate and nextUpdate (0: it has none). */
void life_status(struct life *p, struct lineage *l, bool revoked, int64_t this_update, int64_t next_update,
                 int64_t now);
/* There was no answer, none that proves anything, or `unknown`. */
void life_status_failed(struct life *p, struct lineage *l, int64_t now);

/* An on-demand name was asked for. Cheap where that was so lately. */
void life_used(struct life *p, struct lineage *l, int64_t now);

/* The operator wants the other slot served. -1 with `err` where that holds no certificate to serve. */
int life_swap(struct life *p, struct lineage *l, int64_t now, struct err *err);

/* The same for all whose active certificate is of that CA (-1: of any). How many were swapped; *ret_left: how
 * many could not be. */
size_t life_swap_all(struct life *p, int ca, int64_t now, size_t *ret_left);

/* ---- what is so ---- */

/* How good a certificate is to serve; the lower the better. One that begins in the future is as good as any:
 * no CA issues such, so it is our clock that is behind, not those of our clients. */
enum life_rank {
    LIFE_GOOD,
    LIFE_UNSTAPLED, /* must-staple, without a fresh staple */
    LIFE_REVOKED,
    LIFE_EXPIRED,
    LIFE_EMPTY,
};
enum life_rank life_rank(const struct life_slot *s, int64_t now);

/* Why one of a rank behind LIFE_UNSTAPLED cannot take over: static text, "is revoked". */
const char *life_rank_verb(enum life_rank rank);

/* The slot to serve at `now`: the better one, of equals the active one; LIFE_NO_SLOT when both are empty. */
int life_serves(const struct lineage *l, int64_t now);

/* When an order will be tried next for the lineage, as things stand; LIFE_NEVER: for none. */
int64_t life_next_try(const struct lineage *l);

/* When there is anything to do for the lineage next, for book_save(); LIFE_NEVER, or a time that may have
 * passed. */
int64_t life_due_of(const struct lineage *l);

/* Is it on demand, and has nobody asked for it for so long that it is not renewed? */
bool life_is_unused(const struct lineage *l, int64_t now);

/* Static text: "rate-limited". */
const char *life_failure_word(enum life_failure why);
const char *life_swap_word(enum life_swap why);

#endif
