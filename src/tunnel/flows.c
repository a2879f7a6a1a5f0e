/* SPDX-License-Identifier: Apache-2.0 */
/* A flow is a link: its bytes are frames (link/frames.h), read are the datagrams to be sent, written those
 * that come back. The door's side of the same is link/udp_link.c. */
#include "tunnel/flows.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"
#include "link/frames.h"
#include "link/link.h"
#include "tunnel/client.h"

#define BUCKETS_MIN 64 /* a power of two, as all that it grows to */

#define FLOW_MAGIC 0xf1040d90u

#define WAITS_PROVEN ((size_t)128 * 1024) /* bytes that wait in a flow that is proven: at least so many */
#define SETTLED_NS NSEC_PER_SEC           /* of silence, before an unproven flow gives its place away */
#define ENDING_FACTOR 2                   /* times `max`: all flows, with those that are about to go */

struct flows {
    struct flows_settings of;
    struct hash_key key;
    struct list *bucket;
    size_t buckets;
    struct list unproven; /* struct flow; whom nothing was heard from for longest comes first */
    size_t count;
    size_t live; /* those among them that have not ended */
    bool closed;
    struct task free_later;
};

struct flow {
    struct link link;
    uint32_t magic;
    struct flows *flows;
    struct list node;     /* of its bucket */
    struct list unproven; /* in this list while it is */
    bool answered;
    uint64_t credit; /* bytes that may be sent back while it is unproven */
    int64_t heard;   /* when the last datagram came */
    struct buf waiting;
    struct buf partial;
    struct timer silence;
    struct link_datagrams counts;
    bool ended; /* silent for too long, or shut by the other side */
    size_t key_len;
    uint8_t key[];
};

static struct flow *flow_of(struct link *l)
{
    struct flow *f = CONTAINER_OF(l, struct flow, link);
    CHECK_MAGIC(f, FLOW_MAGIC);
    return f;
}

static void flows_free(struct task *t)
{
    struct flows *fs = CONTAINER_OF(t, struct flows, free_later);
    free(fs->bucket);
    free(fs);
}

static void free_if_done(struct flows *fs)
{
    if (fs->closed && fs->count == 0) /* the last one may still be on its way out */
        loop_defer(fs->of.loop, &fs->free_later);
}

/* ---- a flow ---- */

static bool is_proven(const struct flow *f)
{
    return list_empty(&f->unproven);
}

static void active(struct flow *f)
{
    const struct flows_settings *of = &f->flows->of;
    int64_t idle = is_proven(f) ? of->idle : MIN(of->idle, FLOWS_UNPROVEN_NS);
    loop_set_timer(of->loop, &f->silence, loop_now(of->loop) + idle);
}

/* Nothing is taken or given any more; it goes when the other side has seen that. */
static void end(struct flow *f)
{
    f->flows->live -= !f->ended;
    f->ended = true;
    list_remove(&f->unproven);
}

static void on_silence(struct timer *t)
{
    struct flow *f = CONTAINER_OF(t, struct flow, silence);
    end(f);
    link_wake(&f->link);
}

/* What waits in it when it ends may still be read; but nobody waits for an answer. */
static enum link_status flow_open(struct link *l)
{
    return flow_of(l)->ended ? LINK_ERROR : LINK_OK;
}

static enum link_status flow_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct flow *f = flow_of(l);
    *ret_n = frames_move(&f->waiting, buf, cap);
    return *ret_n > 0 ? LINK_OK : f->ended ? LINK_EOF : LINK_AGAIN;
}

static void give_back(void *arg, const uint8_t *data, size_t len)
{
    struct flow *f = arg;
    const struct flows *fs = f->flows;
    bool bounded = !is_proven(f) && fs->of.factor > 0;
    if (fs->closed)
        return;
    f->counts.largest = MAX(f->counts.largest, len);
    if ((bounded && len > f->credit) || !fs->of.back(fs->of.owner, f->key, f->key_len, data, len)) {
        f->counts.dropped++;
        return;
    }
    f->counts.sent++;
    f->credit -= bounded ? len : 0;
    f->answered = true;
}

static enum link_status flow_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct flow *f = flow_of(l);
    frames_feed(&f->partial, buf, len, give_back, f);
    if (!f->flows->closed)
        active(f);
    *ret_n = len;
    return LINK_OK;
}

static enum link_status flow_shutdown(struct link *l, bool closing)
{
    (void)closing;
    end(flow_of(l));
    return LINK_OK;
}

static void flow_close(struct link *l, bool abort)
{
    struct flow *f = flow_of(l);
    struct flows *fs = f->flows;
    (void)abort;
    end(f);
    wheel_cancel(&f->silence);
    list_remove(&f->node);
    buf_free(&f->waiting);
    buf_free(&f->partial);
    f->magic = 0;
    free(f);
    fs->count--;
    free_if_done(fs);
}

static void flow_datagrams(const struct link *l, struct link_datagrams *ret)
{
    *ret = flow_of((struct link *)(uintptr_t)l)->counts;
}

static const struct link_ops flow_ops = {
    .name = "UDP flow",
    .open = flow_open,
    .read = flow_read,
    .write = flow_write,
    .shutdown = flow_shutdown,
    .close = flow_close,
    .datagrams = flow_datagrams,
};

/* The flow itself is gone by now, and with a flow that was the last, all of them will be. */
static void on_ended(void *owner, enum client_outcome outcome, const char *text)
{
    const struct flows *fs = owner;
    if (outcome == CLIENT_FAILED && !fs->closed)
        fs->of.failed(fs->of.owner, text);
}

