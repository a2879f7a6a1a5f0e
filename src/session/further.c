/* SPDX-License-Identifier: Apache-2.0 */
/* Who a client has proven to be besides, on a connection that stands: by an authenticator (RFC 9261), for
 * what it offers on this stream and nothing else. Nothing is gained by it that a connection of that
 * identity's own would not give: the chain is proven by the trust bundle of the route, then and whenever the
 * offer is judged anew, and the policy is asked about it. The one that the connection was opened with has to
 * stay welcome. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "quic/quic.h"
#include "session/session_internal.h"
#include "session/standing.h"
#include "tls/authenticator.h"
#include "tls/server.h"
#include "tls/tls_link.h"

bool session_peer(const struct session *s, struct link_peer *ret)
{
    bool known = link_peer(s->down, ret);
    if (s->further != NULL) {
        ret->identity = s->further->identity;
        ret->chain = ret->shown = s->further->chain;
    }
    return known;
}

static int export_keys(const struct session *s, struct authenticator_keys *ret, struct err *err)
{
    struct link *tls = tls_link_bottom(s->down);
    if (s->carrier != 0)
        return quic_stream_export(link_bottom(s->down), AUTHENTICATOR_CLIENT, ret, err);
    return tls == NULL ? err_set(err, "there is no TLS")
                       : tls_link_export(tls, AUTHENTICATOR_CLIENT, ret, err);
}

bool session_prove_further(struct session *s, struct str request, struct str authenticator, struct err *err)
{
    const struct trust *trust = tls_server_trust(s->route->tls);
    struct authenticator_keys keys;
    struct authenticator_proof proof = {0};
    if (trust == NULL || s->further != NULL) {
        err_set(err, trust == NULL ? "the route does not ask for client certificates"
                                   : "another identity was proven on it before");
        return false;
    }
    if (export_keys(s, &keys, err) != 0)
        return false;
    const struct authenticator_terms terms = {
        .keys = &keys, .sender = AUTHENTICATOR_CLIENT, .request = request};
    enum authenticator_verdict verdict =
        authenticator_prove(&terms, authenticator, trust, NULL, time(NULL), &proof, err);
    authenticator_forget(&keys);
    if (verdict != AUTHENTICATOR_GOOD) {
        if (verdict == AUTHENTICATOR_REFUSED)
            err_set(err, "the agent has proven nobody");
        authenticator_proof_free(&proof);
        return false;
    }
    s->further = malloc(sizeof(*s->further));
    CHECK(s->further != NULL);
    *s->further = proof;
    return true;
}

bool session_believes_further(const struct session *s, struct session_denial *ret)
{
    struct link_peer peer;
    struct err err;
    if (s->further == NULL)
        return true;
    session_peer(s, &peer);
    if (standing_believes(s->route, &peer, &err))
        return true;
    *ret = (struct session_denial){.reason = CLOSE_BAD_CERTIFICATE};
    str_copy(ret->text, sizeof(ret->text), err.text, strnlen(err.text, sizeof(ret->text) - 1));
    return false;
}

void session_forget_further(struct session *s)
{
    if (s->further != NULL)
        authenticator_proof_free(s->further);
    free(s->further);
    s->further = NULL;
}
