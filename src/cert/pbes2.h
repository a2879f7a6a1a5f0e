/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys encrypted by a passphrase (PBES2, RFC 8018). */
#ifndef CARDEA_CERT_PBES2_H
#define CARDEA_CERT_PBES2_H

#include <stdbool.h>

#include "base/str.h"

struct cbb_st; /* AWS-LC's CBB */

/* Append an EncryptedPrivateKeyInfo (RFC 5958, 3; PBES2 with PBKDF2, HMAC-SHA-256 and AES-256-CBC) of a
 * private key in PKCS #8. False when memory is out. */
bool pbes2_put(struct cbb_st *out, struct str plain, struct str passphrase);

#endif
