/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own end of the TLS of visitors, for an offer end-to-end: its certificate, and who may visit. */
#ifndef CARDEA_TUNNEL_AGENT_TLS_H
#define CARDEA_TUNNEL_AGENT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/tls_group.h"

struct agent_tls;
struct cert;
struct identity;
struct link;
struct tls_scratch;

/* Paths of PEM files; the texts are needed during agent_tls_new() only. */
struct agent_tls_files {
    const char *cert; /* the chain that visitors see, and its key; both NULL: there is none yet */
    const char *key;
    const char *clients;      /* who may vouch for visitors, who must then show a certificate; NULL: anyone
                                 may visit */
    const char *const *allow; /* patterns, see agent_tls_allows(); none: whoever `clients` vouches for */
    size_t allow_len;
    enum tls_pq pq; /* with visitors */
};

/* NULL with `err`, which names the file or pattern. The caller owns one reference. */
struct agent_tls *agent_tls_new(const struct agent_tls_files *files, struct err *err);

/* The same visitors, who see that certificate (a reference is taken). NULL with `err`. */
struct agent_tls *agent_tls_with(const struct agent_tls *like, struct cert *cert, struct err *err);

/* Has it no certificate? Then it ends no visitor's TLS. */
bool agent_tls_is_bare(const struct agent_tls *t);

/* Of one thread only. Who has links keeps a reference as long as they live. NULL is allowed. */
struct agent_tls *agent_tls_ref(struct agent_tls *t);
void agent_tls_unref(struct agent_tls *t);

/* Will visitors who ask for `name` refuse the certificate, at `now` (seconds since 1970)? True, with the
 * text, when it is for other names, has expired, or is not valid yet. */
bool agent_tls_warning(const struct agent_tls *t, const char *name, int64_t now, struct err *ret_text);

/* End a visitor's TLS on top of `lower` (taken over); `early`, borrowed until the first link_open() has
 * returned, was read from it already. Never NULL. */
struct link *agent_tls_accept(const struct agent_tls *t, struct link *lower, struct str early,
                              struct tls_scratch *scratch);

/* May the proven visitor (NULL: who proved nothing) come in? A pattern is KIND=TEXT with the kinds of a
 * policy row's `who` (name, dns, uri, email, issuer, group), or TEXT alone for a name; `*` is any text. One
 * of them has to match. */
bool agent_tls_allows(const struct agent_tls *t, const struct identity *visitor);

#endif
