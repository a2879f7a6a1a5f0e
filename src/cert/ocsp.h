/* SPDX-License-Identifier: Apache-2.0 */
/* Is a certificate revoked? The client's side of OCSP (RFC 6960, by the profile of RFC 5019): bytes in, bytes
 * out. A response that was found good here may be stapled (RFC 6066, 8). */
#ifndef CARDEA_CERT_OCSP_H
#define CARDEA_CERT_OCSP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "cert/status.h"

#define OCSP_ANSWER_MAX (64 * 1024) /* bytes of a response; usual are 500 to 2,500 */
#define OCSP_GET_MAX 255            /* bytes of a URL up to which a question is asked by GET (RFC 5019, 5) */
#define OCSP_SKEW INT64_C(300)      /* seconds by which a responder's clock may be ahead of ours */

/* Append an OCSPRequest in DER for a certificate and its issuer (both in DER), unsigned and without a nonce,
 * so that responders may answer from a cache. -1 with `err`. */
int ocsp_question(struct str leaf, struct str issuer, struct buf *ret, struct err *err);

/* Append the URL by which that question is asked with GET (RFC 6960, A.1). False when it is longer than
 * OCSP_GET_MAX, and it has to be POST, or memory is out. */
bool ocsp_url(const char *responder, struct str question, struct buf *ret);

/* What a response in DER says of the certificate at `now`. It must be signed by the issuer, or by whom the
 * issuer itself has certified for that (id-kp-OCSPSigning; RFC 6960, 4.2.2.2), be about this certificate, and
 * current. -1 with `err`: it proves nothing. */
int ocsp_answer(struct str response, struct str leaf, struct str issuer, int64_t now, struct cert_status *ret,
                struct err *err);

#endif
