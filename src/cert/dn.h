/* SPDX-License-Identifier: Apache-2.0 */
/* Distinguished names in a form in which equal names are equal bytes (RFC 5280, 7.1): letters in lower case,
 * white space trimmed and folded, text in UTF-8 whatever string type it came in. Pure: bytes in, bytes out.
 */
#ifndef CARDEA_CERT_DN_H
#define CARDEA_CERT_DN_H

#include <stdbool.h>

#include <openssl/bytestring.h>

#include "base/buf.h"

/* Append the canonical form of a Name, of which `rdns` is what stands within its SEQUENCE. Each RDN is behind
 * its length, so that one name lies below another (RFC 5280, 4.2.1.10) exactly where its form begins with the
 * other's. The parts of an RDN stay in the order in which they came, which DER prescribes. False, and `ret`
 * as it was, when the bytes are no Name. */
bool dn_canonical(CBS rdns, struct buf *ret);

/* Goes through the attributes of a Name, one after the other. */
struct dn_reader {
    CBS rdns; /* what is left of it; begins as what stands within its SEQUENCE */
    CBS rdn;  /* what is left of the RDN under way; begins empty */
};

struct dn_attribute {
    CBS kind; /* what stands within its OID */
    CBS value;
    CBS_ASN1_TAG type;
};

/* The next one; false where there are no more, or what comes is no Name. */
bool dn_next(struct dn_reader *reader, struct dn_attribute *ret);

#endif
