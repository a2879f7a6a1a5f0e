/* SPDX-License-Identifier: Apache-2.0 */
/* The audit of an authority: its log in itself (audit.c), and what is in it held against the folder and
 * against the keys of the CA. Whoever writes to the database can compute hashes, but not sign. */
#include <stdlib.h>
#include <string.h>

#include <openssl/mem.h>

#include "base/check.h"
#include "ca/authority_internal.h"
#include "ca/journal.h"

struct known {
    int64_t row;
    X509 *cert;
};

/* What the log tells of the CA itself: the roots, and the intermediates by their rows. */
struct trust {
    const struct authority *a;
    struct roots roots;
    struct buf intermediates; /* of struct known */
};

static X509 *find(const struct trust *t, int64_t row)
{
    const struct known *known = (const void *)t->intermediates.data;
    for (size_t i = 0; i < t->intermediates.len / sizeof(*known); i++)
        if (known[i].row == row)
            return known[i].cert;
    return NULL;
}

/* ---- the certificates of the CA ---- */

/* Certificates of another CA over the same log would be one way to hide what was issued: root.pem has none
 * but roots of the log, the latest one among them. */
static int check_root_file(const struct trust *t, struct err *err)
{
    char *path = authority_path(t->a->dir, ROOT_CERT);
    struct ca *file = ca_new();
    CHECK(file != NULL);
    int rc = ca_load_chain(file, path, err);
    size_t known = 0;
    bool latest = false;
    for (size_t i = 0; rc == 0 && i < file->chain_len; i++)
        for (size_t k = 0; k < t->roots.n; k++)
            if (X509_cmp(file->chain[i], t->roots.v[k].ca->chain[0]) == 0) {
                known++;
                latest = latest || k + 1 == t->roots.n;
                break;
            }
    if (rc == 0 && (known < file->chain_len || !latest))
        rc = err_set(err, "%s is not the certificate that the log %s", path,
                     t->roots.n > 1 ? "has, or lacks the latest root (cardea ca renew writes it anew)"
                                    : "begins with");
    ca_free(file);
    free(path);
    return rc;
}

static int take(void *arg, int64_t row, struct str detail, struct str content, struct err *err)
{
    struct trust *t = arg;
    int about_root = roots_take(&t->roots, row, detail, content, err);
    if (about_root != 0)
        return about_root < 0 ? -1 : 0;
    const struct known known = {row, authority_read_cert(content)};
    if (known.cert == NULL)
        return err_set(err, "the log has no certificate of the CA at row %lld", (long long)row);
    if (buf_append(&t->intermediates, &known, sizeof(known)) && roots_signed(&t->roots, known.cert))
        return 0;
    return err_set(err, "the root has not signed the intermediate of row %lld", (long long)row);
}

static int check_files(const struct trust *t, struct err *err)
{
    const struct authority *a = t->a;
    if (check_root_file(t, err) < 0)
        return -1;
    for (size_t i = 0; i < a->generations_len; i++) {
        const struct generation *g = &a->generations[i];
        X509 *cert = find(t, g->row);
        if (cert == NULL || X509_cmp(cert, g->ca->chain[0]) != 0)
            return err_set(err, "%s/%s is not the certificate that the log has at row %lld", a->dir, g->cert,
                           (long long)g->row);
    }
    return 0;
}

/* ---- what was issued ---- */

static int check_issued(void *arg, const struct authority_entry *entry, struct err *err)
{
    const struct trust *t = arg;
    const char *fault = NULL;
    if (entry->ssh)
        return 0;
    X509 *cert = authority_read_cert(entry->content), *issuer = find(t, entry->issuer);
    const ASN1_INTEGER *serial = cert == NULL ? NULL : X509_get0_serialNumber(cert);
    if (cert == NULL || issuer == NULL)
        fault = "there is no certificate, or none of its issuer";
    else if ((size_t)ASN1_STRING_length(serial) != entry->serial.len ||
             memcmp(ASN1_STRING_get0_data(serial), entry->serial.bytes, entry->serial.len) != 0 ||
             authority_end(cert) != entry->not_after)
        fault = "the certificate has another serial number, or another end";
    else if (!authority_is_signed(cert, issuer))
        fault = "the certificate is not signed by its issuer";
    X509_free(cert);
    return fault == NULL ? 0
                         : err_set(err, "the log is forged at row %lld: %s", (long long)entry->row, fault);
}

int authority_audit(struct authority *a, const struct authority_head *known, struct authority_head *ret,
                    struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    struct trust t = {.a = a};
    int rc = journal_audit(a->db, known, ret, err);
    if (rc == 0)
        rc = journal_authorities(a->db, take, &t, err);
    if (rc == 0)
        rc = check_files(&t, err);
    if (rc == 0)
        rc = journal_each(a->db, 0, check_issued, &t, err);
    for (size_t i = 0; i < t.intermediates.len / sizeof(struct known); i++)
        X509_free(((const struct known *)(const void *)t.intermediates.data)[i].cert);
    buf_free(&t.intermediates);
    roots_free(&t.roots);
    return rc;
}

int authority_head(struct authority *a, struct authority_head *ret, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    return journal_head(a->db, ret, err);
}
