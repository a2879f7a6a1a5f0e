/* SPDX-License-Identifier: Apache-2.0 */
/* An OCSP request (RFC 6960, 4.1), as strangers send it. */
#ifndef CARDEA_CA_OCSP_REQUEST_H
#define CARDEA_CA_OCSP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/bytestring.h>
#include <openssl/digest.h>

#include "base/str.h"
#include "ca/authority.h"

/* What is asked about one certificate; the bytes are the request's. */
struct ocsp_asked {
    CBS id;               /* the CertID as it was sent, which the answer repeats */
    const EVP_MD *digest; /* NULL: not one that we know */
    CBS name_hash, key_hash, serial;
};

struct ocsp_request {
    struct ocsp_asked asked[AUTHORITY_OCSP_MAX];
    size_t count; /* one at least */
    CBS nonce;    /* the whole extension; empty: there is none */
};

/* Read one in DER, which must live as long as `ret`. Refused: more than AUTHORITY_OCSP_MAX certificates, a
 * nonce that is empty or of more than 128 bytes (RFC 9654, 2.1), extensions that are critical and not known.
 * A signature is not looked at: the answer is no secret. */
bool ocsp_request_read(struct str der, struct ocsp_request *ret);

#endif
