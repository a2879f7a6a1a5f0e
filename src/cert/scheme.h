/* SPDX-License-Identifier: Apache-2.0 */
/* What a client must be able to verify to make something of a chain: the signatures on its certificates. */
#ifndef CARDEA_CERT_SCHEME_H
#define CARDEA_CERT_SCHEME_H

#include <stddef.h>
#include <stdint.h>

struct x509_st;

/* Of the signatures on a chain, leaf first, the different ones: SignatureSchemes as a client lists them in
 * signature_algorithms_cert (RFC 8446, 4.2.3). A certificate that has signed itself is nobody's to verify
 * (4.4.2.2), and what has no scheme is left out. Returns how many there are; of more than `most` the first.
 */
size_t cert_schemes(struct x509_st *const *chain, size_t len, uint16_t *ret, size_t most);

#endif
