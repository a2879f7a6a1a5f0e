/* SPDX-License-Identifier: Apache-2.0 */
/* What a client offers of Encrypted ClientHello to a server, and what comes of it (RFC 9849, 6). */
#ifndef CARDEA_ECH_OFFER_H
#define CARDEA_ECH_OFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/ech_setting.h"
#include "base/err.h"
#include "base/str.h"

struct ech_source;
struct ssl_st;

/* Read an ECHConfigList as it comes in files: in PEM (RFC 9934; a private key beside it is left alone), in
 * HTTPS records as a zone file has them (RFC 9460, 2.1), in the base64 of such a record alone, or as it is.
 * At least one config must be for us. *ret must be empty; the caller's to free. -1 with `err`, to read on
 * from the file's name. */
int ech_list_read(const struct buf *text, struct buf *ret, struct err *err);

/* Is it such a list? */
bool ech_list_is_for_us(const uint8_t *data, size_t len);

/* The public name of the config that is used of such a list: the first that is for us. Within `data`; empty:
 * there is none. */
struct str ech_list_public_name(const uint8_t *data, size_t len);

/* What is wanted, read only: many connections may share it. */
struct ech_offer {
    bool off;                  /* not even GREASE */
    bool required;             /* no connection without it */
    struct buf configs;        /* an ECHConfigList; empty: GREASE, or what `source` says */
    struct ech_source *source; /* a reference; NULL: none */
};

/* What a setting wants; its file is read. *ret is for ech_offer_free(). -1 with `err`, which names the file.
 * `source` is where ECH_WISH_AUTO has its configs from (else NULL): a reference is taken. */
int ech_offer_load(const struct ech_setting *setting, struct ech_source *source, struct ech_offer *ret,
                   struct err *err);
void ech_offer_free(struct ech_offer *offer);

enum ech_stage {
    ECH_FIRST,   /* by the offer */
    ECH_ANEW,    /* by what the server has told when it could not decrypt the first one */
    ECH_WITHOUT, /* the server has proven that it decrypts none */
    ECH_FAILED,  /* that is the end: `why` */
};

/* One connection as its owner sees it: it may take two of the network's. What a server tells is for the
 * second and for no other (6.1.6), else it could know us again by it. */
struct ech_attempt {
    const struct ech_offer *offer; /* borrowed */
    enum ech_stage stage;
    bool again;         /* a second one is due */
    struct buf configs; /* what is offered; empty: GREASE */
    const char *why;    /* ECH_FAILED: static text */
};

/* Begin a connection anew; what was begun before is over. A zeroed attempt is one with GREASE. False where
 * none may be made: there must be a config, and there is none (`why`; ech_offer_is_unknown()). */
bool ech_attempt_begin(struct ech_attempt *a, const struct ech_offer *offer);

/* Is there no config to be had of it now, since nobody could tell (true), or since there is none?
 * Why, for people. */
bool ech_offer_is_unknown(const struct ech_offer *offer, struct err *ret_why);

/* Let go of what it has. */
void ech_attempt_end(struct ech_attempt *a);

/* Give a connection of the TLS library what it is to offer. NULL: GREASE. */
void ech_attempt_put(const struct ech_attempt *a, struct ssl_st *ssl);

/* Is that a real one? Then a handshake in which it was not taken must not be believed. */
bool ech_attempt_encrypts(const struct ech_attempt *a);

/* The server has refused it, and proven the public name; `configs` is what it told then (retry_configs), of
 * no length where it has told nothing. */
void ech_attempt_refused(struct ech_attempt *a, const uint8_t *configs, size_t len);

/* Connect once more, and offer what `a` says now? True once for each refusal. */
bool ech_attempt_again(struct ech_attempt *a);

/* What went otherwise than by the offer, for people, where the connection was made all the same; NULL: all
 * went well. Static text, to read on from the server's name. */
const char *ech_attempt_remark(const struct ech_attempt *a);

/* The name that a server which has refused ECH has to prove on this connection, of no length where it has not
 * (6.1.7). Lives as long as the connection. */
struct str ech_attempt_public_name(const struct ssl_st *ssl);

#endif
