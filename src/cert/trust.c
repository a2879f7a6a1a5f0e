/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/trust.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "cert/pem.h"
#include "cert/revoked.h"
#include "cert/trust_internal.h"

/* Where distributions keep their bundle: Debian and Arch; Fedora and RHEL; openSUSE; Alpine. */
static const char *const system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

/* Reading
 * -------------------------------------------------------------------------------------------------------- */

struct reading {
    struct trust *trust;
    size_t found;
};

static int add_anchor(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    struct reading *r = arg;
    if (!pem_is_certificate(type))
        return 0;
    if (!anchors_add(r->trust->anchors, der, len))
        return err_set(err, "certificate %zu cannot be read", r->found + 1);
    r->found++;
    return 0;
}

static int add_crl(struct reading *r, const uint8_t *der, size_t len, struct err *err)
{
    struct trust *trust = r->trust;
    struct crl **more = reallocarray(trust->crls, trust->crls_len + 1, sizeof(struct crl *));
    if (more == NULL)
        return err_set(err, "out of memory");
    trust->crls = more;
    more[trust->crls_len] = crl_read(der, len, err);
    if (more[trust->crls_len] == NULL)
        return err_prefix(err, "CRL %zu", r->found + 1);
    trust->crls_len++;
    r->found++;
    return 0;
}

static int add_crl_block(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    return strcmp(type, PEM_STRING_X509_CRL) == 0 ? add_crl(arg, der, len, err) : 0;
}

static const char *ca_path(const char *configured)
{
    if (strcmp(configured, "system") != 0)
        return configured;
    struct stat st;
    for (size_t i = 0; i < ARRAY_LEN(system_bundles); i++)
        if (stat(system_bundles[i], &st) == 0)
            return system_bundles[i];
    return NULL;
}

static int read_ca_file(struct trust *trust, const char *configured, struct err *err)
{
    struct reading r = {trust, 0};
    struct buf text = {0};
    const char *path = ca_path(configured);
    if (path == NULL)
        return err_set(
            err,
            "no bundle of CAs found on this system (looked for %s and the like); install the package "
            "ca-certificates",
            system_bundles[0]);
    if (file_read(path, TRUST_FILE_MAX, &text, NULL, err) < 0)
        return -1;
    int rc = pem_each(&text, add_anchor, &r, err);
    buf_free(&text);
    if (rc < 0)
        return err_prefix(err, "%s", path);
    if (r.found == 0)
        return err_set(err, "%s: no certificate in PEM (expected -----BEGIN CERTIFICATE-----)", path);
    return 0;
}

/* The stamp is taken before the file is read: a change in between is then seen as one later. */
static int read_crl_file(struct trust *trust, const char *path, struct trust_stamp *ret_stamp,
                         struct err *err)
{
    struct reading r = {trust, 0};
    struct buf text = {0};
    *ret_stamp = trust_stamp_of(path);
    if (file_read(path, TRUST_FILE_MAX, &text, NULL, err) < 0)
        return -1;
    /* DER begins with a SEQUENCE; PEM is text. */
    int rc = text.len > 0 && text.data[0] == 0x30 ? add_crl(&r, text.data, text.len, err)
                                                  : pem_each(&text, add_crl_block, &r, err);
    buf_free(&text);
    if (rc < 0)
        return err_prefix(err, "%s", path);
    if (r.found == 0)
        return err_set(err, "%s: no CRL (expected -----BEGIN X509 CRL----- or DER)", path);
    return 0;
}

struct trust_stamp trust_stamp_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return (struct trust_stamp){0};
    return (struct trust_stamp){
        .dev = st.st_dev, .ino = st.st_ino, .size = st.st_size, .written = st.st_mtim, .changed = st.st_ctim};
}

/* Life
 * -----------------------------------------------------------------------------------------------------------
 */

/* Copy a list of paths; NULL-terminated. */
static char **copy_paths(const char *const *paths, size_t count)
{
    char **copy = calloc(count + 1, sizeof(char *));
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = strdup(paths[i]);
        if (copy[i] == NULL) {
            for (size_t j = 0; j < i; j++)
                free(copy[j]);
            free(copy);
            return NULL;
        }
    }
    return copy;
}

