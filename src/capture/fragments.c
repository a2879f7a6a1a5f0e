/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/fragments.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "capture/assembly.h"

#define PACKET_MAX 65535u
#define HELD_MAX (2u * PACKET_MAX) /* of one packet, what its pieces cost included */

struct incomplete {
    struct net_addr from;
    struct net_addr to;
    uint32_t id;
    uint8_t protocol;
    bool used;
    uint64_t age;    /* the lowest was begun first */
    uint32_t length; /* once the last fragment has come; 0: not yet */
    struct assembly pieces;
};

struct fragments {
    size_t *total;
    uint64_t begun;
    struct incomplete packets[FRAGMENTS_PACKETS];
    uint8_t whole[PACKET_MAX];
};

struct fragments *fragments_new(size_t *total)
{
    struct fragments *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->total = total;
    return f;
}

void fragments_free(struct fragments *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < FRAGMENTS_PACKETS; i++)
        assembly_clear(&f->packets[i].pieces);
    free(f);
}

static bool is_of(const struct incomplete *i, const struct packet *p)
{
    return i->used && i->id == p->fragment.id && i->protocol == p->fragment.protocol &&
           memcmp(&i->from, &p->from, sizeof(i->from)) == 0 && memcmp(&i->to, &p->to, sizeof(i->to)) == 0;
}

static void forget(struct incomplete *i)
{
    assembly_clear(&i->pieces);
    i->used = false;
}

/* The packet that it is part of, or a free place, or that of the oldest. */
static struct incomplete *place_for(struct fragments *f, const struct packet *p)
{
    struct incomplete *place = &f->packets[0];
    for (size_t i = 0; i < FRAGMENTS_PACKETS; i++) {
        struct incomplete *at = &f->packets[i];
        if (is_of(at, p))
            return at;
        if (place->used && (!at->used || at->age < place->age))
            place = at;
    }
    forget(place);
    *place = (struct incomplete){.from = p->from,
                                 .to = p->to,
                                 .id = p->fragment.id,
                                 .protocol = p->fragment.protocol,
                                 .used = true,
                                 .age = ++f->begun,
                                 .pieces = assembly_start(0, f->total)};
    return place;
}

/* Copy what has come without a hole; true when it is all. */
static bool gather(struct fragments *f, struct incomplete *i)
{
    size_t len;
    bool begins;
    const uint8_t *data;
    while ((data = assembly_peek(&i->pieces, &len, &begins)) != NULL) {
        size_t at = (size_t)i->pieces.next;
        CHECK(at + len <= sizeof(f->whole));
        memcpy(f->whole + at, data, len);
        assembly_drop(&i->pieces);
    }
    return i->pieces.next == i->length;
}

/* Does a hole remain before the end? Asked before the pieces are given up. */
static bool is_whole(const struct incomplete *i)
{
    return i->length != 0 && assembly_reach(&i->pieces) >= i->length;
}

bool fragments_put(struct fragments *f, struct packet *p)
{
    const struct packet_fragment *piece = &p->fragment;
    size_t len = cursor_left(&piece->data);
    CHECK(p->kind == PACKET_FRAGMENT);
    p->kind = PACKET_OTHER;
    if (len == 0 || piece->offset + len > PACKET_MAX)
        return false;
    struct incomplete *i = place_for(f, p);
    if (piece->last && i->length == 0)
        i->length = piece->offset + (uint32_t)len;
    if (!assembly_put(&i->pieces, piece->offset, piece->data.p, len, HELD_MAX))
        forget(i);
    if (!i->used || !is_whole(i))
        return false;
    bool all = gather(f, i);
    uint32_t length = i->length;
    forget(i);
    if (all)
        packet_read_transport(piece->protocol, cursor_of(f->whole, length), p);
    return all && p->kind != PACKET_OTHER;
}
