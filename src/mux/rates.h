/* SPDX-License-Identifier: Apache-2.0 */
/* The bandwidth of each name, whichever workers its offers live on: a table that all share, locked only when
 * an offer begins or its memory goes. Private to mux/. */
#ifndef CARDEA_MUX_RATES_H
#define CARDEA_MUX_RATES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/pace.h"

struct rates {
    pthread_mutex_t lock;
    struct hash_key key;
    struct list *bucket;
    size_t buckets; /* a power of two */
    size_t count;
};

/* What the offers of a name share. */
struct rate {
    struct rates *table;
    struct list node; /* of its bucket; under the lock, like `refs` */
    size_t refs;
    struct pace pace;
    _Atomic uint32_t visitors; /* of them all: each has his share */
    char name[];
};

void rates_init(struct rates *t);
/* After the last rate. */
void rates_free(struct rates *t);

/* That of the name, with this bandwidth from now on; a reference. From any thread, as all below. */
struct rate *rates_get(struct rates *t, const char *name, uint64_t bandwidth);
void rate_unref(struct rate *r);

#endif
