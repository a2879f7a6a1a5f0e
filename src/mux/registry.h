/* SPDX-License-Identifier: Apache-2.0 */
/* What one view knows: names, and the offers under each. Private to mux/.
 *
 * A name stays for as long as visitors may wait for an agent of it to come back; names that nobody will ask
 * for again are swept out as new ones come. */
#ifndef CARDEA_MUX_REGISTRY_H
#define CARDEA_MUX_REGISTRY_H

#include "base/hash.h"
#include "mux/agents.h"

/* A name that is offered, was lately, or is waited for. */
struct name {
    struct list node;   /* of its bucket */
    struct list agents; /* struct known, the lowest id first: in each view alike */
    struct list waiters;
    int64_t gone_at;                      /* the last agent left; 0: never one */
    enum agents_leave left;               /* ... in this way */
    bool was_public;                      /* ... and had offered it to everybody */
    int64_t sealed_until;                 /* an agent that offered it end-to-end may be back; 0: none did */
    uint8_t sealed_by[AGENT_FINGERPRINT]; /* the one and only that did; zeros: there were several */
    char text[];
};

/* An offer that this view knows. */
struct known {
    struct agent *agent;
    struct list of_name;
    struct list of_id;
    uint64_t visited; /* when a visitor was last led to it from here: higher, later; 0: never */
};

struct registry {
    struct hash_key key;
    struct list *names; /* buckets of struct name */
    struct list *ids;   /* buckets of struct known */
    size_t buckets;
    size_t count; /* of names */
    size_t swept; /* the bucket that is looked at next for names to forget */
};

void registry_init(struct registry *r, const struct hash_key *key);

/* With all that it knows; nobody waits any more. */
void registry_free(struct registry *r);

/* The name, or NULL. */
struct name *registry_find(const struct registry *r, const char *text);

/* The same; it is made where it is not there yet. `now`: monotonic. */
struct name *registry_get(struct registry *r, const char *text, int64_t now);

/* The offer with this id, or NULL. */
struct known *registry_find_id(const struct registry *r, uint64_t id);

/* Know an offer, with a reference of the registry's own. */
void registry_add(struct registry *r, struct name *n, struct agent *a);

/* Know it no longer. */
void registry_forget(struct known *k);

/* The first offer for which `fits` holds, or NULL. */
struct agent *registry_search(const struct registry *r, bool (*fits)(void *arg, struct agent *a), void *arg);

#endif