/* Without anchors but those that are given (taken, also on failure). */
static struct trust *trust_new(const char *name, const char *const *crl, size_t crl_len,
                               struct anchors *anchors)
{
    struct trust *trust = calloc(1, sizeof(*trust));
    if (trust == NULL) {
        anchors_unref(anchors);
        return NULL;
    }
    trust->magic = TRUST_MAGIC;
    trust->refs = 1;
    trust->name = strdup(name);
    trust->crl = copy_paths(crl, crl_len);
    trust->crl_len = crl_len;
    trust->stamps = calloc(crl_len + 1, sizeof(*trust->stamps));
    trust->ends = calloc(crl_len + 1, sizeof(*trust->ends));
    trust->anchors = anchors;
    if (trust->name == NULL || trust->crl == NULL || trust->stamps == NULL || trust->ends == NULL) {
        trust_unref(trust);
        return NULL;
    }
    return trust;
}

/* Check the CRLs whose issuers are in the bundle now rather than at the first client. What comes of it is
 * kept with the CRL, and one that nobody here has signed is no error: its issuer may be an intermediate that
 * peers send. */
static void prove_crls(struct trust *trust)
{
    for (size_t i = 0; i < anchors_len(trust->anchors); i++)
        for (size_t k = 0; k < trust->crls_len; k++) {
            X509 *cert = anchors_at(trust->anchors, i)->x509;
            if (crl_is_from(trust->crls[k], cert))
                (void)crl_is_signed_by(trust->crls[k], cert);
        }
}

static int read_crl_files(struct trust *trust, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < trust->crl_len && rc == 0; i++)
        if ((rc = read_crl_file(trust, trust->crl[i], &trust->stamps[i], err)) == 0)
            trust->ends[i] = trust->crls_len;
    if (rc == 0) {
        prove_crls(trust);
        trust_find_unlisted(trust);
    }
    return rc;
}

/* The bundle when reading went well, else NULL and nothing left of it. */
static struct trust *read_or_drop(struct trust *trust, int rc, struct err *err)
{
    ERR_clear_error();
    if (rc == 0)
        return trust;
    err_prefix(err, "trust bundle %s", trust->name);
    trust_unref(trust);
    return NULL;
}

struct trust *trust_load(const struct trust_files *files, struct err *err)
{
    CHECK(files->name != NULL);
    struct trust *trust = trust_new(files->name, files->crl, files->crl_len, anchors_new());
    if (trust == NULL) {
        err_set(err, "out of memory");
        return NULL;
    }
    int rc = files->ca_len > 0 ? 0 : err_set(err, "no CA files");
    for (size_t i = 0; i < files->ca_len && rc == 0; i++)
        rc = read_ca_file(trust, files->ca[i], err);
    return read_or_drop(trust, rc == 0 ? read_crl_files(trust, err) : rc, err);
}

struct trust *trust_reload(const struct trust *old, struct err *err)
{
    CHECK_MAGIC(old, TRUST_MAGIC);
    struct trust *trust =
        trust_new(old->name, (const char *const *)old->crl, old->crl_len, anchors_ref(old->anchors));
    if (trust == NULL) {
        err_set(err, "out of memory");
        return NULL;
    }
    return read_or_drop(trust, read_crl_files(trust, err), err);
}

struct trust *trust_with_revoked(struct trust *trust, struct revoked *revoked)
{
    struct trust *borrower = malloc(sizeof(*borrower));
    CHECK_MAGIC(trust, TRUST_MAGIC);
    CHECK(borrower != NULL);
    struct trust *lender = trust->lender != NULL ? trust->lender : trust;
    memcpy(borrower, lender, sizeof(*borrower));
    borrower->refs = 1;
    borrower->lender = trust_ref(lender);
    borrower->revoked = revoked_ref(revoked);
    return borrower;
}

