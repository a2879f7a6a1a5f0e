/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/store.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/hostname.h"

#define STORE_MAGIC 0x5704e5e7u
#define TLS12 0x0303
#define TLS13 0x0304

/* One (name, certificate) pair. They are sorted by name, then preference, so that a name's are a run. */
struct candidate {
    const char *name; /* the certificate's own; NULL in the run of a first certificate without names */
    size_t name_len;
    const struct cert *cert;
    size_t order; /* place in the configuration */
};

struct run {
    uint32_t first;
    uint32_t count;
};

/* Open addressing, linear probing, never more than half full. A slot with an empty run is free. */
struct slot {
    uint32_t hash;
    struct run run;
};

struct cert_store {
    uint32_t magic;
    uint32_t refs; /* atomic */
    struct hash_key key;
    struct slot *slots;
    size_t slots_len; /* a power of two */
    struct candidate *candidates;
    size_t candidates_len;
    struct cert **certs;
    size_t certs_len;
    struct run fallback; /* for clients that name nothing we know */
};

/* What each kind of key can sign with, most preferred kind first (the order of enum cert_key_kind).
 *
 * ECDSA first: P-256 signs some twenty times faster than RSA-2048 and its chains are the shortest; P-384 is
 * five times slower. Ed25519 is as good but few clients offer it. RSA is for those who know nothing else;
 * P-521 is slower still and rarely offered. ML-DSA last: its chains take 8 to 20 kB, and while nobody can
 * forge the others yet, a client that offers both loses nothing by the small one; but who lists it before all
 * others gets it, see prefers_mldsa(). */
static const struct cert_key_row {
    uint16_t tls13[3]; /* SignatureScheme (RFC 8446, 4.2.3); 0: none */
    uint16_t tls12[6]; /* in TLS 1.2 the curve is not bound to the hash (RFC 8422, 5.1) */
    bool rsa_cipher;   /* TLS 1.2: needs an ECDHE_RSA suite, not an ECDHE_ECDSA one */
} cert_key_rows[] = {
    [CERT_KEY_P256] = {{0x0403}, {0x0403, 0x0503, 0x0603}, false},
    [CERT_KEY_P384] = {{0x0503}, {0x0403, 0x0503, 0x0603}, false},
    [CERT_KEY_ED25519] = {{0x0807}, {0x0807}, false},
    [CERT_KEY_RSA] = {{0x0804, 0x0805, 0x0806}, {0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601}, true},
    [CERT_KEY_P521] = {{0x0603}, {0x0403, 0x0503, 0x0603}, false},
    [CERT_KEY_MLDSA44] = {{0x0904}, {0}, false}, /* TLS 1.3 only */
    [CERT_KEY_MLDSA65] = {{0x0905}, {0}, false},
    [CERT_KEY_MLDSA87] = {{0x0906}, {0}, false},
};
_Static_assert(ARRAY_LEN(cert_key_rows) == CERT_KEY_KINDS, "a row for each kind");

/* TLS 1.2 suites by who authenticates; AEAD and CBC alike, for what is allowed is not decided here. */
static const uint16_t ecdsa_ciphers[] = {0xc02b, 0xc02c, 0xcca9, 0xc009, 0xc00a, 0xc023, 0xc024};
static const uint16_t rsa_ciphers[] = {0xc02f, 0xc030, 0xcca8, 0xc013, 0xc014, 0xc027, 0xc028};

/* Building
 * ------------------------------------------------------------------------------------------------------- */

