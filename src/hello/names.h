/* SPDX-License-Identifier: Apache-2.0 */
/* What the numbers of a handshake are called (IANA), for people. */
#ifndef CARDEA_HELLO_NAMES_H
#define CARDEA_HELLO_NAMES_H

#include <stdint.h>

/* A number that has no name here. */
#define HELLO_NUMBER_MAX 16

/* Static text, or "0x1a2b", written to `number`. */
const char *hello_cipher_name(uint16_t code, char number[HELLO_NUMBER_MAX]);
const char *hello_group_name(uint16_t code, char number[HELLO_NUMBER_MAX]);
const char *hello_signature_name(uint16_t code, char number[HELLO_NUMBER_MAX]);

/* "TLS 1.3"; "SSL 3.0" of 0x0300. */
const char *hello_version_name(uint16_t code, char number[HELLO_NUMBER_MAX]);

/* "handshake_failure"; in decimal what has no name. */
const char *hello_alert_name(uint8_t code, char number[HELLO_NUMBER_MAX]);

/* Of HPKE (RFC 9180, 7), as ECH offers them: "HKDF-SHA256", "AES-128-GCM". */
const char *hello_kdf_name(uint16_t code, char number[HELLO_NUMBER_MAX]);
const char *hello_aead_name(uint16_t code, char number[HELLO_NUMBER_MAX]);

#endif
