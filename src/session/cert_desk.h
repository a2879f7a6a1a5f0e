/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's desk for certificates that are not in its configuration: what it has got from the source is kept
 * in a bounded cache, what it has not is asked for once, however many want it. So many questions are under
 * way at once, and of them so many for one client's address: a flood of invented names costs the worker no
 * more than that. One thread only. */
#ifndef CARDEA_SESSION_CERT_DESK_H
#define CARDEA_SESSION_CERT_DESK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"

struct cert_answer;
struct cert_cache_key;
struct cert_cache_size;
struct cert_desk;
struct cert_source;
struct loop;
struct net_addr;

#define CERT_DESK_QUESTIONS 256           /* under way at once */
#define CERT_DESK_QUESTIONS_PER_SOURCE 32 /* ... for one address; IPv6: one /64 */

/* Somebody who waits for an answer. Embed it; list_init(&node) before, list_remove(&node) to
 * wait no longer. */
struct cert_waiter {
    struct list node;
    void (*wake)(struct cert_waiter *waiter); /* ask again; it is in no list any more */
    bool unproven; /* anybody may have made up the address that it comes from: what is asked for it first
                      leaves three quarters of the room to others */
};

/* Why a client that sends no server name, or one that is none, is shown none that is looked up. */
#define CERT_DESK_NAMELESS "the client names no host that could have a certificate"

enum cert_desk_result {
    CERT_DESK_FOUND,
    CERT_DESK_WAIT, /* it has been asked for, and the waiter is enrolled */
    CERT_DESK_NONE, /* there is none */
    CERT_DESK_BUSY, /* too much is being asked */
};

/* A desk that asks `source` (a reference is taken) and keeps what comes within these bounds; see
 * cert_cache_new(). Never NULL. One holder. */
struct cert_desk *cert_desk_new(struct loop *loop, struct cert_source *source, size_t names, size_t bytes);

/* Another holder, and one less. After the last one what is under way still comes home, and is dropped. NULL
 * is allowed. */
struct cert_desk *cert_desk_ref(struct cert_desk *desk);
void cert_desk_unref(struct cert_desk *desk);

/* The certificates for that key. The name may have upper case and a dot at its end; what is no host name is
 * not asked for. FOUND: *ret is borrowed until the desk is called again. NONE and BUSY: ret->why, static
 * text. `peer` is whose wish it is, and `waiter` is who wants to know. A waiter that is enrolled already
 * stays so. */
enum cert_desk_result cert_desk_find(struct cert_desk *desk, const struct cert_cache_key *key,
                                     const struct net_addr *peer, struct cert_waiter *waiter,
                                     const struct cert_answer **ret);

/* See cert_cache_forget(). What is under way is asked for again where somebody waits for it, and not kept. */
void cert_desk_forget(struct cert_desk *desk, const char *name);

/* What it holds, and how many questions are under way. */
struct cert_cache_size cert_desk_size(const struct cert_desk *desk, size_t *ret_questions);

#endif
