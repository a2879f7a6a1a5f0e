/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the subject alternative name as text, for people. */
#ifndef CARDEA_CERT_SAN_H
#define CARDEA_CERT_SAN_H

#include <stddef.h>

struct GENERAL_NAME_st;
struct x509_st;

/* A DNS name, URI, mail address or IP address, cut off to `max` bytes with the NUL, and with all that is not
 * printable ASCII, or a space, replaced by '?'. Its length; 0: it is of another kind, and `text` is empty. */
size_t san_text(const struct GENERAL_NAME_st *name, char *text, size_t max);

/* The first of a certificate's that has a text. Its length; 0: there is none. */
size_t san_first_text(const struct x509_st *cert, char *text, size_t max);

#endif
