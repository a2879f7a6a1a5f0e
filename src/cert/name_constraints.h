/* SPDX-License-Identifier: Apache-2.0 */
/* Name constraints (RFC 5280, 4.2.1.10): which names may stand below a CA. Pure: DER in, a verdict out. All
 * who ask, for a peer's chain or for what our own CA is about to issue, ask here.
 *
 * What RFC 5280 leaves open is decided as the web's verifiers do:
 * - DNS: "example.com" is that name and all below it, ".example.com" only what is below it, "" is all. A
 *   wildcard stands for every name that it matches: all of them have to be permitted, none may be excluded.
 * - A name that is no name of its kind is refused where there are constraints of that kind.
 * - A URI without a host name in it is refused where there are constraints on URIs.
 * - The common name of a certificate without a SAN counts as a DNS name where it looks like one (two labels
 * or more) and as an address where it is one. It never proves a host.
 * - Constraints of a kind that is not known here (otherName and the like) refuse every name of that kind,
 *   where the extension is critical. */
#ifndef CARDEA_CERT_NAME_CONSTRAINTS_H
#define CARDEA_CERT_NAME_CONSTRAINTS_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/bytestring.h>

/* The names of a certificate. */
struct constrained_names {
    CBS subject; /* what stands within the SEQUENCE of its Name */
    CBS san;     /* what stands within the SEQUENCE of its GeneralNames; empty: it has no such extension */
};

enum constraint_verdict {
    CONSTRAINT_MET,
    CONSTRAINT_NOT_PERMITTED,
    CONSTRAINT_EXCLUDED,
    CONSTRAINT_ODD_NAME, /* a name that is none, or of a kind that cannot be compared */
    CONSTRAINT_TOO_MANY, /* the comparisons are used up */
};

#define CONSTRAINT_NAME_MAX 128

/* Is this the value of a NameConstraints extension: its DER is right and each subtree is one of its kind,
 * without minimum and maximum (which RFC 5280 does not allow)? Only then it may be asked. */
bool name_constraints_check(CBS extension);

/* Hold the names of a certificate against the constraints of a CA above it. `left` is how many comparisons of
 * a name with a subtree may still be made; it is counted down. To take up a name counts as one, and a long
 * one as several: so the time is bounded whatever the sizes. Which name is not allowed goes to `ret_name` as
 * text that is safe to print. */
enum constraint_verdict name_constraints_meet(CBS extension, bool critical,
                                              const struct constrained_names *names, size_t *left,
                                              char ret_name[CONSTRAINT_NAME_MAX]);

/* Words for a verdict that is not CONSTRAINT_MET. */
const char *name_constraints_text(enum constraint_verdict verdict);

#endif
