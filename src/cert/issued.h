/* SPDX-License-Identifier: Apache-2.0 */
/* What a certificate of ours that a CA has issued says of how it is to be kept: until when it is good, whom
 * to ask whether it is revoked, whether clients demand a staple. */
#ifndef CARDEA_CERT_ISSUED_H
#define CARDEA_CERT_ISSUED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "cert/pem.h"

struct err;

#define ISSUED_SERIAL_MAX 41 /* 20 bytes (RFC 5280, 4.1.2.2) in hexadecimal and a NUL */
#define ISSUED_URL_MAX 512

struct issued {
    int64_t not_before, not_after; /* seconds since 1970; of the leaf */
    uint8_t pin[PEM_PIN_LEN];      /* of its key */
    char serial[ISSUED_SERIAL_MAX];
    char ocsp[ISSUED_URL_MAX]; /* first http: URL of an OCSP responder (RFC 5280, 4.2.2.1), or "" */
    char crl[ISSUED_URL_MAX];  /* ... of a CRL (4.2.1.13), or "" */
    bool must_staple;          /* TLS feature status_request (RFC 7633) */
};

/* Read the leaf of a chain in PEM, and see that `key` (PKCS #8 in DER) is its private key. Whether the chain
 * is good is for others to say. -1 with `err`. */
int issued_read(struct str chain, struct str key, struct issued *ret, struct err *err);

/* The same of a certificate in DER whose key is known to fit. */
int issued_read_leaf(struct str der, struct issued *ret, struct err *err);

#endif
