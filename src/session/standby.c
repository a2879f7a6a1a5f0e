/* SPDX-License-Identifier: Apache-2.0 */
#include "session/standby.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/str.h"
#include "cert/cert.h"
#include "cert/leaf.h"
#include "cert/tls_feature.h"
#include "tls/digest.h"

/* ---- pairs ---- */

static bool has_other_key(const struct cert *a, const struct cert *b)
{
    uint8_t x[CERT_KEY_DIGEST], y[CERT_KEY_DIGEST];
    return cert_key_digest(cert_leaf_der(a), x) && cert_key_digest(cert_leaf_der(b), y) &&
           memcmp(x, y, sizeof(x)) != 0;
}

static int check_backup(const struct cert *first, const struct cert *backup, struct err *err)
{
    if (!has_other_key(first, backup))
        return err_set(
            err,
            "%s has the key of '%s', expected one of its own: a backup stands by for the case that "
            "the first key is lost, too",
            backup->label, first->label);
    for (size_t i = 0; i < first->names_len; i++) {
        const char *name = first->names[i];
        if (name[0] == '*' ? !cert_has_name(backup, name) : !cert_is_for(backup, name))
            return err_set(err, "%s is not for '%s', expected all names that '%s' is for", backup->label,
                           name, first->label);
    }
    return 0;
}

static bool is_must_staple(const struct cert *cert)
{
    X509 *leaf = X509_parse_from_buffer(cert->chain[0]);
    CHECK(leaf != NULL); /* it was read when it was loaded */
    bool is = tls_feature_has(leaf);
    X509_free(leaf);
    return is;
}

int standby_load(struct standby_pair *pair, const struct cert_files *files, struct err *err)
{
    const struct cert *first = pair->side[STANDBY_FIRST];
    struct cert *backup = cert_load(files, err);
    if (backup == NULL)
        return -1;
    if (check_backup(first, backup, err) < 0) {
        cert_unref(backup);
        return -1;
    }
    struct str leaf = cert_leaf_der(first);
    pair->side[STANDBY_BACKUP] = backup;
    pair->must_staple[STANDBY_FIRST] = is_must_staple(first);
    pair->must_staple[STANDBY_BACKUP] = is_must_staple(backup);
    tls_sha256(leaf.p, leaf.len, pair->id);
    return 0;
}

struct standby_pair standby_pair_ref(const struct standby_pair *pair)
{
    for (int i = 0; i < STANDBY_SIDES; i++)
        if (pair->side[i] != NULL)
            cert_ref(pair->side[i]);
    return *pair;
}

void standby_pair_unref(struct standby_pair *pair)
{
    for (int i = 0; i < STANDBY_SIDES; i++)
        cert_unref(pair->side[i]);
    *pair = (struct standby_pair){0};
}

/* ---- what is set aside ---- */

struct set_aside *set_aside_new(const uint8_t (*ids)[STANDBY_ID], size_t n)
{
    struct set_aside *a = calloc(1, sizeof(*a) + n * STANDBY_ID);
    CHECK(a != NULL);
    a->refs = 1;
    a->n = n;
    if (n > 0)
        memcpy(a->ids, ids, n * STANDBY_ID);
    return a;
}

struct set_aside *set_aside_ref(struct set_aside *a)
{
    if (a != NULL)
        __atomic_add_fetch(&a->refs, 1, __ATOMIC_RELAXED);
    return a;
}

void set_aside_unref(struct set_aside *a)
{
    if (a != NULL && __atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(a);
}

bool set_aside_is_same(const struct set_aside *a, const struct set_aside *b)
{
    size_t n = a != NULL ? a->n : 0;
    return n == (b != NULL ? b->n : 0) && (n == 0 || memcmp(a->ids, b->ids, n * STANDBY_ID) == 0);
}

enum standby_side standby_serves(const struct standby_pair *pair, const struct set_aside *a)
{
    if (pair->side[STANDBY_BACKUP] == NULL || a == NULL)
        return STANDBY_FIRST;
    for (size_t i = 0; i < a->n; i++)
        if (memcmp(a->ids[i], pair->id, STANDBY_ID) == 0)
            return STANDBY_BACKUP;
    return STANDBY_FIRST;
}
