/* SPDX-License-Identifier: Apache-2.0 */
/* What the library calls: nothing here calls an owner but for `hello`, since the library must not be entered
 * again from within itself. What owners should hear is noted, and told in conn_after_batch(). */
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_boringssl.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/clock.h"
#include "quic/quic_internal.h"
#include "tls/quic.h"

#define INITIAL_RTT (100 * NGTCP2_MILLISECONDS)

/* ---- TLS ---- */

static int set_read_secret(SSL *ssl, enum ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                           const uint8_t *secret, size_t len)
{
    const struct quic_conn *c = SSL_get_app_data(ssl);
    (void)cipher;
    return ngtcp2_crypto_derive_and_install_rx_key(c->lib, NULL, NULL, NULL,
                                                   ngtcp2_crypto_boringssl_from_ssl_encryption_level(level),
                                                   secret, len) == 0;
}

static int set_write_secret(SSL *ssl, enum ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                            const uint8_t *secret, size_t len)
{
    const struct quic_conn *c = SSL_get_app_data(ssl);
    (void)cipher;
    return ngtcp2_crypto_derive_and_install_tx_key(c->lib, NULL, NULL, NULL,
                                                   ngtcp2_crypto_boringssl_from_ssl_encryption_level(level),
                                                   secret, len) == 0;
}

static int add_handshake_data(SSL *ssl, enum ssl_encryption_level_t level, const uint8_t *data, size_t len)
{
    const struct quic_conn *c = SSL_get_app_data(ssl);
    if (level != ssl_encryption_application) /* tickets */
        tls_quic_said(c->tls, len);
    int error = ngtcp2_conn_submit_crypto_data(
        c->lib, ngtcp2_crypto_boringssl_from_ssl_encryption_level(level), data, len);
    if (error != 0)
        ngtcp2_conn_set_tls_error(c->lib, error);
    return error == 0;
}

static int flush_flight(SSL *ssl)
{
    (void)ssl;
    return 1;
}

static int send_alert(SSL *ssl, enum ssl_encryption_level_t level, uint8_t alert)
{
    struct quic_conn *c = SSL_get_app_data(ssl);
    (void)level;
    c->alert = alert;
    ngtcp2_conn_set_tls_alert(c->lib, alert);
    return 1;
}

static const SSL_QUIC_METHOD quic_method = {set_read_secret, set_write_secret, add_handshake_data,
                                            flush_flight, send_alert};

void library_attach(struct quic_conn *c)
{
    SSL *ssl = tls_quic_ssl(c->tls);
    CHECK(SSL_set_quic_method(ssl, &quic_method));
    SSL_set_app_data(ssl, c);
    ngtcp2_conn_set_tls_native_handle(c->lib, ssl);
}

static int refuse(struct quic_conn *c, uint8_t alert)
{
    c->alert = alert;
    ngtcp2_conn_set_tls_alert(c->lib, alert);
    return NGTCP2_ERR_CRYPTO;
}

/* Is the first handshake message whole? Its header has a type and 24 bits of length (RFC 8446, 4). */
static bool hello_is_whole(const struct buf *b)
{
    return b->len >= 4 &&
           b->len - 4 >= ((size_t)b->data[1] << 16 | (size_t)b->data[2] << 8 | (size_t)b->data[3]);
}

/* What it is held for is not the client's fault. */
static void hold(struct quic_conn *c)
{
    if (c->held == 0)
        c->held = clock_monotonic();
}

static void let_go_on(struct quic_conn *c)
{
    if (c->held != 0)
        c->due += clock_monotonic() - c->held;
    c->held = 0;
}

