/* SPDX-License-Identifier: Apache-2.0 */
/* Packets for no connection that we know. Nothing here keeps state for a stranger but conn_accept(), and no
 * answer is longer than what it answers to, so that nobody can be flooded by way of us. */
#include <ngtcp2/ngtcp2_crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/clock.h"
#include "quic/quic_internal.h"

#define TOKEN_LIFETIME (10 * NGTCP2_SECONDS)
#define LONG_HEADER 0x80

/* A stateless reset is shorter than what it answers to, and not shorter than this (RFC 9000, 10.3). A PING of
 * a client that keeps its connection alive is short itself, and he is the one to be told. */
#define RESET_MIN (NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN)

static void answer(struct quic_socket *s, const struct udp_packets *p, uint8_t *data, ngtcp2_ssize len)
{
    size_t taken;
    if (len <= 0)
        return;
    struct udp_packets out = {
        .data = data, .len = (size_t)len, .segment = (size_t)len, .from = p->to, .to = p->from};
    udp_send(&s->udp, &out, &taken);
}

void endpoint_other_version(struct quic_socket *s, const struct udp_packets *p, const ngtcp2_version_cid *vc)
{
    static const uint32_t versions[] = {NGTCP2_PROTO_VER_V1, NGTCP2_PROTO_VER_V2};
    uint8_t out[256], noise;
    if (p->len < 1200 || vc->dcidlen > NGTCP2_MAX_CIDLEN || vc->scidlen > NGTCP2_MAX_CIDLEN)
        return;
    CHECK(RAND_bytes(&noise, 1) == 1);
    answer(s, p, out,
           ngtcp2_pkt_write_version_negotiation(out, sizeof(out), noise, vc->scid, vc->scidlen, vc->dcid,
                                                vc->dcidlen, versions, ARRAY_LEN(versions)));
}

/* The connection that it was for is forgotten here: say so in a way that only its peer understands. */
static void reset(struct quic_socket *s, const struct udp_packets *p, const ngtcp2_version_cid *vc)
{
    uint8_t out[128], noise[64];
    ngtcp2_stateless_reset_token token;
    ngtcp2_cid cid;
    if (p->len <= RESET_MIN || vc->dcidlen != QUIC_CID_LEN)
        return;
    size_t fill = MIN(p->len - 1 - NGTCP2_STATELESS_RESET_TOKENLEN, sizeof(noise));
    ngtcp2_cid_init(&cid, vc->dcid, vc->dcidlen);
    CHECK(RAND_bytes(noise, sizeof(noise)) == 1);
    library_reset_token(s->endpoint, &cid, token.data);
    answer(s, p, out, ngtcp2_pkt_write_stateless_reset2(out, sizeof(out), &token, noise, fill));
}

/* Have the client show that it receives what is sent to its address. */
static void retry(struct quic_socket *s, const struct udp_packets *p, const ngtcp2_pkt_hd *head)
{
    const struct quic_secrets *secrets = s->endpoint->secrets;
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2], out[512];
    struct sockaddr_storage peer;
    ngtcp2_addr to = library_addr(&p->from, &peer);
    ngtcp2_cid own;
    library_make_cid(s->endpoint, &own, QUIC_CID_LEN);
    ngtcp2_ssize n = ngtcp2_crypto_generate_retry_token2(token, secrets->token, sizeof(secrets->token),
                                                         head->version, to.addr, to.addrlen, &own,
                                                         &head->dcid, (ngtcp2_tstamp)clock_wall());
    if (n > 0)
        answer(s, p, out,
               ngtcp2_crypto_write_retry(out, sizeof(out), head->version, &head->scid, &own, &head->dcid,
                                         token, (size_t)n));
}

/* A Retry token that is not ours, or too old: the client takes no other one (RFC 9000, 8.1.3), so it had
 * better begin anew at once. */
static void bad_token(struct quic_socket *s, const struct udp_packets *p, const ngtcp2_pkt_hd *head)
{
    uint8_t out[256];
    answer(s, p, out,
           ngtcp2_crypto_write_connection_close(out, sizeof(out), head->version, &head->scid, &head->dcid,
                                                NGTCP2_INVALID_TOKEN, NULL, 0));
}

/* Is the token one of ours, for this address? Then *ret is the id that the client wrote to first. */
static bool token_is_good(const struct quic_endpoint *e, const struct udp_packets *p,
                          const ngtcp2_pkt_hd *head, ngtcp2_cid *ret)
{
    struct sockaddr_storage peer;
    ngtcp2_addr from = library_addr(&p->from, &peer);
    return ngtcp2_crypto_verify_retry_token2(
               ret, head->token, head->tokenlen, e->secrets->token, sizeof(e->secrets->token), head->version,
               from.addr, from.addrlen, &head->dcid, TOKEN_LIFETIME, (ngtcp2_tstamp)clock_wall()) == 0;
}

void endpoint_stranger(struct quic_socket *s, const struct udp_packets *p, const ngtcp2_version_cid *vc)
{
    struct quic_endpoint *e = s->endpoint;
    ngtcp2_pkt_hd head;
    ngtcp2_cid original;
    if (ngtcp2_accept(&head, p->data, p->len) != 0) {
        if ((p->data[0] & LONG_HEADER) == 0)
            reset(s, p, vc);
        return;
    }
    if (e->refusing)
        return;
    bool retried = head.tokenlen > 0 && head.token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2;
    if (retried && !token_is_good(e, p, &head, &original)) {
        bad_token(s, p, &head);
        return;
    }
    struct quic_conn *c = NULL;
    if (retried || e->opening < e->settings.retry_above)
        c = conn_accept(e, &head, retried ? &original : NULL, p);
    if (c != NULL)
        conn_receive(c, p, p->data, p->len);
    else if (!retried)
        retry(s, p, &head);
}
