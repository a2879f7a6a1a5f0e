/* SPDX-License-Identifier: Apache-2.0 */
/* Workers read the key set through one atomic pointer and take no lock. They look it up anew for each ticket
 * and never keep it from one event of their loop to the next. The control thread replaces the set, and
 * whoever called for that frees the replaced one when every worker has been through its loop since: only then
 * can none be inside it. */
#include "tls/tickets.h"

#include <openssl/aead.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

#define NAME_LEN 16
#define NONCE_LEN 12
#define TAG_LEN 16
#define KEY_LEN 32
#define KEYS 3 /* the newest seals for half a lifetime; then it still opens for a whole one */

struct ticket_key {
    uint8_t name[NAME_LEN];
    EVP_AEAD_CTX *aead; /* reference-free: a set owns its own copies */
    uint8_t secret[KEY_LEN];
};

/* Immutable once published. */
struct ticket_keys {
    struct ticket_key key[KEYS];
};

struct tickets {
    uint32_t magic;
    int64_t lifetime;
    _Atomic(struct ticket_keys *) keys;
};

#define TICKETS_MAGIC 0x71c4e700u

static void key_load(struct ticket_key *k, const uint8_t name[NAME_LEN], const uint8_t secret[KEY_LEN])
{
    memcpy(k->name, name, NAME_LEN);
    memcpy(k->secret, secret, KEY_LEN);
    k->aead = EVP_AEAD_CTX_new(EVP_aead_aes_256_gcm(), secret, KEY_LEN, TAG_LEN);
    CHECK(k->aead != NULL);
}

static struct ticket_keys *keys_new(const struct ticket_keys *before)
{
    struct ticket_keys *set = calloc(1, sizeof(*set));
    CHECK(set != NULL);
    uint8_t name[NAME_LEN], secret[KEY_LEN];
    RAND_bytes(name, sizeof(name));
    RAND_bytes(secret, sizeof(secret));
    key_load(&set->key[0], name, secret);
    OPENSSL_cleanse(secret, sizeof(secret));
    for (int i = 1; i < KEYS && before != NULL; i++)
        if (before->key[i - 1].aead != NULL)
            key_load(&set->key[i], before->key[i - 1].name, before->key[i - 1].secret);
    return set;
}

void ticket_keys_free(struct ticket_keys *keys)
{
    if (keys == NULL)
        return;
    for (int i = 0; i < KEYS; i++)
        EVP_AEAD_CTX_free(keys->key[i].aead);
    OPENSSL_cleanse(keys, sizeof(*keys));
    free(keys);
}

struct tickets *tickets_new(int64_t lifetime)
{
    struct tickets *t = calloc(1, sizeof(*t));
    CHECK(t != NULL && lifetime > 0);
    t->magic = TICKETS_MAGIC;
    t->lifetime = lifetime;
    atomic_store(&t->keys, keys_new(NULL));
    return t;
}

void tickets_free(struct tickets *t)
{
    if (t == NULL)
        return;
    CHECK_MAGIC(t, TICKETS_MAGIC);
    ticket_keys_free(atomic_load(&t->keys));
    t->magic = 0;
    free(t);
}

struct ticket_keys *tickets_rotate(struct tickets *t)
{
    CHECK_MAGIC(t, TICKETS_MAGIC);
    struct ticket_keys *before = atomic_load(&t->keys);
    atomic_store(&t->keys, keys_new(before));
    return before;
}

int64_t tickets_lifetime(const struct tickets *t)
{
    return t->lifetime;
}

static int ring_index(void)
{
    static int index = -1;
    static _Atomic int ready; /* set once, by whoever comes first: control, before any worker runs */
    if (!atomic_load(&ready)) {
        index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
        CHECK(index >= 0);
        atomic_store(&ready, 1);
    }
    return index;
}

static const struct ticket_keys *keys_of(SSL *ssl)
{
    const struct tickets *t = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ring_index());
    CHECK_MAGIC(t, TICKETS_MAGIC);
    return atomic_load_explicit(&t->keys, memory_order_acquire);
}

static size_t ticket_overhead(SSL *ssl)
{
    (void)ssl;
    return NAME_LEN + NONCE_LEN + TAG_LEN;
}

static int ticket_seal(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out_len, const uint8_t *in,
                       size_t in_len)
{
    const struct ticket_key *k = &keys_of(ssl)->key[0];
    if (max_out_len < in_len + ticket_overhead(ssl))
        return 0;
    uint8_t *nonce = out + NAME_LEN, *sealed = nonce + NONCE_LEN;
    memmove(sealed, in, in_len); /* in and out may be the same buffer */
    memcpy(out, k->name, NAME_LEN);
    RAND_bytes(nonce, NONCE_LEN);
    size_t n;
    if (!EVP_AEAD_CTX_seal(k->aead, sealed, &n, max_out_len - NAME_LEN - NONCE_LEN, nonce, NONCE_LEN, sealed,
                           in_len, out, NAME_LEN))
        return 0;
    *out_len = NAME_LEN + NONCE_LEN + n;
    return 1;
}

static enum ssl_ticket_aead_result_t ticket_open(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out_len,
                                                 const uint8_t *in, size_t in_len)
{
    const struct ticket_keys *set = keys_of(ssl);
    if (in_len < NAME_LEN + NONCE_LEN + TAG_LEN)
        return ssl_ticket_aead_ignore_ticket;
    const uint8_t *nonce = in + NAME_LEN, *sealed = nonce + NONCE_LEN;
    for (int i = 0; i < KEYS; i++) {
        const struct ticket_key *k = &set->key[i];
        if (k->aead == NULL || memcmp(k->name, in, NAME_LEN) != 0)
            continue;
        if (EVP_AEAD_CTX_open(k->aead, out, out_len, max_out_len, nonce, NONCE_LEN, sealed,
                              in_len - NAME_LEN - NONCE_LEN, in, NAME_LEN))
            return ssl_ticket_aead_success;
    }
    return ssl_ticket_aead_ignore_ticket;
}

static const SSL_TICKET_AEAD_METHOD ticket_method = {ticket_overhead, ticket_seal, ticket_open};

void tickets_attach(struct tickets *t, SSL_CTX *ctx)
{
    CHECK_MAGIC(t, TICKETS_MAGIC);
    uint32_t seconds =
        (uint32_t)MIN(t->lifetime / NSEC_PER_SEC, INT64_C(604800)); /* RFC 8446: at most 7 days */
    SSL_CTX_set_ex_data(ctx, ring_index(), t);
    SSL_CTX_set_ticket_aead_method(ctx, &ticket_method);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_timeout(ctx, seconds);
    SSL_CTX_set_session_psk_dhe_timeout(ctx, seconds);
}
