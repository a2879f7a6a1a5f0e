/* SPDX-License-Identifier: Apache-2.0 */
/* Many certificates have the same few certificates above them: these are kept in memory once. */
#ifndef CARDEA_CERT_ISSUERS_H
#define CARDEA_CERT_ISSUERS_H

struct cert;
struct cert_issuers;

/* Never NULL. One thread only. */
struct cert_issuers *cert_issuers_new(void);

/* What is in use goes on without it. NULL is allowed. */
void cert_issuers_free(struct cert_issuers *issuers);

/* Let a certificate that was just loaded, and that nobody else has, share what is above its leaf. */
void cert_issuers_share(struct cert_issuers *issuers, struct cert *cert);

#endif
