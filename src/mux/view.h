/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's view of all offers, and how workers reach each other. Private to mux/. */
#ifndef CARDEA_MUX_VIEW_H
#define CARDEA_MUX_VIEW_H

#include "base/hash.h"
#include "loop/loop.h"
#include "mux/bridge.h"
#include "mux/registry.h"

struct agents_hub {
    size_t workers;
    struct hash_key key;
    struct rates rates;
    struct agents *view[];
};

struct agents {
    uint32_t magic;
    struct agents_hub *hub;
    unsigned index;
    struct link_home home;
    struct bridge_site site;
    struct registry known;
    int64_t started; /* monotonic */
    uint64_t next_id;
    uint64_t visits;   /* begun here */
    struct list woken; /* waiters whose time has come */
    struct task wake;
};

#endif