int library_answer_hello(struct quic_conn *c)
{
    struct quic_hello_answer answer = {.result = QUIC_HELLO_REFUSED, .alert = SSL_AD_INTERNAL_ERROR};
    if (c->owner != NULL)
        answer = c->events->hello(c->owner, c->hello.data, c->hello.len);
    if (answer.result == QUIC_HELLO_LATER) {
        hold(c);
        return 0;
    }
    let_go_on(c);
    if (answer.result == QUIC_HELLO_REFUSED)
        return refuse(c, answer.alert);
    c->tls = answer.tls;
    library_attach(c);
    tls_quic_heard(c->tls, c->hello.len);
    int error = ngtcp2_crypto_read_write_crypto_data(c->lib, NGTCP2_ENCRYPTION_LEVEL_INITIAL, c->hello.data,
                                                     c->hello.len);
    buf_free(&c->hello);
    return error == 0 ? 0 : NGTCP2_ERR_CRYPTO;
}

/* Who is to answer is chosen by the ClientHello; until it is whole there is no TLS object to give it to. A
 * client whose ClientHello is held has nothing more to say in TLS. */
static int take_hello(struct quic_conn *c, const uint8_t *data, size_t len)
{
    if (c->held != 0)
        return refuse(c, SSL_AD_UNEXPECTED_MESSAGE);
    if (!buf_append(&c->hello, data, len))
        return refuse(c, SSL_AD_ILLEGAL_PARAMETER);
    return hello_is_whole(&c->hello) ? library_answer_hello(c) : 0;
}

static int on_crypto(ngtcp2_conn *lib, ngtcp2_encryption_level level, uint64_t offset, const uint8_t *data,
                     size_t len, void *user)
{
    struct quic_conn *c = user;
    (void)offset;
    if (c->tls == NULL)
        return take_hello(c, data, len);
    if (tls_quic_ssl(c->tls) == NULL)
        return refuse(c, SSL_AD_UNEXPECTED_MESSAGE);
    if (level != NGTCP2_ENCRYPTION_LEVEL_1RTT)
        tls_quic_heard(c->tls, len);
    return ngtcp2_crypto_read_write_crypto_data(lib, level, data, len) == 0 ? 0 : NGTCP2_ERR_CRYPTO;
}

/* The shorter idle timeout of the two ends holds for both (RFC 9000, 10.1): a third of it leaves room for a
 * PING to be lost twice. */
static void keep_alive(const struct quic_conn *c, const ngtcp2_transport_params *peer)
{
    int64_t after = c->endpoint->settings.keep_alive;
    if (after > 0 && peer->max_idle_timeout > 0)
        ngtcp2_conn_set_keep_alive_timeout(c->lib, MIN((ngtcp2_duration)after, peer->max_idle_timeout / 3));
}

static int on_handshake_completed(ngtcp2_conn *lib, void *user)
{
    struct quic_conn *c = user;
    const ngtcp2_transport_params *peer = ngtcp2_conn_get_remote_transport_params2(lib);
    uint8_t alert = 0;
    if (tls_quic_complete(c->tls, &alert) != 0)
        return refuse(c, alert);
    ngtcp2_conn_set_tls_native_handle(c->lib, tls_quic_ssl(c->tls));
    keep_alive(c, peer);
    c->opened = true;
    c->datagram_max = (size_t)MIN(peer->max_datagram_frame_size, (uint64_t)UINT16_MAX);
    return 0;
}

/* ---- streams and datagrams ---- */

static int on_stream_open(ngtcp2_conn *lib, int64_t id, void *user)
{
    struct quic_conn *c = user;
    struct quic_stream *s = stream_new(c, id);
    ngtcp2_conn_set_stream_user_data(lib, id, s);
    list_insert(&c->fresh, &s->woken);
    return 0;
}

