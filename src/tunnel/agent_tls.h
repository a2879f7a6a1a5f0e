/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own end of the TLS of visitors, for an offer end-to-end: its certificate, and who may visit. */
#ifndef CARDEA_TUNNEL_AGENT_TLS_H
#define CARDEA_TUNNEL_AGENT_TLS_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct agent_tls;
struct identity;
struct link;
struct tls_scratch;

/* Paths of PEM files; the texts are needed during agent_tls_new() only. */
struct agent_tls_files {
    const char *cert; /* the chain that visitors see, and its key */
    const char *key;
    const char *clients;      /* who may vouch for visitors, who must then show a certificate; NULL: anyone
                                 may visit */
    const char *const *allow; /* patterns, see agent_tls_allows(); none: whoever `clients` vouches for */
    size_t allow_len;
};

/* NULL with `err`, which names the file or pattern. */
struct agent_tls *agent_tls_new(const struct agent_tls_files *files, struct err *err);

/* After its last link. NULL is allowed. */
void agent_tls_free(struct agent_tls *t);

/* End a visitor's TLS on top of `lower` (taken over); `early`, borrowed until the first link_open() has
 * returned, was read from it already. Never NULL. */
struct link *agent_tls_accept(const struct agent_tls *t, struct link *lower, struct str early,
                              struct tls_scratch *scratch);

/* May the proven visitor (NULL: who proved nothing) come in? A pattern is KIND=TEXT with the kinds of a
 * policy row's `who` (name, dns, uri, email, issuer, group), or TEXT alone for a name; `*` is any text. One
 * of them has to match. */
bool agent_tls_allows(const struct agent_tls *t, const struct identity *visitor);

#endif
