/* SPDX-License-Identifier: Apache-2.0 */
/* What a backend of HTTP/1.1 is told of the client, in each request anew: so a connection keeps no copy of
 * it. */
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "cert/leaf.h"
#include "session/hand_on.h"
#include "session/session_internal.h"

static bool put_text(struct buf *out, const char *text)
{
    return buf_append(out, text, strlen(text));
}

/* RFC 7239, 6: an IPv6 address stands in brackets and quotes. X-Forwarded-For has neither. */
static void put_forwarded(const struct session *s, struct buf *out)
{
    char ip[NET_ADDR_TEXT_MAX];
    const char *proto = s->when.opened != 0 ? "https" : "http";
    bool v6 = s->peer.family == AF_INET6, known = v6 || s->peer.family == AF_INET;
    net_addr_host(&s->peer, ip);
    CHECK(put_text(out, "Forwarded: for=") && put_text(out, v6 ? "\"[" : "") &&
          put_text(out, known ? ip : "unknown") && put_text(out, v6 ? "]\";proto=" : ";proto=") &&
          put_text(out, proto) && put_text(out, "\r\nX-Forwarded-Proto: ") && put_text(out, proto) &&
          put_text(out, "\r\n"));
    if (known)
        CHECK(put_text(out, "X-Forwarded-For: ") && put_text(out, ip) && put_text(out, "\r\n"));
}

/* A byte sequence of RFC 8941, 3.3.5. */
static void put_certificate(struct buf *out, const char *before, struct str der)
{
    CHECK(put_text(out, before) && put_text(out, ":") && base64_put(out, der.p, der.len) &&
          put_text(out, ":"));
}

/* What follows the leaf, as the client has sent it. */
static void put_chain(struct buf *out, const struct stack_st_CRYPTO_BUFFER *chain)
{
    size_t i = 1;
    for (struct str der; (der = cert_chain_at(chain, i)).len > 0; i++)
        put_certificate(out, i == 1 ? "Client-Cert-Chain: " : ", ", der);
    CHECK(i == 1 || put_text(out, "\r\n"));
}

void hand_on_headers(void *session, struct buf *out)
{
    const struct session *s = session;
    struct link_peer peer;
    link_peer(s->down, &peer);
    put_forwarded(s, out);
    if (peer.identity == NULL || peer.chain == NULL)
        return;
    put_certificate(out, "Client-Cert: ", cert_chain_at(peer.chain, 0));
    CHECK(put_text(out, "\r\n"));
    if (s->route->config->hand_on.chain)
        put_chain(out, peer.chain);
}
