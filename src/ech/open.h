/* SPDX-License-Identifier: Apache-2.0 */
/* Opens an encrypted ClientHello, as a client-facing server does (RFC 9849, 7.1). Who answers it is another's
 * business, in this process or at a backend: whoever gets the inner hello is its "backend server" and proves
 * by its ServerHello that ECH was accepted (7.2). */
#ifndef CARDEA_ECH_OPEN_H
#define CARDEA_ECH_OPEN_H

#include "base/alert.h"
#include "base/buf.h"
#include "ech/keys.h"
#include "hello/hello.h"

/* With the first three the outer hello counts. Whoever encrypts puts the public name of the config into the
 * outer hello (RFC 9849, 6.1); GREASE has the name that is wanted there (6.2). */
enum ech_result {
    ECH_NONE,     /* there is none in it */
    ECH_NOT_OURS, /* for no key of ours, and in another name than their public one: GREASE, or for others */
    ECH_REFUSED,  /* for no key of ours, but in their public name: by a config of before */
    ECH_OPENED,
    ECH_BAD, /* the connection must end */
};

/* As audit lines have it; NULL: they have nothing. Static. */
const char *ech_result_word(enum ech_result result);

/* What is kept until the connection can have no second hello. */
struct ech_opening;

struct ech_opened {
    struct buf inner; /* ECH_OPENED: the ClientHelloInner, a handshake message; the caller's to free */
    struct ech_opening *opening; /* ECH_OPENED: for the second hello; ech_opening_free() */
    const char *why;             /* ECH_BAD: what the peer sent; static text */
    enum alert alert;            /* ECH_BAD: what the peer is told */
};

/* A ClientHello that is as it must be (hello_parse()), with ECH or without. */
enum ech_result ech_open(const struct ech_keys *keys, const struct hello *outer, struct ech_opened *ret);

/* The hello that answers a HelloRetryRequest to one that was opened (7.1.1): ECH_OPENED with `inner`, or
 * ECH_BAD. Once for each opening. */
enum ech_result ech_open_second(struct ech_opening *opening, const uint8_t *message, size_t len,
                                struct ech_opened *ret);

/* NULL is allowed. */
void ech_opening_free(struct ech_opening *opening);

#endif
