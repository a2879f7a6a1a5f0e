/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/open.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/hpke.h>

#include "base/check.h"
#include "ech/inner.h"

#define HEADER_LEN 4
#define EXT_ENCRYPTED_CLIENT_HELLO 0xfe0d
#define OPENING_MAGIC 0xec40be11u

static const char info_label[] = "tls ech"; /* with its NUL (RFC 9849, 7.1) */

struct ech_opening {
    uint32_t magic;
    EVP_HPKE_CTX *hpke;
    uint16_t kdf, aead;
    uint8_t id;
};

/* The extension's body in a ClientHelloOuter (5). */
struct sealed {
    uint16_t kdf, aead;
    uint8_t id;
    struct cursor enc, payload;
};

static bool read_sealed(const struct hello *outer, struct sealed *ret)
{
    struct cursor list = outer->extensions, body;
    uint16_t type;
    uint8_t is_inner;
    while (hello_next_extension(&list, &type, &body))
        if (type == EXT_ENCRYPTED_CLIENT_HELLO)
            return cursor_u8(&body, &is_inner) && is_inner == 0 && cursor_u16(&body, &ret->kdf) &&
                   cursor_u16(&body, &ret->aead) && cursor_u8(&body, &ret->id) &&
                   cursor_vector(&body, 2, &ret->enc) && cursor_vector(&body, 2, &ret->payload);
    return false;
}

static enum ech_result bad(struct ech_opened *ret, enum alert alert, const char *why)
{
    buf_free(&ret->inner);
    ret->alert = alert;
    ret->why = why;
    return ECH_BAD;
}

/* The context for a key, or NULL when it is not the one that was meant. */
static EVP_HPKE_CTX *context_for(const struct ech_key *key, const struct sealed *s)
{
    const struct ech_config *config = ech_key_config(key);
    const EVP_HPKE_AEAD *const aeads[] = {EVP_hpke_aes_128_gcm(), EVP_hpke_aes_256_gcm(),
                                          EVP_hpke_chacha20_poly1305()};
    const EVP_HPKE_AEAD *aead = NULL;
    for (size_t i = 0; i < ARRAY_LEN(aeads); i++)
        if (EVP_HPKE_AEAD_id(aeads[i]) == s->aead)
            aead = aeads[i];
    if (config->id != s->id || aead == NULL || EVP_HPKE_KDF_id(EVP_hpke_hkdf_sha256()) != s->kdf ||
        !ech_config_has_suite(config, s->kdf, s->aead))
        return NULL;
    struct buf info = {0};
    CHECK(buf_append(&info, info_label, sizeof(info_label)) &&
          buf_append(&info, config->whole.p, cursor_left(&config->whole)));
    EVP_HPKE_CTX *ctx = EVP_HPKE_CTX_new();
    CHECK(ctx != NULL);
    int ok = EVP_HPKE_CTX_setup_recipient(ctx, ech_key_secret(key), EVP_hpke_hkdf_sha256(), aead, s->enc.p,
                                          cursor_left(&s->enc), info.data, info.len);
    buf_free(&info);
    if (ok)
        return ctx;
    EVP_HPKE_CTX_free(ctx);
    return NULL;
}

/* Decrypt the payload; the hello around it, with zeros in the payload's place, is authenticated (5.2). */
static bool open_payload(EVP_HPKE_CTX *ctx, struct cursor hello, const struct sealed *s, struct buf *ret)
{
    size_t at = (size_t)(s->payload.p - hello.p), n = cursor_left(&s->payload), out = 0;
    const size_t len = cursor_left(&hello);
    struct buf aad = {0};
    CHECK(at >= HEADER_LEN && at + n <= len);
    CHECK(buf_append(&aad, hello.p + HEADER_LEN, len - HEADER_LEN) && buf_reserve(ret, n));
    memset(aad.data + at - HEADER_LEN, 0, n);
    int ok = EVP_HPKE_CTX_open(ctx, ret->data, &out, n, s->payload.p, n, aad.data, aad.len);
    buf_free(&aad);
    ret->len = ok ? out : 0;
    return ok;
}

