/* SPDX-License-Identifier: Apache-2.0 */
#include "login/issuer.h"

#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "ca/authority.h"
#include "ca/csr.h"

_Static_assert(LOGIN_SERIAL_MAX >= CA_SERIAL_TEXT, "a serial number fits");

static int issue(void *arg, const struct login_grant *g, struct buf *ret_pem,
                 char ret_serial[LOGIN_SERIAL_MAX], struct err *err)
{
    struct csr csr = {0};
    struct ca_serial serial;
    if (csr_read(g->csr, &csr, err) < 0)
        return -1;
    const struct ca_request request = {.name = g->name,
                                       .sans = &g->uri,
                                       .sans_len = 1,
                                       .groups = g->groups,
                                       .groups_len = g->groups_len,
                                       .now = g->now,
                                       .lifetime = g->lifetime};
    int status = authority_certify(arg, csr.key, CA_PROFILE_CLIENT, &request, g->who, &serial, ret_pem, err);
    csr_free(&csr);
    if (status == 0)
        ca_serial_text(&serial, ret_serial);
    return status;
}

static int look(void *arg, struct str der, uint8_t ret_key[LOGIN_KEY_DIGEST], struct err *err)
{
    struct csr csr = {0};
    uint8_t *spki = NULL;
    (void)arg;
    if (csr_read(der, &csr, err) < 0)
        return -1;
    int len = i2d_PUBKEY(csr.key, &spki);
    if (len > 0)
        SHA256(spki, (size_t)len, ret_key);
    OPENSSL_free(spki);
    csr_free(&csr);
    return len > 0 ? 0 : err_set(err, "its public key cannot be read");
}

static int revoked(void *arg, const char *uri, int64_t since, struct err *err)
{
    return authority_revoked_name(arg, uri, since, err);
}

static int revoke(void *arg, const char *uri, const char *who, int64_t now, struct err *err)
{
    return authority_revoke_name(arg, uri, CA_REASON_KEY_COMPROMISE, who, now, err) < 0 ? -1 : 0;
}

static int root(void *arg, struct buf *ret_pem, struct err *err)
{
    return authority_put_roots(arg, clock_wall() / NSEC_PER_SEC, ret_pem)
               ? 0
               : err_set(err, "the root's certificate cannot be written");
}

struct login_issuer login_issuer_of(struct authority *a)
{
    return (struct login_issuer){
        .arg = a, .issue = issue, .look = look, .revoked = revoked, .revoke = revoke, .root = root};
}
