/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/proof.h"

#include <openssl/err.h>
#include <openssl/pool.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/hostname.h"
#include "cert/cert.h"
#include "cert/expect.h"
#include "cert/identity.h"
#include "cert/trust.h"
#include "ech/offer.h"
#include "tls/authenticator.h"
#include "tls/sessions.h"

/* A connection over QUIC keeps its library's pointer in SSL_set_app_data(), so ours has a place of its own,
 * the first that anybody asks for. */
#define EX_INDEX_UNKNOWN (-1)

static int ex_index(void)
{
    static _Atomic int index = EX_INDEX_UNKNOWN;
    int found = index;
    if (found != EX_INDEX_UNKNOWN)
        return found;
    int made = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    CHECK(made >= 0);
    /* Of two threads that come first, one has made a place that nobody uses. */
    return atomic_compare_exchange_strong(&index, &found, made) ? made : found;
}

void tls_proof_attach(struct tls_proof *proof, SSL *ssl)
{
    CHECK(SSL_set_ex_data(ssl, ex_index(), proof));
}

struct tls_proof *tls_proof_of(const SSL *ssl)
{
    struct tls_proof *proof = SSL_get_ex_data(ssl, ex_index());
    CHECK(proof != NULL);
    return proof;
}

static void note_failure(struct tls_proof *proof, const struct err *err)
{
    if (proof->failure == NULL)
        proof->failure = malloc(sizeof(*proof->failure));
    if (proof->failure != NULL)
        *proof->failure = *err;
}

/* The facts of the leaf, of a chain that has been proven. */
static int take_identity(struct tls_proof *proof, const STACK_OF(CRYPTO_BUFFER) * chain, struct err *err)
{
    const CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(chain, 0);
    if (proof->identity == NULL)
        proof->identity = identity_from_der(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf), err);
    return proof->identity != NULL ? 0 : -1;
}

/* A server that has refused ECH proves its public name, so that what it tells can be believed (RFC
 * 9849, 6.1.7). It is not the one that was meant, so nothing else is asked of it; but where keys are pinned
 * it has one of those. Where anyone may be the server, who refuses could be anyone as well, who wants to be
 * told the name under a key of his own. */
static int judge_public_name(const struct tls_proof *proof, const STACK_OF(CRYPTO_BUFFER) * chain,
                             struct str public_name, struct trust_refusal *ret, struct err *err)
{
    char name[HOSTNAME_MAX + 1];
    str_copy(name, sizeof(name), public_name.p, public_name.len);
    if (proof->trust == NULL && proof->expect->pins_len == 0)
        return err_set(err, "ECH was refused, and there is nothing by which %s could prove that it says so",
                       name);
    int rc = proof->trust != NULL
                 ? trust_verify(proof->trust, chain, TRUST_SERVER, name, time(NULL), ret, err)
                 : expect_pin(proof->expect, chain, ret, err);
    return rc == 0 ? 0 : err_prefix(err, "ECH was refused, and not in the name of %s", name);
}

static int judge(struct tls_proof *proof, const SSL *ssl, struct trust_refusal *ret, struct err *err)
{
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(ssl);
    enum trust_purpose purpose = SSL_is_server(ssl) ? TRUST_CLIENT : TRUST_SERVER;
    const struct expect *e = proof->expect;
    struct str public_name = ech_attempt_public_name(ssl);
    CHECK(proof->trust != NULL || expect_suffices(e));
    if (public_name.len > 0)
        return judge_public_name(proof, chain, public_name, ret, err);
    if (proof->trust != NULL &&
        trust_verify(proof->trust, chain, purpose, proof->host, time(NULL), ret, err) != 0)
        return -1;
    if (e == NULL)
        return 0;
    if (expect_pin(e, chain, ret, err) != 0)
        return -1;
    if (proof->trust == NULL)
        return 0;
    if (take_identity(proof, chain, err) != 0)
        return -1;
    return expect_identity(e, proof->identity, ret, err);
}

