/* SPDX-License-Identifier: Apache-2.0 */
/* A client of HTTP/1.1 as a link on top of another: what is read are its requests, each with what the backend
 * is told of the client; what is written are the answers, which go through as they are. A request that could
 * be read in two ways is refused: the client is answered once all before it are, and the link breaks. After
 * an upgrade that the backend agrees to, bytes go both ways untouched. */
#ifndef CARDEA_HTTP1_HTTP1_LINK_H
#define CARDEA_HTTP1_HTTP1_LINK_H

#include "base/str.h"
#include "http1/rewrite.h"
#include "link/link.h"

/* On top of `lower` (taken). `early` has been read from it already and is copied. `tell` is asked for each
 * request, with `arg`, which must live as long as the link. Never NULL. Its link_peer() is that of `lower`,
 * with `misspoke` where a request was refused; link_error() then says why. */
struct link *http1_link_new(struct link *lower, struct str early, rewrite_tell_fn *tell, void *arg);

#endif
