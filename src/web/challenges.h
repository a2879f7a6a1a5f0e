/* SPDX-License-Identifier: Apache-2.0 */
/* The challenges that the door itself holds for names that it obtains certificates for: by http-01 (RFC 8555,
 * 8.3) the answer to a token, by tls-alpn-01 (RFC 8737) a certificate. Put and dropped by whoever talks to
 * the CA, looked up by workers; from any thread. While there is none, which is nearly always, a look-up is
 * one atomic read; else it takes a lock, for the time of a comparison of names. */
#ifndef CARDEA_WEB_CHALLENGES_H
#define CARDEA_WEB_CHALLENGES_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"
#include "web/service.h"

#define CHALLENGES_MAX 4096 /* at once */
#define CHALLENGES_ALPN "acme-tls/1"

struct cert;
struct challenges;

struct challenges *challenges_new(void);
void challenges_free(struct challenges *c);

/* Answer that token with that text until it is dropped; a token that is there is answered so from now on. The
 * texts are copied. False, and nothing changed, when there are CHALLENGES_MAX. */
bool challenges_put(struct challenges *c, const char *name, const char *token, const char *answer);

/* Show that certificate to who comes with the protocol acme-tls/1 and that server name, in lower case (of an
 * address its name under in-addr.arpa or ip6.arpa: RFC 8738, 6). A reference is taken. As above. */
bool challenges_put_cert(struct challenges *c, const char *name, struct cert *cert);

/* Forget a token of the name, or, with NULL, its certificate. One that is not there is no mistake. */
void challenges_drop(struct challenges *c, const char *name, const char *token);

/* The certificate to show, as a reference for the caller, or NULL. */
struct cert *challenges_cert(struct challenges *c, struct str name);

/* Append the answer to a token; false: there is none. */
bool challenges_answer(struct challenges *c, struct str token, struct buf *out);

/* `serve: challenges`: answers tokens of this table. */
struct web_service challenges_service(struct challenges *c);

#endif
