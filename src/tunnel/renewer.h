/* SPDX-License-Identifier: Apache-2.0 */
/* The client's certificate gets a successor while connections stand: whoever issues it puts a newer one into
 * its file. A renewer sees that, has it shown on connections that are made from then on, and proves it on
 * those that stand (RFC 9261; doc/internals/tunnel-protocol.md, "Renewal"), so that the door does not close
 * them when the old one runs out. The file is looked at the more often the less time is left. */
#ifndef CARDEA_TUNNEL_RENEWER_H
#define CARDEA_TUNNEL_RENEWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct authenticator_keys;
struct client_door;
struct link;
struct renewer;

/* Somebody's part of a connection to the door. Embed it; zeroed it is none. */
struct renewable {
    struct list node; /* of the connection's */
    struct known *of;
    struct link *link;
    bool shared; /* `link` is a stream of QUIC, and others may be on the same connection */
};

/* For a door (borrowed) with a certificate from these files (copied). Never NULL. */
struct renewer *renewer_new(struct client_door *door, const char *cert, const char *key);

/* NULL is allowed. */
void renewer_free(struct renewer *r);

/* `link` is open on the connection that the door calls `id` (0: it has not said), opened with a certificate
 * that runs out at `until` (seconds since 1970). It stays on its list until renewer_leave(). `r` may be NULL.
 */
void renewer_join(struct renewer *r, struct renewable *part, uint64_t id, int64_t until, struct link *link,
                  bool shared);

/* The link goes. Harmless on one that never joined. */
void renewer_leave(struct renewable *part);

/* What authenticators of ours are made with on the connection that carries `link`, a stream of QUIC if
 * `shared`. -1 with `err`. */
int renewer_export(struct link *link, bool shared, struct authenticator_keys *ret, struct err *err);

/* There is word of a newer certificate in the file: look now. */
void renewer_look(struct renewer *r);

#endif
