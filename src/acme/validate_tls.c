/* SPDX-License-Identifier: Apache-2.0 */
/* tls-alpn-01 (RFC 8737). */
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/obj.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "acme/validate_internal.h"
#include "base/check.h"
#include "cert/leaf.h"

#define ACME_IDENTIFIER "1.3.6.1.5.5.7.1.31"

/* The certificate
 * ---------------------------------------------------------------------------------------------------- */

/* One name, and that is the one to be proven (RFC 8737, 3; RFC 8738, 4). */
static bool has_name(const X509 *cert, const struct acme_check *check)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const GENERAL_NAME *name =
        names != NULL && sk_GENERAL_NAME_num(names) == 1 ? sk_GENERAL_NAME_value(names, 0) : NULL;
    bool ok = false;
    if (name != NULL && name->type == (check->ip ? GEN_IPADD : GEN_DNS)) {
        const ASN1_STRING *value = check->ip ? name->d.iPAddress : name->d.dNSName;
        size_t len = (size_t)ASN1_STRING_length(value), wanted = strlen(check->name);
        uint8_t ip[16];
        const void *text = check->name;
        if (check->ip) {
            wanted = hostname_address(check->name, ip);
            text = ip;
        }
        ok = len == wanted && (check->ip ? memcmp(ASN1_STRING_get0_data(value), text, len) == 0
                                         : OPENSSL_strncasecmp((const char *)ASN1_STRING_get0_data(value),
                                                               check->name, len) == 0);
    }
    GENERAL_NAMES_free(names);
    return ok;
}

/* acmeIdentifier, critical: an OCTET STRING with the digest of the key authorization. */
static bool has_digest(const X509 *cert, const char *authorization)
{
    uint8_t wanted[2 + SHA256_DIGEST_LENGTH] = {V_ASN1_OCTET_STRING, SHA256_DIGEST_LENGTH};
    ASN1_OBJECT *oid = OBJ_txt2obj(ACME_IDENTIFIER, 1);
    CHECK(oid != NULL);
    int at = X509_get_ext_by_OBJ(cert, oid, -1);
    ASN1_OBJECT_free(oid);
    X509_EXTENSION *extension = at < 0 ? NULL : X509_get_ext(cert, at);
    if (extension == NULL || !X509_EXTENSION_get_critical(extension))
        return false;
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    SHA256((const uint8_t *)authorization, strlen(authorization), wanted + 2);
    return ASN1_STRING_length(value) == sizeof(wanted) &&
           memcmp(ASN1_STRING_get0_data(value), wanted, sizeof(wanted)) == 0;
}

static void judge(struct acme_look *l, struct str der)
{
    const uint8_t *p = (const uint8_t *)der.p;
    X509 *cert = d2i_X509(NULL, &p, (long)der.len);
    if (cert == NULL)
        look_failed(l, ACME_TLS, "%s: shows no certificate that can be read", l->check.name);
    else if (!has_name(cert, &l->check))
        look_failed(l, ACME_INCORRECT_RESPONSE, "%s: its certificate is not for that name, and for no other",
                    l->check.name);
    else if (!has_digest(cert, l->check.key_authorization))
        look_failed(l, ACME_INCORRECT_RESPONSE,
                    "%s: its certificate has no critical acmeIdentifier of this key authorization",
                    l->check.name);
    else
        look_good(l);
    X509_free(cert);
    ERR_clear_error();
}

/* The connection
 * ----------------------------------------------------------------------------------------------------- */

static void shake(struct acme_look *l)
{
    struct link_peer peer;
    switch (link_open(l->link)) {
    case LINK_AGAIN:
        return;
    case LINK_OK:
        break;
    default:
        if (++l->tries < LOOK_TRIES)
            loop_defer(l->v->params.loop, &l->again);
        else
            look_failed(l, ACME_TLS, "%s: no TLS came about: %s", l->check.name, link_error(l->link));
        return;
    }
    if (!link_peer(l->link, &peer) || !str_is(peer.alpn, "acme-tls/1"))
        look_failed(l, ACME_INCORRECT_RESPONSE, "%s: does not speak acme-tls/1", l->check.name);
    else
        judge(l, cert_chain_at(peer.shown, 0));
}

static void on_link_wake(struct link *link)
{
    struct acme_look *l = link->owner;
    if (!l->over)
        shake(l);
}

void look_tls_again(struct task *again)
{
    struct acme_look *l = CONTAINER_OF(again, struct acme_look, again);
    link_close(l->link, true);
    l->link = NULL;
    if (!l->over)
        look_tls(l);
}

static bool may_dial(void *owner, const struct net_addr *address)
{
    struct acme_look *l = owner;
    return l->dialled < LOOK_ADDRESSES && look_may_now(l, address) && ++l->dialled > 0;
}

static void step(void *owner)
{
    struct acme_look *l = owner;
    char sni[ACME_CLIENT_SNI_MAX];
    enum dial_status status = l->over ? DIAL_WAIT : dial_step(&l->dial);
    if (status == DIAL_WAIT)
        return;
    if (status == DIAL_NO_SUCH_HOST || status == DIAL_UNRESOLVED) {
        look_unresolved(l, l->check.name, dial_resolved(&l->dial));
        return;
    }
    if (status != DIAL_OK && l->crowded) { /* it may be there that it is answered */
        look_later(l);
        return;
    }
    if (status != DIAL_OK) {
        look_failed(l, ACME_CONNECTION, "%s, port %u: %s", l->check.name, l->v->params.tls_port,
                    status == DIAL_REFUSED     ? "the connection is refused"
                    : status == DIAL_FORBIDDEN ? "this server does not look at its addresses"
                                               : "cannot be reached");
        return;
    }
    acme_client_alpn_name(&l->proof, sni);
    l->link = tls_client_connect(l->v->tls[l->tries], NULL, sni, dial_take(&l->dial), &l->v->scratch);
    l->link->wake = on_link_wake;
    l->link->owner = l;
    shake(l);
}

void look_tls(struct acme_look *l)
{
    l->crowded = false;
    l->dialled = 0;
    l->dial = (struct dial){
        .loop = l->v->params.loop, .resolver = l->v->resolver, .wake = step, .allow = may_dial, .owner = l};
    dial_start(&l->dial, l->check.name, l->v->params.tls_port);
    step(l);
}
