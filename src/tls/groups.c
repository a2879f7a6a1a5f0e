/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/groups.h"

#include "base/check.h"

#define TLS13 0x0304

const int tls_groups_default[TLS_GROUPS_DEFAULT] = {0x11ec /* X25519MLKEM768 */,
                                                    0x11eb /* SecP256r1MLKEM768 */,
                                                    0x11ed /* SecP384r1MLKEM1024 */,
                                                    0x001d /* X25519 */,
                                                    0x0017 /* P-256 */,
                                                    0x0018 /* P-384 */};

int tls_groups_make(const int *groups, size_t count, enum tls_pq pq, struct tls_groups *ret, struct err *err)
{
    *ret = (struct tls_groups){.pq = pq};
    for (size_t i = 0; i < count; i++) {
        if (!tls_pq_allows(pq, (uint16_t)groups[i]))
            continue;
        CHECK(ret->n < TLS_GROUPS_MAX);
        ret->v[ret->n++] = (uint16_t)groups[i];
    }
    if (ret->n > 0 || count == 0)
        return 0;
    return err_set(err, "none of the key exchange groups is left with pq: %s", tls_pq_word(pq));
}

/* Does a vector of u16, whose length takes `prefix` bytes, have it? */
static bool has_u16(struct cursor body, size_t prefix, uint16_t wanted)
{
    struct cursor list;
    uint16_t value;
    if (!cursor_vector(&body, prefix, &list))
        return false;
    while (cursor_u16(&list, &value))
        if (value == wanted)
            return true;
    return false;
}

static bool has_share(struct cursor body, uint16_t wanted)
{
    struct cursor list, key;
    uint16_t group;
    if (!cursor_vector(&body, 2, &list))
        return false;
    while (cursor_u16(&list, &group) && cursor_vector(&list, 2, &key))
        if (group == wanted)
            return true;
    return false;
}

uint16_t tls_groups_hold(const struct tls_groups *ours, const struct tls_groups_offer *offer)
{
    bool first = true;
    if (!has_u16(offer->versions, 1, TLS13))
        return 0;
    for (size_t i = 0; i < ours->n; i++) {
        if (!has_u16(offer->groups, 2, ours->v[i]))
            continue;
        if (has_share(offer->shares, ours->v[i]))
            return first ? 0 : ours->v[i];
        first = false;
    }
    return 0;
}

static bool are_all_hybrid(const struct tls_groups *g)
{
    size_t n = 0;
    while (n < g->n && tls_group_is_hybrid(g->v[n]))
        n++;
    return g->n > 0 && n == g->n;
}

const char *tls_groups_refuse(const struct tls_groups *ours, const struct tls_groups_offer *offer)
{
    bool required = ours->pq == TLS_PQ_REQUIRE;
    if (!required && !are_all_hybrid(ours))
        return NULL;
    if (!has_u16(offer->versions, 1, TLS13))
        return required
                   ? "the client does not speak TLS 1.3, which post-quantum key exchange needs, and that is "
                     "required here (pq: require)"
                   : "the client does not speak TLS 1.3, which each of the key exchange groups here needs";
    for (size_t i = 0; i < ours->n && required; i++)
        required = !has_u16(offer->groups, 2, ours->v[i]);
    if (!required) /* where no group is in common the library says so */
        return NULL;
    return "the client offers no post-quantum key exchange that is taken here, and that is required (pq: "
           "require)";
}

bool tls_groups_share(const struct tls_groups *ours, uint16_t version, struct cursor offered)
{
    for (size_t i = 0; i < ours->n; i++)
        if ((version >= TLS13 || !tls_group_is_hybrid(ours->v[i])) && has_u16(offered, 2, ours->v[i]))
            return true;
    return ours->n == 0;
}
