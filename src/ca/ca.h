/* SPDX-License-Identifier: Apache-2.0 */
/* A private certificate authority: makes roots, intermediates, server and client certificates, and CRLs. */
#ifndef CARDEA_CA_CA_H
#define CARDEA_CA_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/key_kind.h"

/* AWS-LC's X509 and EVP_PKEY. */
struct x509_st;
struct evp_pkey_st;

/* A certificate with its private key, and the intermediates above it. Of a root, an intermediate or a leaf
 * alike. */
struct ca;

enum ca_profile {
    CA_PROFILE_SERVER,       /* digitalSignature, serverAuth */
    CA_PROFILE_CLIENT,       /* digitalSignature, clientAuth */
    CA_PROFILE_INTERMEDIATE, /* a CA that may issue leaves only (pathlen 0) */
    CA_PROFILE_AGENT, /* digitalSignature, clientAuth and serverAuth: a door's agent, who ends TLS end-to-end
                         too */
    CA_PROFILES
};

/* What to put into a certificate. Zero-initialise and fill in what matters. */
struct ca_request {
    const char *name; /* CN of the subject; NULL: none (then a SAN is needed, and becomes critical) */
    /* Subject alternative names: an IP address, something with "://" (URI), with "@" (email), else a DNS
     * name, perhaps with "*." in front. */
    const char *const *sans;
    size_t sans_len;
    const char *const *groups; /* an OU each */
    size_t groups_len;
    enum key_kind key;
    /* Of an intermediate: what it may issue for, see authority.h. */
    const char *const *permitted;
    size_t permitted_len;
    const char
        *url; /* of a leaf: where its issuer's CRL, OCSP and certificate are, see CA_URL_CRL; or NULL */
    const char *url_suffix; /* of its issuer's names there: "-2" for crl-2.der; NULL or "": none */
    bool must_staple;       /* of a server: clients are to demand an OCSP staple (RFC 7633) */
    int64_t now;            /* seconds since 1970; 0: what the clock says */
    int64_t not_before;     /* seconds since 1970; 0: five minutes ago, for clocks that are behind */
    int64_t lifetime;       /* seconds from now (or from not_before when that is given); must be > 0 */
};

/* What stands behind request->url and a '/'; behind CRL and ISSUER the suffix and CA_URL_DER. */
#define CA_URL_CRL "crl"
#define CA_URL_OCSP "ocsp"
#define CA_URL_ISSUER "intermediate"
#define CA_URL_DER ".der"

/* Make a self-signed root (any depth below it). The caller owns the result; NULL with `err`. */
struct ca *ca_create_root(const struct ca_request *request, struct err *err);

/* Make a key and a certificate for it signed by `issuer`, which must be a root or an intermediate that is
 * allowed to. The new certificate never outlives its issuer: its end is cut to the issuer's. The caller owns
 * the result. */
struct ca *ca_issue(const struct ca *issuer, enum ca_profile profile, const struct ca_request *request,
                    struct err *err);

/* Read one back from PEM files. The key file must not be open to other users. */
struct ca *ca_load(const char *cert_path, const char *key_path, struct err *err);

void ca_free(struct ca *ca);

/* Write the key (mode 0600), then the chain without the root (mode 0644), each atomically. Neither file may
 * exist yet: no key is ever overwritten, and no certificate is parted from its key. A root writes itself. */
int ca_save(const struct ca *ca, const char *cert_path, const char *key_path, struct err *err);

/* Append what ca_save() writes into the certificate file. False when memory is out. */
bool ca_chain_pem(const struct ca *ca, struct buf *ret);

#define CA_SERIAL_MAX 20 /* bytes, RFC 5280, 4.1.2.2 */

struct ca_serial {
    uint8_t bytes[CA_SERIAL_MAX]; /* big-endian */
    size_t len;
};

/* The serial number of a certificate. */
struct ca_serial ca_serial(const struct ca *ca);

/* What a CRL says of one certificate. */
struct ca_revoked {
    struct ca_serial serial;
    int64_t at; /* seconds since 1970 */
    int reason; /* RFC 5280, 5.3.1; 0 is left out */
};

/* Append, in DER, a CRL of `issuer`, made at `now` (seconds since 1970) and valid for `lifetime` seconds;
 * `number` is its CRL number, which should grow. -1 with `err`. */
int ca_make_crl(const struct ca *issuer, const struct ca_revoked *revoked, size_t count, uint64_t number,
                int64_t now, int64_t lifetime, struct buf *ret, struct err *err);

/* Append DER in PEM, as a block of that type ("X509 CRL", "CERTIFICATE"). False when memory is out. */
bool ca_put_pem(struct buf *ret, const char *type, const void *der, size_t len);

/* Borrowed views, for those who need the library's own objects; they live as long as the CA. */
struct x509_st *ca_x509(const struct ca *ca);
struct evp_pkey_st *ca_private_key(const struct ca *ca);

#endif
