/* SPDX-License-Identifier: Apache-2.0 */
/* What a server has shown beside the leaf's own words (cert/facts.h): its chain, a staple, timestamps. For
 * people who look at it; nothing may be decided by it. */
#ifndef CARDEA_CERT_SHOWN_H
#define CARDEA_CERT_SHOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "cert/issued.h"

struct stack_st_CRYPTO_BUFFER;

enum shown_staple {
    STAPLE_NONE,
    STAPLE_GOOD,    /* proven and current: not revoked */
    STAPLE_REVOKED, /* proven and current: revoked */
    STAPLE_BAD,     /* it proves nothing: `staple_text` says why */
};

/* "none", "good", "revoked" or "bad". Static. */
const char *shown_staple_word(enum shown_staple staple);

struct cert_shown {
    size_t bytes;             /* of all certificates in DER */
    struct buf pem;           /* all of them, the leaf first */
    struct issued leaf;       /* zeroed where it cannot be read */
    enum shown_staple staple; /* OCSP (RFC 6066, 8) */
    struct err staple_text;
    int64_t staple_ends; /* nextUpdate, seconds since 1970; 0: not known */
    size_t timestamps_embedded, timestamps_sent, timestamps_stapled;
};

/* Read a chain, and the OCSP response and the timestamps that came with it (empty: none), at `now` in seconds
 * since 1970. `ret` is to be given to cert_shown_free(). */
void cert_shown_read(const struct stack_st_CRYPTO_BUFFER *chain, struct str staple, struct str timestamps,
                     int64_t now, struct cert_shown *ret);

/* One that is zeroed is allowed. */
void cert_shown_free(struct cert_shown *shown);

#endif
