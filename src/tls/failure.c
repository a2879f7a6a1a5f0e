/* SPDX-License-Identifier: Apache-2.0 */
/* The library tells what went wrong through a queue of the thread's own. tls_link.c empties it before each
 * call, so its first entry belongs to the call that has just failed. */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/alert.h"
#include "base/check.h"
#include "tls/tls_internal.h"

static const struct {
    int reason;
    const char *text;
} ours[] = {
#define X(reason, text) {reason, text},
#include "tables/tls_failures.def"
#undef X
};

static const struct {
    int alert;
    const char *text;
} theirs[] = {
#define X(NAME, name, code) {code, "the peer sent the alert " #name},
#include "tables/alerts.def"
#undef X
};

enum fault tls_reason_fault(void)
{
    int reason = ERR_GET_REASON(ERR_peek_error());
    return reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ? FAULT_NOT_TLS : FAULT_OTHER;
}

uint8_t tls_peer_alert(void)
{
    int reason = ERR_GET_REASON(ERR_peek_error());
    bool is_alert = reason >= SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + UINT8_MAX;
    return is_alert ? (uint8_t)(reason - SSL_AD_REASON_OFFSET) : 0;
}

const char *tls_alert_text(uint8_t alert)
{
    for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
        if (alert == theirs[i].alert)
            return theirs[i].text;
    return NULL;
}

const char *tls_reason(void)
{
    uint32_t code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    const char *alert = tls_peer_alert() != 0 ? tls_alert_text(tls_peer_alert()) : NULL;
    if (alert != NULL)
        return alert;
    if (ERR_GET_LIB(code) == ERR_LIB_CIPHER)
        return "a record was damaged or forged";
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (reason == ours[i].reason)
            return ours[i].text;
    const char *text = code == 0 ? NULL : ERR_reason_error_string(code);
    return text != NULL ? text : "TLS error";
}

/* What a server says, or does, that has no group of ours, or no TLS 1.3. */
const char *tls_handshake_reason(const struct tls_proof *proof, uint8_t alert)
{
    const char *text = alert != 0 ? tls_alert_text(alert) : NULL;
    if (proof->refusal != NULL)
        return proof->refusal;
    if (proof->only_hybrid && (alert == ALERT_HANDSHAKE_FAILURE || alert == ALERT_PROTOCOL_VERSION ||
                               alert == ALERT_INSUFFICIENT_SECURITY))
        return "the peer refused: it may have no post-quantum key exchange, and nothing else was offered "
               "(pq: require)";
    if (proof->only_hybrid && ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNSUPPORTED_PROTOCOL)
        return "the peer does not speak TLS 1.3, which post-quantum key exchange needs, and nothing else was "
               "offered (pq: require)";
    return text != NULL ? text : tls_reason();
}
