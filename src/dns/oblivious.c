/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/oblivious.h"

#include <string.h>

#include <openssl/aead.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/hpke.h>
#include <openssl/mem.h>

#include "base/check.h"
#include "dns/wire.h"

#define VERSION 0x0001
#define QUERY 0x01
#define RESPONSE 0x02
#define KEY_ID_LEN 32       /* Nh of HKDF-SHA256 */
#define MESSAGE_MAX 0xfe00u /* so that it fits, with what padding and sealing add */
#define TAG_MAX 16

static const EVP_HPKE_AEAD *aead_of(uint16_t id)
{
    return id == EVP_HPKE_AES_128_GCM         ? EVP_hpke_aes_128_gcm()
           : id == EVP_HPKE_AES_256_GCM       ? EVP_hpke_aes_256_gcm()
           : id == EVP_HPKE_CHACHA20_POLY1305 ? EVP_hpke_chacha20_poly1305()
                                              : NULL;
}

static void put_vector(struct buf *b, const void *data, size_t len)
{
    CHECK(len <= UINT16_MAX && buf_append_uint(b, 2, len) && buf_append(b, data, len));
}

static void expand(const uint8_t *prk, size_t prk_len, const char *label, uint8_t *ret, size_t len)
{
    CHECK(HKDF_expand(ret, len, EVP_sha256(), prk, prk_len, (const uint8_t *)label, strlen(label)) == 1);
}

/* ---- configs ---- */

/* True where the key is one for us; *ret_bad where it is none at all. */
static bool read_key(struct cursor c, struct dns_oblivious_key *ret, bool *ret_bad)
{
    uint16_t kem, kdf;
    *ret = (struct dns_oblivious_key){.whole = c};
    *ret_bad = !cursor_u16(&c, &kem) || !cursor_u16(&c, &kdf) || !cursor_u16(&c, &ret->aead) ||
               !cursor_vector(&c, 2, &ret->public_key) || cursor_left(&ret->public_key) == 0 ||
               cursor_left(&c) > 0;
    return !*ret_bad && kem == EVP_HPKE_DHKEM_X25519_HKDF_SHA256 && kdf == EVP_HPKE_HKDF_SHA256 &&
           aead_of(ret->aead) != NULL &&
           cursor_left(&ret->public_key) == EVP_HPKE_KEM_public_key_len(EVP_hpke_x25519_hkdf_sha256());
}

int dns_oblivious_choose(struct str configs, struct dns_oblivious_key *ret, struct err *err)
{
    struct cursor c = cursor_of(configs.p, configs.len), list = {0}, contents;
    struct dns_oblivious_key key;
    uint16_t version;
    bool found = false, bad = !cursor_vector(&c, 2, &list) || cursor_left(&c) > 0 || cursor_left(&list) == 0;
    while (!bad && cursor_left(&list) > 0) {
        bad = !cursor_u16(&list, &version) || !cursor_vector(&list, 2, &contents);
        if (bad || version != VERSION || !read_key(contents, &key, &bad) || found)
            continue;
        *ret = key;
        found = true;
    }
    if (bad)
        return err_set(err, "is no ObliviousDoHConfigs (RFC 9230, 5), neither in base64 nor as it is");
    return found ? 0
                 : err_set(err, "has no key that can be used here: expected one of version 1 for X25519, "
                                "HKDF-SHA256 and AES-GCM or ChaCha20-Poly1305");
}

/* ---- questions ---- */

/* Which key it is (6.1). */
static void name_key(const struct dns_oblivious_key *key, uint8_t ret[KEY_ID_LEN])
{
    uint8_t prk[EVP_MAX_MD_SIZE];
    size_t len;
    CHECK(HKDF_extract(prk, &len, EVP_sha256(), key->whole.p, cursor_left(&key->whole), NULL, 0) == 1);
    expand(prk, len, "odoh key id", ret, KEY_ID_LEN);
}

/* What stands before the sealed part of a message, and is proven with it. */
static void put_head(struct buf *b, uint8_t type, const void *id, size_t id_len)
{
    CHECK(buf_append(b, &type, 1));
    put_vector(b, id, id_len);
}

static void pad(struct str message, struct buf *ret)
{
    static const uint8_t zeros[DNS_PADDING_BLOCK];
    put_vector(ret, message.p, message.len);
    put_vector(ret, zeros, (sizeof(zeros) - (ret->len + 2) % sizeof(zeros)) % sizeof(zeros));
}

static bool seal(EVP_HPKE_CTX *ctx, const struct dns_oblivious_key *key, const struct buf *plain,
                 struct buf *ret)
{
    static const char info[] = "odoh query";
    uint8_t id[KEY_ID_LEN], enc[EVP_HPKE_MAX_ENC_LENGTH];
    size_t enc_len, len;
    struct buf head = {0}, text = {0};
    name_key(key, id);
    put_head(&head, QUERY, id, sizeof(id));
    CHECK(buf_reserve(&text, plain->len + TAG_MAX));
    bool good =
        EVP_HPKE_CTX_setup_sender(ctx, enc, &enc_len, sizeof(enc), EVP_hpke_x25519_hkdf_sha256(),
                                  EVP_hpke_hkdf_sha256(), aead_of(key->aead), key->public_key.p,
                                  cursor_left(&key->public_key), (const uint8_t *)info, strlen(info)) == 1 &&
        EVP_HPKE_CTX_seal(ctx, text.data, &len, text.cap, plain->data, plain->len, head.data, head.len) == 1;
    if (good) {
        CHECK(enc_len + len <= UINT16_MAX && buf_append(ret, head.data, head.len) &&
              buf_append_uint(ret, 2, enc_len + len) && buf_append(ret, enc, enc_len) &&
              buf_append(ret, text.data, len));
    }
    buf_free(&head);
    buf_free(&text);
    return good;
}

