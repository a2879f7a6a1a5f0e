/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/issuers.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/pool.h>

#include "base/check.h"
#include "cert/cert.h"

/* So many are looked through for each that is loaded, which takes a thousand times as long. */
#define ISSUERS 64

struct cert_issuers {
    CRYPTO_BUFFER *v[ISSUERS];
    size_t next; /* whose place is taken by another */
};

struct cert_issuers *cert_issuers_new(void)
{
    struct cert_issuers *issuers = calloc(1, sizeof(*issuers));
    CHECK(issuers != NULL);
    return issuers;
}

void cert_issuers_free(struct cert_issuers *issuers)
{
    if (issuers == NULL)
        return;
    for (size_t i = 0; i < ISSUERS; i++)
        CRYPTO_BUFFER_free(issuers->v[i]);
    free(issuers);
}

static bool same(const CRYPTO_BUFFER *a, const CRYPTO_BUFFER *b)
{
    return CRYPTO_BUFFER_len(a) == CRYPTO_BUFFER_len(b) &&
           memcmp(CRYPTO_BUFFER_data(a), CRYPTO_BUFFER_data(b), CRYPTO_BUFFER_len(a)) == 0;
}

static CRYPTO_BUFFER *find(const struct cert_issuers *issuers, const CRYPTO_BUFFER *one)
{
    for (size_t i = 0; i < ISSUERS && issuers->v[i] != NULL; i++)
        if (same(issuers->v[i], one))
            return issuers->v[i];
    return NULL;
}

void cert_issuers_share(struct cert_issuers *issuers, struct cert *cert)
{
    CHECK_MAGIC(cert, CERT_MAGIC);
    for (size_t i = 1; i < cert->chain_len; i++) {
        CRYPTO_BUFFER *known = find(issuers, cert->chain[i]);
        if (known != NULL) {
            CRYPTO_BUFFER_up_ref(known);
            CRYPTO_BUFFER_free(cert->chain[i]);
            cert->chain[i] = known;
            continue;
        }
        CRYPTO_BUFFER_free(issuers->v[issuers->next]);
        CRYPTO_BUFFER_up_ref(cert->chain[i]);
        issuers->v[issuers->next] = cert->chain[i];
        issuers->next = (issuers->next + 1) % ISSUERS;
    }
}
