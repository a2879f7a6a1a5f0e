/* SPDX-License-Identifier: Apache-2.0 */
/* tls/groups.h: three bodies of extensions, the first two behind their lengths. What a handshake is held to
 * is ours and was offered, and nobody is held who is refused. */
#include "base/check.h"
#include "tls/groups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct cursor body(struct cursor *from)
{
    struct cursor taken;
    if (cursor_vector(from, 2, &taken))
        return taken;
    taken = *from;
    from->p = from->end;
    return taken;
}

/* The bytes of that group stand somewhere in the list. */
static bool is_in(struct cursor list, uint16_t group)
{
    for (const uint8_t *p = list.p; p != NULL && list.end - p >= 2; p++)
        if ((p[0] << 8 | p[1]) == group)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cursor all = cursor_of(data, len);
    struct err err;
    const struct tls_groups_offer offer = {.versions = body(&all), .groups = body(&all), .shares = all};
    for (int pq = 0; pq < TLS_PQS; pq++) {
        struct tls_groups ours;
        CHECK(tls_groups_make(tls_groups_default, TLS_GROUPS_DEFAULT, (enum tls_pq)pq, &ours, &err) == 0);
        uint16_t held = tls_groups_hold(&ours, &offer);
        const char *refusal = tls_groups_refuse(&ours, &offer);
        CHECK(held == 0 || (refusal == NULL && tls_pq_allows((enum tls_pq)pq, held)));
        CHECK(held == 0 || (is_in(offer.groups, held) && is_in(offer.shares, held)));
        CHECK(refusal == NULL || pq == TLS_PQ_REQUIRE);
    }
    return 0;
}
