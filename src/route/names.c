/* SPDX-License-Identifier: Apache-2.0 */
#include "route/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "base/word.h"

#define HEADER_LEN 2 /* kind and length before each name in the arena */
#define SLOTS_MIN 8

void names_init(struct names *n, const struct hash_key *key)
{
    *n = (struct names){.key = *key};
}

void names_free(struct names *n)
{
    free(n->slots);
    free(n->arena);
    *n = (struct names){.key = n->key};
}

uint32_t name_tag(const struct hash_key *key, enum name_kind kind, const char *name, size_t len)
{
    /* Another key for each kind, so that x, *.x and **.x need not be spelled out to be told apart. */
    struct hash_key own = {key->k0 ^ (uint64_t)kind, key->k1};
    return (uint32_t)(hash_bytes(&own, name, len) >> 32);
}

static bool same(const struct names *n, const struct name_slot *s, enum name_kind kind, const char *name,
                 size_t len)
{
    CHECK(s->offset + HEADER_LEN <= n->arena_len);
    const uint8_t *at = n->arena + s->offset;
    return at[0] == kind && at[1] == len && memcmp(at + HEADER_LEN, name, len) == 0;
}

static uint32_t place_of(uint32_t tag, uint32_t slot_count)
{
    return (uint32_t)(((uint64_t)tag * slot_count) >> 32);
}

/* The slot that holds the name, or the free one where it would go. There always is a free one. */
static struct name_slot *probe(const struct names *n, uint32_t tag, enum name_kind kind, const char *name,
                               size_t len)
{
    CHECK(n->count < n->slot_count);
    struct name_slot *s = n->slots + place_of(tag, n->slot_count);
    while (s->value != 0 && (s->tag != tag || !same(n, s, kind, name, len)))
        if (++s == n->slots + n->slot_count)
            s = n->slots;
    return s;
}

/* Move all slots to an array of another size. The names are distinct, so only free places are looked for. */
static bool resize(struct names *n, uint32_t slot_count)
{
    CHECK(slot_count > n->count);
    struct name_slot *slots = calloc(slot_count, sizeof(*slots));
    if (slots == NULL)
        return false;
    for (uint32_t i = 0; i < n->slot_count; i++) {
        if (n->slots[i].value == 0)
            continue;
        uint32_t at = place_of(n->slots[i].tag, slot_count);
        while (slots[at].value != 0)
            at = at + 1 == slot_count ? 0 : at + 1;
        slots[at] = n->slots[i];
    }
    free(n->slots);
    n->slots = slots;
    n->slot_count = slot_count;
    return true;
}

/* Room for one more name of `len` bytes; afterwards three slots in four are taken at most. */
static bool reserve(struct names *n, size_t len)
{
    if (n->count == UINT32_MAX / 4 || n->arena_len > UINT32_MAX - HEADER_LEN - NAME_MAX_LEN)
        return false;
    if (n->count + 1 > n->slot_count / 4 * 3 && !resize(n, MAX(n->slot_count * 2, (uint32_t)SLOTS_MIN)))
        return false;
    size_t need = n->arena_len + HEADER_LEN + len;
    if (need <= n->arena_cap)
        return true;
    uint8_t *arena = realloc(n->arena, need + need / 2);
    if (arena == NULL)
        return false;
    n->arena = arena;
    n->arena_cap = need + need / 2;
    return true;
}

struct name_slot *names_put(struct names *n, enum name_kind kind, const char *name, size_t len)
{
    CHECK(len >= 1 && len <= NAME_MAX_LEN);
    if (!reserve(n, len))
        return NULL;
    uint32_t tag = name_tag(&n->key, kind, name, len);
    struct name_slot *s = probe(n, tag, kind, name, len);
    if (s->value == 0) {
        *s = (struct name_slot){.tag = tag, .offset = (uint32_t)n->arena_len};
        uint8_t *at = n->arena + n->arena_len;
        at[0] = (uint8_t)kind;
        at[1] = (uint8_t)len;
        memcpy(at + HEADER_LEN, name, len);
        n->arena_len += HEADER_LEN + len;
        n->count++;
    }
    CHECK(n->arena_len <= n->arena_cap);
    return s;
}

