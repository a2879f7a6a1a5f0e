/* SPDX-License-Identifier: Apache-2.0 */
/* Between demand.c (questions, and what becomes of them) and demand_due.c (what is due, and comes from the
 * book by itself). */
#ifndef CARDEA_KEEPER_DEMAND_INTERNAL_H
#define CARDEA_KEEPER_DEMAND_INTERNAL_H

#include "base/hash.h"
#include "base/list.h"
#include "keeper/ask_hook.h"
#include "keeper/demand.h"
#include "loop/loop.h"

#define DEMAND_BUCKETS 1024
#define DEMAND_HORIZON INT64_C(3600) /* seconds: what is due within them is in memory */

struct demand_maker {
    struct acme_wish *wish;
    struct permit *permit;
    struct ask_hook hook;
    int64_t refused_for, failed_for;
    size_t asks_most, fresh_most; /* at once */
};

/* Those of one `struct demand` who are asked about. It outlives that by the programs of which something is
 * left. */
struct demand_asks {
    struct list node;
    struct demand *d; /* NULL: it is gone */
    struct ask_crowd crowd;
    struct list queue; /* struct demanded, whose renewal waits until there is room among those asked about */
    struct task room;  /* ... which there may be now */
};

struct demands {
    struct obtainer *obtainer;
    struct loop *loop;
    struct demand_figures *figures;
    struct list all;      /* struct demand, the newest first */
    struct list asks;     /* struct demand_asks */
    struct list programs; /* that are asked */
    struct hash_key key;
    struct timer sweep;
    struct listing_summary summary;
    int64_t summary_until; /* monotonic */
    bool stopped;
};

struct demand {
    struct list node;
    struct demands *home;
    struct demand_maker *is;
    struct demand_asks *asks;
    struct list names[DEMAND_BUCKETS]; /* struct demanded */
    size_t names_len, fresh;
};

/* A name in memory. */
struct demanded {
    struct list node, queued;
    struct demand *d;
    struct cert_question **waiters;
    size_t waiters_len;
    struct ask_call *call;
    struct obtained *obtained;
    struct task settle;
    bool fresh;     /* its first certificate is under way */
    bool permitted; /* the next order is */
    bool swept;     /* it is here since it was due */
    bool refused;   /* ... is not, and there will be none */
    char name[HOSTNAME_MAX + 1];
};

void demand_count(const struct demand *d, enum demand_count what);

/* The name, if it is in memory; else NULL. */
struct demanded *demand_find(struct demand *d, const char *name);

/* Take a name that is due from the book into memory; it may have gone from there. */
void demand_take_up(struct demand *d, const char *name);

/* For the timer `sweep` of struct demands: take up what is due. */
void demands_sweep(struct timer *t);

#endif