static size_t key_len_of(uint16_t aead)
{
    return EVP_AEAD_key_length(EVP_HPKE_AEAD_aead(aead_of(aead)));
}

int dns_oblivious_seal(const struct dns_oblivious_key *key, struct str message, struct buf *sealed,
                       struct dns_oblivious_opener *ret, struct err *err)
{
    static const char label[] = "odoh response";
    EVP_HPKE_CTX ctx;
    *ret = (struct dns_oblivious_opener){.aead = key->aead};
    if (message.len == 0 || message.len > MESSAGE_MAX)
        return err_set(err, "cannot be sent %zu bytes, expected 1 to %u", message.len, MESSAGE_MAX);
    pad(message, &ret->question);
    EVP_HPKE_CTX_zero(&ctx);
    bool good = seal(&ctx, key, &ret->question, sealed);
    if (good)
        CHECK(EVP_HPKE_CTX_export(&ctx, ret->secret, key_len_of(key->aead), (const uint8_t *)label,
                                  strlen(label)) == 1);
    EVP_HPKE_CTX_cleanup(&ctx);
    ERR_clear_error();
    return good ? 0 : err_set(err, "has a key that nothing can be sealed with");
}

/* ---- answers ---- */

/* Derive key and nonce (6.2), and open. */
static bool open_text(const struct dns_oblivious_opener *o, struct cursor nonce, const struct buf *head,
                      struct cursor text, struct buf *ret)
{
    const EVP_AEAD *aead = EVP_HPKE_AEAD_aead(aead_of(o->aead));
    uint8_t prk[EVP_MAX_MD_SIZE], key[DNS_OBLIVIOUS_SECRET_MAX], iv[EVP_AEAD_MAX_NONCE_LENGTH];
    size_t prk_len, key_len = EVP_AEAD_key_length(aead), iv_len = EVP_AEAD_nonce_length(aead);
    struct buf salt = {0};
    EVP_AEAD_CTX ctx;
    CHECK(buf_append(&salt, o->question.data, o->question.len) && buf_reserve(ret, cursor_left(&text)));
    put_vector(&salt, nonce.p, cursor_left(&nonce));
    CHECK(HKDF_extract(prk, &prk_len, EVP_sha256(), o->secret, key_len, salt.data, salt.len) == 1);
    expand(prk, prk_len, "odoh key", key, key_len);
    expand(prk, prk_len, "odoh nonce", iv, iv_len);
    CHECK(EVP_AEAD_CTX_init(&ctx, aead, key, key_len, EVP_AEAD_DEFAULT_TAG_LENGTH, NULL) == 1);
    bool good = EVP_AEAD_CTX_open(&ctx, ret->data, &ret->len, ret->cap, iv, iv_len, text.p,
                                  cursor_left(&text), head->data, head->len) == 1;
    EVP_AEAD_CTX_cleanup(&ctx);
    OPENSSL_cleanse(prk, sizeof(prk));
    OPENSSL_cleanse(key, sizeof(key));
    ERR_clear_error();
    buf_free(&salt);
    return good;
}

bool dns_oblivious_unpad(struct str plain, struct str *ret)
{
    struct cursor c = cursor_of(plain.p, plain.len), message, padding;
    uint8_t bits = 0, byte;
    if (!cursor_vector(&c, 2, &message) || cursor_left(&message) == 0 || !cursor_vector(&c, 2, &padding) ||
        cursor_left(&c) > 0)
        return false;
    *ret = (struct str){(const char *)message.p, cursor_left(&message)};
    while (cursor_u8(&padding, &byte))
        bits |= byte;
    return bits == 0;
}

/* A nonce is as long as the longer of the AEAD's key and nonce (8). */
static bool read_head(const struct dns_oblivious_opener *o, struct str sealed, struct cursor *ret_nonce,
                      struct cursor *ret_text)
{
    struct cursor c = cursor_of(sealed.p, sealed.len);
    size_t iv_len = EVP_AEAD_nonce_length(EVP_HPKE_AEAD_aead(aead_of(o->aead)));
    uint8_t type;
    return cursor_u8(&c, &type) && type == RESPONSE && cursor_vector(&c, 2, ret_nonce) &&
           cursor_left(ret_nonce) == MAX(key_len_of(o->aead), iv_len) && cursor_vector(&c, 2, ret_text) &&
           cursor_left(ret_text) > 0 && cursor_left(&c) == 0;
}

int dns_oblivious_open(const struct dns_oblivious_opener *opener, struct str sealed, struct buf *ret,
                       struct err *err)
{
    struct cursor nonce, text;
    struct buf head = {0}, plain = {0};
    struct str message;
    if (!read_head(opener, sealed, &nonce, &text))
        return err_set(err, "the answer is none of Oblivious DNS over HTTPS (RFC 9230, 6.1)");
    put_head(&head, RESPONSE, nonce.p, cursor_left(&nonce));
    bool opened = open_text(opener, nonce, &head, text, &plain);
    bool read = opened && dns_oblivious_unpad((struct str){(const char *)plain.data, plain.len}, &message);
    if (read)
        CHECK(buf_append(ret, message.p, message.len));
    buf_free(&head);
    buf_free(&plain);
    return read ? 0
                : err_set(err, opened ? "the answer holds no DNS message, or padding that is not of zeros"
                                      : "the answer is not to this question, or was changed on the way");
}

void dns_oblivious_forget(struct dns_oblivious_opener *opener)
{
    OPENSSL_cleanse(opener->secret, sizeof(opener->secret));
    buf_free(&opener->question);
}
