/* SPDX-License-Identifier: Apache-2.0 */
/* Oblivious DNS over HTTPS (RFC 9230): a question is sealed for the resolver, so that the proxy which passes
 * it on does not learn what is asked, and the resolver not who asks. The messages, without sockets. */
#ifndef CARDEA_DNS_OBLIVIOUS_H
#define CARDEA_DNS_OBLIVIOUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/str.h"

#define DNS_OBLIVIOUS_TYPE "application/oblivious-dns-message"
#define DNS_OBLIVIOUS_SECRET_MAX 32

/* A resolver's key (ObliviousDoHConfigContents, 5), of an algorithm that is known here. The cursors point
 * into the bytes that were read. */
struct dns_oblivious_key {
    struct cursor whole;
    uint16_t aead; /* HPKE's number of it */
    struct cursor public_key;
};

/* Choose among ObliviousDoHConfigs: the first that can be used here. -1 with `err`, to read on from where the
 * bytes are from. */
int dns_oblivious_choose(struct str configs, struct dns_oblivious_key *ret, struct err *err);

/* What opens the answer to one question, and no other: a secret. */
struct dns_oblivious_opener {
    uint16_t aead;
    uint8_t secret[DNS_OBLIVIOUS_SECRET_MAX]; /* as long as the AEAD's key */
    struct buf question;                      /* ObliviousDoHQuery, as it was sealed */
};

/* Seal a DNS message, padded to whole blocks of 128 bytes (RFC 8467, 4.1), and append what is sent
 * (ObliviousDoHMessage, 6.1). *ret is for dns_oblivious_forget(), also after -1 with `err`, to read on from
 * the key's place: nothing can be sealed with it, or not that much. */
int dns_oblivious_seal(const struct dns_oblivious_key *key, struct str message, struct buf *sealed,
                       struct dns_oblivious_opener *ret, struct err *err);

/* Open an answer, and append the DNS message in it. -1 with `err` where it is none to this question. */
int dns_oblivious_open(const struct dns_oblivious_opener *opener, struct str sealed, struct buf *ret,
                       struct err *err);

/* The question is over: overwrite the secret, and free. */
void dns_oblivious_forget(struct dns_oblivious_opener *opener);

/* Private to dns/: the DNS message within ObliviousDoHMessagePlaintext, borrowed from it. False where it is
 * none, or the padding is not of zeros. */
bool dns_oblivious_unpad(struct str plain, struct str *ret);

#endif
