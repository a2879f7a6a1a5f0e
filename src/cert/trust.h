/* SPDX-License-Identifier: Apache-2.0 */
/* A trust bundle: certificates that we believe, CRLs, and the verdict on a peer's chain. Immutable and shared
 * by reference count; any number of threads may verify with one bundle at once. */
#ifndef CARDEA_CERT_TRUST_H
#define CARDEA_CERT_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alert.h"
#include "base/err.h"
#include "base/fault.h"

/* AWS-LC's STACK_OF(CRYPTO_BUFFER), what SSL_get0_peer_certificates() returns. */
struct stack_st_CRYPTO_BUFFER;

struct trust;

/* What to load. A `ca` of "system" stands for the distribution's own bundle. */
struct trust_files {
    const char *name; /* for error texts */
    const char *const *ca;
    size_t ca_len;
    const char *const *crl;
    size_t crl_len;
};

#define TRUST_FILE_MAX (32 * 1024 * 1024) /* bytes of one CA or CRL file */
/* Certificates that a peer may send. All cross certificates of a bridge with four houses behind it are 35
 * (RFC 4158, 2.4). */
#define TRUST_CHAIN_MAX 64

/* Read the files. Each certificate in a CA file is an anchor of its own, intermediates too; one that is not a
 * CA is trusted for itself only. CRLs are PEM (any number in a file) or DER. The caller owns one reference;
 * NULL with `err` naming the file. */
struct trust *trust_load(const struct trust_files *files, struct err *err);

/* References may be taken and given back in any thread; the last one frees. */
struct trust *trust_ref(struct trust *trust);
void trust_unref(struct trust *trust);

/* What trust_files called it. */
const char *trust_name(const struct trust *trust);

/* 0 while no CRL file has changed (device, inode, size, times) or gone since it was read; else a number for
 * how the files are now: another when they change again. Cheap (one stat a file). */
uint64_t trust_stale(const struct trust *trust);

/* A new bundle of the same anchors with the CRL files read again; the CA files are not looked at. NULL with
 * `err` when a CRL file is not good, and then the old one should go on serving (its CRLs expire by
 * themselves). */
struct trust *trust_reload(const struct trust *old, struct err *err);

struct revoked;

/* The same bundle, with what a CA has revoked by its own book (cert/revoked.h): such a certificate is
 * refused, whatever CRLs say. `revoked` (a reference is taken) may be NULL. Never NULL. */
struct trust *trust_with_revoked(struct trust *trust, struct revoked *revoked);

/* Borrowed, or NULL. */
struct revoked *trust_revoked(const struct trust *trust);

/* Of whom is everybody refused at `now` (seconds since 1970), for want of a CRL that is valid? One after the
 * other: *at begins as 0. `ret` says who and why, *ret_file which of the CRL files is meant, SIZE_MAX none.
 * False when there are no more. Told by dates and names alone: there may be others that are refused. */
bool trust_lockout(const struct trust *trust, size_t *at, int64_t now, size_t *ret_file, struct err *ret);

/* The subject names of the anchors in DER, to be sent to clients as certificate_authorities. The caller owns
 * the stack (SSL_CTX_set0_client_CAs takes it over); NULL when memory is out. */
struct stack_st_CRYPTO_BUFFER *trust_ca_names(const struct trust *trust);

/* What the peer's certificate must be good for: its extendedKeyUsage, where it has one. */
enum trust_purpose {
    TRUST_CLIENT,
    TRUST_SERVER,
};

struct trust_refusal {
    enum alert alert; /* to send to the peer */
    enum fault fault; /* for who tells people of it */
};

/* Prove a peer's chain (leaf first, the rest in any order, and whatever else came with it) at `now`, in
 * seconds since 1970: every way to an anchor is tried (cert/path.h), within bounds. `host`, when not NULL, is
 * the DNS name or IP address that the leaf's SAN must hold (RFC 9525: the CN is never looked at; a wildcard
 * is a whole left-most label). 0 when proven; -1 with the reason in `err` and what else is to be known of it
 * in `ret` (may be NULL).
 *
 * Revocation fails closed. When the bundle has CRLs, the leaf's issuer must have one that is valid now, or
 * the chain is refused; certificates further up are checked where the bundle has a CRL of their issuer's
 * name, and then one must be valid and by the issuer's key too; an issuer further up of whose name there is
 * none is not asked. Of several the newest valid one decides; whoever is listed in any other that the issuer
 * has signed is revoked all the same, unless that one is older (by thisUpdate, then CRLNumber): an expired
 * one, one not valid yet, and those not taken count here. Anchors are not looked up in CRLs: the bundle is
 * why we trust them. Not taken are delta and indirect CRLs, those for some reasons only, and those with a
 * critical extension that is not known. A revoked leaf is refused; of a revoked CA another way around it may
 * prove the leaf. Refused as well: RSA keys under 2048 bits and, below the anchor, over 8192, and signatures
 * with MD5 or SHA-1 below the anchor. */
int trust_verify(const struct trust *trust, const struct stack_st_CRYPTO_BUFFER *chain,
                 enum trust_purpose purpose, const char *host, int64_t now, struct trust_refusal *ret,
                 struct err *err);

/* The same for a server's chain in PEM, leaf first. 0; -1 with the reason in `err`. */
struct buf;
int trust_verify_pem(const struct trust *trust, const struct buf *pem, const char *host, int64_t now,
                     struct err *err);

/* Whom a client's chain in PEM, leaf first, would prove. Owned by the caller; NULL with the reason in `err`,
 * and what else is to be known of it in `ret`. */
struct identity;
struct identity *trust_identity_pem(const struct trust *trust, const struct buf *pem, int64_t now,
                                    struct trust_refusal *ret, struct err *err);

/* The second, since 1970, from which on trust_verify() finds the leaf of a chain expired: its notAfter.
 * INT64_MIN when that cannot be read. */
int64_t trust_expires(const struct stack_st_CRYPTO_BUFFER *chain);

#endif
