/* SPDX-License-Identifier: Apache-2.0 */
/* What one CA has revoked, out of its own book. Beside a CRL it is for who has that book at hand: it needs no
 * signature, does not run out, and who is not on it is not revoked. Immutable; any number of threads may ask
 * at once. */
#ifndef CARDEA_CERT_REVOKED_H
#define CARDEA_CERT_REVOKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct revoked;
struct x509_st;

#define REVOKED_SERIAL_MAX 20 /* bytes, RFC 5280, 4.1.2.2 */

struct revoked_row {
    uint8_t serial[REVOKED_SERIAL_MAX]; /* without zeros in front */
    uint8_t len;
    int64_t at; /* seconds since 1970 */
};

/* Of those that the CA has issued, under one of these issuers (its intermediates, one after the other; a
 * reference to each is taken): a serial number is that of one certificate, whoever of them has signed it. The
 * rows, in any order, are copied. Never NULL; the caller owns a reference. */
struct revoked *revoked_new(struct x509_st *const *issuers, size_t issuers_len,
                            const struct revoked_row *rows, size_t n);

/* References may be taken and given back in any thread. NULL is allowed for both. */
struct revoked *revoked_ref(struct revoked *r);
void revoked_unref(struct revoked *r);

/* Is `cert`, whose issuer in a chain that is proven is `issuer`, one of them? Then since when. */
bool revoked_has(const struct revoked *r, const struct x509_st *cert, const struct x509_st *issuer,
                 int64_t *ret_at);

#endif
