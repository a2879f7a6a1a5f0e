/* SPDX-License-Identifier: Apache-2.0 */
/* jose/: whatever comes is a JWS or is refused with a reason; a key that was read reads the same again when
 * it is written. */
#include "base/check.h"
#include "jose/jwk.h"
#include "jose/jws.h"

#include <openssl/evp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_key(EVP_PKEY *key)
{
    struct buf text = {0};
    CHECK(jwk_put(key, &text));
    json_t *o = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    EVP_PKEY *again = jwk_read(o, NULL);
    CHECK(again != NULL && EVP_PKEY_cmp(key, again) == 1);
    EVP_PKEY_free(again);
    json_decref(o);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err = {0};
    struct jws j;
    enum jws_result result = jws_load((struct str){(const char *)data, len}, &j, &err);
    CHECK(result == JWS_OK || err.text[0] != '\0');
    CHECK(result != JWS_OK || j.kid == NULL || j.jwk == NULL);
    if (result == JWS_OK && j.jwk != NULL) {
        EVP_PKEY *key = jwk_read(j.jwk, &err);
        if (key != NULL) {
            (void)jws_verify(&j, key);
            check_key(key);
        }
        EVP_PKEY_free(key);
    }
    if (result == JWS_OK)
        (void)jws_verify_mac(&j, (const uint8_t *)"secret", 6);
    jws_free(&j);
    return 0;
}
