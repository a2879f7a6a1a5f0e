/* SPDX-License-Identifier: Apache-2.0 */
/* Who may use which route and reach which target. Pure: no sockets, no names resolved, no clock. Immutable
 * once built, so that any number of threads read it.
 *
 * Rows stand in order; the first that matches decides; when none does, the answer is no ("no rule").
 * A row matches a connection when its `who` holds for the identity and its `routes` hold the route. For a
 * target one of its `targets` must match too: a host pattern matches the name that was asked for, a CIDR the
 * address that would be dialled, also when it was asked for by name; `*` matches both; the port must be in
 * range. A deny row without targets matches every target, an allow row without targets none.
 *
 * So for a name the answer can differ from address to address, and a deny row for 10.0.0.0/8 holds against an
 * allow row for *.example below it, whatever *.example resolves to. policy_reach() answers as far as the name
 * alone decides, so that nobody has names resolved that he may not reach: DENY and ALLOW hold for all
 * addresses, NEED_ADDRESS says that the rows could go either way. The caller then resolves the name, asks
 * policy_reach_address() about each address (after ALLOW too: see below) and dials only those that it allows.
 *
 * Addresses are compared as numbers; IPv4-mapped IPv6 ones (::ffff:0:0/96) are IPv4 throughout, so [::]/0
 * does not match them. A deny row for a network of IPv4 holds as well against IPv6 addresses that a
 * translator or tunnel would lead there (NAT64, 6to4, Teredo: policy_address_embedded()); an allow row does
 * not, since whether such a path exists, and where it ends, is for the network to say. The unspecified
 * addresses 0.0.0.0 and :: are never allowed: they would connect to this machine itself. */
#ifndef CARDEA_POLICY_POLICY_H
#define CARDEA_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "cert/identity.h"
#include "policy/host.h"

/* Building */

/* One key of `who`: some fact of this kind matches some pattern. `*` stands for any run of characters, dots
 * and slashes included; DNS names compare without case, everything else with. */
struct policy_who {
    enum identity_kind kind;
    const char *const *patterns;
    size_t count;
};

/* A row as configured. All that it points to is copied. */
struct policy_row {
    const char *name; /* the caller has seen to it that names are unique */
    bool deny;
    bool who_any;    /* `any: true`: everybody, also who has no identity */
    bool who_proven; /* `proven: true`: everybody who has one */
    const struct policy_who *who;
    size_t who_count; /* all must hold; none without who_any and who_proven is an error */
    const uint32_t *routes;
    size_t route_count; /* none: any route */
    const char *const *targets;
    size_t target_count; /* none: no target; of a deny row: every target */
};

struct policy;

/* Compile `count` rows. NULL with `err` ("row ops: target "x": found ..., expected ..."). Owned by the
 * caller. */
struct policy *policy_build(const struct policy_row *rows, size_t count, struct err *err);

/* NULL is fine. */
void policy_free(struct policy *p);

/* Is this a valid entry of `targets`? HOST:PORTS, or udp:HOST:PORTS for datagrams, where HOST is a name, a
 * name with `*` (any run of characters, dots included), `*`, ADDRESS, ADDRESS/BITS, [V6] or [V6]/BITS, and
 * PORTS is PORT, FROM-TO or `*`; or name:NAME, offer:NAME, certify:NAME, public:NAME, public:NAME:PORTS about
 * what agents offer (enum policy_space). -1 with a text that says what was found and what was expected: for
 * the configuration, which knows file and line. */
int policy_target_check(const char *text, struct err *err);

/* What such an entry is for, and what follows the word for that: of "name:app.test" POLICY_NAME and
 * "app.test". */
const char *policy_target_of(const char *text, enum policy_space *ret);

/* What is to be known of a valid entry without a question. */
struct policy_target_facts {
    enum policy_space space;
    uint16_t port_first; /* both 0: it is for what has no port */
    uint16_t port_last;
    bool nowhere; /* it is one of the addresses that are never allowed */
};

/* False when it is none. */
bool policy_target_facts(const char *text, struct policy_target_facts *ret);

/* What can never decide, whatever is asked, since rows before it decide all that it is for. Who asks knows on
 * which routes a policy is asked for what. */
struct policy_shadow {
    size_t row;
    size_t target;  /* index in its targets; SIZE_MAX: the whole row */
    const char *by; /* the name of the row that decides instead; of several the one for its first target */
    bool by_denies;
};

/* Tell each of them, in order: a row of which nothing can decide; and of other rows a target that a row of
 * the other effect decides (what one of the same effect decides changes nothing). Told is what is certain,
 * not all that is so: rows are compared pattern by pattern. `targets_count(arg, row)`: may that row be asked
 * about targets at all? Where it is not, a row without targets before it takes all that it is for. A policy
 * of very many rows is looked at in part. */
void policy_shadows(const struct policy *p, bool (*targets_count)(void *arg, size_t row),
                    void (*told)(void *arg, const struct policy_shadow *shadow), void *arg);

/* Asking */

enum policy_effect {
    POLICY_DENY,
    POLICY_ALLOW,
    POLICY_NEED_ADDRESS, /* from policy_reach() only: it depends on the address */
};

/* The pointers live as long as the policy. */
struct policy_verdict {
    enum policy_effect effect;
    const char *rule; /* name of the row that decided; NULL: no row did ("no rule"), or NEED_ADDRESS */
    /* For a denial by no rule: an allow row that matched all but the target, and the entry of its targets
     * that came nearest; only entries that speak of the same thing (enum policy_space) do. NULL: there is no
     * such row; it has no targets. */
    const char *near_rule;
    const char *near_target;
    bool near_port; /* that entry holds for the host: only the port is none of its own */
    bool by_name; /* NEED_ADDRESS: a row allows the name, but for what others say of some addresses. Else the
                   * name by itself is allowed by none. */
};

/* May this identity (NULL: none was proven) use a route that terminates? Rows with targets are for tunnels
 * and do not count here. */
struct policy_verdict policy_use_route(const struct policy *p, uint32_t route, const struct identity *id);

/* May this identity open a tunnel on this route at all? As above, and an allow row with targets lets it in
 * too: whether it then reaches anything is up to policy_reach(). Deny rows with targets do not count. */
struct policy_verdict policy_use_tunnel(const struct policy *p, uint32_t route, const struct identity *id);

/* May it reach this host on this port? For a host that is an address the answer is final. */
struct policy_verdict policy_reach(const struct policy *p, uint32_t route, const struct identity *id,
                                   const struct policy_host *host, uint16_t port);

/* May it reach this host at this one address (AF_INET or AF_INET6; the port inside is not looked at)? Never
 * NEED_ADDRESS. Where policy_reach() said ALLOW, this says ALLOW for every address but the unspecified ones.
 */
struct policy_verdict policy_reach_address(const struct policy *p, uint32_t route, const struct identity *id,
                                           const struct policy_host *host, const struct sockaddr *address,
                                           uint16_t port);

#define POLICY_TEXT_MAX 512

/* One sentence about a denial, for the peer and the log. `action` reads on from "lets NAME": "reach
 * db.inside:5432" or "use route ssh". `missing` (may be NULL) is the entry of `targets` that would allow it,
 * for when no row decided and the action does not read like one. Returns `text`. Examples: "no rule lets
 * alice reach db.inside:5432 (rule ops allows other ports of it: *.inside:22)"; "no rule lets alice offer
 * app.test: a row for alice with the target offer:app.test would (rule ops allows offer:*.inside)". */
const char *policy_denial(const struct policy_verdict *v, const struct identity *id, const char *action,
                          const char *missing, char text[POLICY_TEXT_MAX]);

#endif
