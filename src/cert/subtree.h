/* SPDX-License-Identifier: Apache-2.0 */
/* One name and one subtree of name constraints (RFC 5280, 4.2.1.10), by the kind of the two. Pure. What each
 * kind means: cert/name_constraints.h. */
#ifndef CARDEA_CERT_SUBTREE_H
#define CARDEA_CERT_SUBTREE_H

#include <stdbool.h>

#include <openssl/bytestring.h>

/* The tags of GeneralName. */
enum name_kind {
    NAME_EMAIL = 1,
    NAME_DNS = 2,
    NAME_DIRECTORY = 4, /* its value here: what stands within the SEQUENCE of the Name */
    NAME_URI = 6,
    NAME_IP = 7,
};

#define NAME_UNKNOWN 0 /* any other kind */

enum subtree_match {
    SUBTREE_NO,
    SUBTREE_SOME, /* of what a wildcard stands for */
    SUBTREE_ALL,
    SUBTREE_ODD_NAME, /* it is no name of its kind, and so cannot be held against anything */
};

/* Read a GeneralName: its kind and its value. `ret_tag` is the tag as it stands, to tell unknown kinds from
 * one another. False when it is none. */
bool subtree_read_name(CBS *from, enum name_kind *ret_kind, CBS *ret_value, CBS_ASN1_TAG *ret_tag);

/* May this value stand as a subtree of its kind? Those of an unknown kind may. */
bool subtree_is_valid(enum name_kind kind, CBS base);

/* Does the name lie in the subtree? Both are of this kind, which is known, and the subtree is valid. */
enum subtree_match subtree_match(enum name_kind kind, CBS base, CBS name);

#endif
