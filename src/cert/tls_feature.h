/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS feature status_request, "must staple" (RFC 7633): clients are to break off where a server shows a
 * certificate with it and no OCSP response. AWS-LC knows nothing of that extension. */
#ifndef CARDEA_CERT_TLS_FEATURE_H
#define CARDEA_CERT_TLS_FEATURE_H

#include <stdbool.h>

#include <openssl/x509.h>

/* Is status_request among the features of the certificate? */
bool tls_feature_has(const X509 *cert);

/* Does the extension ask for status_request, and for nothing else? */
bool tls_feature_is(X509_EXTENSION *extension);

/* An extension that does. The caller owns it; NULL when memory is out. */
X509_EXTENSION *tls_feature_new(void);

#endif
