/* SPDX-License-Identifier: Apache-2.0 */
/* A private CA (ca/authority.h) as what an ACME server issues by. */
#ifndef CARDEA_ACME_ISSUER_H
#define CARDEA_ACME_ISSUER_H

#include "acme/acme_server.h"

struct authority;

/* Of an authority that is unlocked, on the thread that it belongs to. */
struct acme_issuer acme_issuer_of(struct authority *a);

#endif
