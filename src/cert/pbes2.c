/* SPDX-License-Identifier: Apache-2.0 */
/* AWS-LC reads keys whose passphrase went through HMAC-SHA-256, but writes such with HMAC-SHA-1 only. */
#include "cert/pbes2.h"

#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include "base/check.h"

#define ROUNDS 600000 /* of HMAC-SHA-256, as OWASP asks for (2023) */
#define SALT_BYTES 16
#define KEY_BYTES 32
#define BLOCK 16

/* Contents of object identifiers. */
static const uint8_t pbes2[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13};
static const uint8_t pbkdf2[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12};
static const uint8_t hmac_sha256[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 9};
static const uint8_t aes256_cbc[] = {0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42};

/* What stands in the file beside the passphrase. */
struct with {
    uint8_t salt[SALT_BYTES];
    uint8_t iv[BLOCK];
};

static bool put(CBB *out, CBS_ASN1_TAG tag, const uint8_t *bytes, size_t len)
{
    CBB element;
    return CBB_add_asn1(out, &element, tag) && CBB_add_bytes(&element, bytes, len) && CBB_flush(out);
}

/* Begin an AlgorithmIdentifier in `out`; its parameters go behind. */
static bool begin(CBB *out, CBB *algorithm, const uint8_t *oid, size_t len)
{
    return CBB_add_asn1(out, algorithm, CBS_ASN1_SEQUENCE) && put(algorithm, CBS_ASN1_OBJECT, oid, len);
}

/* PBKDF2-params (RFC 8018, A.2). */
static bool put_derivation(CBB *out, const struct with *with)
{
    CBB params, prf;
    return CBB_add_asn1(out, &params, CBS_ASN1_SEQUENCE) &&
           put(&params, CBS_ASN1_OCTETSTRING, with->salt, SALT_BYTES) &&
           CBB_add_asn1_uint64(&params, ROUNDS) && begin(&params, &prf, hmac_sha256, sizeof(hmac_sha256)) &&
           put(&prf, CBS_ASN1_NULL, NULL, 0) && CBB_flush(out);
}

/* PBES2-params (RFC 8018, A.4). */
static bool put_scheme(CBB *out, const struct with *with)
{
    CBB params, derivation, cipher;
    return CBB_add_asn1(out, &params, CBS_ASN1_SEQUENCE) &&
           begin(&params, &derivation, pbkdf2, sizeof(pbkdf2)) && put_derivation(&derivation, with) &&
           begin(&params, &cipher, aes256_cbc, sizeof(aes256_cbc)) &&
           put(&cipher, CBS_ASN1_OCTETSTRING, with->iv, BLOCK) && CBB_flush(out);
}

static bool encrypt(CBB *out, struct str plain, const uint8_t key[KEY_BYTES], const struct with *with)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t *at;
    int len = 0, last = 0;
    bool ok = ctx != NULL && CBB_reserve(out, &at, plain.len + BLOCK) &&
              EVP_EncryptInit_ex(ctx, EVP_aes_256_cbc(), NULL, key, with->iv) == 1 &&
              EVP_EncryptUpdate(ctx, at, &len, (const uint8_t *)plain.p, (int)plain.len) == 1 &&
              EVP_EncryptFinal_ex(ctx, at + len, &last) == 1 &&
              CBB_did_write(out, (size_t)len + (size_t)last);
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

bool pbes2_put(CBB *out, struct str plain, struct str passphrase)
{
    CBB info, algorithm, content;
    struct with with;
    uint8_t key[KEY_BYTES];
    RAND_bytes(with.salt, SALT_BYTES);
    RAND_bytes(with.iv, BLOCK);
    bool ok = PKCS5_PBKDF2_HMAC(passphrase.p, passphrase.len, with.salt, SALT_BYTES, ROUNDS, EVP_sha256(),
                                KEY_BYTES, key) == 1 &&
              CBB_add_asn1(out, &info, CBS_ASN1_SEQUENCE) && begin(&info, &algorithm, pbes2, sizeof(pbes2)) &&
              put_scheme(&algorithm, &with) && CBB_add_asn1(&info, &content, CBS_ASN1_OCTETSTRING) &&
              encrypt(&content, plain, key, &with) && CBB_flush(out);
    OPENSSL_cleanse(key, sizeof(key));
    return ok;
}
