/* SPDX-License-Identifier: Apache-2.0 */
/* One certificate of our own: a chain, its private key, and what we need to know to choose it. */
#ifndef CARDEA_CERT_CERT_H
#define CARDEA_CERT_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/key_kind.h"
#include "base/list.h"
#include "base/str.h"

/* AWS-LC's CRYPTO_BUFFER and EVP_PKEY, so that those who only pass certificates on need not include its
 * headers. */
struct crypto_buffer_st;
struct evp_pkey_st;

struct err;

/* Kinds of key that can sign a handshake, in the order in which we prefer them (cert_key_rows in store.c says
 * why). */
enum cert_key_kind {
    CERT_KEY_P256,
    CERT_KEY_P384,
    CERT_KEY_ED25519,
    CERT_KEY_RSA,
    CERT_KEY_P521,
    CERT_KEY_MLDSA44,
    CERT_KEY_MLDSA65,
    CERT_KEY_MLDSA87,
    CERT_KEY_KINDS
};

#define CERT_SCHEMES_MAX 4

/* Immutable once loaded, but for what its CA says of it; shared by reference count between stores and
 * threads. */
struct cert {
    uint32_t magic;
    uint32_t refs; /* atomic */
    enum cert_key_kind kind;
    struct crypto_buffer_st **chain; /* leaf first, as SSL_set_chain_and_key() takes it */
    size_t chain_len;
    struct evp_pkey_st *key;
    char **names; /* lower case; "*.example.com" for a wildcard; may be empty */
    size_t names_len;
    char *label; /* what the configuration calls it; default: the path of the certificate */
    uint16_t schemes[CERT_SCHEMES_MAX]; /* of the signatures on its chain, see cert_schemes() */
    size_t schemes_len;
    const char *signature;       /* what the leaf is signed by, as OpenSSL calls it ("RSA-SHA256"); static */
    char key_text[KEY_TEXT_MAX]; /* see key_describe() */
    char proxy_text[16];         /* the same for a PROXY header, as HAProxy says it: "EC256" */
    int64_t not_before;          /* seconds since 1970; of the leaf */
    int64_t not_after;
    _Atomic(struct cert_staple *) staple; /* changes while it serves; NULL: none. See cert_staple() */
    _Atomic bool revoked;                 /* the same: as its CA has said last, where it was asked ... */
    _Atomic bool good;                    /* ... or that it is not; neither: nothing was heard */
    size_t bytes;                         /* of memory, see cert_bytes() */
};

/* An OCSP response for the leaf, for clients that ask for one (RFC 6066, 8). */
struct cert_staple {
    struct list retired; /* whoever waits until nobody reads it any more may put it on a list */
    struct crypto_buffer_st *der;
    int64_t until; /* seconds since 1970: when it is stale */
};

#define CERT_MAGIC 0xce47ce47u
#define CERT_CHAIN_MAX 16           /* certificates in one file */
#define CERT_FILE_MAX (1024 * 1024) /* bytes of one PEM file */

/* What to load. */
struct cert_files {
    const char *certificate;  /* path of the chain in PEM, leaf first */
    const char *key;          /* path of the private key in PEM, unencrypted */
    const char *label;        /* NULL: `certificate` */
    const char *const *names; /* instead of the DNS names of the leaf's SAN; NULL and 0: those */
    size_t names_len;
};

/* Read and check a chain with its key. Refused: a key file that other users may read or write, a key that is
 * not the leaf's, a chain whose certificates do not each certify the one before, a key kind that cannot sign
 * for TLS. An expired certificate is taken: see cert_warning(). The caller owns one reference; NULL with
 * `err`, which names the file and says what to do. */
struct cert *cert_load(const struct cert_files *files, struct err *err);

/* The same from memory: a chain in PEM, leaf first, and its key, of which a reference is taken. */
struct cert *cert_from(struct str chain, struct evp_pkey_st *key, const char *label, struct err *err);

/* References may be taken and given back in any thread; the last one frees. */
struct cert *cert_ref(struct cert *cert);
void cert_unref(struct cert *cert);

/* Has the caller the only reference? Then it stays so, for nobody else can take another. */
bool cert_is_unshared(const struct cert *cert);

/* An OCSP response in DER (RFC 6960, 4.2.1), which is not looked into. NULL: memory. */
struct cert_staple *cert_staple_new(const void *der, size_t len, int64_t until);
/* NULL is allowed. */
void cert_staple_free(struct cert_staple *staple);

/* From now on the certificate is served with that staple, which it owns then; NULL: with none. Returns the
 * one before, or NULL: other threads may still read it, each until it has gone back to its loop once. One
 * thread at a time may set it. */
struct cert_staple *cert_set_staple(struct cert *cert, struct cert_staple *staple);

/* What it is served with, stale or not; NULL: nothing. Borrowed until the thread goes back to its loop. Never
 * waits. */
const struct cert_staple *cert_staple(const struct cert *cert);

/* Its leaf in DER; borrowed. */
struct str cert_leaf_der(const struct cert *cert);

/* The i-th certificate of its chain in DER (leaf: 0); borrowed; empty behind the end. */
struct str cert_chain_der(const struct cert *cert, size_t i);

/* About how much memory it takes, with what it may share with others. */
size_t cert_bytes(const struct cert *cert);

/* A secret that whoever has the private key can make again, and nobody else: HKDF (RFC 5869) of the key with
 * `label` as info. False when the key cannot be read out. */
bool cert_secret(const struct cert *cert, const char *label, uint8_t ret[32]);

/* Is the certificate for this host, by its exact name or by a wildcard for its first label (RFC 9525, 6.3)?
 * `host` is in lower case. */
bool cert_is_for(const struct cert *cert, const char *host);

/* Does it have this very name, wildcards too? */
bool cert_has_name(const struct cert *cert, const char *name);

/* Is something wrong with the certificate at `now` (seconds since 1970)? True, with the text, when it has
 * expired, is not valid yet, or has no names to be chosen by. For the log and for `--check`. */
bool cert_warning(const struct cert *cert, int64_t now, struct err *ret_text);

/* Is this a DNS name as certificates may hold it: what hostname_check() takes, perhaps with "*." in front?
 * One that ends in a number is let be: no client asks for it, and a certificate may list more than is asked
 * for. */
bool cert_dns_name_ok(const char *p, size_t len);

#endif
