/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/shown.h"

#include <string.h>

#include <openssl/pool.h>

#include "cert/leaf.h"
#include "cert/ocsp.h"
#include "cert/transparency.h"

static void read_staple(const struct stack_st_CRYPTO_BUFFER *chain, struct str staple, int64_t now,
                        struct cert_shown *ret)
{
    struct cert_status status;
    struct str leaf = cert_chain_at(chain, 0), issuer = cert_chain_at(chain, 1);
    if (staple.len == 0)
        return;
    ret->staple = STAPLE_BAD;
    ret->timestamps_stapled = transparency_in_ocsp(staple);
    if (issuer.len == 0) {
        err_set(&ret->staple_text, "the certificate's issuer was not sent, so the staple cannot be proven");
        return;
    }
    if (ocsp_answer(staple, leaf, issuer, now, &status, &ret->staple_text) != 0)
        return;
    ret->staple_ends = status.next_update;
    if (status.verdict == CERT_UNKNOWN)
        err_set(&ret->staple_text, "the CA's responder does not know the certificate");
    else
        ret->staple = status.verdict == CERT_REVOKED ? STAPLE_REVOKED : STAPLE_GOOD;
}

const char *shown_staple_word(enum shown_staple staple)
{
    static const char *const words[] = {
        [STAPLE_NONE] = "none", [STAPLE_GOOD] = "good", [STAPLE_REVOKED] = "revoked", [STAPLE_BAD] = "bad"};
    return words[staple];
}

void cert_shown_read(const struct stack_st_CRYPTO_BUFFER *chain, struct str staple, struct str timestamps,
                     int64_t now, struct cert_shown *ret)
{
    struct err ignored;
    struct str der;
    *ret = (struct cert_shown){0};
    for (size_t i = 0; (der = cert_chain_at(chain, i)).len > 0; i++) {
        ret->bytes += der.len;
        cert_put_pem(&ret->pem, der);
    }
    der = cert_chain_at(chain, 0);
    if (der.len == 0)
        return;
    if (issued_read_leaf(der, &ret->leaf, &ignored) != 0)
        memset(&ret->leaf, 0, sizeof(ret->leaf));
    ret->timestamps_embedded = transparency_in_cert(der);
    ret->timestamps_sent = transparency_count(timestamps);
    read_staple(chain, staple, now, ret);
}

void cert_shown_free(struct cert_shown *shown)
{
    buf_free(&shown->pem);
    *shown = (struct cert_shown){0};
}
