/* SPDX-License-Identifier: Apache-2.0 */
/* PEM files, and words about certificates that are safe to print. */
#ifndef CARDEA_CERT_PEM_H
#define CARDEA_CERT_PEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct err;
struct x509_st;
struct X509_name_st;
struct evp_pkey_st;

/* Called with each block of a PEM text: what stands after BEGIN, and its bytes. Less than 0 stops. */
typedef int pem_block_fn(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err);

/* Go through the blocks of a PEM text; text around them is skipped. -1 when a block is damaged or `fn` says
 * so. */
int pem_each(const struct buf *text, pem_block_fn *fn, void *arg, struct err *err);

/* Is this block a certificate? */
bool pem_is_certificate(const char *type);

#define PEM_PIN_LEN 32

/* The SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7469, 2.4). False where it has none to be read. */
bool pem_pin(const struct x509_st *cert, uint8_t ret[PEM_PIN_LEN]);

/* Append base64 of that of each certificate of a PEM text, each with a NUL behind it. -1 when a block is
 * damaged or no certificate; what was appended before stays. */
int pem_pins(const struct buf *text, struct buf *ret, struct err *err);

/* Do these permission bits keep a private key from all but its owner and group? */
bool pem_key_is_kept(mode_t mode);

#define PEM_NAME_MAX 128
#define PEM_TIME_MAX 32

/* The CN, or else the whole name on one line, cut off and with all that is not printable ASCII replaced by
 * '?'; "(no name)" where it is empty. `text` is filled in, and returned. */
const char *pem_name_text(const struct X509_name_st *name, char text[PEM_NAME_MAX]);
/* The same of a certificate's subject, but without a CN rather the first subject alternative name. */
const char *pem_subject_text(const struct x509_st *cert, char text[PEM_NAME_MAX]);

/* Seconds since 1970 as "2026-11-23T00:40:00Z". */
const char *pem_time_text(int64_t seconds, char text[PEM_TIME_MAX]);

#endif
