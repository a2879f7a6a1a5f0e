/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/anchors.h"

#include <stdlib.h>

#include <openssl/pool.h>

#include "base/check.h"
#include "base/hash.h"

#define ANCHORS_MAGIC 0xa9c40125u
#define BUCKETS 256 /* a power of two; a system has some 150 */

struct anchor {
    struct path_cert cert;
    CRYPTO_BUFFER *der;
    size_t next; /* of the same bucket */
};

struct anchors {
    uint32_t magic;
    uint32_t refs; /* atomic */
    struct anchor **all;
    size_t len;
    size_t first[BUCKETS];
};

/* The bundle is the operator's: nobody chooses its names against us. */
static size_t bucket_of(CBS subject)
{
    static const struct hash_key key;
    return hash_bytes(&key, CBS_data(&subject), CBS_len(&subject)) % BUCKETS;
}

struct anchors *anchors_new(void)
{
    struct anchors *anchors = calloc(1, sizeof(*anchors));
    CHECK(anchors != NULL);
    anchors->magic = ANCHORS_MAGIC;
    anchors->refs = 1;
    for (size_t i = 0; i < BUCKETS; i++)
        anchors->first[i] = ANCHORS_NONE;
    return anchors;
}

struct anchors *anchors_ref(struct anchors *anchors)
{
    CHECK_MAGIC(anchors, ANCHORS_MAGIC);
    __atomic_add_fetch(&anchors->refs, 1, __ATOMIC_RELAXED);
    return anchors;
}

static void free_anchor(struct anchor *anchor)
{
    path_cert_close(&anchor->cert);
    CRYPTO_BUFFER_free(anchor->der);
    free(anchor);
}

void anchors_unref(struct anchors *anchors)
{
    if (anchors == NULL)
        return;
    CHECK_MAGIC(anchors, ANCHORS_MAGIC);
    if (__atomic_sub_fetch(&anchors->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < anchors->len; i++)
        free_anchor(anchors->all[i]);
    free(anchors->all);
    anchors->magic = 0;
    free(anchors);
}

static bool is_there(const struct anchors *anchors, const struct path_cert *cert)
{
    for (size_t i = anchors_first(anchors, cert->subject); i != ANCHORS_NONE; i = anchors_next(anchors, i))
        if (path_cert_is(&anchors->all[i]->cert, cert))
            return true;
    return false;
}

static void insert(struct anchors *anchors, struct anchor *anchor)
{
    struct anchor **more = reallocarray(anchors->all, anchors->len + 1, sizeof(struct anchor *));
    CHECK(more != NULL);
    anchors->all = more;
    /* In the order of the bundle within a bucket: of several with one name the first is tried first. */
    size_t *end = &anchors->first[bucket_of(anchor->cert.subject)];
    while (*end != ANCHORS_NONE)
        end = &more[*end]->next;
    anchor->next = ANCHORS_NONE;
    *end = anchors->len;
    more[anchors->len++] = anchor;
}

bool anchors_add(struct anchors *anchors, const uint8_t *der, size_t len)
{
    struct anchor *anchor = calloc(1, sizeof(*anchor));
    CBS bytes;
    CHECK_MAGIC(anchors, ANCHORS_MAGIC);
    CHECK(anchor != NULL);
    anchor->der = CRYPTO_BUFFER_new(der, len, NULL);
    CHECK(anchor->der != NULL);
    CRYPTO_BUFFER_init_CBS(anchor->der, &bytes);
    if (!path_cert_read(bytes, &anchor->cert) || path_cert_x509(&anchor->cert) == NULL) {
        free_anchor(anchor);
        return false;
    }
    /* Fills the caches of both now, so that verifying threads only read them. */
    (void)X509_check_ca(anchor->cert.x509);
    (void)path_cert_key(&anchor->cert);
    anchor->cert.is_anchor = true;
    if (is_there(anchors, &anchor->cert))
        free_anchor(anchor);
    else
        insert(anchors, anchor);
    return true;
}

size_t anchors_len(const struct anchors *anchors)
{
    CHECK_MAGIC(anchors, ANCHORS_MAGIC);
    return anchors->len;
}

struct path_cert *anchors_at(const struct anchors *anchors, size_t i)
{
    CHECK_MAGIC(anchors, ANCHORS_MAGIC);
    return i < anchors->len ? &anchors->all[i]->cert : NULL;
}

/* `i` or the first behind it, in its bucket, with this subject. */
static size_t find(const struct anchors *anchors, size_t i, CBS subject)
{
    while (i != ANCHORS_NONE && !cbs_equal(anchors->all[i]->cert.subject, subject))
        i = anchors->all[i]->next;
    return i;
}

size_t anchors_first(const struct anchors *anchors, CBS subject)
{
    return find(anchors, anchors->first[bucket_of(subject)], subject);
}

size_t anchors_next(const struct anchors *anchors, size_t i)
{
    return find(anchors, anchors->all[i]->next, anchors->all[i]->cert.subject);
}
