/* SPDX-License-Identifier: Apache-2.0 */
/* What SSH's messages are made of (RFC 4251, 5), and what is signed with keys of a CA. */
#ifndef CARDEA_CA_SSH_INTERNAL_H
#define CARDEA_CA_SSH_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct evp_pkey_st;

/* Append a number of `n` bytes, a string, a text. False when memory is out. */
bool ssh_put_uint(struct buf *b, size_t n, uint64_t value);
bool ssh_put_bytes(struct buf *b, const void *bytes, size_t len);
bool ssh_put_text(struct buf *b, const char *text);

/* Append `inner` as a string; it is freed. Nothing but that where `ok` is false already. */
bool ssh_put_packed(struct buf *b, struct buf *inner, bool ok);

/* Append the signature blob of all that is in `b`, as a string. False where it cannot be made. */
bool ssh_put_signature(struct buf *b, struct evp_pkey_st *ca);

#endif
