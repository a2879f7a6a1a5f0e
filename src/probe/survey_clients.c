/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/check.h"
#include "cert/trust.h"
#include "probe/survey_internal.h"
#include "tls/client.h"

struct survey_clients {
    struct tls_client *client[SURVEY_CLIENTS];
    struct trust *trust;
};

/* IANA, TLS SignatureScheme. RSA signs with PSS in TLS 1.3, and certificates with PKCS #1, too. */
static const uint16_t rsa[] = {0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601};
static const uint16_t ecdsa[] = {0x0403, 0x0503, 0x0603};
static const uint16_t eddsa[] = {0x0807};
static const uint16_t mldsa[] = {0x0904, 0x0905, 0x0906};

#define SCHEMES(list) .verifies = (list), .verifies_len = ARRAY_LEN(list)
#define PROTOCOL(name) .alpn = (const char *const[]){name}, .alpn_len = 1
#define BOTH .min_version = 0x0303, .max_version = 0x0304

static const struct tls_client_params kinds[SURVEY_CLIENTS] = {
    [CLIENT_RSA] = {BOTH, SCHEMES(rsa)},
    [CLIENT_ECDSA] = {BOTH, SCHEMES(ecdsa)},
    [CLIENT_EDDSA] = {BOTH, SCHEMES(eddsa)},
    [CLIENT_MLDSA] = {BOTH, SCHEMES(mldsa)},
    [CLIENT_TLS_1_2] = {.min_version = 0x0303, .max_version = 0x0303, .resumes = true},
    [CLIENT_TLS_1_3] = {.min_version = 0x0304, .max_version = 0x0304, .resumes = true},
    [CLIENT_H2] = {BOTH, PROTOCOL("h2")},
    [CLIENT_HTTP_1_1] = {BOTH, PROTOCOL("http/1.1"), .resumes = true},
    [CLIENT_ODD] = {BOTH, PROTOCOL("nobody-speaks-this")},
};

struct survey_clients *survey_clients_new(struct trust *trust, struct cert *cert, struct err *err)
{
    struct survey_clients *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->trust = trust_ref(trust);
    for (size_t i = 0; i < SURVEY_CLIENTS; i++) {
        struct tls_client_params params = kinds[i];
        params.groups = server_probe_groups;
        params.groups_len = SERVER_PROBE_GROUPS;
        params.trust = trust;
        params.cert = cert;
        params.only_looks = true;
        c->client[i] = tls_client_new(&params, err);
        if (c->client[i] == NULL) {
            survey_clients_free(c);
            return NULL;
        }
    }
    return c;
}

void survey_clients_free(struct survey_clients *clients)
{
    if (clients == NULL)
        return;
    for (size_t i = 0; i < SURVEY_CLIENTS; i++)
        tls_client_free(clients->client[i]);
    trust_unref(clients->trust);
    free(clients);
}

const struct tls_client *survey_client(const struct survey_clients *clients, enum survey_client which)
{
    return clients->client[which];
}

const struct trust *survey_trust(const struct survey_clients *clients)
{
    return clients->trust;
}
