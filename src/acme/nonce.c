/* SPDX-License-Identifier: Apache-2.0 */
#include "acme/nonce.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/str.h"

#define NUMBER_LEN 8
#define TAG_LEN 16

struct acme_nonces {
    uint64_t next;
    uint8_t key[SHA256_DIGEST_LENGTH];
    uint8_t used[ACME_NONCES / 8]; /* of the numbers from next - ACME_NONCES on, each at its remainder */
};

struct acme_nonces *acme_nonces_new(void)
{
    struct acme_nonces *n = calloc(1, sizeof(*n));
    CHECK(n != NULL && RAND_bytes(n->key, sizeof(n->key)) == 1);
    return n;
}

void acme_nonces_free(struct acme_nonces *n)
{
    if (n != NULL)
        OPENSSL_cleanse(n->key, sizeof(n->key));
    free(n);
}

static void seal(const struct acme_nonces *n, uint64_t number, uint8_t ret[NUMBER_LEN + TAG_LEN])
{
    uint8_t tag[SHA256_DIGEST_LENGTH];
    unsigned len = 0;
    struct writer w = writer_of(ret, NUMBER_LEN + TAG_LEN);
    writer_uint(&w, NUMBER_LEN, number);
    CHECK(HMAC(EVP_sha256(), n->key, sizeof(n->key), ret, NUMBER_LEN, tag, &len) != NULL);
    writer_bytes(&w, tag, TAG_LEN);
}

const char *acme_nonce_make(struct acme_nonces *n, char ret[ACME_NONCE_MAX])
{
    uint8_t bytes[NUMBER_LEN + TAG_LEN];
    struct buf text = {0};
    uint64_t slot = n->next % ACME_NONCES;
    n->used[slot / 8] &= (uint8_t) ~(1u << slot % 8);
    seal(n, n->next++, bytes);
    CHECK(base64url_put(&text, bytes, sizeof(bytes)));
    CHECK(str_copy(ret, ACME_NONCE_MAX, (const char *)text.data, text.len));
    buf_free(&text);
    return ret;
}

bool acme_nonce_use(struct acme_nonces *n, const char *text)
{
    uint8_t wanted[NUMBER_LEN + TAG_LEN];
    uint64_t number = 0;
    struct buf bytes = {.max = 2 * sizeof(wanted)};
    bool ok = base64url_read((struct str){text, strlen(text)}, &bytes) && bytes.len == sizeof(wanted);
    struct cursor c = cursor_of(bytes.data, bytes.len);
    ok = ok && cursor_uint(&c, NUMBER_LEN, &number);
    seal(n, number, wanted);
    ok = ok && CRYPTO_memcmp(wanted, bytes.data, sizeof(wanted)) == 0;
    buf_free(&bytes);
    if (!ok || number >= n->next || n->next - number > ACME_NONCES)
        return false;
    uint64_t slot = number % ACME_NONCES;
    if (n->used[slot / 8] & 1u << slot % 8)
        return false;
    n->used[slot / 8] |= (uint8_t)(1u << slot % 8);
    return true;
}
