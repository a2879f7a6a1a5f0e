/* SPDX-License-Identifier: Apache-2.0 */
/* Signed certificate timestamps (RFC 6962, 3.3) are counted here. Whose they are, and whether they are
 * signed, can be told only with the keys of the logs, which we do not have. */
#ifndef CARDEA_CERT_TRANSPARENCY_H
#define CARDEA_CERT_TRANSPARENCY_H

#include <stddef.h>

#include "base/str.h"

/* How many timestamps there are in a SignedCertificateTimestampList, as the TLS extension has it; 0 of what
 * is none. */
size_t transparency_count(struct str list);

/* The same of those embedded in a certificate in DER, and of those in an OCSP response in DER. 0 where there
 * are none, or it cannot be read. */
size_t transparency_in_cert(struct str der);
size_t transparency_in_ocsp(struct str der);

#endif