enum name_kind names_text(const struct names *n, uint32_t offset, const char **ret_name, size_t *ret_len)
{
    CHECK(n->arena_len >= HEADER_LEN && offset <= n->arena_len - HEADER_LEN);
    const uint8_t *at = n->arena + offset;
    CHECK(at[0] <= NAME_MANY && offset + HEADER_LEN + at[1] <= n->arena_len);
    *ret_name = (const char *)at + HEADER_LEN;
    *ret_len = at[1];
    return (enum name_kind)at[0];
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

/* Why a label cannot stand in a DNS name, or NULL. */
static const char *label_fault(const char *p, size_t len)
{
    if (len == 0)
        return "an empty label (two dots, or a dot at the beginning)";
    if (len > 63)
        return "a label of more than 63 bytes";
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)p[i] >= 0x80)
            return "a character outside ASCII (write internationalised names in their xn-- form)";
        if (!is_name_char(p[i]))
            return "a character other than a-z, 0-9, '-', '_' and '.'";
    }
    return p[0] == '-' || p[len - 1] == '-' ? "a label that begins or ends with '-'" : NULL;
}

int name_clean(const char *p, size_t len, char ret_name[NAME_MAX_LEN + 1], size_t *ret_len, struct err *err)
{
    int shown = (int)MIN(len, (size_t)80);
    size_t n = len > 1 && p[len - 1] == '.' ? len - 1 : len;
    if (n == 0 || n > NAME_MAX_LEN)
        return err_set(err, "\"%.*s\" has %zu bytes: expected a DNS name of 1 to %d", shown, p, n,
                       NAME_MAX_LEN);
    str_copy(ret_name, NAME_MAX_LEN + 1, p, n);
    str_lower(ret_name, n);
    const char *label = ret_name, *end = ret_name + n;
    for (;;) {
        const char *dot = memchr(label, '.', (size_t)(end - label));
        const char *stop = dot != NULL ? dot : end;
        const char *fault = label_fault(label, (size_t)(stop - label));
        if (fault != NULL)
            return err_set(err, "\"%.*s\" has %s: expected a DNS name", shown, p, fault);
        if (dot == NULL)
            break;
        label = dot + 1;
    }
    if (strspn(label, "0123456789") == (size_t)(end - label))
        return err_set(err, "\"%.*s\" looks like an address: expected a DNS name (RFC 6066, 3)", shown, p);
    *ret_len = n;
    return 0;
}

/* The highest bit of each byte that is a dot. No byte carries into the next one. */
static uint64_t dots_in(uint64_t word)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7f, dots = 0x2e2e2e2e2e2e2e2e;
    uint64_t x = word ^ dots;
    return ~(((x & low) + low) | x | low);
}

size_t name_labels(const char *p, size_t len, uint8_t ret_starts[NAME_MAX_LABELS])
{
    if (len == 0 || len > NAME_MAX_LEN)
        return 0;
    size_t count = 0, start = 0;
    for (size_t at = 0; at < len; at += 8) {
        for (uint64_t dots = dots_in(word_at((const uint8_t *)p, len, at)); dots != 0; dots &= dots - 1) {
            size_t dot = at + (size_t)__builtin_ctzll(dots) / 8;
            if (dot == start)
                return 0;
            CHECK(count < NAME_MAX_LABELS);
            ret_starts[count++] = (uint8_t)start;
            start = dot + 1;
        }
    }
    if (start == len)
        return 0;
    CHECK(count < NAME_MAX_LABELS);
    ret_starts[count++] = (uint8_t)start;
    return count;
}
