/* SPDX-License-Identifier: Apache-2.0 */
#include "login/seal.h"

#include <string.h>

#include <openssl/aead.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include "base/check.h"
#include "base/cursor.h"

void seal_make_key(uint8_t ret[SEAL_KEY])
{
    CHECK(RAND_bytes(ret, SEAL_KEY) == 1);
}

static void init(EVP_AEAD_CTX *ctx, const uint8_t key[SEAL_KEY])
{
    CHECK(EVP_AEAD_CTX_init(ctx, EVP_aead_xchacha20_poly1305(), key, SEAL_KEY, EVP_AEAD_DEFAULT_TAG_LENGTH,
                            NULL) == 1);
}

void seal_close(const uint8_t key[SEAL_KEY], const struct sealed_login *login, uint8_t ret[SEAL_BYTES])
{
    uint8_t plain[SEAL_PLAIN];
    char name[SEAL_NAME_MAX] = {0};
    struct writer w = writer_of(plain, sizeof(plain));
    size_t len = 0;
    EVP_AEAD_CTX ctx;
    memcpy(name, login->name, strlen(login->name));
    writer_uint(&w, 8, (uint64_t)login->until);
    writer_uint(&w, 1, strlen(login->name));
    writer_bytes(&w, name, sizeof(name));
    writer_uint(&w, 1, login->familiar);
    writer_bytes(&w, login->record, SEAL_RECORD);
    writer_bytes(&w, login->expected.client_mac, OPAQUE_HASH);
    writer_bytes(&w, login->expected.session_key, OPAQUE_HASH);
    CHECK(!w.full && w.p == w.end);
    CHECK(RAND_bytes(ret, SEAL_ID) == 1);
    init(&ctx, key);
    CHECK(EVP_AEAD_CTX_seal(&ctx, ret + SEAL_ID, &len, SEAL_BYTES - SEAL_ID, ret, SEAL_ID, plain,
                            sizeof(plain), NULL, 0) == 1);
    CHECK(len == SEAL_BYTES - SEAL_ID);
    EVP_AEAD_CTX_cleanup(&ctx);
    OPENSSL_cleanse(plain, sizeof(plain));
}

/* What stands in it was written here. */
static void read_plain(const uint8_t plain[SEAL_PLAIN], struct sealed_login *ret)
{
    struct cursor c = cursor_of(plain, SEAL_PLAIN);
    uint64_t until = 0;
    uint8_t len = 0, familiar = 0;
    const uint8_t *name, *record, *mac, *key;
    CHECK(cursor_uint(&c, 8, &until) && cursor_u8(&c, &len) && len <= SEAL_NAME_MAX &&
          cursor_bytes(&c, SEAL_NAME_MAX, &name) && cursor_u8(&c, &familiar) &&
          cursor_bytes(&c, SEAL_RECORD, &record) && cursor_bytes(&c, OPAQUE_HASH, &mac) &&
          cursor_bytes(&c, OPAQUE_HASH, &key));
    *ret = (struct sealed_login){.until = (int64_t)until, .familiar = familiar != 0};
    memcpy(ret->name, name, len);
    memcpy(ret->record, record, SEAL_RECORD);
    memcpy(ret->expected.client_mac, mac, OPAQUE_HASH);
    memcpy(ret->expected.session_key, key, OPAQUE_HASH);
}

bool seal_open(const uint8_t key[SEAL_KEY], const uint8_t sealed[SEAL_BYTES], struct sealed_login *ret)
{
    uint8_t plain[SEAL_PLAIN];
    size_t len = 0;
    EVP_AEAD_CTX ctx;
    init(&ctx, key);
    bool good = EVP_AEAD_CTX_open(&ctx, plain, &len, sizeof(plain), sealed, SEAL_ID, sealed + SEAL_ID,
                                  SEAL_BYTES - SEAL_ID, NULL, 0) == 1 &&
                len == sizeof(plain);
    EVP_AEAD_CTX_cleanup(&ctx);
    if (good)
        read_plain(plain, ret);
    if (good)
        memcpy(ret->id, sealed, SEAL_ID);
    OPENSSL_cleanse(plain, sizeof(plain));
    return good;
}
