/* SPDX-License-Identifier: Apache-2.0 */
/* TLS as a link on top of another link. Many records are read with one call of the lower link and many are
 * written with one; between calls an idle connection holds no buffer of ours. */
#ifndef CARDEA_TLS_TLS_LINK_H
#define CARDEA_TLS_TLS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link/link.h"
#include "loop/loop.h"
#include "tls/authenticator.h"

/* Space that all TLS links of a thread use by turns. Nothing stays in it between calls. */
struct tls_scratch {
    struct loop *loop; /* the thread's: where a link goes on that has had its turn */
    uint8_t *in;       /* ciphertext as read from the lower link */
    size_t in_size;
    uint8_t *out; /* records sealed in this call, to be sent at its end */
    size_t out_size;
    size_t out_len;
};

/* Longer than a burst of four full records and their overhead. */
#define TLS_SCRATCH_SIZE (96 * 1024)

/* Take the peer's end without close_notify (a premature close) for an end in order, since the protocol within
 * TLS shows whether all has come (RFC 8446, 6.1): LINK_EOF in place of an error, unless a record is cut. `l`
 * is a TLS link. */
void tls_link_take_premature_close(struct link *l);

/* The lowest TLS link that `l` stands on, itself among them: the one whose peer is at the other end of the
 * socket. NULL: there is none. */
struct link *tls_link_bottom(struct link *l);

/* authenticator_export() of an open TLS link. */
int tls_link_export(const struct link *l, enum authenticator_sender sender, struct authenticator_keys *ret,
                    struct err *err);

/* The peer of an open TLS link has proven other certificates (`by` is taken): link_peer() tells of those from
 * now on, and what it told before is gone. */
void tls_link_renew(struct link *l, struct authenticator_proof *by);

void tls_scratch_init(struct tls_scratch *s, struct loop *loop);
void tls_scratch_free(struct tls_scratch *s);

#endif
