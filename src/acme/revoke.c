/* SPDX-License-Identifier: Apache-2.0 */
/* Revocation (RFC 8555, 7.6): by the account that has the certificate, by one that has proven all its names,
 * or by the certificate's own key. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "acme/server_internal.h"
#include "base/base64.h"
#include "base/check.h"

/* A certificate that we have issued. */
struct issued {
    char id[ACME_ID_MAX];
    char account[ACME_ID_MAX];
    int64_t revoked;
    struct acme_name *names;
    size_t names_len;
};

static bool read_row(struct state_query *q, const X509 *shown, struct issued *ret)
{
    struct str chain = state_text(q, 4);
    struct buf pem = {0};
    X509 *ours = buf_append(&pem, chain.p, chain.len) ? acme_leaf(&pem, NULL) : NULL;
    /* Anybody can make a certificate with a serial number of ours and a key of his own. */
    bool same = ours != NULL && X509_cmp(ours, shown) == 0;
    X509_free(ours);
    buf_free(&pem);
    acme_column(q, 0, ret->id, sizeof(ret->id));
    acme_column(q, 1, ret->account, sizeof(ret->account));
    ret->revoked = state_int(q, 2);
    return same && acme_names_load(state_text(q, 3), &ret->names, &ret->names_len);
}

static bool find(struct acme_call *c, const X509 *shown, struct issued *ret)
{
    char serial_text[ACME_SERIAL_TEXT];
    struct ca_serial serial;
    struct state_query *q = NULL;
    enum state_result result = STATE_END;
    if (acme_serial(shown, &serial, serial_text)) {
        q = acme_ask(c->s, &c->err,
                     "SELECT id, account, revoked, names, chain FROM certificates WHERE serial = ?", "s",
                     serial_text);
        result = q == NULL ? STATE_FAILED : state_step(q, &c->err);
    }
    bool found = result == STATE_ROW && read_row(q, shown, ret);
    if (q != NULL)
        state_done(q);
    if (result == STATE_FAILED)
        return acme_broken(c);
    return found || acme_problem(c, ACME_NOT_FOUND, "this certificate was not issued here by ACME");
}

/* Has this account proven all names of it, itself and not by trust? -1 with c->err. */
static int has_proven_all(struct acme_call *c, const struct issued *cert)
{
    for (size_t i = 0; i < cert->names_len; i++) {
        int64_t proven;
        if (acme_count(c->s, &c->err, &proven,
                       "SELECT COUNT(*) FROM authorizations WHERE account = ? AND name = ? AND wildcard = ? "
                       "AND status = 3 AND trusted = 0 AND expires > ?",
                       "ssii", c->account.id, cert->names[i].text, (int64_t)cert->names[i].wildcard,
                       c->now) < 0)
            return -1;
        if (proven == 0)
            return 0;
    }
    return 1;
}

static bool may_revoke(struct acme_call *c, const X509 *shown, const struct issued *cert)
{
    int may;
    if (c->account.id[0] == '\0') {
        EVP_PKEY *key = X509_get0_pubkey(shown);
        may = key != NULL && EVP_PKEY_cmp(key, c->key) == 1;
    } else {
        may = strcmp(cert->account, c->account.id) == 0 ? 1 : has_proven_all(c, cert);
    }
    if (may < 0)
        return acme_broken(c);
    return may == 1 || acme_problem(c, ACME_UNAUTHORIZED,
                                    "expected the certificate's account, its own key, or an account that has "
                                    "proven all its names");
}

/* Those that a subscriber can give (RFC 5280, 5.3.1): nothing that can be taken back, nothing of CAs. */
static bool read_reason(struct acme_call *c, int *ret)
{
    static const int good[] = {0, 1, 3, 4, 5, 9};
    const json_t *given = json_object_get(c->payload, "reason");
    *ret = 0;
    if (given == NULL)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (json_is_integer(given) && json_integer_value(given) == good[i]) {
            *ret = good[i];
            return true;
        }
    return acme_problem(c, ACME_BAD_REVOCATION_REASON, "\"reason\" is not 0, 1, 3, 4, 5 or 9");
}

static bool read_certificate(struct acme_call *c, X509 **ret)
{
    const json_t *given = json_object_get(c->payload, "certificate");
    struct buf der = {0};
    struct str text = {json_string_value(given), json_string_length(given)};
    bool ok = json_is_string(given) && base64url_read(text, &der);
    const uint8_t *p = der.data;
    *ret = ok && der.len > 0 ? d2i_X509(NULL, &p, (long)der.len) : NULL;
    ok = *ret != NULL && p == der.data + der.len;
    buf_free(&der);
    ERR_clear_error();
    return ok || acme_problem(c, ACME_MALFORMED, "\"certificate\" is not a certificate in DER, in base64url");
}

static bool revoke(struct acme_call *c, const X509 *shown, const struct issued *cert, int reason)
{
    char who[ACME_ID_MAX + 16], ignored[ACME_SERIAL_TEXT];
    struct ca_serial serial;
    const struct acme_issuer *issuer = &c->s->params->issuer;
    if (cert->revoked != 0)
        return acme_problem(c, ACME_ALREADY_REVOKED, "this certificate is revoked already");
    CHECK(acme_serial(shown, &serial, ignored));
    snprintf(who, sizeof(who), "acme:%s", c->account.id[0] != '\0' ? c->account.id : "its-own-key");
    enum acme_revoked result = issuer->revoke(issuer->arg, &serial, reason, who, c->now, &c->err);
    if (result == ACME_NOT_OURS)
        err_set(&c->err, "certificate %s is not known to the CA that issued it", cert->id);
    if (result == ACME_NOT_OURS || result == ACME_REVOKE_FAILED ||
        acme_run(c->s, &c->err, "UPDATE certificates SET revoked = ? WHERE id = ?", "is", c->now, cert->id) <
            0)
        return acme_broken(c);
    return result == ACME_REVOKED ||
           acme_problem(c, ACME_ALREADY_REVOKED, "this certificate is revoked already");
}

void acme_answer_revoke(struct acme_call *c)
{
    X509 *shown = NULL;
    struct issued cert = {0};
    int reason;
    if (read_certificate(c, &shown) && read_reason(c, &reason) && find(c, shown, &cert) &&
        may_revoke(c, shown, &cert) && revoke(c, shown, &cert, reason))
        c->answer->status = 200;
    X509_free(shown);
    free(cert.names);
}