static int on_stream_data(ngtcp2_conn *lib, uint32_t flags, int64_t id, uint64_t offset, const uint8_t *data,
                          size_t len, void *user, void *stream)
{
    (void)lib;
    (void)id;
    (void)offset;
    (void)user;
    if (stream != NULL)
        stream_received(stream, data, len, (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
    return 0;
}

static int on_acked(ngtcp2_conn *lib, int64_t id, uint64_t offset, uint64_t len, void *user, void *stream)
{
    struct quic_conn *c = user;
    (void)lib;
    (void)id;
    (void)offset;
    path_size_arrived(&c->size, (size_t)len);
    if (stream != NULL)
        stream_acked(stream, (size_t)len);
    return 0;
}

static int on_stream_close(ngtcp2_conn *lib, uint32_t flags, int64_t id, uint64_t code, void *user,
                           void *stream)
{
    (void)flags;
    (void)code;
    (void)user;
    if (stream != NULL)
        stream_gone(stream);
    if (ngtcp2_conn_is_local_stream2(lib, id))
        return 0;
    if (ngtcp2_is_bidi_stream(id))
        ngtcp2_conn_extend_max_streams_bidi(lib, 1);
    else
        ngtcp2_conn_extend_max_streams_uni(lib, 1);
    return 0;
}

static int on_stream_reset(ngtcp2_conn *lib, int64_t id, uint64_t final, uint64_t code, void *user,
                           void *stream)
{
    (void)lib;
    (void)id;
    (void) final;
    (void)user;
    if (stream != NULL)
        stream_reset(stream, code);
    return 0;
}

static int on_stop_sending(ngtcp2_conn *lib, int64_t id, uint64_t code, void *user, void *stream)
{
    (void)lib;
    (void)id;
    (void)user;
    if (stream != NULL)
        stream_refused(stream, code);
    return 0;
}

static int on_stream_credit(ngtcp2_conn *lib, int64_t id, uint64_t most, void *user, void *stream)
{
    (void)lib;
    (void)id;
    (void)most;
    (void)user;
    if (stream != NULL)
        stream_ready(stream);
    return 0;
}

static int on_streams_left(ngtcp2_conn *lib, uint64_t most, void *user)
{
    struct quic_conn *c = user;
    (void)lib;
    (void)most;
    c->streams_left = true;
    return 0;
}

static int on_datagram(ngtcp2_conn *lib, uint32_t flags, const uint8_t *data, size_t len, void *user)
{
    struct quic_conn *c = user;
    (void)lib;
    (void)flags;
    datagram_received(c, data, len);
    return 0;
}

static int on_datagram_acked(ngtcp2_conn *lib, uint64_t id, void *user)
{
    (void)lib;
    datagram_acked(user, id);
    return 0;
}

static int on_datagram_lost(ngtcp2_conn *lib, uint64_t id, void *user)
{
    (void)lib;
    datagram_lost(user, id);
    return 0;
}

static int on_reset(ngtcp2_conn *lib, const ngtcp2_pkt_stateless_reset2 *sr, void *user)
{
    struct quic_conn *c = user;
    (void)lib;
    (void)sr;
    c->was_reset = true;
    return 0;
}

static int on_retry(ngtcp2_conn *lib, const ngtcp2_pkt_hd *head, void *user)
{
    struct quic_conn *c = user;
    c->opening.retried = true;
    return ngtcp2_crypto_recv_retry_cb(lib, head, user);
}

/* ---- connection ids ---- */

void library_make_cid(const struct quic_endpoint *e, ngtcp2_cid *ret, size_t len)
{
    ret->datalen = len;
    CHECK(RAND_bytes(ret->data, len) == 1);
    if (!e->serves || e->server.count < 2)
        return;
    unsigned span = 256 / e->server.count; /* the first byte, modulo `count`, is the endpoint's index */
    ret->data[0] = (uint8_t)(ret->data[0] % span * e->server.count + e->server.index);
}

/* Where two places answered with the same token for an id, a packet to the one would yield what ends a
 * connection of the other (RFC 9000, 21.11). The place is the one that was configured: the address that a
 * packet came to differs from packet to packet on a wildcard address. */
void library_reset_token(const struct quic_endpoint *e, const ngtcp2_cid *cid,
                         uint8_t ret[NGTCP2_STATELESS_RESET_TOKENLEN])
{
    uint8_t whole[EVP_MAX_MD_SIZE];
    struct buf from = {0};
    const char *place = e->server.place != NULL ? e->server.place : "";
    CHECK(buf_append(&from, place, strlen(place) + 1) && buf_append(&from, cid->data, cid->datalen));
    CHECK(HMAC(EVP_sha256(), e->secrets->reset, sizeof(e->secrets->reset), from.data, from.len, whole,
               NULL) != NULL);
    memcpy(ret, whole, NGTCP2_STATELESS_RESET_TOKENLEN);
    buf_free(&from);
}

static int on_new_cid(ngtcp2_conn *lib, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token, size_t len,
                      void *user)
{
    struct quic_conn *c = user;
    (void)lib;
    library_make_cid(c->endpoint, cid, len);
    library_reset_token(c->endpoint, cid, token->data);
    cids_put(&c->endpoint->cids, cid, c);
    return 0;
}

static int on_old_cid(ngtcp2_conn *lib, const ngtcp2_cid *cid, void *user)
{
    struct quic_conn *c = user;
    (void)lib;
    cids_remove(&c->endpoint->cids, cid, c);
    return 0;
}

static void on_random(uint8_t *out, size_t len, const ngtcp2_rand_ctx *ctx)
{
    (void)ctx;
    CHECK(RAND_bytes(out, len) == 1);
}

/* ---- the tables ---- */

#define COMMON                                                                                               \
    .recv_crypto_data = on_crypto, .handshake_completed = on_handshake_completed,                            \
    .encrypt = ngtcp2_crypto_encrypt_cb, .decrypt = ngtcp2_crypto_decrypt_cb,                                \
    .hp_mask = ngtcp2_crypto_hp_mask_cb, .recv_stream_data = on_stream_data,                                 \
    .acked_stream_data_offset = on_acked, .stream_open = on_stream_open, .stream_close = on_stream_close,    \
    .extend_max_local_streams_bidi = on_streams_left, .rand = on_random, .remove_connection_id = on_old_cid, \
    .update_key = ngtcp2_crypto_update_key_cb, .stream_reset = on_stream_reset,                              \
    .extend_max_stream_data = on_stream_credit,                                                              \
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,                                       \
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb, .recv_datagram = on_datagram,     \
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb, .get_new_connection_id2 = on_new_cid,       \
    .get_path_challenge_data2 = ngtcp2_crypto_get_path_challenge_data2_cb,                                   \
    .recv_stop_sending = on_stop_sending, .recv_stateless_reset2 = on_reset,                                 \
    .ack_datagram = on_datagram_acked, .lost_datagram = on_datagram_lost

const ngtcp2_callbacks library_server = {
    COMMON,
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
};

const ngtcp2_callbacks library_client = {
    COMMON,
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_retry = on_retry,
};

static const uint32_t versions[] = {NGTCP2_PROTO_VER_V1, NGTCP2_PROTO_VER_V2};

void library_settings(const struct quic_settings *s, ngtcp2_settings *ret,
                      ngtcp2_transport_params *ret_params)
{
    ngtcp2_settings_default(ret);
    ret->cc_algo = s->congestion == QUIC_BBR ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
    ret->initial_ts = (ngtcp2_tstamp)clock_monotonic();
    ret->initial_rtt = INITIAL_RTT;
    ret->max_stream_window = 0; /* streams grow by our own rule, which bounds what all hold: stream.c */
    ret->max_window = s->window * WINDOW_GROWTH;
    ret->max_tx_udp_payload_size =
        1500 - 48; /* Ethernet, less IPv6 and UDP: path MTU discovery tries up to it */
    ret->available_versions = versions;
    ret->available_versionslen = ARRAY_LEN(versions);
    ngtcp2_transport_params_default(ret_params);
    ret_params->initial_max_streams_bidi = s->streams;
    ret_params->initial_max_stream_data_bidi_local = s->stream_window;
    ret_params->initial_max_stream_data_bidi_remote = s->stream_window;
    ret_params->initial_max_stream_data_uni = s->stream_window;
    ret_params->initial_max_data = s->window;
    ret_params->max_idle_timeout = (ngtcp2_duration)s->idle_timeout;
    ret_params->active_connection_id_limit = 7;
    ret_params->grease_quic_bit = 1;
    if (s->datagrams)
        ret_params->max_datagram_frame_size = UINT16_MAX;
}
