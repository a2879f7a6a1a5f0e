/* SPDX-License-Identifier: Apache-2.0 */
/* Making an authority. All of it comes to be under another name first: what is at `dir` is whole, or not
 * there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/mem.h>

#include "base/check.h"
#include "base/file.h"
#include "ca/authority_internal.h"
#include "ca/journal.h"
#include "ca/key_place.h"
#include "ca/ssh.h"
#include "cert/key.h"
#include "state/state.h"

#define YEAR (INT64_C(365) * 86400)
#define NAME_MAX_LEN 48 /* so that what stands behind it fits into a common name */
#define PASSPHRASE_MIN 8

/* ---- what it is to be ---- */

static int check_passphrase(struct str passphrase, const char *what, struct err *err)
{
    if (passphrase.len >= PASSPHRASE_MIN)
        return 0;
    return err_set(err, "the passphrase for %s has %zu bytes, expected %d at least", what, passphrase.len,
                   PASSPHRASE_MIN);
}

static int check_plan(const struct authority_plan *plan, struct err *err)
{
    size_t len = plan->name == NULL ? 0 : strlen(plan->name);
    bool named = len > 0 && len <= NAME_MAX_LEN;
    for (size_t i = 0; i < len && named; i++)
        named = (unsigned char)plan->name[i] >= ' ' && plan->name[i] != 0x7f;
    if (!named)
        return err_set(err, "a CA needs a name, of %d bytes at most and without control characters",
                       NAME_MAX_LEN);
    if (plan->url != NULL && authority_check_url(plan->url, err) < 0)
        return -1;
    if (plan->root_uri == NULL && check_passphrase(plan->root_passphrase, ROOT_KEY, err) < 0)
        return -1;
    return plan->passphrase.len == 0 ? 0 : check_passphrase(plan->passphrase, INTERMEDIATE_KEY, err);
}

static struct ca *make_root(const struct authority_plan *plan, int64_t now, struct err *err)
{
    char name[NAME_MAX_LEN + 16];
    snprintf(name, sizeof(name), "%s root CA", plan->name);
    const struct ca_request request = {.name = name,
                                       .key = plan->key,
                                       .now = now,
                                       .lifetime =
                                           plan->root_lifetime != 0 ? plan->root_lifetime : ROOT_LIFETIME};
    EVP_PKEY *key = key_place_take(plan->root_uri, plan->generate, plan->key, plan->pin, err);
    return key == NULL ? NULL : ca_make(NULL, key, CA_PROFILE_INTERMEDIATE, &request, err);
}

static struct ca *make_intermediate(const struct ca *root, const struct authority_plan *plan, int64_t now,
                                    struct err *err)
{
    char name[NAME_MAX_LEN + 16];
    snprintf(name, sizeof(name), "%s CA", plan->name);
    const struct ca_request request = {
        .name = name,
        .key = plan->key,
        .permitted = plan->permitted,
        .permitted_len = plan->permitted_len,
        .now = now,
        .lifetime = plan->intermediate_lifetime != 0 ? plan->intermediate_lifetime : INTERMEDIATE_LIFETIME};
    EVP_PKEY *key = key_place_take(plan->intermediate_uri, plan->generate, plan->key, plan->pin, err);
    return key == NULL ? NULL : ca_make(root, key, CA_PROFILE_INTERMEDIATE, &request, err);
}

/* ---- its files ---- */

static int write_key(const EVP_PKEY *key, const char *uri, struct str passphrase, const char *path,
                     struct err *err)
{
    return uri != NULL ? key_place_write_uri(path, uri, err) : key_write(key, passphrase, path, err);
}

int authority_write_cert(const struct ca *ca, const char *dir, const char *cert, struct err *err)
{
    char *path = authority_path(dir, cert);
    struct buf pem = {0};
    int rc = ca_chain_pem(ca, &pem) ? file_create_atomic(path, 0644, pem.data, pem.len, err)
                                    : err_set(err, "out of memory");
    buf_free(&pem);
    free(path);
    return rc;
}

int authority_write_pair(const struct ca *ca, const char *dir, const char *cert, const char *key,
                         const char *uri, struct str passphrase, struct err *err)
{
    char *path = authority_path(dir, key);
    int rc = write_key(ca->key, uri, passphrase, path, err);
    if (rc == 0)
        rc = authority_write_cert(ca, dir, cert, err);
    free(path);
    return rc;
}

/* SSH knows no certificates of CAs, only their keys; and of those that are here, Ed25519 is known to all.
 * Tokens have P-256 instead. */
static int write_ssh(const struct authority_plan *plan, const char *uri, const char *dir, const char *which,
                     struct err *err)
{
    char *pub_path = NULL, *key_path = NULL;
    CHECK(asprintf(&pub_path, "%s/%s.pub", dir, which) >= 0 &&
          asprintf(&key_path, "%s/%s.key", dir, which) >= 0);
    EVP_PKEY *key = key_place_take(uri, plan->generate, uri != NULL ? KEY_P256 : KEY_ED25519, plan->pin, err);
    struct buf blob = {0}, line = {0};
    int rc = key == NULL ? -1 : ssh_put_key(&blob, key, err);
    if (rc == 0 && !ssh_put_line(&line, &blob, plan->name))
        rc = err_set(err, "out of memory");
    if (rc == 0)
        rc = write_key(key, uri, plan->passphrase, key_path, err);
    if (rc == 0)
        rc = file_create_atomic(pub_path, 0644, line.data, line.len, err);
    EVP_PKEY_free(key);
    buf_free(&blob);
    buf_free(&line);
    free(pub_path);
    free(key_path);
    return rc;
}

