/* SPDX-License-Identifier: Apache-2.0 */
/* What jws.c (reading) and jws_sign.c share. */
#ifndef CARDEA_JOSE_JWS_INTERNAL_H
#define CARDEA_JOSE_JWS_INTERNAL_H

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "jose/jws.h"

/* The one algorithm that a key signs by. False: it signs by none. */
bool jws_algorithm_of(const EVP_PKEY *key, enum jws_algorithm *ret);

/* The digest that ES256 or ES384 signs; returns its length, which is that of the curve's order too. */
size_t jws_ec_digest(enum jws_algorithm algorithm, struct str input, uint8_t ret[SHA384_DIGEST_LENGTH]);

#endif
