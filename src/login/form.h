/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a login: JSON objects whose bytes are base64. Client and server write and read them with
 * these; doc/internals/login.md lists what is in each. */
#ifndef CARDEA_LOGIN_FORM_H
#define CARDEA_LOGIN_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/str.h"

#define FORM_TYPE "application/json"
#define LOGIN_CSR_MAX 8192

/* An object, and nothing behind it; no key twice, no NUL in a text. NULL where it is none. The caller owns it
 * (json_decref). */
json_t *form_read(struct str body);

/* A text of 1 to `max` bytes; borrowed from `m`. */
bool form_text(const json_t *m, const char *key, size_t max, struct str *ret);

/* Exactly `len` bytes. */
bool form_bytes(const json_t *m, const char *key, void *ret, size_t len);

/* 1 to `max` bytes, appended. */
bool form_blob(const json_t *m, const char *key, size_t max, struct buf *ret);

void form_put_bytes(json_t *m, const char *key, const void *bytes, size_t len);
void form_put_text(json_t *m, const char *key, const char *text, size_t len); /* must be UTF-8 */

/* Append it. */
void form_write(const json_t *m, struct buf *ret);

#endif
