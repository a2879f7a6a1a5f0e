/* SPDX-License-Identifier: Apache-2.0 */
/* One entry of a row's `targets`, compiled. Private to policy/. */
#ifndef CARDEA_POLICY_TARGET_H
#define CARDEA_POLICY_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "policy/host.h"

enum target_kind {
    TARGET_ANY,  /* `*`: every name and every address */
    TARGET_NAME, /* a name or a pattern of names; never an address */
    TARGET_NET,  /* addresses, also those that a name leads to */
};

struct target {
    char *text; /* as configured */
    enum target_kind kind;
    enum policy_space space;    /* of a row that denies, POLICY_TCP is for datagrams too */
    char *pattern;              /* TARGET_NAME */
    struct policy_address base; /* TARGET_NET */
    uint8_t bits;               /* of the base's 16 bytes: an IPv4 prefix has 96 more */
    uint16_t port_first;
    uint16_t port_last;
};

/* Compile an entry; what it holds is freed by target_free(), also after an error. */
int target_parse(const char *text, struct target *ret, struct err *err);

void target_free(struct target *t);

enum target_match {
    TARGET_NO,
    TARGET_MAYBE, /* depends on the address, and there is none yet */
    TARGET_YES,
};

/* Does it hold for this host, going by `address` (NULL: not known yet)? The port is not looked at. Of a row
 * that denies (`deny`), a network of IPv4 holds the IPv6 addresses too that lead into it by translation. */
enum target_match target_match_host(const struct target *t, const struct policy_host *host,
                                    const struct policy_address *address, bool deny);

/* Does `wide` hold, beyond doubt, for all that `t` holds for? Each is of a row that denies or does not.
 * `datagrams`: some row allows some; else it makes no difference who denies them. */
bool target_covers(const struct target *wide, bool wide_denies, const struct target *t, bool denies,
                   bool datagrams);

static inline bool target_match_port(const struct target *t, uint16_t port)
{
    return t->port_first <= port && port <= t->port_last;
}

#endif