static int compare_candidates(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    int by_name = strcmp(a->name, b->name);
    if (by_name != 0)
        return by_name;
    if (a->cert->kind != b->cert->kind)
        return a->cert->kind < b->cert->kind ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static uint32_t hash_name(const struct cert_store *store, const char *name, size_t len)
{
    return (uint32_t)hash_bytes(&store->key, name, len);
}

static void insert_run(struct cert_store *store, struct run run)
{
    const struct candidate *c = &store->candidates[run.first];
    uint32_t hash = hash_name(store, c->name, c->name_len);
    size_t i = hash & (store->slots_len - 1);
    while (store->slots[i].run.count > 0)
        i = (i + 1) & (store->slots_len - 1);
    store->slots[i] = (struct slot){hash, run};
}

/* Every run of candidates with one name becomes a slot. */
static void index_runs(struct cert_store *store)
{
    for (size_t first = 0, next; first < store->candidates_len; first = next) {
        next = first + 1;
        while (next < store->candidates_len &&
               strcmp(store->candidates[next].name, store->candidates[first].name) == 0)
            next++;
        insert_run(store, (struct run){(uint32_t)first, (uint32_t)(next - first)});
    }
}

static void collect_candidates(struct cert_store *store)
{
    size_t n = 0;
    for (size_t i = 0; i < store->certs_len; i++)
        for (size_t j = 0; j < store->certs[i]->names_len; j++) {
            const char *name = store->certs[i]->names[j];
            store->candidates[n++] = (struct candidate){name, strlen(name), store->certs[i], i};
        }
    CHECK(n == store->candidates_len);
    if (n > 1)
        qsort(store->candidates, n, sizeof(*store->candidates), compare_candidates);
}

static int allocate(struct cert_store *store, size_t count, size_t names)
{
    if (names >= UINT32_MAX / 4)
        return -1;
    store->slots_len = 2;
    while (store->slots_len < 2 * names + 2)
        store->slots_len *= 2;
    store->certs = calloc(count, sizeof(struct cert *));
    store->slots = calloc(store->slots_len, sizeof(*store->slots));
    /* One more: the run of a first certificate without names. */
    store->candidates = calloc(names + 1, sizeof(*store->candidates));
    return store->certs == NULL || store->slots == NULL || store->candidates == NULL ? -1 : 0;
}

static struct run find_run(const struct cert_store *store, const char *name, size_t len)
{
    uint32_t hash = hash_name(store, name, len);
    for (size_t i = hash & (store->slots_len - 1); store->slots[i].run.count > 0;
         i = (i + 1) & (store->slots_len - 1)) {
        const struct slot *slot = &store->slots[i];
        const struct candidate *c = &store->candidates[slot->run.first];
        if (slot->hash == hash && c->name_len == len && memcmp(c->name, name, len) == 0)
            return slot->run;
    }
    return (struct run){0, 0};
}

/* The default: all that share the first certificate's first name, so that an RSA twin of it still serves. */
static void choose_fallback(struct cert_store *store)
{
    const struct cert *first = store->certs[0];
    if (first->names_len > 0) {
        store->fallback = find_run(store, first->names[0], strlen(first->names[0]));
    } else {
        store->candidates[store->candidates_len].cert = first;
        store->fallback = (struct run){(uint32_t)store->candidates_len, 1};
    }
    CHECK(store->fallback.count > 0);
}

struct cert_store *cert_store_build(struct cert *const *certs, size_t count, struct err *err)
{
    if (count == 0) {
        err_set(err, "no certificates");
        return NULL;
    }
    struct cert_store *store = calloc(1, sizeof(*store));
    if (store != NULL) {
        store->magic = STORE_MAGIC;
        store->refs = 1;
        for (size_t i = 0; i < count; i++)
            store->candidates_len += certs[i]->names_len;
    }
    if (store == NULL || allocate(store, count, store->candidates_len) < 0) {
        cert_store_free(store);
        err_set(err, "out of memory");
        return NULL;
    }
    store->key = hash_random_key();
    for (size_t i = 0; i < count; i++)
        store->certs[store->certs_len++] = cert_ref(certs[i]);
    collect_candidates(store);
    index_runs(store);
    choose_fallback(store);
    return store;
}

struct cert_store *cert_store_ref(struct cert_store *store)
{
    CHECK_MAGIC(store, STORE_MAGIC);
    __atomic_add_fetch(&store->refs, 1, __ATOMIC_RELAXED);
    return store;
}

void cert_store_free(struct cert_store *store)
{
    if (store == NULL)
        return;
    CHECK_MAGIC(store, STORE_MAGIC);
    if (__atomic_sub_fetch(&store->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < store->certs_len; i++)
        cert_unref(store->certs[i]);
    free(store->certs);
    free(store->slots);
    free(store->candidates);
    store->magic = 0;
    free(store);
}

size_t cert_store_count(const struct cert_store *store)
{
    CHECK_MAGIC(store, STORE_MAGIC);
    return store->certs_len;
}

const struct cert *cert_store_at(const struct cert_store *store, size_t i)
{
    CHECK_MAGIC(store, STORE_MAGIC);
    CHECK(i < store->certs_len);
    return store->certs[i];
}

/* Choosing
 * ------------------------------------------------------------------------------------------------------- */

static bool any_of(const uint16_t *wanted, size_t wanted_len, const uint16_t *offered, size_t offered_len)
{
    for (size_t i = 0; i < offered_len; i++)
        for (size_t j = 0; j < wanted_len; j++)
            if (offered[i] == wanted[j] && wanted[j] != 0)
                return true;
    return false;
}

static bool client_verifies(const struct cert_query *q, enum cert_key_kind kind)
{
    const struct cert_key_row *row = &cert_key_rows[kind];
    if (q->version >= TLS13)
        return any_of(row->tls13, ARRAY_LEN(row->tls13), q->sigalgs, q->sigalgs_len);
    if (!any_of(row->tls12, ARRAY_LEN(row->tls12), q->sigalgs, q->sigalgs_len))
        return false;
    if (q->ciphers == NULL)
        return true;
    return row->rsa_cipher ? any_of(rsa_ciphers, ARRAY_LEN(rsa_ciphers), q->ciphers, q->ciphers_len)
                           : any_of(ecdsa_ciphers, ARRAY_LEN(ecdsa_ciphers), q->ciphers, q->ciphers_len);
}

static bool is_mldsa(enum cert_key_kind kind)
{
    return kind >= CERT_KEY_MLDSA44;
}

/* Is the first scheme in the client's list that we have a kind of key for one of ML-DSA? The list is in the
 * client's order of preference (RFC 8446, 4.2.3), which decides nothing else here. */
static bool prefers_mldsa(const struct cert_query *q)
{
    for (size_t i = 0; i < q->sigalgs_len && q->version >= TLS13; i++)
        for (int kind = 0; kind < CERT_KEY_KINDS; kind++)
            if (any_of(cert_key_rows[kind].tls13, ARRAY_LEN(cert_key_rows[kind].tls13), &q->sigalgs[i], 1))
                return is_mldsa((enum cert_key_kind)kind);
    return false;
}

/* The signatures on it, by signature_algorithms_cert or what stands for it. A server that has no chain to
 * please the client sends the one that it has (RFC 8446, 4.4.2.2). */
static bool client_verifies_chain(const struct cert_query *q, const struct cert *cert)
{
    const uint16_t *list = q->sigalgs_cert_len > 0 ? q->sigalgs_cert : q->sigalgs;
    size_t len = q->sigalgs_cert_len > 0 ? q->sigalgs_cert_len : q->sigalgs_len;
    for (size_t i = 0; i < cert->schemes_len; i++)
        if (!any_of(&cert->schemes[i], 1, list, len))
            return false;
    return true;
}

/* The best of several for a client. */
struct choice {
    const struct cert_query *query;
    bool mldsa_first;
    const struct cert *best; /* NULL: none can be verified */
    int demerits;            /* of that one */
};

static struct choice choice_for(const struct cert_query *q)
{
    return (struct choice){.query = q, .mldsa_first = prefers_mldsa(q)};
}

/* They come in our order of preference. */
static void consider(struct choice *c, const struct cert *cert)
{
    if (!client_verifies(c->query, cert->kind))
        return;
    int demerits = 2 * !client_verifies_chain(c->query, cert) + (is_mldsa(cert->kind) != c->mldsa_first);
    if (c->best != NULL && demerits >= c->demerits)
        return;
    c->best = cert;
    c->demerits = demerits;
}

/* The one of a run for the client, or NULL. */
static const struct cert *pick(const struct cert_store *store, struct run run, const struct cert_query *q)
{
    struct choice c = choice_for(q);
    for (uint32_t i = 0; i < run.count; i++)
        consider(&c, store->candidates[run.first + i].cert);
    return c.best;
}

/* The runs for a name, best first: exact, then the wildcard for its parent. Returns how many there are. */
static size_t runs_for(const struct cert_store *store, struct str sni, struct run ret[2])
{
    char name[HOSTNAME_MAX + 1];
    size_t n = 0;
    if (sni.len == 0 || sni.len > HOSTNAME_MAX)
        return 0;
    memcpy(name, sni.p, sni.len);
    str_lower(name, sni.len);
    ret[n] = find_run(store, name, sni.len);
    /* A name that itself begins with '*' is no host name, and must not match the wildcard to the letter. */
    if (name[0] == '*')
        return 0;
    n += ret[n].count > 0;
    char *dot = memchr(name, '.', sni.len);
    if (dot == NULL || dot == name)
        return n;
    /* "www.example.com" becomes "*.example.com" in place: the star goes right before the first dot. */
    dot[-1] = '*';
    ret[n] = find_run(store, dot - 1, sni.len - (size_t)(dot - 1 - name));
    return n + (ret[n].count > 0);
}

const struct cert *cert_select(const struct cert_store *store, const struct cert_query *query)
{
    CHECK_MAGIC(store, STORE_MAGIC);
    CHECK(query->version >= TLS12);
    struct run runs[2];
    size_t n = runs_for(store, query->sni, runs);
    /* Only for a name we do not know: another name's certificate would not help a client that asked for this
     * one. */
    if (n == 0)
        runs[n++] = store->fallback;
    for (size_t i = 0; i < n; i++) {
        const struct cert *cert = pick(store, runs[i], query);
        if (cert != NULL)
            return cert;
    }
    return store->candidates[runs[0].first].cert;
}

const struct cert *cert_select_exact(const struct cert_store *store, const struct cert_query *query)
{
    CHECK_MAGIC(store, STORE_MAGIC);
    char name[HOSTNAME_MAX];
    struct str sni = query->sni;
    if (sni.len == 0 || sni.len > HOSTNAME_MAX || sni.p[0] == '*')
        return NULL;
    memcpy(name, sni.p, sni.len);
    str_lower(name, sni.len);
    struct run run = find_run(store, name, sni.len);
    if (run.count == 0)
        return NULL;
    const struct cert *cert = pick(store, run, query);
    return cert != NULL ? cert : store->candidates[run.first].cert;
}

unsigned cert_kinds_verified(const struct cert_query *query)
{
    unsigned kinds = 0;
    for (int i = 0; i < CERT_KEY_KINDS; i++)
        kinds |= client_verifies(query, (enum cert_key_kind)i) ? 1u << i : 0;
    return kinds;
}

const char *cert_kind_word(enum cert_key_kind kind)
{
    static const enum key_kind kinds[] = {
        [CERT_KEY_P256] = KEY_P256,       [CERT_KEY_P384] = KEY_P384,       [CERT_KEY_ED25519] = KEY_ED25519,
        [CERT_KEY_P521] = KEY_P521,       [CERT_KEY_MLDSA44] = KEY_MLDSA44, [CERT_KEY_MLDSA65] = KEY_MLDSA65,
        [CERT_KEY_MLDSA87] = KEY_MLDSA87,
    };
    _Static_assert(ARRAY_LEN(kinds) == CERT_KEY_KINDS, "a row for each kind");
    return kind == CERT_KEY_RSA ? "RSA"
                                : key_kind_name(kinds[kind]); /* of RSA the size makes no difference */
}

static void add_sigalgs(const uint16_t *from, size_t len, uint16_t *ret, size_t *n)
{
    for (size_t i = 0; i < len && from[i] != 0; i++)
        if (!any_of(&from[i], 1, ret, *n))
            ret[(*n)++] = from[i];
}

size_t cert_kind_sigalgs(enum cert_key_kind kind, uint16_t ret[CERT_KIND_SIGALGS_MAX])
{
    const struct cert_key_row *row = &cert_key_rows[kind];
    size_t n = 0;
    _Static_assert(ARRAY_LEN(row->tls13) + ARRAY_LEN(row->tls12) <= CERT_KIND_SIGALGS_MAX, "all have room");
    add_sigalgs(row->tls13, ARRAY_LEN(row->tls13), ret, &n);
    if (row->rsa_cipher) /* of the others those of TLS 1.3 do for TLS 1.2 */
        add_sigalgs(row->tls12, ARRAY_LEN(row->tls12), ret, &n);
    return n;
}

bool cert_put_kinds(struct buf *out, unsigned kinds)
{
    bool ok = true, first = true;
    for (int i = 0; i < CERT_KEY_KINDS && ok; i++) {
        if ((kinds >> i & 1) == 0)
            continue;
        ok = buf_printf(out, "%s%s", first ? "" : ",", cert_kind_word((enum cert_key_kind)i));
        first = false;
    }
    return ok;
}

struct cert *cert_pick(struct cert *const *certs, size_t count, const struct cert_query *query)
{
    CHECK(count > 0);
    struct choice c = choice_for(query);
    for (size_t i = 0; i < count; i++)
        consider(&c, certs[i]);
    return c.best != NULL ? (struct cert *)(uintptr_t)c.best : certs[0];
}
