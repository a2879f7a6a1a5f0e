/* SPDX-License-Identifier: Apache-2.0 */
/* Staples for certificates that come in files: it asks their CAs' OCSP responders ahead of time, and keeps
 * what they have said in a folder, for the next start. (Those that are obtained have theirs in the book.)
 * Whether they are revoked it says in the certificate itself.
 * Belongs to the keeper's thread. */
#ifndef CARDEA_KEEPER_STAPLER_H
#define CARDEA_KEEPER_STAPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "keeper/listing.h"

struct asker;
struct cert;
struct cert_staple;
struct loop;
struct stapler;

struct stapler_owner {
    struct loop *loop;
    struct asker *asker;
    void (*notice)(void *arg, const struct err *text);
    void (*retired)(void *arg, struct cert_staple *staple); /* see cert_set_staple(); never NULL */
    void *arg;
};

/* Never NULL. */
struct stapler *stapler_new(const struct stapler_owner *owner);

/* Before the asker goes. NULL is allowed. */
void stapler_free(struct stapler *s);

/* At most `check_every` seconds between looks, and `most` certificates at once: more are served without a
 * staple; what is said is kept in the folder `kept` (copied), which is made when it is needed; NULL: it is
 * not kept. */
void stapler_set(struct stapler *s, int64_t check_every, size_t most, const char *kept);

/* What was heard last of a certificate, this one or another copy of it. */
enum listing_revoked stapler_heard(const struct stapler *s, const struct cert *cert);

/* See that this certificate has a staple as long as anybody else has a reference to it. One that names no
 * responder is passed over, or, `by_crl`, looked up in the CRL that it names; so is one whose chain ends
 * before its issuer. */
void stapler_add(struct stapler *s, struct cert *cert, bool by_crl);

#endif