int authority_log_certificate(struct state *db, const struct ca *ca, const char *act, const char *who,
                              const char *detail, int64_t now, struct err *err)
{
    uint8_t *der = NULL;
    int64_t row;
    int len = i2d_X509(ca->chain[0], &der);
    if (len <= 0)
        return err_set(err, "out of memory");
    const struct journal_act row_of_it = {.at = now,
                                          .act = act,
                                          .who = who,
                                          .serial = ca_serial(ca),
                                          .detail = {detail, strlen(detail)},
                                          .content = {(const char *)der, (size_t)len}};
    int rc = journal_append(db, &row_of_it, &row, err);
    OPENSSL_free(der);
    return rc;
}

static int log_url(struct state *db, const char *url, int64_t now, struct err *err)
{
    char detail[1024];
    int64_t row;
    int len = snprintf(detail, sizeof(detail), "url=%s", url);
    const struct journal_act act = {.at = now, .act = "set", .who = "init", .detail = {detail, (size_t)len}};
    return journal_append(db, &act, &row, err);
}

static int write_database(const struct ca *root, const struct ca *intermediate, const char *url,
                          const char *dir, int64_t now, struct err *err)
{
    char *path = authority_path(dir, DATABASE);
    struct state *db = journal_open(path, err);
    int rc = db == NULL ? -1 : state_begin(db, err);
    if (rc == 0)
        rc = authority_log_certificate(db, root, "init", "init", ROOT_CERT, now, err);
    if (rc == 0)
        rc = authority_log_certificate(db, intermediate, "init", "init", INTERMEDIATE_CERT, now, err);
    if (rc == 0 && url != NULL)
        rc = log_url(db, url, now, err);
    if (rc == 0)
        rc = state_commit(db, err);
    state_close(db);
    free(path);
    return rc;
}

static int write_all(const struct authority_plan *plan, const char *dir, int64_t now, struct err *err)
{
    struct ca *root = make_root(plan, now, err);
    struct ca *intermediate = root == NULL ? NULL : make_intermediate(root, plan, now, err);
    int rc = intermediate == NULL ? -1
                                  : authority_write_pair(root, dir, ROOT_CERT, ROOT_KEY, plan->root_uri,
                                                         plan->root_passphrase, err);
    if (rc == 0)
        rc = authority_write_pair(intermediate, dir, INTERMEDIATE_CERT, INTERMEDIATE_KEY,
                                  plan->intermediate_uri, plan->passphrase, err);
    if (rc == 0)
        rc = write_ssh(plan, plan->ssh_user_uri, dir, SSH_USER_CA, err);
    if (rc == 0)
        rc = write_ssh(plan, plan->ssh_host_uri, dir, SSH_HOST_CA, err);
    if (rc == 0)
        rc = write_database(root, intermediate, plan->url, dir, now, err);
    ca_free(intermediate);
    ca_free(root);
    return rc;
}

/* ---- the folder ---- */

static void remove_folder(const char *dir)
{
    DIR *d = opendir(dir);
    for (const struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(d), entry->d_name, 0);
    if (d != NULL)
        closedir(d);
    rmdir(dir);
}

static void sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd); /* not every file system can */
        close(fd);
    }
}

static int not_empty(const char *dir, struct err *err)
{
    return err_set(err, "%s: not empty, and nothing in it is overwritten; name another folder", dir);
}

/* Said before keys are made in a token, where they would stay. */
static int check_empty(const char *dir, struct err *err)
{
    DIR *d = opendir(dir);
    bool empty = true;
    for (const struct dirent *entry; d != NULL && empty && (entry = readdir(d)) != NULL;)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (d != NULL)
        closedir(d);
    return empty ? 0 : not_empty(dir, err);
}

/* Only an empty folder is ever replaced: rename(2) sees to that. */
static int put_in_place(const char *made, const char *dir, struct err *err)
{
    sync_folder(made);
    if (rename(made, dir) == 0) {
        char *parent = authority_path(dir, "..");
        sync_folder(parent);
        free(parent);
        return 0;
    }
    if (errno == ENOTEMPTY || errno == EEXIST)
        return not_empty(dir, err);
    return err_errno(err, errno, "%s", dir);
}

int authority_init(const char *dir, const struct authority_plan *plan, int64_t now, struct err *err)
{
    char *made;
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/')
        len--;
    CHECK(asprintf(&made, "%.*s.XXXXXX", (int)len, dir) >= 0);
    int rc = check_plan(plan, err) < 0 ? -1 : check_empty(dir, err);
    if (rc == 0 && mkdtemp(made) == NULL)
        rc = err_errno(err, errno, "%s: cannot make a folder beside it", dir);
    if (rc == 0) {
        rc = write_all(plan, made, now, err);
        if (rc == 0)
            rc = put_in_place(made, dir, err);
        if (rc < 0)
            remove_folder(made);
    }
    free(made);
    ERR_clear_error();
    return rc;
}
