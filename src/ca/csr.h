/* SPDX-License-Identifier: Apache-2.0 */
/* Certification requests (PKCS #10, RFC 2986), as strangers send them: what is asked for, and the proof that
 * who asks has the private key. Nothing of a request goes into a certificate by itself. */
#ifndef CARDEA_CA_CSR_H
#define CARDEA_CA_CSR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct evp_pkey_st;

#define CSR_BYTES_MAX (64 * 1024)
#define CSR_NAMES_MAX 256

struct csr {
    struct evp_pkey_st *key; /* the public key */
    char *name;              /* CN of the subject, or NULL */
    char **sans; /* as ca_request has them: DNS names in lower case, addresses, URIs, e-mail addresses */
    size_t sans_len;
    bool must_staple; /* asks for the TLS feature status_request (RFC 7633) */
};

/* Read one in DER. Refused: a signature that is not by its key; a key too weak to be certified (RSA under
 * 2048 bits or over 8192, curves other than P-256, P-384 and P-521); a request to be a CA; names of other
 * kinds, with bytes that such a name cannot have, or too many. Free with csr_free(). -1 with `err`. */
int csr_read(struct str der, struct csr *ret, struct err *err);

/* The same from PEM ("CERTIFICATE REQUEST") or DER, whichever it is. */
int csr_read_any(const struct buf *file, struct csr *ret, struct err *err);

/* One that is zeroed is allowed. */
void csr_free(struct csr *csr);

#endif
