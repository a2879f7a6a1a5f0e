/* SPDX-License-Identifier: Apache-2.0 */
/* opaque/opaque.h: whatever a client or a server says, nobody who does not know the password gets in. The
 * first byte says which message the rest stands for. */
#include <string.h>

#include "base/check.h"
#include "opaque/opaque.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct opaque_stretch no_stretch = {0};
static const struct str password = {"secret", 6}, name = {"alice", 5};
static const struct opaque_names names = {{"fuzz", 4}, {"alice", 5}, {NULL, 0}};

/* Bytes of the input, zeros behind its end. */
static void take(uint8_t *ret, size_t want, const uint8_t *data, size_t len)
{
    memset(ret, 0, want);
    if (len > 0)
        memcpy(ret, data, len < want ? len : want);
}

static void hear_client(const struct opaque_server *s, const uint8_t *data, size_t len)
{
    uint8_t request[OPAQUE_REQUEST], response[OPAQUE_RESPONSE], record[OPAQUE_RECORD];
    uint8_t ke1[OPAQUE_KE1], ke2[OPAQUE_KE2], ke3[OPAQUE_KE3];
    struct opaque_server_random random = {{0}, {0}, {0}};
    struct opaque_expected expected;
    take(request, sizeof(request), data, len);
    (void)opaque_register_answer(s, name, request, response);
    take(ke1, sizeof(ke1), data, len);
    take(record, sizeof(record), data, len);
    (void)opaque_record_is_sound(record);
    opaque_fake_record(s, name, record);
    if (opaque_login_answer(s, &names, name, record, ke1, &random, ke2, &expected)) {
        take(ke3, sizeof(ke3), data, len);
        CHECK(!opaque_is_proven(&expected, ke3));
    }
}

static void hear_server(const uint8_t *data, size_t len)
{
    struct opaque_client_random random = {{1}, {2}, {3}};
    struct opaque_client client;
    struct opaque_secrets secrets;
    uint8_t out[OPAQUE_RECORD], response[OPAQUE_RESPONSE], ke2[OPAQUE_KE2];
    CHECK(opaque_register_start(password, &random, &client, out));
    take(response, sizeof(response), data, len);
    (void)opaque_register_finish(&client, password, &names, &no_stretch, response, out, NULL);
    CHECK(opaque_login_start(password, &random, &client, out));
    take(ke2, sizeof(ke2), data, len);
    CHECK(!opaque_login_finish(&client, password, &names, &no_stretch, ke2, out, &secrets));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct opaque_server s = {.oprf_seed = {1}, .private_key = {2}};
    CHECK(opaque_init() && opaque_server_complete(&s));
    if (len == 0)
        return 0;
    if (data[0] % 2 == 0)
        hear_client(&s, data + 1, len - 1);
    else
        hear_server(data + 1, len - 1);
    return 0;
}
