/* SPDX-License-Identifier: Apache-2.0 */
/* SSH's keys, certificates and lists of revoked ones as bytes (RFC 4253, 6.6; OpenSSH's PROTOCOL.certkeys and
 * PROTOCOL.krl). */
#ifndef CARDEA_CA_SSH_H
#define CARDEA_CA_SSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct evp_pkey_st;

#define SSH_LINE_MAX (16 * 1024) /* bytes of a public key file */

/* A public key as its owner has sent it: the type, and what stands behind it in the key blob. */
struct ssh_public {
    const char *type;      /* static */
    const char *cert_type; /* of a certificate for such a key; static */
    struct buf fields;
    struct buf comment; /* text, perhaps empty */
};

/* Read a line "TYPE BASE64 COMMENT". Taken are Ed25519, ECDSA (P-256, P-384, P-521), RSA (2048 to 16384
 * bits), and both kinds of security keys; a key that is not on its curve or not canonical is refused. Free
 * with ssh_public_free(). -1 with `err`. */
int ssh_public_read(struct str line, struct ssh_public *ret, struct err *err);
void ssh_public_free(struct ssh_public *key);

/* Append the key blob of a key of our own: Ed25519, or ECDSA with P-256 or P-384. -1 with `err`, also for
 * other kinds. */
int ssh_put_key(struct buf *ret, const struct evp_pkey_st *key, struct err *err);

/* Append the line "TYPE BASE64 COMMENT" of a blob, which begins with its type. False when memory is out. */
bool ssh_put_line(struct buf *ret, const struct buf *blob, const char *comment);

struct ssh_cert {
    uint64_t serial;
    bool host;
    const char *id;
    const char *const *principals;
    size_t principals_len;
    int64_t not_before, not_after; /* seconds since 1970 */
    const char *force_command;     /* NULL: none */
    const char *source_address;
    bool no_pty, no_forwarding;
};

/* Append the blob of a certificate for `key`, signed by the key `ca` whose blob is `ca_blob`. -1 with
 * `err`. */
int ssh_cert_put(struct buf *ret, const struct ssh_public *key, const struct ssh_cert *cert,
                 struct evp_pkey_st *ca, const struct buf *ca_blob, struct err *err);

/* Append the beginning of a KRL, and then for each CA the serial numbers of its certificates that are
 * revoked. False when memory is out. */
bool ssh_krl_begin(struct buf *ret, uint64_t version, int64_t now);
bool ssh_krl_add(struct buf *ret, const struct buf *ca_blob, const uint64_t *serials, size_t count);

#endif