struct revoked *trust_revoked(const struct trust *trust)
{
    CHECK_MAGIC(trust, TRUST_MAGIC);
    return trust->revoked;
}

struct trust *trust_ref(struct trust *trust)
{
    CHECK_MAGIC(trust, TRUST_MAGIC);
    __atomic_add_fetch(&trust->refs, 1, __ATOMIC_RELAXED);
    return trust;
}

static void free_paths(char **paths, size_t count)
{
    for (size_t i = 0; paths != NULL && i < count; i++)
        free(paths[i]);
    free(paths);
}

static void free_own(struct trust *trust)
{
    anchors_unref(trust->anchors);
    for (size_t i = 0; i < trust->crls_len; i++)
        crl_free(trust->crls[i]);
    free(trust->crls);
    free_paths(trust->crl, trust->crl_len);
    free_paths(trust->unlisted, trust->unlisted_len);
    free(trust->ends);
    free(trust->stamps);
    free(trust->name);
}

void trust_unref(struct trust *trust)
{
    if (trust == NULL)
        return;
    CHECK_MAGIC(trust, TRUST_MAGIC);
    if (__atomic_sub_fetch(&trust->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    revoked_unref(trust->revoked);
    if (trust->lender != NULL)
        trust_unref(trust->lender);
    else
        free_own(trust);
    trust->magic = 0;
    free(trust);
}

/* Facts
 * ----------------------------------------------------------------------------------------------------------
 */

const char *trust_name(const struct trust *trust)
{
    CHECK_MAGIC(trust, TRUST_MAGIC);
    return trust->name;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stamp(const struct trust_stamp *a, const struct trust_stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && same_time(a->written, b->written) &&
           same_time(a->changed, b->changed);
}

/* Of this stamp and of what came before it. */
static uint64_t mix_stamp(uint64_t before, const struct trust_stamp *s)
{
    static const struct hash_key key; /* files of the operator: nobody chooses them against us */
    const uint64_t parts[] = {before,
                              s->dev,
                              s->ino,
                              (uint64_t)s->size,
                              (uint64_t)s->written.tv_sec,
                              (uint64_t)s->written.tv_nsec,
                              (uint64_t)s->changed.tv_sec,
                              (uint64_t)s->changed.tv_nsec};
    return hash_bytes(&key, parts, sizeof(parts));
}

uint64_t trust_stale(const struct trust *trust)
{
    CHECK_MAGIC(trust, TRUST_MAGIC);
    bool stale = false;
    uint64_t sum = 0;
    for (size_t i = 0; i < trust->crl_len; i++) {
        struct trust_stamp now = trust_stamp_of(trust->crl[i]);
        stale |= !same_stamp(&now, &trust->stamps[i]);
        sum = mix_stamp(sum, &now);
    }
    return stale ? sum | 1 : 0;
}

/* Append the subject of one anchor. */
static bool append_subject(STACK_OF(CRYPTO_BUFFER) * names, const struct path_cert *anchor)
{
    uint8_t *der = NULL;
    int len = i2d_X509_NAME(X509_get_subject_name(anchor->x509), &der);
    CRYPTO_BUFFER *name = len < 0 ? NULL : CRYPTO_BUFFER_new(der, (size_t)len, NULL);
    OPENSSL_free(der);
    if (name == NULL || !sk_CRYPTO_BUFFER_push(names, name)) {
        CRYPTO_BUFFER_free(name);
        return false;
    }
    return true;
}

STACK_OF(CRYPTO_BUFFER) * trust_ca_names(const struct trust *trust)
{
    CHECK_MAGIC(trust, TRUST_MAGIC);
    STACK_OF(CRYPTO_BUFFER) *names = sk_CRYPTO_BUFFER_new_null();
    for (size_t i = 0; names != NULL && i < anchors_len(trust->anchors); i++) {
        if (append_subject(names, anchors_at(trust->anchors, i)))
            continue;
        sk_CRYPTO_BUFFER_pop_free(names, CRYPTO_BUFFER_free);
        names = NULL;
    }
    return names;
}
