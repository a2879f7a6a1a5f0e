/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/keys.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/base64.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hpke.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/check.h"
#include "base/hostname.h"
#include "cert/pem.h"

#define KEY_MAGIC 0xec4c0de1u
#define KEYS_MAGIC 0xec4c0de5u
#define SECRET_MAX EVP_HPKE_MAX_PRIVATE_KEY_LENGTH
#define PEM_CONFIG "ECHCONFIG"

struct ech_key {
    uint32_t magic;
    atomic_uint refs;
    struct buf bytes; /* the ECHConfig */
    struct ech_config config;
    EVP_HPKE_KEY *secret;
};

struct ech_keys {
    uint32_t magic;
    size_t n;
    struct ech_key *keys[ECH_KEYS_MAX];
    struct buf offered;
    SSL_ECH_KEYS *library; /* the same for the TLS library */
};

/* ---- a key ---- */

/* Takes `secret`, also where it fails. */
static struct ech_key *key_of(EVP_HPKE_KEY *secret, const uint8_t *config, size_t len)
{
    struct ech_key *key = calloc(1, sizeof(*key));
    CHECK(key != NULL && buf_append(&key->bytes, config, len));
    key->magic = KEY_MAGIC;
    key->refs = 1;
    key->secret = secret;
    struct cursor list = cursor_of(key->bytes.data, key->bytes.len);
    CHECK(ech_config_next(&list, &key->config) && cursor_left(&list) == 0);
    return key;
}

struct ech_key *ech_key_make(uint8_t id, const char *public_name, uint8_t longest_name, struct err *err)
{
    uint8_t *config = NULL;
    size_t len = 0;
    enum hostname_fault fault = hostname_check(public_name, strlen(public_name));
    if (fault != HOSTNAME_OK) {
        err_set(err, "'%s' cannot be the public name of an ECHConfig: %s", public_name,
                hostname_fault_text(fault));
        return NULL;
    }
    EVP_HPKE_KEY *secret = EVP_HPKE_KEY_new();
    CHECK(secret != NULL && EVP_HPKE_KEY_generate(secret, EVP_hpke_x25519_hkdf_sha256()));
    CHECK(SSL_marshal_ech_config(&config, &len, id, secret, public_name, longest_name));
    struct ech_key *key = key_of(secret, config, len);
    OPENSSL_free(config);
    return key;
}

struct ech_key *ech_key_ref(struct ech_key *key)
{
    CHECK_MAGIC(key, KEY_MAGIC);
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

void ech_key_unref(struct ech_key *key)
{
    if (key == NULL)
        return;
    CHECK_MAGIC(key, KEY_MAGIC);
    if (atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) > 1)
        return;
    EVP_HPKE_KEY_free(key->secret);
    buf_free(&key->bytes);
    key->magic = 0;
    free(key);
}

const struct ech_config *ech_key_config(const struct ech_key *key)
{
    return &key->config;
}

const struct evp_hpke_key_st *ech_key_secret(const struct ech_key *key)
{
    CHECK_MAGIC(key, KEY_MAGIC);
    return key->secret;
}

/* ---- in PEM ---- */

/* What a file has: a private key's PKCS #8, and a list. */
struct file {
    struct buf secret, list;
};

static int on_block(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    struct file *f = arg;
    struct buf *b = strcmp(type, "PRIVATE KEY") == 0 ? &f->secret
                    : strcmp(type, PEM_CONFIG) == 0  ? &f->list
                                                     : NULL;
    if (b == NULL)
        return err_set(err, "has a block '%s': expected PRIVATE KEY and " PEM_CONFIG " (RFC 9934)", type);
    if (b->len > 0)
        return err_set(err, "has two blocks '%s': a file is for one key", type);
    CHECK(buf_append(b, der, len));
    return 0;
}

static EVP_HPKE_KEY *read_secret(const struct buf *pkcs8)
{
    uint8_t raw[SECRET_MAX];
    size_t len = sizeof(raw);
    CBS der;
    CBS_init(&der, pkcs8->data, pkcs8->len);
    EVP_PKEY *key = EVP_parse_private_key(&der);
    EVP_HPKE_KEY *secret = EVP_HPKE_KEY_new();
    CHECK(secret != NULL);
    bool ok = key != NULL && EVP_PKEY_id(key) == EVP_PKEY_X25519 &&
              EVP_PKEY_get_raw_private_key(key, raw, &len) &&
              EVP_HPKE_KEY_init(secret, EVP_hpke_x25519_hkdf_sha256(), raw, len);
    EVP_PKEY_free(key);
    OPENSSL_cleanse(raw, sizeof(raw));
    if (ok)
        return secret;
    EVP_HPKE_KEY_free(secret);
    return NULL;
}

/* The config of the list that is this key's. */
static bool find_config(struct cursor list, const EVP_HPKE_KEY *secret, struct ech_config *ret)
{
    uint8_t mine[EVP_HPKE_MAX_PUBLIC_KEY_LENGTH];
    size_t len = 0;
    CHECK(EVP_HPKE_KEY_public_key(secret, mine, &len, sizeof(mine)));
    while (ech_config_next(&list, ret))
        if (ret->version == ECH_VERSION && ret->kem == EVP_HPKE_KEM_id(EVP_HPKE_KEY_kem(secret)) &&
            cursor_left(&ret->public_key) == len && memcmp(ret->public_key.p, mine, len) == 0)
            return true;
    return false;
}

