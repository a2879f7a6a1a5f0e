/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate revocation list (RFC 5280, 5) made ready to be asked: what can be judged once is judged when
 * it is read, and the serials are kept in an index. Private to cert/; any number of threads may ask at once.
 */
#ifndef CARDEA_CERT_CRL_H
#define CARDEA_CERT_CRL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "base/err.h"

struct crl;

/* Why a CRL does not tell whether a certificate is revoked; the later ones are nearer to telling it. */
enum crl_fault {
    CRL_NONE,      /* there is no CRL */
    CRL_OTHER_KEY, /* it is from another key of the issuer's name */
    CRL_UNREADABLE,
    CRL_UNKNOWN_CRITICAL,
    CRL_DELTA,
    CRL_INDIRECT,
    CRL_SOME_REASONS,
    CRL_OTHER_SCOPE,
    CRL_EXPIRED,
    CRL_NOT_YET_VALID,
    CRL_MAY_NOT_SIGN,
    CRL_NOT_SIGNED,
    CRL_GOOD, /* it does */
};

/* Read a CRL from DER. One of a kind that we do not take (delta, indirect, with a critical extension that is
 * not known here) is read all the same. It is never good, but whom it lists can be asked. NULL with `err`.
 * Freed with crl_free(). */
struct crl *crl_read(const uint8_t *der, size_t len, struct err *err);

/* NULL is allowed. */
void crl_free(struct crl *crl);

/* Borrowed from the CRL. */
const X509_NAME *crl_issuer(const struct crl *crl);

/* Is it valid at `now`, by its dates and kind alone? CRL_GOOD, CRL_EXPIRED and CRL_NOT_YET_VALID with the
 * second that it is about, or another fault. */
enum crl_fault crl_dates(const struct crl *crl, int64_t now, int64_t *ret_when);

/* Does the CRL name this issuer, be it with this key or another? */
bool crl_names(const struct crl *crl, const X509 *issuer);

/* Does the CRL say that it is from this issuer: by name, and by the identifier of its key where it has one?
 */
bool crl_is_from(const struct crl *crl, X509 *issuer);

/* Check the signature by this issuer's key, once: the answer is kept, for the key that signed and for a few
 * that did not. */
bool crl_is_signed_by(struct crl *crl, X509 *issuer);

/* Can the CRL, which names `issuer`, tell at `now` whether `cert` is revoked? CRL_GOOD, or why not.
 * `issuer` must be proven. */
enum crl_fault crl_judge(struct crl *crl, X509 *cert, X509 *issuer, int64_t now);

/* Its thisUpdate and nextUpdate; INT64_MAX: it cannot be read, or does not say. */
void crl_updates(const struct crl *crl, int64_t *ret_this, int64_t *ret_next);

/* Was it issued before another, by thisUpdate, and by CRLNumber if that is the same? False when that cannot
 * be told. */
bool crl_is_older(const struct crl *crl, const struct crl *other);

#define CRL_NO_DATE INT64_MIN

/* Is the certificate of its issuer on the list, be the CRL good or not? Then since when, or CRL_NO_DATE. */
bool crl_has(const struct crl *crl, const X509 *cert, int64_t *ret_when);

#endif