/* Judge the peer's chain by the connection's trust, and the leaf by what is expected. */
static int prove(struct tls_proof *proof, const SSL *ssl, uint8_t *ret_alert)
{
    struct err err;
    struct trust_refusal refusal = {ALERT_BAD_CERTIFICATE, FAULT_OTHER};
    if (judge(proof, ssl, &refusal, &err) == 0)
        return 0;
    identity_free(proof->identity);
    proof->identity = NULL;
    note_failure(proof, &err);
    proof->fault = refusal.fault;
    *ret_alert = (uint8_t)refusal.alert;
    return -1;
}

enum ssl_verify_result_t tls_proof_verify(SSL *ssl, uint8_t *ret_alert)
{
    struct tls_proof *proof = tls_proof_of(ssl);
    return prove(proof, ssl, ret_alert) == 0 || proof->only_looks ? ssl_verify_ok : ssl_verify_invalid;
}

/* The messages of ours that a key signs: CertificateVerify (RFC 8446, 4.4.3), which begins with the scheme,
 * and ServerKeyExchange of ECDHE (RFC 8422, 5.4; RFC 5246, 7.4.3), which has it after curve and point. */
enum { MESSAGE_SERVER_KEY_EXCHANGE = 12, MESSAGE_CERTIFICATE_VERIFY = 15 };

void tls_proof_message(int is_write, int version, int content_type, const void *data, size_t len, SSL *ssl,
                       void *arg)
{
    (void)version;
    (void)arg;
    struct cursor c = cursor_of(data, len), point;
    uint8_t type = 0;
    if (!is_write || content_type != SSL3_RT_HANDSHAKE || !cursor_u8(&c, &type) || !cursor_skip(&c, 3))
        return;
    bool signs = type == MESSAGE_CERTIFICATE_VERIFY ||
                 (type == MESSAGE_SERVER_KEY_EXCHANGE && cursor_skip(&c, 3) && cursor_vector(&c, 1, &point));
    uint16_t scheme = 0;
    if (signs && cursor_u16(&c, &scheme))
        tls_proof_of(ssl)->signature = scheme;
}

/* A server may let a client be that shows nothing. What has shown a certificate that nobody has judged is
 * somebody whom anyone would do for. */
static int complete(struct tls_proof *proof, SSL *ssl, uint8_t *ret_alert)
{
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(ssl);
    bool nothing = chain == NULL || sk_CRYPTO_BUFFER_num(chain) == 0;
    struct err err;
    if (proof->only_looks || (proof->trust == NULL && proof->expect == NULL) ||
        (nothing && SSL_is_server(ssl)))
        return 0;
    if ((SSL_session_reused(ssl) || nothing) && prove(proof, ssl, ret_alert) != 0)
        return -1;
    if (proof->trust == NULL || take_identity(proof, chain, &err) == 0)
        return 0;
    note_failure(proof, &err);
    *ret_alert = SSL_AD_BAD_CERTIFICATE;
    return -1;
}

bool tls_proof_ech_refused(struct tls_proof *proof, SSL *ssl)
{
    const uint8_t *configs = NULL;
    size_t len = 0;
    uint32_t code = ERR_peek_error();
    if (proof->ech == NULL || ERR_GET_LIB(code) != ERR_LIB_SSL || ERR_GET_REASON(code) != SSL_R_ECH_REJECTED)
        return false;
    SSL_get0_ech_retry_configs(ssl, &configs, &len);
    ech_attempt_refused(proof->ech, configs, len);
    ERR_clear_error();
    proof->ech = NULL;
    proof->fault = FAULT_ECH;
    return true;
}

