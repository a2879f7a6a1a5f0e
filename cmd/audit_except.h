/* SPDX-License-Identifier: Apache-2.0 */
/* Whose lines of the audit log are not to count, such as those of one's own probes. Pure. */
#ifndef CARDEA_CMD_AUDIT_EXCEPT_H
#define CARDEA_CMD_AUDIT_EXCEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/line.h"
#include "base/err.h"

struct net_addr;

#define AUDIT_EXCEPT_MAX 64

enum audit_except_by { AUDIT_EXCEPT_IDENTITY, AUDIT_EXCEPT_NETWORK, AUDIT_EXCEPT_JA4 };

struct audit_exception {
    enum audit_except_by by;
    const char *text; /* identity, JA4: borrowed */
    int family;       /* of the network: AF_INET or AF_INET6 ... */
    uint8_t network[16];
    uint8_t prefix;
};

struct audit_except {
    struct audit_exception v[AUDIT_EXCEPT_MAX];
    size_t n;
};

/* Add "identity=NAME", "network=192.0.2.0/24" (an address alone is one of its own) or "ja4=FINGERPRINT"; the
 * text is kept. -1 when it is none of these, or there are too many: *err says what was expected. */
int audit_except_add(struct audit_except *e, const char *text, struct err *err);

/* The address that a line's connection came from. False: from none, as on a unix socket, or the line does not
 * tell.
 */
bool audit_peer(const struct audit_line *line, struct net_addr *ret);

/* Is one of them the client of that line? */
bool audit_except_holds(const struct audit_except *e, const struct audit_line *line);

#endif
