/* SPDX-License-Identifier: Apache-2.0 */
#include "session/astray.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "session/quic_carrier.h"
#include "session/worker.h"

struct astray {
    struct message message;
    struct worker *to;
    struct udp_packets packet;
    char bytes[]; /* the listener's key, then the packet */
};

static void arrived(struct message *m)
{
    struct astray *a = CONTAINER_OF(m, struct astray, message);
    struct worker *w = a->to;
    atomic_fetch_sub_explicit(&w->astray_bytes, a->packet.len, memory_order_relaxed);
    quic_carriers_take(w, a->bytes, &a->packet);
    free(a);
}

void astray_send(struct worker *from, unsigned owner, const char *key, const struct udp_packets *packet)
{
    struct fellows *f = from->fellows;
    CHECK(owner < f->count);
    struct worker *to = &f->worker[owner];
    size_t key_len = strlen(key) + 1;
    atomic_fetch_add_explicit(&f->astray, 1, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&to->astray_bytes, packet->len, memory_order_relaxed) + packet->len >
        ASTRAY_MAX) {
        atomic_fetch_sub_explicit(&to->astray_bytes, packet->len, memory_order_relaxed);
        atomic_fetch_add_explicit(&f->astray_dropped, 1, memory_order_relaxed);
        return;
    }
    struct astray *a = malloc(sizeof(*a) + key_len + packet->len);
    CHECK(a != NULL);
    a->message.run = arrived;
    a->to = to;
    a->packet = *packet;
    memcpy(a->bytes, key, key_len);
    a->packet.data = (uint8_t *)a->bytes + key_len;
    memcpy(a->packet.data, packet->data, packet->len);
    loop_post(to->loop, &a->message);
}
