/* SPDX-License-Identifier: Apache-2.0 */
/* TLS as a link on top of another link. Many records are read with one call of the lower link and many are
 * written with one; between calls an idle connection holds no buffer of ours. */
#ifndef CARDEA_TLS_TLS_LINK_H
#define CARDEA_TLS_TLS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "cert/identity.h"
#include "link/link.h"

/* Space that all TLS links of a thread use by turns. Nothing stays in it between calls. */
struct tls_scratch {
    uint8_t *in; /* ciphertext as read from the lower link */
    size_t in_size;
    uint8_t *out; /* records sealed in this call, to be sent at its end */
    size_t out_size;
    size_t out_len;
};

/* Longer than a burst of four full records and their overhead. */
#define TLS_SCRATCH_SIZE (96 * 1024)

void tls_scratch_init(struct tls_scratch *s);
void tls_scratch_free(struct tls_scratch *s);

/* What was negotiated and proven; for the audit line, policy and routing. Valid once the link is open. */
struct tls_facts {
    uint16_t version;       /* 0x0304 */
    uint16_t group;         /* IANA codepoint, 0 when none was used */
    const char *group_name; /* static */
    const char *cipher;     /* IANA name, static */
    bool resumed;
    bool truncated;                  /* the peer ended without close_notify */
    struct str alpn;                 /* lives as long as the link */
    const struct identity *identity; /* of the peer; NULL when it showed no certificate */
};

/* Facts of a TLS link; false (and *ret zeroed) when `l` is not one. */
bool tls_link_facts(const struct link *l, struct tls_facts *ret);

/* Why verification or the handshake failed, in full; "" when it did not. */
const char *tls_link_failure(const struct link *l);

/* Send a fatal alert (RFC 8446, 6.2) on an open TLS link; nothing can be written afterwards. Nothing on other
 * links. */
void tls_link_alert(struct link *l, uint8_t alert);

/* True when the failure was the peer's lack of a certificate that we demand. */
bool tls_link_no_certificate(const struct link *l);

/* The link below, for what TLS does not know (an errno). */
struct link *tls_link_lower(struct link *l);

#endif
