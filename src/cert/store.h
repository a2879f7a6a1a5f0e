/* SPDX-License-Identifier: Apache-2.0 */
/* Our certificates, and which of them to show to a client. Immutable once built: any thread may look up in
 * it. */
#ifndef CARDEA_CERT_STORE_H
#define CARDEA_CERT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "cert/cert.h"

struct cert_store;

/* A store of the given certificates, in the order of the configuration; it takes a reference of its own to
 * each. The first one is what clients get that name nothing we know. NULL with `err` when `count` is 0 or
 * memory is out. */
struct cert_store *cert_store_build(struct cert *const *certs, size_t count, struct err *err);

/* One reference more, from any thread. */
struct cert_store *cert_store_ref(struct cert_store *store);

/* Give back a reference; the last one frees. NULL is allowed. */
void cert_store_free(struct cert_store *store);

/* The certificates in the order they were given. */
size_t cert_store_count(const struct cert_store *store);
const struct cert *cert_store_at(const struct cert_store *store, size_t i);

/* What the client said that bears on the choice. */
struct cert_query {
    struct str sni;          /* len 0: none was sent. Case does not matter */
    uint16_t version;        /* what will be negotiated: 0x0303 (TLS 1.2) or 0x0304 (TLS 1.3) */
    const uint16_t *sigalgs; /* signature_algorithms as sent (RFC 8446, 4.2.3), host order */
    size_t sigalgs_len;
    const uint16_t *sigalgs_cert; /* signature_algorithms_cert likewise; none: `sigalgs` hold for certificates
                                   * too */
    size_t sigalgs_cert_len;
    const uint16_t *ciphers; /* cipher_suites as sent; looked at for TLS 1.2 only. NULL: unknown, any kind of
                              * key is taken to be usable */
    size_t ciphers_len;
};

/* The certificate for this client: of those with the exact name, then of those with a wildcard for it (one
 * left-most label, RFC 9525, 6.3), the one whose kind of key comes first in our preference and that the
 * client can verify; if it can, with the signatures on its chain. ML-DSA comes before the others for who
 * lists a scheme of it first. For a name we do not know, or none, the same among all that share the first
 * certificate's first name. When the client can verify none, the most preferred of the best name is returned
 * and the handshake fails with the right alert. Never NULL. Borrowed from the store. */
const struct cert *cert_select(const struct cert_store *store, const struct cert_query *query);

/* The same for the exact name only; NULL where no certificate has it. */
const struct cert *cert_select_exact(const struct cert_store *store, const struct cert_query *query);

/* With which kinds of key can the client verify who we are? A bit for each, from enum cert_key_kind. */
unsigned cert_kinds_verified(const struct cert_query *query);

/* The signature algorithms by which a client says that it can verify that kind of key, and no more than it
 * has to say for that. Returns how many. */
#define CERT_KIND_SIGALGS_MAX 9
size_t cert_kind_sigalgs(enum cert_key_kind kind, uint16_t ret[CERT_KIND_SIGALGS_MAX]);

/* "P-256", "RSA", "Ed25519", "ML-DSA-44". */
const char *cert_kind_word(enum cert_key_kind kind);

/* Append the words for these bits, apart by ','. False when memory is out. */
struct buf;
bool cert_put_kinds(struct buf *out, unsigned kinds);

/* Of `count` certificates (at least one) for the same name, most preferred first, the one that this client
 * gets. Never NULL. */
struct cert *cert_pick(struct cert *const *certs, size_t count, const struct cert_query *query);

#endif
