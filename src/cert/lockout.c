/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a bundle refuses whatever he shows, for its CRLs are too old or not there: what trust_verify() will
 * say to all of them, known before the first one comes. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cert/crl.h"
#include "cert/pem.h"
#include "cert/trust_internal.h"

/* Anchors without a CRL
 * -------------------------------------------------------------------------------------------------------- */

static X509 *anchor_at(const struct trust *trust, size_t i)
{
    return anchors_at(trust->anchors, i)->x509;
}

static bool has_crl(const struct trust *trust, X509 *issuer)
{
    for (size_t k = 0; k < trust->crls_len; k++)
        if (crl_is_from(trust->crls[k], issuer) && crl_is_signed_by(trust->crls[k], issuer))
            return true;
    return false;
}

/* Does it stand above others of which the bundle speaks: an anchor that it has issued, or the issuer of a CRL
 * that is no anchor, and that clients send with their chain? Then it may have issued no client's certificate.
 */
static bool may_be_above(const struct trust *trust, X509 *anchor)
{
    size_t n = anchors_len(trust->anchors);
    for (size_t i = 0; i < n; i++) {
        X509 *other = anchor_at(trust, i);
        if (other != anchor && X509_NAME_cmp(X509_get_issuer_name(other), X509_get_subject_name(anchor)) == 0)
            return true;
    }
    for (size_t k = 0; k < trust->crls_len; k++) {
        bool is_anchors = false;
        for (size_t i = 0; i < n && !is_anchors; i++)
            is_anchors = crl_names(trust->crls[k], anchor_at(trust, i));
        if (!is_anchors)
            return true;
    }
    return false;
}

void trust_find_unlisted(struct trust *trust)
{
    size_t n = anchors_len(trust->anchors);
    if (trust->crls_len == 0)
        return;
    trust->unlisted = calloc(n + 1, sizeof(char *));
    CHECK(trust->unlisted != NULL);
    for (size_t i = 0; i < n; i++) {
        char name[PEM_NAME_MAX];
        X509 *anchor = anchor_at(trust, i);
        if (X509_check_ca(anchor) == 0 || has_crl(trust, anchor) || may_be_above(trust, anchor))
            continue;
        trust->unlisted[trust->unlisted_len] = strdup(pem_subject_text(anchor, name));
        CHECK(trust->unlisted[trust->unlisted_len] != NULL);
        trust->unlisted_len++;
    }
}

/* Telling
 * -------------------------------------------------------------------------------------------------------- */

static size_t file_of(const struct trust *trust, size_t crl)
{
    size_t i = 0;
    while (trust->ends[i] <= crl)
        i++;
    return i;
}

/* Is there one of the same issuer that is valid? */
static bool is_made_good(const struct trust *trust, const struct crl *crl, int64_t now)
{
    int64_t when;
    for (size_t k = 0; k < trust->crls_len; k++)
        if (X509_NAME_cmp(crl_issuer(trust->crls[k]), crl_issuer(crl)) == 0 &&
            crl_dates(trust->crls[k], now, &when) == CRL_GOOD)
            return true;
    return false;
}

/* Of one CRL. */
static bool locks_out(const struct trust *trust, size_t k, int64_t now, size_t *ret_file, struct err *ret)
{
    const struct crl *crl = trust->crls[k];
    char issuer[PEM_NAME_MAX], text[PEM_TIME_MAX];
    int64_t when;
    enum crl_fault fault = crl_dates(crl, now, &when);
    if ((fault != CRL_EXPIRED && fault != CRL_NOT_YET_VALID) || is_made_good(trust, crl, now))
        return false;
    *ret_file = file_of(trust, k);
    pem_name_text(crl_issuer(crl), issuer);
    err_set(ret, "%s %s %s: everybody of '%s' is refused", trust->crl[*ret_file],
            fault == CRL_EXPIRED ? "expired on" : "is not valid before", pem_time_text(when, text), issuer);
    return true;
}

bool trust_lockout(const struct trust *trust, size_t *at, int64_t now, size_t *ret_file, struct err *ret)
{
    CHECK_MAGIC(trust, TRUST_MAGIC);
    while (*at < trust->crls_len)
        if (locks_out(trust, (*at)++, now, ret_file, ret))
            return true;
    size_t i = *at - trust->crls_len;
    if (i >= trust->unlisted_len)
        return false;
    (*at)++;
    *ret_file = SIZE_MAX;
    err_set(ret, "trust bundle %s has CRLs, but none of '%s': everybody of it is refused", trust->name,
            trust->unlisted[i]);
    return true;
}
