/* SPDX-License-Identifier: Apache-2.0 */
/* Another root. As of an intermediate, its files are written first and the log tells of it last. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "base/check.h"
#include "base/file.h"
#include "ca/authority_internal.h"
#include "ca/key_place.h"
#include "state/state.h"

#define NUMBER_MAX 9999
#define ROOTS_FILE_MAX (1024 * 1024)

/* What is being made: the root, and what both say of each other. */
struct making {
    struct authority *a;
    const struct authority_root_renewal *with;
    int before, number; /* of the root before, and of this one */
    char cert[GENERATION_FILE_MAX], key[GENERATION_FILE_MAX];
    char new_by_old_file[GENERATION_FILE_MAX], old_by_new_file[GENERATION_FILE_MAX];
    struct ca *root, *new_by_old, *old_by_new;
};

/* ---- names ---- */

static int number_of(const struct root *root)
{
    int number = 1;
    return sscanf(root->cert, "root-%d.pem", &number) == 1 ? number : 1;
}

static void put_names(struct making *m)
{
    snprintf(m->cert, sizeof(m->cert), "root-%d.pem", m->number);
    snprintf(m->key, sizeof(m->key), "root-%d.key", m->number);
    snprintf(m->new_by_old_file, sizeof(m->new_by_old_file), "cross-%d-%d.pem", m->number, m->before);
    snprintf(m->old_by_new_file, sizeof(m->old_by_new_file), "cross-%d-%d.pem", m->before, m->number);
}

/* The first number of which there are no files: what a crash has left is not overwritten. */
static int choose_files(struct making *m, struct err *err)
{
    if (m->a->roots.n == ROOTS_MAX)
        return err_set(err, "%s: more than %d roots", m->a->dir, ROOTS_MAX);
    m->before = number_of(roots_latest(&m->a->roots));
    for (m->number = m->before + 1; m->number <= NUMBER_MAX; m->number++) {
        put_names(m);
        if (!authority_has_file(m->a, m->cert) && !authority_has_file(m->a, m->key) &&
            !authority_has_file(m->a, m->new_by_old_file) && !authority_has_file(m->a, m->old_by_new_file))
            return 0;
    }
    return err_set(err, "%s: more than %d roots", m->a->dir, NUMBER_MAX);
}

/* ---- making ---- */

static struct ca *make_root(const struct making *m, int64_t now, struct err *err)
{
    const struct ca *before = roots_latest(&m->a->roots)->ca;
    char name[AUTHORITY_NAME_LEN + 1], number[16] = "";
    if (m->before > 1)
        snprintf(number, sizeof(number), " %d", m->before);
    if (authority_next_name(before->chain[0], number, m->number, name, err) < 0)
        return NULL;
    const struct ca_request request = {
        .name = name, .now = now, .lifetime = m->with->lifetime != 0 ? m->with->lifetime : ROOT_LIFETIME};
    EVP_PKEY *key = key_place_take(m->with->uri, m->with->generate,
                                   m->with->any_kind ? authority_kind_like(before->key) : m->with->kind,
                                   m->with->pin, err);
    return key == NULL ? NULL : ca_make(NULL, key, CA_PROFILE_INTERMEDIATE, &request, err);
}

static struct ca *vouch(const struct ca *issuer, const struct ca *root, int64_t now, struct err *err)
{
    X509 *cert = ca_cross(issuer, root->chain[0], now, err);
    struct ca *made = cert == NULL ? NULL : ca_new();
    if (made != NULL)
        made->chain[made->chain_len++] = cert;
    return made;
}

static int make_all(struct making *m, int64_t now, struct err *err)
{
    const struct ca *before = roots_latest(&m->a->roots)->ca;
    m->root = make_root(m, now, err);
    if (m->root == NULL || (m->new_by_old = vouch(before, m->root, now, err)) == NULL ||
        (m->old_by_new = vouch(m->root, before, now, err)) == NULL)
        return -1;
    return 0;
}

static int write_files(const struct making *m, struct err *err)
{
    const char *dir = m->a->dir;
    if (authority_write_pair(m->root, dir, m->cert, m->key, m->with->uri, m->with->passphrase, err) < 0 ||
        authority_write_cert(m->new_by_old, dir, m->new_by_old_file, err) < 0)
        return -1;
    return authority_write_cert(m->old_by_new, dir, m->old_by_new_file, err);
}

/* In this order each row is vouched for by what stands before it. */
static int log_all(const struct making *m, const char *who, int64_t now, struct err *err)
{
    char detail[2 * GENERATION_FILE_MAX];
    snprintf(detail, sizeof(detail), "%s %s", m->cert, m->key);
    struct state *db = m->a->db;
    if (authority_log_certificate(db, m->new_by_old, "renew", who, m->new_by_old_file, now, err) < 0 ||
        authority_log_certificate(db, m->root, "renew", who, detail, now, err) < 0)
        return -1;
    return authority_log_certificate(db, m->old_by_new, "renew", who, m->old_by_new_file, now, err);
}

/* In a transaction, so that two who do this at once do it one after the other. */
static int make(struct making *m, const char *who, int64_t now, struct err *err)
{
    if (choose_files(m, err) < 0 || make_all(m, now, err) < 0 || write_files(m, err) < 0)
        return -1;
    return log_all(m, who, now, err);
}

/* ---- root.pem ---- */

static bool has_text(const char *path, const struct buf *text)
{
    struct buf there = {0};
    struct err why;
    bool is = file_read(path, ROOTS_FILE_MAX, &there, NULL, &why) == 0 && there.len == text->len &&
              memcmp(there.data, text->data, text->len) == 0;
    buf_free(&there);
    return is;
}

/* As `a` has read the log. */
static int write_roots(const struct authority *a, int64_t now, struct err *err)
{
    char *path = authority_path(a->dir, ROOT_CERT);
    struct buf pem = {0};
    int rc = roots_put_pem(&a->roots, now, &pem) ? 0 : err_set(err, "out of memory");
    if (rc == 0 && !has_text(path, &pem))
        rc = file_write_atomic(path, 0644, pem.data, pem.len, err);
    buf_free(&pem);
    free(path);
    return rc;
}

/* The log is read anew, while nobody can add to it: others may have made a root since `a` was opened, and
 * must not find theirs overwritten. */
int authority_follow_roots(struct authority *a, int64_t now, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    struct authority *again = NULL;
    int rc = state_begin(a->db, err);
    if (rc == 0) {
        again = authority_open(a->dir, err);
        rc = again == NULL ? -1 : again->roots.n > 1 ? write_roots(again, now, err) : 0;
        state_rollback(a->db);
    }
    authority_close(again);
    return rc < 0 ? err_prefix(err, "%s/" ROOT_CERT " may lack a root that the log has", a->dir) : 0;
}

/* ---- all of it ---- */

int authority_renew_root(struct authority *a, const struct authority_root_renewal *renewal, const char *who,
                         int64_t now, struct err *err)
{
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    struct making m = {.a = a, .with = renewal};
    if (authority_unlock_root(a, renewal->root_key, &renewal->root, err) < 0)
        return -1;
    int rc = state_begin(a->db, err);
    if (rc == 0)
        rc = state_end(a->db, make(&m, who, now, err), err);
    authority_lock_root(a);
    ca_free(m.root);
    ca_free(m.new_by_old);
    ca_free(m.old_by_new);
    ERR_clear_error();
    return rc < 0 ? -1 : authority_follow_roots(a, now, err);
}
