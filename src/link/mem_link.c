/* SPDX-License-Identifier: Apache-2.0 */
/* A wake is the last thing that a call does: whoever is woken runs at once and may read, write or close his
 * end. A link that was closed leaves its peer with what had been written and then the end; or an error at
 * once, when it aborted. */
#include "link/mem_link.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define MEM_MAGIC 0x3e371140u

struct mem_link {
    struct link link;
    uint32_t magic;
    struct mem_link *peer; /* NULL once the other end is closed */
    struct buf in;         /* written by the peer, not yet read */
    size_t capacity;       /* of the peer's `in` */
    bool ended;            /* the peer has ended its direction */
    bool aborted;
    bool shut;
};

static struct mem_link *mem_of(struct link *l)
{
    struct mem_link *m = CONTAINER_OF(l, struct mem_link, link);
    CHECK_MAGIC(m, MEM_MAGIC);
    return m;
}

static enum link_status mem_open(struct link *l)
{
    return mem_of(l)->aborted ? LINK_ERROR : LINK_OK;
}

static enum link_status mem_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct mem_link *m = mem_of(l);
    if (m->aborted)
        return link_fail(l, "connection reset");
    if (m->in.len == 0)
        return m->ended ? LINK_EOF : LINK_AGAIN;
    size_t n = MIN(cap, m->in.len);
    memcpy(buf, m->in.data, n);
    buf_consume(&m->in, n);
    *ret_n = n;
    if (m->peer != NULL)
        link_wake(&m->peer->link);
    return LINK_OK;
}

static enum link_status mem_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct mem_link *m = mem_of(l);
    CHECK(!m->shut);
    if (m->aborted || m->peer == NULL)
        return link_fail(l, "connection reset");
    if (m->peer->in.len >= m->capacity)
        return LINK_AGAIN;
    size_t n = MIN(len, m->capacity - m->peer->in.len);
    CHECK(buf_append(&m->peer->in, buf, n));
    *ret_n = n;
    link_wake(&m->peer->link);
    return LINK_OK;
}

static enum link_status mem_shutdown(struct link *l, bool closing)
{
    (void)closing;
    struct mem_link *m = mem_of(l);
    if (!m->shut && m->peer != NULL) {
        m->peer->ended = true;
        link_wake(&m->peer->link);
    }
    m->shut = true;
    return LINK_OK;
}

static void mem_close(struct link *l, bool abort)
{
    struct mem_link *m = mem_of(l);
    struct mem_link *peer = m->peer;
    m->magic = 0;
    buf_free(&m->in);
    free(m);
    if (peer == NULL)
        return;
    peer->peer = NULL;
    if (abort)
        peer->aborted = true;
    peer->ended = true;
    link_wake(&peer->link);
}

static const struct link_ops mem_ops = {
    .name = "memory",
    .open = mem_open,
    .read = mem_read,
    .write = mem_write,
    .shutdown = mem_shutdown,
    .close = mem_close,
};

static struct mem_link *mem_new(size_t capacity)
{
    struct mem_link *m = calloc(1, sizeof(*m));
    CHECK(m != NULL);
    m->link.ops = &mem_ops;
    m->magic = MEM_MAGIC;
    m->capacity = capacity;
    return m;
}

void mem_link_pair(size_t capacity, struct link **ret_a, struct link **ret_b)
{
    struct mem_link *a = mem_new(capacity), *b = mem_new(capacity);
    a->peer = b;
    b->peer = a;
    *ret_a = &a->link;
    *ret_b = &b->link;
}

size_t mem_link_waiting(const struct link *l)
{
    return ((const struct mem_link *)(const void *)l)->in.len;
}

bool mem_link_aborted(const struct link *l)
{
    return ((const struct mem_link *)(const void *)l)->aborted;
}