static enum ech_result decode(const struct buf *encoded, const struct hello *outer, struct ech_opened *ret)
{
    const char *why = ech_inner_decode(cursor_of(encoded->data, encoded->len), outer, &ret->inner);
    return why == NULL ? ECH_OPENED : bad(ret, ALERT_ILLEGAL_PARAMETER, why);
}

/* How a hello is taken that is encrypted for none of the keys, or pretends to be encrypted. */
static enum ech_result unopened(const struct ech_keys *keys, const struct hello *outer)
{
    for (size_t i = 0; i < ech_keys_count(keys); i++) {
        struct str name = ech_key_config(ech_keys_at(keys, i))->public_name;
        if (name.len == outer->name_len && strncasecmp(name.p, outer->name, name.len) == 0)
            return ECH_REFUSED;
    }
    return ECH_NOT_OURS;
}

/* Several keys may have the same id: each is tried. */
enum ech_result ech_open(const struct ech_keys *keys, const struct hello *outer, struct ech_opened *ret)
{
    struct sealed s;
    struct buf encoded = {0};
    EVP_HPKE_CTX *ctx = NULL;
    *ret = (struct ech_opened){0};
    if (outer->ech != HELLO_ECH_OUTER)
        return ECH_NONE;
    if (!read_sealed(outer, &s))
        return unopened(keys, outer);
    bool opened = false;
    for (size_t i = 0; i < ech_keys_count(keys) && !opened; i++) {
        EVP_HPKE_CTX_free(ctx);
        ctx = context_for(ech_keys_at(keys, i), &s);
        opened = ctx != NULL && open_payload(ctx, outer->message, &s, &encoded);
    }
    ERR_clear_error();
    enum ech_result result = opened ? decode(&encoded, outer, ret) : unopened(keys, outer);
    buf_free(&encoded);
    if (result != ECH_OPENED) {
        EVP_HPKE_CTX_free(ctx);
        return result;
    }
    ret->opening = calloc(1, sizeof(*ret->opening));
    CHECK(ret->opening != NULL);
    *ret->opening = (struct ech_opening){OPENING_MAGIC, ctx, s.kdf, s.aead, s.id};
    return ECH_OPENED;
}

const char *ech_result_word(enum ech_result result)
{
    static const char *const words[] = {
        [ECH_NOT_OURS] = "not_ours", [ECH_REFUSED] = "refused", [ECH_OPENED] = "accepted", [ECH_BAD] = NULL};
    return words[result];
}

enum ech_result ech_open_second(struct ech_opening *opening, const uint8_t *message, size_t len,
                                struct ech_opened *ret)
{
    struct sealed s;
    struct hello outer;
    struct buf encoded = {0};
    CHECK_MAGIC(opening, OPENING_MAGIC);
    *ret = (struct ech_opened){0};
    if (hello_parse(message, len, &outer) != HELLO_REASON_NONE)
        return bad(ret, ALERT_DECODE_ERROR, "a second hello that is damaged");
    if (outer.ech == HELLO_ECH_NONE)
        return bad(ret, ALERT_MISSING_EXTENSION, "a second hello without encrypted_client_hello");
    if (!read_sealed(&outer, &s) || s.kdf != opening->kdf || s.aead != opening->aead || s.id != opening->id ||
        cursor_left(&s.enc) > 0)
        return bad(ret, ALERT_ILLEGAL_PARAMETER, "a second hello that is encrypted otherwise than the first");
    bool ok = open_payload(opening->hpke, outer.message, &s, &encoded);
    ERR_clear_error();
    enum ech_result result = ok ? decode(&encoded, &outer, ret)
                                : bad(ret, ALERT_DECRYPT_ERROR, "a second hello that cannot be decrypted");
    buf_free(&encoded);
    return result;
}

void ech_opening_free(struct ech_opening *opening)
{
    if (opening == NULL)
        return;
    CHECK_MAGIC(opening, OPENING_MAGIC);
    EVP_HPKE_CTX_free(opening->hpke);
    opening->magic = 0;
    free(opening);
}