/* ---- all of them ---- */

static struct list *bucket_of(struct flows *fs, const void *key, size_t key_len)
{
    return &fs->bucket[hash_bytes(&fs->key, key, key_len) & (fs->buckets - 1)];
}

static void make_buckets(struct flows *fs, size_t n)
{
    fs->bucket = calloc(n, sizeof(*fs->bucket));
    CHECK(fs->bucket != NULL);
    fs->buckets = n;
    for (size_t i = 0; i < n; i++)
        list_init(&fs->bucket[i]);
}

static void grow(struct flows *fs)
{
    struct list *old = fs->bucket, *node;
    size_t n = fs->buckets;
    make_buckets(fs, n * 2);
    for (size_t i = 0; i < n; i++)
        while ((node = list_pop(&old[i])) != NULL) {
            struct flow *f = CONTAINER_OF(node, struct flow, node);
            list_insert(bucket_of(fs, f->key, f->key_len), node);
        }
    free(old);
}

static struct flow *find(struct flows *fs, const void *key, size_t key_len)
{
    struct list *bucket = bucket_of(fs, key, key_len);
    for (struct list *n = bucket->next; n != bucket; n = n->next) {
        struct flow *f = CONTAINER_OF(n, struct flow, node);
        if (!f->ended && f->key_len == key_len && memcmp(f->key, key, key_len) == 0)
            return f;
    }
    return NULL;
}

/* Where all places are taken, an unproven flow that has been silent for a while goes: the one that was silent
 * longest. So who sends under many addresses drives out his own, at a pace that is bounded. */
static bool make_room(struct flows *fs)
{
    if (fs->live < fs->of.max)
        return true;
    if (list_empty(&fs->unproven) || fs->count >= ENDING_FACTOR * fs->of.max)
        return false;
    struct flow *f = CONTAINER_OF(fs->unproven.next, struct flow, unproven);
    if (loop_now(fs->of.loop) - f->heard < SETTLED_NS)
        return false;
    end(f);
    loop_set_timer(fs->of.loop, &f->silence, 0); /* wakes who reads it */
    return true;
}

/* The first datagram waits in the flow before the client begins to read it. */
static struct flow *begin(struct flows *fs, const void *key, size_t key_len,
                          const struct front_target *target)
{
    if (!make_room(fs))
        return NULL;
    struct flow *f = calloc(1, sizeof(*f) + key_len);
    CHECK(f != NULL);
    f->link.ops = &flow_ops;
    f->magic = FLOW_MAGIC;
    f->flows = fs;
    f->key_len = key_len;
    memcpy(f->key, key, key_len);
    timer_init(&f->silence, on_silence);
    list_init(&f->unproven);
    if (fs->of.strangers)
        list_insert(&fs->unproven, &f->unproven);
    if (fs->count == fs->buckets)
        grow(fs);
    list_insert(bucket_of(fs, key, key_len), &f->node);
    fs->count++;
    fs->live++;
    if (fs->of.door == NULL) {
        fs->of.begin(fs->of.owner, key, key_len, &f->link);
        return find(fs, key, key_len); /* it may have been turned away */
    }
    CHECK(target->udp);
    client_start(fs->of.door, target, &f->link, NULL, on_ended, fs);
    return f;
}

struct flows *flows_new(const struct flows_settings *settings)
{
    struct flows *fs = calloc(1, sizeof(*fs));
    CHECK(fs != NULL);
    fs->of = *settings;
    fs->key = hash_random_key();
    list_init(&fs->unproven);
    make_buckets(fs, BUCKETS_MIN);
    task_init(&fs->free_later, flows_free);
    return fs;
}

/* A datagram came on it. */
static void heard(struct flow *f, size_t len)
{
    struct flows *fs = f->flows;
    f->heard = loop_now(fs->of.loop);
    f->counts.received++;
    f->counts.largest = MAX(f->counts.largest, len);
    f->credit += len * fs->of.factor;
    if (!is_proven(f)) {
        list_remove(&f->unproven);
        if (!f->answered)
            list_insert(&fs->unproven, &f->unproven);
    }
    active(f);
}

bool flows_send(struct flows *fs, const void *key, size_t key_len, const struct front_target *target,
                const uint8_t *data, size_t len)
{
    CHECK(!fs->closed);
    struct flow *f = find(fs, key, key_len);
    if (f == NULL)
        f = begin(fs, key, key_len, target);
    if (f == NULL)
        return false;
    bool was_empty = f->waiting.len == 0;
    heard(f, len);
    size_t most = is_proven(f) ? MAX(fs->of.waits, WAITS_PROVEN) : fs->of.waits;
    f->counts.dropped += !frames_put(&f->waiting, data, len, most);
    if (was_empty)
        link_wake(&f->link);
    return true;
}

void flows_refit(struct flows *fs, size_t max, int64_t idle, size_t factor)
{
    fs->of.max = max;
    fs->of.idle = idle;
    fs->of.factor = factor;
}

void flows_close(struct flows *fs)
{
    if (fs == NULL)
        return;
    fs->closed = true;
    for (size_t i = 0; i < fs->buckets; i++)
        for (struct list *n = fs->bucket[i].next; n != &fs->bucket[i]; n = n->next)
            /* soon, not now: ending takes flows out of the list */
            loop_set_timer(fs->of.loop, &CONTAINER_OF(n, struct flow, node)->silence, 0);
    free_if_done(fs);
}
