/* SPDX-License-Identifier: Apache-2.0 */
/* What a client keeps of a login: one file with the certificate, its chain, their private key, and where they
 * are from, so that none of these can be parted from the others by a crash or by another `cardea login`. Mode
 * 0600. */
#ifndef CARDEA_LOGIN_KEEP_H
#define CARDEA_LOGIN_KEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct evp_pkey_st;

#define KEEP_TEXT_MAX 512
#define KEEP_KEY_DIGEST 32

struct keep {
    char door[KEEP_TEXT_MAX]; /* HOST:PORT */
    char name[KEEP_TEXT_MAX]; /* that the door proves; "": its host */
    char ca[KEEP_TEXT_MAX];   /* a file, or "system" */
    char user[KEEP_TEXT_MAX]; /* whom the certificate names */
    int64_t since;            /* the certificate was fetched then, by this machine's clock */
    int64_t until;            /* of the certificate, seconds since 1970 */
    int64_t renewable_until;  /* without a password */
};

/* The key that is to follow that of `path` in a renewal, and its certification request in DER. It is written
 * to `path`.next before anybody is asked to certify it, and is the same until keep_write() has put it in its
 * place: an answer that got lost can so be asked for again, which is all that the door allows with a key that
 * it has replaced (login/sessions.h). NULL with `err`. The caller owns it: fresh_key_free(). */
struct evp_pkey_st *keep_key_next(const char *path, struct buf *ret_csr, struct err *err);

/* Remove what is kept at `path`, where it is. -1 with `err`. */
int keep_remove(const char *path, struct err *err);

/* SHA-256 of its public key, "SHA256:" and base64: what an administrator compares. */
bool keep_key_text(const struct evp_pkey_st *key, struct buf *ret);

/* Write `path`, in place of what is there: 0600, atomically; a key that was to follow is gone then. Of
 * `keep`, `user` and `until` are filled in from the certificate. -1 with `err`: the chain does not begin with
 * a certificate of that key, or a text has a line end. */
int keep_write(const char *path, struct keep *keep, struct str chain_pem, const struct evp_pkey_st *key,
               struct err *err);

/* Who replaces or removes the file, or renews the login, does it under this lock, which is a file beside it
 * and is waited for: so of many processes one renews, the others find what it has got, and none brings back a
 * login that its owner has replaced or ended meanwhile. The descriptor is the lock: close(2) ends it. -1 with
 * `err`. */
int keep_lock(const char *path, struct err *err);

/* Read back what it says. 0: there is no such file; -1 with `err`. The key is not looked at. */
int keep_read(const char *path, struct keep *ret, struct err *err);

/* Append, in PEM, that certificate of a PEM text of which the SHA-256 of its DER is `fingerprint`
 * (hexadecimal, ':' between bytes or not): of the roots of a CA the one that was told. -1 with `err`: there
 * is none. */
int keep_check_fingerprint(struct str pem, const char *fingerprint, struct buf *ret, struct err *err);

#endif
