/* SPDX-License-Identifier: Apache-2.0 */
/* Whom settings say to ask by DNS over HTTPS (RFC 8484): a resolver, by itself or through a proxy that hides
 * from it who asks (Oblivious DoH, RFC 9230). Pure. */
#ifndef CARDEA_BASE_DOH_H
#define CARDEA_BASE_DOH_H

#include <stdbool.h>

struct buf;
struct err;

struct doh_resolver {
    const char *url;   /* https:, where it answers; NULL: there is none */
    const char *ca;    /* a PEM file: who may vouch for the server that is connected to; NULL: the system's */
    const char *proxy; /* https:, connected to in its place; see doh_put_proxy_url(). NULL: none */
    const char *configs; /* with `proxy`: a file with the resolver's ObliviousDoHConfigs (RFC 9230, 5) */
};

/* What of it a setting says. */
enum doh_part { DOH_URL, DOH_PROXY, DOH_CONFIGS };

/* Can it be asked? Nothing is read or connected to. -1 with `err`, to read on from the name of the setting
 * for *ret_part. */
int doh_check(const struct doh_resolver *r, enum doh_part *ret_part, struct err *err);

/* Append the URL at which the proxy passes on to the resolver (RFC 9230, 4.1): `proxy` as a URI template (RFC
 * 6570) of the variables targethost and targetpath; without any they come as its query. -1 with `err` where
 * doh_check() finds fault with it. */
int doh_put_proxy_url(const struct doh_resolver *r, struct buf *ret, struct err *err);

/* Do both say the same? */
bool doh_same(const struct doh_resolver *a, const struct doh_resolver *b);

/* A copy that owns its texts, for doh_free(). */
struct doh_resolver doh_copy(const struct doh_resolver *r);
void doh_free(struct doh_resolver *r);

#endif