/* The TLS library takes no config with a suite or a mandatory extension that it does not know. */
static bool is_usable(const struct ech_config *config, const EVP_HPKE_KEY *secret)
{
    SSL_ECH_KEYS *one = SSL_ECH_KEYS_new();
    CHECK(one != NULL);
    bool ok = SSL_ECH_KEYS_add(one, 1, config->whole.p, cursor_left(&config->whole), secret) == 1;
    SSL_ECH_KEYS_free(one);
    return ok;
}

static struct ech_key *key_of_file(const struct file *f, struct err *err)
{
    struct cursor list;
    struct ech_config config;
    const char *why = NULL;
    EVP_HPKE_KEY *secret = NULL;
    if (f->secret.len == 0 || f->list.len == 0)
        why = f->list.len > 0 ? "has no private key" : "has no block " PEM_CONFIG " (RFC 9934)";
    else if ((secret = read_secret(&f->secret)) == NULL)
        why = "has a private key that is none for X25519";
    else if (!ech_config_list(f->list.data, f->list.len, &list))
        why = "has a list of configs that cannot be read";
    else if (!find_config(list, secret, &config))
        why = "has no config for its private key";
    else if (!is_usable(&config, secret))
        why = "has a config that asks for more than is known here, such as another KDF than HKDF-SHA256";
    if (why == NULL)
        return key_of(secret, config.whole.p, cursor_left(&config.whole));
    EVP_HPKE_KEY_free(secret);
    err_set(err, "%s", why);
    return NULL;
}

struct ech_key *ech_key_read(const struct buf *pem, struct err *err)
{
    struct file f = {0};
    struct ech_key *key = pem_each(pem, on_block, &f, err) == 0 ? key_of_file(&f, err) : NULL;
    buf_wipe(&f.secret);
    buf_free(&f.list);
    ERR_clear_error();
    return key;
}

static void append_list(struct buf *list, struct ech_key *const *keys, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += keys[i]->bytes.len;
    CHECK(len <= UINT16_MAX && buf_append_uint(list, 2, len));
    for (size_t i = 0; i < n; i++)
        CHECK(buf_append(list, keys[i]->bytes.data, keys[i]->bytes.len));
}

void ech_key_list(const struct ech_key *key, struct buf *list)
{
    CHECK_MAGIC(key, KEY_MAGIC);
    append_list(list, (struct ech_key *const[]){(struct ech_key *)(uintptr_t)key}, 1);
}

bool ech_key_write(const struct ech_key *key, struct buf *pem)
{
    uint8_t raw[SECRET_MAX];
    size_t len = 0, n = 0;
    const uint8_t *text = NULL;
    struct buf list = {0};
    CHECK(EVP_HPKE_KEY_private_key(key->secret, raw, &len, sizeof(raw)));
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, raw, len);
    OPENSSL_cleanse(raw, sizeof(raw));
    BIO *bio = BIO_new(BIO_s_mem());
    ech_key_list(key, &list);
    CHECK(pkey != NULL && bio != NULL &&
          PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) &&
          PEM_write_bio(bio, PEM_CONFIG, "", list.data, (long)list.len) && BIO_mem_contents(bio, &text, &n));
    bool ok = buf_append(pem, text, n);
    OPENSSL_cleanse((uint8_t *)(uintptr_t)text, n);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    buf_free(&list);
    return ok;
}

/* ---- sets ---- */

struct ech_keys *ech_keys_new(struct ech_key *const *keys, size_t n, size_t offered)
{
    struct ech_keys *set = calloc(1, sizeof(*set));
    CHECK(set != NULL && n > 0 && n <= ECH_KEYS_MAX && offered > 0 && offered <= n);
    set->magic = KEYS_MAGIC;
    set->n = n;
    for (size_t i = 0; i < n; i++)
        set->keys[i] = ech_key_ref(keys[i]);
    append_list(&set->offered, keys, offered);
    set->library = SSL_ECH_KEYS_new();
    CHECK(set->library != NULL);
    for (size_t i = 0; i < n; i++)
        CHECK(SSL_ECH_KEYS_add(set->library, i < offered, keys[i]->bytes.data, keys[i]->bytes.len,
                               keys[i]->secret));
    return set;
}

void ech_keys_free(struct ech_keys *set)
{
    if (set == NULL)
        return;
    CHECK_MAGIC(set, KEYS_MAGIC);
    for (size_t i = 0; i < set->n; i++)
        ech_key_unref(set->keys[i]);
    SSL_ECH_KEYS_free(set->library);
    buf_free(&set->offered);
    set->magic = 0;
    free(set);
}

void ech_keys_attach(const struct ech_keys *set, SSL_CTX *ctx)
{
    CHECK_MAGIC(set, KEYS_MAGIC);
    CHECK(SSL_CTX_set1_ech_keys(ctx, set->library));
}

size_t ech_keys_count(const struct ech_keys *set)
{
    CHECK_MAGIC(set, KEYS_MAGIC);
    return set->n;
}

const struct ech_key *ech_keys_at(const struct ech_keys *set, size_t i)
{
    CHECK(i < set->n);
    return set->keys[i];
}

struct cursor ech_keys_offered(const struct ech_keys *set)
{
    CHECK_MAGIC(set, KEYS_MAGIC);
    return cursor_of(set->offered.data, set->offered.len);
}
