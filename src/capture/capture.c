/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/capture.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "capture/flow.h"
#include "capture/fragments.h"
#include "capture/packet.h"

#define BUCKETS 16384u /* a power of two */
#define MAGIC 0xca97053eu

/* A connection that is silent for so long by the frames' clock is over, whatever became of it. */
#define SILENCE (120 * NSEC_PER_SEC)

struct capture {
    uint32_t magic;
    struct capture_limits limits;
    capture_seen *seen;
    void *owner;
    struct capture_counts counts;
    size_t held; /* bytes, of all connections and fragments */
    struct hash_key hash;
    struct list age;   /* flows, the one that was silent for longest first */
    struct list queue; /* flows with a hello, in the order in which those began */
    struct fragments *fragments;
    int64_t now;
    struct list buckets[BUCKETS];
    uint8_t *scratch;                 /* `limits.flow` bytes, for a hello that came in several records */
    uint8_t plain[INITIAL_PLAIN_MAX]; /* of a packet of QUIC */
};

struct capture *capture_new(const struct capture_limits *limits, capture_seen *seen, void *owner)
{
    struct capture *c = calloc(1, sizeof(*c));
    CHECK(c != NULL && limits->flow >= CAPTURE_FLOW_MIN && limits->flow <= CAPTURE_MAX);
    c->magic = MAGIC;
    c->limits = *limits;
    c->seen = seen;
    c->owner = owner;
    c->hash = hash_random_key();
    c->scratch = malloc(limits->flow);
    CHECK(c->scratch != NULL);
    c->fragments = fragments_new(&c->held);
    list_init(&c->age);
    list_init(&c->queue);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&c->buckets[i]);
    return c;
}

/* What its buffers take now counts among what is held. */
static void account(struct capture *c, struct flow *f)
{
    c->held -= f->buffers;
    f->buffers = flow_buffers(f);
    c->held += f->buffers;
}

/* Telling -------------------------------------------------------------------------------------------- */

static void tell(struct capture *c, struct flow *f)
{
    struct hello hello;
    struct sighting s;
    flow_describe(f, &hello, c->scratch, &s);
    c->counts.hellos++;
    c->seen(c->owner, &s);
    f->told = true;
    list_remove(&f->queue);
    flow_forget(f);
    account(c, f);
}

/* Tell of those at the head of the queue of which all is known; who is behind another waits for it. */
static void tell_ready(struct capture *c)
{
    while (!list_empty(&c->queue)) {
        struct flow *f = CONTAINER_OF(c->queue.next, struct flow, queue);
        if (!f->closed && !flow_is_complete(f))
            return;
        tell(c, f);
    }
}

/* Enter it into the queue once its hello has begun. */
static void note(struct capture *c, struct flow *f)
{
    if (f->key.udp)
        f->begun = f->quic.message.len > 0 && !f->quic.odd;
    if (!f->begun || f->told || !list_empty(&f->queue))
        return;
    f->hello_time = f->last;
    f->hello_frame = f->last_frame;
    list_insert(&c->queue, &f->queue);
}

/* Flows ---------------------------------------------------------------------------------------------- */

/* A flow that is over goes when its hello has been told of, or it has none. */
static void drop(struct capture *c, struct flow *f)
{
    flow_close(f, c->limits.flow);
    note(c, f);
    tell_ready(c);
    if (!list_empty(&f->queue))
        tell(c, f); /* before its turn: it is to make room */
    flow_free(f, &c->held);
}

static struct list *bucket_of(struct capture *c, const struct flow_key *key)
{
    return &c->buckets[hash_bytes(&c->hash, key, sizeof(*key)) % BUCKETS];
}

static struct flow *find(struct capture *c, const struct flow_key *key)
{
    struct list *bucket = bucket_of(c, key);
    for (struct list *at = bucket->next; at != bucket; at = at->next) {
        struct flow *f = CONTAINER_OF(at, struct flow, chain);
        if (memcmp(&f->key, key, sizeof(*key)) == 0)
            return f;
    }
    return NULL;
}

