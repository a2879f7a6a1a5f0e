/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypted ClientHello (RFC 9849): where a hello can be decrypted the session begins again, on a link that
 * gives the inner one, and nobody behind this need know. So a route sees the name that the client wants,
 * whether it ends TLS (shared mode) or passes it through (split mode). */
#include "ech/ech_link.h"
#include "ech/ring.h"
#include "session/session_internal.h"
#include "session/snapshot.h"
#include "session/worker.h"

static enum session_state begin_again(struct session *s, struct ech_opened *opened, const struct hello *outer)
{
    struct setup *p = s->setup;
    struct str rest = {p->view.p + p->scan.wire_len, p->view.len - p->scan.wire_len};
    memcpy(p->hello.outer, outer->name, (size_t)outer->name_len + 1);
    s->down = ech_link_new(s->down, opened, rest, session_limits(s)->hello_size);
    session_own(s, s->down);
    buf_free(&p->bytes);
    p->view = (struct str){0};
    p->scan = hello_scan_start(session_limits(s)->hello_size);
    return SESSION_PEEK;
}

bool session_decrypts(struct session *s, const struct hello *h, enum session_state *ret_next)
{
    const struct ech_ring *ring = s->epoch->snap->ech;
    struct ech_opened opened;
    if (ring == NULL || h->ech != HELLO_ECH_OUTER)
        return false;
    s->ech = ech_open(ech_ring_keys(ring), h, &opened);
    switch (s->ech) {
    case ECH_OPENED:
        *ret_next = begin_again(s, &opened, h);
        return true;
    case ECH_BAD:
        session_detail(s, opened.why);
        *ret_next = session_refuse_hello(s, (uint8_t)opened.alert, CLOSE_HELLO_BAD);
        return true;
    default:
        return false;
    }
}
