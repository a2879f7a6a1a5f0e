/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a certificate of ours is revoked, as its CA tells: by OCSP (cert/ocsp.h), or by a CRL. */
#ifndef CARDEA_CERT_STATUS_H
#define CARDEA_CERT_STATUS_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum cert_verdict { CERT_NOT_REVOKED, CERT_REVOKED, CERT_UNKNOWN };

struct cert_status {
    enum cert_verdict verdict;
    int64_t this_update, next_update; /* seconds since 1970 */
};

#define CERT_STATUS_USUAL INT64_C(86400) /* how long an answer without nextUpdate is good for */

struct crl;

/* A CRL in DER, as it is fetched (RFC 5280, 4.2.1.13); given to cert_crl_free(). NULL with `err`. */
struct crl *cert_crl_read(struct str der, struct err *err);
void cert_crl_free(struct crl *crl); /* NULL is allowed */

/* What the CRL says of a certificate at `now`, given that and its issuer's in DER. It must be the issuer's
 * own, signed, for such certificates, and current. -1 with `err`: it proves nothing. */
int cert_crl_status(struct crl *crl, struct str leaf, struct str issuer, int64_t now, struct cert_status *ret,
                    struct err *err);

#endif