/* What was meant to be encrypted must have been. */
static int settle_ech(struct tls_proof *proof, const SSL *ssl, uint8_t *ret_alert)
{
    bool broken = proof->ech != NULL && ech_attempt_encrypts(proof->ech) && !SSL_ech_accepted(ssl);
    struct err err;
    proof->ech = NULL;
    if (!broken)
        return 0;
    err_set(&err, "the ClientHello was not encrypted");
    note_failure(proof, &err);
    *ret_alert = SSL_AD_ECH_REQUIRED;
    return -1;
}

int tls_proof_complete(struct tls_proof *proof, SSL *ssl, uint8_t *ret_alert)
{
    int rc = settle_ech(proof, ssl, ret_alert) == 0 ? complete(proof, ssl, ret_alert) : -1;
    tls_proof_settle(proof, rc == 0 && SSL_session_reused(ssl));
    return rc;
}

void tls_proof_settle(struct tls_proof *proof, bool good)
{
    if (proof->offered && !good)
        tls_proof_refused(proof);
    proof->offered = false;
}

void tls_proof_refused(struct tls_proof *proof)
{
    if (proof->sessions == NULL || proof->sessions_age != tls_sessions_age(proof->sessions))
        return;
    tls_sessions_forget(proof->sessions);
    proof->sessions_age = tls_sessions_age(proof->sessions);
}

void tls_proof_renew(struct tls_proof *proof, struct authenticator_proof *by)
{
    CHECK(by->identity != NULL && by->chain != NULL);
    identity_free(proof->identity);
    sk_CRYPTO_BUFFER_pop_free(proof->later, CRYPTO_BUFFER_free);
    proof->identity = by->identity;
    proof->later = by->chain;
    *by = (struct authenticator_proof){0};
}

/* What came with a server's certificates. */
static void tell_further(const SSL *ssl, struct link_peer *ret)
{
    const uint8_t *staple, *timestamps;
    size_t staple_len, timestamps_len;
    if (SSL_is_server(ssl))
        return;
    SSL_get0_ocsp_response(ssl, &staple, &staple_len);
    SSL_get0_signed_cert_timestamp_list(ssl, &timestamps, &timestamps_len);
    ret->staple = (struct str){(const char *)staple, staple_len};
    ret->timestamps = (struct str){(const char *)timestamps, timestamps_len};
}

void tls_proof_peer(const struct tls_proof *proof, const SSL *ssl, struct link_peer *ret)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    const uint8_t *alpn;
    unsigned alpn_len;
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
    ret->version = (uint16_t)SSL_version(ssl);
    ret->group = SSL_get_group_id(ssl);
    ret->group_name = ret->group == 0 ? NULL : SSL_get_group_name(ret->group);
    ret->signature = proof->signature == 0 ? NULL : SSL_get_signature_algorithm_name(proof->signature, 1);
    ret->own = proof->own;
    ret->cipher_text = cipher == NULL ? NULL : SSL_CIPHER_get_name(cipher);
    ret->cipher = cipher == NULL ? NULL : SSL_CIPHER_standard_name(cipher);
    ret->resumed = SSL_session_reused(ssl);
    tell_further(ssl, ret);
    ret->handshake_in = proof->handshake_in;
    ret->handshake_out = proof->handshake_out;
    ret->hello_retry = SSL_used_hello_retry_request(ssl);
    ret->alpn = (struct str){(const char *)alpn, alpn_len};
    ret->identity = proof->identity;
    ret->shown = proof->later != NULL ? proof->later : SSL_get0_peer_certificates(ssl);
    ret->chain = proof->identity == NULL ? NULL : ret->shown;
    ret->fault = proof->fault;
    ret->failure = proof->failure == NULL ? "" : proof->failure->text;
}

void tls_proof_free(struct tls_proof *proof)
{
    tls_proof_settle(proof, false);
    cert_unref(proof->own);
    identity_free(proof->identity);
    sk_CRYPTO_BUFFER_pop_free(proof->later, CRYPTO_BUFFER_free);
    free(proof->failure);
    free(proof->host);
    *proof = (struct tls_proof){0};
}