static struct flow *add(struct capture *c, const struct flow_key *key)
{
    struct flow *f = flow_new(key, &c->held);
    list_insert(bucket_of(c, key), &f->chain);
    list_insert(&c->age, &f->age);
    return f;
}

static struct flow *oldest(struct capture *c)
{
    return list_empty(&c->age) ? NULL : CONTAINER_OF(c->age.next, struct flow, age);
}

/* Those that have been silent for long, and those that there is no room for. */
static void clear_out(struct capture *c)
{
    struct flow *f;
    while ((f = oldest(c)) != NULL && c->now - f->last > SILENCE)
        drop(c, f);
    while (c->held > c->limits.total && (f = oldest(c)) != NULL) {
        c->counts.evicted += !f->told && !f->closed;
        drop(c, f);
    }
}

/* After a packet of it. */
static void touched(struct capture *c, struct flow *f)
{
    f->last = c->now;
    f->last_frame = c->counts.frames;
    account(c, f);
    list_remove(&f->age);
    list_insert(&c->age, &f->age);
    note(c, f);
    tell_ready(c);
    clear_out(c);
}

/* Packets -------------------------------------------------------------------------------------------- */

static void take_tcp(struct capture *c, const struct packet *p)
{
    unsigned side;
    struct flow_key key = flow_key_of(p, &side);
    struct flow *f = find(c, &key);
    if (f != NULL && flow_is_anew(f, p, side)) {
        drop(c, f);
        f = NULL;
    }
    if (f == NULL && cursor_left(&p->payload) == 0 && (p->flags & PACKET_SYN) == 0)
        return;
    if (f == NULL)
        f = add(c, &key);
    flow_take_tcp(f, p, side, c->limits.flow);
    touched(c, f);
}

static void take_udp(struct capture *c, const struct packet *p)
{
    unsigned side;
    struct flow_key key = flow_key_of(p, &side);
    struct flow *f = find(c, &key);
    if (f != NULL) {
        enum quic_talk_result r =
            quic_talk_take(&f->quic, p->payload, side == f->client, c->plain, c->limits.flow);
        if (r != QUIC_TALK_ANEW) {
            touched(c, f);
            return;
        }
        drop(c, f);
    }
    struct quic_talk talk;
    if (!quic_talk_start(&talk, p->payload, c->plain, &c->held))
        return;
    f = add(c, &key);
    f->quic = talk;
    f->client = side;
    quic_talk_take(&f->quic, p->payload, true, c->plain, c->limits.flow);
    touched(c, f);
}

void capture_frame(struct capture *c, int link, int64_t time, const uint8_t *frame, size_t len,
                   size_t original)
{
    struct packet p;
    CHECK_MAGIC(c, MAGIC);
    c->counts.frames++;
    c->now = time;
    packet_read(link, frame, len, &p);
    if (p.kind == PACKET_FRAGMENT && !fragments_put(c->fragments, &p))
        return;
    c->counts.foreign += p.kind == PACKET_OTHER;
    c->counts.broken += p.kind == PACKET_BROKEN;
    c->counts.cut += len < original;
    if (p.kind == PACKET_TCP)
        take_tcp(c, &p);
    else if (p.kind == PACKET_UDP)
        take_udp(c, &p);
}

void capture_end(struct capture *c)
{
    struct flow *f;
    CHECK_MAGIC(c, MAGIC);
    for (struct list *at = c->age.next; at != &c->age; at = at->next) {
        f = CONTAINER_OF(at, struct flow, age);
        flow_close(f, c->limits.flow);
        note(c, f);
    }
    tell_ready(c);
    while ((f = oldest(c)) != NULL)
        drop(c, f);
}

const struct capture_counts *capture_counts(const struct capture *c)
{
    CHECK_MAGIC(c, MAGIC);
    return &c->counts;
}

void capture_free(struct capture *c)
{
    struct flow *f;
    if (c == NULL)
        return;
    while ((f = oldest(c)) != NULL)
        flow_free(f, &c->held);
    fragments_free(c->fragments);
    CHECK(c->held == 0);
    free(c->scratch);
    free(c);
}
